"""The partner scorecard as people and machines read it: tables of the report and of a terminal, and JSON.

Here: which figures stand where, and in what form. Not here: the figures (``reconcile.scoring``), the reads behind them
(``ledger.scorecard``) or the chart of the trend (``trends``).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

import polars as pl

from counterfoil.ledger.scorecard import Scorecard
from counterfoil.reconcile.scoring import LINES, MONTHS, OF, THIS_MONTH, Figure
from counterfoil.reports.facts import ReportFacts
from counterfoil.reports.tables import (
    Cell,
    Column,
    Row,
    Table,
    amount,
    count,
    day,
    grouped,
    make_table,
    money,
    ordinal,
    percent,
    points,
    text,
    words,
)

NONE: Final = "none"

NOTE: Final = (
    "How each partner keeps its word: this month beside the three before it, the last 30 days beside the 30 before "
    "them. Only what a partner sends counts against it, and only breaks that it must act on. Rates are rounded down, "
    "above their fraction; where there is nothing to be a part of, there is none."
)

_BY_NAME: Final[dict[str, Figure]] = {line.name: line for line in LINES}

AMOUNTS: Final = ("break_age_median", "break_age_oldest", "points_at_risk", "money_at_risk", "charges_at_risk")
"""Figures whose amount says more than its rate. Days, points and money each have a table of their own."""


@dataclass(frozen=True)
class Line:
    """One figure of a partner, or a part of one, in every window: ``of`` is what it is a part of, ``cells`` its value
    and its fraction (``80.00 %``, ``4 of 5``); of a part both are one (``8 (0.57 %)``)."""

    partner: str
    figure: str
    part: str
    label: str
    of: str
    cells: tuple[tuple[str, str], ...]

    @property
    def group(self) -> str:
        """The heading below which it stands."""
        return _BY_NAME[self.figure].group


def lines(figures: pl.DataFrame, currency: str) -> list[Line]:
    """The lines of all partners, in order. A part that was nothing in any window is left out."""
    by_line = figures.group_by("partner", "figure", "part", "label", maintain_order=True).agg(
        pl.struct("figure", "part", "numerator", "denominator", "basis_points").alias("cells"),
        some=(pl.col("numerator") != 0).any() | (pl.col("part").first() == ""),
    )
    return [
        Line(
            partner=row["partner"],
            figure=row["figure"],
            part=row["part"],
            label=row["label"],
            of="" if row["part"] else f"of {OF[_BY_NAME[row['figure']].of]}",
            cells=tuple(_shown(cell, currency) for cell in row["cells"]),
        )
        for row in by_line.filter("some").iter_rows(named=True)
    ]


def headings(figures: pl.DataFrame) -> dict[str, str]:
    """What each window is called: ``2026-10``, ``2026-11 to 20``, ``last 30 days``."""
    first = figures.unique("window", keep="first", maintain_order=True)
    return {
        name: f"{begin:%Y-%m} to {end:%d}" if name == THIS_MONTH
        else f"{begin:%Y-%m}" if name in MONTHS else name.replace("_", " ")
        for name, begin, end in first.select("window", "first", "last").iter_rows()
    }  # fmt: skip


def tables(facts: ReportFacts) -> tuple[Table, ...]:
    """The tables of section 14: rates by partner, amounts over all, then the rows that this month's are sums of."""
    currency = facts.cover["currency"]
    found = lines(facts.scorecard, currency)
    names = [heading.capitalize() for heading in headings(facts.scorecard).values()]
    rates = [line for line in found if line.figure not in AMOUNTS]
    grids = [
        _grid(partner, list(own), names, heading=lambda line: line.group)
        for partner, own in groupby(rates, key=lambda line: line.partner)
    ]
    grids += [
        _grid(caption, [line for line in found if line.figure in figures], names, heading=lambda line: line.partner)
        for caption, figures in (
            ("Age of open breaks, in days", ("break_age_median", "break_age_oldest")),
            ("Points at stake in open breaks", ("points_at_risk",)),
            (f"Value of the points at stake, and charges in dispute, {currency}", ("money_at_risk", "charges_at_risk")),
        )
    ]
    every = [*grids, *_lists(facts, currency)]
    return tuple(replace(table, caption=f"14.{number} {table.caption}") for number, table in enumerate(every, 1))


def _grid(caption: str, found: list[Line], names: list[str], *, heading: Callable[[Line], str]) -> Table:
    """A row a figure, a column a window, below headings; parts below their whole."""
    rows = []
    for title, members in groupby(found, key=heading):
        rows.append(Row((Cell((title,)), *(Cell(("",)) for _ in names)), lead=True))
        for line in members:
            label = Cell((line.label,), "part") if line.part else Cell((line.label, line.of))
            rows.append(Row((label, *(_cell(cell) for cell in line.cells))))
    headed = tuple(Cell((name,), "n") for name in names)
    return Table(caption, "", (Cell(("Figure",)), *headed), tuple(rows), None, 0, "scorecard.csv", "dense")


def _cell(cell: tuple[str, str]) -> Cell:
    return Cell(tuple(line for line in cell if line), "n" if cell[0] != NONE else "n nothing")


