"""Near misses: the best first, each with what differs; as good as comparing all with all, at a fraction of the work."""

import time
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.reconcile.lookalikes import NEAR, SHOWN_MAX, SIDE, near_misses
from counterfoil.reconcile.terms import NEAR_DAYS

DAY = date(2026, 11, 18)


def side(*rows: dict[str, Any]) -> pl.DataFrame:
    ordinary = {"within": 1, "ref": "R000001", "member": "M1", "points": 100, "value_date": DAY}
    return pl.DataFrame([ordinary | {"item_id": n} | row for n, row in enumerate(rows, 1)], schema=SIDE)


def none() -> pl.DataFrame:
    return pl.DataFrame(schema={"item_id": pl.Int64, "other_id": pl.Int64})


def only(item: dict[str, Any], *others: dict[str, Any]) -> list[dict[str, Any]]:
    return near_misses(side(item), side(*others), none()).to_dicts()


@pytest.mark.parametrize(
    ("theirs", "ours", "at", "off"),
    [
        ("70000012", "7000001234", 9, 2),
        ("00700101", "700101", 1, 2),
        ("7000013", "7000012", 7, 1),
        ("7000021", "7000012", 6, 2),
        ("aaaa", "aaa", 4, 1),
        ("X", "7000012", 1, 7),
        ("700", "700", None, 0),
    ],
)
def test_references_differ_from_a_place_on_by_so_many_characters(
    theirs: str, ours: str, at: int | None, off: int
) -> None:
    (found,) = only({"ref": theirs}, {"ref": ours})
    assert (found["ref_at"], found["ref_off"], found["ref_agrees"]) == (at, off, at is None)


def test_points_and_days_differ_by_the_items_less_the_others() -> None:
    (found,) = only({"points": 97}, {"value_date": DAY - timedelta(days=1)})
    assert (found["points_off"], found["points_agree"], found["days"], found["date_agrees"]) == (-3, False, 1, True)
    (far,) = only({}, {"value_date": DAY + timedelta(days=NEAR_DAYS + 1)})
    assert (far["days"], far["date_agrees"]) == (-NEAR_DAYS - 1, False)


def test_what_one_side_does_not_name_neither_agrees_nor_differs() -> None:
    (found,) = only({"ref": None, "member": None}, {"ref": "R7"})
    assert found["ref_agrees"] is found["member_agrees"] is found["ref_off"] is None


@pytest.mark.parametrize(
    ("changes", "is_near"),
    [
        ({"ref": "Z9", "points": 5}, True),
        ({"member": "M2", "value_date": DAY + timedelta(days=40)}, True),
        ({"ref": "Z9", "points": 5, "member": "M2"}, False),
        ({"within": 2}, False),
    ],
)
def test_a_near_miss_agrees_in_all_but_two_fields_within_one_partner(changes: dict[str, Any], is_near: bool) -> None:
    assert bool(only({}, changes)) is is_near


def test_the_best_comes_first_and_there_are_five_at_most() -> None:
    others: list[dict[str, Any]] = [
        {"ref": "R999999"},
        {"points": 90},
        {"points": 99},
        {"ref": "R000002"},
        *({"points": 500},) * 9,
    ]
    found = only({}, *others)
    assert [row["place"] for row in found] == list(range(1, SHOWN_MAX + 1))
    assert [row["other_id"] for row in found] == [3, 2, 5, 6, 7]


def test_a_pair_that_is_named_comes_first_whatever_it_agrees_in() -> None:
    named = pl.DataFrame({"item_id": [1], "other_id": [2]})
    found = near_misses(
        side({}), side({"ref": "R000002"}, {"within": 9, "ref": "Q", "member": "N", "points": 7}), named
    )
    assert found["other_id"].to_list() == [2, 1]


def test_nothing_comes_of_nothing() -> None:
    assert dict(near_misses(side(), side(), none()).schema) == NEAR


DIGITS = st.text(alphabet="01", min_size=1, max_size=9)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "ref": st.none() | DIGITS,
            "member": st.sampled_from([None, "M1", "M2"]),
            "points": st.integers(1, 3),
            "value_date": st.integers(0, 12).map(lambda days: DAY + timedelta(days=days)),
            "within": st.integers(1, 2),
        }
    ),
    max_size=4,
)


@given(items=ROWS, others=ROWS)
def test_of_few_candidates_none_that_shares_a_key_is_missed(
    items: list[dict[str, Any]], others: list[dict[str, Any]]
) -> None:
    """Beside all pairs, compared in plain Python; with fewer candidates than its reach none can be passed over."""
    found = near_misses(side(*items), side(*others), none())
    expected = set()
    for i, ours in enumerate(items, 1):
        for j, theirs in enumerate(others, 1):
            said = [name for name in ("ref", "member", "points") if ours[name] is not None and theirs[name] is not None]
            equal = {name for name in said if ours[name] == theirs[name]}
            near_day = abs((ours["value_date"] - theirs["value_date"]).days) <= NEAR_DAYS
            off = len(said) + 1 - len(equal) - near_day
            if (
                ours["within"] == theirs["within"]
                and equal
                and off <= 2
                and ("ref" in equal or len(equal) + near_day > 1)
            ):
                expected.add((i, j))
    assert expected <= set(found.select("item_id", "other_id").rows())
    assert found.group_by("item_id").len()["len"].max() in {None, *range(SHOWN_MAX + 1)}


def test_a_hundred_thousand_equal_requests_of_one_member_cost_little() -> None:
    many = pl.DataFrame({"item_id": range(100_000)}).select(
        "item_id",
        within=pl.lit(1, pl.Int64),
        ref=pl.format("R{}", pl.col("item_id") + 1_000_000),
        member=pl.lit("M1"),
        points=pl.lit(500, pl.Int64),
        value_date=pl.lit(DAY),
    )
    alone = side(*({"ref": f"R105{n:04d}", "points": 500} for n in range(25)))
    start = time.perf_counter()
    found = near_misses(alone, many, none())
    assert time.perf_counter() - start < 5
    assert found.height == 25 * SHOWN_MAX
    assert found.filter(pl.col("place") == 1)["ref_off"].to_list() == [0] * 25
