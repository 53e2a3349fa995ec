"""Merges that can be done and those that cannot, whatever the order in which they are told."""

import random
from datetime import date

import polars as pl
import pytest

from counterfoil.ledger.model import Event
from counterfoil.reconcile.merges import chain_ends, in_circles, judged

DAY = date(2026, 11, 16)
DONE, KNOWN, REFUSED = Event.MERGED, Event.MERGE_KNOWN, Event.MERGE_REFUSED

Pairs = list[tuple[str, str]]


def hops(pairs: Pairs) -> pl.DataFrame:
    return pl.DataFrame(pairs, schema={"member": pl.String, "survivor": pl.String}, orient="row")


def told(pairs: Pairs, days: list[date]) -> pl.DataFrame:
    return hops(pairs).with_columns(line_no=pl.int_range(2, len(pairs) + 2, dtype=pl.Int64), value_date=pl.Series(days))


def verdicts(pairs: Pairs, done: Pairs | None = None, aliases: Pairs | None = None) -> list[tuple[Event, str | None]]:
    """Event and end of each pair, the same for every order of the rows."""
    found: list[list[tuple[Event, str | None]]] = []
    for seed in range(4):
        places = list(range(len(pairs)))
        random.Random(seed).shuffle(places)
        # The days tell equal rows apart, so that the same one counts in every order.
        rows = told([pairs[place] for place in places], [date(2026, 11, 1 + place) for place in places])
        result = judged(rows, hops(done or []), hops(aliases or []))
        by_day = result.sort("value_date").select("event", "end").rows()
        found.append([(Event(event), end) for event, end in by_day])
    assert all(one == found[0] for one in found)
    return found[0]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("A", "B")], [(DONE, "B")]),
        ([("A", "B"), ("B", "C"), ("C", "D"), ("D", "E")], [(DONE, "E")] * 4),
        ([("A", "A")], [(REFUSED, None)]),
        ([("A", "B"), ("A", "C")], [(REFUSED, None)] * 2),
        ([("A", "B"), ("A", "B")], [(DONE, "B"), (KNOWN, None)]),
        ([("A", "B"), ("B", "A")], [(REFUSED, None)] * 2),
        ([("A", "B"), ("B", "C"), ("C", "A"), ("X", "A")], [(REFUSED, None)] * 3 + [(DONE, "A")]),
        ([("A", "B"), ("B", "A"), ("A", "B")], [(REFUSED, None)] * 3),
    ],
)
def test_what_one_file_tells(pairs: Pairs, expected: list[tuple[Event, str | None]]) -> None:
    assert verdicts(pairs) == expected


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (("A", "B"), (KNOWN, None)),
        (("A", "C"), (KNOWN, None)),
        (("A", "D"), (REFUSED, None)),
        (("C", "A"), (REFUSED, None)),
        (("C", "D"), (DONE, "D")),
        (("X", "A"), (DONE, "C")),
    ],
)
def test_beside_merges_that_were_done(pair: tuple[str, str], expected: tuple[Event, str | None]) -> None:
    assert verdicts([pair], done=[("A", "B"), ("B", "C")]) == [expected]


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (("A", "B"), (DONE, "B")),
        (("A", "C"), (DONE, "C")),
        (("A", "D"), (REFUSED, None)),
        (("B", "A"), (REFUSED, None)),
        (("C", "A"), (REFUSED, None)),
    ],
)
def test_beside_what_the_partner_said(pair: tuple[str, str], expected: tuple[Event, str | None]) -> None:
    assert verdicts([pair], aliases=[("A", "B"), ("B", "C")]) == [expected]


def test_long_chains_end_where_they_end() -> None:
    chain = hops([(f"{number:03d}", f"{number + 1:03d}") for number in range(100)])
    assert chain_ends(chain)["end"].unique().to_list() == ["100"]
    assert in_circles(chain).is_empty()
    ring = pl.concat([chain, hops([("100", "040")])])
    assert in_circles(ring).to_list() == [f"{number:03d}" for number in range(40, 101)]
