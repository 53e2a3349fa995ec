"""Tables as people read them: which columns, in what form, with what totals; ready for the template.

Here: formatting and the small model of a table. Not here: which tables a report has (``sections``), or HTML.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

import polars as pl

from counterfoil.money import format_minor

ROWS_SHOWN_MAX: Final = 500
"""Rows of one table on the page: about ten printed sheets. The CSV beside it has all."""

HASH_LETTERS: Final = 12
HASH_WHOLE_MAX: Final = 20
"""Hashes up to this are shown whole, longer ones by their beginning; the CSV has them whole."""
NOTHING: Final = "–"
MINUS: Final = "\N{MINUS SIGN}"

Kind = Literal[
    "text", "words", "file", "wordy", "ordinal", "count", "points", "money", "date", "hash", "severity", "truth"
]
"""``words`` shows codes with spaces for underscores; ``ordinal`` numbers things and is never grouped or summed."""

_LOOKS: Final = {**dict.fromkeys(("count", "points", "money"), "n"), "ordinal": "o", "date": "d"}
"""CSS classes: figures stand right; numbers that name something stand left; dates never break."""

_OWN_LOOKS: Final = {"hash", "file", "wordy"}


@dataclass(frozen=True)
class Column:
    """``keys``: the columns it shows, one below the other when more than one. Money takes its currency from
    ``currency``: a column of the table, or a code in capitals. ``link``: the column that says where the first leads."""

    label: str
    keys: tuple[str, ...]
    kind: Kind = "text"
    total: bool = False
    currency: str = ""
    link: str = ""


@dataclass(frozen=True)
class Cell:
    """Text, line by line, the CSS classes of its look, and where its first line leads."""

    lines: tuple[str, ...]
    css: str = ""
    link: str = ""


@dataclass(frozen=True)
class Row:
    """The cells of a row; ``lead`` rows sum up those below them."""

    cells: tuple[Cell, ...]
    lead: bool = False


@dataclass(frozen=True)
class Table:
    """A finished table. ``more``: rows that only the CSV shows; ``csv``: its name."""

    caption: str
    note: str
    headings: tuple[Cell, ...]
    rows: tuple[Row, ...]
    totals: tuple[Cell, ...] | None
    more: int
    csv: str
    css: str = ""


def text(label: str, *keys: str) -> Column:
    """Text as it is stored."""
    return Column(label, keys)


def words(label: str, *keys: str) -> Column:
    """A code, its underscores shown as spaces."""
    return Column(label, keys, "words")


def ordinal(label: str, key: str) -> Column:
    """A number that names something."""
    return Column(label, (key,), "ordinal")


def count(label: str, key: str, *, total: bool = True) -> Column:
    """How many."""
    return Column(label, (key,), "count", total)


def points(label: str, key: str, *, total: bool = True) -> Column:
    """An amount of points."""
    return Column(label, (key,), "points", total)


def money(label: str, key: str, *, currency: str, total: bool = False) -> Column:
    """An amount of money; summed only when one currency rules the column."""
    return Column(label, (key,), "money", total, currency)


def day(label: str, *keys: str) -> Column:
    """Days and instants, ISO."""
    return Column(label, keys, "date")


def make_table(
    caption: str,
    frame: pl.DataFrame,
    columns: list[Column],
    *,
    note: str = "",
    csv: str = "",
    css: str = "",
    lead: pl.Expr | None = None,
) -> Table:
    """The table of a frame, in the frame's order; totals are those of all rows, shown or not."""
    shown = frame.head(ROWS_SHOWN_MAX)
    leads = shown.select(lead=lead).to_series().to_list() if lead is not None else [False] * shown.height
    return Table(
        caption=caption,
        note=note,
        headings=tuple(Cell((column.label,), _look(column)) for column in columns),
        rows=tuple(
            Row(tuple(_cell(column, row) for column in columns), leading)
            for row, leading in zip(shown.iter_rows(named=True), leads, strict=True)
        ),
        totals=_totals(frame, columns),
        more=frame.height - shown.height,
        csv=csv,
        css=css,
    )


def grouped(number: int) -> str:
    """``−1,234``: a whole number for people, with a real minus sign."""
    return f"{number:,}".replace("-", MINUS)


def amount(minor: int, currency: str) -> str:
    """``−1,234.56``: money for people."""
    return format_minor(minor, currency).replace("-", MINUS)


def instant(stored: str) -> str:
    """``2026-11-21 05:10:12 UTC``: an instant as it is stored, easier to read; anything else as it is."""
    return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d(?:\.\d+?)??)(?:\.000)?Z$", r"\1 \2 UTC", stored)


def percent(hundredths: int | None) -> str:
    """``99.87 %`` of hundredths of a percent."""
    return NOTHING if hundredths is None else f"{hundredths // 100}.{hundredths % 100:02d} %"


def _look(column: Column) -> str:
    return column.kind if column.kind in _OWN_LOOKS else _LOOKS.get(column.kind, "")


def _cell(column: Column, row: dict[str, Any]) -> Cell:
    look = _look(column)
    if column.kind == "severity":
        look = f"severity {str(row[column.keys[0]]).lower()}"
    elif column.kind == "truth":
        look = "yes" if row[column.keys[0]] else "no"
    link = row[column.link] if column.link else None
    return Cell(tuple(_shown(column, row[key], row) for key in column.keys), look, link or "")


def _shown(column: Column, value: object, row: dict[str, Any]) -> str:
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int):
        if column.kind == "money":
            return amount(value, str(row.get(column.currency, column.currency)))
        return str(value) if column.kind in {"ordinal", "file"} else grouped(value)
    shown = str(value)
    if column.kind == "date":
        return instant(shown)
    if column.kind == "words":
        return shown.replace("_", " ")
    if column.kind == "severity":
        return shown.capitalize()
    return shown[:HASH_LETTERS] if column.kind == "hash" and len(shown) > HASH_WHOLE_MAX else shown


def _totals(frame: pl.DataFrame, columns: list[Column]) -> tuple[Cell, ...] | None:
    """The last row; none for a single row or without a column to sum."""
    if frame.height < 2 or not any(column.total for column in columns):
        return None
    cells = [_total(column, frame) if column.total else Cell(("",)) for column in columns]
    return (Cell(("Total",)), *cells[1:])


def _total(column: Column, frame: pl.DataFrame) -> Cell:
    total = int(frame[column.keys[0]].sum())
    shown = amount(total, column.currency) if column.kind == "money" else grouped(total)
    return Cell((shown,), _look(column))
