"""The figures of each day, and that a closed day keeps them whatever is posted later."""

import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from counterfoil.errors import CounterfoilError
from counterfoil.ledger import extracts, figures, open_breaks
from counterfoil.ledger.known import known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.store import Book
from counterfoil.reports.facts import OUTCOMES, STATES
from tests.ledger.weeks import (
    DAYS,
    MONDAY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    Snapshot,
    answer,
    codes,
    request,
    snapshot,
)

Posts = Callable[..., Any]


def outcomes(book: Lookups, day: date) -> dict[str, tuple[int, int]]:
    """Count and points by state, without the empty ones."""
    rows = figures.summary(book, known(book, day), "EUR").select("state", "count", "points").iter_rows()
    return {state: (count, points) for state, count, points in rows if count or points}


@pytest.mark.parametrize("day", DAYS)
def test_a_closed_day_keeps_its_figures_whatever_is_posted_later(
    scripted_week: tuple[Book, dict[date, Snapshot]], week_book: Lookups, day: date
) -> None:
    now = snapshot(week_book, day)
    for name, rows in scripted_week[1][day].items():
        assert now[name] == rows, name


def test_the_summary_follows_each_request_through_its_days(week_book: Lookups) -> None:
    assert outcomes(week_book, MONDAY) == {"sent": (11, 3080), "pending": (11, 3080)}
    assert outcomes(week_book, TUESDAY) == {
        "sent": (11, 3080),
        "confirmed": (6, 1490),
        "rejected": (1, 200),
        "pending": (3, 1090),
        "held": (1, 300),
        "variance": (1, -3),
    }
    assert outcomes(week_book, WEDNESDAY) == {
        "sent": (8, 3070),
        "confirmed": (3, 2000),
        "rejected": (1, 70),
        "reversed": (1, 300),
        "pending": (3, 700),
    }
    assert outcomes(week_book, THURSDAY) == {
        "sent": (3, 700),
        "confirmed": (1, 600),
        "pending": (1, 90),
        "held": (1, 10),
    }


@pytest.mark.parametrize("day", DAYS)
def test_what_waits_is_the_clearing_account_and_what_was_refused_the_rejects(week_book: Lookups, day: date) -> None:
    summary = {row["state"]: row for row in figures.summary(week_book, known(week_book, day), "EUR").to_dicts()}
    clearing = (
        figures.clearing(week_book, known(week_book, day)).filter(pl.col("account") == "in_flight").row(0, named=True)
    )
    rejects = figures.rejects(week_book, known(week_book, day), [])
    assert clearing["closing"] == summary["pending"]["points"] + summary["held"]["points"]
    assert clearing["closing"] == clearing["opening"] + clearing["points_in"] - clearing["points_out"]
    assert rejects["count"].sum() == summary["rejected"]["count"]
    assert rejects["points"].sum() == summary["rejected"]["points"]
    assert summary["sent"]["minor"] == sum(summary[state]["minor"] for state in OUTCOMES) is not None


def test_money_is_the_rate_of_the_programme_and_none_without_one(week_book: Lookups) -> None:
    valued = figures.summary(week_book, known(week_book, TUESDAY), "EUR").filter(
        pl.col("state").is_in(["sent", "rejected"])
    )
    assert valued.select("state", "minor").rows() == [("sent", 1540), ("rejected", 100)]
    assert figures.summary(week_book, known(week_book, TUESDAY), "USD")["minor"].null_count() == len(STATES)


def test_a_summary_that_does_not_add_up_is_refused(week_book: Lookups) -> None:
    summary = figures.summary(week_book, known(week_book, TUESDAY), "EUR")
    wrong = summary.with_columns(points=pl.when(pl.col("state") == "held").then(301).otherwise("points"))
    with pytest.raises(CounterfoilError, match="MASS_BALANCE"):
        figures.prove_summary(wrong)


def test_rejects_have_the_partners_words_and_say_what_may_be_sent_again(week_book: Lookups, make_feed: Posts) -> None:
    feed = make_feed("handback", reason_texts={"0001": "Member not found"}, retryable_reasons=("0005",))
    assert figures.rejects(week_book, known(week_book, TUESDAY), [feed]).rows() == [
        ("p", "0001", "Member not found", 1, 200, False)
    ]
    assert figures.rejects(week_book, known(week_book, WEDNESDAY), [feed]).rows() == [("p", "0005", "", 1, 70, True)]


