"""The scorecard on the page, in words and in JSON: nothing to be a part of is none, and units never mix."""

import json
import re
from collections.abc import Callable

import polars as pl
import pytest

from counterfoil.ledger.known import moment
from counterfoil.ledger.scorecard import Scorecard, scorecard
from counterfoil.reconcile.scoring import LINES
from counterfoil.reports import trends
from counterfoil.reports.facts import ReportFacts
from counterfoil.reports.html import render
from counterfoil.reports.scorecard import as_dict, headings, lines, tables
from counterfoil.reports.tables import Table
from counterfoil.reports.ties import broken, ties
from counterfoil.reports.trends import PANELS, partner_trends
from tests.plugins.partners import NOV_4, TwoMonths

MakeFacts = Callable[..., ReportFacts]


@pytest.fixture(scope="module")
def card(two_months: TwoMonths) -> Scorecard:
    with two_months.book.reading() as book:
        now = moment(book, None)
        return scorecard(book, two_months.index, two_months.feeds, day=NOV_4, moment=now, currency="EUR")


def shown(table: Table) -> dict[str, list[tuple[str, ...]]]:
    """The cells of a table by its rows' labels."""
    return {row.cells[0].lines[0]: [cell.lines for cell in row.cells[1:]] for row in table.rows if not row.lead}


def titled(facts: ReportFacts, title: str) -> Table:
    return next(table for table in tables(facts) if title in table.caption)


def test_a_window_is_named_by_its_month_or_its_days(card: Scorecard) -> None:
    assert list(headings(card.figures).values()) == [
        "2026-11 to 04", "2026-10", "2026-09", "2026-08", "last 30 days", "30 days before",
    ]  # fmt: skip


def test_a_rate_stands_above_its_fraction_and_a_part_on_one_line(card: Scorecard) -> None:
    found = {(line.partner, line.figure, line.part): line for line in lines(card.figures, "EUR")}
    assert found["p", "files_on_time", ""].cells[0] == ("33.33 %", "1 of 3")
    assert found["p", "files_on_time", ""].of == "of files expected"
    assert found["p", "rejected", "02"].cells[0] == ("1 (25.00 %)", "")
    assert found["p", "rejected", "02"].cells[2] == ("none", "")
    assert found["p", "rejected", "02"].label == "02 closed"
    assert found["p", "points_at_risk", ""].cells[0] == ("545", "35.38 % of 1,540")
    assert found["p", "points_at_risk", "B02"].cells[0] == ("300", "")
    assert found["p", "money_at_risk", ""].cells[1] == ("0.88", "27.07 % of 3.25")
    assert found["p", "break_age_oldest", ""].cells[0] == ("30", "of 7")
    assert found["p", "tolerance_used", ""].cells[::4] == (("40.00 %", "4 of 10"), ("none", "4 of none"))


def test_what_there_is_nothing_of_is_none_and_an_empty_part_is_left_out(card: Scorecard) -> None:
    found = {(line.partner, line.figure, line.part): line for line in lines(card.figures, "EUR")}
    assert set(found["q", "files_on_time", ""].cells) == {("none", "")}
    assert set(found["q", "break_age_median", ""].cells) == {("none", "")}
    assert found["q", "money_at_risk", ""].cells[0] == ("0.00", "of none"), "there was a rate"
    assert found["p", "money_at_risk", ""].cells[2] == ("none", ""), "there was none yet"
    assert ("p", "breaks_by_age", "8-30") in found
    assert ("p", "breaks_by_age", "over 90") not in found


def test_each_partner_has_a_table_and_days_points_and_money_have_theirs(day: ReportFacts) -> None:
    captions = [table.caption for table in tables(day)]
    assert captions == [
        "14.1 northstar",
        "14.2 skybridge",
        "14.3 Age of open breaks, in days",
        "14.4 Points at stake in open breaks",
        "14.5 Value of the points at stake, and charges in dispute, EUR",
        "14.6 Files that were due and not on time",
        "14.7 Files sent again, restated or out of sequence",
        "14.8 Answers of 2026-11",
        "14.9 Open breaks that a partner must act on",
    ]
    groups = [row.cells[0].lines[0] for row in tables(day)[0].rows if row.lead]
    assert groups == ["Files", "Answers", "Open breaks"]


