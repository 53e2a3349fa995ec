"""``counterfoil scorecard`` and ``counterfoil dispute``: how partners keep their word, and what one must act on."""

from pathlib import Path
from typing import Annotated

import typer

from counterfoil.clock import local_date
from counterfoil.ledger.known import moment
from counterfoil.ledger.scorecard import scorecard
from counterfoil.reports.scorecard import as_dict, headings, lines
from counterfoil.steps.dispute import WrittenPack, require_partner, write_pack
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
    with_money,
)
from pipelines.wiring import desk_at

AsOfOption = Annotated[str | None, typer.Option("--as-of", help="The end of this programme day; today by default.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("scorecard")(show_scorecard)
    app.command("dispute")(dispute)


def show_scorecard(
    partner: PartnerOption = None,
    as_of: AsOfOption = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """How well each partner keeps its word: this month beside the last three, and the last 30 days beside those before.

    JSON adds every denominator, and the rows that the figures are sums of.
    """
    with desk_at(home) as desk, desk.book.reading() as book:
        if partner is not None:
            require_partner(desk.feeds(), partner)
        day = parse_day("--as-of", as_of) or local_date(desk.now(), desk.settings.zone)
        now, currency, unit = moment(book, None), desk.settings.currency, desk.settings.unit
        card = scorecard(book, desk.index, desk.feeds(), day=day, moment=now, currency=currency)
    card = card if partner is None else card.of(partner)
    if output is Format.JSON:
        emit_json(as_dict(card, posting=now.n, unit=unit, currency=currency))
        return
    first, *others = headings(card.figures).values()
    found = lines(card.figures, currency)
    for name in card.partners:
        rows = [
            (
                "" if line.part else line.group,
                f"  {line.label}" if line.part else line.label,
                *line.cells[0],
                *(value for value, _ in line.cells[1:]),
            )
            for line in found
            if line.partner == name
        ]
        emit_rows(
            rows,
            ("about", "figure", first, "fraction", *others),
            title=f"{name} on {day}",
            numeric=(False, False, *[True] * (2 + len(others))),
        )


def dispute(
    partner: Annotated[str, typer.Option("--partner", help="The partner that the pack is for.")],
    as_of: AsOfOption = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Where to write it; else out/disputes/<partner>/<date>.csv in the home.")
    ] = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Write what a partner must act on, in its own terms, as a CSV file that no other account can read.

    It names members as the partner wrote them: hand it to that partner, and to nobody else.
    """
    with desk_at(home) as desk:
        day = parse_day("--as-of", as_of) or local_date(desk.now(), desk.settings.zone)
        written = write_pack(desk, partner, day, to)
    if output is Format.JSON:
        emit_json(_told(written))
        return
    shown = with_money(written.asked, ("question", "code", "ask", "breaks", "points"))
    emit_frame(shown, output, title=f"Asked of {partner} on {day}")
    stdout.print(f"{written.asked['breaks'].sum():,} breaks: {written.path}", soft_wrap=True)


def _told(written: WrittenPack) -> dict[str, object]:
    return {
        "partner": written.partner,
        "as_of": written.day,
        "file": str(written.path),
        "breaks": written.asked["breaks"].sum(),
        "points": written.asked["points"].sum(),
        "questions": written.asked.to_dicts(),
    }
