"""The page stands alone, says everything, and is the same bytes in every process."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from counterfoil.reports.facts import IN_TRANSIT, ReportFacts
from counterfoil.reports.html import render
from counterfoil.reports.sections import outcome_table, sections, tie_tables
from counterfoil.reports.tables import instant
from counterfoil.reports.verdict import STORIES_MAX, told_breaks, worst_first

VOID = {"meta", "link", "br", "hr", "img", "input"}

SHA_OF_A_PAGE = """
import hashlib, importlib.util, sys
spec = importlib.util.spec_from_file_location("day", sys.argv[1])
day = importlib.util.module_from_spec(spec)
spec.loader.exec_module(day)
from counterfoil.reports.csv import tables
from counterfoil.reports.html import render
facts = day.realistic()
digest = hashlib.sha256(render(facts).encode())
for name, content in tables(facts).items():
    digest.update(name.encode() + content)
print(digest.hexdigest())
"""


class Page(HTMLParser):
    """Tags with their attributes, text, and whether every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


@pytest.fixture(scope="module")
def text(day: ReportFacts) -> str:
    return render(day)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(page: Page, text: str) -> None:
    assert page.open == []
    assert page.count("script") == page.count("img") == page.count("link") == 0
    links = [attributes.get("href") or "" for tag, attributes in page.tags if tag == "a"]
    assert all(re.fullmatch(r"#s\d+|[a-z0-9_]+\.csv|stories/[a-z0-9]+\.html", link) for link in links)
    assert not [value for _, attributes in page.tags for name, value in attributes.items() if name in {"src", "style"}]
    assert set(re.findall(r"url\((\w+:)", text)) == {"data:"}
    assert "default-src 'none'" in text


def test_sections_have_their_fixed_numbers_and_the_navigation_leads_to_them(page: Page) -> None:
    numbers = ["0", "1", "2", "3", "5", "6", "7", "8", "9", "10", "11", "12", "14"]
    targets = [attributes["id"] for tag, attributes in page.tags if tag in {"section", "header"} and "id" in attributes]
    assert targets == [f"s{number}" for number in numbers]
    links = [attributes.get("href") for tag, attributes in page.tags if tag == "a"]
    assert [f"#s{number}" for number in numbers] == links[1 : len(numbers) + 1]


def test_tables_and_charts_can_be_read_without_seeing_them(page: Page) -> None:
    assert page.count("caption") == page.count("table") == page.count("thead")
    assert all(attributes.get("scope") == "col" for tag, attributes in page.tags if tag == "th")
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert all(drawing.get("aria-label") or drawing.get("aria-hidden") == "true" for drawing in drawings)
    assert sum("aria-label" in drawing for drawing in drawings) == page.count("figure") == 4


def test_the_first_page_shows_verdict_figures_and_heads(text: str, day: ReportFacts) -> None:
    for expected in (
        "Pass with remarks: everything is accounted for",
        "598 breaks are open: 169 critical, 82 high, 209 medium, 138 low",
        "<dt>Unexplained points</dt><dd>0</dd>",
        "99.99 %",
        "175,851,275",
        "1,406,810.20",
        "−480",
        "Maple &amp; Oak Rewards",
        "2026-11-21 04:59:00 UTC",
        day.cover["chain_head"],
        day.cover["content_head"],
    ):
        assert expected in text


def test_severity_is_said_in_words(page: Page) -> None:
    classes = {attributes.get("class") for tag, attributes in page.tags if tag == "td"}
    assert "severity critical" in classes
    assert {"Critical", "High", "Medium"} <= set(page.words)


def test_a_long_list_stops_at_500_rows_and_says_where_the_rest_is(page: Page, day: ReportFacts, text: str) -> None:
    (breaks,) = (section for section in sections(day) if section.number == "7")
    assert len(breaks.tables[0].rows) == 500
    assert breaks.tables[0].more == day.breaks.height - 500
    assert 'The first 500 rows; 138 more are in <a href="breaks.csv">breaks.csv</a>.' in text


