"""Every figure that two places of a report show is compared, and a difference of one is seen."""

from collections.abc import Callable

import polars as pl
import pytest

from counterfoil.reports.facts import SCHEMAS, ReportFacts
from counterfoil.reports.ties import TIE, broken, self_check, ties


def test_everything_ties_on_the_fixture_day_and_on_an_empty_one(day: ReportFacts, no_day: ReportFacts) -> None:
    found = ties(day)
    assert dict(found.schema) == {name: kind() for name, kind in TIE.items()}
    assert found.height > 100
    assert self_check(day) == []
    assert self_check(no_day) == []


@pytest.mark.parametrize(
    ("table", "column", "tie"),
    [
        ("summary", "count", "Sent = the sum of its outcomes"),
        ("summary", "points", "Sent = the sum of its outcomes"),
        ("summary", "minor", "Sent = the sum of its outcomes"),
        ("rejects", "count", "Rejected = the rejects by reason"),
        ("rejects", "points", "Rejected = the rejects by reason"),
        ("clearing", "closing", "Pending and held = the clearing account"),
        ("clearing", "opening", "Closing = opening + in − out"),
        ("clearing", "points_in", "Closing = opening + in − out"),
        ("clearing", "points_out", "Closing = opening + in − out"),
        ("files", "lines", "Lines = envelope + records"),
        ("files", "accepted", "Records = accepted + quarantined"),
        ("files", "points_net", "File = book: points net"),
        ("quarantine", "count", "Quarantined = the rows by code"),
        ("stage1", "lines", "File = book: lines"),
        ("stage1", "settled", "Accepted = dispositions + unexplained"),
        ("stage1", "duplicate", "Accepted = dispositions + unexplained"),
        ("stage1", "points_negative", "Net = positive + negative"),
        ("stage2", "pending", "Records = in a batch + pending + none"),
        ("matches", "difference", "Difference = ours − theirs"),
        ("movements", "carried", "Breaks carried forward = the break list"),
        ("tie_out", "per_gl_minor", "Adjusted GL = A + B − C"),
        ("tie_out", "by_hand_minor", "Posted by hand = the entries listed"),
        ("tie_out", "after_cut_off_minor", "Adjusted ledger = E + F"),
        ("tie_out", "unexplained_minor", "Unexplained = D − G"),
        ("tie_out_by_hand", "minor", "Posted by hand = the entries listed"),
        ("journals", "debit_minor", "Debits = credits"),
    ],
)
def test_a_figure_that_is_off_by_one_is_seen_and_named(
    table: str, column: str, tie: str, day: ReportFacts, make_facts: Callable[..., ReportFacts]
) -> None:
    first = pl.int_range(pl.len()) == 0
    spoilt = day.table(table).with_columns(pl.when(first).then(pl.col(column) + 1).otherwise(column).alias(column))
    facts = make_facts(**{table: spoilt})
    assert tie in broken(ties(facts))["tie"].to_list()
    assert any(tie in sentence for sentence in self_check(facts))


@pytest.mark.parametrize(
    "table", ["rejects", "clearing", "stage1", "quarantine", "breaks", "movements", "tie_out_by_hand"]
)
def test_a_missing_row_is_seen(table: str, day: ReportFacts, make_facts: Callable[..., ReportFacts]) -> None:
    assert self_check(make_facts(**{table: day.table(table).slice(1)}))


def test_each_currency_is_compared_for_itself(day: ReportFacts, make_facts: Callable[..., ReportFacts]) -> None:
    """A surplus in one currency does not make up for what another lacks."""
    line = day.journals.head(1)
    euro = line.with_columns(debit_minor=pl.col("credit_minor") + 5)
    dollar = line.with_columns(currency=pl.lit("USD"), debit_minor=pl.col("credit_minor") - 5)
    facts = make_facts(journals=pl.concat([euro, dollar]).select(*SCHEMAS["journals"]))
    assert broken(ties(facts)).select("unit", pl.col("stated") - pl.col("summed")).rows() == [("EUR", 5), ("USD", -5)]
