"""Routing: each row is accepted or gets one code, the first in the declared order, whatever the order of the checks."""

import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.errors import PermanentError
from counterfoil.letters import valid_address
from counterfoil.schemas.kind_rules import no_address
from counterfoil.schemas.rules import Check, Rule, route

ROWS = pl.DataFrame({"a": [1, 0, -1, None], "b": ["x", "", "", "y"]})


def checks(*parts: tuple[Rule, str | None, pl.Expr]) -> list[Check]:
    return [Check(*part) for part in parts]


def all_suspect(rows: pl.DataFrame) -> pl.Series:
    return pl.repeat(True, rows.height, eager=True)


def test_the_first_declared_rule_wins_then_the_first_field() -> None:
    some = checks(
        (Rule.NUMBER_RANGE, "a", pl.col("a") < 1),
        (Rule.FIELD_MISSING, "b", pl.col("b") == ""),
        (Rule.NUMBER_RANGE, "b", pl.col("a") < 0),
    )
    quarantined, guilty = route(ROWS, all_suspect(ROWS), some)
    assert quarantined.to_list() == [False, True, True, False]
    assert guilty.select("code", "field").rows() == [("FIELD_MISSING", "b"), ("FIELD_MISSING", "b")]
    guilty = route(ROWS, all_suspect(ROWS), [some[0], some[2]])[1]
    assert guilty.select("code", "field").rows() == [("NUMBER_RANGE", "a"), ("NUMBER_RANGE", "a")]


def test_null_is_no_failure() -> None:
    quarantined, guilty = route(ROWS, all_suspect(ROWS), checks((Rule.NUMBER_RANGE, "a", pl.col("a") > 0)))
    assert quarantined.to_list() == [True, False, False, False]
    assert guilty["a"].to_list() == [1]


def test_a_rule_of_the_whole_line_has_no_field() -> None:
    guilty = route(ROWS, all_suspect(ROWS), checks((Rule.ENCODING, None, pl.col("b") == "y")))[1]
    assert guilty.select("code", "field").rows() == [("ENCODING", None)]


def test_only_suspects_are_looked_at() -> None:
    suspect = pl.Series([False, False, True, False])
    quarantined, guilty = route(ROWS, suspect, checks((Rule.FIELD_MISSING, "b", pl.col("b") == "")))
    assert quarantined.to_list() == [False, False, True, False]
    assert guilty["a"].to_list() == [-1]


@pytest.mark.parametrize("suspect", [pl.Series([True]), pl.Series([True, None, True, True])])
def test_each_row_is_suspect_or_not(suspect: pl.Series) -> None:
    with pytest.raises(PermanentError, match="each row is suspect or not"):
        route(ROWS, suspect, [])


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=30), st.randoms())
@settings(max_examples=60, deadline=None)
def test_routing_is_a_partition(rows: list[tuple[bool, bool, bool]], chance: random.Random) -> None:
    frame = pl.DataFrame(rows, schema={"x": pl.Boolean, "y": pl.Boolean, "z": pl.Boolean}, orient="row")
    some = checks(
        (Rule.COLUMNS, None, pl.col("x")), (Rule.DATE_INVALID, "y", pl.col("y")), (Rule.DATE_RANGE, "z", pl.col("z"))
    )
    suspect = pl.Series([any(row) or chance.random() < 0.5 for row in rows], dtype=pl.Boolean)
    chance.shuffle(some)
    quarantined, guilty = route(frame, suspect, some)
    assert quarantined.to_list() == [any(row) for row in rows]
    expected = ["COLUMNS" if x else "DATE_INVALID" if y else "DATE_RANGE" for x, y, z in rows if x or y or z]
    assert guilty["code"].to_list() == expected


def test_every_rule_says_what_it_means() -> None:
    assert all(rule.value == rule.name and rule.summary for rule in Rule)
    assert len({rule.summary for rule in Rule}) == len(Rule)


@settings(deadline=None)
@given(local=st.text("aZ9.+@ ", max_size=6) | st.integers(60, 68).map("a".__mul__), domain=st.text("aZ9.-", max_size=6),
       more=st.integers(0, 60))  # fmt: skip
def test_the_gate_takes_exactly_the_addresses_that_a_letter_can_go_to(local: str, domain: str, more: int) -> None:
    address = f"{local.lstrip()}@{domain}{'.b' * (more * 2)}.example"
    refused = pl.DataFrame({"email": [address]}).select(no_address("email")).item()
    assert refused == (valid_address(address) is None), address
