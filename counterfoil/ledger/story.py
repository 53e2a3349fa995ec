"""What a story is: every record under a reference, what each did and was compared with, its breaks and how they ended.

Here: plain values for people and JSON. Not here: the reads behind them (``story_parts``), putting them together
(``telling``), why a break stands (``whys``), or the raw lines, which ``steps.explain`` adds from the landing store.
"""

from dataclasses import asdict, dataclass
from typing import Any


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
    """A request of ours, or an answer that waits as theirs, with the state it is in."""

    item_id: int
    side: str
    kind: str
    state: str
    partner: str
    ref: str
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
    """A booking; its legs sum to zero. ``undoes`` and ``undone_by`` name the records (``posting:line``) that it takes
    back, or that took it back."""

    event: str
    value_date: str
    accounting_date: str
    undoes: str | None
    undone_by: str | None
    legs: tuple[Leg, ...]


@dataclass(frozen=True)
class Candidate:
    """An item that a record was held against.

    ``role``: ``matched`` (the record speaks of it), ``part`` (one of the group that it settles or belongs to),
    ``candidate`` (considered and not taken) or ``same_reference`` (it bears the reference, no more is kept of it).
    ``agreed`` are the fields that are equal, ``difference`` and ``days`` the record's points and value date less the
    item's; null where nobody compared.
    """

    item_id: int
    role: str
    side: str
    ref: str
    points: int
    value_date: str
    posting: int
    line: int
    agreed: tuple[str, ...] | None
    difference: int | None
    days: int | None


@dataclass(frozen=True)
class Told:
    """One record of a file: where it stands, what it turned out to be, and what it booked.

    ``line`` is null for what a file did as a whole; such a record has no disposition. ``raw`` is the line as it was
    sent, masked; null where it cannot be had. ``own`` is false for records that only considered an item of the story:
    their transfers are another story. ``merged_to`` is the account that a merge named.
    """

    posting: int
    feed: str
    file: str
    line: int | None
    identity: str
    correction: bool
    business_date: str
    programme_day: str
    posted_at: str
    payload_sha: str
    raw: str | None
    own: bool
    disposition: str | None
    event: str
    match_pass: str
    item_id: int | None
    points: int
    value_date: str | None
    reason: str | None
    merged_to: str | None
    candidates: tuple[Candidate, ...]
    transfers: tuple[Transfer, ...]


@dataclass(frozen=True)
class Step:
    """One step in the life of a break: opened, reopened, assigned, pending or cleared.

    ``line`` is that of the record behind it, null where the file as a whole is. ``decision`` (``posting:line``) where a
    person took the step; ``owner`` is who sees to it, ``until`` when it is looked at again.
    """

    event: str
    on_day: str
    posting: int
    file: str
    line: int | None
    decision: str | None
    owner: str | None
    until: str | None


@dataclass(frozen=True)
class Compared:
    """One field of a near miss.

    ``agrees`` is null where a side does not name it. ``by``: points and days that theirs is above ours, or characters
    from the first that differs to the last; ``at`` is the first of these, from 1.
    """

    field: str
    agrees: bool | None
    by: int | None
    at: int | None


@dataclass(frozen=True)
class NearMiss:
    """An open item that nearly fits a break; ``fields`` are reference, member, points and date."""

    item_id: int
    side: str
    ref: str | None
    member: str | None
    points: int
    value_date: str
    posting: int
    file: str
    line: int
    fields: tuple[Compared, ...]

    def differing(self) -> tuple[str, ...]:
        """The fields in which it does not fit."""
        return tuple(one.field for one in self.fields if one.agrees is False)


@dataclass(frozen=True)
class Why:
    """Why a break stands: in words, the near misses best first, and the fields that would settle it if they agreed.

    ``sought`` is false where a near miss would say nothing: both sides are known, or there is only one. ``cause`` is
    the smallest change that would clear it, where one is known.
    """

    text: str
    sought: bool
    settles: tuple[str, ...]
    cause: str | None
    near_misses: tuple[NearMiss, ...]


@dataclass(frozen=True)
class TieOut:
    """The statement of an account that differs from the general ledger: lines A to H, in minor units."""

    account: str
    currency: str
    as_of: str
    per_gl: int
    not_posted: int
    by_hand: int
    adjusted_gl: int
    per_ledger: int
    after_cut_off: int
    adjusted_ledger: int
    unexplained: int


@dataclass(frozen=True)
class BreakTold:
    """A break of the story. ``cleared_on`` and ``why`` are null while it is open, and when it is not; ``cleared_line``
    and ``decision`` say by which record of that posting it was cleared. ``amount_*`` are what a break about money is
    about, in minor units of ``currency``; ours is null where no rate was in force. ``tie_out`` is the statement behind
    a B15."""

    break_id: str
    code: str
    title: str
    state: str
    partner: str
    subject: str
    item_id: int | None
    theirs_id: int | None
    points_ours: int | None
    points_theirs: int | None
    amount_ours_minor: int | None
    amount_theirs_minor: int | None
    currency: str | None
    value_date: str | None
    opened_on: str
    opened_by: int
    line: int | None
    owner: str
    until: str | None
    next_step: str
    cleared_on: str | None
    cleared_by: int | None
    life: tuple[Step, ...]
    why: Why | None
    tie_out: TieOut | None


@dataclass(frozen=True)
class Decided:
    """What a person decided about the story; named, as ``undone_by`` is, by ``posting:line``."""

    decision: str
    decided_at: str
    sender: str
    action: str
    subject: str
    points: int
    minor: int | None
    reason: str
    approved_by: str | None
    undone_by: str | None


@dataclass(frozen=True)
class Sealed:
    """A posting of the story in the audit chain."""

    posting: int
    posted_at: str
    feed: str
    file: str
    on_day: str
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
    """Everything the book knows of a reference or a break, in the order in which it happened.

    ``break_id`` where a break was asked for. ``left_out`` counts records in the middle of a story that is too long.
    """

    ref: str
    break_id: str | None
    items: tuple[Item, ...]
    records: tuple[Told, ...]
    left_out: int
    breaks: tuple[BreakTold, ...]
    decisions: tuple[Decided, ...]
    batches: tuple[Batched, ...]
    postings: tuple[Sealed, ...]

    def as_dict(self) -> dict[str, Any]:
        """The story as JSON values; keys are the fields above, days and instants ISO text."""
        return asdict(self)
