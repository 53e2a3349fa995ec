"""What people do in the model: decisions on breaks, taking them back, and merging members.

Here: which decision fits which break, and what it does. Not here: files of partners (``model_life``).
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from tests.properties import model as m
from tests.properties.model import Break, Decided, Effect, Item, Model, Place
from tests.properties.model_life import Rows, of_partner, take

STAYING = ("assign", "wait", "decline")
"""Actions that leave their break open."""

PARTS_MAX = 5
"""Requests that one answer can be matched with, and answers that one request can."""


class UnfitError(Exception):
    """A decisions file with a row that does not fit the book."""


@dataclass(frozen=True)
class Choice:
    """One row of a decisions file: about a break (code, partner, subject, place), or an earlier decision to undo."""

    line: int
    action: str
    on: tuple[int, str, str, Place] | None
    points: int
    ref: str | None = None
    undoes: Place = (0, 0)
    owner: str | None = None
    until: date | None = None


@dataclass(frozen=True)
class Fit:
    """A row that fits: the points that it moves, the requests that it is about, and those among them that it ends."""

    choice: Choice
    on: Break
    points: int
    about: Sequence[Item] = ()
    ends: Sequence[Item] = ()

    @property
    def item(self) -> Item | None:
        return next(iter(self.about), None)


def decide(book: Model, choices: Sequence[Choice]) -> None:
    """A whole decisions file: first what it takes back, then what it decides.

    Raises UnfitError when a row does not fit; the book is then to be thrown away.
    """
    _take_back(book, [one for one in choices if one.action == "undo"])
    fits = _fits(book, [(one, _named(book, one)) for one in choices if one.action != "undo"])
    _require_once(fits)
    decided = [fit.on for fit in fits if fit.choice.action not in STAYING]
    goes = [_going(book, fit, decided) for fit in fits]
    clears = [_clearing(book, fit, going) for fit, going in zip(fits, goes, strict=True)]
    effects = [Effect(book.n, fit.choice.line, book.today, fit.choice.ref or "", fit.item or fit.on.theirs)
               for fit in fits]  # fmt: skip
    for fit, effect in zip(fits, effects, strict=True):
        declines = (fit.on, fit.about[0]) if fit.choice.action == "decline" else None
        book.decided[book.n, fit.choice.line] = Decided(fit.points, effect, declines=declines)
        _act(book, effect, fit)
        if fit.on in decided:
            book.clear(effect, fit.on)
    for effect, going, clearing in zip(effects, goes, clears, strict=True):
        for theirs in going:
            if theirs.is_open:
                book.change(effect, theirs, state="closed", kept=0)
        for cleared in clearing:
            book.clear(effect, cleared)
    book.settle()


def points_of(book: Model, action: str, on: tuple[int, str, str, Place], ref: str) -> int | None:
    """The points that a person would state who decides so; None where it does not fit."""
    one = Choice(0, action, on, 0, ref)
    try:
        return _fits(book, [(one, _named(book, one))], stated=False)[0].points
    except UnfitError:
        return None


def suspended(book: Model, on: tuple[int, str, str, Place]) -> int:
    """The points of the acceptance in suspense under a break, if there is one: what a match of it moves."""
    try:
        return _suspended(_named(book, Choice(0, "match", on, 0))).amount
    except UnfitError:
        return 0


def _fits(book: Model, rows: Sequence[tuple[Choice, Break]], *, stated: bool = True) -> list[Fit]:
    """Every row as it fits, ``stated``: with the points that it states; UnfitError where one does not."""
    groups = _matched(book, [row for row in rows if row[0].action == "match"])
    fits = [groups[one.line] if one.action == "match" else _fit(book, one, on) for one, on in rows]
    if stated and any(fit.choice.points != fit.points for fit in fits):
        raise UnfitError
    return fits


def _require_once(fits: Sequence[Fit]) -> None:
    """One decision on each break, but that several requests can be declined; one end of each request."""
    on = Counter((id(fit.on), fit.item if fit.choice.action == "decline" else None) for fit in fits)
    ended = Counter(item for fit in fits for item in fit.ends)
    if any(times > 1 for times in (*on.values(), *ended.values())):
        raise UnfitError


def _matched(book: Model, rows: Sequence[tuple[Choice, Break]]) -> dict[int, Fit]:
    """Answers in suspense with the requests that a person says they are for, by line: an answer is the sum of its
    requests, or the answers that name one request alone add up to it, and the last of them ends it."""
    about = {one.line: _requests(book, one, on) for one, on in rows}
    answers = {one.line: _suspended(on) for one, on in rows}
    fits = {}
    for one, on in rows:
        (first, *more), theirs = about[one.line], answers[one.line]
        ends = (first, *more)
        if sum(item.amount for item in ends) != theirs.amount:
            lines = [line for line, items in about.items() if items == [first]]
            if more or len(lines) > PARTS_MAX or sum(answers[line].amount for line in lines) != first.amount:
                raise UnfitError
            ends = (first,) if one.line == max(lines) else ()
        fits[one.line] = Fit(one, on, theirs.amount, about[one.line], ends)
    return fits


def _requests(book: Model, one: Choice, on: Break) -> list[Item]:
    """The requests that wait under the references of a row; UnfitError where one is none, or named twice."""
    refs = (one.ref or "").split()
    found = [item for ref in refs for item in book.items
             if (item.kind, item.partner, item.ref) == ("request", on.partner, ref) and item.unanswered]  # fmt: skip
    if not refs or len(found) != len(refs) or len(set(refs)) < len(refs) or len(refs) > PARTS_MAX:
        raise UnfitError
    return found


def _suspended(on: Break) -> Item:
    """The acceptance of which all points wait in suspense under a break."""
    theirs = on.theirs
    if on.code not in (m.UNKNOWN, m.CONFLICT) or theirs is None or not theirs.is_open:
        raise UnfitError
    if theirs.kind != "says accepted" or theirs.kept != theirs.amount or theirs.amount <= 0:
        raise UnfitError
    return theirs


def _take_back(book: Model, choices: Sequence[Choice]) -> None:
    if len({one.undoes for one in choices}) < len(choices):
        raise UnfitError
    found = [book.decided.get(one.undoes) for one in choices]
    beside = [known.effect for known in found if known is not None]
    for one, known in zip(choices, found, strict=True):
        if known is None or known.undone or known.points != one.points or not book.can_undo(known.effect, beside):
            raise UnfitError
    for one in choices:
        known = book.decided[one.undoes]
        known.undone = True
        book.undo(known.effect, Effect(book.n, one.line, book.today))
    book.settle()


def _named(book: Model, one: Choice) -> Break:
    for known in book.open_breaks():
        if (known.code, known.partner, known.subject, known.place) == one.on:
            return known
    raise UnfitError


def _ends(action: str) -> bool:
    return action in ("refund", "write_off", "take", "identify")


def _fit(book: Model, one: Choice, on: Break) -> Fit:
    """A decision on one break and at most one request; UnfitError where the action does not fit."""
    if one.action == "decline":
        return _declined(book, one, on)
    if one.action in STAYING:
        return Fit(one, on, 0)
    points, item = _alone(book, one, on)
    about = () if item is None else (item,)
    return Fit(one, on, points, about, about if _ends(one.action) else ())


def _declined(book: Model, one: Choice, on: Break) -> Fit:
    """One request of the same points that an unknown answer is not for."""
    theirs = on.theirs
    found = _requests(book, one, on)
    if on.code != m.UNKNOWN or theirs is None or not theirs.is_open or [theirs.amount] != [one.amount for one in found]:
        raise UnfitError
    return Fit(one, on, 0, found)


def _alone(book: Model, one: Choice, on: Break) -> tuple[int, Item | None]:
    """The points that a decision moves and the request that it concerns."""
    item, theirs = on.item, on.theirs if on.theirs is not None and on.theirs.is_open else None
    booked = theirs.kept if theirs is not None else 0
    accepted = theirs is not None and theirs.kind == "says accepted" and theirs.amount > 0
    if one.action == "identify" and item is None:
        item = next((each for each in book.items if each.ours and each.is_open
                     and (each.partner, each.ref) == (on.partner, one.ref)), None)  # fmt: skip
    request = item is not None and item.kind == "request"
    waits = request and item is not None and item.unanswered
    if one.action == "resolve" and on.code != m.OVERDUE and not booked:
        return 0, item
    if one.action in ("refund", "write_off") and waits and not booked and item is not None:
        return item.amount, item
    if one.action == "refuse" and booked:
        return booked, item
    if theirs is None or not accepted:
        raise UnfitError
    if one.action == "identify" and on.code == m.UNKNOWN and booked and waits:
        return theirs.amount, item
    gave_back = request and item is not None and item.state in ("rejected", "refunded")
    if one.action == "take" and ((waits and not booked) or (gave_back and booked)):
        return theirs.amount, item
    raise UnfitError


def _going(book: Model, fit: Fit, decided: list[Break]) -> list[Item]:
    """Answers that wait no longer: the one decided on, unless another break is about it too; those that came with it
    and are on nobody's list; and, under the reference of a request that ends, all that are not in suspense."""
    one, on, item = fit.choice, fit.on, fit.item
    if one.action in STAYING:
        return []
    open_theirs = [each for each in book.items if not each.ours and each.is_open]
    others = [each.theirs for each in book.open_breaks() if each not in decided]
    going = [on.theirs] if on.theirs is not None and on.theirs.is_open else []
    if one.action == "resolve":
        going = [each for each in going if each not in others]
    if on.theirs is not None:
        beside = [each for each in open_theirs if (each.partner, each.ref) == (on.theirs.partner, on.theirs.ref)]
        going += [
            each for each in beside if each.place[0] == on.theirs.place[0] and not each.kept and each not in others
        ]
    for ended in fit.ends:
        going += [
            each for each in open_theirs if (each.partner, each.ref) == (ended.partner, ended.ref) and not each.kept
        ]
    if item is not None and item.state == "short" and one.action == "resolve" and on.code == m.SHORT:
        going.append(item)
    return going


