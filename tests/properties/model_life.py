"""The life of a request in the model: what requests, answers and corrected files do, as the design's table has it.

Here: partners' files, record by record. Not here: how a record changes the book (``model``), or people
(``model_people``).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from tests.properties import model as m
from tests.properties.model import Break, Effect, Item, Model, Row, Terms
from tests.properties.model_lots import Account

Rows = Sequence[tuple[int, Row]]
"""Each record with its line."""

OF_KIND = {"accepted": "says accepted", "rejected": "says rejected", "held": "says held", "reversed": "says reversed"}


def survivor(book: Model, partner: str, member: str | None, day: date) -> str | None:
    """The number that stands for a member's on a day."""
    known = book.aliases.get(partner, {})
    while member in known and known[member][1] <= day:
        member = known[member][0]
    return member


def of_partner(partner: str, kind: str) -> Account:
    return (kind, partner, None)


# Requests


def requests(book: Model, terms: Terms, rows: Rows) -> dict[int, Effect]:
    """Points leave their source and wait in flight, unless the reference is known or the source cannot pay."""
    partner = terms.partner
    known = {
        item.ref: item for item in book.items if item.ours and item.partner == partner and item.state != "withdrawn"
    }
    waiting = [item for item in book.items if not item.ours and item.partner == partner and item.is_open]
    twice = _asked_twice(rows)
    short = _beyond_cover(
        book, terms, [(line, row) for line, row in rows if row["ref"] not in known and line not in twice]
    )
    effects = {}
    for line, row in rows:
        effects[line] = effect = Effect(book.n, line, row["value_date"], row["ref"])
        if row["ref"] in known or line in twice:
            effect.item = known.get(row["ref"])
            book.open_break(effect, m.ASKED_TWICE, partner, row["ref"], effect.item)
            continue
        item = _asked(book, terms, effect, row, covered=line not in short)
        if item.state != "short":
            _meet(book, terms, effect, item, [one for one in waiting if one.ref == item.ref])
    book.members |= {(partner, row["member"]) for _, row in rows}
    book.settle()
    return effects


def _asked_twice(rows: Rows) -> set[int]:
    """Lines under one reference: equal ones count once, of others none does."""
    by_ref = defaultdict(list)
    for line, row in rows:
        by_ref[row["ref"]].append((line, row))
    twice: set[int] = set()
    for same in by_ref.values():
        alike = len({(row["points"], row["member"]) for _, row in same}) == 1
        twice |= {line for line, _ in same} - ({_first(same)} if alike else set())
    return twice


def _first(same: Rows) -> int:
    return min((line for line, _ in same))


def _beyond_cover(book: Model, terms: Terms, rows: Rows) -> set[int]:
    """A source pays in order of day and reference until it is first short."""
    left: dict[Account, int] = {}
    short: set[int] = set()
    if not terms.covered or terms.source != "member":
        return short
    for line, row in sorted(rows, key=lambda one: (one[1]["value_date"], one[1]["ref"])):
        if row["points"] <= 0:
            continue
        account = book.lots.end(book.lots.member(terms.partner, row["member"]))
        left[account] = left.get(account, book.balances[account]) - row["points"]
        if left[account] < 0:
            short.add(line)
    return short


def _asked(book: Model, terms: Terms, effect: Effect, row: Row, *, covered: bool) -> Item:
    points, partner = row["points"], terms.partner
    account = book.lots.member(partner, row["member"]) if terms.source == "member" else m.ISSUED
    item = Item("request" if points > 0 else "recall", partner, row["ref"], row["member"], points, row["value_date"],
                (book.n, effect.line), "pending", abs(points), account,
                row["value_date"] + timedelta(days=terms.due_days))  # fmt: skip
    effect.item = book.make(effect, item)
    if not covered:
        item.state, item.kept = "short", 0
        book.open_break(effect, m.SHORT, partner, item.ref, item)
        return item
    source = account if points > 0 else of_partner(partner, "payable")
    book.move(effect, source, of_partner(partner, "in_flight"), abs(points))
    return item


