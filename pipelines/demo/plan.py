"""What the demo week holds: which stories begin on which day, how many of each, and what must come of them.

Here: counts and the answers each kind of story gets. Not here: references, members and points (``story``), bytes
(``northstar``, ``skybridge``) or what the program reports (``found``).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, NamedTuple

DAYS: Final = tuple(date(2026, 11, 16) + timedelta(days=number) for number in range(5))
"""Monday to Friday; Friday is the demo's today."""

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = DAYS

CUTOVER: Final = date(2026, 11, 13)
"""The business day before the book begins: its open requests stand in the opening."""

RECORDS_MIN: Final = 200
"""Below it the planted troubles would outgrow the ordinary records, and unreadable rows the layouts' limit of 5 %."""

NORTHSTAR_REJECTS: Final = ("1", "3", "5", "6", "5,6")
"""Error flags by number; flag 2 is unused, and flag 4 would mean that our own amounts are no numbers."""

SKYBRIDGE_REJECTS: Final = ("0001", "0002", "0003", "0004", "0005")

UNREADABLE: Final = {
    "undecodable_row": "a row that is not UTF-8: quarantined with ENCODING, its request stays in transit",
    "amount_not_a_number": "an amount with a letter in it: quarantined with NUMBER_INVALID",
    "impossible_date": "the 30th of February: quarantined with DATE_INVALID",
    "unknown_outcome": "an outcome code that is in no layout: quarantined with OUTCOME_UNKNOWN",
}
"""Unreadable rows of Skybridge's last hand-back, one of each; each answers a request that so stays in transit."""

FILES: Final = {
    "empty_day": "a header and no record: each counts as new, though the bytes are the same",
    "wrong_control_total": "miles issued off by one: rejected whole with CONTROL_TOTAL_WRONG",
    "replaced_file": "the same name again, its total mended: a replacement, which posts",
    "late_file": "a day that closed with its file rejected whole: B12, cleared once the replacement posts",
    "renamed_replay": "an earlier hand-back under another day's name: held with RENAMED_REPLAY_HELD",
    "half_uploaded_file": "no marker yet: it waits and is not taken",
    "unclaimed_file": "no layout claims it: held with FILE_UNCLAIMED",
    "missing_file": "a hand-back that was due and never came: B13",
}

STORIES: Final = {
    "accepted": "settled; points go from in flight to payable",
    **{
        f"rejected_{reason}": "B09 with the partner's reason; points go back to their source"
        for reason in (*NORTHSTAR_REJECTS, *SKYBRIDGE_REJECTS)
    },
    "held": "0099: the request is held, its points stay in flight",
    "points_changed": "B04: nothing settles",
    "merged_account": "accepted to the account it was merged into: settled, B10 closed by the alias",
    "merged_to_own_member": "accepted to another of our members: settled, B10 stays open",
    "unknown_accepted": "an acceptance nobody asked for: B03, points in suspense",
    "unknown_rejected": "a rejection nobody asked for: B03",
    "answered_twice_in_one_file": "settled once, B07",
    "answered_twice_on_two_days": "settled once, B07",
    "answered_differently_in_one_file": "yes and no in one file: neither counts, B11",
    "rejected_after_confirmation": "confirmed, later rejected: stays confirmed, B11",
    "accepted_after_rejection": "rejected, later accepted: points in suspense, B11",
    "answer_before_request": "B03, cleared when the request comes",
    "recall_accepted": "a negative request: points go back to their source",
    "recall_rejected": "a negative request: B09, points stay with the partner",
    "duplicate_request": "asked twice under one reference: B08, sent on once",
    "balance_short": "asked for more than the member has: B16, nothing is booked",
    "in_transit": "no answer yet, and none due (B01)",
    "overdue": "no answer, and one was due: B02",
}

GENERAL_LEDGER: Final = {
    "gl_difference": "an entry by hand that the GL reversed and finance still lists: B15, and the entry is named",
}
"""What is planted in Friday's extract of the general ledger."""

