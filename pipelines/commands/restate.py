"""``counterfoil restate``: why figures that were known at one time are others at a later one."""

from typing import Annotated

import polars as pl
import typer

from counterfoil.clock import utc_text
from counterfoil.errors import Code, UsageError
from counterfoil.ledger.known import moment
from counterfoil.steps.recall import restated
from pipelines.commands.common import (
    Format,
    FormatOption,
    HomeOption,
    PeriodOption,
    emit_frame,
    emit_json,
    parse_instant,
    parse_reach,
)
from pipelines.wiring import desk_at


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("restate")(restate)


def restate(
    since: Annotated[str, typer.Option("--from", help="What was known then: an instant with its offset, or a date.")],
    until: Annotated[str | None, typer.Option("--to", help="The later time; now by default.")] = None,
    period: PeriodOption = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Entries whose value date is not after this date.")
    ] = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Explain every change of figures between two knowledge times by file, correction, decision or rule version."""
    reach = parse_reach(as_of, period)
    with desk_at(home) as desk, desk.book.reading() as book:
        early = parse_instant("--from", since, desk.settings.zone)
        late = parse_instant("--to", until, desk.settings.zone) if until is not None else desk.now()
        if late < early:
            raise UsageError(
                Code.DATE_OUTSIDE,
                "--from",
                found="a time after --to",
                expected="the earlier time",
                remedy="Exchange them",
            )
        known, told = (moment(book, at) for at in (early, late))
        found = restated(desk, book, known, told, reach)
    parts = found.parts.with_columns(posted_at=pl.col("posted_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
    if output is Format.JSON:
        emit_json(
            {
                "from": utc_text(early),
                "to": utc_text(late),
                "from_posting": known.n,
                "to_posting": told.n,
                "period": period,
                "as_of": as_of,
                "figures": found.figures.to_dicts(),
                "parts": parts.to_dicts(),
            }
        )
        return
    emit_frame(found.figures, output, title=f"Figures: posting {known.n} before, posting {told.n} after")
    emit_frame(parts.drop("unit", "posted_at"), output, title="What changed them")
