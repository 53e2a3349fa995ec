"""What a bulk upload does to the book: points go from a company, or a budget of its, to its people.

Here: the people, budgets and balances that the rows meet, whether they cover the whole file, and the rows that each
leads to. Not here: what becomes of each row (``reconcile.distributing``), or of what waits (``promises``).
"""

from datetime import timedelta
from typing import Final

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import PROGRAMME
from counterfoil.ledger import budgets, merged, people, posting
from counterfoil.ledger.companies import require_open, standing_units, stated, with_company
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import (
    RECORD_SPAN,
    Action,
    BreakCode,
    Disposition,
    Event,
    ItemKind,
    Side,
    Standing,
    State,
    Unit,
)
from counterfoil.ledger.names import Names
from counterfoil.ledger.tables import TABLES
from counterfoil.ledger.work import Work, month_of
from counterfoil.reconcile import breaks, budgeting, distributing
from counterfoil.reconcile.distributing import PAYS, Reason, Shortage

HASH_NAMED: Final = 48
"""Digits of a file's hash by which a decision to leave a row out names it, before a colon and the line."""

_STATES: Final = {
    Event.DISTRIBUTED.value: State.CREDITED.value,
    Event.DISTRIBUTED_UNCLAIMED.value: State.UNCLAIMED.value,
    Event.SCHEDULED.value: State.SCHEDULED.value,
}
_DISPOSITIONS: Final = {
    **dict.fromkeys(_STATES, Disposition.SETTLED.value),
    Event.DISTRIBUTION_REFUSED.value: Disposition.REJECTED.value,
    Event.DISTRIBUTION_KNOWN.value: Disposition.DUPLICATE.value,
    Event.LEFT_OUT.value: Disposition.INFORMATION.value,
}
_STRETCHING: Final = 1
"""What a company adds to a budget is not what a row itself books."""


RESULTS: Final = {"line": pl.Int64, "code": pl.String, "text": pl.String, "refused": pl.Boolean}
"""What became of each row of a posted file, as its company reads it."""

_WORDS: Final = {
    Event.DISTRIBUTED: ("sent", "the points are on the recipient's account"),
    Event.DISTRIBUTED_UNCLAIMED: ("to_register", "the points wait until the recipient has registered"),
    Event.SCHEDULED: ("scheduled", "the points are sent on their day"),
    Event.DISTRIBUTION_KNOWN: ("repeated", "the same row came before; it was not paid twice"),
    Event.LEFT_OUT: ("left_out", "left out by a decision"),
}
_REASONS: Final = {
    Reason.FOREIGN_COMPANY: "the row is of another company than the file",
    Reason.OTHER_COMPANY: "the recipient is registered with another company",
    Reason.MEMBER_CLOSED: "the recipient's membership has ended",
    Reason.DEPARTMENT_UNKNOWN: "the company has no such department",
    Reason.REFERENCE_USED: "the reference stands on another row, of this file or an earlier one",
}


def results(book: Lookups, n: int) -> pl.DataFrame:
    """RESULTS of a posted bulk upload, by line."""
    found = book.frame(
        f"""SELECT CAST(d.line_no AS BIGINT) AS line, d.event, r.reason
            FROM book.disposition d LEFT JOIN book.reason r ON r.reason_id = d.reason_id
            WHERE d.file_id = {n} ORDER BY d.line_no"""
    )
    codes = {event.value: code for event, (code, _) in _WORDS.items()}
    texts = dict(_WORDS.values()) | {str(reason): text for reason, text in _REASONS.items()}
    code = pl.coalesce("reason", pl.col("event").replace_strict(codes, default=None, return_dtype=pl.String))
    named = found.select("line", code=code, refused=~pl.col("event").is_in(PAYS))
    return named.with_columns(text=pl.col("code").replace_strict(texts, return_dtype=pl.String)).select(*RESULTS)