def _meet(book: Model, terms: Terms, effect: Effect, item: Item, theirs: list[Item]) -> None:
    """The one answer that came before its request, if it speaks of the same member, is taken as if it came now."""
    if len(theirs) != 1:
        return
    (one,) = theirs
    named = [survivor(book, item.partner, name, one.day) for name in (item.member, one.member)]
    if one.member is not None and named[0] != named[1]:
        return
    suspense, payable = of_partner(item.partner, "suspense"), of_partner(item.partner, "payable")
    for waits in book.open_breaks(m.UNKNOWN):
        if waits.theirs is one:
            book.clear(effect, waits)
    booked, outcome = one.kept, one.kind.removeprefix("says ")
    book.move(effect, payable, suspense, booked, day=one.day)
    step = next_step(item, outcome, one.amount, terms.tolerance)
    if step in ("differs", "conflict"):
        book.open_break(effect, m.DIFFERS if step == "differs" else m.CONFLICT, item.partner, item.ref, item, one)
        if booked:
            book.change(effect, one, kept=0)
        return
    book.change(effect, one, state="closed", kept=0)
    answer(book, effect, item, step, one.amount, one.day)


# Answers


def next_step(item: Item | None, outcome: str, points: int, tolerance: int) -> str:
    """What the table says of an answer; whatever it does not list is a conflict."""
    if item is None or item.state == "short":
        return "unknown"
    sent, request = item.amount, item.kind == "request"
    if item.unanswered:
        if outcome == "held":
            return "hold" if item.state == "pending" else "again"
        near = request and abs(points - sent) <= tolerance and (points > 0) == (sent > 0)
        if outcome == "accepted":
            return "accept" if points == sent or near else "differs"
        if outcome == "rejected":
            return "reject" if points == sent else "differs"
        return "conflict"
    listed = {
        ("confirmed", "accepted"): "again" if points == item.confirmed else None,
        ("reversed", "accepted"): "again" if points == item.confirmed else None,
        ("rejected", "rejected"): "again" if points == sent else None,
        ("rejected", "accepted"): "after the end" if request else None,
        ("refunded", "accepted"): "after the end",
        ("refunded", "rejected"): "agreed" if points == sent else None,
        ("written off", "accepted"): "late accept" if points == sent else None,
        ("written off", "rejected"): "late reject" if points == sent else None,
    }
    if outcome == "reversed" and request and item.state in ("confirmed", "reversed"):
        return "reverse" if abs(points) <= item.confirmed - item.returned else "conflict"
    return listed.get((item.state, outcome)) or "conflict"


def answer(book: Model, effect: Effect, item: Item, step: str, points: int, day: date) -> None:
    """An answer that moves its request on: what it books, where the request stands then, a break for a rejection."""
    partner, source, recall = item.partner, item.source, item.kind == "recall"
    flight, payable, lost = (of_partner(partner, kind) for kind in ("in_flight", "payable", "written_off"))
    sent, said = abs(item.amount), abs(points)
    if step == "hold":
        book.change(effect, item, state="held", kept=sent)
    elif step == "accept" and recall:
        book.move(effect, flight, source, sent, gain=True, day=day)
        book.change(effect, item, state="confirmed", kept=0, confirmed=points, returned=0)
    elif step == "accept":
        take(book, effect, item, points, flight, payable, day)
    elif step == "reject":
        book.move(effect, flight, payable if recall else source, sent, day=day)
        book.change(effect, item, state="rejected", kept=0, confirmed=0, returned=0)
    elif step == "reverse":
        book.move(effect, payable, source, said, day=day)
        book.change(effect, item, state="reversed", kept=0, returned=item.returned + said)
    elif step == "late accept":
        book.move(effect, lost, payable, sent, day=day)
        book.change(effect, item, state="confirmed", kept=0, confirmed=points, returned=0)
    elif step == "late reject":
        book.move(effect, lost, source, sent, day=day)
        book.change(effect, item, state="rejected", kept=0, confirmed=0, returned=0)
    if step in ("reject", "late reject"):
        book.open_break(effect, m.REFUSED, partner, item.ref, item)


def take(book: Model, effect: Effect, item: Item, points: int, flight: Account, to: Account, day: date) -> None:
    """The partner's figure counts: a shortfall returns to the source, only an excess goes to variance."""
    sent = item.amount
    book.move(effect, flight, to, min(sent, points), day=day)
    book.move(effect, flight, item.source, max(sent - points, 0), day=day)
    book.move(effect, of_partner(item.partner, "variance_loss"), to, max(points - sent, 0), day=day)
    book.change(effect, item, state="confirmed", kept=0, confirmed=points, returned=0)


