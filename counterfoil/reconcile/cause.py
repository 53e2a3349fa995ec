"""The words for what is wrong with a break.

Here: causes and what people read about each. Not here: telling the cause of a break (``causes``, ``near_misses``,
``gl_misses``).
"""

from enum import StrEnum
from typing import Final


class Cause(StrEnum):
    """What is wrong. Of two changes that are equally small and meet the same request, the first of these is told."""

    POINTS_OFF = "points_off"
    POINTS_RATIO = "points_ratio"
    SIGN_FLIPPED = "sign_flipped"
    PART_MISSING = "part_missing"
    DATE_SHIFTED = "date_shifted"
    REF_SPELLED = "ref_spelled"
    REF_TRUNCATED = "ref_truncated"
    REF_TYPED = "ref_typed"
    OTHER_MEMBER = "other_member"
    OTHER_PARTNER = "other_partner"
    NO_REFERENCE = "no_reference"
    AMBIGUOUS = "ambiguous"
    ANSWERED_AGAIN = "answered_again"
    REJECTED = "rejected"
    FILE_MISSING = "file_missing"
    SILENT = "silent"
    REFUSED_TWICE = "refused_twice"
    DUPLICATE_REQUEST = "duplicate_request"
    MERGED_ELSEWHERE = "merged_elsewhere"
    CONFLICT = "conflict"
    SHORT_BALANCE = "short_balance"
    LATER_PERIOD = "later_period"
    PRICE_CHANGED = "price_changed"
    MONEY_OFF = "money_off"
    RATE_MISSING = "rate_missing"
    NOT_JOURNALLED = "not_journalled"
    JOURNAL_MISSING = "journal_missing"
    JOURNAL_TWICE = "journal_twice"
    JOURNAL_EARLY = "journal_early"
    BY_HAND_OFF = "by_hand_off"
    REFUND_DUE = "refund_due"
    NONE = "none"


TITLES: Final[dict[Cause, str]] = {
    Cause.POINTS_OFF: "Points off by the same number",
    Cause.POINTS_RATIO: "Points off by the same ratio",
    Cause.SIGN_FLIPPED: "Sign flipped",
    Cause.PART_MISSING: "Part of the points missing",
    Cause.DATE_SHIFTED: "Date shifted",
    Cause.REF_SPELLED: "Reference spelled another way",
    Cause.REF_TRUNCATED: "Reference cut short",
    Cause.REF_TYPED: "Reference mistyped",
    Cause.OTHER_MEMBER: "Answered for another member",
    Cause.OTHER_PARTNER: "Answered by another partner",
    Cause.NO_REFERENCE: "Reference missing or unknown, one request fits",
    Cause.AMBIGUOUS: "More than one request or answer fits",
    Cause.ANSWERED_AGAIN: "Answered again",
    Cause.REJECTED: "Rejected by partner",
    Cause.FILE_MISSING: "File missing or damaged",
    Cause.SILENT: "Partner silent",
    Cause.REFUSED_TWICE: "Requests that differ under one reference",
    Cause.DUPLICATE_REQUEST: "Requested again",
    Cause.MERGED_ELSEWHERE: "Credited to another account",
    Cause.CONFLICT: "Answers conflict",
    Cause.SHORT_BALANCE: "Sent without cover",
    Cause.LATER_PERIOD: "Counts for a locked period",
    Cause.PRICE_CHANGED: "Charged at another price",
    Cause.MONEY_OFF: "Charge off by the same amount",
    Cause.RATE_MISSING: "No rate to judge a charge by",
    Cause.NOT_JOURNALLED: "Account or currency that we do not journal",
    Cause.JOURNAL_MISSING: "Journal missing in the GL",
    Cause.JOURNAL_TWICE: "Journal twice in the GL",
    Cause.JOURNAL_EARLY: "Journal in the GL that the extract does not name",
    Cause.BY_HAND_OFF: "Entry by hand not as listed",
    Cause.REFUND_DUE: "Cancelled, and the money not back",
    Cause.NONE: "No single change",
}
"""Each cause for people."""
