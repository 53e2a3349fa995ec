"""How our ledger ties to the general ledger: the newest statement of each account, as it was known, for people.

Here: reads of statements. Not here: what an extract does (``gl_balances``), the arithmetic (``reconcile.tie_out``), or
why an account differs (``gl_causes``).
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Final

import polars as pl

from counterfoil.ledger.chart import Chart
from counterfoil.ledger.gl_balances import unexplained
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode
from counterfoil.ledger.story import TieOut
from counterfoil.reconcile.tie_out import DIFFERS, LINES, NOT_STATED, TIED, with_differences

Counts = Callable[[str], str]
"""Given the name of a posting's number in a query: a condition that the posting counts."""

AMOUNTS: Final = tuple(f"{name}_minor" for _, name, _ in LINES)
"""Columns of a statement in minor units."""

SHOWN: Final = ("account", "name", "currency", "as_of", *AMOUNTS, "state", "posting", "file", "line", "break_id")
"""Columns of ``tie_out``; ``break_id``: the B15 that the difference opened, at this extract or at one before."""


def tie_out(book: Lookups, chart: Chart, *, counts: Counts, as_of: date, currency: str) -> pl.DataFrame:
    """SHOWN: the newest statement of each account and currency up to a day, sorted by both; amounts credit positive.

    ``counts`` says which postings are known. An account that still owes points and that no extract has stated in
    ``currency``, the one that we journal, is told without amounts once any was stated.
    """
    found = book.frame(
        f"""WITH newest AS (
                SELECT * FROM book.gl_statement WHERE {counts("file_id")} AND as_of <= DATE '{as_of}'
                QUALIFY row_number() OVER (PARTITION BY account, currency ORDER BY as_of DESC, file_id DESC) = 1
            ), broken AS (
                SELECT s.account, s.currency, arg_max(d.break_id, d.file_id) AS break_id
                FROM newest s JOIN ({differing(counts("s.file_id"))}) d
                  ON d.account = s.account AND d.currency = s.currency AND d.file_id <= s.file_id
                    AND d.unexplained = {unexplained("s")} GROUP BY ALL
            )
            SELECT s.*, p.name AS file, CAST(s.file_id AS BIGINT) AS posting, CAST(s.line_no AS BIGINT) AS line,
                   b.break_id
            FROM newest s JOIN book.posting p ON p.n = s.file_id
            LEFT JOIN broken b ON b.account = s.account AND b.currency = s.currency"""
    )
    stated = with_differences(found).with_columns(
        state=pl.when(pl.col("unexplained") == 0).then(pl.lit(TIED)).otherwise(pl.lit(DIFFERS))
    )
    every = pl.concat([stated, _not_stated(book, chart, stated, counts, currency)], how="diagonal")
    named = every.join(names(chart), on="account", how="left").sort("account", "currency")
    return named.rename({name: f"{name}_minor" for _, name, _ in LINES}).select(SHOWN)


def by_hand(book: Lookups, statements: pl.DataFrame) -> pl.DataFrame:
    """The journals posted by hand that the statements of ``tie_out`` take off: account, currency, as_of, reference,
    minor; sorted by the first four."""
    return book.frame(
        """SELECT h.account, h.currency, s.as_of, h.reference, h.minor
           FROM book.gl_by_hand h JOIN stated s
             ON s.posting = h.file_id AND s.account = h.account AND s.currency = h.currency
           ORDER BY h.account, h.currency, s.as_of, h.reference""",
        stated=statements.drop_nulls("posting").select("posting", "account", "currency", "as_of"),
    )


def apart(book: Lookups, numbers: pl.Series) -> list[str]:
    """Accounts that differ in the newest of some postings, each with its currency; sorted."""
    found = book.frame(
        f"""SELECT concat(s.account, ' ', s.currency) AS account FROM book.gl_statement s
            WHERE s.file_id = (SELECT max(file_id) FROM book.gl_statement SEMI JOIN wanted w ON w.n = file_id)
              AND {unexplained("s")} <> 0 ORDER BY ALL""",
        wanted=pl.DataFrame({"n": numbers.cast(pl.Int32)}),
    )
    return found["account"].to_list()


def of_breaks(book: Lookups, break_ids: pl.DataFrame) -> Mapping[str, TieOut]:
    """The statement behind each B15 among breaks, by its id."""
    found = book.frame(
        f"""SELECT b.break_id, s.* FROM book.break b SEMI JOIN named USING (break_id)
            JOIN book.gl_statement s ON s.file_id = b.file_id AND s.line_no = b.line_no
            WHERE b.code = {BreakCode.LEDGER_DIFFERS:d}""",
        named=break_ids,
    )
    shown = with_differences(found).with_columns(as_of=pl.col("as_of").cast(pl.String))
    columns = ("account", "currency", "as_of", *(name for _, name, _ in LINES))
    return {row["break_id"]: TieOut(**{name: row[name] for name in columns}) for row in shown.to_dicts()}


def differing(counts: str) -> str:
    """A query for the breaks that an account differs and their statements: break_id, account, currency, as_of, last_n,
    per_gl, by_hand, file_id, unexplained. ``counts`` is a condition on ``s.file_id``."""
    return f"""SELECT b.break_id, s.account, s.currency, s.as_of, s.last_n, s.per_gl, s.by_hand, s.file_id,
                      {unexplained("s")} AS unexplained
               FROM book.break b JOIN book.gl_statement s ON s.file_id = b.file_id AND s.line_no = b.line_no
               WHERE b.code = {BreakCode.LEDGER_DIFFERS:d} AND {counts}"""


def names(chart: Chart) -> pl.DataFrame:
    """Every general-ledger account of a chart: account, name (of the first kind that it has)."""
    special = (chart.margin, chart.revaluation, chart.rounding)
    known = [(one.gl, one.name) for one in chart.accounts.values()] + [(one.gl, one.name) for one in special]
    return pl.DataFrame(known, schema={"account": pl.String, "name": pl.String}, orient="row").unique(
        "account", keep="first", maintain_order=True
    )


def _not_stated(book: Lookups, chart: Chart, stated: pl.DataFrame, counts: Counts, currency: str) -> pl.DataFrame:
    """account, currency, state of the accounts that owe points and that no extract states; none before the first."""
    if stated.is_empty():
        return pl.DataFrame(schema=dict.fromkeys(("account", "currency", "state"), pl.String))
    kinds = book.frame(
        f"""SELECT a.kind FROM book.account a LEFT JOIN book.balance b ON b.account_id = a.account_id
            LEFT JOIN (
                SELECT account_id, sum(amount) AS later FROM book.entry WHERE NOT ({counts("file_id")})
                GROUP BY account_id
            ) e ON e.account_id = a.account_id
            GROUP BY a.kind HAVING bool_or(coalesce(b.balance, 0) <> coalesce(e.later, 0)) ORDER BY a.kind"""
    )["kind"]
    owed = {one.gl for kind in kinds if (one := chart.accounts.get(kind)) is not None and one.open}
    missing = sorted(owed - set(stated.filter(pl.col("currency") == currency)["account"]))
    return pl.DataFrame({"account": pl.Series(missing, dtype=pl.String)}).with_columns(
        currency=pl.lit(currency), state=pl.lit(NOT_STATED)
    )
