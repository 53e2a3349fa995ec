"""``counterfoil report``: (re)make a day's reconciliation report."""

from typing import Annotated

import typer

from counterfoil.clock import local_date, utc_text
from counterfoil.steps.publish import publish_report
from pipelines.commands.common import (
    Format,
    FormatOption,
    HomeOption,
    KnownAtOption,
    emit_json,
    parse_day,
    parse_instant,
    progress,
    stdout,
)
from pipelines.wiring import desk_at


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("report")(report)


def report(
    date: Annotated[str | None, typer.Option("--date", help="Business date; today in the programme's zone.")] = None,
    known_at: KnownAtOption = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make a day's report as of the last posting; after later postings it is a new version, marked restated.

    With --known-at it is the report as it would have been made then, from what was posted by then.
    """
    with progress() as say, desk_at(home, progress=say) as desk:
        then = parse_instant("--known-at", known_at, desk.settings.zone) if known_at is not None else None
        day = parse_day("--date", date) or local_date(then or desk.now(), desk.settings.zone)
        written = publish_report(desk, day, then)
    if output is Format.JSON:
        facts = {"date": day, "version": written.version, "posting": written.posting, "page": str(written.page)}
        emit_json(facts | ({"known_at": utc_text(then)} if then else {}))
    else:
        stdout.print(f"Version {written.version} at posting {written.posting}: {written.page}", soft_wrap=True)
