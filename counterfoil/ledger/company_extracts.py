"""What a company can read of the book: its statement, its budgets, and points that wait. Read only.

Here: those three, as frames. Not here: what changes them (``recharges``, ``budgets``, ``distributions``, ``promises``).
"""

from datetime import date
from typing import Final

import polars as pl

from counterfoil.ledger import budgets
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import RECORD_SPAN, TRANSFERS_PER_RECORD, Event, ItemKind, Side, Standing, State
from counterfoil.masking import masked_address

STATEMENT: Final = {
    "account": pl.String,
    "date": pl.Date,
    "event": pl.String,
    "reference": pl.String,
    "records": pl.Int64,
    "opening_balance": pl.Int64,
    "points": pl.Int64,
    "closing_balance": pl.Int64,
    "posting": pl.Int64,
    "file": pl.String,
}
"""A row for each file, account and thing that happened, and for each promise that came back, by day and posting. Each
proves itself: opening_balance + points = closing_balance, which is the next row's opening."""

BUDGET_LIST: Final = {
    "company": pl.String,
    "budget": pl.String,
    "department": pl.String,
    "from_day": pl.Date,
    "until_day": pl.Date,
    "limit": pl.String,
    "funded": pl.Int64,
    "stretched": pl.Int64,
    "used": pl.Int64,
    "left": pl.Int64,
    "state": pl.String,
}

WAITING: Final = {
    "company": pl.String,
    "ref": pl.String,
    "recipient": pl.String,
    "points": pl.Int64,
    "state": pl.String,
    "send_date": pl.Date,
    "returns_on": pl.Date,
    "posting": pl.Int64,
    "line": pl.Int64,
}
"""Points that wait for their day or recipient; ``returns_on``: when those that nobody claims go back."""


_BACK: Final = f"""
    SELECT e.transfer_id, k.item_id FROM (
        SELECT DISTINCT file_id, transfer_id, dense_rank() OVER (PARTITION BY file_id ORDER BY transfer_id) AS nth
        FROM book.entry SEMI JOIN own USING (file_id) WHERE event IN ({Event.FIRED_BACK:d}, {Event.RETURNED:d})
    ) e JOIN (
        SELECT k.file_id, k.item_id, row_number() OVER (PARTITION BY k.file_id ORDER BY k.item_id) AS nth
        FROM book.settled_key k SEMI JOIN own USING (file_id)
        JOIN book.item i ON i.item_id = k.item_id AND i.kind = {ItemKind.DISTRIBUTION:d}
        WHERE k.state = {State.RETURNED:d}
    ) k USING (file_id, nth)
    UNION ALL
    SELECT DISTINCT o.transfer_id, k.item_id FROM own o JOIN book.settled_key k
        ON k.file_id = o.file_id AND k.line_no = o.line_no AND k.state = {State.CANCELLED:d}
    WHERE o.event = {Event.CANCELLED:d}"""
"""A query for the promise that each transfer of ``own`` gave back. The close of a day books them in the order of their
items, a decision at its line."""


