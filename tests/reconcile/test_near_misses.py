"""Near misses of unknown answers: each kind, beside a plain comparison of every pair, and with very many equal rows."""

import re
from collections import Counter
from datetime import date, timedelta
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.ledger.model import BreakCode, ItemKind
from counterfoil.reconcile.cause import Cause
from counterfoil.reconcile.causes import BROKEN
from counterfoil.reconcile.near_misses import CUT_MAX, LISTED, REQUESTS, claims, nearest
from counterfoil.reconcile.terms import NEAR_DAYS

DAY = date(2026, 11, 16)


class Answer(NamedTuple):
    """An unknown answer."""

    partner: str
    ref: str | None
    member: str | None
    points: int
    day: date = DAY


class Request(NamedTuple):
    """An open request of ours."""

    partner: str
    ref: str
    member: str | None
    points: int
    day: date = DAY


def broken(answers: list[Answer]) -> pl.DataFrame:
    rows = [
        {
            "break_id": f"b{number:05}",
            "code": BreakCode.UNKNOWN_THEIRS.value,
            "partner": one.partner,
            "points_theirs": one.points,
            "age_days": 0,
            "ref": one.ref,
            "member": one.member,
            "kind": ItemKind.THEIR_ACCEPT.value,
            "answered_on": one.day,
        }
        for number, one in enumerate(answers)
    ]
    return pl.DataFrame(rows, schema=BROKEN)


def open_requests(requests: list[Request]) -> pl.DataFrame:
    return pl.DataFrame([(number, *one) for number, one in enumerate(requests)], schema=REQUESTS, orient="row")


def listed(*pairs: tuple[int, int, bool]) -> pl.DataFrame:
    rows = [(f"b{answer:05}", request, whole) for answer, request, whole in pairs]
    return pl.DataFrame(rows, schema=LISTED, orient="row")


Found = dict[int, tuple[str, int | None]]


def found(answers: list[Answer], requests: list[Request], seen: pl.DataFrame | None = None) -> Found:
    near = nearest(broken(answers), open_requests(requests), listed() if seen is None else seen)
    return {int(row["break_id"][1:]): (row["cause"], row["candidate_item_id"]) for row in near.to_dicts()}


CASES = [
    ("cut at the end", "REF-1000451", "REF-10004", Cause.REF_TRUNCATED),
    ("cut at the start", "REF-1000451", "-1000451", Cause.REF_TRUNCATED),
    ("cut too much", "REF-1000451", "REF-10", None),
    ("without its zeros", "0001000451", "1000451", Cause.REF_SPELLED),
    ("with more zeros", "NS451", "NS-000451", Cause.REF_SPELLED),
    ("in other letters", "Ref 100/0451", "REF-1000451", Cause.REF_SPELLED),
    ("nothing but marks", "000", "---", None),
    ("one digit wrong", "REF-1000451", "REF-1000461", Cause.REF_TYPED),
    ("the first wrong", "REF-1000451", "QEF-1000451", Cause.REF_TYPED),
    ("the last wrong", "REF-1000451", "REF-1000457", Cause.REF_TYPED),
    ("neighbours changed places", "REF-1000451", "REF-1004051", Cause.REF_TYPED),
    ("others changed places", "REF-1000451", "REF-5000411", None),
    ("two digits wrong", "REF-1000451", "REF-1000463", None),
    ("shifted", "ABCDEFGH", "BCDEFGHA", None),
    ("one character too many", "REF-1000451", "REF-10004511", None),
    ("one letter of two bytes wrong", "Größe-77", "Grüße-77", Cause.REF_TYPED),
]


