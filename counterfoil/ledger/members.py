"""What a members file does to the book: the account of a merged member moves to its survivor, points, lots and all.

Here: merges that a file of the ``members`` feed tells. Not here: which of them can be done (``reconcile.merges``), what
later is meant for an account that was merged away (``merged``), or registrations (``people``). Answers tell aliases
only, and move nothing.
"""

from typing import Final

import polars as pl

from counterfoil.ledger import posting
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.lot_stock import DRAWS, MADE, USES, Arrivals, Lots, settled
from counterfoil.ledger.model import BreakCode, Disposition, Event, LotUse, MatchPass
from counterfoil.ledger.names import Names
from counterfoil.ledger.tables import TABLES
from counterfoil.ledger.work import Work
from counterfoil.reconcile import breaks
from counterfoil.reconcile.merges import judged

_ORDINAL: Final = 1
"""Transfers that are not what a record itself books have an ordinal above 0: a merge states no points."""

MERGES: Final = pl.col("change").fill_null("merge") == "merge"
"""Rows of a members file that this module is about."""

_SHOWN: Final = 3
"""Letters of a member's number in the subject of a break, which is sealed: not what reports happen to show."""


def compose(work: Work, book: Lookups) -> posting.Changes:
    """The changes of one members file: a transfer of the whole balance, the lots with it, an alias and a merge."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    merges = work.accepted.filter(MERGES)
    if merges.is_empty():
        return posting.changes(names.rows())
    of_partners = merges.sort("partner", "line_no").partition_by("partner", maintain_order=True)
    told = pl.concat([_judged(part, names, book) for part in of_partners]).sort("line_no")
    moved = told.filter(pl.col("event") == Event.MERGED.value)
    lots = _lots(moved, book, work)
    stamp = {"file_id": pl.lit(work.file_id), "since": pl.col("value_date")}
    return posting.changes(
        {
            "alias": moved.filter("unnamed").with_columns(**stamp),
            "merge": moved.with_columns(**stamp),
            "disposition": _dispositions(told, work.file_id),
            "entry": posting.entries(_effects(moved), work.rules, {}, work.file_id),
            "lot": lots.lot,
            "lot_use": lots.lot_use,
            **names.rows(),
        },
        breaking=_refused(told),
        opened_lots=lots.opened,
        drawn_lots=lots.drawn,
    )


def _judged(part: pl.DataFrame, names: Names, book: Lookups) -> pl.DataFrame:
    """The rows of one partner with what becomes of them: event, partner_id, from_account, to_account, balance of what
    is merged away, and whether no alias says so yet (unnamed)."""
    partner_id = names.partner(part["partner"][0])
    done = book.frame(f"SELECT member, survivor FROM book.merge WHERE partner_id = {partner_id} ORDER BY member")
    aliases = book.aliases(partner_id)
    told = judged(part, done, aliases)
    merging = told.filter(pl.col("event") == Event.MERGED.value)
    accounts = names.members(partner_id, pl.concat([merging["member"], merging["end"]]))
    away = accounts.select(member="owner", from_account="account_id", balance="balance")
    stands = accounts.select(end="owner", to_account="account_id")
    return (
        told.join(away, on="member", how="left", maintain_order="left")
        .join(stands, on="end", how="left", maintain_order="left")
        .with_columns(
            partner_id=pl.lit(partner_id, pl.Int32), unnamed=~pl.col("member").is_in(aliases["member"].implode())
        )
    )


def _effects(moved: pl.DataFrame) -> pl.DataFrame:
    return moved.select(
        "line_no",
        "event",
        "value_date",
        ordinal=pl.lit(_ORDINAL, pl.Int64),
        source_account="from_account",
        target_account="to_account",
        sent="balance",
        answered="balance",
    )


def _lots(moved: pl.DataFrame, book: Lookups, work: Work) -> Lots:
    """The open lots of merged accounts move on as they are; what no lot holds, or is owed, goes to the survivor's."""
    lots = book.frame(
        """SELECT m.line_no, m.to_account, o.* FROM book.open_lot o JOIN moved m ON m.from_account = o.account_id
           ORDER BY m.line_no, o.earned, o.expires, o.lot_id""",
        moved=moved.select("line_no", "from_account", "to_account"),
    )
    held = lots.group_by("line_no").agg(held=pl.col("remaining").sum())
    rest = (
        moved.join(held, on="line_no", how="left", maintain_order="left")
        .select("line_no", account_id="to_account", amount=pl.col("balance") - pl.col("held").fill_null(0))
        .filter(pl.col("amount") != 0)
    )
    uses = lots.select(
        "lot_id",
        "account_id",
        "line_no",
        item_id=pl.lit(None),
        use=pl.lit(LotUse.MERGED.value),
        amount="remaining",
    )
    made = lots.select(pl.exclude("account_id", "remaining")).with_columns(
        account_id=lots["to_account"], amount=lots["remaining"]
    )
    arrivals = Arrivals(back=pl.DataFrame(schema={**MADE, "lot_id": pl.Int64}), made=made.select(*MADE), rest=rest)
    nobody = pl.DataFrame(schema=DRAWS)
    arrived = settled(arrivals, nobody, pl.DataFrame(schema=USES), book, work)
    leaving = posting.shaped(uses.with_columns(file_id=pl.lit(work.file_id)), TABLES["lot_use"])
    return Lots(
        lot=arrived.lot,
        lot_use=pl.concat([leaving, arrived.lot_use]),
        opened=arrived.opened,
        drawn=pl.concat([lots.select("lot_id", remaining=pl.lit(0, pl.Int64)), arrived.drawn]),
    )


def _dispositions(told: pl.DataFrame, file_id: int) -> pl.DataFrame:
    return told.select(
        "line_no",
        "event",
        "value_date",
        disposition=pl.lit(Disposition.INFORMATION.value),
        match_pass=pl.lit(MatchPass.NONE.value),
        item_id=pl.lit(None),
        points=pl.lit(0),
        reason_id=pl.lit(None),
        file_id=pl.lit(file_id),
    )


def _refused(told: pl.DataFrame) -> pl.DataFrame:
    """A break (B10) for each merge that a person must look at; its subject shows of both numbers what people see."""
    refused = told.filter(pl.col("event") == Event.MERGE_REFUSED.value).select(
        "line_no", "value_date", "partner_id", shown=shown("member"), into=shown("survivor")
    )
    return breaks.opening(
        refused,
        line_no="line_no",
        code=pl.lit(BreakCode.OTHER_ACCOUNT.value),
        subject=pl.concat_str("shown", pl.lit(" > "), "into"),
        value_date="value_date",
        partner_id="partner_id",
        at_once=pl.lit(value=False),
    )


def shown(member: str) -> pl.Expr:
    """The end of a number; one too short to hide anything is hidden whole."""
    number = pl.col(member)
    return pl.when(number.str.len_chars() > _SHOWN).then(number.str.slice(-_SHOWN)).otherwise(pl.lit("?"))