def compose(work: Work, book: Lookups) -> posting.Changes:
    """The changes of one bulk upload; POINTS_SHORT where it is not covered, and COMPANY_UNKNOWN."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    rows = _of_whom(work, names)
    require_open(rows, work, book)
    if rows.is_empty():
        return posting.changes(names.rows())
    roles = {company: names.company_roles(company) for company in rows["partner_id"].unique().sort()}
    standing = budgets.standing(book).filter(pl.col("standing") == Standing.OPEN.value)
    told = _judged(rows, work, book)
    paid = distributing.sourced(told, standing, _companies(roles))
    more = distributing.stretched(paid, standing).with_columns(company_account=_of_companies(roles, "company"))
    _require_cover(paid, more, standing, roles, work, book)
    paid = _credited(paid, names, book)
    reasons = [
        names.reasons(of["partner_id"][0], of["reason"]).with_columns(partner_id=pl.lit(of["partner_id"][0], pl.Int32))
        for of in paid.partition_by("partner_id", maintain_order=True)
    ]
    items = _items(paid, work)
    waits = items.filter(pl.col("state") != State.CREDITED.value)
    return posting.changes(
        {
            "item": items,
            "promise": _promises(paid).with_columns(file_id=pl.lit(work.file_id)),
            "settled_key": _settled(items.filter(pl.col("state") == State.CREDITED.value), work),
            "disposition": _dispositions(paid, pl.concat(reasons), work.file_id),
            "entry": _entries(paid, more, roles, work),
            "budget": _stretched(more, standing, work),
            "budget_alert": _alerts(paid, standing, book, work),
            **names.rows(),
        },
        opened=waits,
        breaking=_repeated(paid),
    )


def _of_whom(work: Work, names: Names) -> pl.DataFrame:
    """Rows with the ``partner_id`` of their company, and ``foreign``. A company's own feed is that company's alone,
    whatever its rows say: so none spends what is another's, nor makes a partner."""
    if work.feed.partner == PROGRAMME:
        return with_company(work.accepted, names).with_columns(foreign=pl.lit(value=False))
    return work.accepted.with_columns(
        company=pl.lit(work.feed.partner),
        partner_id=pl.lit(names.partner(work.feed.partner), pl.Int32),
        foreign=pl.col("company") != work.feed.partner,
    )


def _judged(rows: pl.DataFrame, work: Work, book: Lookups) -> pl.DataFrame:
    """``distributing.judged`` of the rows, each with its reference: its own, or its place."""
    left_out = book.frame(
        f"""SELECT CAST(split_part(subject, ':', 2) AS BIGINT) AS line_no FROM book.decision
            WHERE action = {Action.LEAVE_OUT:d} AND subject LIKE '{work.payload_sha[:HASH_NAMED]}:%'"""
    )["line_no"]
    told = rows.with_columns(
        pl.col("email", "department").str.to_lowercase(),
        item_id=posting.record_id(work.file_id, "line_no"),
        left_out=pl.col("line_no").is_in(left_out.implode()),
    )
    departments = standing_units(book, Unit.DEPARTMENT, work.on_day).select("partner_id", department="code")
    return distributing.judged(
        told, people.found(book, told["email"]), _known(book, told, work), departments, work.on_day
    ).with_columns(ref=pl.col("ref").fill_null(pl.format(f"?{work.file_id}:{{}}", "line_no")))


def _known(book: Lookups, rows: pl.DataFrame, work: Work) -> pl.DataFrame:
    """``distributing.KNOWN`` among the references of rows: what was cancelled or went back may be sent again."""
    since = work.business_date - timedelta(days=work.feed.reference_lifetime_days)
    return book.frame(
        f"""SELECT i.partner_id, i.ref, i.member AS email, i.amount AS points, i.item_id
            FROM book.item i SEMI JOIN wanted w ON w.ref = i.ref AND w.partner_id = i.partner_id
            WHERE i.kind = {ItemKind.DISTRIBUTION:d} AND i.item_id >= (
                SELECT coalesce(min(n), 0) FROM book.posting WHERE on_day >= DATE '{since}') * {RECORD_SPAN}
              AND NOT EXISTS (SELECT 1 FROM book.settled_key k WHERE k.item_id = i.item_id
                              AND k.state IN ({State.RETURNED:d}, {State.CANCELLED:d}))
            ORDER BY i.item_id""",
        wanted=rows.select("partner_id", "ref").drop_nulls().unique(),
    )


