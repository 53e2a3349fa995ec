"""The verb that decides on breaks, one or all of a cause, and the one that lists what answers may be for.

Here: from options to the rows of a decisions file, and what it did or would do, shown. Not here: decisions on files and
periods (``decide``), or what fits (``ledger.decisions``).
"""

from dataclasses import dataclass
from typing import Annotated, Any

import polars as pl
import typer

from counterfoil.clock import local_date
from counterfoil.errors import Code, UsageError
from counterfoil.ledger import decisions, suggested
from counterfoil.ledger.lookups import Lookups
from counterfoil.steps.decide import decide_all
from counterfoil.steps.desk import Desk
from counterfoil.steps.rehearse import Rehearsed, rehearsed
from pipelines.commands.common import (
    Format,
    FormatOption,
    HomeOption,
    PartnerOption,
    emit_frame,
    emit_json,
    parse_day,
    stdout,
)
from pipelines.commands.decide import ReasonOption, tell
from pipelines.wiring import desk_at

ON_BREAKS = tuple(action.name.lower() for action in decisions.ON_BREAKS)

RefOption = Annotated[
    str | None,
    typer.Option("--ref", help="Our reference: to identify, decline, or several apart by blanks to match."),
]
OwnerOption = Annotated[str | None, typer.Option("--owner", help="Who sees to the break, to assign it.")]
UntilOption = Annotated[str | None, typer.Option("--until", help="A date to wait until.")]
AcceptOption = Annotated[bool, typer.Option("--accept", help="Identify with the only suggestion.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what it would do, and do nothing.")]


@dataclass(frozen=True)
class _Asked:
    """What to do about breaks, as the options say."""

    action: str
    ref: str | None
    owner: str | None
    until: str | None
    accept: bool


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("resolve")(resolve)
    app.command("suggestions")(show_suggestions)


def resolve(
    reason: ReasonOption,
    break_id: Annotated[str, typer.Argument(help="The break, as counterfoil breaks shows it.")],
    action: Annotated[
        str, typer.Option("--action", help=f"{', '.join(ON_BREAKS[:-1])} or {ON_BREAKS[-1]}.")
    ] = "resolve",
    ref: RefOption = None,
    owner: OwnerOption = None,
    until: UntilOption = None,
    accept: AcceptOption = False,
    dry_run: DryRunOption = False,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Decide on a break: close it, find its request, refund, take the partner's figure, assign it, let it wait."""
    with desk_at(home) as desk:
        asked = _Asked("identify" if accept else action.replace("-", "_"), ref, owner, until, accept)
        _require_whole(desk, asked)
        with desk.book.reading() as book:
            rows = _stated(book, _rows(desk, book, [break_id], asked))
        if dry_run:
            _show(rehearsed(desk, _told(rows), reason=reason), rows, output)
            return
        _require_fit(rows, asked.action)
        tell(decide_all(desk, _told(rows), reason=reason), int(rows["points"].sum()), output)


def show_suggestions(
    partner: PartnerOption = None, home: HomeOption = None, output: FormatOption = Format.TABLE
) -> None:
    """Answers that nobody knows and the requests of ours they may be for: take the only one, or decline it."""
    with desk_at(home) as desk, desk.book.reading() as book:
        found = suggested.suggested(book, desk.reader.feeds(), partner)
    emit_frame(found, output, title="Suggestions")


def _require_whole(desk: Desk, asked: _Asked) -> None:
    """Raise a UsageError where an action is none, or lacks what it needs."""
    needed = {
        "identify": ("--ref", asked.ref or asked.accept, "the reference of our request, or --accept"),
        "match": ("--ref", asked.ref, "references of ours apart by blanks"),
        "decline": ("--ref", asked.ref, "the reference of a candidate"),
        "assign": ("--owner", (asked.owner or "").strip(), "who sees to it"),
        "wait": ("--until", asked.until, "a date after today"),
    }
    if asked.action not in ON_BREAKS:
        raise _wrong("--action", "no such action", f"one of {', '.join(ON_BREAKS)}", Code.NOTHING_FOUND)
    option, given, expected = needed.get(asked.action, ("", True, ""))
    if not given:
        raise _wrong(option, f"{asked.action} without it", expected)
    day = parse_day(asked.until)
    if asked.action == "wait" and day is not None and day <= local_date(desk.now(), desk.settings.zone):
        raise _wrong("--until", "a day that has begun", expected)


def _wrong(where: str, found: str, expected: str, code: Code = Code.DECISION_UNFIT) -> UsageError:
    return UsageError(code, where, found=found, expected=expected, remedy="See the how-to on decisions")


def _rows(desk: Desk, book: Lookups, break_ids: list[str], asked: _Asked) -> pl.DataFrame:
    """A decision each: action, subject, ref, owner, until; blank where the action has no use for it."""
    blank = pl.lit("")
    text = {"ref": asked.ref, "owner": asked.owner, "until": asked.until}
    rows = pl.DataFrame({"subject": break_ids}, schema={"subject": pl.String}).select(
        "subject", action=pl.lit(asked.action), **{name: pl.lit(value or "") for name, value in text.items()}
    )
    if not asked.accept:
        return rows
    only = suggested.suggested(book, desk.reader.feeds()).filter("only").select(subject="break_id", ref="our_ref")
    accepted = rows.drop("ref").join(only, on="subject", how="left", maintain_order="left")
    missing = accepted["ref"].null_count()
    if missing:
        raise _wrong(
            "--accept",
            f"{missing} breaks without exactly one suggestion that is theirs alone",
            "the only candidate in counterfoil suggestions",
        )
    return accepted.select(rows.columns).with_columns(blank.alias("owner"), blank.alias("until"))


def _stated(book: Lookups, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the points that each moves as the book is now; null where the action does not fit."""
    return rows.with_columns(points=decisions.moves(book, rows))


def _require_fit(rows: pl.DataFrame, action: str) -> None:
    unfit = rows["points"].null_count()
    if unfit:
        raise UsageError(
            Code.DECISION_UNFIT,
            f"break {rows['subject'][0]}" if rows.height == 1 else f"{rows.height} breaks",
            found=f"{unfit} that {action} does not fit",
            expected="open breaks of counterfoil breaks, and an action that their requests and answers allow",
            remedy="See why with --dry-run and counterfoil explain, then choose another action; nothing was decided",
        )


def _told(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """For a file; one that does not fit states no points, and is refused with the reason."""
    return rows.with_columns(pl.col("points").fill_null(0)).to_dicts()


def _show(would: Rehearsed, rows: pl.DataFrame, output: Format) -> None:
    """What decisions would do; exit status 1 where they do not fit."""
    points = int(rows["points"].sum())
    if output is Format.JSON:
        emit_json(
            {
                "dry_run": True,
                "decisions": rows.height,
                "points": points,
                "booked": would.booked.to_dicts(),
                "cleared": would.cleared.to_dicts(),
                "second_person": list(would.second_person),
                "why_not": would.why_not,
            }
        )
    elif would.why_not is not None:
        stdout.print(would.why_not, soft_wrap=True, highlight=False, markup=False)
    else:
        emit_frame(would.booked, output, title="Would book")
        emit_frame(would.cleared, output, title="Would clear")
        who = f"yes: {', '.join(would.second_person)}" if would.second_person else "no"
        stdout.print(
            f"{rows.height} decisions, {points:,} points. A second person must approve: {who}. Nothing was done."
        )
    if would.why_not is not None:
        raise typer.Exit(1)
