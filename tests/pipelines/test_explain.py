"""``counterfoil explain`` as text, JSON and a page, and the pages beside the report: all of it, and nobody in it."""

import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipelines.commands.app import app
from tests.plugins.homes import MONDAY, Office, skybridge_requests

MEMBER, FIRST_NAME, LAST_NAME = "8765432198", "Zephyrine", "Quillfeather"
"""Planted in a file, to be found in no output."""

CUT_SHORT = "71000000"
ASKED = "7100000017"
TUESDAY = MONDAY + timedelta(days=1)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Two nights: a request answered under a reference that was cut short, one with other points, one settled."""
    made = Office(tmp_path_factory.mktemp("office") / "home")
    made.home.mkdir()
    (made.home / "counterfoil.yaml").write_text(f"start_date: {MONDAY}\n")
    made.begin([(MEMBER, 50_000)])
    asked = skybridge_requests(MONDAY, [(ASKED, 2500, MEMBER), ("7100000018", 60, MEMBER), ("7100000019", 5, MEMBER)])
    asked = asked.replace("Ada", FIRST_NAME).replace("Example", LAST_NAME)
    made.put(f"skybridge/outgoing/SKYBRIDGE_{MONDAY:%Y%m%d}.txt", asked)
    made.answer(MONDAY, (CUT_SHORT, 2500, "0000"), ("7100000018", 66, "0000"), ("7100000019", 5, "0000"))
    made.run(MONDAY)
    made.answer(TUESDAY, ("7100000018", 60, "0000"))
    made.run(TUESDAY)
    return made


@pytest.fixture(autouse=True)
def at_home(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFOIL_HOME", str(office.home))


def invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["explain", *arguments])
    assert result.exit_code == 0, result.output or result.exception
    return result


def break_of(office: Office, subject: str) -> str:
    return str(office.sql(f"SELECT break_id FROM book.break WHERE subject = '{subject}'").item())


def stories(office: Office) -> dict[str, str]:
    folder = office.settings().home.out_reports / str(TUESDAY) / "v1"
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_text_tells_what_happened_in_order_and_how_a_break_ended() -> None:
    text = invoke("7100000018").stdout
    order = [
        "Requested of the partner",
        "Answered with other points; nothing settled, 66 points",
        "B04 points differ: opened",
        "Accepted, 60 points",
        "B04 points differ: cleared by line 2",
        "Transfers",
        "CRM batches",
        "Sealed by",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert "reference and date agree; 6 points more" in text
    assert "| 2,·······198,······ine,·········her,·026-11-16,60,·······018,··nk1" in text


def test_a_break_is_told_with_its_near_miss_and_the_field_that_would_settle_it(office: Office) -> None:
    break_id = break_of(office, CUT_SHORT)
    text = invoke(break_id).stdout
    assert f"It would settle with request {ASKED} but for its reference (2 characters differ, from the 9th on)." in text
    told = json.loads(invoke(break_id, "--format", "json").stdout)
    (broken,) = told["breaks"]
    assert broken["why"]["settles"] == ["reference"]
    assert [near["ref"] for near in broken["why"]["near_misses"]] == [ASKED]
    cause = "the last 2 characters of the reference at skybridge: check the field's width"
    assert broken["why"]["cause"] == cause
    assert f"Cause: {cause}." in text


class Page(HTMLParser):
    """Links, tags and text; that every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        if tag not in {"meta"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("subject", [CUT_SHORT, "7100000018", "7100000019"])
def test_the_page_stands_alone_and_is_the_same_each_time(subject: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first.html", tmp_path / "second.html"
    assert str(first) in invoke(subject, "--html", str(first)).stdout.replace("\n", "")
    invoke(subject, "--html", str(second))
    text = first.read_text()
    assert text == second.read_text()
    page = Page(text)
    assert page.open == []
    assert page.links == []
    assert "script" not in page.tags
    assert set(re.findall(r"url\((\w+:)", text)) == {"data:"}
    assert "default-src 'none'" in text


def test_the_report_leads_to_the_stories_of_its_breaks_and_they_lead_back(office: Office) -> None:
    made = stories(office)
    pages = {name for name in made if name.startswith("stories/")}
    break_id = break_of(office, CUT_SHORT)
    assert f"stories/{break_id}.html" in pages
    assert {link for link in Page(made["index.html"]).links if link.startswith("stories/")} == pages
    assert {link for name in pages for link in Page(made[name]).links} == {"../index.html#s7"}
    assert "stands alone" in made[f"stories/{break_id}.html"]
    again = CliRunner().invoke(app, ["report", "--date", str(TUESDAY)])
    assert again.exit_code == 0, again.output
    assert stories(office) == made, "the same facts make the same bytes"


def test_nobody_is_in_any_output(office: Office, tmp_path: Path) -> None:
    outputs = list(stories(office).values())
    for subject in (CUT_SHORT, ASKED, "7100000018", "7100000019", break_of(office, CUT_SHORT)):
        page = tmp_path / "page.html"
        outputs += [invoke(subject).stdout, invoke(subject, "--format", "json").stdout]
        invoke(subject, "--html", str(page))
        outputs.append(page.read_text())
    for planted in (MEMBER, FIRST_NAME, LAST_NAME, MEMBER.encode().hex()):
        assert not [output for output in outputs if planted in output], planted
    assert "···198" in outputs[-1], "but the end of the member's number is shown"
