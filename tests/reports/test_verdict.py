"""What passes, what passes with work to do, and what must not be relied on."""

from collections.abc import Callable
from datetime import date

import polars as pl
import pytest

from counterfoil.reconcile.breaks import at_stake
from counterfoil.reports.facts import ReportFacts, empty_table
from counterfoil.reports.verdict import headline, judge, worst_first


def test_a_day_without_anything_passes(no_day: ReportFacts) -> None:
    verdict = judge(no_day)
    assert (verdict.state, verdict.reasons, verdict.remarks) == ("pass", (), ())
    assert headline(no_day).match_rate_count is None


def test_work_to_do_is_listed_and_does_not_fail_the_day(day: ReportFacts) -> None:
    verdict = judge(day)
    assert (verdict.state, verdict.reasons) == ("remarks", ())
    assert verdict.remarks == (
        "2 files are not in the book: 1 CONTROL_TOTAL_WRONG, 1 RENAMED_REPLAY_HELD",
        "4 rows are quarantined",
        "598 breaks are open: 169 critical, 82 high, 209 medium, 138 low",
        "1 account differs from the general ledger",
        "1 account is in no extract of the general ledger",
        "Suspense is not empty: northstar 4,000 points",
        "8 clearing items are older than 30 days",
    )


@pytest.mark.parametrize(
    ("table", "change", "reason"),
    [
        ("stage1", {"unexplained_points": 3}, "Mass balance: 0 rows and 18 points are unexplained"),
        ("controls", {"holds": False}, "3 control totals of posted files do not hold"),
        ("rejects", {"count": 0}, "2 sums of this report do not tie; they are listed in section 1"),
    ],
)
def test_what_cannot_be_relied_on_fails_the_day(
    table: str, change: dict[str, object], reason: str, day: ReportFacts, make_facts: Callable[..., ReportFacts]
) -> None:
    changed = day.table(table).with_columns(**{name: pl.lit(value) for name, value in change.items()})
    verdict = judge(make_facts(**{table: changed.cast(pl.Schema(day.table(table).schema))}))
    assert (verdict.state, verdict.reasons) == ("fail", (reason,))


def test_a_surplus_and_a_lack_do_not_hide_each_other(day: ReportFacts, make_facts: Callable[..., ReportFacts]) -> None:
    sign = pl.when(pl.int_range(pl.len()) % 2 == 0).then(1).otherwise(-1).cast(pl.Int64)
    figures = headline(make_facts(stage1=day.stage1.with_columns(unexplained_points=sign)))
    assert figures.unexplained_points == day.stage1.height


def test_a_failed_feed_fails_the_day_by_name(make_facts: Callable[..., ReportFacts]) -> None:
    failed = pl.DataFrame(
        [("skybridge_handback", "CONNECTION_LOST", "m")], schema=["feed", "code", "message"], orient="row"
    )
    assert judge(make_facts(failed_feeds=failed)).reasons == ("Feed skybridge_handback failed: CONNECTION_LOST",)


def test_a_replay_needs_no_posting_and_a_restatement_is_said(
    day: ReportFacts, make_facts: Callable[..., ReportFacts]
) -> None:
    replays = day.files.filter(pl.col("verdict") == "replay")
    assert headline(make_facts(files=replays)).files_outside == 0
    assert judge(make_facts(cover={"restated": "yes", "version": "2"})).remarks[-1] == (
        "Restated: this is version 2 for the day"
    )


def test_a_day_that_is_not_over_says_so(make_facts: Callable[..., ReportFacts]) -> None:
    assert "The day is open until 2026-11-21T04:59:00.000Z: these are its figures so far" in (
        judge(make_facts(cover={"closed": "no"})).remarks
    )


def test_rates_are_never_rounded_up_to_all(day: ReportFacts, make_facts: Callable[..., ReportFacts]) -> None:
    matches = pl.DataFrame(
        [("p", "exact", 99_999, 99_999, 99_999, 0), ("p", "unmatched_theirs", 1, 0, 1, -1)],
        schema=day.matches.schema,
        orient="row",
    )
    figures = headline(make_facts(matches=matches))
    assert (figures.match_rate_count, figures.match_rate_points) == (9_999, 9_999)


@pytest.mark.parametrize(
    ("ours", "theirs", "difference", "points"),
    [
        (10_000, 9_500, 500, 500),
        (500, 500, 0, 500),
        (None, 4_000, None, 4_000),
        (-70, None, None, 70),
        (None, None, None, 0),
    ],
)
def test_points_at_stake(ours: int | None, theirs: int | None, difference: int | None, points: int) -> None:
    frame = pl.DataFrame(
        {"points_ours": [ours], "points_theirs": [theirs], "difference": [difference]},
        schema=dict.fromkeys(("points_ours", "points_theirs", "difference"), pl.Int64),
    )
    assert frame.select(at_stake()).item() == points


def test_the_worst_and_oldest_break_comes_first_and_transit_last(day: ReportFacts) -> None:
    ordered = worst_first(day.breaks)
    assert ordered["code"].to_list()[-40:] == ["B01"] * 40
    assert (ordered["severity"][0], ordered["age_days"][0]) == ("critical", 97)
    real = ordered.head(-40)
    assert real["severity"].rle().struct.field("value").to_list() == ["critical", "high", "medium", "low"]
    assert real.filter(pl.col("severity") == "low")["age_days"].is_sorted(descending=True)
    assert worst_first(empty_table("breaks")).height == 0
    assert isinstance(ordered["value_date"][0], date)
