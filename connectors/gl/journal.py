"""The neutral journal every general-ledger target is written from, and what must hold before one is written.

Here: its columns and checks. Not here: making the journal, which the ledger does, or any system's own layout.
"""

from typing import Final

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.money import decimal_texts, exponent
from counterfoil.protocols import JOURNAL

LENGTHS_MAX: Final = {"journal_id": 16, "source": 25, "category": 25, "line_text": 50}
"""The narrowest of the systems this table feeds: SAP's reference 16, Oracle's source and category 25, item text 50."""


def prove_journal(journal: pl.DataFrame) -> None:
    """Raise unless the journal may be written: MASS_BALANCE when it does not balance, else RULES_INVALID."""
    if dict(journal.schema) != JOURNAL:
        raise _invalid("a table with other columns or types", f"the columns {', '.join(JOURNAL)}")
    _refuse(journal, pl.any_horizontal(pl.all().is_null()), "a null", "a value in every column")
    for column, length in LENGTHS_MAX.items():
        _refuse(journal, pl.col(column).str.len_chars() > length, f"a long {column}", f"at most {length} characters")
    _refuse(
        journal,
        pl.col("period") != pl.col("accounting_date").dt.strftime("%Y-%m"),
        "a period that is not that of the accounting date",
        "the month of the accounting date",
    )
    debit, credit = pl.col("debit_minor"), pl.col("credit_minor")
    _refuse(journal, (debit < 0) | (credit < 0) | ((debit > 0) & (credit > 0)), "two sides", "one side above zero")
    _refuse(journal, (debit == 0) & (credit == 0) & (pl.col("points") == 0), "no side", "money or points on a line")
    lines = journal.select("journal_id", "journal_line")
    _refuse(journal, lines.is_duplicated(), "a line number used twice", "one number a line")
    for currency in journal["currency"].unique().sort():
        exponent(currency)
    _prove_balance(journal)


def _refuse(journal: pl.DataFrame, broken: pl.Expr | pl.Series, found: str, expected: str) -> None:
    rows = journal.filter(broken).height
    if rows:
        raise _invalid(f"{found} on {rows} lines", expected)


def _invalid(found: str, expected: str) -> PermanentError:
    return PermanentError(
        Code.RULES_INVALID,
        "journal",
        found=found,
        expected=expected,
        remedy="Correct the posting rules or the chart that made it; nothing was written",
    )


def _prove_balance(journal: pl.DataFrame) -> None:
    """Debits = credits per journal and currency; summed in 128 bits, so that nothing wraps."""
    unequal = (
        journal.group_by("journal_id", "currency")
        .agg(difference=pl.col("debit_minor").cast(pl.Int128).sum() - pl.col("credit_minor").cast(pl.Int128).sum())
        .filter(pl.col("difference") != 0)
        .sort("journal_id", "currency")
    )
    if unequal.height:
        first = unequal.row(0, named=True)
        raise PermanentError(
            Code.MASS_BALANCE,
            f"journal {first['journal_id']}",
            found=f"debits less credits is {first['difference']} minor units of {first['currency']}"
            + (f", and {unequal.height - 1} more do not balance" if unequal.height > 1 else ""),
            expected="debits to equal credits in each journal and currency",
            remedy="Nothing was written; report this with the posting number",
        )


def amount_text(journal: pl.DataFrame, column: str) -> pl.Expr:
    """The column of minor units as plain decimal text in each line's currency; a zero is null, so its cell is blank."""
    amount = pl.col(column)
    text = decimal_texts(amount, pl.col("currency"), journal["currency"].unique())
    return pl.when(amount != 0).then(text)


def blank_if_empty(column: str) -> pl.Expr:
    """A text column whose empty values leave the cell blank, not quoted."""
    return pl.when(pl.col(column) != "").then(pl.col(column)).alias(column)