def test_this_months_figures_are_the_sums_of_the_lists_below(day: ReportFacts) -> None:
    answers = titled(day, "14.8")
    northstar = [row for row in answers.rows if row.cells[0].lines == ("northstar",)]
    total = sum(int(row.cells[5].lines[0].replace(",", "")) for row in northstar)
    assert shown(titled(day, "14.1"))["Rejected"][0][1].endswith(f" of {total:,}")
    late = [row for row in titled(day, "14.6").rows if row.cells[0].lines == ("skybridge",)]
    this_month = [
        row for row in late if row.cells[2].lines[0].startswith("2026-11") and row.cells[3].lines == ("late",)
    ]
    assert shown(titled(day, "14.2"))["Late"][0][1] == f"{len(this_month)} of 20"


def test_a_partner_without_a_rate_has_no_value(day: ReportFacts, make_facts: MakeFacts) -> None:
    none = make_facts(scorecard_breaks=day.scorecard_breaks.with_columns(minor=pl.lit(None, pl.Int64)))
    assert {row.cells[-1].lines for row in titled(none, "14.9").rows} == {("–",)}


@pytest.mark.parametrize(
    ("table", "column", "tie"),
    [
        ("scorecard", "numerator", "Files expected = on time + late + refused + missing"),
        ("scorecard_records", "count", "Answers = accepted records of the book"),
        ("scorecard_breaks", "count", "Open breaks that a partner must act on = the break list, but for files"),
        ("scorecard_breaks", "points", "Open breaks that a partner must act on = the break list, but for files"),
        ("scorecard_breaks", "charged_minor", "Open breaks that a partner must act on = the break list, but for files"),
    ],
)
def test_a_figure_that_is_off_by_one_is_seen(
    table: str, column: str, tie: str, day: ReportFacts, make_facts: MakeFacts
) -> None:
    spoilt = day.table(table).with_columns(pl.col(column) + 1)
    assert tie in broken(ties(make_facts(**{table: spoilt})))["tie"].to_list()


def test_parts_that_do_not_add_up_are_seen(day: ReportFacts, make_facts: MakeFacts) -> None:
    more = pl.when(pl.col("part") == "5").then(pl.col("numerator") + 1).otherwise("numerator").alias("numerator")
    found = broken(ties(make_facts(scorecard=day.scorecard.with_columns(more))))
    assert set(found["tie"]) == {"Figure = its parts"}


def test_the_chart_says_every_figure_in_words(day: ReportFacts) -> None:
    svg = partner_trends(day).svg
    assert "northstar files late 12.90 %, 10.00 %, 12.90 %, 10.00 %;" in svg
    for panel in PANELS:
        assert f">{panel.heading}</text>" in svg
    assert not re.search(r'\sid="|url\(|href="(?!#)|<script|<image', svg)


def test_the_fonts_of_the_machine_do_not_move_the_chart(day: ReportFacts, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, font = partner_trends(day).svg, "Liberation Serif"
    monkeypatch.setattr(trends, "FONT", font)
    assert partner_trends(day).svg.replace(f'"{font}"', '"Report Sans, Arial, sans-serif"') == usual


def test_names_from_outside_cannot_become_markup(day: ReportFacts, make_facts: MakeFacts) -> None:
    hostile = "<script>alert(1)</script>"
    facts = make_facts(scorecard=day.scorecard.with_columns(partner=pl.lit(hostile)).unique(
        ["figure", "part", "window"], maintain_order=True
    ))  # fmt: skip
    assert "<script" not in partner_trends(facts).svg
    assert "<script" not in render(facts)


def test_json_has_whole_numbers_under_stable_keys(card: Scorecard) -> None:
    told = json.loads(json.dumps(as_dict(card, posting=9, unit="points", currency="EUR"), default=str))
    assert list(told) == ["as_of", "posting", "unit", "currency", "windows", "partners"]
    assert [partner["partner"] for partner in told["partners"]] == ["p", "q"]
    partner = told["partners"][0]
    assert list(partner) == ["partner", "figures", "files", "records", "breaks"]
    wholes = [figure for figure in partner["figures"] if figure["part"] == ""]
    assert [figure["figure"] for figure in wholes] == [line.name for line in LINES if "" in line.parts]
    on_time = wholes[0]
    assert on_time["of"] == "files_expected"
    assert on_time["trend"][0] == {"window": "this_month", "numerator": 1, "denominator": 3, "basis_points": 3333}
    text = json.dumps(told)
    assert not re.search(r"\d\.\d", re.sub(r'"[^"]*"', "", text)), "no number has a fraction"
    assert "M100000001" not in text
    assert "M900000009" not in text
