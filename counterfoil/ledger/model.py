"""The words of the book: codes as small integers. A code that has landed keeps its number for ever.

Here: enumerations kept in the book, and how ids are made of places in files. Not here: its tables (``tables``), SQL, or
what an event books (``data/ledger/posting.yaml``).
"""

from enum import IntEnum, IntFlag
from typing import Final


class Side(IntEnum):
    """Whose item it is: our request, something only the partner reports, or a promise of the programme's own."""

    OURS = 1
    THEIRS = 2
    PROMISED = 3
    """What the programme has promised somebody, and no partner answers: points that wait for their day or recipient."""


class ItemKind(IntEnum):
    """What an item is; for theirs, what the partner said."""

    REQUEST = 1
    RECALL = 2
    THEIR_ACCEPT = 3
    THEIR_REJECT = 4
    THEIR_HOLD = 5
    THEIR_REVERSAL = 6
    THEIR_ACTIVITY = 7
    DISTRIBUTION = 8
    RECHARGE = 9
    ORDER = 10


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
    SCHEDULED = 12
    UNCLAIMED = 13
    CREDITED = 14
    RETURNED = 15
    CANCELLED = 16
    # Of orders that wait, and of vouchers; a voucher's goods are RETURNED too.
    PAID = 20
    REFUND_DUE = 21
    STOCKED = 22
    RESERVED = 23
    ISSUED = 24
    DELIVERED = 25
    REDEEMED = 26
    EXPIRED = 27


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
    DISTRIBUTED = 130
    DISTRIBUTED_UNCLAIMED = 131
    SCHEDULED = 132
    DISTRIBUTION_REFUSED = 133
    DISTRIBUTION_KNOWN = 134
    FIRED = 135
    FIRED_UNCLAIMED = 136
    FIRED_BACK = 137
    CLAIMED = 138
    RETURNED = 139
    CANCELLED = 140
    RECHARGED = 141
    RECHARGE_KNOWN = 142
    RECHARGE_BEYOND = 143
    BUDGETED = 144
    BUDGET_REFUSED = 145
    BUDGET_STRETCHED = 146
    COMPANY_TOLD = 147
    REGISTERED = 148
    REGISTRATION_KNOWN = 149
    REGISTRATION_REFUSED = 150
    MEMBER_CLOSED = 151
    LEFT_OUT = 152
    COMPANY_REFUSED = 153
    PRODUCT_LISTED = 160
    PRODUCT_TAKEN = 161
    ORDERED = 165
    ORDER_KNOWN = 166
    ORDER_CONFLICT = 167
    ORDER_REFUSED = 168
    ORDER_SHORT = 169
    PAID = 170
    PAID_FROM_STOCK = 171
    PAYMENT_UNKNOWN = 172
    PAYMENT_KNOWN = 173
    PAYMENT_DIFFERS = 174
    PAYMENT_LATE = 175
    LAPSED = 176
    PAYMENT_USED = 177
    VOUCHER_ISSUED = 180
    STEP_KNOWN = 181
    STOCKED = 182
    FULFILMENT_UNKNOWN = 183
    FULFILMENT_DIFFERS = 184
    ORDER_CANCELLED = 185
    REFUND_FAILED = 186
    REFUND_CAME = 187
    VOUCHER_REDEEMED = 188
    VOUCHER_EXPIRED = 189
    VOUCHER_UNKNOWN = 190
    DELIVERED = 191
    DELIVERY_TRIED = 192
    DELIVERY_UNKNOWN = 193
    DELIVERY_KNOWN = 194
    RESENT = 195
    CREDITED = 196
    PAYMENT_TAKEN = 197
    ORDER_REFUNDED = 198


FIRST_OF_VERSION: Final = {2: 70, 3: 110, 4: 130}
"""The first event that each version of the posting rules but the first brought; earlier ones know those below it."""

WITHOUT_RULES: Final = (Event.GL_STATED,)
"""Events that by their nature book nothing, so that no version of the posting rules names them."""


LIVE_VOUCHERS: Final = (State.STOCKED, State.RESERVED, State.ISSUED, State.DELIVERED)
"""States of vouchers that may still come to something."""


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
    CANCEL = 17
    LEAVE_OUT = 18
    PAY = 20
    CREDIT = 21


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


class Unit(IntEnum):
    """Parts of a company; ``company_unit.unit``."""

    COMPANY = 1
    DEPARTMENT = 2
    ADMINISTRATOR = 3


class Standing(IntEnum):
    """Whether a person, a part of a company or a budget still counts."""

    OPEN = 1
    CLOSED = 2


RECORD_SPAN: Final = 1 << 31
"""Lines a file can have. ``file_id * RECORD_SPAN + line_no`` is the id of a record, and so of the item it makes."""

BEYOND_LINES: Final = 1 << 30
"""Transfers that belong to no line count from here: no file has as many lines."""

TRANSFERS_PER_RECORD: Final = 4
"""A record books at most a request, its identification and an undoing; ``transfer_id = record id * 4 + ordinal``."""
