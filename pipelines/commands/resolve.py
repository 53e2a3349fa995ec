"""The verb that decides on breaks, one or all of a cause, and the one that lists what answers may be for.

Here: from options to the rows of a decisions file. Not here: what it would do (``rehearsal``), decisions on files and
periods (``decide``), or what fits (``ledger.decisions``).
"""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final

import polars as pl
import typer

from counterfoil.clock import local_date
from counterfoil.errors import Code, UsageError
from counterfoil.ledger import break_causes, break_money, decisions, fitting, suggested, voucher_decisions
from counterfoil.ledger.known import known
from counterfoil.ledger.lookups import Lookups
from counterfoil.reconcile.cause import Cause
from counterfoil.steps.decide import decide_all
from counterfoil.steps.desk import Desk
from counterfoil.steps.explain import of_gl
from pipelines.commands.common import (
    Format,
    FormatOption,
    HomeOption,
    PartnerOption,
    emit_frame,
    parse_day,
    require_partner,
)
from pipelines.commands.decide import ReasonOption, tell
from pipelines.commands.rehearsal import DryRunOption, show_rehearsed
from pipelines.wiring import desk_at

ON_BREAKS: Final = tuple(action.name.lower() for action in (*decisions.ON_BREAKS, *voucher_decisions.ON_ORDERS))
WITH_REF: Final = ("identify", "match", "decline")
OF_ONE: Final = ("match", "decline")
"""Actions that say something else of each break."""

RefOption = Annotated[
    str | None,
    typer.Option("--ref", help="Our reference: to identify, decline, or several apart by blanks to match."),
]
OwnerOption = Annotated[str | None, typer.Option("--owner", help="Who sees to the break, to assign it.")]
UntilOption = Annotated[str | None, typer.Option("--until", help="A date to wait until.")]
AcceptOption = Annotated[bool, typer.Option("--accept", help="Identify with the only suggestion.")]

_CHOSEN: Final = {"subject": pl.String, "candidate": pl.String}
"""Breaks to decide on; ``candidate``: the reference of the one request that would clear it, where its cause says so."""


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
    break_ids: Annotated[
        list[str] | None, typer.Argument(help="The break, as counterfoil breaks shows it, or several for one file.")
    ] = None,
    cause: Annotated[Cause | None, typer.Option("--cause", help="Every open break of this cause, in one file.")] = None,
    partner: PartnerOption = None,
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
    """Decide on breaks, by name or all of a cause: close them, find their requests, pay back, assign, let wait."""
    with desk_at(home) as desk:
        asked = _Asked("identify" if accept else action.replace("-", "_"), ref, owner, until, accept)
        _require_one_way(break_ids, cause, partner)
        require_partner(desk, partner)
        _require_whole(desk, asked, many=cause is not None)
        with desk.book.reading() as book:
            chosen = _named(break_ids or []) if cause is None else _of_cause(desk, book, cause, partner)
            rows = _stated(book, _rows(desk, book, chosen, asked))
            unfit = fitting.misfits(rows, book)
            closed = rows["subject"] if asked.action == "resolve" else rows["subject"].clear()
            minor = int(break_money.at_stake(book, closed)["minor"].sum())
        if dry_run:
            show_rehearsed(desk, _told(rows), reason=reason, minor=minor, unfit=unfit, output=output)
            return
        _require_fit(rows, asked.action)
        tell(decide_all(desk, _told(rows), reason=reason), int(rows["points"].sum()), output)


def show_suggestions(
    partner: PartnerOption = None, home: HomeOption = None, output: FormatOption = Format.TABLE
) -> None:
    """Answers that nobody knows and the requests of ours they may be for: take the only one, or decline it."""
    with desk_at(home) as desk, desk.book.reading() as book:
        require_partner(desk, partner)
        found = suggested.suggested(book, desk.reader.feeds(), partner)
    emit_frame(found, output, title="Suggestions")


def _require_one_way(break_ids: list[str] | None, cause: Cause | None, partner: str | None) -> None:
    if (not break_ids) == (cause is None) or (partner is not None and cause is None):
        raise _wrong("break", "no one way to say which breaks", "breaks, or --cause with or without --partner")


