"""``driftline backtest``: the log once more, to the same result; or under other settings, before they go live."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.arguments import Since, Until, check_model, stretch
from driftline.cli.output import AsJson, print_json, print_line, say
from driftline.cli.state import state_of
from driftline.contracts.times import format_time

if TYPE_CHECKING:
    from driftline.cli.backtesting import Difference, Said
    from driftline.contracts.settings import ModelSettings, Settings

_NAMED = 12


def backtest(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="The model.")],
    *,
    config: Annotated[Path | None, typer.Option("--config", help="Another driftline.yaml: what would have come of its settings?")] = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Replay a model's log through the code that runs live, following the logged closings of its panes. Nothing live is touched.

    With the settings in force every finding, alert and trigger has to be the same as live, id by id: exit code 1 and the first difference otherwise
    (--json: all of them). What no closing tells can't be replayed, and is named as a difference: silence that only the wall clock told, and the order
    in which several join workers, or one that died, said what they had joined.
    With --config it tells how often, and when, those settings would have alarmed and asked for a retraining.
    --since and --until choose of which event times that is told; the log is read from its beginning all the same, for all that follows rests on it.
    """
    from driftline.cli.backtesting import differences, live_of, replayed, within
    from driftline.cli.config import load_settings

    begin, end = stretch(since, until)
    state = state_of(ctx)
    check_model(state.engine, model)
    live = live_of(state.engine, model)
    other = load_settings(config, os.environ) if config is not None else None
    # The log and its broker are the live ones, whatever the other file says.
    settings = state.settings if other is None else _over(state.settings, other, model)
    told = replayed(state.engine, settings, model, live.steps, whole=True, progress=_progress)
    was, told = within(live.said, begin, end), within(told, begin, end)
    if other is None:
        found = differences(was, told)
        if as_json:
            all_of_them = [{"what": d.what, "id": d.id, "at": d.at, "fields": d.fields} for d in found]
            first = found[0] if found else None
            print_json({"model": model, "equal": not found, "differences": len(found), "first": first, "all": all_of_them, **_counts(told)})
        else:
            _tell_equal(model, told, found)
        if found:
            raise typer.Exit(1)
        return
    changed = _changed(state.settings.model(model), settings.model(model))
    if as_json:
        print_json({"model": model, "changed": changed, "live": _would(was), "other": _would(told)})
        return
    print_line("Changed: " + ("; ".join(f"{name} {a} -> {b}" for name, (a, b) in changed.items()) or "nothing") + ".")
    print_line(f"Live, {model} {_alarmed(was)}.")
    print_line(f"Under {config} it would have {_alarmed(told)}.")


def _over(live: Settings, other: Settings, model: str) -> Settings:
    import msgspec

    return msgspec.structs.replace(live, models={**live.models, model: other.model(model)})


def _progress(done: int, steps: int) -> None:
    if done and done % max(steps // 10, 1) == 0:
        say(f"{done:,} of {steps:,} closings followed")


def _opened(said: Said) -> list[int]:
    return sorted(a.at for a in said.alerts.values() if a.status == "opened")


def _would(said: Said) -> dict[str, object]:
    return {"alarms": _opened(said), "retrainings": sorted(t.at for t in said.triggers.values()), "findings": len(said.findings)}


def _counts(said: Said) -> dict[str, int]:
    return {"closings": len(said.closings), "findings": len(said.findings), "alerts": len(said.alerts), "triggers": len(said.triggers)}


def _alarmed(said: Said) -> str:
    at = _opened(said)
    times = ", ".join(map(format_time, at[:_NAMED])) + (f" and {len(at) - _NAMED} times more" if len(at) > _NAMED else "")
    asked = sorted(t.at for t in said.triggers.values())
    when = f", at {', '.join(map(format_time, asked[:_NAMED]))}" if asked else ""
    return f"alarmed {len(at)} times{f', at {times}' if at else ''}, asked for {len(asked)} retrainings{when}"


def _tell_equal(model: str, told: Said, found: list[Difference]) -> None:
    if not found:
        print_line(
            f"The replay of {model} equals live, id by id: {len(told.closings):,} closings, {len(told.findings):,} findings, "
            f"{len(told.alerts):,} alerts, "
            f"{len(told.triggers):,} triggers (how often a finding was revised is not compared)."
        )
        return
    first = found[0]
    print_line(f"The replay of {model} differs from live in {len(found):,} places. The first: {first.what} {first.id} of {format_time(first.at)}")
    if not first.fields:
        print_line(f"  only {'live' if first.replay is None else 'the replay'} has it")
    for field in first.fields:
        print_line(f"  {field}: {first.live[field]!r} live, {first.replay[field]!r} in the replay"[:500])


def _changed(live: ModelSettings, other: ModelSettings) -> dict[str, tuple[object, object]]:
    import msgspec

    one, two = msgspec.to_builtins(live), msgspec.to_builtins(other)
    return {name: (one[name], two[name]) for name in one if one[name] != two[name]}
