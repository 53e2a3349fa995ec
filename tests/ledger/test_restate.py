"""Every change between two knowledge times has its causes, and they add up."""

import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.errors import CounterfoilError
from counterfoil.ledger.chart import Chart, Rulebook
from counterfoil.ledger.known import Reach
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.restate import ChartChange, Restated, prove, restate
from counterfoil.ledger.store import Book
from counterfoil.ledger.work import Former
from tests.ledger.turmoil import Player, with_other_accounts
from tests.ledger.weeks import MONDAY, THURSDAY, TUESDAY, WEDNESDAY
from tests.plugins.books import in_shape

Posts = Callable[..., Any]
EXAMPLES = 2 * int(os.environ.get("COUNTERFOIL_EXAMPLES", "6"))
WEEKS = 2
REACHES = (Reach(), Reach(as_of=MONDAY), Reach(as_of=TUESDAY), Reach(period_end=MONDAY))


@pytest.fixture
def same_chart(rulebook: Rulebook) -> ChartChange:
    return ChartChange(rulebook.chart, rulebook.chart, 0)


@pytest.fixture(scope="module")
def november(make_book: Callable[[], Book], make_feed: Posts, post: Posts) -> Book:
    """Monday: three requests; Thursday: Monday's answers, late; then they are corrected, and a break is decided on."""
    book, feed = make_book(), make_feed("handback", record_key=("ref",))
    answers = [{"ref": "A", "points": 100}, {"ref": "B", "points": 200, "outcome": "rejected"}]
    old = in_shape(feed.kind, answers, MONDAY)
    new = old.with_columns(outcome=pl.lit("accepted"))
    with book.writing(purpose="test") as writer:
        asked = [{"ref": ref, "points": points} for ref, points in (("A", 100), ("B", 200), ("C", 300))]
        post(writer, make_feed("requests", answer_due_days=1), asked, MONDAY)
        post(writer, make_feed("calendar", partner="counterfoil"), [{"day": WEDNESDAY}], WEDNESDAY)
        post(writer, feed, old, MONDAY, on_day=THURSDAY, sender="connection:p")
        former = Former((3,), old.with_columns(file_id=pl.lit(3, pl.Int64)))
        post(writer, feed, new, MONDAY, on_day=THURSDAY, corrects=former)
        overdue = writer.frame("SELECT break_id FROM book.open_break WHERE code = 2 AND subject = 'C'")[
            "break_id"
        ].item()
        refund = {"action": "refund", "subject": overdue, "points": 300}
        post(writer, make_feed("decisions", partner="counterfoil"), [refund], THURSDAY)
    return book


def causes(told: Restated, kind: str) -> list[tuple[Any, ...]]:
    parts = told.parts.filter(pl.col("kind") == kind)
    return parts.select("gl", "points", "cause", "posting", "feed", "file", "sender").rows()


def test_a_late_file_changes_monday_by_value_date_and_names_its_file(november: Book, same_chart: ChartChange) -> None:
    with november.reading() as book:
        told = restate(book, 2, 3, reach=Reach(as_of=MONDAY), charts=same_chart)
    assert told.figures.sort("kind").select("kind", "before", "after", "change").rows() == [
        ("in_flight", 600, 300, -300),
        ("member", -600, -400, 200),
        ("payable", 0, 100, 100),
    ]
    assert causes(told, "in_flight") == [("2450", -300, "file", 3, "p_handback", "p_handback_3", "connection:p")]


def test_a_correction_and_a_decision_are_causes_of_their_own(november: Book, same_chart: ChartChange) -> None:
    with november.reading() as book:
        told = restate(book, 2, 5, reach=Reach(), charts=same_chart)
        by_value = restate(book, 2, 5, reach=Reach(as_of=MONDAY), charts=same_chart)
    assert [(points, cause, n) for _, points, cause, n, *_ in causes(told, "member")] == [
        (200, "file", 3), (-200, "correction", 4), (300, "decision", 5),
    ]  # fmt: skip
    assert [(cause, n) for _, _, cause, n, *_ in causes(by_value, "member")] == [("file", 3), ("correction", 4)]
    cancelled = by_value.figures.filter(pl.col("kind") == "member")
    assert cancelled["change"].to_list() == [0], "changes that cancel out are told all the same"