def _lists(facts: ReportFacts, currency: str) -> tuple[Table, ...]:
    files, month = facts.scorecard_files, facts.cover["business_date"][:7]
    again = ("replay", "correction", "renamed_replay")
    off = (pl.col("listed_as") == "expected") & (pl.col("state") != "on_time")
    twice = ((pl.col("listed_as") == "received") & pl.col("state").is_in(again)) | (
        pl.col("state") == "out_of_sequence"
    )
    answers = (
        facts.scorecard_records.filter((pl.col("side") == "theirs") & (pl.col("day").dt.strftime("%Y-%m") == month))
        .group_by("partner", "feed", "found", "became", "reason")
        .agg(pl.col("count", "points", "tolerated").sum())
        .sort("partner", "feed", "found", "became", "reason")
    )
    open_now = (
        facts.scorecard_breaks.filter(pl.col("as_of").dt.to_string() == facts.cover["business_date"])
        .group_by("partner", "code", "title")
        .agg(
            pl.col("count", "points", "charged_minor").sum(),
            oldest=pl.col("age_days").max(),
            minor=pl.when(pl.col("minor").is_not_null().any()).then(pl.col("minor").sum()),
        )
        .sort("partner", "code")
    )
    return (
        make_table("Files that were due and not on time", files.filter(off), [
            text("Partner", "partner"), text("Feed", "feed"), day("Business day", "day"), words("State", "state"),
            Column("File", ("file",), "file"), day("Due", "due_at"), day("Received", "received_at"),
        ], note="Since the first of the months compared. Refused: it came, and nothing of it is in the book.",
            csv="scorecard_files.csv"),
        make_table("Files sent again, restated or out of sequence", files.filter(twice), [
            text("Partner", "partner"), text("Feed", "feed"), day("Programme day", "day"), words("State", "state"),
            Column("File", ("file",), "file"), day("Received", "received_at"), ordinal("Number due", "number_due"),
            ordinal("Number", "number"),
        ], note="Since the first of the months compared.", csv="scorecard_files.csv"),
        make_table(f"Answers of {month}", answers, [
            text("Partner", "partner"), text("Feed", "feed"), words("Found", "found"), words("Became", "became"),
            text("Reason", "reason"), count("Answers", "count"), points("Points", "points"),
            points("Tolerated", "tolerated"),
        ], csv="scorecard_records.csv"),
        make_table("Open breaks that a partner must act on", open_now, [
            text("Partner", "partner"), text("Type", "code"), text("", "title"), count("Breaks", "count"),
            count("Oldest, days", "oldest", total=False), points("Points at stake", "points"),
            money(f"Charges, {currency}", "charged_minor", currency=currency, total=True),
            money(f"Value, {currency}", "minor", currency=currency, total=True),
        ], note="The partner's dispute pack has each of them.", csv="scorecard_breaks.csv"),
    )  # fmt: skip


def as_dict(card: Scorecard, *, posting: int, unit: str, currency: str) -> dict[str, Any]:
    """The scorecard as JSON values. Rates are whole basis points, rounded down; null where there is no denominator.

    Keys: as_of, posting, unit, currency, windows (window, first, last), partners (partner, figures, and files, records
    and breaks: the rows of ``reconcile.scoring`` that they are sums of); of a figure: figure, part, label, unit, of,
    trend (window, numerator, denominator, basis_points).
    """
    return {
        "as_of": card.day,
        "posting": posting,
        "unit": unit,
        "currency": currency,
        "windows": [{"window": one.name, "first": one.first, "last": one.last} for one in card.windows],
        "partners": [_partner(card.of(partner), partner) for partner in card.partners],
    }


def _partner(card: Scorecard, partner: str) -> dict[str, Any]:
    lists = {"files": card.files, "records": card.records, "breaks": card.breaks}
    cells = ("window", "numerator", "denominator", "basis_points")
    said = ("figure", "part", "label", "unit")
    by_figure = card.figures.group_by(said, maintain_order=True).agg(trend=pl.struct(cells))
    return {
        "partner": partner,
        "figures": [
            {**{key: row[key] for key in said}, "of": _BY_NAME[row["figure"]].of, "trend": row["trend"]}
            for row in by_figure.iter_rows(named=True)
        ],
        **{name: frame.drop("partner").to_dicts() for name, frame in lists.items()},
    }


def _shown(cell: dict[str, Any], currency: str) -> tuple[str, str]:
    """``80.00 %`` and ``4 of 5``; where the amount says more, ``1,200`` and ``0.74 % of 162,000``; of a part on one
    line, for what it is a part of stands above it."""
    unit = _BY_NAME[cell["figure"]].unit
    top, below, rate = cell["numerator"], cell["denominator"], percent(cell["basis_points"])

    def figure(number: int) -> str:
        return amount(number, currency) if unit == "minor" else grouped(number)

    if cell["part"] and cell["figure"] in AMOUNTS:
        return figure(top), ""
    if cell["part"]:
        return f"{figure(top)} ({rate})" if below else NONE, ""
    if cell["figure"] in AMOUNTS:
        share = "" if unit == "days" else f"{rate} "
        return (NONE, "") if top is None else (figure(top), f"{share}of {figure(below)}" if below else f"of {NONE}")
    if below:
        return rate, f"{figure(top)} of {figure(below)}"
    return NONE, f"{figure(top)} of {NONE}" if top else ""
