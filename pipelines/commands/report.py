"""``counterfoil report``: (re)make a day's reconciliation report."""

from typing import Annotated

import typer

from counterfoil.clock import local_date
from counterfoil.steps.publish import publish_report
from pipelines.commands.common import Format, FormatOption, HomeOption, emit_json, parse_day, progress, stdout
from pipelines.wiring import desk_at


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("report")(report)


def report(
    date: Annotated[str | None, typer.Option("--date", help="Business date; today in the programme's zone.")] = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make a day's report as of the last posting; after later postings it is a new version, marked restated."""
    with progress() as say, desk_at(home, progress=say) as desk:
        day = parse_day(date) or local_date(desk.now(), desk.settings.zone)
        written = publish_report(desk, day)
    if output is Format.JSON:
        emit_json({"date": day, "version": written.version, "posting": written.posting, "page": str(written.page)})
    else:
        stdout.print(f"Version {written.version} at posting {written.posting}: {written.page}", soft_wrap=True)