def find(book: Model, partner: str, row: Row) -> Item | None:
    """The request that an answer names: the same reference, and the same member where the partner names one."""
    for item in book.items:
        if item.ours and (item.partner, item.ref) == (partner, row["ref"]) and item.state != "withdrawn":
            names = [survivor(book, partner, name, row["value_date"]) for name in (item.member, row["member"])]
            same = row["member"] in (None, item.member) or names[0] == names[1]
            return item if same else None
    return None


def answers(book: Model, terms: Terms, rows: Rows) -> dict[int, Effect]:
    """A hand-back file. All answers are judged by the book as it was before the file."""
    partner = terms.partner
    waiting = [item for item in book.items if not item.ours and item.partner == partner and item.is_open]
    before = book.open_breaks(m.OVERDUE, m.UNKNOWN, m.DIFFERS, m.CONFLICT)
    found = {line: find(book, partner, row) for line, row in rows}
    steps = {line: next_step(found[line], row["outcome"], row["points"], terms.tolerance) for line, row in rows}
    _within_file(rows, found, steps)
    for line, row in rows:
        if steps[line] in ("unknown", "differs", "conflict", "after the end"):
            _beside(row, [one for one in waiting if one.ref == row["ref"]], steps, line)
    effects = {line: Effect(book.n, line, row["value_date"], row["ref"], found[line]) for line, row in rows}
    told: set[str] = set()
    for line, row in sorted(rows, key=lambda one: one[0]):
        effect, item = effects[line], found[line]
        _one(book, effect, item, row, steps[line], partner, told)
        _end_waiting(book, effect, item, row, steps[line], waiting, before)
    _merges(book, terms, rows, steps, effects)
    for item in found.values():
        if item is not None:
            item.told = book.n
    book.settle()
    return effects


def _within_file(rows: Rows, found: dict[int, Item | None], steps: dict[int, str]) -> None:
    """Equal answers to one item count once, disagreeing ones not at all; two reversals never agree."""
    groups = defaultdict(list)
    for line, row in rows:
        groups[found[line], row["ref"]].append((line, row))
    for same in groups.values():
        said = {(row["outcome"], row["points"], row["reason"], row["to_account"], row["member"]) for _, row in same}
        if len(same) > 1:
            agree = len(said) == 1 and same[0][1]["outcome"] != "reversed"
            for line, _ in same:
                if not agree or line != _first(same):
                    steps[line] = "again" if agree else "conflict"


def _beside(row: Row, waiting: list[Item], steps: dict[int, str], line: int) -> None:
    """An answer that already waits is a duplicate, another one beside it a conflict; a hold waits for any answer."""
    peers = [one for one in waiting if one.kind != OF_KIND["held"] or row["outcome"] == "held"]
    if peers:
        same = any((one.kind, one.amount) == (OF_KIND[row["outcome"]], row["points"]) for one in peers)
        steps[line] = "again" if same else "conflict"


def _one(book: Model, effect: Effect, item: Item | None, row: Row, step: str, partner: str, told: set[str]) -> None:
    ref, points = row["ref"], row["points"]
    if step == "again":
        book.open_break(effect, m.TWICE, partner, ref, item)
    elif step in ("unknown", "differs", "conflict", "after the end"):
        books = step == "after the end" or (step == "unknown" and row["outcome"] == "accepted")
        theirs = Item(OF_KIND[row["outcome"]], partner, ref, row["member"], points, row["value_date"],
                      (book.n, effect.line), "unidentified", points if books else 0)  # fmt: skip
        book.make(effect, theirs)
        effect.item = item or theirs
        if books:
            book.move(effect, of_partner(partner, "suspense"), of_partner(partner, "payable"), points)
        code = {"unknown": m.UNKNOWN, "differs": m.DIFFERS}.get(step, m.CONFLICT)
        if code != m.CONFLICT or ref not in told:
            book.open_break(effect, code, partner, ref, item, theirs)
        if code == m.CONFLICT:
            told.add(ref)
    elif item is not None:
        answer(book, effect, item, step, points, row["value_date"])


