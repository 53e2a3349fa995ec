"""The reading verbs: what is configured, what came, what stands open, what an account holds. They change nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from counterfoil.clock import local_date, utc_text
from counterfoil.errors import Code, UsageError
from counterfoil.ledger import break_causes, extracts, open_breaks
from counterfoil.ledger.expiry_buckets import balances_by_expiry
from counterfoil.ledger.known import Moment, known, moment
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.status import day_status
from counterfoil.settings import load_settings
from counterfoil.steps.desk import Desk
from counterfoil.steps.explain import of_gl
from counterfoil.steps.recall import chart_at
from parsers.registry import LayoutReader
from pipelines.commands.common import (
    Format,
    FormatOption,
    HomeOption,
    KnownAtOption,
    PartnerOption,
    PeriodOption,
    emit_frame,
    emit_json,
    emit_rows,
    parse_day,
    parse_instant,
    parse_reach,
    require_known,
    require_partner,
    with_money,
)
from pipelines.wiring import desk_at

AsOfOption = Annotated[str | None, typer.Option("--as-of", help="A date; now by default.")]
ValuedOption = Annotated[str | None, typer.Option("--as-of", help="Entries whose value date is not after this date.")]
DateOption = Annotated[str | None, typer.Option("--date", help="A business date; today by default.")]


SHOWN_OF_BREAKS = (
    "break_id", "code", "title", "severity", "partner", "our_ref", "their_ref", "difference", "age_days", "state",
    "owner", "next_step",
)  # fmt: skip
SHOWN_OF_CAUSES = ("cause", "change", "partner", "breaks", "points", "oldest_days", "weight", "codes", "example")
"""Columns that people see, and those of money where there is any; machines get all."""


class By(StrEnum):
    """What breaks are put together by."""

    CAUSE = "cause"


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for name, verb in (
        ("feeds", feeds),
        ("files", files),
        ("status", status),
        ("breaks", show_breaks),
        ("balances", show_balances),
        ("trial-balance", trial_balance),
    ):
        app.command(name)(verb)


def feeds(home: HomeOption = None, output: FormatOption = Format.TABLE) -> None:
    """What is configured: each feed, where its files come from and what happens to them there."""
    rows = [
        {
            "feed": feed.feed,
            "version": feed.version,
            "kind": feed.kind.value,
            "partner": feed.partner,
            "connection": feed.arrival.connection,
            "folder": feed.arrival.folder,
            "ready": feed.arrival.ready,
            "afterwards": feed.arrival.afterwards,
            "cutoff": f"{feed.cutoff:%H:%M} {feed.zone}",
        }
        for feed in LayoutReader(load_settings(home).data).feeds()
    ]
    emit_frame(pl.DataFrame(rows), output, title="Feeds")


def files(
    date: DateOption = None,
    feed: Annotated[str | None, typer.Option("--feed", help="Only this feed.")] = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """What arrived, with its verdict on arrival and what became of it."""
    with desk_at(home) as desk:
        require_known("--feed", [feed], (one.feed for one in desk.reader.feeds()))
        known = desk.index.deliveries(feed=feed, day=parse_day("--date", date))
        outcomes = desk.index.latest_outcomes(one.order for one in known)
        rows = [
            {
                "delivery": one.order,
                "feed": one.feed,
                "file": one.name,
                "identity": one.identity,
                "business_date": one.business_date,
                "received": utc_text(one.received_at),
                "bytes": one.size,
                "verdict": str(one.verdict),
                "outcome": str(outcomes[one.order].state) if one.order in outcomes else None,
                "posting": outcomes[one.order].n if one.order in outcomes else None,
                "code": outcomes[one.order].code if one.order in outcomes else one.code,
                "message": outcomes[one.order].message if one.order in outcomes else one.message,
            }
            for one in known
        ]
    if output is Format.JSON:
        emit_json(rows)
        return
    shown = ("delivery", "feed", "file", "business_date", "verdict", "outcome", "posting", "code")
    emit_rows([[row[key] for key in shown] for row in rows], shown, title="Files")


def status(
    date: DateOption = None,
    known_at: KnownAtOption = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """The day at a glance: each feed, what it brought and what is open."""
    with _opened(home, known_at) as (desk, book, then):
        day = _day(desk, "--date", date, then)
        frame = day_status(book, desk.index, desk.feeds(), day, then)
    emit_frame(frame, output, title=f"Status of {day}")


def show_breaks(
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    partner: PartnerOption = None,
    by: Annotated[By | None, typer.Option("--by", help="Equal causes as one line, heaviest first.")] = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """The open breaks, oldest first, each with its age, severity and next step; or what would clear them."""
    with _opened(home, known_at) as (desk, book, then):
        require_partner(desk, partner)
        day = _day(desk, "--as-of", as_of, then)
        at = known(book, day, then.n)
        if by is By.CAUSE:
            frame = break_causes.grouped(book, at, partner, feeds=desk.feeds(), of_gl=of_gl(desk, book, at))
        else:
            frame = open_breaks.open_breaks(book, at, partner)
    if output is Format.TABLE:
        frame = with_money(frame, SHOWN_OF_CAUSES if by is By.CAUSE else SHOWN_OF_BREAKS)
    emit_frame(frame, output, title=f"{'What would clear the open breaks' if by else 'Open breaks'} on {day}")


def show_balances(
    as_of: ValuedOption = None,
    period: PeriodOption = None,
    known_at: KnownAtOption = None,
    partner: PartnerOption = None,
    members: Annotated[bool, typer.Option("--members", help="Each member's account, its number masked.")] = False,
    by_expiry: Annotated[bool, typer.Option("--by-expiry", help="Members' points by when they expire, now.")] = False,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Balances by account, in points; a credit, what the programme owes, is positive."""
    if by_expiry:
        _require_now(as_of, period, known_at)
        with desk_at(home) as desk, desk.book.reading() as book:
            require_partner(desk, partner)
            day = local_date(desk.now(), desk.settings.zone)
            frame = balances_by_expiry(book, day, partner, each_member=members)
        emit_frame(frame, output, title=f"Members' points by expiry on {day}")
        return
    reach = parse_reach(as_of, period)
    with _opened(home, known_at) as (desk, book, then):
        require_partner(desk, partner)
        frame = extracts.balances(book, reach.at(then.n), partner, each_member=members)
    emit_frame(frame, output, title="Balances")