def _companies(roles: dict[int, dict[str, int]]) -> pl.DataFrame:
    return pl.DataFrame(
        {"partner_id": list(roles), "account_id": [of["company"] for of in roles.values()]},
        schema={"partner_id": pl.Int32, "account_id": pl.Int32},
    )


def _of_companies(roles: dict[int, dict[str, int]], role: str) -> pl.Expr:
    accounts = {company: of[role] for company, of in roles.items()}
    return pl.col("partner_id").replace_strict(accounts, default=None, return_dtype=pl.Int32)


def _require_cover(
    paid: pl.DataFrame,
    more: pl.DataFrame,
    standing: pl.DataFrame,
    roles: dict[int, dict[str, int]],
    work: Work,
    book: Lookups,
) -> None:
    """Raise POINTS_SHORT unless every balance and budget covers what the whole file takes of it."""
    of_companies = _companies(roles).with_columns(
        balance=pl.Series([book.balance_of(of["company"]) for of in roles.values()], dtype=pl.Int64)
    )
    balances = pl.concat([of_companies.select("account_id", "balance"), standing.select("account_id", "balance")])
    short = distributing.shortages(paid, more, balances)
    if short:
        raise PermanentError(
            Code.POINTS_SHORT,
            work.feed.key,
            found="; ".join(_told(one, standing) for one in short),
            expected="cover for the whole file, before anything of it moves",
            remedy="Recharge or top up and release the file, or release it without some lines: counterfoil release "
            "--without",
        )


def _told(short: Shortage, standing: pl.DataFrame) -> str:
    """What is missing, in words."""
    code = standing.filter(pl.col("account_id") == short.account_id)["code"]
    whose = f"budget {code[0]}" if code.len() else "the company's balance"
    fits = f"lines up to {short.fits_until} would fit" if short.fits_until else "not even its first line fits"
    return f"{whose} holds {short.has:,} and the file takes {short.needs:,}, {short.needs - short.has:,} more; {fits}"


def _credited(paid: pl.DataFrame, names: Names, book: Lookups) -> pl.DataFrame:
    """Add ``target_account``: that of a registered recipient whose points are sent now."""
    now = paid.filter(pl.col("event") == Event.DISTRIBUTED.value)
    parts = [
        merged.standing(names.members(of["partner_id"][0], of["member"]), book).select(
            pl.lit(of["partner_id"][0], pl.Int32).alias("partner_id"), member="owner", target_account="account_id"
        )
        for of in now.partition_by("partner_id", maintain_order=True)
    ]
    nobody = pl.DataFrame(schema={"partner_id": pl.Int32, "member": pl.String, "target_account": pl.Int32})
    return paid.join(pl.concat([nobody, *parts]), on=["partner_id", "member"], how="left", maintain_order="left")


