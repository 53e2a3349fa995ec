"""Hand-backs that are no lines, from the inbox to the book: posted, told line by line, the same when replayed."""

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parsers.accept import samples
from parsers.layout import Layout
from parsers.registry import LayoutReader
from pipelines.commands.app import app
from tests.plugins.homes import Office

FRIDAY, MONDAY_AFTER = date(2026, 11, 20), date(2026, 11, 23)
SENT = {
    "fernhill_handback": "fernhill_postings_2026-11-20.jsonl",
    "hawthorn_handback": "hawthorn-answers-000031.jsonl",
    "sablecrest_handback": "sablecrest-00a41f7c.json",
    "lumenair_handback": "LumenairHandBack-000205.xml",
    "juniper_handback": "Juniper Rewards 20261120.xlsx",
}


@pytest.fixture(scope="module")
def office(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Nights on which five partners answer, each in a shape of its own, what nobody has asked."""
    folder = tmp_path_factory.mktemp("office")
    shutil.copytree(root / "data", folder / "data")
    made = Office(folder / "home")
    contracts = LayoutReader(root / "data" / "contracts")
    for layout in contracts.layouts():
        if layout.feed in SENT:
            place = f"partners/{layout.partner}/{layout.feed}"
            shutil.copytree(root / "data" / "contracts" / place, folder / "data" / place)
            _put(made, layout, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFOIL_DATA", str(folder / "data"))
        made.begin()
        made.run(FRIDAY)
        made.run(MONDAY_AFTER)
        yield made


def _put(office: Office, layout: Layout, root: Path) -> None:
    (sample,) = (path for path in samples(root / "data" / "contracts") if path.name == SENT[layout.feed])
    office.put(f"{layout.arrival.folder}/{sample.name}", sample.read_bytes())


def test_every_file_is_posted_without_what_could_not_be_read(office: Office) -> None:
    posted = """SELECT feed, count(*) AS rows FROM book.disposition JOIN book.posting ON posting.n = file_id
        WHERE feed LIKE '%_handback' GROUP BY feed ORDER BY feed"""
    assert office.sql(posted).rows() == [
        ("fernhill_handback", 4),
        ("hawthorn_handback", 3),
        ("juniper_handback", 4),
        ("lumenair_handback", 3),
        ("sablecrest_handback", 3),
    ]


def test_a_story_shows_the_record_as_it_was_sent_and_hides_the_member(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERFOIL_HOME", str(office.home))
    for ref, shown in (
        ("SC-9001", "·······417"),
        ("JR-20442", "····121"),
        ("LA-70101", "·······019"),
        ("HT-4001", "·······417"),
    ):
        told = CliRunner().invoke(app, ["explain", ref])
        assert told.exit_code == 0, told.output or told.exception
        assert ref in told.output
        assert shown in told.output


def test_a_replay_makes_the_same_book(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFOIL_HOME", str(office.home))
    proved = CliRunner().invoke(app, ["replay", "--into", str(tmp_path / "again")])
    assert proved.exit_code == 0, proved.output or proved.exception
