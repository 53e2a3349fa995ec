"""What the book says about a plan's lines at its end: who settled what, how each request stands, breaks, suggestions.

Here: reads by SQL of dispositions, settled keys, items, matches, balances and breaks, in terms of the plan's own keys.
Not here: any judgement (``score``), or any of the code that matched.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Final

import polars as pl

from bench.labelled.days import LAST
from bench.labelled.write import File
from counterfoil.feed import Feed, FeedKind
from counterfoil.ledger.known import known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import (
    RECORD_SPAN,
    TRANSFERS_PER_RECORD,
    Disposition,
    Event,
    ItemKind,
    MatchPass,
    MatchRole,
    Side,
    State,
)

CAUSES: Final = "counterfoil.ledger.break_causes"
"""Where the program tells causes, if it does."""

TOOK_EFFECT: Final = (Disposition.SETTLED, Disposition.SETTLED_GROUP, Disposition.REJECTED, Disposition.REVERSED)
DONE: Final = {
    Event.ACCRUED: "BOOKED",
    Event.REDEEMED: "BOOKED",
    Event.REDEEMED_BEYOND: "WAITING",
    Event.ACTIVITY_KNOWN: "REPEATED",
    Event.CONFLICT: "REFUSED",
}
"""What became of a line of activity."""

ENDED: Final = (State.CONFIRMED, State.REJECTED, State.REVERSED)


@dataclass(frozen=True)
class SeenBreak:
    """A break as the book has it. ``about``: keys of the lines it speaks of, or feed and day of a file; ``answer``: the
    one among them that had waited, or else the one that opened it."""

    code: int
    about: frozenset[int | str]
    open: bool
    cause: str | None
    change: str
    answer: int | None


@dataclass
class Seen:
    """The book by keys of the plan. ``effects``: request → the answers that ended it or took it back; ``passes``: how;
    ``stands``: request → state, points confirmed, points reversed; ``posted``: lines in the book; ``shown``: answer →
    requests that a person is shown for it, with the pass that found them; ``done``: activity → what became of it;
    ``left``: partner and member → points at the end."""

    effects: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    passes: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    stands: dict[int, tuple[str, int, int]] = field(default_factory=dict)
    posted: set[int] = field(default_factory=set)
    breaks: list[SeenBreak] = field(default_factory=list)
    shown: dict[int, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    done: dict[int, str] = field(default_factory=dict)
    left: dict[tuple[str, str], int] = field(default_factory=dict)
    tells_causes: bool = False


@dataclass(frozen=True)
class _Lines:
    """Which line of which posting is which line of the plan; item ids are those of the records that made them."""

    keys: Mapping[int, Mapping[int, int]]
    answers: frozenset[int]

    def key(self, file_id: int | None, line_no: int | None) -> int | None:
        return self.keys.get(file_id or 0, {}).get(line_no or 0)

    def of_item(self, item_id: int | None) -> int | None:
        return None if item_id is None else self.key(*divmod(item_id, RECORD_SPAN))


def read(book: Lookups, made: Sequence[File], feeds: Sequence[Feed]) -> Seen:
    """Everything that a plan can be judged by."""
    by_sha = {file.sha: file.keys for file in made}
    postings = book.frame("SELECT n, payload_sha, kind FROM book.posting")
    lines = _Lines(
        {n: by_sha.get(sha, {}) for n, sha, _ in postings.iter_rows()},
        frozenset(n for n, _, kind in postings.iter_rows() if kind == FeedKind.HANDBACK),
    )
    seen = Seen()
    seen.posted = {key for keys in lines.keys.values() for key in keys.values()}
    _read_effects(book, lines, seen)
    _read_standing(book, lines, seen)
    _read_shown(book, lines, seen)
    _read_activity(book, lines, seen)
    _read_breaks(book, lines, seen, feeds)
    return seen


def _read_effects(book: Lookups, lines: _Lines, seen: Seen) -> None:
    """Each record that ended a request, with all the answers that it brought together and their requests.

    A record brings together what its disposition, its matches and its settled keys name: the request of an answer, the
    requests of a sum, the answers that waited for a request. What a corrected file took back has no effect; nor has an
    answer that a later one merely took the place of.
    """
    kinds = ", ".join(f"{kind:d}" for kind in TOOK_EFFECT)
    ends = ", ".join(f"{state:d}" for state in ENDED)
    found = book.frame(
        f"""WITH told AS (
                SELECT file_id, line_no, item_id FROM book.disposition WHERE disposition IN ({kinds})
                UNION SELECT file_id, line_no, item_id FROM book.match
                      WHERE role IN ({MatchRole.MATCHED:d}, {MatchRole.PART:d})
                UNION SELECT k.file_id, k.line_no, k.item_id
                      FROM book.settled_key k JOIN book.posting p ON p.n = k.file_id
                      WHERE k.line_no > 0 AND (k.state IN ({ends})
                            OR (k.state = {State.CLOSED:d} AND p.kind = '{FeedKind.REQUESTS}'))
            ), taken_back AS (
                SELECT DISTINCT reverses // {TRANSFERS_PER_RECORD} AS record FROM book.reversal
            )
            SELECT t.file_id, t.line_no, t.item_id, i.side, d.match_pass,
                   EXISTS (SELECT 1 FROM book.settled_key k WHERE k.file_id = t.file_id AND k.line_no = t.line_no
                           AND k.item_id = t.item_id AND k.state IN ({ends})) AS ends_here,
                   d.disposition IN ({kinds}) AND p.kind = '{FeedKind.HANDBACK}' AS takes_effect
            FROM told t JOIN book.item i ON i.item_id = t.item_id
            JOIN book.posting p ON p.n = t.file_id
            LEFT JOIN book.disposition d ON d.file_id = t.file_id AND d.line_no = t.line_no
            WHERE i.kind <> {ItemKind.THEIR_HOLD:d}
              AND t.file_id * {RECORD_SPAN}::BIGINT + t.line_no NOT IN (SELECT record FROM taken_back)"""
    )
    for (file_id, line_no), part in found.group_by("file_id", "line_no"):
        answers = {lines.of_item(item) for item in part.filter(pl.col("side") == Side.THEIRS.value)["item_id"]}
        if file_id in lines.answers:
            answers.add(lines.key(file_id, line_no))
        ours = part.filter((pl.col("side") == Side.OURS.value) & (pl.col("ends_here") | pl.col("takes_effect")))
        for item, match_pass in ours.select("item_id", "match_pass").iter_rows():
            request = lines.of_item(item)
            if request is not None and answers:
                seen.effects[request] |= {answer for answer in answers if answer is not None}
                seen.passes[request].add(_pass_name(match_pass))


def _pass_name(match_pass: int | None) -> str:
    """A request that an answer was waiting for has no pass of its own."""
    name = MatchPass(match_pass or 0).name
    return MatchPass.THEIRS_FIRST.name if name == MatchPass.NONE.name else name


def _read_standing(book: Lookups, lines: _Lines, seen: Seen) -> None:
    found = book.frame(
        f"""SELECT i.item_id, o.state AS open_state, arg_max(k.state, k.file_id * {RECORD_SPAN}::BIGINT + k.line_no),
                   arg_max(k.confirmed, k.file_id * {RECORD_SPAN}::BIGINT + k.line_no),
                   arg_max(k.reversed, k.file_id * {RECORD_SPAN}::BIGINT + k.line_no)
            FROM book.item i LEFT JOIN book.open_item o ON o.item_id = i.item_id
            LEFT JOIN book.settled_key k ON k.item_id = i.item_id
            WHERE i.side = {Side.OURS:d} GROUP BY ALL"""
    )
    for item, open_state, ended_state, confirmed, taken_back in found.iter_rows():
        key = lines.of_item(item)
        if key is not None:
            ended = open_state is None and ended_state is not None
            state = State(ended_state if ended else open_state or State.SHORT)
            seen.stands[key] = (state.name, confirmed if ended else 0, taken_back if ended else 0)


def _read_shown(book: Lookups, lines: _Lines, seen: Seen) -> None:
    found = book.frame(
        f"SELECT file_id, line_no, item_id, match_pass FROM book.match WHERE role = {MatchRole.CANDIDATE:d}"
    )
    for file_id, line_no, item, match_pass in found.iter_rows():
        answer, request = lines.key(file_id, line_no), lines.of_item(item)
        if answer is not None and request is not None:
            seen.shown[answer][request] = MatchPass(match_pass).name


def _read_activity(book: Lookups, lines: _Lines, seen: Seen) -> None:
    found = book.frame(
        f"""SELECT d.file_id, d.line_no, d.event FROM book.disposition d
            JOIN book.posting p ON p.n = d.file_id AND p.kind = '{FeedKind.ACTIVITY}'"""
    )
    for file_id, line_no, event in found.iter_rows():
        key = lines.key(file_id, line_no)
        if key is not None:
            seen.done[key] = DONE[event]
    balances = book.frame(
        """SELECT p.partner, a.owner, b.balance FROM book.balance b JOIN book.account a USING (account_id)
           JOIN book.partner p ON p.partner_id = a.partner_id WHERE a.kind = 'member'"""
    )
    seen.left = {(partner, member): points for partner, member, points in balances.iter_rows()}


def _read_breaks(book: Lookups, lines: _Lines, seen: Seen, feeds: Sequence[Feed]) -> None:
    told = _causes(book, feeds)
    seen.tells_causes = told is not None
    found = book.frame(
        """SELECT b.code, b.subject, b.item_id, b.theirs_id, b.file_id, b.line_no, b.break_id,
                  o.break_id IS NOT NULL AS open
           FROM book.break b LEFT JOIN book.open_break o ON o.break_id = b.break_id ORDER BY b.break_id"""
    )
    for code, subject, item, theirs, file_id, line_no, break_id, is_open in found.iter_rows():
        keys = (lines.of_item(item), lines.of_item(theirs), lines.key(file_id, line_no))
        about = {key for key in keys if key is not None} or {subject}
        cause, change = (told or {}).get(break_id, (None, ""))
        answer = keys[2] if keys[1] is None else keys[1]
        seen.breaks.append(SeenBreak(code, frozenset(about), is_open, cause, change, answer))


def _causes(book: Lookups, feeds: Sequence[Feed]) -> dict[str, tuple[str, str]] | None:
    """The cause of each open break and what would clear it, by break_id, if the program tells causes."""
    if find_spec(CAUSES) is None:
        return None
    told = import_module(CAUSES).of_breaks(book, known(book, LAST, book.last_posting()), feeds=feeds)
    return {break_id: (cause, change) for break_id, cause, change in told.select("break_id", "cause", "change").rows()}
