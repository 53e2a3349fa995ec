"""Charts are the same bytes everywhere and say in words what they show."""

import re
from collections.abc import Callable

import polars as pl
import pytest

from counterfoil.reports import charts
from counterfoil.reports.charts import breaks_by_age, outcome_by_partner, points_flow
from counterfoil.reports.facts import ReportFacts

MAKERS = (points_flow, outcome_by_partner, breaks_by_age)


@pytest.mark.parametrize("make", MAKERS)
def test_the_fonts_of_the_machine_do_not_move_anything(
    make: Callable[[ReportFacts], charts.Chart], day: ReportFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vega measures text with what is installed; a layout that depends on it would differ between these fonts."""
    usual = make(day).svg
    for font in ("monospace", "Liberation Serif", "No Such Font"):
        monkeypatch.setattr(charts, "FONT", font)
        assert make(day).svg.replace(f'"{font}"', f'"{"Report Sans, Arial, sans-serif"}"') == usual


@pytest.mark.parametrize("make", MAKERS)
def test_a_chart_has_words_and_nothing_that_another_could_share(
    make: Callable[[ReportFacts], charts.Chart], day: ReportFacts
) -> None:
    svg = make(day).svg
    assert 'role="img"' in svg
    assert re.search(r"<title>[^<]+</title><desc>[^<]+: [^<]+\.</desc>", svg)
    assert not re.search(r'\sid="|url\(|href="(?!#)|<script|<image', svg)
    assert svg == make(day).svg


def test_the_words_hold_the_exact_figures(day: ReportFacts) -> None:
    svg = points_flow(day).svg
    assert "Points by outcome: sent 175,851,275, confirmed 142,214,350, rejected 3,184,250," in svg
    assert ">142,214,350</text>" in svg
    assert "B09 Rejected by partner 530" in breaks_by_age(day).svg


def test_what_there_is_nothing_to_draw_of_is_empty(no_day: ReportFacts) -> None:
    assert [make(no_day).svg for make in MAKERS] == ["", "", ""]


def test_names_from_outside_cannot_become_markup(day: ReportFacts, make_facts: Callable[..., ReportFacts]) -> None:
    hostile = '<script>alert("&")</script>'
    facts = make_facts(
        summary=day.summary.with_columns(partner=pl.lit(hostile)),
        breaks=day.breaks.with_columns(title=pl.lit(hostile)),
    )
    for make in MAKERS:
        assert "<script" not in make(facts).svg


def test_negative_points_are_drawn(day: ReportFacts, make_facts: Callable[..., ReportFacts]) -> None:
    facts = make_facts(summary=day.summary.with_columns(points=-pl.col("points")))
    assert "sent −175,851,275" in points_flow(facts).svg
