"""Turns effects (record, event, amounts) into balanced entries by the posting rules. Pure: frames in, frames out.

Here: the shape of a posting's changes and the one place that makes entries. Not here: which effects a feed has
(``answers``, ``requests``, ``own_feeds``) or how changes reach the book (``store``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from counterfoil.ledger.chart import Move, PostingRules
from counterfoil.ledger.model import RECORD_SPAN, TRANSFERS_PER_RECORD, Event
from counterfoil.ledger.tables import OPEN_ITEM, OPEN_LOT, TABLES
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


AMOUNTS: Final[Mapping[str, pl.Expr]] = {
    "sent": pl.col("sent"),
    "answered": pl.col("answered"),
    "matched": pl.min_horizontal("sent", "answered"),
    "shortfall": (pl.col("sent") - pl.col("answered")).clip(lower_bound=0),
    "excess": (pl.col("answered") - pl.col("sent")).clip(lower_bound=0),
}

LEGS_MAX = 16
"""Legs that one transfer can have: eight moves."""


@dataclass(frozen=True, eq=False)
class Changes:
    """Everything one file does to the book.

    ``rows``: frames by table, columns of ``model.TABLES``; ``opened``: OPEN_ITEM rows; ``closed``: item_id of items
    that leave the working set; ``breaking``: breaks to open (``breaks.OPENING``); ``clearing``: break_id, code of open
    breaks to close; ``reopening``: the same of cleared breaks to open again; ``opened_lots``: OPEN_LOT rows;
    ``drawn_lots``: lot_id, remaining of lots whose points moved (0: the lot leaves the working set). An ``item_change``
    row of an item that is open restates it there.
    """

    rows: Mapping[str, pl.DataFrame]
    opened: pl.DataFrame
    closed: pl.DataFrame
    breaking: pl.DataFrame
    clearing: pl.DataFrame
    reopening: pl.DataFrame
    opened_lots: pl.DataFrame
    drawn_lots: pl.DataFrame


CLEARING: Final = {"break_id": pl.String, "code": pl.Int16}

WORKING: Final[Mapping[str, Mapping[str, type[pl.DataType]]]] = {
    "opened": OPEN_ITEM,
    "closed": {"item_id": pl.Int64},
    "breaking": OPENING,
    "clearing": CLEARING,
    "reopening": CLEARING,
    "opened_lots": OPEN_LOT,
    "drawn_lots": {"lot_id": pl.Int64, "remaining": pl.Int64},
}
"""Columns of the working parts of ``Changes``."""


def changes(rows: Mapping[str, pl.DataFrame], **working: pl.DataFrame) -> Changes:
    """Changes with every table and working set present, each with exactly its columns; what is not given is empty."""
    return Changes(
        rows={name: shaped(rows.get(name), columns) for name, columns in TABLES.items()},
        **{name: shaped(working.get(name), columns) for name, columns in WORKING.items()},
    )


def merged(parts: Sequence[Changes]) -> Changes:
    """The changes of all parts as one."""
    return Changes(
        rows={name: pl.concat([part.rows[name] for part in parts]) for name in TABLES},
        **{name: pl.concat([getattr(part, name) for part in parts]) for name in WORKING},
    )


def shaped(frame: pl.DataFrame | None, columns: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    """The frame with exactly these columns and types; an empty one for None."""
    if frame is None:
        return pl.DataFrame(schema=dict(columns))
    if frame.columns == list(columns) and frame.schema == pl.Schema(columns):
        return frame
    return frame.select(pl.col(name).cast(kind) for name, kind in columns.items())


def record_id(file_id: int, line_no: str) -> pl.Expr:
    """The id of a record, and so of the item it makes."""
    return pl.col(line_no).cast(pl.Int64) + file_id * RECORD_SPAN


def entries(effects: pl.DataFrame, rules: PostingRules, roles: Mapping[str, int], file_id: int) -> pl.DataFrame:
    """Entries of all effects, ordered by transfer and leg.

    ``effects`` has EFFECTS' columns; ``roles`` maps every role but source and target to an account id. Amounts of zero
    make no entry.
    """
    moves = {Event(event): rules.moves(Event(event)) for event in effects["event"].unique().sort()}
    deepest = max((len(of_event) for of_event in moves.values()), default=0)
    numbered = [{event: of[number] for event, of in moves.items() if len(of) > number} for number in range(deepest)]
    pairs = [_pairs(effects, chosen, number, roles) for number, chosen in enumerate(numbered)]
    pairs = [pair for pair in pairs if pair.height]
    if not pairs:
        return pl.DataFrame(schema=TABLES["entry"])
    legs = (
        pl.concat(pairs)
        .with_columns(
            transfer_id=record_id(file_id, "line_no") * TRANSFERS_PER_RECORD + pl.col("ordinal"),
            accounting_date=pl.col("value_date"),
            file_id=pl.lit(file_id, pl.Int32),
        )
        .drop("ordinal")
    )
    # Legs come as pairs in the order of effects, so as a rule they lie right; one integer key sorts three times as
    # fast as two columns.
    key = legs.select(pl.col("transfer_id") * LEGS_MAX + pl.col("leg")).to_series()
    return legs if key.is_sorted() else legs[key.arg_sort()]


def _pairs(effects: pl.DataFrame, moves: Mapping[Event, Move], number: int, roles: Mapping[str, int]) -> pl.DataFrame:
    """Both legs of the ``number``-th move of each effect whose event has one, one after the other."""

    def of_event(part: Callable[[Move], pl.Expr], kind: type[pl.DataType]) -> pl.Expr:
        chosen = pl.lit(None, kind)
        for event, move in moves.items():
            chosen = pl.when(pl.col("event") == event.value).then(part(move)).otherwise(chosen)
        return chosen

    moved = effects.select(
        "line_no",
        "ordinal",
        "event",
        "value_date",
        origin=of_event(lambda move: _account(move.origin, roles), pl.Int32),
        to=of_event(lambda move: _account(move.to, roles), pl.Int32),
        amount=of_event(lambda move: AMOUNTS[move.amount], pl.Int64),
    ).filter(pl.col("amount") != 0)
    side = pl.int_range(2 * moved.height, dtype=pl.Int64, eager=True)
    to = side % 2 == 1
    return moved[side // 2].select(
        "line_no",
        "ordinal",
        "event",
        "value_date",
        leg=(side % 2 + 2 * number).cast(pl.Int16),
        account_id=pl.when(to).then("to").otherwise("origin"),
        amount=pl.when(to).then(pl.col("amount")).otherwise(-pl.col("amount")),
    )


def _account(role: str, roles: Mapping[str, int]) -> pl.Expr:
    if role in ("source", "target"):
        return pl.col(f"{role}_account")
    return pl.lit(roles[role], pl.Int32)
