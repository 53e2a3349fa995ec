"""What we expect to be charged is the plain integer value at the rate of the day, whatever the order of rows."""

import random
from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.money import value_points_int
from counterfoil.reconcile.charges import RATES, as_charged, beyond, expected

DAY = date(2026, 11, 16)
DAYS = st.integers(0, 6).map(lambda after: DAY + timedelta(days=after))

Charged = tuple[int, int, date]
"""partner_id, points, rated_on."""
Rated = tuple[int, int, int, date]
"""partner_id, minor, per_points, effective_from; in the order in which they landed."""

CHARGED = st.lists(st.tuples(st.integers(1, 2), st.integers(-(10**9), 10**9), DAYS), max_size=12)
RATED = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 500), st.integers(1, 300), DAYS), max_size=8)


def charges(rows: Sequence[Charged]) -> pl.DataFrame:
    schema = {"partner_id": pl.Int32, "points": pl.Int64, "rated_on": pl.Date}
    return pl.DataFrame(rows, schema=schema, orient="row")


def rates(rows: Sequence[Rated]) -> pl.DataFrame:
    placed = [(*row, 1 + place // 2, 2 + place % 2) for place, row in enumerate(rows)]
    return pl.DataFrame(placed, schema=RATES, orient="row")


def plainly(one: Charged, rated: Sequence[Rated]) -> tuple[int | None, int | None]:
    """The value of one charge, and the file its rate is in, worked out one by one."""
    partner, points, day = one
    known = [(rate[3], place) for place, rate in enumerate(rated) if rate[0] == partner and rate[3] <= day]
    if not known:
        return None, None
    _, place = max(known)
    return value_points_int(points, rated[place][1], rated[place][2]), 1 + place // 2


@settings(max_examples=80, deadline=None)
@given(asked=CHARGED, rated=RATED, seed=st.integers(0, 9))
def test_the_expectation_is_the_plain_integer_value(asked: list[Charged], rated: list[Rated], seed: int) -> None:
    found = expected(charges(asked), rates(rated))
    assert found.select("ours", "rate_file").rows() == [plainly(one, rated) for one in asked]
    order = random.Random(seed).sample(range(len(asked)), len(asked))
    mixed = rates(rated).sample(fraction=1, shuffle=True, seed=seed)
    assert expected(charges(asked)[order], mixed).equals(found[order])


@settings(max_examples=80, deadline=None)
@given(
    ours=st.none() | st.integers(-(10**15), 10**15),
    off=st.integers(-200, 200),
    tolerance=st.integers(0, 100),
    basis_points=st.integers(0, 10_000),
)
def test_beyond_is_further_than_the_wider_of_two_tolerances(
    ours: int | None, off: int, tolerance: int, basis_points: int
) -> None:
    theirs = (ours or 0) + off
    schema = {"ours": pl.Int64, "theirs": pl.Int64, "tolerance": pl.Int64, "basis_points": pl.Int32}
    found = pl.DataFrame([(ours, theirs, tolerance, basis_points)], schema=schema, orient="row").select(beyond()).item()
    assert found == (ours is None or abs(off) > max(tolerance, abs(ours) * basis_points // 10_000))


def test_a_rate_that_makes_no_sense_is_no_rate_and_stops_nothing() -> None:
    found = expected(charges([(1, 10**15, DAY), (1, 100, DAY)]), rates([(1, 10**15, 1, DAY)]))
    assert found.select("ours", "rate_file").rows() == [(None, None), (10**17, 1)]


def test_points_that_are_given_back_have_the_price_at_which_they_were_charged() -> None:
    rows = charges([(1, -400, DAY), (1, -333, DAY)]).with_columns(was_points=1000, was_theirs=1101)
    found = as_charged(rows)
    assert found.select("ours", "rate_file", "rate_line").rows() == [(-440, None, None), (-367, None, None)]
