"""The whole story of one reference: every record under it, what each did, its breaks, and where it went from here.

Here: the reading of one story as plain values for people and JSON. Not here: lists over many references (``extracts``,
``figures``, ``open_breaks``) or the raw bytes, which lie in the landing store under ``payload_sha``.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

import polars as pl

from counterfoil.errors import Code, UsageError
from counterfoil.landing.outputs import Range
from counterfoil.ledger.extracts import code_and_title, masked
from counterfoil.ledger.figures import made_at, made_in
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakEvent, Disposition, Event, ItemKind, MatchPass, Side, State


@dataclass(frozen=True)
class End:
    """An item's life came to an end, or went on after it; ``confirmed`` and ``reversed`` are totals by then."""

    state: str
    confirmed: int
    reversed: int
    reason: str | None
    posting: int
    line: int | None


@dataclass(frozen=True)
class Item:
    """A request of ours, or an answer that waits as theirs, with the state it is in now."""

    item_id: int
    side: str
    kind: str
    state: str
    partner: str
    member: str | None
    points: int
    value_date: str
    due_date: str
    posting: int
    line: int
    ends: tuple[End, ...]


@dataclass(frozen=True)
class Leg:
    """One account's part of a transfer, credit positive."""

    account: str
    partner: str
    owner: str | None
    points: int


@dataclass(frozen=True)
class Transfer:
    """A booking; its legs sum to zero."""

    event: str
    value_date: str
    accounting_date: str
    legs: tuple[Leg, ...]


@dataclass(frozen=True)
class Told:
    """One record of a file: where it stands, what it turned out to be, and what it booked.

    ``candidates`` are the other items that bore the reference when it was posted; ``merged_to`` is the account that a
    merge named.
    """

    posting: int
    feed: str
    file: str
    line: int
    identity: str
    business_date: str
    programme_day: str
    posted_at: str
    payload_sha: str
    disposition: str
    event: str
    match_pass: str
    item_id: int | None
    points: int
    value_date: str
    reason: str | None
    merged_to: str | None
    candidates: tuple[int, ...]
    transfers: tuple[Transfer, ...]


@dataclass(frozen=True)
class BreakTold:
    """A break on the reference; ``cleared_on`` is null while it is open."""

    break_id: str
    code: str
    title: str
    partner: str
    points_ours: int | None
    points_theirs: int | None
    opened_on: str
    opened_by: int
    line: int | None
    cleared_on: str | None
    cleared_by: int | None


@dataclass(frozen=True)
class Sealed:
    """A posting of the story in the audit chain."""

    posting: int
    posted_at: str
    run_id: str
    actor: str
    software: str
    record_sha: str
    rows_digest: str
    content_head: str
    chain_head: str


@dataclass(frozen=True)
class Batched:
    """A CRM batch that covers postings of the story."""

    target: str
    batch_id: str
    state: str
    postings: tuple[int, ...]


@dataclass(frozen=True)
class Story:
    """Everything the book knows of a reference, in the order in which it happened."""

    ref: str
    items: tuple[Item, ...]
    records: tuple[Told, ...]
    breaks: tuple[BreakTold, ...]
    batches: tuple[Batched, ...]
    postings: tuple[Sealed, ...]

    def as_dict(self) -> dict[str, Any]:
        """The story as JSON values; keys are the fields above, days and instants ISO text."""
        return asdict(self)


_POSTED_AT = "strftime(p.posted_at, '%Y-%m-%dT%H:%M:%S.%g') || 'Z'"


def story(book: Lookups, ref: str, partner: str | None, *, ranges: Sequence[Range]) -> Story:
    """The story of a reference, at one partner or at all; members are masked.

    ``ranges`` are the CRM batches to look among. Raises NOTHING_FOUND. Reads the references of the items and breaks
    once from end to end: bulk tables have no index.
    """
    items = _items(book, ref, partner)
    broken = _breaks(book, ref, partner)
    if items.is_empty() and broken.is_empty():
        raise UsageError(
            Code.NOTHING_FOUND,
            "explain",
            found="no request, answer or break under this reference",
            expected="a reference as it stands in a posted file",
            remedy="Check its spelling and the partner; quarantined rows are found by file and line",
        )
    lines = _lines(book, items, broken)
    numbers = pl.concat([lines["file_id"], broken["opened_by"], broken["cleared_by"].drop_nulls()]).unique().sort()
    made = items.select("item_id", "partner").rows()
    return Story(
        ref=ref,
        items=_told_items(book, items),
        records=_told_records(book, lines, made),
        breaks=tuple(BreakTold(**row) for row in broken.drop("item_id").to_dicts()),
        batches=tuple(batch for known in ranges if (batch := _batched(known, numbers)).postings),
        postings=_sealed(book, numbers),
    )


