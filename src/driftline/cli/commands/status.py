"""``driftline status``: how far the steps are, what is open, who serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from driftline.cli.output import AsJson, print_json, print_line, print_table, say
from driftline.cli.state import State, state_of
from driftline.contracts.errors import SetupError, TopicError

if TYPE_CHECKING:
    from driftline.cli.lag import Lag


def status(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Show how far each step is behind, what is open, and which versions serve; exit 1 where the broker does not answer."""
    from driftline.cli.overview import overview
    from driftline.store import episodes, triggers

    state = state_of(ctx)
    engine = state.engine
    lag = _lag(state)
    models = overview(engine)
    open_episodes = episodes.history(engine, open_only=True)
    open_triggers = triggers.open_triggers(engine)
    if as_json:
        print_json(
            {
                "caught_up": lag.caught_up if lag else None,
                "lag": _lag_json(lag) if lag else None,
                "models": models,
                "open_episodes": open_episodes,
                "open_triggers": open_triggers,
            }
        )
    else:
        if lag is not None:
            _print_lag(lag)
        _print_models(models, _no_model(lag))
        print_line()
        print_table(
            ("open episode", "model", "since", "severity", ""),
            ((e.episode_id[:12], e.model, _time(e.onset), e.severity, e.sentence) for e in open_episodes),
            none="No episode is open.",
        )
        print_table(
            ("open trigger", "model", "at", "reason", ""),
            ((t.trigger_id[:12], t.model, _time(t.at), t.reason, t.sentence) for t in open_triggers),
            none="No trigger is open.",
        )
    if lag is None:
        raise typer.Exit(1)


def _lag(state: State) -> Lag | None:
    from driftline.cli.lag import caught_up

    try:
        return caught_up(state.settings, state.engine)
    except (SetupError, TopicError) as error:
        say(f"error: {error}")
        return None


def _lag_json(lag: Lag) -> dict[str, Any]:
    steps = {step: {"behind": lag.of(step), "watermark": lag.watermark(step)} for step in ("summarise", "join", "detect")}
    return {"behind": lag.behind, "steps": steps, "partitions": lag.partitions, "outbox": lag.outbox}


def _print_lag(lag: Lag) -> None:
    print_table(
        ("step", "topic", ">partition", ">done", ">end", ">behind", "watermark"),
        ((p.step, p.topic, p.partition, p.position, p.end, p.behind, _time(p.watermark) + (" (idle)" if p.idle else "")) for p in lag.partitions),
        none="No partition is read.",
    )
    waiting = sum(lag.outbox.values())
    print_line(
        "Caught up: all that was published is dealt with."
        if lag.caught_up
        else f"Behind by {lag.behind:,} records, {waiting:,} to publish, {len(lag.open_triggers)} open triggers."
    )
    print_line()


def _print_models(models: Any, none: str) -> None:
    from driftline.cli.beside import together_sentence

    rows = (
        (m.model, m.version, m.state, _time(m.window_end), m.n, _evidence(m.evidence, m.budget), m.open_episodes, m.open_triggers, _reference(m))
        for m in models
    )
    columns = ("model", "champion", "state", "last window", ">n", ">evidence h", ">episodes", ">triggers", "reference")
    print_table(columns, rows, none=none)
    for m in models:
        if m.together is not None:
            print_line(f"{m.model}: {together_sentence(m.together)}")


def _no_model(lag: Lag | None) -> str:
    if lag is not None and any(p.end for p in lag.partitions):
        return "No pane of any model has closed yet: one does when events of a later time have come."
    return "No model has published yet."


def _evidence(evidence: float | None, budget: float | None) -> str:
    if evidence is None or budget is None:
        return ""
    from driftline.cli.wording import hours_number

    return f"{hours_number(evidence, budget)} of {budget:,.0f}"


def _reference(m: Any) -> str:
    if m.reference_id is None:
        return f"learning: {m.learning_rows:,} rows" if m.learning_rows else "none"
    return f"{m.reference_origin}, from {_time(m.reference_since)}"


def _time(millis: int | None) -> str:
    from driftline.contracts.times import format_time

    return format_time(millis) if millis else ""
