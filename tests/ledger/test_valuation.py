"""Money of points: half even, balanced, the same however postings are batched, and in the end points times rate."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.errors import Code, PermanentError
from counterfoil.ledger.valuation import AMOUNTS, DAYS, LINES, MOVES, RATES, in_force, valued
from counterfoil.money import value_points_int

START = date(2026, 11, 1)
LINE_ROWS = [
    (1, "programme", "p", True),
    (2, "programme", "p", True),
    (3, "p", "p", True),
    (4, "programme", "", False),
    (5, "q", "q", True),
    (6, "p", "p", False),
]
"""member, in flight, payable, issued, another partner's payable, variance."""

BASES = ("programme", "p", "q")


def day(offset: int) -> date:
    return START + timedelta(days=offset)


def lines(*, before: dict[int, int] | None = None) -> pl.DataFrame:
    rows = [(*row, (before or {}).get(row[0], 0)) for row in LINE_ROWS]
    return pl.DataFrame(rows, schema=LINES, orient="row")


def moves(*rows: tuple[int, int, int, int, int]) -> pl.DataFrame:
    """Transfers (posting, day offset, from line, to line, points) as MOVES."""
    legs = [
        (line, n, day(on), points)
        for n, on, origin, to, points in rows
        for line, points in ((origin, -points), (to, points))
    ]
    frame = pl.DataFrame(legs, schema=MOVES, orient="row")
    return frame.group_by("line", "n", "day").agg(pl.col("points").sum())


def rates(*rows: tuple[str, int, int, int, int]) -> pl.DataFrame:
    """Rates (basis, minor, per points, effective offset, file) as RATES."""
    return pl.DataFrame(
        [(basis, minor, per, day(on), n, number) for number, (basis, minor, per, on, n) in enumerate(rows)],
        schema=RATES,
        orient="row",
    )


def days(*offsets: int) -> pl.DataFrame:
    """DAYS of postings 1, 2, …"""
    frame = pl.DataFrame([(n, day(on)) for n, on in enumerate(offsets, start=1)], schema=DAYS, orient="row")
    return frame.with_columns(pl.col("horizon").cum_max())


