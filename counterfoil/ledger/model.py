"""The words of the book and the shape of its tables: codes as small integers, columns as Polars types.

Here: enumerations kept in the book and the columns of every table a posting adds rows to. Not here: SQL, or what an
event books (``data/ledger/posting.yaml``). A code that has landed keeps its number for ever.
"""

from enum import IntEnum, IntFlag
from typing import Final

import polars as pl


class Side(IntEnum):
    """Whose item it is: our request, or something only the partner reports."""

    OURS = 1
    THEIRS = 2


class ItemKind(IntEnum):
    """What an item is; for theirs, what the partner said."""

    REQUEST = 1
    RECALL = 2
    THEIR_ACCEPT = 3
    THEIR_REJECT = 4
    THEIR_HOLD = 5
    THEIR_REVERSAL = 6
    THEIR_ACTIVITY = 7


class State(IntEnum):
    """Where an item stands. UNKNOWN is the state of a reference that has no item."""

    UNKNOWN = 0
    PENDING = 1
    HELD = 2
    CONFIRMED = 3
    REJECTED = 4
    REVERSED = 5
    REFUNDED = 6
    WRITTEN_OFF = 7
    SHORT = 8
    UNIDENTIFIED = 9
    CLOSED = 10
    WITHDRAWN = 11


class Outcome(IntEnum):
    """What a partner's answer says."""

    ACCEPTED = 1
    REJECTED = 2
    HELD = 3
    REVERSED = 4


class Relation(IntEnum):
    """The answered amount beside the amount sent (or, for a reversal, beside what is still confirmed)."""

    EQUAL = 0
    WITHIN = 1
    BEYOND = 2


class Event(IntEnum):
    """What happened to a record; ``posting.yaml`` says what each books."""

    REQUEST = 1
    RECALL = 2
    DUPLICATE_REQUEST = 3
    BALANCE_SHORT = 4
    ACCEPTED = 10
    REJECTED = 11
    HELD = 12
    REVERSED = 13
    RECALL_ACCEPTED = 14
    RECALL_REJECTED = 15
    AMOUNT_DIFFERS = 20
    CONFLICT = 21
    ACCEPTED_AFTER_END = 22
    DUPLICATE_ANSWER = 23
    AGREED_AFTER_END = 24
    UNKNOWN_ACCEPTED = 30
    UNKNOWN_OTHER = 31
    IDENTIFIED = 32
    UNBOOKED = 33
    LATE_ACCEPT = 40
    LATE_REJECT = 41
    OPENING_BALANCE = 50
    OPENING_ITEM = 51
    RATE = 60
    DAY_CLOSED = 61
    REFUNDED = 70
    WRITTEN_OFF = 71
    TAKEN = 72
    TAKEN_FROM_SUSPENSE = 73
    TAKEN_AFTER_END = 74
    REFUSED = 75
    RESOLVED = 76
    PERMITTED = 77
    LOCKED = 78
    REOPENED = 79
    UNDONE = 80
    DECISION_UNDONE = 81
    UNCHANGED = 82
    CHANGED_TOO_LATE = 83
    EXPIRED = 90
    MERGED = 91
    MERGE_KNOWN = 92
    MERGE_REFUSED = 93
    ACCEPTED_PART = 100
    PARTS_MET = 101
    NETTED = 102
    DATE_DIFFERS = 103
    MATCHED = 104
    ASSIGNED = 105
    POSTPONED = 106
    DECLINED = 107
    ACCRUED = 110
    REDEEMED = 111
    REDEEMED_BEYOND = 112
    ACTIVITY_KNOWN = 113
    GL_STATED = 120


FIRST_OF_VERSION: Final = {2: 70, 3: 110}
"""The first event that each version of the posting rules but the first brought; earlier ones know those below it."""

WITHOUT_RULES: Final = (Event.GL_STATED,)
"""Events that by their nature book nothing, so that no version of the posting rules names them."""


class Action(IntEnum):
    """What a person decided; ``decision.action``."""

    RESOLVE = 1
    IDENTIFY = 2
    REFUSE = 3
    REFUND = 4
    WRITE_OFF = 5
    TAKE = 6
    UNDO = 7
    RELEASE = 8
    DISCARD = 9
    APPROVE = 10
    LOCK = 11
    REOPEN = 12
    MATCH = 13
    ASSIGN = 14
    WAIT = 15
    DECLINE = 16


class LotUse(IntEnum):
    """Why points left a lot; the points of a return are negative."""

    SPENT = 1
    OVERDRAWN = 2
    """A new lot on an overdrawn account first fills the hole."""
    EXPIRED = 3
    MERGED = 4
    """Into a lot of the account that stands for this one."""
    RENEWED = 5
    """Into a lot that lives for the grace: what returned to a lot that had expired."""


class Disposition(IntEnum):
    """What became of an accepted record; each has exactly one."""

    SETTLED = 1
    SETTLED_GROUP = 2
    REJECTED = 3
    REVERSED = 4
    HELD = 5
    OPEN_THEIRS = 6
    DUPLICATE = 7
    INFORMATION = 8


