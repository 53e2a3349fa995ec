"""What the program's own feeds do to the book: opening balances at cut-over, rates, and the close of a day.

Here: those three. Not here: partners' files (``requests``, ``answers``).
"""

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.invariants import require
from counterfoil.ledger import charges, lots, posting, promises
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode, Disposition, Event, ItemKind, MatchPass, Side, State
from counterfoil.ledger.names import HOUSE, HOUSE_NAME, Names
from counterfoil.ledger.work import Work
from counterfoil.reconcile import breaks

ROLE_KINDS = ("in_flight", "payable", "prepaid", "suspense")
"""Accounts that a partner has one of each."""

SOURCES = ("member", "issued")
"""Accounts that a request can be paid from."""


def compose_opening(work: Work, book: Lookups) -> posting.Changes:
    """Balances and open requests at cut-over, once a programme; the counter-account is ``issued``."""
    if book.has_posted("opening"):
        raise PermanentError(
            Code.CORRECTION_HELD,
            work.feed.key,
            found="a second opening",
            expected="one opening a programme",
            remedy="Book later changes by the feed they come from",
        )
    names = Names(book, file_id=work.file_id, unit=work.unit)
    _require_sources(work)
    named = work.accepted.with_columns(pl.col("partner").fill_null(HOUSE_NAME))
    placed = pl.concat(
        [_placed(part, names, part["partner"][0]) for part in named.partition_by("partner", maintain_order=True)]
    ).sort("line_no")
    require(placed["target_account"].null_count() == 0, "every opening row has its account")
    items = _opening_items(placed, work)
    event = (
        pl.when(pl.col("entry") == "item")
        .then(pl.lit(Event.OPENING_ITEM.value, pl.Int16))
        .otherwise(pl.lit(Event.OPENING_BALANCE.value, pl.Int16))
    )
    effects = placed.select(
        "line_no",
        "value_date",
        "target_account",
        ordinal=pl.lit(0, pl.Int64),
        event=event,
        source_account=pl.lit(None, pl.Int32),
        sent="points",
        answered="points",
        partner_id="partner_id",
    )
    booked = [
        posting.entries(part.select(*posting.EFFECTS), work.rules, names.roles(part["partner_id"][0]), work.file_id)
        for part in effects.partition_by("partner_id", maintain_order=True)
    ]
    return posting.changes(
        {
            "item": items,
            "disposition": _plain(placed, event, work.file_id),
            "entry": pl.concat(booked).sort("transfer_id", "leg"),
            **names.rows(),
        },
        opened=items,
    )


def compose_rates(work: Work, book: Lookups) -> posting.Changes:
    """Rates that value points from a day on, and the breaks about money (B05) that they settle."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    charge, agreed = charges.rejudged(work, book)
    rows = work.accepted.with_columns(file_id=pl.lit(work.file_id), value_date="effective_from")
    return posting.changes(
        {
            "rate": rows,
            "disposition": _plain(rows, pl.lit(Event.RATE.value), work.file_id),
            "charge": charge,
            **names.rows(),
        },
        clearing=agreed,
    )


def compose_calendar(work: Work, book: Lookups) -> posting.Changes:
    """The close of a day: items past their due date turn overdue (B02), missing and held files open B13, files rejected
    whole open B12, what is left of lots that end by it goes to breakage, and promises go to people or back."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    rows = work.accepted.with_columns(file_id=pl.lit(work.file_id), value_date="day")
    require(rows["day"].n_unique() <= 1, "a calendar file closes one day")
    partners = {name: names.partner(name) for name in rows["partner"].unique().sort()}
    came = book.feeds_posted_for(work.business_date)
    late = breaks.opening(
        # The file may have come since this calendar was written, when a crash kept it from being posted.
        rows.filter(pl.col("status").is_in(["missing", "held", "rejected"]) & ~pl.col("feed").is_in(came)),
        line_no="line_no",
        code=pl.when(pl.col("status") == "rejected")
        .then(pl.lit(BreakCode.CONTROL_WRONG.value))
        .otherwise(pl.lit(BreakCode.SEQUENCE.value)),
        subject=pl.concat_str("feed", pl.lit(":"), pl.col("day").cast(pl.String)),
        value_date="day",
        partner_id=pl.col("partner").replace_strict(partners, return_dtype=pl.Int32),
        at_once=pl.lit(value=False),
    )
    overdue = breaks.opening(
        book.overdue(work.business_date),
        line_no=pl.lit(0),
        item_id="item_id",
        code=pl.lit(BreakCode.OVERDUE.value),
        subject="ref",
        points_ours="amount",
        value_date="value_date",
        partner_id="partner_id",
        at_once=pl.lit(value=False),
    )
    ended = lots.expired(book, names, work)
    promised = promises.at_close(names, work, book)
    return posting.changes(
        {
            "closed_day": rows,
            "disposition": _plain(rows, pl.lit(Event.DAY_CLOSED.value), work.file_id),
            "entry": pl.concat([ended.entry, promised.entry]),
            "settled_key": promised.settled_key,
            "item_change": promised.item_change,
            "lot": promised.lots.lot,
            "lot_use": pl.concat([ended.lot_use, promised.lots.lot_use]),
            **names.rows(),
        },
        closed=promised.settled_key.select("item_id"),
        breaking=pl.concat([late, overdue, promised.breaking]),
        opened_lots=promised.lots.opened,
        drawn_lots=pl.concat([ended.drawn, promised.lots.drawn]),
    )