def rows(amounts: pl.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return list(amounts.select(columns).iter_rows())


BASE_RATES = (("programme", 50, 100, 0, 1), ("p", 70, 100, 0, 1), ("q", 33, 100, 0, 1))


def test_cumulative_points_are_rounded_not_each_move() -> None:
    """Eight moves of one point at half a cent are four cents, not eight times a rounded half."""
    moved = moves(*((n, 1, 1, 2, 1) for n in range(1, 9)))
    made = valued(moved, lines(), rates(*BASE_RATES), days(*[1] * 8))
    gained = made.filter(pl.col("line") == 2).sort("n")
    assert rows(gained, "n", "points", "money") == [
        (1, 1, 0),
        (2, 1, 1),
        (3, 1, 1),
        (4, 1, 0),
        (5, 1, 0),
        (6, 1, 1),
        (7, 1, 1),
        (8, 1, 0),
    ]


def test_a_move_between_bases_leaves_a_margin() -> None:
    made = valued(moves((1, 1, 2, 3, 1000)), lines(), rates(*BASE_RATES), days(1))
    assert rows(made, "what", "line", "partner", "points", "money") == [
        ("margin", None, "p", 0, -200),
        ("points", 3, "p", 1000, 700),
        ("points", 2, "p", -1000, -500),
    ]


def test_a_new_rate_revalues_what_is_owed_on_its_day_and_not_what_is_spent() -> None:
    """The rate lands early, and is in force from the first posting on or after its day."""
    moved = moves((1, 1, 4, 1, 1000), (2, 2, 1, 2, 100))
    known = rates(*BASE_RATES, ("programme", 60, 100, 5, 2))
    made = valued(moved, lines(), known, days(1, 2, 4, 6))
    assert rows(made.filter(pl.col("n") == 4), "day", "what", "line", "points", "money") == [
        (day(5), "revaluation", None, 0, -100),
        (day(5), "revalued", 1, 0, 90),
        (day(5), "revalued", 2, 0, 10),
    ]
    assert made.filter(pl.col("n") == 3).is_empty()


def test_a_late_move_is_worth_its_own_day_and_passes_every_rate_since() -> None:
    known = rates(*BASE_RATES, ("programme", 60, 100, 5, 1), ("programme", 80, 100, 8, 1))
    made = valued(moves((1, 2, 4, 1, 1000)), lines(), known, days(9))
    assert rows(made.filter(pl.col("line") == 1), "day", "what", "points", "money") == [
        (day(2), "points", 1000, 500),
        (day(5), "revalued", 0, 100),
        (day(8), "revalued", 0, 200),
    ]


def test_a_rate_is_not_used_before_its_day_has_come() -> None:
    known = rates(*BASE_RATES, ("programme", 60, 100, 5, 1))
    made = valued(moves((1, 6, 4, 1, 1000)), lines(), known, days(2, 5))
    assert rows(made.filter(pl.col("line") == 1), "n", "day", "what", "money") == [
        (1, day(6), "points", 500),
        (2, day(5), "revalued", 100),
    ]


def test_a_corrected_rate_revalues_on_the_same_day() -> None:
    known = rates(*BASE_RATES, ("programme", 52, 100, 0, 2))
    made = valued(moves((1, 1, 4, 1, 1000)), lines(), known, days(1, 3))
    assert rows(made.filter(pl.col("n") == 2), "day", "what", "money") == [
        (day(0), "revaluation", -20),
        (day(0), "revalued", 20),
    ]


def test_points_may_be_posted_before_their_first_rate() -> None:
    moved = moves((1, 1, 1, 2, 100))
    late = rates(("programme", 60, 100, 0, 3), ("programme", 50, 100, 0, 2))
    with pytest.raises(PermanentError):
        valued(moved, lines(), late.filter(pl.col("file_id") < 2), days(1))
    made = valued(moved, lines(), late, days(1, 1, 1))
    assert rows(made.filter(pl.col("line") == 2), "n", "what", "money") == [(1, "points", 50), (3, "revalued", 10)]


@pytest.mark.parametrize(
    ("known", "basis", "on"),
    [
        ((BASE_RATES[0],), "p", day(4)),
        ((BASE_RATES[1],), "programme", day(4)),
        ((("programme", 50, 100, 5, 1), BASE_RATES[1]), "programme", day(4)),
    ],
)
def test_a_missing_rate_names_basis_and_day(known: tuple[Any, ...], basis: str, on: date) -> None:
    with pytest.raises(PermanentError) as raised:
        valued(moves((1, 4, 2, 3, 10)), lines(), rates(*known), days(4))
    assert raised.value.code is Code.RATE_MISSING
    assert raised.value.found == f"no rate of basis {basis} in force on {on}"
    assert f"effective from {on} or earlier" in raised.value.remedy


def test_points_from_before_need_a_rate_by_then() -> None:
    """A range that skips postings which could not be journalled is refused."""
    with pytest.raises(PermanentError) as raised:
        valued(moves(), lines(before={1: 10, 4: -10}), rates(("programme", 50, 100, 0, 2)), days(1, 1))
    assert raised.value.code is Code.RATE_MISSING


def test_nothing_moved_is_worth_nothing() -> None:
    made = valued(moves(), lines(), rates(), days())
    assert made.is_empty()
    assert dict(made.schema) == AMOUNTS


def test_the_newest_landed_rate_is_in_force() -> None:
    wanted = pl.DataFrame(
        [("programme", 1, day(3)), ("programme", 2, day(3)), ("programme", 3, day(9)), ("q", 3, day(9))],
        schema={"basis": pl.String, "n": pl.Int64, "day": pl.Date},
        orient="row",
    )
    known = rates(
        ("programme", 10, 1, 0, 1), ("programme", 11, 1, 2, 2), ("programme", 12, 1, 2, 2), ("programme", 13, 1, 5, 3)
    )
    found = in_force(wanted, known)["rate"].struct.field("minor").to_list()
    assert found == [10, 12, 13, None]


transfers = st.tuples(
    st.integers(-3, 14), st.sampled_from([1, 2, 3, 4, 5, 6]), st.sampled_from([1, 2, 3, 4, 5, 6]), st.integers(1, 999)
)
postings = st.lists(st.tuples(st.integers(0, 12), st.lists(transfers, max_size=4)), min_size=2, max_size=7)
some_rates = st.lists(
    st.tuples(st.sampled_from(BASES), st.integers(0, 300), st.integers(1, 120), st.integers(-4, 12), st.integers(1, 7)),
    max_size=6,
)


def between(low: int, high: int, moved: pl.DataFrame, known: pl.DataFrame, dated: pl.DataFrame) -> pl.DataFrame:
    """``valued`` of postings (low, high], from nothing but what had landed by ``high``."""
    earlier = moved.filter(pl.col("n") <= low).group_by("line").agg(pl.col("points").sum())
    return valued(
        moved.filter((pl.col("n") > low) & (pl.col("n") <= high)),
        lines(before=dict(earlier.iter_rows())),
        known.filter(pl.col("file_id") <= high),
        dated.filter((pl.col("n") >= low) & (pl.col("n") <= high)),
    )


@settings(max_examples=60, deadline=None)
@given(posted=postings, later=some_rates, first=st.integers(1, 3), data=st.data())
def test_batching_cannot_change_money(
    posted: list[tuple[int, list[tuple[int, int, int, int]]]],
    later: list[tuple[str, int, int, int, int]],
    first: int,
    data: st.DataObject,
) -> None:
    """Rates land before, between and after postings, take effect before and after; moves are late and early."""
    last = len(posted)
    moved = moves(*((n, *transfer) for n, (_, sent) in enumerate(posted, start=1) for transfer in sent))
    known = rates(*((basis, 50 + 9 * number, 100, -9, min(first, last)) for number, basis in enumerate(BASES)), *later)
    dated = days(*(on for on, _ in posted))
    whole = between(0, last, moved, known, dated)
    cut = data.draw(st.integers(min(first, last), last))
    parts = pl.concat([between(0, cut, moved, known, dated), between(cut, last, moved, known, dated)])
    assert parts.equals(whole)

    assert whole.group_by("n", "day").agg(pl.col("money").sum())["money"].to_list() == [0] * whole.n_unique(
        ["n", "day"]
    )
    standing = in_force(
        pl.DataFrame({"basis": BASES, "n": last, "day": dated["horizon"].max()}),
        known.filter(pl.col("file_id") <= last),
    )
    minor_of = {row["basis"]: row["rate"] for row in standing.iter_rows(named=True)}
    for line, basis, _, owed in LINE_ROWS:
        points = int(moved.filter(pl.col("line") == line)["points"].sum())
        assert whole.filter(pl.col("line") == line)["points"].sum() == points
        if owed:
            rate = minor_of[basis]
            money = value_points_int(points, rate["minor"], rate["per_points"])
            assert whole.filter(pl.col("line") == line)["money"].sum() == money