class MatchPass(IntEnum):
    """The pass that matched a record. NONE: nothing to match, or nothing found.

    EXACT, DATE_WINDOW and TOLERANCE are by reference; SETTLED_KEY is an item that had ended, THEIRS_FIRST an answer
    that waited. SPLIT: several answers to one request; NETTED: one answer to several. SUGGESTED, AMBIGUOUS and GAVE_UP
    settle nothing: one candidate, several, or more work than a posting may take.
    """

    NONE = 0
    EXACT = 1
    SETTLED_KEY = 2
    THEIRS_FIRST = 3
    DATE_WINDOW = 4
    TOLERANCE = 5
    SPLIT = 6
    NETTED = 7
    SUGGESTED = 8
    AMBIGUOUS = 9
    GAVE_UP = 10


class MatchRole(IntEnum):
    """What an item is to the record that was matched; ``match.role``."""

    MATCHED = 1
    """The record speaks of it alone."""
    PART = 2
    """One of the group that the record closes or belongs to."""
    CANDIDATE = 3
    """Considered and not taken: it is one of several, or only a person can tell."""


class Agreed(IntFlag):
    """Fields in which a record and an item agree; ``match.agreed``."""

    REF = 1
    MEMBER = 2
    POINTS = 4
    DATE = 8


class BreakCode(IntEnum):
    """Break types; the number is the one in ``B04``."""

    IN_TRANSIT = 1
    OVERDUE = 2
    UNKNOWN_THEIRS = 3
    POINTS_DIFFER = 4
    MONEY_DIFFERS = 5
    DATE_DIFFERS = 6
    DUPLICATE_THEIRS = 7
    DUPLICATE_OURS = 8
    REJECTED = 9
    OTHER_ACCOUNT = 10
    CONFLICT = 11
    CONTROL_WRONG = 12
    SEQUENCE = 13
    WALLET_DIFFERS = 14
    LEDGER_DIFFERS = 15
    BALANCE_SHORT = 16


class BreakState(IntEnum):
    """What people have done about an open break; ``break_state.state``. One that nobody touched is open."""

    OPEN = 1
    ASSIGNED = 2
    PENDING = 3


class BreakEvent(IntEnum):
    """Steps in the life of a break."""

    OPENED = 1
    REOPENED = 2
    CLEARED = 9


RECORD_SPAN: Final = 1 << 31
"""Lines a file can have. ``file_id * RECORD_SPAN + line_no`` is the id of a record, and so of the item it makes."""

TRANSFERS_PER_RECORD: Final = 4
"""A record books at most a request, its identification and an undoing; ``transfer_id = record id * 4 + ordinal``."""

I16, I32, I64, TEXT, DAY = pl.Int16, pl.Int32, pl.Int64, pl.String, pl.Date

# fmt: off
TABLES: Final[dict[str, dict[str, type[pl.DataType]]]] = {
    "partner": {"partner_id": I32, "partner": TEXT, "file_id": I32},
    "account": {"account_id": I32, "kind": TEXT, "partner_id": I32, "owner": TEXT, "unit": TEXT, "file_id": I32},
    "reason": {"reason_id": I32, "partner_id": I32, "reason": TEXT, "file_id": I32},
    "member": {"partner_id": I32, "member": TEXT, "file_id": I32, "line_no": I32},
    "alias": {"partner_id": I32, "member": TEXT, "survivor": TEXT, "since": DAY, "file_id": I32, "line_no": I32},
    "rate": {
        "basis": TEXT, "currency": TEXT, "minor": I64, "per_points": I64, "effective_from": DAY, "file_id": I32,
        "line_no": I32,
    },
    "closed_day": {"day": DAY, "feed": TEXT, "status": TEXT, "files": I32, "file_id": I32, "line_no": I32},
    "item": {
        "item_id": I64, "side": I16, "kind": I16, "partner_id": I32, "ref": TEXT, "member": TEXT,
        "source_account": I32, "amount": I64, "unit": TEXT, "their_amount": I64, "their_unit": TEXT,
        "ratio_ours": I32, "ratio_theirs": I32, "value_date": DAY, "due_date": DAY,
    },
    "settled_key": {
        "item_id": I64, "state": I16, "confirmed": I64, "reversed": I64, "reason_id": I32, "month": I32,
        "file_id": I32, "line_no": I32,
    },
    "disposition": {
        "file_id": I32, "line_no": I32, "disposition": I16, "event": I16, "match_pass": I16, "item_id": I64,
        "points": I64, "reason_id": I32, "value_date": DAY,
    },
    "entry": {
        "transfer_id": I64, "leg": I16, "account_id": I32, "amount": I64, "event": I16, "value_date": DAY,
        "accounting_date": DAY, "file_id": I32, "line_no": I32,
    },
    "break": {
        "break_id": TEXT, "code": I16, "partner_id": I32, "subject": TEXT, "occurrence": I32, "item_id": I64,
        "theirs_id": I64, "points_ours": I64, "points_theirs": I64, "value_date": DAY, "their_date": DAY,
        "opened_on": DAY, "file_id": I32, "line_no": I32,
    },
    "break_event": {"break_id": TEXT, "event": I16, "code": I16, "on_day": DAY, "file_id": I32, "line_no": I32},
    "item_change": {"item_id": I64, "state": I16, "remaining": I64, "file_id": I32, "line_no": I32},
    "reversal": {"transfer_id": I64, "reverses": I64, "file_id": I32, "line_no": I32},
    "decision": {
        "action": I16, "subject": TEXT, "item_id": I64, "theirs_id": I64, "break_id": TEXT, "points": I64,
        "minor": I64, "reason": TEXT, "file_id": I32, "line_no": I32,
    },
    "lot": {
        "lot_id": I64, "account_id": I32, "amount": I64, "earned": DAY, "expires": DAY, "file_id": I32,
        "line_no": I32,
    },
    "lot_use": {
        "lot_id": I64, "account_id": I32, "item_id": I64, "use": I16, "amount": I64, "file_id": I32, "line_no":
        I32,
    },
    "merge": {
        "partner_id": I32, "member": TEXT, "survivor": TEXT, "from_account": I32, "to_account": I32, "since":
        DAY, "file_id": I32, "line_no": I32,
    },
    "match": {
        "file_id": I32, "line_no": I32, "item_id": I64, "match_pass": I16, "role": I16, "agreed": I16,
        "difference": I64, "days": I32,
    },
    "break_state": {"break_id": TEXT, "state": I16, "owner": TEXT, "until": DAY, "file_id": I32, "line_no": I32},
    "gl_statement": {
        "account": TEXT, "currency": TEXT, "as_of": DAY, "last_n": I32, "per_gl": I64, "not_posted": I64,
        "by_hand": I64, "per_ledger": I64, "after_cut_off": I64, "file_id": I32, "line_no": I32,
    },
    "gl_by_hand": {
        "account": TEXT, "currency": TEXT, "reference": TEXT, "minor": I64, "file_id": I32, "line_no": I32,
    },
    "charge": {
        "answer_id": I64, "item_id": I64, "partner_id": I32, "points": I64, "rated_on": DAY, "currency": TEXT,
        "ours": I64, "theirs": I64, "tolerance": I64, "basis_points": I32, "rate_file": I32, "rate_line": I32,
        "file_id": I32, "line_no": I32,
    },
}
# fmt: on
"""Every append-only table in the order of the digest; columns in schema order."""

