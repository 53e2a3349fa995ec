"""What people decide by the command: what it says, and with which exit status, when it did not take effect."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from counterfoil.errors import CounterfoilError
from counterfoil.steps import decide
from pipelines.commands.app import app
from tests.plugins.homes import MONDAY, Office

FEEDS = ["skybridge_requests", "skybridge_handback"]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """A night with a refused request, an unknown answer and a held correction; to be copied, not changed."""
    office = Office(tmp_path_factory.mktemp("decide") / "home")
    office.home.mkdir()
    (office.home / "counterfoil.yaml").write_text(f"start_date: {MONDAY}\n")
    office.begin()
    office.ask(MONDAY, ("1001", 100), ("1002", 250))
    office.answer(MONDAY, ("1001", 100, "0000"), ("1002", 250, "0001"))
    office.run(MONDAY, feeds=FEEDS)
    office.answer(MONDAY, ("1001", 100, "0000"))
    office.run(MONDAY, feeds=FEEDS)
    return office


@pytest.fixture
def ran(night: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A home after that night."""
    office = night.copied(tmp_path / "home")
    monkeypatch.setenv("COUNTERFOIL_HOME", str(office.home))
    return office


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--reason", "agreed", "--format", "json"])


def exit_status(result: Result) -> int:
    """What the process would end with: ``main`` turns our errors into their status."""
    if isinstance(result.exception, CounterfoilError):
        return result.exception.exit_status
    return result.exit_code


def held(office: Office) -> str:
    with office.desk() as desk:
        return desk.index.held("skybridge_handback")[0].payload_sha


def test_the_same_decision_of_the_same_instant_is_told_to_be_the_same(
    ran: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "utc_text", lambda _now: "2026-11-20T16:05:00.000Z")
    name = str(ran.sql("SELECT break_id FROM book.open_break WHERE code = 9").item())
    n = json.loads(invoke("resolve", name).stdout)["posting"]
    assert json.loads(invoke("undo", f"{n}:2").stdout)["outcome"] == "posted"
    again = invoke("undo", f"{n}:2")
    assert (again.exit_code, json.loads(again.stdout)["outcome"]) == (0, "replay")
    assert "the same file again" in json.loads(again.stdout)["message"]


def test_a_discarded_file_is_what_was_asked_for(ran: Office) -> None:
    done = invoke("discard", held(ran))
    assert done.exit_code == 0, done.output
    assert [one["code"] for one in json.loads(done.stdout)["files"]] == ["FILE_DISCARDED"]


def test_a_file_that_stays_held_after_its_release_is_no_success(ran: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.commands.decide.released_points", lambda _desk, _delivery: 1)
    done = invoke("release", held(ran))
    assert done.exit_code == 1, done.output
    told = json.loads(done.stdout)
    assert (told["outcome"], [one["outcome"] for one in told["files"]]) == ("posted", ["held"])


def test_a_reason_of_two_lines_is_a_wrong_use(ran: Office) -> None:
    assert exit_status(CliRunner().invoke(app, ["discard", held(ran), "--reason", "two\nlines"])) == 2


@pytest.mark.parametrize("verb", ["lock", "reopen"])
def test_what_is_no_month_is_refused_before_anything_is_landed(ran: Office, verb: str) -> None:
    with ran.desk() as desk:
        before = desk.index.deliveries()
        for period in ("foo", "", "2026-13", "2026-1"):
            assert exit_status(invoke(verb, period)) == 2
        assert desk.index.deliveries() == before
