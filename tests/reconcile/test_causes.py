"""The cause of a break from what its record shows, and equal causes as one line."""

import random
from datetime import date, timedelta
from math import gcd
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.ledger.model import BreakCode, ItemKind
from counterfoil.money import value_points_int
from counterfoil.reconcile.cause import TITLES, Cause
from counterfoil.reconcile.causes import BROKEN, GROUPED, NEAR, grouped, told

DAY = date(2026, 11, 16)


def broken(*rows: dict[str, Any]) -> pl.DataFrame:
    filled = [{"break_id": f"b{place:03}", "partner": "p", "age_days": 0} | row for place, row in enumerate(rows)]
    return pl.DataFrame(filled, schema=BROKEN)


def near(*rows: tuple[str, Cause, str | None, int | None]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=NEAR, orient="row")


def differs(ours: int, theirs: int, item: int = 0, **more: Any) -> dict[str, Any]:
    return {"code": BreakCode.POINTS_DIFFER, "item_id": item, "points_ours": ours, "points_theirs": theirs} | more


def causes(*rows: dict[str, Any]) -> list[str]:
    return told(broken(*rows), near())["cause"].to_list()


def test_every_cause_has_a_title() -> None:
    assert set(TITLES) == set(Cause)
    assert len(set(TITLES.values())) == len(Cause)


@pytest.mark.parametrize(
    ("days", "change"),
    [
        (1, "value dates 1 day later at p: a time zone or cut-off"),
        (-1, "value dates 1 day earlier at p: a time zone or cut-off"),
        (5, "value dates 5 days later at p: check which date they send"),
        (-30, "value dates 30 days earlier at p: check which date they send"),
    ],
)
def test_dates_are_told_by_how_far_they_are_off(days: int, change: str) -> None:
    row = {
        "code": BreakCode.DATE_DIFFERS,
        "item_id": 7,
        "asked_on": DAY,
        "answered_on": DAY + timedelta(days=days),
    }
    assert told(broken(row), near()).select("cause", "change").row(0) == (Cause.DATE_SHIFTED, change)


def test_what_counts_for_a_locked_period_names_no_request() -> None:
    assert causes({"code": BreakCode.DATE_DIFFERS, "points_ours": 40}) == [Cause.LATER_PERIOD]


def test_vouchers_cancelled_without_their_money_are_one_claim() -> None:
    row = told(broken({"code": BreakCode.WALLET_DIFFERS, "points_ours": 40, "points_theirs": 50}), near()).row(
        0, named=True
    )
    assert (row["cause"], row["change"].startswith("the refund of vouchers that")) == (Cause.REFUND_DUE, True)


@pytest.mark.parametrize("code", [BreakCode.MONEY_DIFFERS, BreakCode.LEDGER_DIFFERS])
def test_a_break_that_nothing_here_explains_has_no_cause(code: BreakCode) -> None:
    row = told(broken({"code": code, "points_ours": 40, "points_theirs": 50}), near()).row(0, named=True)
    assert (row["cause"], row["change"]) == (Cause.NONE, "no change of one thing would clear it")
    assert row["at_stake"] == 10


def charge(points: int, theirs: int, ours: int | None, rate: int | None = 100, **more: Any) -> dict[str, Any]:
    return {
        "code": BreakCode.MONEY_DIFFERS, "charged_points": points, "amount_theirs_minor": theirs, "currency": "EUR",
        "amount_ours_minor": ours, "rate_minor": rate, "rate_per": rate and 100, "rated_on": DAY,
    } | more  # fmt: skip


def test_charges_that_one_price_explains_to_the_cent_have_one_cause() -> None:
    at_110 = [charge(points, value_points_int(points, 110, 100), points) for points in (5, 15, 33, 450, 1234)]
    found = told(broken(*at_110, charge(1000, 1200, 1000)), near())
    change = "priced at {} EUR per 100 points at p instead of 1.00: check the rate card"
    assert found["change"].to_list() == [change.format("1.10")] * 5 + [change.format("1.20")]
    assert found["minor"].to_list() == [1, 1, 3, 45, 123, 200]