@pytest.mark.parametrize(("ours", "theirs", "cause"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_references_that_are_nearly_ours(ours: str, theirs: str, cause: Cause | None) -> None:
    requests = [Request("p", ours, "M1", 500)]
    met = {0: (cause, 0)} if cause else {}
    assert found([Answer("p", theirs, None, 500)], requests) == met
    assert found([Answer("p", theirs, "M1", 500, DAY + timedelta(days=30))], requests) == met
    assert found([Answer("p", theirs, "M2", 500)], requests) == {}
    assert found([Answer("p", theirs, None, 501)], requests) == {}
    assert found([Answer("q", theirs, None, 500)], requests) == {}


def test_the_smaller_of_two_changes_to_one_request_is_told() -> None:
    assert found([Answer("p", "77", "M1", 5)], [Request("p", "0077", "M1", 5)]) == {0: (Cause.REF_SPELLED, 0)}


def test_two_small_changes_that_lead_to_two_requests_are_ambiguous() -> None:
    requests = [Request("p", "R1001", "M1", 5), Request("p", "R1002", "M2", 5)]
    assert found([Answer("p", "R1002", "M1", 5)], requests) == {0: (Cause.AMBIGUOUS, None)}


def test_our_reference_with_the_sign_flipped_or_under_another_answer() -> None:
    requests = [Request("p", "R1", "M1", 5), Request("p", "R2", "M1", 6)]
    answers = [Answer("p", "R1", None, -5), Answer("p", "R2", "M1", 7)]
    assert found(answers, requests) == {0: (Cause.SIGN_FLIPPED, 0), 1: (Cause.AMBIGUOUS, None)}


def test_what_the_passes_saw_counts_with_what_is_open_now() -> None:
    long_ago = DAY - timedelta(days=40)
    requests = [Request("p", "R1", "M1", 5, long_ago), Request("p", "R2", "M1", 5), Request("p", "R3", "M2", 3)]
    unknown = [Answer("p", None, "M1", 5)]
    assert found(unknown, requests[:1], listed((0, 0, True))) == {0: (Cause.NO_REFERENCE, 0)}
    assert found(unknown, requests, listed((0, 0, True))) == {0: (Cause.AMBIGUOUS, None)}
    assert found(unknown, requests, listed((0, 1, True))) == {0: (Cause.NO_REFERENCE, 1)}
    assert found([Answer("p", None, "M2", 9)], requests, listed((0, 2, False))) == {0: (Cause.AMBIGUOUS, None)}


def test_a_request_that_lies_near_two_answers_belongs_to_neither() -> None:
    later = DAY + timedelta(days=9)
    requests = [Request("p", "R1", "M1", 5), Request("p", "R2", "M1", 5, later)]
    answers = [Answer("p", None, "M1", 5, DAY - timedelta(days=1)), Answer("p", None, "M1", 5, DAY + timedelta(days=4))]
    assert found(answers, requests) == {0: (Cause.AMBIGUOUS, None), 1: (Cause.AMBIGUOUS, None)}
    assert found(answers[:1], requests) == {0: (Cause.NO_REFERENCE, 0)}


def agree(answer: Answer, request: Request) -> bool:
    return None in {answer.member, request.member} or answer.member == request.member


def plain(ref: str) -> str:
    return re.sub(r"(^|\D)0+(\d)", r"\1\2", re.sub(r"[\s/._-]", "", ref).lower())


def typed(one: str, other: str) -> bool:
    places = [place for place in range(len(one)) if one[place : place + 1] != other[place : place + 1]]
    if len(one) != len(other) or len(places) not in {1, 2}:
        return False
    first, last = places[0], places[-1]
    return len(places) == 1 or (last == first + 1 and one[first] == other[last] and one[last] == other[first])


def compared(answer: Answer, request: Request) -> list[tuple[int, Cause]]:
    """Levels and causes of one pair, by their definition."""
    home, equal = answer.partner == request.partner, answer.points == request.points
    days = abs((answer.day - request.day).days)
    met = []
    if answer.ref is not None and home and agree(answer, request):
        if answer.ref == request.ref:
            met.append((0, Cause.SIGN_FLIPPED if answer.points == -request.points else Cause.AMBIGUOUS))
        if equal and plain(answer.ref) == plain(request.ref) != "":
            met.append((1, Cause.REF_SPELLED))
        cut = request.ref.startswith(answer.ref) or request.ref.endswith(answer.ref)
        if equal and cut and 0 < len(request.ref) - len(answer.ref) <= CUT_MAX:
            met.append((1, Cause.REF_TRUNCATED))
        if equal and typed(answer.ref, request.ref):
            met.append((1, Cause.REF_TYPED))
    if answer.ref == request.ref and equal and home and not agree(answer, request):
        met.append((1, Cause.OTHER_MEMBER))
    if answer.ref == request.ref and equal and not home:
        met.append((1, Cause.OTHER_PARTNER))
    if answer.member is not None and answer.member == request.member and home and equal and days <= NEAR_DAYS:
        met.append((2, Cause.NO_REFERENCE))
    return met


def brute_force(answers: list[Answer], requests: list[Request]) -> Found:
    """Every answer beside every request."""
    chosen: Found = {}
    single: dict[int, tuple[int, Cause, int]] = {}
    for number, answer in enumerate(answers):
        pairs = [(*met, place) for place, request in enumerate(requests) for met in compared(answer, request)]
        if not pairs:
            continue
        level = min(pairs)[0]
        nearest_pairs = [pair for pair in pairs if pair[0] == level]
        cause = min((pair[1] for pair in nearest_pairs), key=list(Cause).index)
        chosen[number] = (Cause.AMBIGUOUS, None)
        if len({pair[2] for pair in nearest_pairs}) == 1 and cause is not Cause.AMBIGUOUS:
            single[number] = (level, cause, nearest_pairs[0][2])
    suitors = Counter(
        place
        for answer in answers
        for place, request in enumerate(requests)
        if (2, Cause.NO_REFERENCE) in compared(answer, request)
    )
    wanted = Counter((place, level) for level, _, place in single.values())
    for number, (level, cause, place) in single.items():
        closest = min(other for other_place, other in wanted if other_place == place)
        if level == closest and wanted[place, level] == 1 and (level < 2 or suitors[place] == 1):
            chosen[number] = (cause, place)
    return chosen


REFS = st.text("aA01-", min_size=1, max_size=6) | st.sampled_from(
    ["A-1001", "a1001", "A001001", "A-10", "1001", "A-1002", "A-1010", "A-0101", "A-1001-7", "A-1001-8"]
)
MEMBERS = st.sampled_from([None, "M1", "M2"])
POINTS = st.sampled_from([5, 5, 5, -5, 7])
DAYS = st.sampled_from([DAY, DAY + timedelta(days=7), DAY + timedelta(days=8)])
PARTNERS = st.sampled_from(["p", "p", "q"])
ANSWERS = st.lists(st.builds(Answer, PARTNERS, st.none() | REFS, MEMBERS, POINTS, DAYS), max_size=7)
ASKED = st.lists(
    st.builds(Request, PARTNERS, REFS, MEMBERS, POINTS, DAYS), max_size=7, unique_by=lambda one: (one.partner, one.ref)
)


@settings(max_examples=60, deadline=None)
@given(answers=ANSWERS, requests=ASKED, turns=st.randoms(use_true_random=False))
def test_small_instances_are_as_comparing_every_pair_finds_them(
    answers: list[Answer], requests: list[Request], turns: Any
) -> None:
    assert found(answers, requests) == brute_force(answers, requests)
    rows, asked = broken(answers), open_requests(requests)
    turned, asked_again = (
        frame.sample(fraction=1.0, shuffle=True, seed=turns.randint(0, 99)) for frame in (rows, asked)
    )
    assert nearest(turned, asked_again, listed()).equals(nearest(rows, asked, listed()))


def test_very_many_equal_rows_are_counted_and_not_paired() -> None:
    """50,000 answers and requests of one member, points and day, whose references are a digit apart: billions of pairs,
    of which each kind of change tells one row an answer."""
    many = 50_000
    answers = [Answer("p", f"R{number:07}", "M1", 5) for number in range(many)]
    requests = [Request("p", f"R{number + many:07}", "M1", 5) for number in range(many)]
    made = claims(broken(answers), open_requests(requests), listed())
    assert made.height <= 2 * many, "one row an answer and kind of change that fits"
    assert made.select("break_id", "cause").is_unique().all()
    assert found(answers, requests) == dict.fromkeys(range(many), (Cause.AMBIGUOUS, None))