def _clearing(book: Model, fit: Fit, going: list[Item]) -> list[Break]:
    """Beside the break decided on: all others of a request that ends, unless points wait in suspense under them; and
    those of answers that go."""
    cleared = []
    for each in book.open_breaks():
        theirs = each.theirs
        booked = theirs is not None and theirs.is_open and theirs.kept != 0
        if (each.item in fit.ends and not booked) or (theirs is not None and theirs in going):
            cleared.append(each)
    return cleared


def _act(book: Model, effect: Effect, fit: Fit) -> None:
    one, on, item, action = fit.choice, fit.on, fit.item, fit.choice.action
    if action == "decline":
        return
    if action in STAYING:
        effect.left_open = on
        on.lives.append((effect, (one.owner, None) if action == "assign" else (on.life[0], one.until)))
        return
    flight, payable, suspense, lost = (
        of_partner(on.partner, kind) for kind in ("in_flight", "payable", "suspense", "written_off")
    )
    if action == "refuse" and on.theirs is not None:
        book.move(effect, payable, suspense, on.theirs.kept)
    if action == "match" and on.theirs is not None:
        book.move(effect, flight, suspense, on.theirs.amount, day=on.theirs.day)
        for each in fit.about:
            ended = {"state": "confirmed", "kept": 0, "confirmed": each.amount, "returned": 0}
            book.change(effect, each, **(ended if each in fit.ends else {}))
    if item is None:
        return
    if action in ("refund", "write_off"):
        book.move(effect, flight, item.source if action == "refund" else lost, item.amount)
        state = "refunded" if action == "refund" else "written off"
        book.change(effect, item, state=state, kept=0, confirmed=0, returned=0)
    elif action in ("take", "identify") and on.theirs is not None:
        points, day = on.theirs.amount, on.theirs.day
        if item.unanswered:
            take(book, effect, item, points, flight, suspense if action == "identify" else payable, day)
        else:
            book.move(effect, item.source, suspense, points, day=day)
            book.change(effect, item, state="confirmed", kept=0, confirmed=points, returned=0)


