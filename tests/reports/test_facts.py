"""A report is made from tables that are exactly as declared, or not at all."""

from collections.abc import Callable

import polars as pl
import pytest

from counterfoil.errors import Code, PermanentError
from counterfoil.reports.facts import COVER, NULLABLE, SCHEMAS, ReportFacts, empty_table


def test_the_fixture_day_and_an_empty_one_are_accepted(day: ReportFacts, no_day: ReportFacts) -> None:
    assert day.table("breaks").height > 500
    assert all(no_day.table(name).height == 0 for name in SCHEMAS)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_table_with_another_column_order_or_type_is_refused(
    name: str, make_facts: Callable[..., ReportFacts]
) -> None:
    first = next(iter(SCHEMAS[name]))
    for wrong in (
        empty_table(name).select(reversed(SCHEMAS[name])),
        empty_table(name).drop(first),
        empty_table(name).with_columns(pl.col(first).cast(pl.Binary)),
    ):
        with pytest.raises(PermanentError, match=f"{name} has") as caught:
            make_facts(**{name: wrong})
        assert caught.value.code is Code.GATE_PROOF_FAILED


def test_nulls_stand_only_where_they_are_declared(day: ReportFacts, make_facts: Callable[..., ReportFacts]) -> None:
    for column in SCHEMAS["files"]:
        spoilt = day.files.with_columns(pl.lit(None, dtype=SCHEMAS["files"][column]).alias(column))
        if column in NULLABLE["files"]:
            make_facts(files=spoilt)
            continue
        with pytest.raises(PermanentError, match="files has no null"):
            make_facts(files=spoilt)


def test_an_unknown_state_or_cover_is_refused(day: ReportFacts, make_facts: Callable[..., ReportFacts]) -> None:
    with pytest.raises(PermanentError, match="the states of summary"):
        make_facts(summary=day.summary.with_columns(state=pl.lit("lost")))
    with pytest.raises(PermanentError, match="the cover has"):
        make_facts(cover={"colour": "red"})
    assert set(day.cover) == set(COVER)