def _placed(part: pl.DataFrame, names: Names, partner: str) -> pl.DataFrame:
    """Add the partner's id and the account of each row; members' accounts come from their numbers.

    The account of an open request (``item``) is the one it was paid from.
    """
    partner_id = names.partner(partner)
    members = names.members(partner_id, part.filter(pl.col("account") == "member")["owner"])
    kinds = [kind for kind in part["account"].unique().sort() if kind in ROLE_KINDS]
    roles = pl.DataFrame(
        {"account": kinds, "role_account": [names.role(kind, partner_id) for kind in kinds]},
        schema={"account": pl.String, "role_account": pl.Int32},
    )
    return (
        part.join(roles, on="account", how="left", maintain_order="left")
        .join(members.select("owner", "account_id"), on="owner", how="left", maintain_order="left")
        .with_columns(
            partner_id=pl.lit(partner_id, pl.Int32),
            target_account=pl.when(pl.col("account") == "issued")
            .then(pl.lit(names.role("issued", HOUSE), pl.Int32))
            .otherwise(pl.coalesce("role_account", "account_id")),
        )
    )


def _require_sources(work: Work) -> None:
    """An open request names the account it was paid from, to which a rejection returns its points, and its own ref."""
    items = work.accepted.filter(pl.col("entry") == "item")
    wrong = items.filter(
        ~pl.col("account").is_in(SOURCES)
        | pl.col("ref").is_null()
        | (pl.col("partner").is_null())
        | pl.struct("partner", "ref").is_duplicated()
    )["line_no"]
    if wrong.len():
        raise PermanentError(
            Code.ENVELOPE_INVALID,
            f"{work.feed.key} line {wrong[0]}",
            found=f"{wrong.len()} open requests without an account that paid, a partner or a reference of their own",
            expected=f"one of {', '.join(SOURCES)} in account, and each reference once a partner",
            remedy="Correct the rows and land the file again; nothing was posted",
        )


def _opening_items(placed: pl.DataFrame, work: Work) -> pl.DataFrame:
    return placed.filter(pl.col("entry") == "item").select(
        "partner_id",
        "ref",
        "value_date",
        item_id=posting.record_id(work.file_id, "line_no"),
        member="owner",
        side=pl.lit(Side.OURS.value),
        kind=pl.lit(ItemKind.REQUEST.value),
        state=pl.lit(State.PENDING.value),
        source_account="target_account",
        amount="points",
        remaining="points",
        unit=pl.lit(work.unit),
        their_amount="points",
        their_unit=pl.lit(work.unit),
        ratio_ours=pl.lit(1),
        ratio_theirs=pl.lit(1),
        due_date="value_date",
    )


def _plain(rows: pl.DataFrame, event: pl.Expr, file_id: int) -> pl.DataFrame:
    """Dispositions of records that state a fact and match nothing."""
    points = pl.col("points") if "points" in rows.columns else pl.lit(0)
    return rows.select(
        "line_no",
        "value_date",
        disposition=pl.lit(Disposition.INFORMATION.value),
        event=event,
        match_pass=pl.lit(MatchPass.NONE.value),
        item_id=pl.lit(None),
        points=points,
        reason_id=pl.lit(None),
        file_id=pl.lit(file_id),
    )