def _end_waiting(
    book: Model, effect: Effect, item: Item | None, row: Row, step: str, waiting: list[Item], before: list[Break]
) -> None:
    """An end clears what was overdue, differed or was unknown, and an answer takes the place of a hold that waited.
    What is reversed whole agrees at last with a rejection that came too late."""
    ends = step in ("accept", "reject", "reverse", "late accept", "late reject")
    outdated = [one for one in waiting if step == "unknown" and row["outcome"] != "held"
                and one.ref == row["ref"] and one.kind == OF_KIND["held"]]  # fmt: skip
    whole = step == "reverse" and item is not None and item.returned == item.confirmed
    for one in before:
        late = one.theirs is not None and one.theirs.is_open and one.theirs.kind == OF_KIND["rejected"]
        if one.code == m.CONFLICT and not (whole and late):
            continue
        if one.open and ((ends and one.item is item) or one.theirs in outdated):
            book.clear(effect, one)
            if one.theirs is not None and one.theirs.is_open:
                book.change(effect, one.theirs, state="closed", kept=0)


def _merges(book: Model, terms: Terms, rows: Rows, steps: dict[int, str], effects: dict[int, Effect]) -> None:
    """Accepted to another account: an alias, unless that is for a person."""
    partner, known = terms.partner, book.aliases.setdefault(terms.partner, {})
    moved = [
        (line, row) for line, row in rows
        if row["outcome"] == "accepted" and steps[line] not in ("again", "conflict")
        and None not in (row["member"], row["to_account"]) and row["member"] != row["to_account"]
        and row["to_account"] not in
        {survivor(book, partner, row["member"], day) for day in (row["value_date"], date.max)}
    ]  # fmt: skip
    away = {*known, *(row["member"] for _, row in moved)}
    into = defaultdict(set)
    for _, row in moved:
        into[row["member"]].add(row["to_account"])
    fresh: dict[str, tuple[str, date]] = {}
    for line, row in sorted(moved, key=lambda one: one[0]):
        member, to = row["member"], row["to_account"]
        if to in away or member in known or len(into[member]) > 1 or (partner, to) in book.members:
            theirs = next(iter(effects[line].made), None)
            item = effects[line].item
            book.open_break(effects[line], m.OTHER, partner, row["ref"], item if item is not theirs else None, theirs)
        elif member not in fresh:
            fresh[member] = (to, row["value_date"])
            effects[line].final = True
    known |= fresh


# Corrections


def correct(
    book: Model, terms: Terms, kind: str, old: dict[int, tuple[Row, Effect]], new: Rows
) -> dict[int, tuple[Row, Effect]]:
    """A corrected file: what differs is taken back and done anew, but for what has gone on since (B11).

    ``old``: the records that stand, with what each did; returns those that stand now.
    """
    pairs = _paired([(at, row) for at, (row, _) in old.items()], new)
    lines = dict(new)
    stands = {line: old[at] for line, at in pairs.items() if old[at][0] == lines[line]}
    differs = [(line, at) for line, at in pairs.items() if line not in stands]
    differs += [(0, at) for at in sorted(set(old) - set(pairs.values()))]
    beside = [old[at][1] for _, at in differs]
    late = [(line, at) for line, at in differs if not book.can_undo(old[at][1], beside)]
    back = [
        (old[at][1], Effect(book.n, line, old[at][1].day, lines[line]["ref"] if line else ""))
        for line, at in differs if (line, at) not in late
    ]  # fmt: skip
    for effect, by in sorted(back, key=lambda pair: (pair[1].line, pair[0].n, pair[0].line)):
        book.undo(effect, by)
    book.settle()
    too_late = {line for line, _ in late}
    anew = [(line, row) for line, row in new if line not in stands and line not in too_late]
    done = (requests if kind == "requests" else answers)(book, terms, anew)
    stands |= {line: (lines[line], effect) for line, effect in done.items()}
    for line, at in late:
        row, effect = old[at]
        mark = Effect(book.n, line, row["value_date"], row["ref"], effect.item, final=True)
        book.open_break(None, m.CONFLICT, terms.partner, row["ref"], effect.item, line=line)
        if line:
            stands[line] = (lines[line], mark)
    return stands


def _paired(old: Rows, new: Rows) -> dict[int, int]:
    """Which new record is which old one, by its reference; none where a reference does not tell records apart."""
    refs = [[row["ref"] for _, row in rows] for rows in (old, new)]
    if any(len(set(of)) < len(of) for of in refs):
        return {}
    places = {row["ref"]: at for at, row in old}
    return {line: places[row["ref"]] for line, row in new if row["ref"] in places}


def numbered(rows: Iterable[Row]) -> Rows:
    """Records with their lines: a header comes first."""
    return list(enumerate(rows, 2))