def test_small_charges_do_not_hide_the_price() -> None:
    small = [
        charge(points, value_points_int(points, 110, 100), points) for points in (5, 6, 7, 8, 9, 11, 12, 13, 14) * 6
    ]
    found = told(broken(*small, charge(90_000, 99_000, 90_000)), near())
    assert found["change"].unique().to_list() == [
        "priced at 1.10 EUR per 100 points at p instead of 1.00: check the rate card"
    ]


def test_larger_charges_that_are_wrong_each_in_its_own_way_do_not_hide_the_price() -> None:
    odd = [charge(9_000 + number, 10_000 + 97 * number, 9_000 + number) for number in range(30)]
    at_110 = [charge(points, value_points_int(points, 110, 100), points) for points in (1_234, 2_345, 3_456)]
    found = told(broken(*odd, *at_110), near())
    assert set(found["cause"]) == {Cause.PRICE_CHANGED}
    assert (
        found["change"].to_list()[-3:]
        == ["priced at 1.10 EUR per 100 points at p instead of 1.00: check the rate card"] * 3
    )


def test_a_price_may_be_finer_than_the_rate_card() -> None:
    charges = [charge(points, value_points_int(points, 10_837, 10_000), points) for points in (777, 4_500, 98_765)]
    found = told(broken(*charges), near())
    assert found["change"].unique().to_list() == [
        "priced at 108.37 EUR per 10000 points at p instead of 100.00: check the rate card"
    ]


def test_an_absurd_charge_is_told_like_any_other() -> None:
    found = told(broken(charge(1, 10**15, 1), charge(10**15, 5, 10**15), charge(0, 7, 0)), near())
    assert found["cause"].to_list() == [Cause.PRICE_CHANGED, Cause.MONEY_OFF, Cause.MONEY_OFF]


def test_a_fee_on_every_charge_is_no_price() -> None:
    charges = [charge(points, points + 25, points) for points in (100, 200, 300)]
    found = told(broken(*charges, charge(-100, -90, -110, None)), near())
    assert found["cause"].to_list() == [Cause.MONEY_OFF] * 4
    assert found["change"].unique().sort().to_list() == [
        "our price plus 0.20 EUR on each at p: ask what for",
        "our price plus 0.25 EUR on each at p: ask what for",
    ]


def test_a_rate_that_is_missing_is_asked_for_from_its_first_day_on() -> None:
    charges = [charge(100, 100, None, None, rated_on=DAY + timedelta(days=days)) for days in (2, 0)]
    found = told(broken(*charges, charges[0] | {"partner": "q"}), near())
    assert set(found["cause"]) == {Cause.RATE_MISSING}
    assert found["change"].to_list() == [
        *[f"a rate of p in force from {DAY} on: land it"] * 2,
        f"a rate of q in force from {DAY + timedelta(days=2)} on: land it",
    ]


def test_the_parts_of_a_request_are_judged_together() -> None:
    parts = [differs(100, 40, 1, in_parts=True), differs(100, 50, 1, in_parts=True)]
    assert causes(*parts) == [Cause.PART_MISSING] * 2
    assert causes(*parts, differs(100, 30, 1, in_parts=True)) == [Cause.POINTS_OFF] * 3


def test_differences_are_counted_at_each_partner_by_itself() -> None:
    same = [differs(100 * place, 90 * place) for place in (1, 2, 3)]
    assert causes(*same) == [Cause.POINTS_RATIO] * 3
    assert causes(*same[:2], same[2] | {"partner": "q"}) == [Cause.POINTS_OFF] * 3


def test_a_difference_that_explains_as_much_as_a_ratio_is_told() -> None:
    """A tenth of three equal amounts is the same difference as well."""
    assert causes(*[differs(100, 90)] * 3) == [Cause.POINTS_OFF] * 3


