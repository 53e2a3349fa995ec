"""The demo's general ledger: it posts every journal that was handed on, and finance extracts its balances.

Here: the extract, made from the journal files as they were written, and what is planted in it. Not here: our side of it
(``counterfoil.ledger``), or when it arrives (``scenario`` and the command).
"""

import io
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from counterfoil.settings import INBOX
from pipelines.demo.scenario import DemoFile

BY_HAND: Final = (
    ("2410", "GL-2026-004711", -12_500, True),
    ("2420", "GL-2026-004802", 4_200, False),
)
"""Journals that the extract lists as posted by hand: account, reference, minor units (a credit positive), and whether
the balance holds it. The second one, which was reversed and is still listed, is the planted trouble."""

_TEXTS: Final = {"debit": pl.String, "credit": pl.String, "account": pl.String}

_COLUMNS: Final = ("as_of", "account", "currency", "kind", "minor", "last_journal", "reference")


def extract(journals: Sequence[Path], *, as_of: date, on: date) -> DemoFile:
    """The balances of a day, extracted on another. ``journals`` are the neutral files of those that were posted, each
    in a folder of its own name, the newest last."""
    lines = pl.concat([pl.read_csv(file, schema_overrides=_TEXTS, try_parse_dates=True) for file in journals])
    of_journals = lines.filter(pl.col("accounting_date") <= as_of).select(
        "account", "currency", minor=_minor("credit") - _minor("debit")
    )
    by_hand = pl.DataFrame(BY_HAND, schema=["account", "reference", "minor", "held"], orient="row").with_columns(
        currency=pl.lit(lines["currency"][0]), kind=pl.lit("by_hand")
    )
    held = pl.concat([of_journals, by_hand.filter("held").select(of_journals.columns)])
    balances = held.group_by("account", "currency").agg(pl.col("minor").sum()).sort("account", "currency")
    named = balances.with_columns(kind=pl.lit("balance"), last_journal=pl.lit(journals[-1].parent.name))
    table = pl.concat([named, by_hand.drop("held")], how="diagonal").with_columns(as_of=pl.lit(as_of)).select(_COLUMNS)
    buffer = io.BytesIO()
    table.write_csv(buffer)
    return DemoFile(INBOX, "gl_balances", f"gl_balances_{on:%Y%m%d}.csv", buffer.getvalue(), on)


def _minor(side: str) -> pl.Expr:
    """Decimal text with two places as minor units; a blank side is 0."""
    return pl.col(side).str.replace(".", "", literal=True).cast(pl.Int64).fill_null(0)