def test_clearing_ages_what_still_waits(week_book: Lookups) -> None:
    suspense = figures.clearing(week_book, known(week_book, TUESDAY)).filter(pl.col("account") == "suspense")
    assert suspense.rows() == [("suspense", "p", 0, 0, 900, -900, TUESDAY, 0)]
    assert figures.clearing(week_book, known(week_book, WEDNESDAY)).filter(pl.col("account") == "suspense").rows() == [
        ("suspense", "p", -900, 900, 0, 0, None, 0)
    ]
    later = MONDAY + timedelta(days=31)
    in_flight = (
        figures.clearing(week_book, known(week_book, later)).filter(pl.col("account") == "in_flight").row(0, named=True)
    )
    assert (in_flight["oldest"], in_flight["over_30_days"], in_flight["closing"]) == (MONDAY, 1, 100)


def random_rows(chance: random.Random, kind: str) -> list[dict[str, Any]]:
    """Rows that get in each other's way: few references, few amounts."""
    if kind == "requests":
        points = (50, 50, 80, -50)
        return [
            request(chance.choice("abcde"), chance.choice(points), chance.choice(("M1", "M2")))
            for _ in range(chance.randint(0, 5))
        ]
    outcomes_said = ("accepted", "accepted", "rejected", "held", "reversed")
    return [
        answer(
            chance.choice("abcde"),
            chance.choice((50, 50, 80, -50, 52, 30)),
            chance.choice(outcomes_said),
            member=chance.choice((None, None, "M1", "M2")),
            reason=chance.choice((None, "1")),
        )
        for _ in range(chance.randint(0, 6))
    ]


@pytest.mark.parametrize("seed", [6, 18])
def test_any_week_keeps_its_closed_days_and_its_sums(
    make_book: Callable[[], Book], make_feed: Posts, post: Posts, seed: int
) -> None:
    chance = random.Random(seed)
    feeds = {
        "requests": make_feed("requests", answer_due_days=1),
        "handback": make_feed("handback", tolerance_points=3),
    }
    told: dict[date, Snapshot] = {}
    with make_book().writing(purpose="test") as writer:
        for day in DAYS:
            for kind in chance.choices(("requests", "handback"), k=chance.randint(0, 3)):
                post(writer, feeds[kind], random_rows(chance, kind), day)
            post(writer, feeds["requests"], random_rows(chance, "requests"), day + timedelta(days=1))
            post(writer, make_feed("calendar", partner="counterfoil"), [{"day": day}], day)
            told[day] = snapshot(writer, day)
        for day, was in told.items():
            assert snapshot(writer, day) == was, day
            prove_day(writer, day)


def prove_day(book: Lookups, day: date) -> None:
    """What must hold between the extracts of any day."""
    points = {row[1]: row[3] for row in figures.summary(book, known(book, day), "EUR").iter_rows()}
    for account, _, opening, into, out, closing, *_ in figures.clearing(book, known(book, day)).iter_rows():
        assert closing == opening + into - out
        assert account != "in_flight" or closing == points["pending"] + points["held"]
    assert figures.rejects(book, known(book, day), [])["points"].sum() == points.get("rejected", 0)
    numbers = extracts.postings_of(book, day)["n"]
    answers = extracts.stage1(book, numbers).filter(pl.col("feed") == "p_handback")["accepted"].sum()
    matched = extracts.matches(book, numbers)
    assert matched.filter(pl.col("match_pass") != "theirs_first")["count"].sum() == answers
    assert matched.filter((pl.col("match_pass") == "exact") & (pl.col("difference") != 0)).is_empty()
    moved = open_breaks.movements(book, known(book, day))
    listed = codes(
        pl.concat([open_breaks.open_breaks(book, known(book, day)), open_breaks.in_transit(book, known(book, day))])
    )
    assert dict(moved.filter(pl.col("carried") > 0).select("code", "carried").iter_rows()) == listed
    assert moved.filter((pl.col("opened") < 0) | (pl.col("cleared") < 0)).is_empty()