def test_totals_count_rows_that_are_not_shown(day: ReportFacts, make_facts: Callable[..., ReportFacts]) -> None:
    many = pl.concat([day.rejects] * 200)
    (rejects,) = (section for section in sections(make_facts(rejects=many)) if section.number == "8")
    totals = rejects.tables[0].totals
    assert totals is not None
    assert rejects.tables[0].more == 300
    assert totals[3].lines == (f"{int(many['count'].sum()):,}",)


def test_points_and_money_never_share_a_column(day: ReportFacts) -> None:
    """Money has two decimals here, points none: no column of the page mixes the two."""
    shown = [*(table for section in sections(day) for table in section.tables), outcome_table(day), *tie_tables(day)]
    for table in shown:
        for number, heading in enumerate(table.headings):
            figures = [row.cells[number].lines[0] for row in table.rows if heading.css == "n"]
            decimals = {"." in figure for figure in figures if figure not in {"–", "none", ""}}
            assert len(decimals) <= 1, (table.caption, heading.lines)


def test_empty_tables_and_charts_say_none(no_day: ReportFacts) -> None:
    text = render(no_day)
    empty = Page(text)
    assert empty.open == []
    assert "Pass: everything is accounted for and every sum ties." in text
    bodies = re.findall(r"<tbody>(.*?)</tbody>", text, re.DOTALL)
    assert sum("<span>none</span>" in body for body in bodies) == len(bodies) - 1  # the outcome table shows zeros
    assert text.count('<p class="after">none</p>') == 4


def test_sums_that_do_not_tie_are_shown_and_fail_the_page(
    day: ReportFacts, make_facts: Callable[..., ReportFacts]
) -> None:
    text = render(make_facts(rejects=day.rejects.with_columns(points=pl.col("points") + 1)))
    assert "Fail: do not close on these figures." in text
    assert (
        "Section 8, Rejected = the rejects by reason, northstar: stated 1,180,250, rows sum to 1,180,252 (points)"
        in text
    )


def test_what_came_from_outside_cannot_become_markup(day: ReportFacts, make_facts: Callable[..., ReportFacts]) -> None:
    hostile = '"><script>alert(1)</script>'
    facts = make_facts(
        cover={"programme": hostile, "business_date": "} body { display: none"},
        files=day.files.with_columns(name=pl.lit(hostile), message=pl.lit(hostile)),
        breaks=day.breaks.with_columns(our_ref=pl.lit(hostile), severity=pl.lit("urgent")),
    )
    text = render(facts)
    assert Page(text).count("script") == 0
    assert 'content: "Reconciliation  body  display none - version 1"' in text


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("2026-11-21T04:59:00.000Z", "2026-11-21 04:59:00 UTC"),
        ("2026-11-21T04:59:00.120Z", "2026-11-21 04:59:00.120 UTC"),
        ("yesterday", "yesterday"),
    ],
)
def test_instants_are_easier_to_read(stored: str, shown: str) -> None:
    assert instant(stored) == shown


def test_two_processes_on_different_machines_write_the_same_bytes(root: Path) -> None:
    command = [sys.executable, "-c", SHA_OF_A_PAGE, str(Path(__file__).with_name("conftest.py"))]
    machines = (
        {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "POLARS_MAX_THREADS": "1"},
        {"PYTHONHASHSEED": "2", "TZ": "America/Toronto", "LC_ALL": "C", "POLARS_MAX_THREADS": "2"},
    )
    running = [
        subprocess.Popen(command, env=os.environ | machine, cwd=root, stdout=subprocess.PIPE, text=True)
        for machine in machines
    ]
    first, second = [process.communicate()[0].strip() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert first == second


def test_the_worst_breaks_lead_to_their_stories_and_no_other_does(page: Page, day: ReportFacts) -> None:
    links = [
        attributes["href"] for tag, attributes in page.tags if tag == "a" and "stories/" in (attributes["href"] or "")
    ]
    worst = worst_first(day.breaks.filter(pl.col("code") != IN_TRANSIT))["break_id"].head(STORIES_MAX)
    assert links == [f"stories/{break_id}.html" for break_id in worst]
    assert told_breaks(day.breaks).to_list() == worst.to_list()