def test_nothing_credited_is_a_ratio_too() -> None:
    rows = told(broken(*(differs(points, 0) for points in (10, 20, 30))), near())
    assert rows["change"].unique().to_list() == ["our points times 0/1 at p: check the tariff or the rate"]


AMOUNTS = st.integers(1, 1 << 40)


@settings(max_examples=50, deadline=None)
@given(times=AMOUNTS, per=AMOUNTS, sizes=st.sets(st.integers(2, 1 << 20), min_size=3, max_size=6))
def test_a_ratio_is_told_in_lowest_terms(times: int, per: int, sizes: set[int]) -> None:
    if times == per:
        return
    rows = told(broken(*(differs(per * size, times * size) for size in sizes)), near())
    lowest = f"{times // gcd(times, per)}/{per // gcd(times, per)}"
    assert rows["change"].unique().to_list() == [f"our points times {lowest} at p: check the tariff or the rate"]


def test_the_first_missing_file_in_time_explains_an_overdue_request() -> None:
    def overdue(asked: int, due: int) -> dict[str, Any]:
        days = {"asked_on": DAY + timedelta(days=asked), "due_date": DAY + timedelta(days=due)}
        return {"code": BreakCode.OVERDUE, "item_id": 1, "points_ours": 5} | days

    def missing(day: int, code: BreakCode = BreakCode.SEQUENCE) -> dict[str, Any]:
        return {"code": code, "missing": f"f {day}", "missing_on": DAY + timedelta(days=day)}

    rows = [overdue(0, 1), overdue(1, 3), overdue(3, 5), overdue(-2, -1), missing(1), missing(2), missing(0)]
    changes = told(broken(*rows, missing(7, BreakCode.CONTROL_WRONG)), near())["change"].to_list()
    assert changes[:4] == [
        "the file f 0 of p: ask for it",
        "the file f 1 of p: ask for it",
        "answers to the requests of 2026-11-19 at p: ask for them",
        "answers to the requests of 2026-11-14 at p: ask for them",
    ]
    assert changes[7] == "the file f 7 of p: ask for it"


def test_a_file_of_requests_explains_no_silence() -> None:
    rows = [
        {"code": BreakCode.OVERDUE, "item_id": 1, "asked_on": DAY, "due_date": DAY},
        {"code": BreakCode.SEQUENCE, "missing": "p_requests 1"},
    ]
    assert causes(*rows) == [Cause.SILENT, Cause.FILE_MISSING]


def test_a_near_miss_is_told_with_its_request() -> None:
    unknown = {"code": BreakCode.UNKNOWN_THEIRS, "points_theirs": 5}
    met = near(
        ("b000", Cause.REF_TRUNCATED, "last 2 characters", 7),
        ("b001", Cause.OTHER_PARTNER, "q", 8),
        ("b002", Cause.AMBIGUOUS, None, None),
    )
    found = told(broken(unknown, unknown, unknown, unknown), met).select("cause", "change", "candidate_item_id").rows()
    assert found == [
        (Cause.REF_TRUNCATED, "the last 2 characters of the reference at p: check the field's width", 7),
        (Cause.OTHER_PARTNER, "requested of q, answered by p: check the partner code", 8),
        (Cause.AMBIGUOUS, "our reference at p: ask which request is meant, more than one pair fits", None),
        (Cause.NONE, "no change of one thing would clear it", None),
    ]


def test_every_near_miss_has_words() -> None:
    kinds = [cause for cause in Cause if cause.startswith(("ref_", "other_")) or cause in {"sign_flipped", "ambiguous"}]
    unknown = broken(*[{"code": BreakCode.UNKNOWN_THEIRS}] * len(kinds))
    found = told(unknown, near(*((f"b{place:03}", kind, "", place) for place, kind in enumerate(kinds))))
    assert found["cause"].to_list() == kinds
    assert not found["change"].str.starts_with("no change").any()


