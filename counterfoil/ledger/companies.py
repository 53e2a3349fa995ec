"""What companies files do to the book: companies, their departments and administrators open and close.

Here: that, and reading what is open. Not here: what companies own (``recharges``, ``budgets``) or send
(``distributions``).
"""

from collections.abc import Iterable
from datetime import date
from typing import Final

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.ledger import posting
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode, Disposition, Event, MatchPass, Standing, Unit
from counterfoil.ledger.names import HOUSE, Names
from counterfoil.ledger.work import Work
from counterfoil.reconcile import breaks


def compose(work: Work, book: Lookups) -> posting.Changes:
    """The changes of one companies file: of companies that are known, or that a row of it opens."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    rows = work.accepted.with_columns(
        unit=pl.col("unit").replace_strict({unit.name.lower(): unit.value for unit in Unit}, return_dtype=pl.Int16),
        code=pl.col("code").str.to_lowercase().fill_null(""),
        standing=pl.col("change").replace_strict(_STANDINGS, return_dtype=pl.Int16),
        since="value_date",
        file_id=pl.lit(work.file_id),
    )
    known = book.frame(
        "SELECT c.partner AS company, u.unit, u.code FROM book.company_unit u JOIN book.partner c USING (partner_id)"
    )
    told = _judged(rows, known.unique())
    done = with_company(told.filter(pl.col("break_code").is_null()), names)
    return posting.changes(
        {
            "company_unit": done,
            "disposition": stated(told, work.file_id),
            **names.rows(),
        },
        breaking=_refused(told),
    )


_STANDINGS: Final = {"open": Standing.OPEN.value, "close": Standing.CLOSED.value}


def _judged(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Add ``break_code`` and ``event``: rows that say different things of one unit and day contradict each other
    (B11), and what is neither known nor opened here is a slip (B03). ``known``: company, unit, code."""
    key = ["company", "unit", "code"]
    differ = rows.with_columns(differs=pl.struct("standing", "name").n_unique().over(*key, "since") > 1)
    opened = differ.filter(~pl.col("differs") & (pl.col("standing") == Standing.OPEN.value)).select(key)
    there = pl.concat([known.select(key), opened]).unique()
    companies = there.filter(pl.col("unit") == Unit.COMPANY.value)["company"]
    closes = pl.col("standing") == Standing.CLOSED.value
    return (
        differ.join(there.with_columns(there=pl.lit(value=True)), on=key, how="left", maintain_order="left")
        .with_columns(
            break_code=pl.when("differs")
            .then(BreakCode.CONFLICT.value)
            .when(~pl.col("company").is_in(companies.implode()) | (closes & pl.col("there").is_null()))
            .then(BreakCode.UNKNOWN_THEIRS.value)
        )
        .with_columns(
            event=pl.when(pl.col("break_code").is_null())
            .then(Event.COMPANY_TOLD.value)
            .otherwise(Event.COMPANY_REFUSED.value)
        )
    )


def _refused(told: pl.DataFrame) -> pl.DataFrame:
    """A break for each row that changes nothing, the programme's own: a company that was mistyped is no partner."""
    return breaks.opening(
        told.filter(pl.col("break_code").is_not_null()),
        line_no="line_no",
        code="break_code",
        subject=pl.concat_str("company", pl.when(pl.col("code") != "").then("code"), separator=":", ignore_nulls=True),
        value_date="value_date",
        partner_id=pl.lit(HOUSE),
        at_once=pl.lit(value=False),
    )


def with_company(rows: pl.DataFrame, names: Names) -> pl.DataFrame:
    """Rows with the ``partner_id`` of their ``company``."""
    ids = {company: names.partner(company) for company in rows["company"].unique().sort()}
    return rows.with_columns(partner_id=pl.col("company").replace_strict(ids, default=None, return_dtype=pl.Int32))


def standing_units(book: Lookups, unit: Unit, day: date) -> pl.DataFrame:
    """What is open of a kind on a day: partner_id, code (empty for the company itself), name. The newest day that a row
    counts from decides, whenever its file came."""
    return book.frame(
        f"""SELECT partner_id, code, name FROM (
                SELECT *, row_number() OVER (PARTITION BY partner_id, code
                                             ORDER BY since DESC, file_id DESC, line_no DESC) AS age
                FROM book.company_unit WHERE unit = {unit:d} AND since <= DATE '{day}'
            ) WHERE age = 1 AND standing = {Standing.OPEN:d} ORDER BY partner_id, code"""
    )


def is_closed(book: Lookups, partner_id: int, day: date) -> bool:
    """Whether a company was told of, and is closed on a day."""
    newest = book.row(
        f"""SELECT standing FROM book.company_unit
            WHERE unit = {Unit.COMPANY:d} AND partner_id = {partner_id} AND since <= DATE '{day}'
            ORDER BY since DESC, file_id DESC, line_no DESC LIMIT 1"""
    )
    return newest == (Standing.CLOSED.value,)


def require_open(rows: pl.DataFrame, work: Work, book: Lookups) -> None:
    """Raise COMPANY_UNKNOWN unless every company of rows (company, partner_id) is open on the day they count."""
    open_now = standing_units(book, Unit.COMPANY, work.on_day)["partner_id"]
    closed = rows.filter(~pl.col("partner_id").is_in(open_now.implode()))["company"].unique().sort()
    if closed.len():
        raise PermanentError(
            Code.COMPANY_UNKNOWN,
            work.feed.key,
            found=f"points of {_listed(closed)}",
            expected=f"companies that a companies file has opened by {work.on_day}",
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