def _require_now(*dates: str | None) -> None:
    """What is left of a lot is known of today only."""
    if any(one is not None for one in dates):
        raise UsageError(
            Code.DATE_OUTSIDE,
            "--by-expiry",
            found="another day than today",
            expected="no --as-of, --period or --known-at beside it",
            remedy="Leave the dates out",
        )


def trial_balance(
    as_of: ValuedOption = None,
    period: PeriodOption = None,
    known_at: KnownAtOption = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """The trial balance in points, by general-ledger account; as known then, by the chart that was in force then."""
    reach = parse_reach(as_of, period)
    with _opened(home, known_at) as (desk, book, then):
        frame = extracts.trial_balance(book, reach.at(then.n), chart=chart_at(desk, then))
    emit_frame(frame, output, title="Trial balance")


@contextmanager
def _opened(home: Path | None, known_at: str | None) -> Iterator[tuple[Desk, Lookups, Moment]]:
    """The desk, the book to read, and the moment that is asked for."""
    with desk_at(home) as desk, desk.book.reading() as book:
        at = parse_instant("--known-at", known_at, desk.settings.zone) if known_at is not None else None
        yield desk, book, moment(book, at)


def _day(desk: Desk, option: str, text: str | None, then: Moment) -> date:
    return parse_day(option, text) or local_date(then.at or desk.now(), desk.settings.zone)
