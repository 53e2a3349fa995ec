"""The ledger as a small model in plain Python: dicts, lists and whole numbers, written from the design's own table.

Here: what the book holds, and how a record changes it and is taken back. Not here: what requests and answers do
(``model_life``), people (``model_people``), lots (``model_lots``), or any code of the program.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from tests.properties.model_lots import Account, Lots, Movement

Row = Mapping[str, Any]
Place = tuple[int, int]
Life = tuple[str | None, date | None]

HOUSE = "programme"
ISSUED: Account = ("issued", HOUSE, None)
BREAKAGE: Account = ("breakage", HOUSE, None)

OVERDUE, UNKNOWN, DIFFERS, TWICE, ASKED_TWICE, REFUSED = 2, 3, 4, 7, 8, 9
OTHER, CONFLICT, MISSING, SHORT = 10, 11, 13, 16


@dataclass(frozen=True)
class Terms:
    """What was agreed with a partner. ``covered``: a request beyond its source's balance is refused."""

    partner: str
    source: str = "member"
    covered: bool = False
    tolerance: int = 0
    due_days: int = 1


@dataclass(eq=False)
class Item:
    """A request or recall of ours, or something that only the partner says.

    ``kept`` is what it has in flight, or in suspense. ``last`` is the posting that last did anything to it, ``told``
    the one in which an answer last spoke of it; ``by`` are the records that moved it on.
    """

    kind: str
    partner: str
    ref: str
    member: str | None
    amount: int
    day: date
    place: Place
    state: str
    kept: int
    source: Account = ISSUED
    due: date = date.max
    confirmed: int = 0
    returned: int = 0
    last: int = 0
    told: int = 0
    by: list["Effect"] = field(default_factory=list)

    @property
    def ours(self) -> bool:
        return self.kind in ("request", "recall")

    @property
    def unanswered(self) -> bool:
        return self.state in ("pending", "held")

    @property
    def is_open(self) -> bool:
        return self.state in ("pending", "held", "short", "unidentified")


@dataclass(eq=False)
class Break:
    """Something for a person, or for a later file; ``theirs`` is the answer that waits under it.

    ``lives``: what people did about it while it stood open, oldest first: owner and until, None where taken back.
    """

    code: int
    partner: str
    subject: str
    item: Item | None = None
    theirs: Item | None = None
    place: Place = (0, 0)
    open: bool = True
    lives: list[tuple["Effect", "Life | None"]] = field(default_factory=list)

    @property
    def life(self) -> "Life":
        return next((life for _, life in reversed(self.lives) if life is not None), (None, None))


@dataclass(eq=False)
class Decided:
    """A decision on a break: what it moved and did, and whether it was taken back. ``declines``: of which unknown
    answer it says which request it is not for."""

    points: int
    effect: "Effect"
    undone: bool = False
    declines: tuple[Break, Item] | None = None


@dataclass(eq=False)
class Effect:
    """What one record did, so that doing it backwards takes it back.

    ``final``: it told of a merge, or came too late itself, and nothing takes it back. ``undoes``: it took another back.
    ``left_open``: the break that it was about, where a person only gave it to somebody or let it wait.
    """

    n: int
    line: int
    day: date
    ref: str = ""
    item: Item | None = None
    final: bool = False
    undoes: bool = False
    moves: list[tuple[Account, Account, int, date]] = field(default_factory=list)
    made: list[Item] = field(default_factory=list)
    before: list[tuple[Item, dict[str, Any]]] = field(default_factory=list)
    opened: list[Break] = field(default_factory=list)
    cleared: list[Break] = field(default_factory=list)
    left_open: Break | None = None


