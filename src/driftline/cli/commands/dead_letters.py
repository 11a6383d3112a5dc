"""``driftline dead-letters``: what could not be used, why, and once more if the reason is gone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from driftline.cli.arguments import Limit, moment
from driftline.cli.output import AsJson, print_json, print_line, print_table, say
from driftline.cli.state import state_of
from driftline.contracts.errors import DriftlineError
from driftline.contracts.times import format_time

if TYPE_CHECKING:
    from driftline.cli.letters import Kept

dead_letters_app = typer.Typer(
    no_args_is_help=True, help="Records that could not be used: list them with their reasons, show one whole, replay those whose reason is gone."
)

#: So much of a value is shown.
_SHOWN_BYTES = 4_096

Topics = Annotated[list[str] | None, typer.Option("--topic", help="Of this topic only, such as label-events; again for more.")]
Codes = Annotated[list[str] | None, typer.Option("--reason", help="Of this reason only, such as not_json; again for more.")]
Since = Annotated[str | None, typer.Option("--since", help="Written then or later: 2026-11-01, or RFC 3339. Dates are in UTC.")]
Last = Annotated[int, typer.Option("--last", min=1, help="Read so many of the newest records of each partition.")]


@dead_letters_app.command("list")
def list_letters(
    ctx: typer.Context,
    *,
    topic: Topics = None,
    reason: Codes = None,
    since: Since = None,
    limit: Limit = 50,
    last: Last = 100_000,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the newest first, and how many there are for each reason. A letter that was sent again after a crash counts once."""
    from driftline.cli.letters import Wanted, open_box

    wanted = Wanted(topics=tuple(topic or ()), codes=tuple(reason or ()), since=moment(since))
    box = open_box(state_of(ctx).settings.kafka, wanted, last=last)
    shown = box.letters[:limit]
    if as_json:
        print_json({
            "total": len(box.letters),
            "by_reason": box.by_code(),
            "letters": [_described(kept) for kept in shown],
            "foreign": box.foreign,
            "unread": box.unread,
        })  # fmt: skip
        return
    print_table(
        ("letter", "written", "step", "record", "reason", ">bytes", ">attempts", "because"),
        (
            (
                kept.letter.letter_id[:12],
                format_time(kept.at),
                kept.letter.stage,
                f"{kept.letter.topic}:{kept.letter.partition}:{kept.letter.offset}",
                kept.letter.code,
                kept.letter.bytes,
                kept.letter.attempt + kept.replayed or None,
                kept.letter.reason,
            )
            for kept in shown
        ),
        none="No dead letter.",
    )
    if box.letters:
        print_line()
        print_table((">letters", "reason"), ((n, code) for code, n in box.by_code().items()), none="")
    if len(box.letters) > len(shown):
        say(f"{len(box.letters) - len(shown)} more: --limit {len(box.letters)} shows all, --reason and --topic those you mean.")
    if box.foreign:
        say(f"{box.foreign} records in the topic are no letters of Driftline's.")
    if box.unread:
        say(f"{box.unread} older records were not read: --last reads more.")