def _require_whole(desk: Desk, asked: _Asked, *, many: bool) -> None:
    """Raise a UsageError where an action is none, lacks what it needs, or has what it cannot use."""
    if asked.action not in ON_BREAKS:
        raise _wrong("--action", "no such action", f"one of {', '.join(ON_BREAKS)}", Code.NOTHING_FOUND)
    if many and (asked.ref or asked.action in OF_ONE):
        raise _wrong("--cause", "what fits one break only", "no --ref, and another action than match or decline")
    if asked.accept and asked.ref:
        raise _wrong("--accept", "a reference beside it", "one of the two")
    needed = {
        "identify": ("--ref", asked.ref or asked.accept or many, "the reference of our request, or --accept"),
        "match": ("--ref", asked.ref, "references of ours apart by blanks"),
        "decline": ("--ref", asked.ref, "the reference of a candidate"),
        "assign": ("--owner", (asked.owner or "").strip(), "who sees to it"),
        "wait": ("--until", asked.until, "a date after today"),
    }
    option, given, expected = needed.get(asked.action, ("", True, ""))
    if not given:
        raise _wrong(option, f"{asked.action} without it", expected)
    day = parse_day("--until", asked.until)
    if asked.action == "wait" and day is not None and day <= _today(desk):
        raise _wrong("--until", "a day that has begun", expected)


def _today(desk: Desk) -> date:
    return local_date(desk.now(), desk.settings.zone)


def _wrong(where: str, found: str, expected: str, code: Code = Code.DECISION_UNFIT) -> UsageError:
    return UsageError(code, where, found=found, expected=expected, remedy="See the how-to on decisions")


def _named(break_ids: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"subject": break_ids, "candidate": [None] * len(break_ids)}, schema=_CHOSEN)


def _of_cause(desk: Desk, book: Lookups, cause: Cause, partner: str | None) -> pl.DataFrame:
    """The breaks of a cause that are open now: _CHOSEN. NOTHING_FOUND where there are none."""
    at = known(book, _today(desk))
    told = break_causes.of_breaks(book, at, partner, feeds=desk.feeds(), of_gl=of_gl(desk, book, at))
    of_cause = told.filter(pl.col("cause") == cause.value)
    if of_cause.is_empty():
        raise _wrong(
            "--cause", "no open break of that cause", "one of counterfoil breaks --by cause", Code.NOTHING_FOUND
        )
    refs = book.refs(of_cause["candidate_item_id"].drop_nulls())
    return of_cause.join(refs, left_on="candidate_item_id", right_on="item_id", how="left").select(
        subject="break_id", candidate="ref"
    )


def _rows(desk: Desk, book: Lookups, chosen: pl.DataFrame, asked: _Asked) -> pl.DataFrame:
    """A decision each: action, subject, ref, owner, until; blank where the action has no use for it."""
    text = {"owner": asked.owner or "", "until": asked.until or ""}
    refs = pl.lit(asked.ref) if asked.ref else pl.col("candidate")
    if asked.accept:
        only = suggested.suggested(book, desk.reader.feeds()).filter("only").select(subject="break_id", only="our_ref")
        chosen = chosen.join(only, on="subject", how="left", maintain_order="left")
        refs = pl.col("only")
    with_ref = refs if asked.action in WITH_REF else pl.lit("")
    rows = chosen.select(
        "subject", action=pl.lit(asked.action), ref=with_ref, **{name: pl.lit(value) for name, value in text.items()}
    )
    missing = rows["ref"].null_count()
    if missing:
        raise _wrong(
            "--accept" if asked.accept else "--cause",
            f"{missing} of {rows.height} breaks without exactly one request that may be theirs",
            "one candidate for each that no other answer has; see counterfoil suggestions",
        )
    return rows


def _stated(book: Lookups, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the points that each moves as the book is now; null where the action does not fit."""
    return rows.with_columns(points=decisions.moves(book, rows))


def _require_fit(rows: pl.DataFrame, action: str) -> None:
    unfit = rows["points"].null_count()
    if unfit:
        raise UsageError(
            Code.DECISION_UNFIT,
            f"break {rows['subject'][0]}" if rows.height == 1 else f"{rows.height} breaks",
            found=f"{unfit} of {rows.height} that {action} does not fit",
            expected="open breaks of counterfoil breaks, and an action that their requests and answers allow",
            remedy="See why with --dry-run and counterfoil explain, then choose another action; nothing was decided",
        )


def _told(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """For a file; one that does not fit states no points, and is refused with the reason."""
    return rows.with_columns(pl.col("points").fill_null(0)).to_dicts()
