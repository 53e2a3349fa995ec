"""The scorecard and the dispute pack as people and machines ask for them: who may read what."""

import csv
import json
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from counterfoil.errors import CounterfoilError
from pipelines.commands.app import app
from tests.plugins.homes import MONDAY, Office

TUESDAY = MONDAY + timedelta(days=1)
MEMBER, OTHER = "8105531227", "9240067714"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nights at one partner: a hand-back that disagrees and knows too much, then none."""
    office = Office(tmp_path_factory.mktemp("home"))
    (office.home / "counterfoil.yaml").write_text(f"start_date: {MONDAY}\n")
    office.begin([(MEMBER, 10_000), (OTHER, 10_000)])
    office.ask(MONDAY, ("=1001", 100, MEMBER), ("1002", 250, OTHER), ("1003", 70, MEMBER))
    office.answer(MONDAY, ("=1001", 90, "0000"), ("1002", 250, "0001"), ("9999", 5, "0000"))
    office.run(MONDAY)
    office.run(TUESDAY)
    return office.home


@pytest.fixture
def told(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command in that home."""
    monkeypatch.setenv("COUNTERFOIL_HOME", str(home))
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def figure(told: Any, name: str) -> dict[str, Any]:
    (partner,) = told["partners"]
    (found,) = (one for one in partner["figures"] if (one["figure"], one["part"]) == (name, ""))
    first: dict[str, Any] = found["trend"][0]
    return first


def test_a_scorecard_tells_machines_every_fraction(told: Callable[..., Result]) -> None:
    card = answer(told("scorecard", "--partner", "skybridge", "--as-of", str(TUESDAY), "--format", "json"))
    assert (card["as_of"], card["currency"], card["unit"]) == (str(TUESDAY), "EUR", "points")
    assert [window["window"] for window in card["windows"]][:2] == ["this_month", "1_month_ago"]
    late = {"window": "this_month", "numerator": 1, "denominator": 2, "basis_points": 5000}
    assert figure(card, "files_late") == late, "Singapore's day was over long before the night"
    assert figure(card, "files_missing") == late
    assert figure(card, "rejected") == late | {"denominator": 3, "basis_points": 3333}
    assert figure(card, "breaks_open")["numerator"] == 3


def test_a_scorecard_tells_people_one_table_a_partner(told: Callable[..., Result]) -> None:
    shown = told("scorecard", "--as-of", str(TUESDAY))
    assert shown.exit_code == 0
    assert f"northstar on {TUESDAY}" in shown.stdout
    assert f"skybridge on {TUESDAY}" in shown.stdout
    assert "33.33 %" in shown.stdout
    assert "none" in shown.stdout


def test_a_pack_goes_into_a_file_that_nobody_else_reads(told: Callable[..., Result], home: Path) -> None:
    written = answer(told("dispute", "--partner", "skybridge", "--as-of", str(TUESDAY), "--format", "json"))
    path = Path(written["file"])
    assert path == home / "out" / "disputes" / "skybridge" / f"{TUESDAY}.csv"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one["code"] for one in written["questions"]] == ["B03", "B04", "B13"]
    lines = list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))
    differs = next(line for line in lines if line["Difference"] == "10" and line["Our break"])
    assert (differs["Reference number"], differs["Member ID"]) == ("'=1001", MEMBER)
    assert (differs["Amount (your answer)"], differs["Outcome code (your answer)"]) == ("90", "0000")
    assert lines[-1]["Breaks"] == str(written["breaks"]) == "3"


def test_a_pack_can_go_elsewhere_and_replaces_an_older_one(told: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "deep" / "pack.csv"
    file.parent.mkdir()
    file.write_text("older, and open to all")
    arguments = ("dispute", "--partner", "skybridge", "--as-of", str(TUESDAY), "--to", str(file))
    shown = told(*arguments)
    assert shown.exit_code == 0
    assert str(file) in shown.stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first = file.read_bytes()
    told(*arguments)
    assert file.read_bytes() == first


def test_no_member_is_shown_anywhere_but_in_the_pack(told: Callable[..., Result], home: Path) -> None:
    answers = [
        told(*verb, "--as-of", str(TUESDAY), *form).output
        for verb in (["scorecard"], ["dispute", "--partner", "skybridge"])
        for form in ([], ["--format", "json"])
    ]
    reports = [file.read_text("utf-8") for file in (home / "out" / "reports").rglob("*") if file.is_file()]
    assert len(reports) > 20
    for text in [*answers, *reports]:
        assert MEMBER not in text
        assert OTHER not in text


def test_the_report_has_the_card_of_its_day(home: Path) -> None:
    page = (home / "out" / "reports" / str(TUESDAY) / "v1" / "index.html").read_text()
    assert '<section id="s14"' in page
    assert "14.2 skybridge" in page
    figures = home / "out" / "reports" / str(TUESDAY) / "v1" / "scorecard.csv"
    assert "files_missing" in figures.read_text("utf-8-sig")


@pytest.mark.parametrize("verb", ["scorecard", "dispute"])
def test_a_partner_that_is_none_is_wrong_use(told: Callable[..., Result], verb: str) -> None:
    result = told(verb, "--partner", "nobody")
    assert isinstance(result.exception, CounterfoilError)
    assert result.exception.exit_status == 2
    assert "one of northstar, skybridge" in str(result.exception)
