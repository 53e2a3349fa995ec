"""The reading verbs: what is configured, what came, what stands open, what an account holds. They change nothing."""

from datetime import date
from typing import Annotated

import polars as pl
import typer

from counterfoil.clock import local_date, utc_text
from counterfoil.ledger import extracts, open_breaks
from counterfoil.ledger.status import day_status
from counterfoil.ledger.story import Story, story
from counterfoil.steps.desk import Desk
from pipelines.commands.common import (
    Format,
    FormatOption,
    HomeOption,
    PartnerOption,
    emit_frame,
    emit_json,
    emit_rows,
    parse_day,
    stdout,
)
from pipelines.wiring import desk_at

AsOfOption = Annotated[str | None, typer.Option("--as-of", help="A date; now by default.")]
DateOption = Annotated[str | None, typer.Option("--date", help="A business date; today by default.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for name, verb in (
        ("feeds", feeds),
        ("files", files),
        ("status", status),
        ("breaks", show_breaks),
        ("explain", explain),
        ("balances", show_balances),
        ("trial-balance", trial_balance),
    ):
        app.command(name)(verb)


def feeds(home: HomeOption = None, output: FormatOption = Format.TABLE) -> None:
    """What is configured: each feed, where its files come from and what happens to them there."""
    with desk_at(home) as desk:
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
            for feed in desk.reader.feeds()
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
        known = desk.index.deliveries(feed=feed, day=parse_day(date))
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
                "code": (outcomes[one.order].code if one.order in outcomes else None) or one.code,
                "message": (outcomes[one.order].message if one.order in outcomes else None) or one.message,
            }
            for one in known
        ]
    if output is Format.JSON:
        emit_json(rows)
        return
    shown = ("delivery", "feed", "file", "business_date", "verdict", "outcome", "posting", "code")
    emit_rows([[row[key] for key in shown] for row in rows], shown, title="Files")


def status(date: DateOption = None, home: HomeOption = None, output: FormatOption = Format.TABLE) -> None:
    """The day at a glance: each feed, what it brought and what is open."""
    with desk_at(home) as desk, desk.book.reading() as book:
        frame = day_status(book, desk.index, desk.feeds(), _day(desk, date))
    emit_frame(frame, output, title=f"Status of {_day(desk, date)}")


def show_breaks(
    as_of: AsOfOption = None,
    partner: PartnerOption = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """The open breaks, oldest first, each with its age, severity and next step."""
    with desk_at(home) as desk, desk.book.reading() as book:
        day = _day(desk, as_of)
        frame = open_breaks.open_breaks(book, day, partner)
    if output is Format.TABLE:
        shown = ["break_id", "code", "title", "severity", "partner", "our_ref", "their_ref", "difference", "age_days"]
        frame = frame.select(*shown, "next_step")
    emit_frame(frame, output, title=f"Open breaks on {day}")


def explain(
    ref: Annotated[str, typer.Argument(help="A reference, as the partner knows it.")],
    partner: PartnerOption = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """One request's whole story: file, line, pass, transfers, breaks, CRM batches and the heads that seal it."""
    with desk_at(home) as desk, desk.book.reading() as book:
        ranges = [known for target in desk.crm_targets for known in desk.index.ranges(target.name)]
        told = story(book, ref, partner, ranges=ranges)
    if output is Format.JSON:
        emit_json(told.as_dict())
        return
    _tell(told)


def show_balances(
    as_of: AsOfOption = None,
    partner: PartnerOption = None,
    members: Annotated[bool, typer.Option("--members", help="Each member's account, its number masked.")] = False,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Balances by account, in points; a credit, what the programme owes, is positive."""
    with desk_at(home) as desk, desk.book.reading() as book:
        frame = extracts.balances(book, parse_day(as_of), partner, each_member=members)
    emit_frame(frame, output, title="Balances")


def trial_balance(as_of: AsOfOption = None, home: HomeOption = None, output: FormatOption = Format.TABLE) -> None:
    """The trial balance in points, by general-ledger account."""
    with desk_at(home) as desk, desk.book.reading() as book:
        frame = extracts.trial_balance(book, parse_day(as_of), chart=desk.rulebook.chart)
    emit_frame(frame, output, title="Trial balance")


def _day(desk: Desk, text: str | None) -> date:
    return parse_day(text) or local_date(desk.now(), desk.settings.zone)


def _tell(told: Story) -> None:
    """A story for people, in the order in which it happened."""
    for item in told.items:
        stdout.print(
            f"[bold]{told.ref}[/bold] {item.kind.replace('_', ' ')} ({item.side}) of {item.points:,} points at "
            f"{item.partner}: {item.state}; member {item.member or 'not named'}, due {item.due_date}",
            soft_wrap=True,
        )
    rows = [
        (
            record.posted_at,
            record.posting,
            f"{record.file}:{record.line}",
            record.event.replace("_", " "),
            record.match_pass,
            record.disposition.replace("_", " "),
            record.points,
            record.reason,
        )
        for record in told.records
    ]
    emit_rows(
        rows,
        ("posted at", "posting", "file and line", "event", "pass", "disposition", "points", "reason"),
        title="What happened",
    )
    legs = [
        (record.posting, transfer.event.replace("_", " "), transfer.value_date, leg.account, leg.partner, leg.points)
        for record in told.records
        for transfer in record.transfers
        for leg in transfer.legs
    ]
    emit_rows(
        legs,
        ("posting", "event", "value date", "account", "partner", "points"),
        title="Transfers",
        numeric=(True, False, False, False, False, True),
    )
    emit_rows(
        [(one.break_id, one.code, one.title, one.opened_on, one.cleared_on) for one in told.breaks],
        ("break", "code", "title", "opened", "cleared"),
        title="Breaks",
    )
    emit_rows(
        [(one.target, one.batch_id, one.state, ", ".join(map(str, one.postings))) for one in told.batches],
        ("target", "batch", "state", "postings"),
        title="CRM batches",
    )
    emit_rows(
        [(one.posting, one.posted_at, one.actor, one.software, one.chain_head[:16]) for one in told.postings],
        ("posting", "posted at", "actor", "software", "chain head"),
        title="Sealed by",
    )