def test_points_of_a_locked_period_are_told_in_the_next_one(november: Book, same_chart: ChartChange) -> None:
    with november.reading() as book:
        by_period = restate(book, 3, 4, reach=Reach(period_end=TUESDAY), charts=same_chart)
        by_value = restate(book, 3, 4, reach=Reach(as_of=TUESDAY), charts=same_chart)
    assert by_period.figures.is_empty(), "a correction has today's accounting date"
    assert not by_value.figures.is_empty()


def test_a_new_chart_is_a_part_of_its_own(november: Book, rulebook: Rulebook) -> None:
    charts = ChartChange(rulebook.chart, with_other_accounts(rulebook.chart), 3)
    with november.reading() as book:
        told = restate(book, 2, 5, reach=Reach(), charts=charts)
        alone = restate(book, 2, 2, reach=Reach(), charts=charts)
    assert causes(told, "in_flight") == [
        ("2450", -600, "rule version", 3, None, f"chart of accounts, version {charts.after.version}", None),
        ("2990", -300, "file", 3, "p_handback", "p_handback_3", "connection:p"),
        ("2990", 600, "rule version", 3, None, f"chart of accounts, version {charts.after.version}", None),
        ("2990", -300, "decision", 5, "counterfoil_decisions", "counterfoil_decisions_5", "test"),
    ]
    assert told.figures.filter(pl.col("kind") == "in_flight").select("gl", "before", "after", "change").rows() == [
        ("2450", 600, 0, -600),
        ("2990", 0, 0, 0),
    ]
    assert set(alone.parts["cause"]) == {"rule version"}
    assert alone.parts["points"].sum() == 0


def test_a_part_that_is_missing_is_noticed(november: Book, same_chart: ChartChange) -> None:
    with november.reading() as book:
        told = restate(book, 2, 5, reach=Reach(), charts=same_chart)
    with pytest.raises(CounterfoilError, match="MASS_BALANCE"):
        prove(replace(told, parts=told.parts.slice(1)))
    twice = told.figures.with_columns(change=pl.col("change") * 2)
    with pytest.raises(CounterfoilError, match="MASS_BALANCE"):
        prove(replace(told, figures=twice))


def test_nothing_changed_between_a_posting_and_itself(november: Book, same_chart: ChartChange) -> None:
    with november.reading() as book:
        told = restate(book, 3, 3, reach=Reach(), charts=same_chart)
    assert told.figures.is_empty()
    assert told.parts.is_empty()


@pytest.fixture(scope="module")
def weeks(make_book: Callable[[], Book], make_feed: Posts, post: Posts) -> list[Book]:
    """Some random weeks."""
    books = [make_book() for _ in range(WEEKS)]
    for seed, book in enumerate(books):
        with book.writing(purpose="test") as writer:
            for _ in Player(writer, random.Random(seed), make_feed, post).play(12):
                pass
    return books


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    week=st.integers(0, WEEKS - 1),
    reach=st.sampled_from(REACHES),
    times=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    new_chart=st.booleans(),
)
def test_between_any_two_times_the_parts_are_the_change(
    weeks: list[Book], rulebook: Rulebook, week: int, reach: Reach, times: tuple[int, int], new_chart: bool
) -> None:
    after = with_other_accounts(rulebook.chart) if new_chart else rulebook.chart
    with weeks[week].reading() as book:
        low, high = (min(n, book.last_posting()) for n in sorted(times))
        told = restate(book, low, high, reach=reach, charts=ChartChange(rulebook.chart, after, high))
        change = added_up(book, high, reach, after)
        change.subtract(added_up(book, low, reach, rulebook.chart))
    parts: Counter[str] = Counter()
    for gl, points in told.parts.select("gl", "points").iter_rows():
        parts[gl] += points
    change.subtract(parts)
    assert not any(change.values()), (low, high)


def added_up(book: Lookups, n: int, reach: Reach, chart: Chart) -> Counter[str]:
    """Points by GL account, added up entry by entry."""
    limit: date | None = reach.as_of or reach.period_end
    entries = book.frame("SELECT e.*, a.kind FROM book.entry e JOIN book.account a USING (account_id)")
    counted = entries.filter(pl.col("file_id") <= n)
    if limit is not None:
        counted = counted.filter(pl.col("value_date" if reach.as_of else "accounting_date") <= limit)
    found: Counter[str] = Counter()
    for kind, amount in counted.select("kind", "amount").iter_rows():
        found[chart.accounts[kind].gl] += amount
    return found
