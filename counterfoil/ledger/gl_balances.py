"""What an extract of the general ledger does to the book: a statement of each account, and B15 where it differs.

Here: which extracts are whole, our side of a statement, and the rows of a posting. Not here: the arithmetic of a
statement (``reconcile.tie_out``), or reading statements again (``tie_outs``). An extract changes no balance.
"""

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.ledger import posting
from counterfoil.ledger.chart import Chart
from counterfoil.ledger.journal import journal, prefix
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode, Disposition, Event, MatchPass
from counterfoil.ledger.names import HOUSE, Names
from counterfoil.ledger.work import Work
from counterfoil.reconcile import breaks, tie_out
from counterfoil.settings import ProgrammeSettings


def compose(work: Work, book: Lookups) -> posting.Changes:
    """Statements of the accounts of an extract, as our ledger stood before it; raises ENVELOPE_INVALID for an extract
    that is not whole, RATE_MISSING where our points have no rate yet."""
    _require_whole(work)
    rows = work.accepted
    by_hand = rows.filter(pl.col("kind") == "by_hand")
    stated = rows.filter(pl.col("kind") == "balance").with_columns(last_n=_last_n())
    made = moves(book, work.file_id - 1, policy=work.policy, chart=work.chart)
    found = tie_out.with_differences(
        tie_out.statement(stated.select(*tie_out.STATED), by_hand.select(*tie_out.BY_HAND), made)
    )
    standing = _standing(book)
    opened = breaks.opening(
        tie_out.opening(found, standing),
        line_no="line_no",
        code=pl.lit(BreakCode.LEDGER_DIFFERS.value),
        subject=pl.concat_str("account", "currency", "as_of", separator=":"),
        value_date="as_of",
        partner_id=pl.lit(HOUSE),
        at_once=pl.lit(value=False),
    )
    file_id = pl.lit(work.file_id).alias("file_id")
    return posting.changes(
        {
            "gl_statement": found.with_columns(file_id),
            "gl_by_hand": by_hand.with_columns(file_id),
            "disposition": _dispositions(rows, work),
            **Names(book, file_id=work.file_id, unit=work.unit).rows(),
        },
        breaking=opened,
        clearing=tie_out.clearing(found, standing),
    )


def moves(book: Lookups, to_n: int, *, policy: ProgrammeSettings, chart: Chart) -> pl.DataFrame:
    """``tie_out.MOVES`` of every posting up to ``to_n``: the journal of them all, in the one currency that we journal.

    Reads the entries of all history once, as the first journal of a book would.
    """
    lines = journal(
        book,
        0,
        to_n,
        chart=chart,
        programme=policy.programme,
        entity=policy.entity,
        unit=policy.unit,
        currency=policy.currency,
        journal_id="",
    ).with_columns(n=pl.col("event_key").str.split(":").list.first().cast(pl.Int64))
    days = book.frame("SELECT CAST(n AS BIGINT) AS n, on_day FROM book.posting")
    summed = lines.group_by("account", "currency", "n", day="accounting_date").agg(
        minor=pl.col("credit_minor").sum() - pl.col("debit_minor").sum()
    )
    return summed.join(days, on="n").sort("n", "account", "day").select(*tie_out.MOVES)


def unexplained(row: str) -> str:
    """SQL: line H of a row of ``gl_statement``."""
    return f"{row}.per_gl + {row}.not_posted - {row}.by_hand - {row}.per_ledger - {row}.after_cut_off"


def _standing(book: Lookups) -> pl.DataFrame:
    """``tie_out.STANDING``."""
    return book.frame(
        f"""SELECT o.break_id, o.code, s.account, s.currency, s.as_of, {unexplained("s")} AS unexplained
            FROM book.open_break o JOIN book.break b ON b.break_id = o.break_id
            JOIN book.gl_statement s ON s.file_id = b.file_id AND s.line_no = b.line_no
            WHERE o.code = {BreakCode.LEDGER_DIFFERS:d} ORDER BY o.break_id"""
    )


def _last_n() -> pl.Expr:
    """The last posting of the journal that a balance names, 0 for none."""
    return pl.col("last_journal").str.slice(-8).cast(pl.Int64).fill_null(0)


def _require_whole(work: Work) -> None:
    """One day that has come, each account and currency once, journals that we made, and nothing by hand elsewhere."""
    rows = work.accepted
    balance = pl.col("kind") == "balance"
    unmade = ~pl.col("last_journal").str.starts_with(prefix(work.policy.entity)) | (_last_n() >= work.file_id)
    key = pl.struct("kind", *tie_out.KEY, pl.when(~balance).then("reference"))
    balances = rows.filter(balance)
    without = rows.filter(~balance).join(balances, on=tie_out.KEY, how="anti")
    if balances.is_empty():
        raise _refused(work, rows, "no balance", "the balance of at least one account")
    other_day = rows.filter(pl.col("as_of") != rows["as_of"][0])
    _require_none(work, other_day, "another day than the rows before", "one as_of in all rows")
    to_come = rows.filter(pl.col("as_of") > work.on_day)
    _require_none(work, to_come, "a balance of a day that has not come", f"an as_of up to {work.on_day}")
    twice = rows.filter(key.is_duplicated())
    _require_none(
        work, twice, "an account or entry stated twice", "each account and currency, and each reference, once"
    )
    _require_none(work, without, "an entry by hand on an account without a balance", "the balance beside it")
    unknown = rows.filter(pl.col("last_journal").is_not_null() & unmade)
    _require_none(work, unknown, "a journal that we have not made", "a journal_id of an earlier journal of this entity")


def _require_none(work: Work, wrong: pl.DataFrame, found: str, expected: str) -> None:
    if wrong.height:
        raise _refused(work, wrong, found, expected)


def _refused(work: Work, rows: pl.DataFrame, found: str, expected: str) -> PermanentError:
    line = f" line {rows['line_no'][0]}" if rows.height else ""
    return PermanentError(
        Code.ENVELOPE_INVALID,
        f"{work.feed.key}{line}",
        found=found,
        expected=expected,
        remedy="Extract the balances again and drop the new file; nothing was posted",
    )


def _dispositions(rows: pl.DataFrame, work: Work) -> pl.DataFrame:
    return rows.select(
        "line_no",
        value_date="as_of",
        disposition=pl.lit(Disposition.INFORMATION.value),
        event=pl.lit(Event.GL_STATED.value),
        match_pass=pl.lit(MatchPass.NONE.value),
        item_id=pl.lit(None),
        points=pl.lit(0),
        reason_id=pl.lit(None),
        file_id=pl.lit(work.file_id),
    )