@dead_letters_app.command()
def show(
    ctx: typer.Context,
    letter: Annotated[str, typer.Argument(help="Its id, or the beginning of it.")],
    *,
    raw: Annotated[Path | None, typer.Option("--raw", help="Write the value, byte for byte, to this file.")] = None,
    as_hex: Annotated[bool, typer.Option("--hex", help="Show the value in hexadecimal digits.")] = False,
    last: Last = 100_000,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter: where its record stood, why it was refused, its headers, its key and its value as it came."""
    kept = _the_one(ctx, letter, last)
    one = kept.letter
    if raw is not None:
        try:
            raw.write_bytes(one.value or b"")
        except OSError as error:
            raise DriftlineError(f"{raw} can't be written: {error.strerror}") from None
        say(f"{len(one.value or b'')} bytes written to {raw}.")
    if as_json:
        print_json({**_described(kept), "key": one.key, "value": one.value, "headers": one.headers})
        return
    print_line(f"Letter {one.letter_id}, written {format_time(kept.at, seconds=True)} by {one.stage}")
    print_line(f"Record {one.topic}, partition {one.partition}, offset {one.offset}; {one.bytes:,} bytes")
    print_line(f"Reason {one.code}: {one.reason}")
    if one.cut:
        print_line(f"Kept in part only: {', '.join(one.cut)}; sha256 of the whole value {one.sha256}")
    if one.attempt or kept.replayed:
        print_line(f"Replayed {one.attempt} times before it came here, {kept.replayed} times since")
    print_line()
    print_table(("header", "content"), ((name, _readable(content)) for name, content in one.headers), none="It came without headers.")
    print_line()
    print_line(f"Key    {_readable(one.key)}")
    value = one.value
    if value is None or len(value) <= _SHOWN_BYTES:
        print_line(f"Value  {_readable(value, as_hex=as_hex)}")
    else:
        print_line(f"Value  {_readable(value[:_SHOWN_BYTES], as_hex=as_hex)}")
        say(f"The first {_SHOWN_BYTES} of {len(value)} bytes: --raw FILE writes all.")


@dead_letters_app.command()
def replay(
    ctx: typer.Context,
    letters: Annotated[list[str] | None, typer.Argument(help="Their ids, or the beginnings of them.")] = None,
    *,
    topic: Topics = None,
    reason: Codes = None,
    since: Since = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what has been replayed before.")] = False,
    max_attempts: Annotated[int, typer.Option("--max-attempts", min=1, help="Refuse what was replayed so many times already.")] = 3,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Send no more than so many.")] = 10_000,
    last: Last = 100_000,
    as_json: AsJson = False,
) -> None:
    """Send dead letters back to the topic and partition they came from: key, value and headers as they were, and a header that counts the attempts.

    Name letters, or say which with --reason, --topic or --since. That a letter was replayed is noted among the letters, in the same transaction.
    """
    from driftline.cli.letters import Wanted
    from driftline.cli.replaying import replay as replay_them

    wanted = Wanted(ids=tuple(letters or ()), topics=tuple(topic or ()), codes=tuple(reason or ()), since=moment(since))
    if wanted == Wanted():
        raise DriftlineError("name the letters to replay, or say which with --reason, --topic or --since")
    if "" in wanted.ids:
        raise DriftlineError("a letter's id has at least one character")
    verdicts = replay_them(state_of(ctx).settings.kafka, wanted, last=last, limit=limit, again=again, most=max_attempts, dry=dry_run)
    sent, done = sum(verdict.replay for verdict in verdicts), "would be" if dry_run else "yes"
    if as_json:
        print_json({"replayed": 0 if dry_run else sent, "would_replay": sent, "refused": len(verdicts) - sent, "letters": verdicts})
    else:
        print_table(
            ("letter", "record", "reason", "replayed", ">attempt", "why not"),
            ((v.letter_id[:12], f"{v.topic}:{v.partition}:{v.offset}", v.code, (done if v.replay else "no"), v.attempt, v.why) for v in verdicts),
            none="No such letter.",
        )
    if not verdicts:
        raise typer.Exit(1)


def _the_one(ctx: typer.Context, start: str, last: int) -> Kept:
    from driftline.cli.letters import Wanted, open_box

    found = open_box(state_of(ctx).settings.kafka, Wanted(ids=(start,)), last=last, whole=True).letters if start else []
    exact = [kept for kept in found if kept.letter.letter_id == start] or found
    if len(exact) != 1:
        raise DriftlineError(f"{len(exact) or 'no'} letters begin with {start!r}; `driftline dead-letters list` has them")
    return exact[0]


def _described(kept: Kept) -> dict[str, Any]:
    one = kept.letter
    return {
        "letter_id": one.letter_id, "written": kept.at, "stage": one.stage, "topic": one.topic, "partition": one.partition, "offset": one.offset,
        "code": one.code, "reason": one.reason, "bytes": one.bytes, "cut": one.cut, "sha256": one.sha256, "attempt": one.attempt,
        "replayed": kept.replayed, "times": kept.times,
    }  # fmt: skip


def _readable(content: bytes | None, *, as_hex: bool = False) -> str:
    """Return bytes as text that no terminal acts on: what is not printable is escaped."""
    if content is None:
        return "null"
    if as_hex:
        return content.hex(" ")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in content.decode(errors="backslashreplace"))
