"""Pairing the records of a corrected file with those of the one it corrects."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.reconcile.difference import carried, difference, keyed

KEY = ("ref",)
rows = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 3), max_size=6)


def new(records: dict[str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [(line, ref, points) for line, (ref, points) in enumerate(records.items(), start=2)],
        schema={"line_no": pl.Int64, "ref": pl.String, "points": pl.Int64},
        orient="row",
    )


def old(records: dict[str, int], file_id: int = 7) -> pl.DataFrame:
    return new(records).with_columns(file_id=pl.lit(file_id, pl.Int64))


@given(before=rows, after=rows)
def test_every_record_of_either_file_is_in_one_part(before: dict[str, int], after: dict[str, int]) -> None:
    found = difference(old(before), new(after), KEY)
    assert found.unchanged.height == sum(after.get(ref) == points for ref, points in before.items())
    assert found.changed.height == sum(ref in after and after[ref] != points for ref, points in before.items())
    assert found.vanished.height == len(before.keys() - after.keys())
    assert found.fresh.height == len(after.keys() - before.keys())
    lines = pl.concat([part["line_no"] for part in (found.unchanged, found.changed, found.fresh)])
    assert sorted(lines) == new(after)["line_no"].to_list()
    assert found.records == found.changed.height + found.fresh.height + found.vanished.height


def test_without_a_key_everything_is_replaced() -> None:
    found = difference(old({"a": 1}), new({"a": 1}), ())
    assert (found.unchanged.height, found.changed.height, found.fresh.height, found.vanished.height) == (0, 0, 1, 1)


def test_a_key_that_occurs_twice_tells_nothing_apart() -> None:
    twice = pl.concat([new({"a": 1}), new({"a": 1})])
    assert not keyed(twice, KEY)
    assert keyed(new({"a": 1, "b": 1}), KEY)
    assert difference(old({"a": 1}), twice, KEY).unchanged.is_empty()


def test_an_unchanged_record_keeps_the_place_of_its_effect() -> None:
    standing = carried(old({"a": 1, "b": 2}), old({"b": 3, "a": 1}, file_id=9), KEY)
    places = {ref: (file_id, line) for line, ref, _, file_id in standing.iter_rows()}
    assert places == {"a": (7, 2), "b": (9, 2)}
