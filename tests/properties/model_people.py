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

STAYING = ("assign", "wait")
"""Actions that leave their break open."""


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


def decide(book: Model, choices: Sequence[Choice]) -> None:
    """A whole decisions file: first what it takes back, then what it decides.

    Raises UnfitError when a row does not fit; the book is then to be thrown away.
    """
    _take_back(book, [one for one in choices if one.action == "undo"])
    rows = [(one, _named(book, one)) for one in choices if one.action != "undo"]
    fits = [(one, on, *_fit(book, one, on)) for one, on in rows]
    if any(one.points != points for one, _, points, _ in fits):
        raise UnfitError
    ended = Counter(id(item) for one, _, _, item in fits if item is not None and _ends(one.action))
    if len({id(on) for _, on in rows}) < len(rows) or any(times > 1 for times in ended.values()):
        raise UnfitError
    decided = [on for one, on in rows if one.action not in STAYING]
    goes = [_going(book, one, on, item, decided) for one, on, _, item in fits]
    clears = [_clearing(book, one, on, item, going) for (one, on, _, item), going in zip(fits, goes, strict=True)]
    for (one, on, points, item), going, clearing in zip(fits, goes, clears, strict=True):
        effect = Effect(book.n, one.line, book.today, one.ref or "", item or on.theirs)
        book.decided[book.n, one.line] = Decided(points, effect)
        _act(book, effect, one, on, item)
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
        return _fit(book, one, _named(book, one))[0]
    except UnfitError:
        return None


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


def _fit(book: Model, one: Choice, on: Break) -> tuple[int, Item | None]:
    """The points that a decision moves and the request that it concerns; UnfitError where the action does not fit."""
    if one.action in STAYING:
        return 0, None
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


def _going(book: Model, one: Choice, on: Break, item: Item | None, decided: list[Break]) -> list[Item]:
    """Answers that wait no longer: the one decided on, unless another break is about it too; those that came with it
    and are on nobody's list; and, under the reference of a request that ends, all that are not in suspense."""
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
    if item is not None and _ends(one.action):
        going += [
            each for each in open_theirs if (each.partner, each.ref) == (item.partner, item.ref) and not each.kept
        ]
    if item is not None and item.state == "short" and one.action == "resolve" and on.code == m.SHORT:
        going.append(item)
    return going


def _clearing(book: Model, one: Choice, on: Break, item: Item | None, going: list[Item]) -> list[Break]:
    """The break decided on; all others of a request that ends, unless points wait in suspense under them; and those of
    answers that go."""
    if one.action in STAYING:
        return []
    cleared = [on]
    for each in book.open_breaks():
        theirs = each.theirs
        booked = theirs is not None and theirs.is_open and theirs.kept != 0
        if (_ends(one.action) and item is not None and each.item is item and not booked) or (
            theirs is not None and theirs in going
        ):
            cleared.append(each)
    return cleared


def _act(book: Model, effect: Effect, one: Choice, on: Break, item: Item | None) -> None:
    action = one.action
    if action in STAYING:
        effect.left_open = on
        on.lives.append((effect, (one.owner, None) if action == "assign" else (on.life[0], one.until)))
        return
    flight, payable, suspense, lost = (
        of_partner(on.partner, kind) for kind in ("in_flight", "payable", "suspense", "written_off")
    )
    if action == "refuse" and on.theirs is not None:
        book.move(effect, payable, suspense, on.theirs.kept)
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
