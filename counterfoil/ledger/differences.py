"""What a proof can find: one difference, and where. And how two frames of the same rows differ.

Here: the shape of a finding and the comparison that names its row. Not here: what is compared (``verify``,
``derived``).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import polars as pl

from counterfoil.ledger.model import RECORD_SPAN
from counterfoil.ledger.tables import ORDER

NAMED_MAX: Final = 10
"""Differences that one check names: enough to see what happened, few enough to read."""


@dataclass(frozen=True)
class Finding:
    """One difference: what was found, what was expected, and where as far as it is known.

    ``posting`` and ``file`` name the batch; ``table``, ``line`` (of the file) and ``row`` (its ids) the row. Holds no
    value of any row.
    """

    check: str
    found: str
    expected: str
    posting: int | None = None
    file: str | None = None
    table: str | None = None
    line: int | None = None
    row: str | None = None

    def fields(self) -> dict[str, object]:
        """Everything it says, by stable keys."""
        return asdict(self)


def different_rows(table: str, expected: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """Rows in which two frames of one posting's rows of a sealed table differ: what (missing, added, changed), line
    Int64?, row String (ids alone); in canonical order."""
    keys = ORDER[table]
    missing, added = rows_without(expected, found), rows_without(found, expected)
    changed = missing.select(keys).join(added.select(keys), on=keys, how="semi", nulls_equal=True).unique()

    def told(rows: pl.DataFrame, what: str) -> pl.DataFrame:
        return rows.join(changed, on=keys, how="anti", nulls_equal=True).with_columns(what=pl.lit(what))

    both = missing.join(changed, on=keys, how="semi", nulls_equal=True).with_columns(what=pl.lit("changed"))
    rows = pl.concat([told(missing, "missing"), told(added, "added"), both])
    return rows.sort(*keys, nulls_last=True, maintain_order=True).select("what", line=_line(rows), row=_ids(rows, keys))


def rows_without(rows: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Rows that the other frame does not have; of equal rows, those that it has too few of."""
    columns = rows.columns
    copy = pl.int_range(pl.len()).over(columns)
    return (
        rows.with_columns(copy_no=copy)
        .join(other.with_columns(copy_no=copy), on=[*columns, "copy_no"], how="anti", nulls_equal=True)
        .select(columns)
    )


def _line(rows: pl.DataFrame) -> pl.Expr:
    if "line_no" in rows.columns:
        return pl.col("line_no").cast(pl.Int64)
    return pl.col("item_id") % RECORD_SPAN if "item_id" in rows.columns else pl.lit(None, pl.Int64)


def _ids(rows: pl.DataFrame, keys: Sequence[str]) -> pl.Expr:
    """``transfer_id 8589934596, leg 1``: the numbers and break ids of the key; texts of a file are none."""
    shown = [key for key in keys if key != "line_no" and (rows.schema[key].is_integer() or key == "break_id")]
    return pl.concat_str([pl.format(f"{key} {{}}", pl.col(key)) for key in shown] or [pl.lit("")], separator=", ")
