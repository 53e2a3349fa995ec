"""A story as people read it: what each file brought, in order, and what that did, in words.

Here: words and order, the same for the terminal and the page. Not here: the facts (``ledger.story``) or their look
(``story_page`` and the command).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal

from counterfoil.ledger.story import BreakTold, Candidate, Compared, NearMiss, Step, Story, Told, Transfer, Why
from counterfoil.reports.tables import grouped

Look = Literal["plain", "good", "open", "bad"]
"""How something stands: told only, settled, waiting for somebody, or gone wrong."""


@dataclass(frozen=True)
class Entry:
    """One record of a file: what it turned out to be, its points (null where it has none), what is to be said of it."""

    title: str
    line: int | None
    points: int | None
    notes: tuple[str, ...]
    raw: str | None
    look: Look


@dataclass(frozen=True)
class Mark:
    """One step in the life of a break, in words."""

    text: str
    look: Look


@dataclass(frozen=True)
class Node:
    """What one posted file did to the story."""

    day: str
    at: str
    posting: int
    file: str
    feed: str
    entries: tuple[Entry, ...]
    marks: tuple[Mark, ...]


_TITLES: Final[Mapping[str, tuple[str, Look]]] = {
    "request": ("Requested of the partner", "plain"),
    "gl_stated": ("Stated by the general ledger", "plain"),
    "recall": ("Recalled from the partner", "plain"),
    "duplicate_request": ("Requested again; not sent a second time", "bad"),
    "balance_short": ("Refused: the balance does not cover it", "bad"),
    "opening_item": ("Taken over at cut-over", "plain"),
    "accepted": ("Accepted", "good"),
    "rejected": ("Rejected", "bad"),
    "held": ("Held by the partner", "open"),
    "reversed": ("Reversed by the partner", "bad"),
    "recall_accepted": ("Recall accepted", "good"),
    "recall_rejected": ("Recall rejected", "bad"),
    "late_accept": ("Accepted late", "good"),
    "late_reject": ("Rejected late", "bad"),
    "amount_differs": ("Answered with other points; nothing settled", "open"),
    "date_differs": ("Answered with a value date too far off; nothing settled", "open"),
    "conflict": ("Contradicts another answer; nothing settled", "bad"),
    "accepted_after_end": ("Accepted after the request had ended", "bad"),
    "agreed_after_end": ("Agrees with what was decided", "plain"),
    "duplicate_answer": ("The same answer again", "plain"),
    "unknown_accepted": ("Accepted, and no request fits; waits in suspense", "open"),
    "unknown_other": ("Answered, and no request fits; waits", "open"),
    "accepted_part": ("Accepted; with the other parts it adds up to the request", "good"),
    "parts_met": ("The parts that waited add up to the request", "good"),
    "netted": ("Accepted as one sum of several requests", "good"),
    "identified": ("Identified", "good"),
    "matched": ("Matched by decision", "good"),
    "refunded": ("Refunded by decision", "good"),
    "written_off": ("Written off by decision", "good"),
    "taken": ("Taken at the partner's figure", "good"),
    "taken_from_suspense": ("Identified by decision; taken from suspense", "good"),
    "taken_after_end": ("Taken although the request had ended", "good"),
    "refused": ("Refused by decision; taken back from suspense", "good"),
    "resolved": ("Break closed by decision", "good"),
    "assigned": ("Assigned", "plain"),
    "postponed": ("Put off", "plain"),
    "declined": ("Suggestion declined", "plain"),
    "undone": ("Taken back", "bad"),
    "decision_undone": ("A decision taken back", "bad"),
    "unchanged": ("As before in the corrected file", "plain"),
    "changed_too_late": ("Corrected too late: it has gone on since", "bad"),
}

_PASSES: Final = {
    "exact": "exact key",
    "date_window": "key, the date within the days allowed",
    "tolerance": "key, the points within what is tolerated",
    "settled_key": "key of a request that had ended",
    "theirs_first": "an answer that waited",
    "split": "several answers to one request",
    "netted": "one answer to several requests",
    "suggested": "one that fits without the reference; a person decides",
    "ambiguous": "several fit; none was chosen",
    "gave_up": "too many could fit; given up",
}

_ROLES: Final = {
    "matched": "Held against",
    "part": "Together with",
    "candidate": "Considered",
    "same_reference": "Beside",
}

_STEPS: Final[Mapping[str, Look]] = {
    "opened": "bad", "reopened": "bad", "assigned": "open", "pending": "open", "open": "open", "cleared": "good",
}  # fmt: skip


def timeline(story: Story) -> tuple[Node, ...]:
    """What happened, a node for each posting, in posting order."""
    records = {n: list(found) for n, found in groupby(story.records, key=lambda record: record.posting)}
    steps: dict[int, list[tuple[BreakTold, Step]]] = {}
    for broken in story.breaks:
        for step in broken.life:
            steps.setdefault(step.posting, []).append((broken, step))
    said = {one.decision: _decision_notes(story, one.decision) for one in story.decisions}
    return tuple(
        Node(
            day=sealed.on_day,
            at=sealed.posted_at,
            posting=sealed.posting,
            file=sealed.file,
            feed=sealed.feed,
            entries=tuple(_entry(record, said) for record in records.get(sealed.posting, [])),
            marks=tuple(_mark(broken, step) for broken, step in steps.get(sealed.posting, [])),
        )
        for sealed in story.postings
    )


def _entry(record: Told, said: Mapping[str, Sequence[str]]) -> Entry:
    title, look = _TITLES.get(record.event, (words(record.event).capitalize(), "plain"))
    if not record.own:
        title, look = f"Considered for another record: {title[0].lower()}{title[1:]}", "plain"
    notes = [
        *(_met(record, one) for one in record.candidates),
        *(_moved(one) for one in record.transfers),
        *([f"Reason {record.reason}."] if record.reason else []),
        *([f"To the account {record.merged_to}."] if record.merged_to else []),
        *said.get(f"{record.posting}:{record.line}", ()),
    ]
    return Entry(title, record.line, record.points or None, tuple(notes), record.raw, look)


def _met(record: Told, one: Candidate) -> str:
    found = f" by {_PASSES[record.match_pass]}" if one.role == "matched" and record.match_pass in _PASSES else ""
    whose = "request" if one.side == "ours" else "answer"
    ref = "without a reference" if one.ref.startswith("?") else one.ref
    what = f"{_ROLES[one.role]} {whose} {ref} of {_points(one.points)} ({one.posting}:{one.line}){found}"
    if one.agreed is None:
        return f"{what}."
    apart = [
        *([f"{_points(abs(one.difference))} {'more' if one.difference > 0 else 'less'}"] if one.difference else []),
        *([_days(one.days)] if one.days else []),
    ]
    agree = f"{listed(one.agreed)} {'agrees' if len(one.agreed) == 1 else 'agree'}" if one.agreed else "no field agrees"
    return f"{what}: {agree}{'; ' if apart else ''}{', '.join(apart)}."


def _moved(transfer: Transfer) -> str:
    """``250 points from in flight to payable``; several legs a side are named one by one."""
    out, into = (
        [leg for leg in transfer.legs if leg.points < 0],
        [leg for leg in transfer.legs if leg.points > 0],
    )
    origin, target = (
        " and ".join(words(leg.account) if len(side) == 1 else f"{grouped(abs(leg.points))} {words(leg.account)}"
                     for leg in side)
        for side in (out, into)
    )  # fmt: skip
    moved = f"{_points(sum(leg.points for leg in into))} from {origin} to {target}"
    undoing = f", taking back {transfer.undoes}" if transfer.undoes else ""
    undone = f"; taken back by {transfer.undone_by}" if transfer.undone_by else ""
    return f"{moved}{undoing}{undone}."


def _decision_notes(story: Story, name: str) -> list[str]:
    one = next(found for found in story.decisions if found.decision == name)
    return [
        f"{one.sender}: {one.reason}",
        *([f"Approved by {one.approved_by}."] if one.approved_by else []),
        *([f"Undone by {one.undone_by}."] if one.undone_by else []),
    ]


def _mark(broken: BreakTold, step: Step) -> Mark:
    by = f" by line {step.line}" if step.line is not None and step.event in {"cleared", "reopened"} else ""
    to = f" to {step.owner}" if step.owner else ""
    until = f" until {step.until}" if step.until else ""
    return Mark(f"{broken.code} {broken.title.lower()}: {step.event}{to}{until}{by}", _STEPS[step.event])


def settling(why: Why) -> str:
    """What would settle a break, in a sentence; empty where nothing of the kind is looked for."""
    if not why.near_misses:
        return "Nothing that is open comes near it." if why.sought else ""
    nearest = why.near_misses[0]
    name = f"{'request' if nearest.side == 'ours' else 'answer'} {nearest.ref or f'{nearest.posting}:{nearest.line}'}"
    if not why.settles:
        return f"Nothing that both sides name speaks against {name}."
    equal = [near for near in why.near_misses if near.differing() == nearest.differing()]
    if len(equal) > 1:
        return f"Each of {len(equal)} would settle it but for its {listed(why.settles)}; the nearest is {name}."
    apart = [f"its {one.field} ({compared(one)})" for one in nearest.fields if one.field in why.settles]
    return f"It would settle with {name} but for {listed(apart)}."


def compared(field: Compared) -> str:
    """How one field of a near miss compares, in words."""
    if field.agrees is None:
        return "not named"
    if field.field == "date" and field.by:
        return f"answered {_days(field.by)}"
    if field.agrees:
        return "equal"
    if field.field == "points" and field.by is not None:
        return f"answered {_points(abs(field.by))} {'more' if field.by > 0 else 'less'}"
    if field.field == "reference" and field.by is not None:
        place_of = _ordinal(field.at or 1)
        return (
            f"1 character differs, the {place_of}"
            if field.by == 1
            else f"{field.by} characters differ, from the {place_of} on"
        )
    return "another"


def place(near: NearMiss) -> str:
    """Where a near miss comes from."""
    return f"{near.file}:{near.line}"


def words(code: str) -> str:
    """A code, its underscores as spaces."""
    return code.replace("_", " ")


def listed(names: Sequence[str]) -> str:
    """``reference, points and date``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _points(number: int) -> str:
    return f"{grouped(number)} {'point' if abs(number) == 1 else 'points'}"


def _days(number: int) -> str:
    return f"{abs(number)} {'day' if abs(number) == 1 else 'days'} {'later' if number > 0 else 'earlier'}"


def _ordinal(number: int) -> str:
    suffix = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