def _items(book: Lookups, ref: str, partner: str | None) -> pl.DataFrame:
    """Items under the reference by id, columns of ``Item`` without ``ends``."""
    found = book.frame(
        f"""WITH named AS (SELECT i.* FROM book.item i SEMI JOIN wanted USING (ref)), last AS (
                SELECT k.item_id, arg_max(k.state, (k.file_id, k.line_no)) AS state
                FROM book.settled_key k SEMI JOIN named USING (item_id) GROUP BY k.item_id
            )
            SELECT i.item_id, i.side, i.kind, coalesce(o.state, l.state) AS state, p.partner, i.member,
                   i.amount AS points, CAST(i.value_date AS VARCHAR) AS value_date,
                   CAST(i.due_date AS VARCHAR) AS due_date, {made_in("i.item_id")} AS posting,
                   {made_at("i.item_id")} AS line
            FROM named i JOIN book.partner p ON p.partner_id = i.partner_id
            LEFT JOIN book.open_item o ON o.item_id = i.item_id LEFT JOIN last l ON l.item_id = i.item_id
            ORDER BY i.item_id""",
        wanted=pl.DataFrame({"ref": [ref]}),
    ).with_columns(_word("side", Side), _word("kind", ItemKind), _word("state", State), masked("member"))
    return found if partner is None else found.filter(pl.col("partner") == partner)


def _breaks(book: Lookups, ref: str, partner: str | None) -> pl.DataFrame:
    """Breaks on the reference in the order they opened: columns of ``BreakTold``, and item_id."""
    found = book.frame(
        f"""WITH named AS (SELECT b.* FROM book.break b JOIN wanted w ON w.ref = b.subject), cleared AS (
                SELECT e.break_id, max(e.on_day) AS on_day, max(e.file_id) AS file_id
                FROM book.break_event e SEMI JOIN named USING (break_id)
                WHERE e.event = {BreakEvent.CLEARED:d} AND e.break_id NOT IN (SELECT break_id FROM book.open_break)
                GROUP BY e.break_id
            )
            SELECT b.break_id, b.code, p.partner, b.points_ours, b.points_theirs,
                   CAST(b.opened_on AS VARCHAR) AS opened_on, b.file_id AS opened_by, nullif(b.line_no, 0) AS line,
                   CAST(c.on_day AS VARCHAR) AS cleared_on, c.file_id AS cleared_by, b.item_id
            FROM named b JOIN book.partner p ON p.partner_id = b.partner_id
            LEFT JOIN cleared c ON c.break_id = b.break_id ORDER BY b.file_id, b.line_no, b.code, b.break_id""",
        wanted=pl.DataFrame({"ref": [ref]}),
    ).with_columns(*code_and_title())
    return found if partner is None else found.filter(pl.col("partner") == partner)


def _lines(book: Lookups, items: pl.DataFrame, broken: pl.DataFrame) -> pl.DataFrame:
    """file_id, line_no of every record that made an item, spoke of one, or opened a break on the reference."""
    spoken = book.frame(
        "SELECT d.file_id, d.line_no FROM book.disposition d SEMI JOIN named USING (item_id)",
        named=items.select("item_id"),
    )
    own = items.select(file_id=pl.col("posting").cast(pl.Int32), line_no=pl.col("line").cast(pl.Int32))
    opened = broken.filter(pl.col("line").is_not_null()).select(file_id="opened_by", line_no="line")
    return pl.concat([spoken, own, opened]).unique().sort("file_id", "line_no")


def _told_items(book: Lookups, items: pl.DataFrame) -> tuple[Item, ...]:
    ends = book.frame(
        """SELECT k.item_id, k.state, k.confirmed, k.reversed, r.reason, k.file_id AS posting,
                  nullif(k.line_no, 0) AS line
           FROM book.settled_key k SEMI JOIN named USING (item_id)
           LEFT JOIN book.reason r ON r.reason_id = k.reason_id ORDER BY k.item_id, k.file_id, k.line_no""",
        named=items.select("item_id"),
    ).with_columns(_word("state", State))
    by_item = _grouped(ends, "item_id")
    return tuple(
        Item(**item, ends=tuple(End(**end) for end in by_item.get(item["item_id"], []))) for item in items.to_dicts()
    )