EXPECTATIONS: Final[Mapping[str, str]] = {
    **STORIES,
    **UNREADABLE,
    **FILES,
    **GENERAL_LEDGER,
    "unplanned": "anything else reported; nothing is",
}
"""Every kind the demo plants, with what must be reported of it."""

REPORTED_AS: Final = {"accepted_with_warning": "accepted", "merged_account_with_warning": "merged_account"}
"""Northstar's warnings change nothing: such stories are reported as the kind without one."""


class Answer(NamedTuple):
    """One answer that stories of a kind get: ``again`` is a second one, on the last day; ``off`` goes on the points.

    ``says`` is what the partner writes: Skybridge's outcome code; Northstar's status, and after a colon its flags.
    """

    kind: str
    again: bool
    says: str
    off: int


@dataclass(frozen=True)
class Cohort:
    """Stories that begin together: requests ``sent`` on one day and answered on another.

    ``sent`` is None for answers that nobody asked for, ``back`` where no answer comes.
    """

    sent: date | None
    back: date | None
    stories: Mapping[str, int]


@dataclass(frozen=True)
class Plan:
    """The week of both partners."""

    northstar: tuple[Cohort, ...]
    skybridge: tuple[Cohort, ...]

    @property
    def stories(self) -> Counter[str]:
        """How many stories of each kind, under the name they are reported by."""
        return by_report(each.stories for each in (*self.northstar, *self.skybridge))


def plan(records: int) -> Plan:
    """The week whose last hand-backs have ``records`` records in all, two fifths of them Northstar's."""
    northstar = records * 2 // 5
    return Plan(_northstar(northstar), _skybridge(records - northstar))


