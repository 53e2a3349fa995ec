"""Point lots beside a small model in plain Python: after every file the same points expire on the same days."""

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.ledger.lookups import Lookups
from counterfoil.settings import ProgrammeSettings
from tests.properties.test_book import quick

MONDAY = date(2026, 11, 16)
MEMBERS = ("M1", "M2", "M3")
OUTCOMES = ("accepted", "short", "rejected", "rejected")
GRACE = 2
TOLERANCE = 3

Stock = dict[tuple[str, date | None], int]
Draws = dict[int | None, int]


@dataclass
class Lot:
    member: str
    earned: date
    expires: date
    left: int


@dataclass
class Item:
    ref: str
    member: str
    points: int
    state: str = "pending"
    kept: int = 0
    draws: Draws = field(default_factory=lambda: defaultdict(int))


class Model:
    """Lots by the book of rules, one point of view at a time; shares no code with the program."""

    def __init__(self, live_days: int | None) -> None:
        self.live_days = live_days
        self.lots: dict[int, Lot] = {}
        self.rest: dict[str, int] = defaultdict(int)
        self.items: list[Item] = []
        self.merges: dict[str, str] = {}

    def end(self, member: str) -> str:
        while member in self.merges:
            member = self.merges[member]
        return member

    def fifo(self, member: str) -> list[tuple[int, Lot]]:
        own = [(number, lot) for number, lot in self.lots.items() if lot.member == member and lot.left]
        return sorted(own, key=lambda pair: (pair[1].earned, pair[1].expires, pair[0]))

    def gain(self, member: str, points: int, earned: date, expires: date | None) -> None:
        if expires is None:
            self.rest[member] += points
        elif points:
            self.lots[len(self.lots) + 1] = Lot(member, earned, expires, points)

    def fill(self) -> None:
        """What is owed is taken from lots first."""
        for member in list(self.rest):
            for _, lot in self.fifo(member):
                hole = min(max(-self.rest[member], 0), lot.left)
                lot.left -= hole
                self.rest[member] += hole

    def give_back(self, item: Item, points: int, today: date, *, gain: bool = False) -> None:
        member = self.end(item.member)
        order = sorted(
            (number for number in item.draws if number is not None),
            key=lambda number: (self.lots[number].earned, self.lots[number].expires, number),
        )
        for number in [None, *reversed(order)]:
            part = min(points, item.draws[number])
            points -= part
            item.draws[number] -= part
            if number is None:
                self.rest[member] += part
                continue
            lot = self.lots[number]
            if lot.expires < today:
                self.gain(member, part, today, today + timedelta(days=GRACE))
            elif lot.member == member:
                lot.left += part
            else:
                self.gain(member, part, lot.earned, lot.expires)
        dies = today + timedelta(days=self.live_days) if gain and self.live_days else None
        self.gain(member, points, today, dies)

    def draw(self, item: Item) -> None:
        member, wanted, taken = self.end(item.member), item.points, 0
        for number, lot in self.fifo(member):
            part = min(wanted - taken, lot.left)
            lot.left -= part
            taken += part
            if part:
                item.draws[number] += part
        if taken and taken < wanted:
            item.draws[None] += wanted - taken
        self.rest[member] -= wanted - taken

    def close(self, today: date) -> None:
        for lot in self.lots.values():
            if lot.expires <= today:
                lot.left = 0

    def merge(self, pairs: list[tuple[str, str]]) -> None:
        told: dict[str, set[str]] = defaultdict(set)
        for member, survivor in pairs:
            if member not in self.merges:
                told[member].add(survivor)
        hops = {member: min(survivors) for member, survivors in told.items() if len(survivors) == 1}
        every = self.merges | {member: survivor for member, survivor in hops.items() if member != survivor}
        for member in list(hops):
            at, seen = every.get(member, member), 0
            while at in every and at != member and seen < len(MEMBERS):
                at, seen = every[at], seen + 1
            if at != member:
                self.merges[member] = hops[member]
        for member in hops:
            end = self.end(member)
            if end != member:
                for _, lot in self.fifo(member):
                    self.gain(end, lot.left, lot.earned, lot.expires)
                    lot.left = 0
                self.rest[end] += self.rest.pop(member, 0)
        self.fill()

    def stock(self) -> Stock:
        held: Stock = defaultdict(int)
        for lot in self.lots.values():
            held[lot.member, lot.expires] += lot.left
        for member, points in self.rest.items():
            held[member, None] += points
        return {key: points for key, points in held.items() if points}