def statement(book: Lookups, company: str, *, since: date | None = None, until: date | None = None) -> pl.DataFrame:
    """STATEMENT of a company: its balance first, then each budget; days in order. ``since`` and ``until`` are programme
    days of postings; what came before them is in the first opening balance."""
    events = pl.DataFrame(
        {"event": [event.value for event in Event], "name": [event.name.lower() for event in Event]},
        schema={"event": pl.Int16, "name": pl.String},
    )
    # From what the accounts hold now back to the first day asked for, so that older days cost nothing.
    moved = book.frame(
        f"""WITH own AS (
                SELECT a.kind, a.owner, e.account_id, e.file_id, e.line_no, e.event, e.amount, e.transfer_id, p.on_day,
                       p.name AS file, b.balance
                FROM wanted w JOIN book.partner c ON c.partner = w.company
                JOIN book.account a ON a.partner_id = c.partner_id AND a.kind IN ('company', 'budget')
                JOIN book.balance b ON b.account_id = a.account_id
                JOIN book.entry e ON e.account_id = a.account_id JOIN book.posting p ON p.n = e.file_id
                WHERE p.on_day >= w.since OR w.since IS NULL
            ), back AS ({_BACK})
            SELECT o.kind, o.owner, o.account_id, o.file_id, o.event, o.on_day, o.file, back.item_id AS promise,
                   any_value(o.balance) AS balance,
                   CAST(sum(o.amount) AS BIGINT) AS points, count(DISTINCT o.transfer_id) AS records,
                   min(o.transfer_id) AS first,
                   CASE WHEN count(DISTINCT o.transfer_id) = 1 THEN min(i.ref) END AS ref
            FROM own o LEFT JOIN back ON back.transfer_id = o.transfer_id
            LEFT JOIN book.item i ON i.item_id = coalesce(back.item_id, o.transfer_id // {TRANSFERS_PER_RECORD})
            GROUP BY ALL""",
        wanted=pl.DataFrame({"company": [company], "since": [since]}, schema={"company": pl.String, "since": pl.Date}),
    )
    order = ["on_day", "file_id", "first", "event"]
    run = pl.col("points").cum_sum().over("account_id", order_by=order)
    closing = pl.col("balance") - pl.col("points").sum().over("account_id") + run
    ordered = (
        moved.join(events, on="event", how="left")
        .sort(pl.col("kind") == "budget", "owner", *order)
        .with_columns(closing_balance=closing, opening_balance=closing - pl.col("points"))
    )
    shown = ordered if until is None else ordered.filter(pl.col("on_day") <= until)
    named = shown.with_columns(
        account=pl.when(pl.col("kind") == "company").then(pl.lit("balance")).otherwise("owner"),
        date="on_day",
        reference="ref",
        posting="file_id",
        event="name",
    )
    return named.select(pl.col(name).cast(kind) for name, kind in STATEMENT.items())


def budget_list(book: Lookups, company: str | None = None) -> pl.DataFrame:
    """BUDGET_LIST of all companies, or of one."""
    stands = budgets.standing(book).join(book.partners().select("partner_id", company="partner"), on="partner_id")
    shown = stands.filter(_of(company)).select(
        "company",
        "department",
        "from_day",
        "until_day",
        "funded",
        "stretched",
        budget="code",
        limit=pl.when(pl.col("hard") == 1).then(pl.lit("hard")).otherwise(pl.lit("warn")),
        used=pl.col("funded") + pl.col("stretched") - pl.col("balance"),
        left="balance",
        state=pl.when(pl.col("standing") == Standing.OPEN.value).then(pl.lit("open")).otherwise(pl.lit("closed")),
    )
    return shown.sort("company", "budget").select(pl.col(name).cast(kind) for name, kind in BUDGET_LIST.items())


def waiting(book: Lookups, company: str | None = None) -> pl.DataFrame:
    """WAITING of all companies, or of one, oldest first, recipients masked."""
    found = book.frame(
        f"""SELECT c.partner AS company, o.ref, o.member, o.remaining AS points, o.state, o.value_date AS send_date,
                   o.due_date AS returns_on, o.item_id // {RECORD_SPAN} AS posting, o.item_id % {RECORD_SPAN} AS line
            FROM book.open_item o JOIN book.partner c ON c.partner_id = o.partner_id
            WHERE o.side = {Side.PROMISED:d} AND o.kind = {ItemKind.DISTRIBUTION:d} ORDER BY o.item_id"""
    )
    states = {State.SCHEDULED.value: "scheduled", State.UNCLAIMED.value: "unclaimed"}
    shown = found.filter(_of(company)).with_columns(
        masked_address("member").alias("recipient"),
        state=pl.col("state").replace_strict(states, return_dtype=pl.String),
    )
    return shown.select(pl.col(name).cast(kind) for name, kind in WAITING.items())


def _of(company: str | None) -> pl.Expr:
    return pl.lit(value=True) if company is None else pl.col("company") == company