def _items(paid: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Items of rows that pay: to whom (by address), from where, and until when they wait for their recipient."""
    days = work.feed.unclaimed_days
    return paid.filter(pl.col("event").is_in(PAYS)).select(
        "item_id",
        "partner_id",
        "ref",
        "source_account",
        "value_date",
        side=pl.lit(Side.PROMISED.value),
        kind=pl.lit(ItemKind.DISTRIBUTION.value),
        state=pl.col("event").replace_strict(_STATES, return_dtype=pl.Int16),
        member="email",
        amount="points",
        remaining="points",
        unit=pl.lit(work.unit),
        their_amount="points",
        their_unit=pl.lit(work.unit),
        ratio_ours=pl.lit(1),
        ratio_theirs=pl.lit(1),
        due_date=pl.col("value_date").dt.offset_by(f"{days}d"),
    )


def _promises(paid: pl.DataFrame) -> pl.DataFrame:
    """Rows that say more than their item does: when their points expire, and for whom they wait for their day."""
    expire = pl.col("event").is_in(PAYS) & pl.col("expiry_months").is_not_null()
    return paid.filter(expire | (pl.col("event") == Event.SCHEDULED.value) & pl.col("member").is_not_null())


def _settled(items: pl.DataFrame, work: Work) -> pl.DataFrame:
    return items.select(
        "item_id",
        "state",
        confirmed=pl.lit(0),
        reversed=pl.lit(0),
        reason_id=pl.lit(None),
        month=pl.lit(month_of(work.on_day)),
        file_id=pl.lit(work.file_id),
        line_no=pl.col("item_id") % RECORD_SPAN,
    )


def _dispositions(paid: pl.DataFrame, reasons: pl.DataFrame, file_id: int) -> pl.DataFrame:
    pays = pl.col("event").is_in(PAYS)
    named = paid.join(reasons, on=["partner_id", "reason"], how="left", maintain_order="left").with_columns(
        disposition=pl.col("event").replace_strict(_DISPOSITIONS, return_dtype=pl.Int16),
        item_id=pl.when(pays).then("item_id").otherwise("about_id"),
    )
    return stated(named, file_id).with_columns(reason_id=named["reason_id"])


def _entries(paid: pl.DataFrame, more: pl.DataFrame, roles: dict[int, dict[str, int]], work: Work) -> pl.DataFrame:
    """Entries of the rows, and of what companies add to budgets that only warn."""
    amounts = {"sent": "points", "answered": "points"}
    own = paid.filter(pl.col("event").is_in(PAYS)).select(
        "partner_id",
        "line_no",
        "event",
        "source_account",
        "target_account",
        "value_date",
        ordinal=pl.lit(0, pl.Int64),
        **amounts,
    )
    added = more.select(
        "partner_id",
        "line_no",
        event=pl.lit(Event.BUDGET_STRETCHED.value, pl.Int16),
        source_account="account_id",
        target_account=pl.lit(None, pl.Int32),
        value_date=pl.lit(work.on_day),
        ordinal=pl.lit(_STRETCHING, pl.Int64),
        **amounts,
    )
    effects = pl.concat([own, added.select(own.columns)])
    booked = [
        posting.entries(part, work.rules, roles[part["partner_id"][0]], work.file_id)
        for part in effects.partition_by("partner_id", maintain_order=True)
    ]
    return pl.concat([posting.shaped(part, TABLES["entry"]) for part in [None, *booked]]).sort("transfer_id", "leg")


def _stretched(more: pl.DataFrame, standing: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Rows of ``budget`` that say by how much one was stretched."""
    return standing.join(more.select("account_id", "points", "line_no"), on="account_id").with_columns(
        stretched=pl.col("stretched") + pl.col("points"), file_id=pl.lit(work.file_id)
    )


def _alerts(paid: pl.DataFrame, standing: pl.DataFrame, book: Lookups, work: Work) -> pl.DataFrame:
    """Rows of ``budget_alert``: thresholds that this file passes."""
    taken = (
        paid.filter(pl.col("event").is_in(PAYS))
        .group_by(account_id=pl.col("source_account"))
        .agg(taken=pl.col("points").sum())
    )
    before = pl.col("funded") + pl.col("stretched") - pl.col("balance")
    used = standing.join(taken, on="account_id").with_columns(used=before + pl.col("taken"))
    told = book.frame("SELECT account_id, percent, funded FROM book.budget_alert")
    return budgeting.alerts(used, told).with_columns(file_id=pl.lit(work.file_id), line_no=pl.lit(0))


def _repeated(paid: pl.DataFrame) -> pl.DataFrame:
    """A break (B08) for each row like one before it: nothing was paid twice, and a person may send it again under a
    reference of its own."""
    return breaks.opening(
        paid.filter(pl.col("event") == Event.DISTRIBUTION_KNOWN.value),
        line_no="line_no",
        code=pl.lit(BreakCode.DUPLICATE_OURS.value),
        item_id="about_id",
        subject="ref",
        points_ours="points",
        value_date="value_date",
        partner_id="partner_id",
        at_once=pl.lit(value=False),
    )