def stock_of(book: Lookups) -> Stock:
    rows = book.frame(
        """WITH lots AS (
               SELECT account_id, expires, CAST(sum(remaining) AS BIGINT) AS points FROM book.open_lot GROUP BY ALL
           )
           SELECT a.owner, l.expires, l.points FROM lots l JOIN book.account a USING (account_id)
           UNION ALL SELECT a.owner, NULL, CAST(b.balance - coalesce((
               SELECT sum(points) FROM lots l WHERE l.account_id = a.account_id), 0) AS BIGINT)
           FROM book.balance b JOIN book.account a USING (account_id) WHERE a.kind = 'member'"""
    ).rows()
    return {(owner, expires): points for owner, expires, points in rows if points}


def prove(book: Lookups) -> None:
    """What must hold after every file, whatever it was."""
    derived = book.frame(
        """SELECT l.lot_id, CAST(l.amount - coalesce((
               SELECT sum(u.amount) FROM book.lot_use u WHERE u.lot_id = l.lot_id), 0) AS BIGINT) AS remaining
           FROM book.lot l ORDER BY 1"""
    )
    assert derived["remaining"].min() is None or derived["remaining"].min() >= 0  # type: ignore[operator]
    kept = book.frame("SELECT lot_id, remaining FROM book.open_lot ORDER BY 1")
    assert derived.filter(derived["remaining"] > 0).equals(kept), "the working set is what the rows say"
    over = """SELECT 1 FROM book.balance b
              JOIN (SELECT account_id, sum(remaining) AS held FROM book.open_lot GROUP BY ALL) USING (account_id)
              WHERE held > balance"""
    assert book.frame(over).is_empty(), "lots hold no more than the balance"
    expired = book.row("SELECT coalesce(CAST(sum(amount) AS BIGINT), 0) FROM book.lot_use WHERE use = 3")
    broken = book.row(
        """SELECT coalesce(CAST(sum(balance) AS BIGINT), 0) FROM book.balance JOIN book.account USING (account_id)
           WHERE kind = 'breakage'"""
    )
    assert expired == broken, "what expired is breakage"
    assert book.row("SELECT CAST(coalesce(sum(balance), 0) AS BIGINT) FROM book.balance") == (0,)


points = st.sampled_from((10, 25, 40, 70))
members = st.sampled_from(("M1", "M1", "M1", "M2", "M3"))
openings = st.lists(st.tuples(members, points, st.sampled_from((None, 0, 1, 1, 3, 30))), min_size=2, max_size=6)
files = st.lists(
    st.one_of(
        st.tuples(st.just("requests"), st.lists(st.tuples(members, points), min_size=2, max_size=5)),
        st.tuples(
            st.just("handback"),
            st.lists(
                st.tuples(st.integers(0, 9), st.sampled_from(OUTCOMES), st.integers(1, 60)),
                min_size=1,
                max_size=5,
            ),
        ),
        st.tuples(st.just("recalls"), st.lists(st.tuples(members, points), min_size=1, max_size=2)),
        st.tuples(st.just("calendar"), st.just([()])),
        st.tuples(st.just("members"), st.lists(st.tuples(members, members), min_size=1, max_size=2)),
    ),
    max_size=7,
)


