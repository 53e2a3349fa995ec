"""A late file: what was known of Monday on Monday stays to the byte; what is known of it on Wednesday differs."""

import json
import re
import shlex
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from counterfoil.errors import CounterfoilError
from pipelines.commands.app import app
from tests.plugins.homes import MONDAY, Office

TUESDAY, WEDNESDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)
ON_MONDAY, ON_WEDNESDAY = "2026-11-17T06:30:00Z", "2026-11-19T06:30:00Z"
"""Half an hour after the nights of Monday and of Wednesday."""

ASKED = {
    "balances": ["balances", "--as-of", str(MONDAY)],
    "balances of the period": ["balances", "--period", "2026-11", "--members"],
    "trial balance": ["trial-balance", "--as-of", str(MONDAY)],
    "trial balance of the period": ["trial-balance", "--period", "2026-11"],
    "breaks": ["breaks", "--as-of", str(TUESDAY)],
    "status": ["status", "--date", str(MONDAY)],
}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def told(*arguments: str) -> str:
    """What the command answers machines, to the byte."""
    result = invoke(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output or result.exception
    return result.stdout


@dataclass
class Week:
    """A home on Wednesday, and what it had answered in the night of Monday."""

    office: Office
    on_monday: dict[str, str]
    report: dict[str, bytes]
    data: Path

    def files(self, version: int) -> dict[str, bytes]:
        """A version of Monday's report."""
        folder = self.office.settings().home.out_reports / str(MONDAY) / f"v{version}"
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Week:
    """Monday: three requests and no answer. Wednesday: Monday's answers, and a new chart of accounts is in force."""
    folder = tmp_path_factory.mktemp("late")
    data = shutil.copytree(root / "data", folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFOIL_DATA", str(data))
        patch.setenv("COUNTERFOIL_HOME", str(folder / "home"))
        office = Office(folder / "home")
        office.home.mkdir()
        (office.home / "counterfoil.yaml").write_text(f"start_date: {MONDAY}\n")
        office.begin()
        office.ask(MONDAY, ("1001", 100), ("1002", 250), ("1003", 70))
        office.run(MONDAY)
        made = Week(office, {name: told(*asked) for name, asked in ASKED.items()}, {}, data)
        made.report.update(made.files(1))
        office.run(TUESDAY)
        newest = max((data / "ledger").glob("chart-v*.yaml"))
        chart = yaml.safe_load(newest.read_text())
        chart["version"] += 1
        chart["accounts"]["in_flight"]["gl"] = "2455"
        (data / "ledger" / f"chart-v{chart['version']}.yaml").write_text(yaml.safe_dump(chart))
        office.answer(MONDAY, ("1001", 100, "0000"), ("1002", 250, "0001"))
        office.run(WEDNESDAY)
    return made


@pytest.fixture(autouse=True)
def at_home(week: Week, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFOIL_HOME", str(week.office.home))
    monkeypatch.setenv("COUNTERFOIL_DATA", str(week.data))
    monkeypatch.setenv("COUNTERFOIL_NOW", ON_WEDNESDAY)


@pytest.mark.parametrize("name", ASKED)
def test_what_was_known_on_monday_stays_to_the_byte(week: Week, name: str) -> None:
    assert told(*ASKED[name], "--known-at", ON_MONDAY) == week.on_monday[name]


@pytest.mark.parametrize("name", sorted(ASKED.keys() - {"status"}))
def test_a_late_file_changes_what_is_known(week: Week, name: str) -> None:
    now = told(*ASKED[name])
    assert now == told(*ASKED[name], "--known-at", ON_WEDNESDAY)
    assert now != week.on_monday[name]


def test_the_trial_balance_as_known_then_has_the_chart_of_then(week: Week) -> None:
    then, now = (
        {row["kind"]: row["gl"] for row in json.loads(told("trial-balance", "--known-at", at))}
        for at in (ON_MONDAY, ON_WEDNESDAY)
    )
    assert (then["in_flight"], now["in_flight"]) == ("2450", "2455")


def test_the_report_as_it_was_known_is_a_version_of_its_own_with_the_same_tables(week: Week) -> None:
    made = json.loads(told("report", "--date", str(MONDAY), "--known-at", ON_MONDAY))
    again = week.files(made["version"])
    assert made["version"] > 1
    assert made["known_at"] == "2026-11-17T06:30:00.000Z"
    assert set(again) == set(week.report)
    differing = {name for name in again if again[name] != week.report[name]}
    assert differing == {"cover.csv", "index.html"}
    page = again["index.html"].decode()
    assert "Known at" in page
    assert "2026-11-17 06:30:00 UTC" in page
    assert "Restated: this is" not in page
    cover = {line.split(b",")[0]: line for line in again["cover.csv"].splitlines()}
    was = {line.split(b",")[0]: line for line in week.report["cover.csv"].splitlines()}
    assert {key for key in cover if cover[key] != was.get(key)} == {b"known_at", b"version"}
    repeated = json.loads(told("report", "--date", str(MONDAY), "--known-at", ON_MONDAY))
    assert repeated["version"] == made["version"]
    assert week.files(made["version"]) == again


def test_the_report_of_now_knows_nothing_of_known_at(week: Week) -> None:
    made = json.loads(told("report", "--date", str(MONDAY)))
    assert "known_at" not in made
    assert b"known_at" not in week.files(made["version"])["cover.csv"]


def test_a_date_means_the_end_of_that_day_in_the_programmes_zone(week: Week) -> None:
    asked = ("trial-balance", "--known-at")
    assert told(*asked, "2026-11-17") == told(*asked, ON_MONDAY)
    assert json.loads(told(*asked, "2026-11-15")) == []


def test_restate_names_the_late_file_and_the_new_chart(week: Week) -> None:
    found = json.loads(told("restate", "--from", ON_MONDAY, "--to", ON_WEDNESDAY, "--as-of", str(MONDAY)))
    assert (found["from"], found["as_of"], found["period"]) == ("2026-11-17T06:30:00.000Z", str(MONDAY), None)
    assert found["from_posting"] < found["to_posting"]
    in_flight = [part for part in found["parts"] if part["kind"] == "in_flight"]
    assert [(part["gl"], part["points"], part["cause"]) for part in in_flight] == [
        ("2450", -420, "rule version"),
        ("2455", -350, "file"),
        ("2455", 420, "rule version"),
    ]
    late = in_flight[1]
    assert (late["feed"], late["file"]) == ("skybridge_handback", f"SKYBRIDGE_{MONDAY:%Y%m%d}.HANDBACK.txt")
    assert late["sender"].startswith("os:")
    assert late["posted_at"].startswith("2026-11-19T06:")
    for figure in found["figures"]:
        assert (
            figure["after"] - figure["before"]
            == figure["change"]
            == sum(
                part["points"]
                for part in found["parts"]
                if (part["gl"], part["kind"]) == (figure["gl"], figure["kind"])
            )
        )
    shown = invoke("restate", "--from", ON_MONDAY)
    assert shown.exit_code == 0
    assert "rule version" in shown.stdout


def test_the_how_to_shows_what_the_command_prints(week: Week, root: Path) -> None:
    page = (root / "docs" / "how-to" / "ask-about-any-date.md").read_text("utf-8")
    blocks = re.findall(r"^```(?:sh)?\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    printed: set[str] = set()
    for block in blocks:
        if block.startswith("counterfoil "):
            result = invoke(*shlex.split(block)[1:])
            assert result.exit_code == 0, block
            printed = plain(result.stdout)
        else:
            assert plain(block) - printed == set()


def plain(text: str) -> set[str]:
    """Lines without the widths of their columns, and without this machine's account."""
    return {re.sub(r"\bos:\S+", "os:somebody", " ".join(line.split())) for line in text.splitlines()}


def test_a_time_at_which_nothing_was_known_has_no_report(week: Week) -> None:
    result = invoke("report", "--date", str(MONDAY), "--known-at", "2026-11-01")
    assert isinstance(result.exception, CounterfoilError)
    assert "NOTHING_FOUND" in str(result.exception)


@pytest.mark.parametrize(
    "arguments",
    [
        ["balances", "--as-of", "2026-11-16", "--period", "2026-11"],
        ["balances", "--as-of", "then"],
        ["breaks", "--as-of", "2026-02-30"],
        ["status", "--date", "then"],
        ["files", "--date", "then"],
        ["scorecard", "--as-of", "then"],
        ["dispute", "--as-of", "then", "--partner", "skybridge"],
        ["resolve", "X", "--until", "then", "--action", "wait", "--reason", "agreed"],
        ["audit", "verify", "--since", "then"],
        ["restate", "--to", "then", "--from", ON_MONDAY],
        ["trial-balance", "--period", "2026-13"],
        ["trial-balance", "--period", "November"],
        ["breaks", "--known-at", "2026-11-17T06:30:00"],
        ["report", "--known-at", "then"],
        ["restate", "--from", ON_WEDNESDAY, "--to", ON_MONDAY],
    ],
)
def test_wrong_use_ends_with_2_and_says_what_is_expected(week: Week, arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert isinstance(result.exception, CounterfoilError)
    assert (result.exception.exit_status, str(result.exception.code)) == (2, "DATE_OUTSIDE")
    assert result.exception.where in arguments, "the option is named"


@pytest.mark.usefixtures("week")
@pytest.mark.parametrize(
    "arguments",
    [
        ["balances", "--known-at", "9999-12-31"],
        ["balances", "--known-at", "0001-01-01T00:00:00+14:00"],
        ["balances", "--known-at", ""],
        ["balances", "--as-of", "0001-01-01"],
        ["balances", "--period", "9999-12"],
        ["report", "--known-at", ""],
        ["report", "--date", "9999-12-31"],
        ["report", "--date", "0001-01-01"],
        ["restate", "--from", "9999-12-31"],
        ["restate", "--from", "2026-11-17", "--to", ""],
    ],
)
def test_a_date_that_cannot_be_meant_is_refused(arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert isinstance(result.exception, CounterfoilError)
    assert (result.exception.exit_status, str(result.exception.code)) == (2, "DATE_OUTSIDE")
    assert result.exception.where in arguments, "the option is named"
