"""The CSV files open in a spreadsheet as text and numbers, never as formulas or days."""

import csv
import io
from collections.abc import Callable

import polars as pl
import pytest

from counterfoil.reports.csv import tables
from counterfoil.reports.facts import SCHEMAS, ReportFacts


def read(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_every_table_is_there_with_every_row(day: ReportFacts) -> None:
    found = tables(day)
    assert sorted(found) == sorted({"cover.csv", "ties.csv", *(f"{name}.csv" for name in SCHEMAS)})
    assert list(found) == sorted(found)
    for name in SCHEMAS:
        assert len(read(found[f"{name}.csv"])) == day.table(name).height
    assert all(content.startswith(b"\xef\xbb\xbf") for content in found.values())
    assert {line["field"]: line["value"] for line in read(found["cover.csv"])} == day.cover


def test_money_is_in_major_units_beside_its_currency(day: ReportFacts, make_facts: Callable[..., ReportFacts]) -> None:
    yen = day.journals.with_columns(currency=pl.lit("JPY"), debit_minor=700, credit_minor=700)
    found = tables(make_facts(journals=pl.concat([day.journals, yen.cast(pl.Schema(day.journals.schema))])))
    journals = read(found["journals.csv"])
    assert [(line["debit"], line["currency"]) for line in journals[::2]] == [("1141634.80", "EUR"), ("700", "JPY")]
    summary = read(found["summary.csv"])
    assert (summary[8]["state"], summary[8]["amount"], summary[8]["currency"]) == ("variance", "-1.92", "EUR")
    euro = next(line for line in read(found["ties.csv"]) if line["unit"] == "EUR")
    assert (euro["stated"], euro["summed"], euro["holds"]) == ("590642.20", "590642.20", "yes")


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe(
    first: str, day: ReportFacts, make_facts: Callable[..., ReportFacts]
) -> None:
    hostile = f'{first}HYPERLINK("http://evil.example","x")'
    found = tables(make_facts(cover={"programme": hostile}, breaks=day.breaks.with_columns(our_ref=pl.lit(hostile))))
    assert {line["our_ref"] for line in read(found["breaks.csv"])} == {f"'{hostile}"}
    assert f"'{hostile}" in [line["value"] for line in read(found["cover.csv"])]


def test_ordinary_text_and_negative_numbers_stay_as_they_are(day: ReportFacts) -> None:
    found = tables(day)
    assert read(found["stage1.csv"])[0]["points_negative"] == "-8800"
    assert read(found["matches.csv"])[2]["difference"] == "-4000"
    first = read(found["breaks.csv"])[0]
    assert (first["our_ref"], first["their_ref"], first["age_days"]) == ("00000000000007000004", "", "97")
    assert read(found["controls.csv"])[4]["holds"] == "no"


def test_no_bucket_looks_like_a_day(day: ReportFacts) -> None:
    buckets = {line["bucket"] for line in read(tables(day)["breaks.csv"])}
    assert buckets == {"0–1", "2–3", "4–7", "8–30", "31–60", "61–90", "over 90"}


def test_breaks_stand_in_the_order_of_the_page(day: ReportFacts) -> None:
    listed = read(tables(day)["breaks.csv"])
    assert listed[0]["severity"] == "critical"
    assert [line["code"] for line in listed[-40:]] == ["B01"] * 40
