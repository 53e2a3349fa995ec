"""Turns effects (record, event, amounts) into balanced entries by the posting rules. Pure: frames in, frames out.

Here: the shape of a posting's changes and the one place that makes entries. Not here: which effects a feed has
(``answers``, ``requests``, ``own_feeds``) or how changes reach the book (``store``).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from counterfoil.ledger.chart import Move, PostingRules
from counterfoil.ledger.model import OPEN_ITEM, RECORD_SPAN, TABLES, TRANSFERS_PER_RECORD, Event
from counterfoil.reconcile.breaks import OPENING

EFFECTS = {
    "line_no": pl.Int64,
    "ordinal": pl.Int64,
    "event": pl.Int16,
    "source_account": pl.Int32,
    "target_account": pl.Int32,
    "sent": pl.Int64,
    "answered": pl.Int64,
    "value_date": pl.Date,
}
"""One booking a row. ``ordinal`` tells several transfers of one record apart; amounts are magnitudes, except that an
unknown answer keeps its sign."""


LEGS_MAX = 16
"""Legs that one transfer can have: eight moves."""


@dataclass(frozen=True, eq=False)
class Changes:
    """Everything one file does to the book.

    ``rows``: frames by table, columns of ``model.TABLES``; ``opened``: OPEN_ITEM rows; ``closed``: item_id of items
    that leave the working set; ``restated``: item_id, state, remaining of items that stay; ``breaking``: breaks to
    open (``breaks.OPENING``); ``clearing``: break_id, code of open breaks to close.
    """

    rows: Mapping[str, pl.DataFrame]
    opened: pl.DataFrame
    closed: pl.DataFrame
    restated: pl.DataFrame
    breaking: pl.DataFrame
    clearing: pl.DataFrame


CLEARING = {"break_id": pl.String, "code": pl.Int16}


def changes(rows: Mapping[str, pl.DataFrame], **working: pl.DataFrame) -> Changes:
    """Changes with every table and working set present, each with exactly its columns; what is not given is empty."""
    shapes: dict[str, dict[str, type[pl.DataType]]] = {
        "opened": OPEN_ITEM,
        "closed": {"item_id": pl.Int64},
        "restated": {"item_id": pl.Int64, "state": pl.Int16, "remaining": pl.Int64},
        "breaking": OPENING,
        "clearing": CLEARING,
    }
    return Changes(
        rows={name: shaped(rows.get(name), columns) for name, columns in TABLES.items()},
        **{name: shaped(working.get(name), columns) for name, columns in shapes.items()},
    )


def shaped(frame: pl.DataFrame | None, columns: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    """The frame with exactly these columns and types; an empty one for None."""
    if frame is None:
        return pl.DataFrame(schema=dict(columns))
    return frame.select(pl.col(name).cast(kind) for name, kind in columns.items())


def record_id(file_id: int, line_no: str) -> pl.Expr:
    """The id of a record, and so of the item it makes."""
    return pl.col(line_no).cast(pl.Int64) + file_id * RECORD_SPAN


def entries(effects: pl.DataFrame, rules: PostingRules, roles: Mapping[str, int], file_id: int) -> pl.DataFrame:
    """Entries of all effects, ordered by transfer and leg.

    ``effects`` has EFFECTS' columns; ``roles`` maps every role but source and target to an account id. Amounts of zero
    make no entry.
    """
    legs = [
        leg
        for event in effects["event"].unique().sort()
        for number, move in enumerate(rules.moves(Event(event)))
        for leg in _legs(effects.filter(pl.col("event") == event), move, number, roles)
    ]
    if not legs:
        return pl.DataFrame(schema=TABLES["entry"])
    # One integer key: sorting by two columns takes three times as long.
    return (
        pl.concat(legs)
        .with_columns(
            transfer_id=record_id(file_id, "line_no") * TRANSFERS_PER_RECORD + pl.col("ordinal"),
            accounting_date=pl.col("value_date"),
            file_id=pl.lit(file_id, pl.Int32),
        )
        .sort(pl.col("transfer_id") * LEGS_MAX + pl.col("leg"))
    )


def _legs(effects: pl.DataFrame, move: Move, number: int, roles: Mapping[str, int]) -> list[pl.DataFrame]:
    amount = {
        "sent": pl.col("sent"),
        "answered": pl.col("answered"),
        "matched": pl.min_horizontal("sent", "answered"),
        "shortfall": (pl.col("sent") - pl.col("answered")).clip(lower_bound=0),
        "excess": (pl.col("answered") - pl.col("sent")).clip(lower_bound=0),
    }[move.amount]
    moved = effects.with_columns(amount=amount).filter(pl.col("amount") != 0)
    return [
        moved.select(
            "line_no",
            "ordinal",
            "event",
            "value_date",
            leg=pl.lit(2 * number + side, pl.Int16),
            account_id=_account(role, roles),
            amount=pl.col("amount") if side else -pl.col("amount"),
        )
        for side, role in enumerate((move.origin, move.to))
    ]


def _account(role: str, roles: Mapping[str, int]) -> pl.Expr:
    if role in ("source", "target"):
        return pl.col(f"{role}_account")
    return pl.lit(roles[role], pl.Int32)
