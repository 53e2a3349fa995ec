"""Rows about people as letters: the frame that every source of letters gives.

Here: its columns, the company's own name, and the campaign of letters that name none. Not here: any source.
"""

from typing import Final

import polars as pl

from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import Unit
from counterfoil.letters import LETTERS

CAMPAIGN: Final = "standard"
"""The campaign of letters that name none."""


def addressed(found: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """LETTERS by key, of rows with a ``partner_id``: the company under its own name; what is not given is missing."""
    names = book.frame(
        f"""SELECT c.partner_id, coalesce(u.name, c.partner) AS company FROM book.partner c LEFT JOIN (
                SELECT partner_id, arg_max(name, (since, file_id, line_no)) AS name FROM book.company_unit
                WHERE unit = {Unit.COMPANY:d} AND since <= (SELECT max(on_day) FROM book.posting) GROUP BY partner_id
            ) u ON u.partner_id = c.partner_id"""
    )
    named = found.join(names, on="partner_id", how="left").with_columns(campaign=pl.lit(CAMPAIGN))
    return named.select(
        (pl.col(name) if name in named.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in LETTERS.items()
    ).sort("letter_key")
