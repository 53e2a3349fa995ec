"""What the program reported of the demo week, in the words of the plan: read from the book and the arrival index.

Here: from break codes, events, quarantine codes and verdicts to the kinds of ``plan.EXPECTATIONS``. Not here: any
knowledge of what was planted; what fits no kind counts as unplanned.
"""

from collections import Counter
from collections.abc import Collection
from typing import Any, Final

from counterfoil.errors import Code
from counterfoil.identity import Verdict
from counterfoil.landing.index import ArrivalIndex
from counterfoil.landing.records import Delivery, Outcome, OutcomeState
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode, Event, Side, State
from counterfoil.protocols import RemoteFile
from counterfoil.schemas.rules import Rule
from pipelines.demo.plan import EXPECTATIONS

UNPLANNED: Final = "unplanned"

_BREAKS: Final = """
    SELECT b.code, o.break_id IS NOT NULL AS is_open, d.event, r.reason, k.state AS ended, count(*) AS n,
           EXISTS (SELECT 1 FROM book.disposition f
                   WHERE f.file_id = b.file_id AND f.item_id = b.item_id AND f.line_no <> b.line_no) AS in_one_file,
           EXISTS (SELECT 1 FROM book.break c WHERE c.item_id = b.item_id AND c.code <> b.code) AS is_one_of_several
    FROM book.break b
    LEFT JOIN book.open_break o ON o.break_id = b.break_id
    LEFT JOIN book.disposition d ON d.file_id = b.file_id AND d.line_no = b.line_no
    LEFT JOIN book.reason r ON r.reason_id = d.reason_id
    LEFT JOIN book.settled_key k ON k.item_id = b.item_id
    GROUP BY ALL"""
"""Breaks, ever opened, by all that tells their kinds apart; few rows."""

_ANSWERS: Final = """
    SELECT d.event, count(*) AS n FROM book.disposition d
    ANTI JOIN book.break b ON b.item_id = d.item_id GROUP BY d.event"""
"""What became of records about which there is no break."""

_WAITING: Final = """
    SELECT i.side, i.state, count(*) AS n FROM book.open_item i
    ANTI JOIN book.open_break b ON b.item_id = i.item_id GROUP BY i.side, i.state"""
"""Open items without a break."""

_QUARANTINED: Final = """
    SELECT part, CAST(sum(records) AS BIGINT) AS n FROM book.mass_balance
    WHERE part LIKE 'quarantined:%' GROUP BY part"""

_CLEAN: Final = {Event.ACCEPTED: "accepted", Event.HELD: "held", Event.RECALL_ACCEPTED: "recall_accepted"}

_BY_CODE: Final = {
    (BreakCode.OVERDUE, True): "overdue",
    (BreakCode.UNKNOWN_THEIRS, False): "answer_before_request",
    (BreakCode.POINTS_DIFFER, True): "points_changed",
    (BreakCode.DUPLICATE_OURS, True): "duplicate_request",
    (BreakCode.OTHER_ACCOUNT, True): "merged_to_own_member",
    (BreakCode.OTHER_ACCOUNT, False): "merged_account",
    (BreakCode.SEQUENCE, True): "missing_file",
    (BreakCode.CONTROL_WRONG, False): "late_file",
    (BreakCode.BALANCE_SHORT, True): "balance_short",
    (BreakCode.LEDGER_DIFFERS, True): "gl_difference",
}
"""Breaks whose kind shows in their code and in whether they are still open."""

_UNKNOWN: Final = {Event.UNKNOWN_ACCEPTED: "unknown_accepted", Event.UNKNOWN_OTHER: "unknown_rejected"}

_CONFLICT: Final = {
    None: "answered_differently_in_one_file",
    State.CONFIRMED: "rejected_after_confirmation",
    State.REJECTED: "accepted_after_rejection",
}
"""Conflicts by how the request had ended before."""

_UNREADABLE: Final = {
    f"quarantined:{Rule.ENCODING}": "undecodable_row",
    f"quarantined:{Rule.NUMBER_INVALID}": "amount_not_a_number",
    f"quarantined:{Rule.DATE_INVALID}": "impossible_date",
    f"quarantined:{Rule.OUTCOME_UNKNOWN}": "unknown_outcome",
}

_REFUSED: Final[dict[str, str]] = {
    Code.CONTROL_TOTAL_WRONG: "wrong_control_total",
    Code.RENAMED_REPLAY_HELD: "renamed_replay",
    Code.FILE_UNCLAIMED: "unclaimed_file",
}


def found(book: Lookups, index: ArrivalIndex, waiting: Collection[RemoteFile]) -> dict[str, int]:
    """How often each kind was reported, once the last day has closed; keys as ``plan.EXPECTATIONS``.

    ``waiting`` are the files that the last look saw and left because they were not ready.
    """
    counts: Counter[str] = Counter(half_uploaded_file=len(waiting))
    for row in book.frame(_BREAKS).iter_rows(named=True):
        counts[_break_kind(row)] += row["n"]
    for event, n in book.frame(_ANSWERS).iter_rows():
        counts[_CLEAN.get(event, "")] += n
    for side, state, n in book.frame(_WAITING).iter_rows():
        counts["in_transit" if (side, state) == (Side.OURS, State.PENDING) else ""] += n
    for part, n in book.frame(_QUARANTINED).iter_rows():
        counts[_UNREADABLE.get(part, UNPLANNED)] += n
    deliveries = index.deliveries()
    outcomes = index.latest_outcomes(delivery.order for delivery in deliveries)
    counts.update(_file_kind(delivery, outcomes.get(delivery.order)) for delivery in deliveries)
    strange = sum(n for kind, n in counts.items() if kind and kind not in EXPECTATIONS)
    return {kind: counts[kind] + strange * (kind == UNPLANNED) for kind in EXPECTATIONS}


def _break_kind(row: dict[str, Any]) -> str:
    """The kind of a row of ``_BREAKS``; empty for a first rejection that belongs to a conflict."""
    code = BreakCode(row["code"])
    if (code, row["is_open"]) in _BY_CODE:
        return _BY_CODE[code, row["is_open"]]
    match code:
        case BreakCode.UNKNOWN_THEIRS:
            return _UNKNOWN.get(row["event"], UNPLANNED)
        case BreakCode.DUPLICATE_THEIRS:
            return "answered_twice_in_one_file" if row["in_one_file"] else "answered_twice_on_two_days"
        case BreakCode.CONFLICT:
            return _CONFLICT.get(row["ended"], UNPLANNED)
        case BreakCode.REJECTED if row["is_one_of_several"]:
            return ""
        case BreakCode.REJECTED if row["event"] == Event.RECALL_REJECTED:
            return "recall_rejected"
        case BreakCode.REJECTED:
            return f"rejected_{row['reason']}"
        case _:
            return UNPLANNED


def _file_kind(delivery: Delivery, outcome: Outcome | None) -> str:
    """What a delivery stands for; empty for an ordinary file that posted."""
    code = delivery.code or (outcome.code if outcome else None)
    if code is not None:
        return _REFUSED.get(code, UNPLANNED)
    if outcome is None or outcome.state is not OutcomeState.POSTED:
        return UNPLANNED
    if delivery.verdict is Verdict.REPLACEMENT:
        return "replaced_file"
    return "empty_day" if delivery.empty else ""
