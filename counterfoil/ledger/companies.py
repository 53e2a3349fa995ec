"""What companies files do to the book: companies, their departments and administrators open and close.

Here: that, and reading what is open. Not here: what companies own (``recharges``, ``budgets``) or send
(``distributions``).
"""

from collections.abc import Iterable

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.ledger import posting
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import Disposition, Event, MatchPass, Standing, Unit
from counterfoil.ledger.names import Names
from counterfoil.ledger.work import Work


def compose(work: Work, book: Lookups) -> posting.Changes:
    """The changes of one companies file. A company that was never told of is opened by its first row."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    units = {unit.name.lower(): unit.value for unit in Unit}
    standings = {"open": Standing.OPEN.value, "close": Standing.CLOSED.value}
    told = with_company(work.accepted, names).select(
        "line_no",
        "partner_id",
        "name",
        "value_date",
        unit=pl.col("unit").replace_strict(units, return_dtype=pl.Int16),
        code=pl.col("code").str.to_lowercase().fill_null(""),
        standing=pl.col("change").replace_strict(standings, return_dtype=pl.Int16),
        since="value_date",
        file_id=pl.lit(work.file_id),
    )
    return posting.changes(
        {
            "company_unit": told,
            "disposition": stated(told.with_columns(event=pl.lit(Event.COMPANY_TOLD.value)), work.file_id),
            **names.rows(),
        }
    )


def with_company(rows: pl.DataFrame, names: Names) -> pl.DataFrame:
    """Rows with the ``partner_id`` of their ``company``."""
    ids = {company: names.partner(company) for company in rows["company"].unique().sort()}
    return rows.with_columns(partner_id=pl.col("company").replace_strict(ids, default=None, return_dtype=pl.Int32))


def standing_units(book: Lookups, unit: Unit) -> pl.DataFrame:
    """What is open of a kind: partner_id, code (empty for the company itself), name."""
    return book.frame(
        f"""SELECT partner_id, code, name FROM (
                SELECT *, row_number() OVER (PARTITION BY partner_id, code ORDER BY file_id DESC, line_no DESC) AS age
                FROM book.company_unit WHERE unit = {unit:d}
            ) WHERE age = 1 AND standing = {Standing.OPEN:d} ORDER BY partner_id, code"""
    )


def is_closed(book: Lookups, partner_id: int) -> bool:
    """Whether a company was told of, and is closed."""
    told = book.frame(
        f"""SELECT 1 FROM book.company_unit WHERE unit = {Unit.COMPANY:d} AND partner_id = {partner_id} LIMIT 1"""
    )
    return not told.is_empty() and partner_id not in standing_units(book, Unit.COMPANY)["partner_id"]


def require_open(rows: pl.DataFrame, book: Lookups, where: str) -> None:
    """Raise COMPANY_UNKNOWN unless every company of rows (company, partner_id) is open."""
    open_now = standing_units(book, Unit.COMPANY)["partner_id"]
    closed = rows.filter(~pl.col("partner_id").is_in(open_now.implode()))["company"].unique().sort()
    if closed.len():
        raise PermanentError(
            Code.COMPANY_UNKNOWN,
            where,
            found=f"points of {_listed(closed)}",
            expected="companies that a companies file has opened",
            remedy="Open the company, then release the file; or discard it. It waits",
        )


def stated(told: pl.DataFrame, file_id: int) -> pl.DataFrame:
    """Dispositions of records that state a fact: ``told`` has line_no, event, value_date, and item_id and points where
    there are any."""
    given = {"item_id": pl.lit(None), "points": pl.lit(0), "disposition": pl.lit(Disposition.INFORMATION.value)}
    return told.select(
        "line_no",
        "event",
        "value_date",
        **{name: pl.col(name) if name in told.columns else other for name, other in given.items()},
        match_pass=pl.lit(MatchPass.NONE.value),
        reason_id=pl.lit(None),
        file_id=pl.lit(file_id),
    )


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    return ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
