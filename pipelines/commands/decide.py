"""The verbs by which people decide on held files and accounting periods, take back, and approve what others decided.

Each writes a file, lands it and posts it. Beyond what one person may decide it is proposed until another approves. Not
here: decisions on breaks (``resolve``).
"""

from typing import Annotated

import typer

from counterfoil.errors import Code, UsageError
from counterfoil.landing.records import Outcome, OutcomeState
from counterfoil.ledger import decided
from counterfoil.steps.arrive import connections
from counterfoil.steps.decide import Decided, approve, decide, decide_all, held_file, left_out, released_points
from pipelines.commands.common import (
    Format,
    FormatOption,
    HomeOption,
    emit_frame,
    emit_json,
    emit_rows,
    parse_period,
    stdout,
)
from pipelines.commands.rehearsal import DryRunOption, show_rehearsed
from pipelines.wiring import desk_at

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it stays with the decision for ever.")]
FileArgument = Annotated[
    str, typer.Argument(help="The file's SHA-256, or at least 8 of its first digits; see counterfoil held.")
]
PeriodArgument = Annotated[str, typer.Argument(help="A month, such as 2026-10.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for name, verb in (
        ("undo", undo),
        ("held", held),
        ("release", release),
        ("discard", discard),
        ("approve", approve_file),
        ("lock", lock),
        ("reopen", reopen),
        ("decisions", show_decisions),
    ):
        app.command(name)(verb)


def undo(
    decisions: Annotated[
        list[str],
        typer.Argument(help="The decision as posting:line, or several for one file; see counterfoil decisions."),
    ],
    reason: ReasonOption,
    dry_run: DryRunOption = False,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Take decisions on breaks back, as long as nothing has happened since to what they decided."""
    with desk_at(home) as desk:
        with desk.book.reading() as book:
            points = {decision: decided.points_of(book, decision) for decision in decisions}
        told = [{"action": "undo", "subject": decision, "points": moved} for decision, moved in points.items()]
        if dry_run:
            show_rehearsed(desk, told, reason=reason, output=output)
            return
        tell(decide_all(desk, told, reason=reason), sum(points.values()), output)


def held(home: HomeOption = None, output: FormatOption = Format.TABLE) -> None:
    """Files that wait for a decision, an approval or a layout that claims them, each with its hash and why it waits."""
    with desk_at(home) as desk:
        waiting = [one for feed in desk.reader.feeds() for one in desk.index.held(feed.feed)]
        waiting += [one for connection in connections(desk) for one in desk.index.unclaimed(connection)]
        outcomes = desk.index.latest_outcomes(one.order for one in waiting)
        rows = [
            {
                "delivery": one.order,
                "feed": one.feed,
                "file": one.name,
                "sender": one.sender,
                "payload_sha": one.payload_sha,
                "code": outcomes[one.order].code if one.order in outcomes else one.code,
                "message": outcomes[one.order].message if one.order in outcomes else one.message,
            }
            for one in sorted(waiting, key=lambda one: one.order)
        ]
    if output is Format.JSON:
        emit_json(rows)
        return
    shown = ("delivery", "feed", "file", "sender", "payload_sha", "code")
    cells = [[str(row[key])[:16] if key == "payload_sha" else row[key] for key in shown] for row in rows]
    emit_rows(cells, shown, title="Held files")


def release(
    file: FileArgument,
    reason: ReasonOption,
    without: Annotated[
        list[int] | None, typer.Option("--without", help="A line of a bulk upload to leave out; may be repeated.")
    ] = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Let a held file post: a correction by its difference, anything else as it is, or without some of its lines."""
    with desk_at(home) as desk:
        delivery = held_file(desk, file)
        points = released_points(desk, delivery)
        release_it = {"action": "release", "subject": delivery.payload_sha, "points": points}
        told = [*left_out(desk, delivery, without or []), release_it]
        tell(decide_all(desk, told, reason=reason), points, output)


def discard(
    file: FileArgument, reason: ReasonOption, home: HomeOption = None, output: FormatOption = Format.TABLE
) -> None:
    """Decide that a held file does not count."""
    with desk_at(home) as desk:
        delivery = held_file(desk, file)
        tell(decide(desk, action="discard", subject=delivery.payload_sha, reason=reason), 0, output)


def approve_file(
    file: FileArgument, reason: ReasonOption, home: HomeOption = None, output: FormatOption = Format.TABLE
) -> None:
    """Approve what another person sent: decisions, opening balances or rates beyond what one may decide alone."""
    with desk_at(home) as desk:
        delivery = held_file(desk, file)
        if delivery.sender == desk.settings.actor:
            raise UsageError(
                Code.APPROVAL_NEEDED,
                delivery.name,
                found="a file of your own",
                expected="the approval of a second person",
                remedy="Have someone else approve it, from another account",
            )
        tell(approve(desk, delivery.payload_sha, reason), 0, output)


def lock(
    period: PeriodArgument, reason: ReasonOption, home: HomeOption = None, output: FormatOption = Format.TABLE
) -> None:
    """Lock an accounting period: what comes later for it is booked in the next open one."""
    parse_period("PERIOD", period)
    with desk_at(home) as desk:
        tell(decide(desk, action="lock", subject=period, reason=reason), 0, output)


def reopen(
    period: PeriodArgument, reason: ReasonOption, home: HomeOption = None, output: FormatOption = Format.TABLE
) -> None:
    """Reopen a locked period; a second person must always approve it."""
    parse_period("PERIOD", period)
    with desk_at(home) as desk:
        tell(decide(desk, action="reopen", subject=period, reason=reason), 0, output)


def show_decisions(home: HomeOption = None, output: FormatOption = Format.TABLE) -> None:
    """Every decision in the book: who decided what, when and why, and whether it was undone."""
    with desk_at(home) as desk, desk.book.reading() as book:
        frame = decided.told(book)
    emit_frame(frame, output, title="Decisions")


def tell(done: Decided, points: int, output: Format) -> None:
    """What became of it; a decision that is refused or proposed says what comes next on its own line.

    Exits with 1 where a person must look at it: it, or a file that it is about, was refused or is held for another
    cause than an approval.
    """
    known = {one.order: outcome for one, outcome in done.outcomes}
    own = known.get(done.delivery.order)
    told = own or done.delivery
    message = told.message if own or told.message else "the same file again; nothing was done"
    if output is Format.JSON:
        emit_json(
            {
                "file": done.delivery.name,
                "payload_sha": done.delivery.payload_sha,
                "points": points,
                "outcome": own.state if own else OutcomeState.REPLAY,
                "posting": own.n if own else None,
                "code": told.code,
                "message": message,
                "files": [
                    {"file": one.name, "outcome": outcome.state, "posting": outcome.n, "code": outcome.code}
                    for one, outcome in done.outcomes
                    if one.order != done.delivery.order
                ],
            }
        )
    else:
        if own is None:
            stdout.print(f"{done.delivery.name}: {message}", soft_wrap=True)
        for one, outcome in done.outcomes:
            said = f"posting {outcome.n}" if outcome.n else outcome.message or outcome.state
            stdout.print(f"{one.name}: {said}", soft_wrap=True)
    if any(_unsettled(outcome) for outcome in known.values()) or (own is None and told.code is not None):
        raise typer.Exit(1)


def _unsettled(outcome: Outcome) -> bool:
    """Whether a person must look: not where a second one must approve, or a file was meant to be discarded."""
    if outcome.state is OutcomeState.HELD:
        return outcome.code != Code.APPROVAL_NEEDED
    return outcome.state is OutcomeState.REJECTED and outcome.code != Code.FILE_DISCARDED