class Model:
    """The whole book. ``n`` is the posting at hand, ``today`` the programme day on which it falls."""

    def __init__(self, live_days: int | None = None, grace: int = 2) -> None:
        self.balances: Counter[Account] = Counter()
        self.items: list[Item] = []
        self.breaks: list[Break] = []
        self.members: set[tuple[str, str]] = set()
        self.aliases: dict[str, dict[str, tuple[str, date]]] = {}
        self.came: set[tuple[str, date]] = set()
        self.decided: dict[Place, Decided] = {}
        self.standing: dict[str, dict[int, tuple[Row, Effect]]] = {}
        """The records of each file that stand, by line, with what each did."""
        self.lots = Lots(live_days, grace)
        self.moved: list[Movement] = []
        self.open_day: date | None = None
        self.n = 0
        self.today = date.min

    # What a record does

    def move(
        self,
        effect: Effect,
        source: Account,
        target: Account,
        points: int,
        *,
        gain: bool = False,
        expires: date | None = None,
        day: date | None = None,
    ) -> None:
        """Points from one account to another; what is meant for one that was merged away goes to its survivor."""
        if points == 0:
            return
        effect.moves.append((source, target, points, day or effect.day))
        for account, amount in ((source, -points), (target, points)):
            end = self.lots.end(account)
            self.balances[end] += amount
            if end[0] == "member":
                item = effect.item.place if effect.item else None
                gained = gain and amount > 0
                self.moved.append(
                    Movement(end, amount, item, effect.line, effect.ref, day or effect.day, gained, expires)
                )

    def settle(self) -> None:
        """After all records of a stage: what they moved on members' accounts comes to lots, or is drawn from them."""
        self.lots.settle(self.moved, self.balances, self.today)
        self.moved.clear()

    def make(self, effect: Effect, item: Item) -> Item:
        item.last = self.n
        self.items.append(item)
        effect.made.append(item)
        return item

    def change(self, effect: Effect, item: Item, **to: Any) -> None:
        effect.before.append((item, {name: getattr(item, name) for name in to}))
        for name, value in to.items():
            setattr(item, name, value)
        item.last = self.n
        item.by.append(effect)

    def open_break(
        self, effect: Effect | None, code: int, partner: str, subject: str, item: Item | None = None,
        theirs: Item | None = None, *, line: int = 0,
    ) -> None:  # fmt: skip
        made = Break(code, partner, subject, item, theirs, (self.n, effect.line if effect else line))
        self.breaks.append(made)
        if effect is not None:
            effect.opened.append(made)

    def clear(self, effect: Effect, one: Break) -> None:
        if one.open:
            one.open = False
            effect.cleared.append(one)

    def open_breaks(self, *codes: int) -> list[Break]:
        return [one for one in self.breaks if one.open and (not codes or one.code in codes)]

    def declined(self) -> set[tuple[int, str, str, Place, Place]]:
        """Which unknown answers, by their breaks, are not for which requests."""
        standing = [one.declines for one in self.decided.values() if one.declines is not None and not one.undone]
        return {(on.code, on.partner, on.subject, on.place, item.place) for on, item in standing}

    # Taking back

    def can_undo(self, effect: Effect, beside: Collection[Effect]) -> bool:
        """Only while nothing has happened since to any item that the record made or moved on, and no other record of
        its file moved it, but for those ``beside`` it that are taken back as well."""
        if effect.final:
            return False
        if effect.left_open is not None:
            later = [one for one, _ in effect.left_open.lives if one.n > effect.n and one not in beside]
            return effect.left_open.open and not later
        for item in effect.made:
            answered = [one for one in self.open_breaks() if one.item is item and one.code not in (OVERDUE, SHORT)]
            if not item.is_open or (item.ours and (item.state == "held" or answered)):
                return False
        items = [*effect.made, *(item for item, _ in effect.before)]
        alone = all(one in beside or one.n != effect.n or one.undoes for item in items for one in item.by)
        return alone and all(item.last == effect.n and item.told <= effect.n for item in items)

    def undo(self, effect: Effect, by: Effect) -> None:
        """Do it backwards; what is moved back counts on its old value date."""
        by.item, by.undoes = effect.item, True
        for source, target, points, day in reversed(effect.moves):
            self.move(by, target, source, points, day=day)
        for item, before in reversed(effect.before):
            self.change(by, item, **before)
        for item in effect.made:
            self.change(by, item, state="withdrawn" if item.ours else "closed", kept=0)
        for one in self.breaks:
            if one in effect.opened or any(item in (one.item, one.theirs) for item in effect.made):
                self.clear(by, one)
        for one in effect.cleared:
            one.open = True
        if effect.left_open is not None:
            lives = effect.left_open.lives
            lives[:] = [(done, None if done is effect else life) for done, life in lives]
            lives.append((by, None))

    # Files that are the program's own

    def begin(self, feed: str, day: date) -> None:
        """A file arrives: it falls on its day, or on the first that is still open; a break that waited for it ends."""
        self.n += 1
        self.today = max(day, self.open_day) if self.open_day else day
        self.came.add((feed, day))
        for one in self.open_breaks(MISSING):
            if one.subject == f"{feed}:{day}":
                one.open = False

    def opening(self, rows: Iterable[tuple[int, Row]]) -> None:
        for line, row in rows:
            effect = Effect(self.n, line, row["value_date"], row["ref"] or "")
            account = self.lots.member(row["partner"], row["owner"])
            if row["entry"] == "balance":
                self.move(effect, ISSUED, account, row["points"], gain=True, expires=row["expires"])
                continue
            self.move(effect, ISSUED, ("in_flight", row["partner"], None), row["points"])
            item = Item("request", row["partner"], row["ref"], row["owner"], row["points"], row["value_date"],
                        (self.n, line), "pending", row["points"], account, row["value_date"])  # fmt: skip
            self.make(effect, item)
        self.settle()

    def close(self, day: date, missing: Iterable[tuple[int, tuple[str, str]]]) -> None:
        """The day ends: what is overdue and unanswered opens B02, a missing file B13, and lots that end by it break."""
        self.n += 1
        for line, (feed, partner) in missing:
            if (feed, day) not in self.came:
                self.open_break(None, MISSING, partner, f"{feed}:{day}", line=line)
        told = [one.item for one in self.open_breaks(OVERDUE, DIFFERS, CONFLICT)]
        for item in self.items:
            if item.ours and item.unanswered and item.due < day and item not in told:
                self.open_break(None, OVERDUE, item.partner, item.ref, item)
        for account, points in self.lots.expire(day):
            self.balances[account] -= points
            self.balances[BREAKAGE] += points
        self.open_day = day + timedelta(days=1)
