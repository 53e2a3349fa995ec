"""How a corrected file differs from the one it corrects, record by record. Pure: frames in, frames out.

Here: pairing by record key. Not here: which differences may take effect, or what they do (``ledger.corrections``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

PLACE = ("file_id", "line_no")
"""Where the effect of an old record lies in the book."""


@dataclass(frozen=True, eq=False)
class Difference:
    """``unchanged`` and ``changed``: line_no of the new record, old_file, old_line of the one it pairs with; ``fresh``:
    line_no of records that were not there; ``vanished``: old_file, old_line of records that are not there any more."""

    unchanged: pl.DataFrame
    changed: pl.DataFrame
    fresh: pl.DataFrame
    vanished: pl.DataFrame

    @property
    def records(self) -> int:
        """How many records differ."""
        return self.changed.height + self.fresh.height + self.vanished.height


def keyed(rows: pl.DataFrame, key: Sequence[str]) -> bool:
    """Whether the key tells every record of a file apart."""
    return bool(key) and not rows.select(pl.struct(*key).is_duplicated().any()).item()


def difference(old: pl.DataFrame, new: pl.DataFrame, key: Sequence[str]) -> Difference:
    """Pair the records of two files. ``old`` has the new one's columns and PLACE, ``new`` its own ``line_no``.

    Without a key that tells the records of both apart, every old record has vanished and every new one is fresh.
    """
    placed = old.rename({"file_id": "old_file", "line_no": "old_line"})
    if not (keyed(old, key) and keyed(new, key)):
        nobody = new.clear().join(placed.select("old_file", "old_line").clear(), how="cross")
        nobody = nobody.select("line_no", "old_file", "old_line")
        return Difference(nobody, nobody, new.select("line_no"), placed.select("old_file", "old_line"))
    pairs = new.join(placed, on=list(key), how="inner", suffix="_old", nulls_equal=True, maintain_order="left")
    values = [name for name in new.columns if name not in (*key, *PLACE)]
    same = pairs.select(pl.all_horizontal(pl.lit(value=True), *(_equal(name) for name in values))).to_series()
    paired = pairs.select("line_no", "old_file", "old_line")
    return Difference(
        unchanged=paired.filter(same),
        changed=paired.filter(~same),
        fresh=new.select("line_no").join(paired, on="line_no", how="anti", maintain_order="left"),
        vanished=placed.select("old_file", "old_line").join(
            paired, on=["old_file", "old_line"], how="anti", maintain_order="left"
        ),
    )


def carried(old: pl.DataFrame, new: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """The new file's records, each with the place of its effect: the old one's where it did not change."""
    unchanged = difference(old, new.drop("file_id"), key).unchanged
    return (
        new.join(unchanged, on="line_no", how="left", maintain_order="left")
        .with_columns(file_id=pl.coalesce("old_file", "file_id"), line_no=pl.coalesce("old_line", "line_no"))
        .select(new.columns)
    )


def _equal(name: str) -> pl.Expr:
    return pl.col(name).eq_missing(pl.col(f"{name}_old"))