def test_a_correction_that_came_too_late_conflicts_with_the_end_of_its_request() -> None:
    rows = [
        {"code": BreakCode.CONFLICT, "before": "written off"},
        {"code": BreakCode.CONFLICT, "before": "confirmed", "kind": ItemKind.THEIR_REVERSAL},
    ]
    assert told(broken(*rows), near())["change"].to_list() == [
        "corrected after written off at p: agree the outcome",
        "reversed after confirmed at p: agree the outcome",
    ]


def test_equal_changes_are_one_line_and_the_heaviest_comes_first() -> None:
    rows = [
        differs(10, 7, age_days=9),
        differs(20, 17, age_days=2),
        differs(10, 7, age_days=9),
        differs(20, 25, partner="q", age_days=30),
        {"code": BreakCode.BALANCE_SHORT, "points_ours": 1},
        {"code": BreakCode.UNKNOWN_THEIRS, "points_theirs": 4, "item_id": 3},
    ]
    table = grouped(told(broken(*rows), near()))
    assert table.columns == list(GROUPED)
    assert table.drop("cause", "change").rows() == [
        ("q", 1, 5, None, None, 30, 5 * 31, "B04", "b003", ["b003"]),
        ("p", 3, 9, None, None, 9, 3 * 10 + 3 * 3 + 3 * 10, "B04", "b000", ["b000", "b001", "b002"]),
        ("p", 2, 5, None, None, 0, 5, "B03, B16", "b005", ["b004", "b005"]),
    ]


CODES = st.sampled_from([code for code in BreakCode if code is not BreakCode.IN_TRANSIT])
ROW = st.fixed_dictionaries(
    {
        "code": CODES,
        "partner": st.sampled_from(["p", "q"]),
        "item_id": st.none() | st.integers(1, 3),
        "points_ours": st.none() | st.integers(-5, 5),
        "points_theirs": st.none() | st.integers(-5, 5),
        "age_days": st.integers(0, 3),
        "kind": st.none() | st.sampled_from([ItemKind.THEIR_ACCEPT, ItemKind.THEIR_REVERSAL]),
        "asked_on": st.none() | st.sampled_from([DAY, DAY + timedelta(days=1)]),
        "due_date": st.none() | st.sampled_from([DAY, DAY + timedelta(days=1)]),
        "answered_on": st.none() | st.sampled_from([DAY, DAY + timedelta(days=1)]),
        "in_parts": st.none() | st.booleans(),
        "file": st.sampled_from(["f", "g"]),
        "earlier_file": st.none() | st.sampled_from(["f", "g"]),
        "before": st.none() | st.just("confirmed"),
        "reason": st.none() | st.just("07"),
        "reason_text": st.none() | st.just("Closed"),
        "missing": st.just("p_handback 1"),
        "missing_on": st.none() | st.sampled_from([DAY, DAY + timedelta(days=1)]),
        "refused": st.none() | st.booleans(),
    }
)


CHARGE = st.fixed_dictionaries(
    {
        "charged_points": st.integers(-300, 300),
        "rated_on": st.just(DAY),
        "currency": st.just("EUR"),
        "amount_ours_minor": st.none() | st.integers(-300, 300),
        "amount_theirs_minor": st.integers(-300, 300),
        "rate_minor": st.just(100),
        "rate_per": st.just(100),
    }
)
ROWS = st.lists(st.builds(lambda row, charge: row | charge, ROW, st.just({}) | CHARGE), max_size=12)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 9))
def test_each_break_has_one_cause_whatever_the_order_of_rows(rows: list[dict[str, Any]], seed: int) -> None:
    named = [row | {"break_id": f"b{place:03}"} for place, row in enumerate(rows)]
    found = told(broken(*named), near())
    assert found["break_id"].to_list() == [row["break_id"] for row in named]
    assert found.select("cause", "change", "at_stake").null_count().sum_horizontal().item() == 0
    turned = random.Random(seed).sample(named, len(named))
    assert told(broken(*turned), near()).equals(found)
    assert grouped(found.sample(fraction=1.0, shuffle=True, seed=seed)).equals(grouped(found))
