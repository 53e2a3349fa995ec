"""What budgets files do to the book: points go from a company's balance to a budget, and back.

Here: budgets as they stand, and the rows that each change leads to. Not here: which changes can be made
(``reconcile.budgeting``), or spending (``distributions``).
"""

import polars as pl

from counterfoil.ledger import posting
from counterfoil.ledger.companies import require_open, standing_units, stated, with_company
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode, Disposition, Event, Standing, Unit
from counterfoil.ledger.names import Names
from counterfoil.ledger.tables import TABLES
from counterfoil.ledger.work import Work
from counterfoil.reconcile import breaks, budgeting


def compose(work: Work, book: Lookups) -> posting.Changes:
    """The changes of one budgets file."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    rows = with_company(work.accepted, names)
    require_open(rows, work, book)
    if rows.is_empty():
        return posting.changes(names.rows())
    parts = [_of_company(part, work, book, names) for part in rows.partition_by("partner_id", maintain_order=True)]
    told = pl.concat([told for told, _ in parts])
    refused = told.filter(pl.col("event") == Event.BUDGET_REFUSED.value)
    return posting.changes(
        {
            "budget": _rows(told.filter(pl.col("event") == Event.BUDGETED.value), work),
            "disposition": _dispositions(told, work),
            "entry": pl.concat([entries for _, entries in parts]).sort("transfer_id", "leg"),
            **names.rows(),
        },
        breaking=breaks.opening(
            refused,
            line_no="line_no",
            code=pl.lit(BreakCode.BALANCE_SHORT.value),
            subject="budget",
            points_theirs="points",
            value_date="value_date",
            their_date="value_date",
            partner_id="partner_id",
            at_once=pl.lit(value=False),
        ),
    )


def standing(book: Lookups) -> pl.DataFrame:
    """``budgeting.BUDGETS`` of all companies."""
    columns = ", ".join(f"g.{name}" for name in budgeting.BUDGETS if name != "balance")
    return book.frame(
        f"""SELECT {columns}, CAST(coalesce(b.balance, 0) AS BIGINT) AS balance FROM (
                SELECT *, row_number() OVER (PARTITION BY account_id ORDER BY file_id DESC, line_no DESC) AS age
                FROM book.budget
            ) g LEFT JOIN book.balance b ON b.account_id = g.account_id WHERE age = 1 ORDER BY g.account_id"""
    )


def _of_company(part: pl.DataFrame, work: Work, book: Lookups, names: Names) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The changes of one company in their order, with the accounts of its budgets and their reasons, and entries."""
    company_id = part["partner_id"][0]
    departments = standing_units(book, Unit.DEPARTMENT, work.on_day).filter(pl.col("partner_id") == company_id)["code"]
    known = standing(book).filter(pl.col("partner_id") == company_id)
    roles = names.company_roles(company_id)
    rows = part.with_columns(pl.col("department").str.to_lowercase())
    judged = budgeting.judged(rows, known, departments, book.balance_of(roles["company"]))
    made = judged.filter((pl.col("event") == Event.BUDGETED.value) & (pl.col("change") == "create"))["budget"]
    accounts = pl.concat([known.select(budget="code", account_id="account_id"), names.budgets(company_id, made)])
    reasons = names.reasons(company_id, judged["reason"])
    before = known.select(budget="code", was_funded="funded", was_stretched="stretched", was_terms=pl.struct(*_TERMS))
    told = (
        judged.join(accounts, on="budget", how="left", maintain_order="left")
        .join(reasons, on="reason", how="left", maintain_order="left")
        .join(before, on="budget", how="left", maintain_order="left")
    )
    effects = told.filter(pl.col("event") == Event.BUDGETED.value).select(
        "line_no",
        "event",
        "value_date",
        # What a close takes is what was left, and not what its record states.
        ordinal=(pl.col("change") == "close").cast(pl.Int64),
        source_account=pl.lit(None, pl.Int32),
        target_account="account_id",
        sent="moved",
        answered="moved",
    )
    return told, posting.shaped(posting.entries(effects, work.rules, roles, work.file_id), TABLES["entry"])


_TERMS = ("department", "from_day", "until_day", "hard", "alerts")


def _rows(made: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Rows of ``budget``: the budget's terms and funds after the whole file, so that any of them is the newest."""
    created = pl.struct(
        "department", "from_day", "until_day", hard=(pl.col("limit") == "hard").cast(pl.Int16), alerts=pl.col("alerts")
    )
    first = pl.when(pl.col("was_terms").is_null()).then(created).otherwise("was_terms")
    given = pl.col("moved").sum().over("account_id")
    return (
        made.with_columns(
            terms=first.first().over("account_id"),
            funded=pl.col("was_funded").fill_null(0) + given,
            stretched=pl.col("was_stretched").fill_null(0),
            standing=pl.when((pl.col("change") == "close").any().over("account_id"))
            .then(Standing.CLOSED.value)
            .otherwise(Standing.OPEN.value),
            code="budget",
            file_id=pl.lit(work.file_id),
        )
        .drop(*_TERMS, strict=False)
        .unnest("terms")
    )


def _dispositions(told: pl.DataFrame, work: Work) -> pl.DataFrame:
    refused = pl.col("event") == Event.BUDGET_REFUSED.value
    return stated(
        told.with_columns(
            disposition=pl.when(refused)
            .then(pl.lit(Disposition.HELD.value))
            .otherwise(pl.lit(Disposition.SETTLED.value)),
        ),
        work.file_id,
    ).with_columns(reason_id=told["reason_id"])