def _told_records(book: Lookups, lines: pl.DataFrame, made: list[tuple[int, str]]) -> tuple[Told, ...]:
    """Records in the order of posting; ``made``: item_id and partner of the items under the reference."""
    records = book.frame(
        f"""SELECT d.file_id AS posting, p.feed, p.name AS file, d.line_no AS line, p.identity, p.partner,
                   CAST(p.business_date AS VARCHAR) AS business_date, CAST(p.on_day AS VARCHAR) AS programme_day,
                   {_POSTED_AT} AS posted_at, p.payload_sha, d.disposition, d.event, d.match_pass, d.item_id, d.points,
                   CAST(d.value_date AS VARCHAR) AS value_date, r.reason, a.survivor AS merged_to,
                   (CAST(d.file_id AS BIGINT) << 31) + d.line_no AS record_id
            FROM book.disposition d SEMI JOIN lines ON lines.file_id = d.file_id AND lines.line_no = d.line_no
            JOIN book.posting p ON p.n = d.file_id LEFT JOIN book.reason r ON r.reason_id = d.reason_id
            LEFT JOIN book.alias a ON a.file_id = d.file_id AND a.line_no = d.line_no
            ORDER BY d.file_id, d.line_no""",
        lines=lines,
    ).with_columns(
        _word("disposition", Disposition), _word("event", Event), _word("match_pass", MatchPass), masked("merged_to")
    )
    booked = _transfers(book, lines)
    return tuple(
        Told(
            **{name: value for name, value in row.items() if name not in ("partner", "record_id")},
            candidates=tuple(
                item_id
                for item_id, partner in made
                if partner == row["partner"] and item_id < row["record_id"] and item_id != row["item_id"]
            ),
            transfers=booked.get((row["posting"], row["line"]), ()),
        )
        for row in records.to_dicts()
    )


def _transfers(book: Lookups, lines: pl.DataFrame) -> dict[tuple[int, int], tuple[Transfer, ...]]:
    """The transfers of each record, by posting and line."""
    legs = book.frame(
        """SELECT e.file_id, e.line_no, e.transfer_id, e.event, CAST(e.value_date AS VARCHAR) AS value_date,
                  CAST(e.accounting_date AS VARCHAR) AS accounting_date, a.kind AS account, p.partner, a.owner,
                  e.amount AS points
           FROM book.entry e SEMI JOIN lines ON lines.file_id = e.file_id AND lines.line_no = e.line_no
           JOIN book.account a ON a.account_id = e.account_id JOIN book.partner p ON p.partner_id = a.partner_id
           ORDER BY e.transfer_id, e.leg""",
        lines=lines,
    ).with_columns(_word("event", Event), masked("owner"))
    found: dict[tuple[int, int], tuple[Transfer, ...]] = {}
    for parts in _grouped(legs, "transfer_id", keep=True).values():
        first = parts[0]
        place = (first["file_id"], first["line_no"])
        moved = tuple(Leg(part["account"], part["partner"], part["owner"], part["points"]) for part in parts)
        transfer = Transfer(first["event"], first["value_date"], first["accounting_date"], moved)
        found[place] = (*found.get(place, ()), transfer)
    return found


def _sealed(book: Lookups, numbers: pl.Series) -> tuple[Sealed, ...]:
    found = book.frame(
        f"""SELECT p.n AS posting, {_POSTED_AT} AS posted_at, p.run_id, p.actor, p.software, p.record_sha,
                   p.rows_digest, p.content_head, p.chain_head
            FROM book.posting p SEMI JOIN wanted USING (n) ORDER BY p.n""",
        wanted=pl.DataFrame({"n": numbers}),
    )
    return tuple(Sealed(**row) for row in found.to_dicts())


def _batched(known: Range, numbers: pl.Series) -> Batched:
    batch = known.batch
    covered = numbers.filter((numbers > batch.from_n) & (numbers <= batch.to_n))
    return Batched(batch.target, batch.batch_id, known.state, tuple(covered))


def _word(column: str, words: type[IntEnum]) -> pl.Expr:
    """A small integer of the book as its word."""
    return pl.col(column).replace_strict({word.value: word.name.lower() for word in words}, return_dtype=pl.String)


def _grouped(rows: pl.DataFrame, key: str, *, keep: bool = False) -> dict[int, list[dict[str, Any]]]:
    """Rows by a key, in their order; the key leaves the rows unless it is kept."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows.to_dicts():
        found.setdefault(row[key] if keep else row.pop(key), []).append(row)
    return found
