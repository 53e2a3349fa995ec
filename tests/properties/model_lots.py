"""Lots of the model: points that expire, first in first out, and the accounts that were merged into others.

Here: what moves on members' accounts do to lots, expiry, and merges. Not here: why points move (``model_life``).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

Account = tuple[str, str, str | None]
Place = tuple[int, int]
Drawn = dict[tuple["Lot | None", Account], int]


@dataclass(frozen=True)
class Movement:
    """Points that a record brings to a member's account, or takes. ``gain``: no item has drawn them before."""

    account: Account
    points: int
    item: Place | None
    line: int
    ref: str
    day: date
    gain: bool
    expires: date | None


@dataclass(eq=False)
class Lot:
    number: int
    account: Account
    earned: date
    expires: date
    left: int


@dataclass
class Lots:
    """Every lot, and what each item has drawn from which. Points of a balance that are in no lot never expire."""

    live_days: int | None
    grace: int
    all: list[Lot] = field(default_factory=list)
    drawn: dict[Place, Drawn] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    merges: dict[Account, Account] = field(default_factory=dict)

    def member(self, partner: str, name: str | None) -> Account:
        return ("member", partner, name)

    def end(self, account: Account) -> Account:
        """The account that stands for one today."""
        while account in self.merges:
            account = self.merges[account]
        return account

    def of(self, account: Account) -> list[Lot]:
        """The open lots of an account in the order in which they are used."""
        own = [lot for lot in self.all if lot.account == account and lot.left]
        return sorted(own, key=lambda lot: (lot.earned, lot.expires, lot.number))

    def held(self) -> Counter[tuple[Account, date, date]]:
        """Points by account, day earned and day of expiry."""
        found: Counter[tuple[Account, date, date]] = Counter()
        for lot in self.all:
            found[lot.account, lot.earned, lot.expires] += lot.left
        return +found

    def add(self, account: Account, earned: date, expires: date, points: int) -> None:
        if points:
            self.all.append(Lot(len(self.all) + 1, account, earned, expires, points))

    def settle(self, moved: Iterable[Movement], balances: Counter[Account], today: date) -> None:
        """All that a file moves: what comes, then what is owed, then what is drawn, in order of day and reference.

        What a file gives and takes for one item counts as one. ``balances`` are those after the file.
        """
        net = _netted(moved)
        owed = {one.account: 0 for one in net}
        for one in net:
            if one.points > 0:
                self._arrive(one, today)
        for one in net:
            if one.points < 0:
                owed[one.account] -= one.points
        for account, drawn in owed.items():
            self._fill(account, balances[account] + drawn)
        for one in sorted(net, key=lambda one: (one.day, one.ref, one.line, one.item or (0, 0))):
            if one.points < 0:
                self._draw(one)

    def expire(self, day: date) -> list[tuple[Account, int]]:
        ended = [lot for lot in self.all if lot.left and lot.expires <= day]
        gone = [(lot.account, lot.left) for lot in ended]
        for lot in ended:
            lot.left = 0
        return gone

    def merge(self, hops: dict[Account, Account], balances: Counter[Account]) -> None:
        """Every account that hops name moves whole to the end of its chain, each lot as old as it was."""
        self.merges |= hops
        for account in sorted(hops):
            end = self.end(account)
            for lot in self.of(account):
                self.add(end, lot.earned, lot.expires, lot.left)
                lot.left = 0
            balances[end] += balances.pop(account, 0)
        for account in {self.end(account) for account in hops}:
            self._fill(account, balances[account])

    def _arrive(self, one: Movement, today: date) -> None:
        """Points that an item had drawn go back: what no lot had first, then the youngest lot first. A lot that has
        ended lives for the grace; one of an account that was merged away becomes one of the survivor."""
        points, drawn = one.points, self.drawn[one.item] if one.item else {}
        for lot, account in sorted(drawn, key=_youngest_last, reverse=True):
            part = min(points, drawn[lot, account])
            drawn[lot, account] -= part
            points -= part
            if lot is None:
                continue
            if lot.expires < today:
                self.add(one.account, today, today + timedelta(days=self.grace), part)
            elif lot.account != one.account:
                self.add(one.account, lot.earned, lot.expires, part)
            else:
                lot.left += part
        expires = one.expires
        if expires is None and one.gain and self.live_days is not None:
            expires = one.day + timedelta(days=self.live_days)
        if expires is not None:
            self.add(one.account, one.day, expires, points)

    def _fill(self, account: Account, balance: int) -> None:
        """Lots hold no more than the balance: what is owed is taken from the oldest first."""
        owed = sum(lot.left for lot in self.of(account)) - balance
        for lot in self.of(account):
            part = min(lot.left, max(owed, 0))
            lot.left -= part
            owed -= part

    def _draw(self, one: Movement) -> None:
        wanted = -one.points
        drawn: Drawn = defaultdict(int)
        for lot in self.of(one.account):
            part = min(lot.left, wanted)
            lot.left -= part
            wanted -= part
            if part:
                drawn[lot, one.account] += part
        if drawn and wanted:
            drawn[None, one.account] += wanted
        if one.item:
            for place, points in drawn.items():
                self.drawn[one.item][place] += points


def _netted(moved: Iterable[Movement]) -> list[Movement]:
    """One movement an account and item, or an account and line where there is no item."""
    groups: dict[tuple[Account, object], list[Movement]] = defaultdict(list)
    for one in moved:
        groups[one.account, ("item", one.item) if one.item else ("line", one.line)].append(one)
    net = []
    for same in groups.values():
        points = sum(one.points for one in same)
        first = same[0]
        if points:
            net.append(Movement(first.account, points, first.item, first.line, first.ref, first.day, first.gain,
                                first.expires))  # fmt: skip
    return net


def _youngest_last(place: tuple[Lot | None, Account]) -> tuple[object, ...]:
    lot, account = place
    return (1, date.max, date.max, 0, account) if lot is None else (0, lot.earned, lot.expires, lot.number, account)
