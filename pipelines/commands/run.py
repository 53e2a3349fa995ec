"""``counterfoil run``: the nightly job for a day, without the UI."""

from typing import Annotated

import typer

from counterfoil import journey
from counterfoil.clock import local_date
from counterfoil.settings import load_settings
from pipelines.commands import mail
from pipelines.commands.common import (
    Format,
    FormatOption,
    HomeOption,
    emit_json,
    emit_rows,
    parse_day,
    progress,
    require_known,
    stderr,
    stdout,
)
from pipelines.wiring import open_desk


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("run")(run)


def run(
    date: Annotated[str | None, typer.Option("--date", help="Business date; today in the programme's zone.")] = None,
    feed: Annotated[list[str] | None, typer.Option("--feed", help="Only this feed; the day stays open.")] = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Take files in, reconcile and post them, write CRM batches; close the day with journal and report."""
    with progress() as say, open_desk(load_settings(home), progress=say) as desk:
        day = parse_day("--date", date) or local_date(desk.now(), desk.settings.zone)
        require_known("--feed", feed or [], (one.feed for one in desk.reader.feeds()))
        night = journey.run(desk, day, feeds=feed or None)
    if output is Format.JSON:
        emit_json(summary(night))
    else:
        show(night)
    raise typer.Exit(night.exit_status)


def summary(night: journey.Night) -> dict[str, object]:
    """What a run did, with stable keys."""
    return {
        "received": len(night.delivered),
        "not_ready": len(night.waiting),
        "postings": [posted.n for posted in night.postings],
        "files": [
            {
                "delivery": delivery.order,
                "feed": delivery.feed,
                "name": delivery.name,
                "outcome": outcome.state,
                "posting": outcome.n,
                "code": outcome.code,
                "message": outcome.message,
            }
            for delivery, outcome in night.outcomes
        ],
        "crm_batches": [
            {
                "target": written.batch.target,
                "batch": written.batch.batch_id,
                "from": written.batch.from_n,
                "to": written.batch.to_n,
                "rows": sum(part.rows for part in written.parts),
            }
            for written in night.batches
        ],
        "statements": night.statements,
        "letters": {key: count for key, count in mail.summary(night.mailed).items() if key != "failures"},
        "journal": night.journal.journal_id if night.journal else None,
        "report": str(night.report.page) if night.report else None,
        "failures": [{"who": who, "code": str(error.code), "message": str(error)} for who, error in night.failures],
    }


def show(night: journey.Night) -> None:
    """What a run did, for people."""
    emit_rows(
        [
            (delivery.feed, delivery.name, delivery.verdict, outcome.state, outcome.n, outcome.code)
            for delivery, outcome in night.outcomes
        ],
        ("feed", "file", "verdict", "outcome", "posting", "code"),
        title="Files",
    )
    for written in night.batches:
        rows = sum(part.rows for part in written.parts)
        stdout.print(f"CRM batch {written.batch.batch_id} for {written.batch.target}: {rows:,} rows")
    mail.show(night.mailed)
    if night.journal:
        stdout.print(f"Journal {night.journal.journal_id}: postings {night.journal.from_n + 1}-{night.journal.to_n}")
    if night.report:
        stdout.print(f"Report: {night.report.page}", soft_wrap=True)
    for statement in night.statements:
        stdout.print(f"Statement put: {statement}")
    for delivery, outcome in night.refused:
        stderr.print(f"{delivery.name}: {outcome.message}", soft_wrap=True)
    named = {delivery.order for delivery, _ in night.refused}
    held = {delivery.order: delivery for delivery in (*night.unsettled, *night.standing)}
    for order, delivery in sorted(held.items()):
        if delivery.message and order not in named:
            stderr.print(delivery.message, soft_wrap=True)
    for _, error in night.failures:
        stderr.print(str(error), style="red", soft_wrap=True)
