"""Splits, nets and suggestions beside brute force in plain Python, on every small instance that chance thinks of."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import combinations
from math import comb

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.feed import Window
from counterfoil.ledger.model import MatchPass
from counterfoil.reconcile import subsets
from counterfoil.reconcile.groups import Groups, Verdict, net, split
from counterfoil.reconcile.subsets import fitting
from counterfoil.reconcile.suggestions import candidates

DAY = date(2026, 11, 18)
WINDOW = Window(early_days=0, late_days=2)
MOST = 3

amounts = st.lists(st.sampled_from((5, 10, 15, 20, 30)), max_size=6)
ours_rows = st.lists(
    st.tuples(st.sampled_from("AB"), st.sampled_from((5, 10, 15, 20)), st.sampled_from((0, 1, 3))), max_size=7
)
their_rows = st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from((5, 15, 20, 25, 30, 45))), max_size=4)


def sums(parts: Sequence[int], target: int, least: int, most: int) -> list[tuple[int, ...]]:
    """The places of every set of parts that fits."""
    return [
        chosen
        for size in range(least, most + 1)
        for chosen in combinations(range(len(parts)), size)
        if sum(parts[place] for place in chosen) == target
    ]


def lines(found: Groups) -> dict[int, Verdict]:
    return {line: Verdict(verdict) for line, verdict in found.lines.rows()}


@settings(deadline=None)
@given(groups=st.lists(st.tuples(st.integers(5, 60), amounts), max_size=4))
def test_every_sum_that_fits_is_found_once(groups: list[tuple[int, list[int]]]) -> None:
    targets = pl.DataFrame(
        {"group": range(len(groups)), "target": [target for target, _ in groups]},
        schema={"group": pl.Int64, "target": pl.Int64},
    )
    rows = [(group, place, amount) for group, (_, parts) in enumerate(groups) for place, amount in enumerate(parts)]
    parts = pl.DataFrame(rows, schema={"group": pl.Int64, "part": pl.Int64, "amount": pl.Int64}, orient="row")
    found = fitting(targets, parts.sample(fraction=1, shuffle=True, seed=1), least=2, most=4)
    told = {(group, tuple(part)) for group, _, part in found.sums.group_by("group", "sum").agg("part").iter_rows()}
    assert told == {(group, chosen) for group, (target, of) in enumerate(groups) for chosen in sums(of, target, 2, 4)}
    assert found.gave_up.is_empty()


def test_a_group_of_too_many_parts_is_given_up_and_the_others_are_not() -> None:
    crowd = subsets.PARTS_MAX + 1
    targets = pl.DataFrame({"group": [1, 2], "target": [30, 30]})
    parts = pl.DataFrame({"group": [1] * crowd + [2, 2], "part": range(crowd + 2), "amount": [10] * crowd + [10, 20]})
    found = fitting(targets, parts, least=2, most=5)
    assert found.gave_up.to_list() == [1]
    assert found.ways.rows() == [(2, 1)]


def test_work_is_bounded_whatever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subsets, "WORK_MAX", 3 * (comb(4, 2) + comb(4, 3)))
    rows = [(group, 10 * group + place, 10) for group in range(5) for place in range(4)]
    parts = pl.DataFrame(rows, schema=["group", "part", "amount"], orient="row")
    targets = pl.DataFrame({"group": range(5), "target": [30] * 5})
    found = fitting(targets, parts, least=2, most=3)
    assert found.gave_up.to_list() == [3, 4], "those that come last by their own order"


@settings(deadline=None)
@given(sent=st.sampled_from((30, 50)), here=amounts, waiting=st.lists(st.sampled_from((5, 10, 20)), max_size=3))
def test_a_split_settles_exactly_when_one_sum_fits_and_holds_all_of_today(
    sent: int, here: list[int], waiting: list[int]
) -> None:
    today = pl.DataFrame(
        [(place, place + 2, 1, points, sent) for place, points in enumerate(here)],
        schema=dict.fromkeys(("part", "line_no", "group", "points", "sent"), pl.Int64), orient="row",
    ).with_columns(value_date=pl.lit(DAY))  # fmt: skip
    parts = pl.DataFrame(
        [(100 + place, 1, points) for place, points in enumerate(waiting)],
        schema=dict.fromkeys(("part", "group", "points"), pl.Int64), orient="row",
    ).with_columns(value_date=pl.lit(DAY - timedelta(days=1)))  # fmt: skip
    found = lines(split(today, parts, MOST))
    pool = [*here, *waiting]
    if not here or any(points >= sent for points in here) or len(pool) < 2:
        assert not found
        return
    ways = sums(pool, sent, 2, MOST)
    whole = len(ways) == 1 and set(range(len(here))) <= set(ways[0])
    expected = (
        Verdict.SETTLED if whole
        else Verdict.AMBIGUOUS if len(ways) > 1
        else Verdict.WAITS if not ways and sum(pool) < sent
        else Verdict.AGAINST
    )  # fmt: skip
    assert found == dict.fromkeys(today["line_no"], expected)


def frames(
    asked: Iterable[tuple[str, int, int]], answered: Iterable[tuple[str, int]]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    ours = pl.DataFrame(
        [(place, member, amount, DAY - timedelta(days=ago)) for place, (member, amount, ago) in enumerate(asked)],
        schema={"part": pl.Int64, "member": pl.String, "amount": pl.Int64, "value_date": pl.Date}, orient="row",
    )  # fmt: skip
    answers = pl.DataFrame(
        [(place + 2, f"N{place}", member, points, DAY) for place, (member, points) in enumerate(answered)],
        schema={
            "line_no": pl.Int64, "ref": pl.String, "member": pl.String, "points": pl.Int64, "value_date": pl.Date,
        }, orient="row",
    )  # fmt: skip
    return ours, answers


@settings(deadline=None)
@given(asked=ours_rows, answered=their_rows)
def test_a_net_is_believed_only_when_nothing_else_could_be_meant(
    asked: list[tuple[str, int, int]], answered: list[tuple[str, int]]
) -> None:
    ours, answers = frames(asked, answered)
    found = net(answers, ours, most=MOST, window=WINDOW)
    fits: dict[int, list[frozenset[int]]] = {}
    for line, (member, points) in enumerate(answered, start=2):
        fits[line] = [
            frozenset(same[place] for place in chosen)
            for ago in (0, 1)
            for same in [[place for place, row in enumerate(asked) if row[0] == member and row[2] == ago]]
            for chosen in sums([asked[place][1] for place in same], points, 2, MOST)
        ]
    wanted = [request for ways in fits.values() for request in frozenset().union(*ways)] if fits else []
    for line, (member, points) in enumerate(answered, start=2):
        alone = any(row[:2] == (member, points) for row in asked)
        rival = any(wanted.count(request) > 1 for request in frozenset().union(*fits[line]))
        expected = (
            None if not fits[line]
            else Verdict.AMBIGUOUS if len(fits[line]) > 1 or alone or rival
            else Verdict.SETTLED
        )  # fmt: skip
        assert lines(found).get(line) == expected
    settled = [line for line, verdict in lines(found).items() if verdict is Verdict.SETTLED]
    used = found.members.filter(pl.col("line_no").is_in(settled))["part"]
    assert used.is_unique().all(), "no request is used twice"


@settings(deadline=None)
@given(asked=ours_rows, answered=their_rows, seed=st.integers(0, 9))
def test_the_order_of_rows_changes_no_verdict(
    asked: list[tuple[str, int, int]], answered: list[tuple[str, int]], seed: int
) -> None:
    ours, answers = frames(asked, answered)
    shuffled = [frame.sample(fraction=1, shuffle=True, seed=seed) for frame in (answers, ours)]
    there, here = (net(*pair, most=MOST, window=WINDOW) for pair in ((answers, ours), shuffled))
    assert there.lines.equals(here.lines)
    assert there.members.equals(here.members)
    theirs = answers.rename({"line_no": "theirs_id"})
    found = candidates(theirs, ours.rename({"part": "item_id"}), WINDOW)
    again = candidates(shuffled[0].rename({"line_no": "theirs_id"}), shuffled[1].rename({"part": "item_id"}), WINDOW)
    assert found.equals(again)


@settings(deadline=None)
@given(asked=ours_rows, answered=their_rows)
def test_a_candidate_is_suggested_only_where_it_is_the_only_one_both_ways(
    asked: list[tuple[str, int, int]], answered: list[tuple[str, int]]
) -> None:
    ours, answers = frames(asked, answered)
    found = candidates(answers.rename({"line_no": "theirs_id"}), ours.rename({"part": "item_id"}), WINDOW)
    pairs = [
        (line, place)
        for line, (member, points) in enumerate(answered, start=2)
        for place, row in enumerate(asked)
        if row[:2] == (member, points) and row[2] <= WINDOW.late_days
    ]
    suggested = {
        pair for pair in pairs
        if sum(one[0] == pair[0] for one in pairs) == 1 and sum(one[1] == pair[1] for one in pairs) == 1
    }  # fmt: skip
    told = found.filter(pl.col("match_pass") == MatchPass.SUGGESTED.value)
    assert set(told.select("theirs_id", "item_id").rows()) == suggested
    assert set(found.select("theirs_id", "item_id").rows()) <= set(pairs)