def by_report(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    """Counts of stories added up by the kind they are reported as."""
    total: Counter[str] = Counter()
    for each in counts:
        for kind, count in each.items():
            total[REPORTED_AS.get(kind, kind)] += count
    return total


def _common_answers(accepts: str, rejects: str, off: int) -> list[Answer]:
    """Answers that both partners give, in their own words."""
    accepted = (
        "accepted",
        "answer_before_request",
        "answered_differently_in_one_file",
        "answered_twice_in_one_file",
        "answered_twice_on_two_days",
        "duplicate_request",
        "rejected_after_confirmation",
        "unknown_accepted",
    )
    return [
        *(Answer(kind, False, accepts, 0) for kind in accepted),
        *(Answer(kind, False, rejects, 0) for kind in ("accepted_after_rejection", "unknown_rejected")),
        Answer("points_changed", False, accepts, off),
        Answer("answered_twice_in_one_file", False, accepts, 0),
        Answer("answered_twice_on_two_days", True, accepts, 0),
        Answer("answered_differently_in_one_file", False, rejects, 0),
        Answer("rejected_after_confirmation", True, rejects, 0),
        Answer("accepted_after_rejection", True, accepts, 0),
    ]


NORTHSTAR_ANSWERS: Final = (
    *_common_answers("", "E:5", 10),
    *(Answer(f"rejected_{flags}", False, f"E:{flags}", 0) for flags in NORTHSTAR_REJECTS),
    Answer("accepted_with_warning", False, "W", 0),
    Answer("merged_account", False, "M", 0),
    Answer("merged_account_with_warning", False, "R", 0),
    Answer("merged_to_own_member", False, "M", 0),
    Answer("recall_accepted", False, "", 0),
    Answer("recall_rejected", False, "E:3", 0),
)

SKYBRIDGE_ANSWERS: Final = (
    *_common_answers("0000", "0001", -25),
    *(Answer(f"rejected_{code}", False, code, 0) for code in SKYBRIDGE_REJECTS),
    Answer("held", False, "0099", 0),
)


def _northstar(today: int) -> tuple[Cohort, ...]:
    """``today`` is the number of records in Friday's hand-back, which answers Thursday's requests."""
    usual = max(10, today // 20)
    twice = {"answered_twice_on_two_days": 1, "rejected_after_confirmation": 1, "accepted_after_rejection": 1}
    unasked = {"unknown_accepted": 1, "unknown_rejected": 1}
    thursday = {
        **{f"rejected_{flags}": 1 for flags in NORTHSTAR_REJECTS},
        "accepted_with_warning": 3,
        "merged_account": 2,
        "merged_account_with_warning": 2,
        "merged_to_own_member": 1,
        "points_changed": 2,
        "answered_twice_in_one_file": 2,
        "answered_differently_in_one_file": 1,
        "recall_accepted": 2,
        "recall_rejected": 1,
        "in_transit": 2,
    }
    others = _answers(NORTHSTAR_ANSWERS, [thursday, unasked]) + sum(twice.values())
    return (
        Cohort(CUTOVER, MONDAY, {"accepted": 7, "rejected_5": 1}),
        Cohort(MONDAY, TUESDAY, _ordinary(usual, NORTHSTAR_REJECTS, {**twice, "overdue": 2})),
        Cohort(TUESDAY, WEDNESDAY, _ordinary(usual, NORTHSTAR_REJECTS, {})),
        Cohort(WEDNESDAY, THURSDAY, _ordinary(usual, NORTHSTAR_REJECTS, {})),
        Cohort(THURSDAY, FRIDAY, _ordinary(today - others, NORTHSTAR_REJECTS, thursday)),
        Cohort(FRIDAY, None, {"in_transit": usual}),
        Cohort(None, FRIDAY, unasked),
    )


def _skybridge(today: int) -> tuple[Cohort, ...]:
    """``today`` is the number of records in Friday's hand-back, which answers Tuesday's to Thursday's requests."""
    usual = max(10, today // 20)
    twice = {"answered_twice_on_two_days": 3, "rejected_after_confirmation": 2, "accepted_after_rejection": 1}
    unasked = {"unknown_accepted": 2, "unknown_rejected": 1}
    tuesday = _ordinary(usual, SKYBRIDGE_REJECTS, {"duplicate_request": 3})
    wednesday = _ordinary(usual, SKYBRIDGE_REJECTS, {})
    thursday = {
        **{f"rejected_{code}": 2 for code in SKYBRIDGE_REJECTS},
        "held": 3,
        "points_changed": 3,
        "answered_twice_in_one_file": 3,
        "answered_differently_in_one_file": 2,
        "balance_short": 2,
        "in_transit": 3 + len(UNREADABLE),
    }
    others = _answers(SKYBRIDGE_ANSWERS, [tuesday, wednesday, thursday, unasked]) + sum(twice.values())
    return (
        Cohort(MONDAY, TUESDAY, _ordinary(usual, SKYBRIDGE_REJECTS, {**twice, "overdue": 3})),
        Cohort(TUESDAY, FRIDAY, tuesday),
        Cohort(WEDNESDAY, FRIDAY, wednesday),
        Cohort(WEDNESDAY, TUESDAY, {"answer_before_request": 2}),
        Cohort(THURSDAY, FRIDAY, _ordinary(today - others - len(UNREADABLE), SKYBRIDGE_REJECTS, thursday)),
        Cohort(FRIDAY, None, {"in_transit": usual}),
        Cohort(None, FRIDAY, unasked),
    )


def _ordinary(count: int, reasons: tuple[str, ...], planted: Mapping[str, int]) -> dict[str, int]:
    """``count`` ordinary stories, of which 3 % are rejected, spread over the reasons; and the planted ones."""
    each = count * 3 // 100 // len(reasons)
    ordinary = {"accepted": count - each * len(reasons)} | {f"rejected_{reason}": each for reason in reasons}
    return dict(Counter(ordinary) + Counter(planted))


def _answers(answers: tuple[Answer, ...], stories: list[dict[str, int]]) -> int:
    """How many first answers stories get, all told."""
    given = Counter(answer.kind for answer in answers if not answer.again)
    return sum(number * given[kind] for each in stories for kind, number in each.items())