SINCE: Final[dict[str, int]] = {
    **dict.fromkeys(("item_change", "reversal", "decision", "lot", "lot_use", "merge", "match", "break_state"), 2),
    **dict.fromkeys(("gl_statement", "gl_by_hand"), 3),
    "charge": 4,
}
"""The schema that brought a table; a posting of an earlier one does not seal it."""

BOOK_SCHEMA: Final = 4
"""The newest schema: which tables a posting's digest covers and in which order their rows lie."""

ORDER: Final[dict[str, tuple[str, ...]]] = {
    "partner": ("partner_id",),
    "account": ("account_id",),
    "reason": ("reason_id",),
    "member": ("line_no", "member"),
    "alias": ("line_no", "member"),
    "rate": ("line_no",),
    "closed_day": ("line_no",),
    "item": ("item_id",),
    "settled_key": ("line_no", "item_id"),
    "disposition": ("line_no",),
    "entry": ("transfer_id", "leg"),
    "break": ("line_no", "code", "break_id"),
    "break_event": ("event", "line_no", "break_id", "code"),
    "item_change": ("line_no", "item_id"),
    "reversal": ("transfer_id",),
    "decision": ("line_no",),
    "lot": ("lot_id",),
    "lot_use": ("line_no", "lot_id", "item_id", "use", "amount"),
    "merge": ("line_no", "from_account"),
    "match": ("line_no", "item_id"),
    "break_state": ("line_no", "break_id"),
    "gl_statement": ("line_no",),
    "gl_by_hand": ("line_no",),
    "charge": ("line_no", "answer_id"),
}
"""The canonical order of one posting's rows in each table, since schema 2; before, they lay as they were composed."""


def sealed_tables(schema: int) -> tuple[str, ...]:
    """The tables that a posting of this schema seals, in the order of the digest."""
    return tuple(name for name in TABLES if schema >= SINCE.get(name, 1))


OPEN_ITEM: Final[dict[str, type[pl.DataType]]] = {
    "item_id": I64, "side": I16, "kind": I16, "state": I16, "partner_id": I32, "ref": TEXT, "member": TEXT,
    "source_account": I32, "amount": I64, "remaining": I64, "value_date": DAY, "due_date": DAY,
}  # fmt: skip
"""The working set: items still open. ``remaining`` is what the item keeps in flight (ours) or in suspense (theirs)."""

OPEN_LOT: Final[dict[str, type[pl.DataType]]] = {
    "lot_id": I64, "account_id": I32, "remaining": I64, "earned": DAY, "expires": DAY,
}  # fmt: skip
"""The working set of points that will expire: lots with something left. The rest of a balance never expires."""


def empty(table: str) -> pl.DataFrame:
    """A frame of the table with no rows."""
    return pl.DataFrame(schema=TABLES[table])
