"""The report's tables as CSV files that people open in a spreadsheet.

Here: how values look there. Not here: what keeps a spreadsheet from running them (``spreadsheets``), or files for
machines, which keep stored values raw (``connectors``).
"""

import io
from collections.abc import Collection
from typing import Final

import polars as pl

from counterfoil.money import decimal_texts
from counterfoil.reports.facts import SCHEMAS, ReportFacts
from counterfoil.reports.ties import POINTS, RECORDS, ties
from counterfoil.reports.verdict import worst_first
from counterfoil.spreadsheets import inert

BOM: Final = b"\xef\xbb\xbf"
"""Without it, spreadsheets on Windows take UTF-8 for the machine's own code page."""

_BUCKETS: Final = ("bucket", "part")
_LIKE_A_DAY: Final = r"^(\d+)-(\d+)$"


def tables(facts: ReportFacts) -> dict[str, bytes]:
    """Every table of the report by file name, all rows, plus ``cover.csv`` and ``ties.csv``.

    UTF-8 with a byte order mark, LF, comma, a header line; dates ISO, truth yes or no, null empty; money in major units
    with ``.`` and its currency in a column; an apostrophe before text that a spreadsheet would take for a formula.
    Breaks stand in the order of the page, and buckets have an en dash: a spreadsheet takes 2-3 for a day.
    """
    found = {**cover(facts), "ties.csv": _ties(facts)}
    for name in SCHEMAS:
        table = worst_first(facts.breaks) if name == "breaks" else facts.table(name)
        found[f"{name}.csv"] = _table(table, facts.cover["currency"])
    return dict(sorted(found.items()))


def cover(facts: ReportFacts) -> dict[str, bytes]:
    """``cover.csv`` alone: the one table that names the version."""
    fields = pl.DataFrame({"field": list(facts.cover), "value": list(facts.cover.values())})
    return {"cover.csv": csv_bytes(fields.sort("field"))}


def _ties(facts: ReportFacts) -> bytes:
    found = ties(facts)
    counted = pl.col("unit").is_in((RECORDS, POINTS))
    currencies = found.filter(~counted)["unit"].unique()

    def shown(name: str) -> pl.Expr:
        figure = pl.col(name)
        return (
            pl.when(counted).then(figure.cast(pl.String)).otherwise(decimal_texts(figure, pl.col("unit"), currencies))
        )

    holds = pl.col("stated") == pl.col("summed")
    table = found.select(
        "section", "tie", "subject", "unit", stated=shown("stated"), summed=shown("summed"), holds=holds
    )
    return csv_bytes(table, numbers=("stated", "summed"))


def _table(frame: pl.DataFrame, currency: str) -> bytes:
    """Columns of minor units in major ones: ``debit_minor`` becomes ``debit``, ``minor`` becomes ``amount``."""
    major = {name: name.removesuffix("_minor") for name in frame.columns if name.endswith("_minor")}
    if "minor" in frame.columns:
        major["minor"] = "amount"
        frame = frame if "currency" in frame.columns else frame.with_columns(currency=pl.lit(currency))
    if not major:
        return csv_bytes(frame)
    codes = frame["currency"].drop_nulls().unique()
    texts = [decimal_texts(pl.col(name), pl.col("currency"), codes).cast(pl.String).alias(name) for name in major]
    return csv_bytes(frame.with_columns(texts).rename(major), numbers=major.values())


def csv_bytes(frame: pl.DataFrame, numbers: Collection[str] = ()) -> bytes:
    """A table in the form of ``tables``; ``numbers``: text columns of our own decimals, whose minus must stay one."""
    columns = [_cell(name, kind) for name, kind in frame.schema.items() if name not in numbers]
    buffer = io.BytesIO()
    frame.with_columns(columns).write_csv(buffer, date_format="%Y-%m-%d", quote_style="necessary")
    return BOM + buffer.getvalue()


def _cell(name: str, kind: pl.DataType) -> pl.Expr:
    value = pl.col(name)
    if kind == pl.Boolean():
        return pl.when(value).then(pl.lit("yes")).otherwise(pl.lit("no")).alias(name)
    if kind == pl.String():
        value = value.str.replace(_LIKE_A_DAY, "$1–$2") if name in _BUCKETS else value
        return pl.when(value != "").then(inert(value)).alias(name)
    return value