# Members


def merge(book: Model, rows: Rows) -> None:
    """A members file: the account of a merged member moves to its survivor, or a person must look (B10)."""
    for partner in sorted({row["partner"] for _, row in rows}):
        told = [(line, row) for line, row in rows if row["partner"] == partner]
        hops, refused = _sorted_out(book, partner, told)
        for line, row in told:
            if line in refused:
                book.open_break(None, m.OTHER, partner, f"{_shown(row['member'])} > {_shown(row['survivor'])}",
                                line=line)  # fmt: skip
        aliases = book.aliases.setdefault(partner, {})
        for member, (survivor, day) in hops.items():
            aliases.setdefault(member, (survivor, day))
        accounts = {book.lots.member(partner, one): book.lots.member(partner, to) for one, (to, _) in hops.items()}
        book.lots.merge(accounts, book.balances)


def _sorted_out(book: Model, partner: str, told: Rows) -> tuple[dict[str, tuple[str, date]], set[int]]:
    """New hops of one file, and the lines that cannot be; all others say nothing new."""
    done = {str(one[2]): str(to[2]) for one, to in book.lots.merges.items() if one[1] == partner}
    named = {member: to for member, (to, _) in book.aliases.get(partner, {}).items()}
    into = defaultdict(set)
    for _, row in told:
        into[row["member"]].add(row["survivor"])
    hops: dict[str, tuple[str, date]] = {}
    refused: set[int] = set()
    for line, row in sorted(told, key=lambda one: (one[1]["value_date"], one[0])):
        member, to = row["member"], row["survivor"]
        if member in done:
            refused |= set() if to in (done[member], _last(done, member)) else {line}
        elif (
            (member in named and to not in (named[member], _last(named, member)))
            or len(into[member]) > 1
            or member == to
        ):
            refused.add(line)
        else:
            hops.setdefault(member, (to, row["value_date"]))
    every = named | done | {member: to for member, (to, _) in hops.items()}
    for member in list(hops):
        if _in_circle(every, member):
            del hops[member]
            refused |= {line for line, row in told if row["member"] == member}
    return hops, refused


def _last(hops: dict[str, str], member: str) -> str:
    while member in hops:
        member = hops[member]
    return member


def _in_circle(hops: dict[str, str], member: str) -> bool:
    at, steps = hops[member], 0
    while at in hops and at != member and steps <= len(hops):
        at, steps = hops[at], steps + 1
    return at == member


def _shown(member: str) -> str:
    return member[-3:] if len(member) > 3 else "?"