def play(book: Any, make_feed: Any, post: Any, told: Any, seed: int | None) -> None:
    """Post everything that was told, rows as they come or shuffled, and compare after every file."""
    begin, week, live_days = told
    policy = ProgrammeSettings(points_live_days=live_days, return_grace_days=GRACE)
    model, today, order = Model(live_days), MONDAY, random.Random(seed)
    with book.writing(purpose="test") as writer:
        for kind, rows in [("opening", begin), *week]:
            made = told_rows(kind, rows, model, today)
            if seed is not None:
                order.shuffle(made)
            post(writer, FEEDS[kind](make_feed), made, today, policy=policy)
            prove(writer)
            assert stock_of(writer) == model.stock(), kind
            today += timedelta(days=kind == "calendar")


FEEDS = {
    "opening": lambda make: make("opening", partner="counterfoil"),
    "requests": lambda make: make("requests"),
    "recalls": lambda make: make("requests"),
    "handback": lambda make: make("handback", tolerance_points=TOLERANCE),
    "calendar": lambda make: make("calendar", partner="counterfoil"),
    "members": lambda make: make("members", partner="counterfoil"),
}


def told_rows(kind: str, rows: Any, model: Model, today: date) -> list[dict[str, Any]]:
    """The rows of a file; the model takes them on the way."""
    if kind == "opening":
        return [opened(model, today, *row) for row in rows]
    if kind in ("requests", "recalls"):
        sign = 1 if kind == "requests" else -1
        new = [Item(f"R{len(model.items) + number:03d}", *row) for number, row in enumerate(rows)]
        model.items += new
        for item in new:
            item.state = "pending" if sign > 0 else "recalled"
            if sign > 0:
                model.draw(item)
        return [{"ref": item.ref, "points": sign * item.points, "member": item.member} for item in new]
    if kind == "handback":
        return answered(model, today, rows)
    if kind == "members":
        model.merge(rows)
        return [{"member": member, "survivor": survivor} for member, survivor in rows]
    model.close(today)
    return [{}]


def opened(model: Model, today: date, member: str, amount: int, days: int | None) -> dict[str, Any]:
    said = None if days is None else today + timedelta(days=days)
    lives = said or (today + timedelta(days=model.live_days) if model.live_days else None)
    model.gain(member, amount, today, lives)
    return {"owner": member, "points": amount, "expires": said}


def answered(model: Model, today: date, rows: Any) -> list[dict[str, Any]]:
    """At most one answer to each item that can have one: of a request that waits, a recall, or a reversal."""
    made: dict[str, dict[str, Any]] = {}
    for pick, outcome, part in rows:
        able = [item for item in model.items if item.state != "ended" and item.ref not in made]
        if not able:
            break
        item = able[pick % len(able)]
        made[item.ref] = {"ref": item.ref, **one_answer(model, today, item, outcome, part)}
    model.fill()
    return list(made.values())


def one_answer(model: Model, today: date, item: Item, outcome: str, part: int) -> dict[str, Any]:
    if item.state == "recalled":
        item.state = "ended"
        if outcome == "rejected":
            return {"points": -item.points, "outcome": "rejected"}
        model.give_back(item, item.points, today, gain=True)
        return {"points": -item.points}
    if item.state == "confirmed":
        back = min(part, item.kept)
        item.kept -= back
        item.state = "confirmed" if item.kept else "ended"
        model.give_back(item, back, today)
        return {"points": back, "outcome": "reversed"}
    if outcome == "rejected":
        item.state = "ended"
        model.give_back(item, item.points, today)
        return {"points": item.points, "outcome": "rejected"}
    short = min(TOLERANCE, item.points - 1) if outcome == "short" else 0
    item.state, item.kept = "confirmed", item.points - short
    if short:
        model.give_back(item, short, today)
    return {"points": item.kept}


told = st.tuples(openings, files, st.sampled_from((None, None, 2)))


@quick
@given(told=told, seed=st.none() | st.integers(0, 1000))
def test_lots_are_those_of_the_model_in_any_order_of_rows(
    make_book: Any, make_feed: Any, post: Any, told: Any, seed: int | None
) -> None:
    play(make_book(), make_feed, post, told, seed)
