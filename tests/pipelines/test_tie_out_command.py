"""The tie-out as people and machines ask for it, what explain says of a difference, and the check in Dagster."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from typer.testing import CliRunner, Result

from counterfoil.steps.publish import publish_journal
from parsers.registry import LayoutReader
from pipelines.commands.app import app
from pipelines.definitions import build_definitions
from pipelines.jobs import INTAKE, intake_keys
from tests.plugins.general_ledger import Gl
from tests.plugins.homes import MONDAY, Office

TUESDAY = MONDAY + timedelta(days=1)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def gl(office: Office, monkeypatch: pytest.MonkeyPatch) -> Gl:
    """The general ledger that has posted Monday's journal; we are on Tuesday."""
    office.home.mkdir()
    (office.home / "counterfoil.yaml").write_text(f"start_date: {MONDAY}\n")
    office.begin()
    office.ask(MONDAY, ("1001", 100), ("1002", 250))
    office.answer(MONDAY, ("1001", 100, "0000"))
    office.book_day(MONDAY)
    with office.desk() as desk:
        publish_journal(desk, MONDAY)
    monkeypatch.setenv("COUNTERFOIL_HOME", str(office.home))
    monkeypatch.setenv("COUNTERFOIL_NOW", "2026-11-18T08:00:00Z")
    found = Gl(office)
    found.receive(*found.journals())
    return found


def test_the_tie_out_of_an_account_that_differs(office: Office, gl: Gl) -> None:
    (journal,) = gl.journals()
    assert invoke("tie-out").exit_code == 0
    assert "none" in invoke("tie-out").output
    gl.post_by_hand("2410", "GL-7", -30)
    gl.drop(MONDAY, journal, on=TUESDAY, off={"2450": 1_25})
    office.book_day(TUESDAY)
    table = invoke("tie-out")
    assert table.exit_code == 1
    assert "unexplained" in table.output
    assert "GL-7" in table.output
    told = json.loads(invoke("tie-out", "--format", "json").stdout)
    apart = {row["account"]: row["unexplained_minor"] for row in told["accounts"] if row["state"] == "differs"}
    assert apart == {"2450": 125}
    assert told["by_hand"] == [
        {"account": "2410", "currency": "EUR", "as_of": str(MONDAY), "reference": "GL-7", "minor": -30}
    ]
    rows = list(csv.DictReader(io.StringIO(invoke("tie-out", "--format", "csv").stdout.removeprefix("\ufeff"))))
    assert {row["account"]: row["unexplained"] for row in rows}["2450"] == "1.25"
    assert {row["account"]: row["by_hand"] for row in rows}["2410"] == "-0.30"
    assert invoke("tie-out", "--as-of", str(MONDAY - timedelta(days=1))).exit_code == 0
    assert invoke("tie-out", "--known-at", "2026-11-17T12:00:00Z").exit_code == 0


def test_explain_shows_the_statement_and_the_cause(office: Office, gl: Gl) -> None:
    (journal,) = gl.journals()
    clearing = gl.balances(MONDAY)["2450"]
    gl.drop(MONDAY, journal, on=TUESDAY, off={"2450": -clearing})
    office.book_day(TUESDAY)
    (listed,) = [one for one in json.loads(invoke("breaks", "--format", "json").stdout) if one["code"] == "B15"]
    text = invoke("explain", listed["break_id"]).output
    assert f"journal {journal} on account 2450: not in the general ledger" in " ".join(text.split())
    assert "Unexplained difference" in text
    told = json.loads(invoke("explain", listed["break_id"], "--format", "json").stdout)
    assert told["breaks"][0]["tie_out"]["unexplained"] == -clearing
    page = office.home / "story.html"
    assert invoke("explain", listed["break_id"], "--html", str(page)).exit_code == 0
    assert "Account 2450 in EUR as of 2026-11-16" in page.read_text()
    (caused,) = [one for one in json.loads(invoke("breaks", "--by", "cause", "--format", "json").stdout)
                 if "B15" in one["codes"]]  # fmt: skip
    assert caused["cause"] == "journal_missing"
    assert (
        invoke(
            "resolve", "--cause", "journal_missing", "--action", "resolve", "--reason", "posted now", "--dry-run"
        ).exit_code
        == 0
    )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def test_the_check_warns_and_stops_nothing(office: Office, gl: Gl, instance: dg.DagsterInstance) -> None:
    gl.drop(MONDAY, gl.journals()[-1], on=TUESDAY, off={"2450": 1, "2420": 2})
    office.now = datetime(2026, 11, 18, 6, tzinfo=UTC)
    office.look()
    definitions = build_definitions(settings=office.settings)
    keys = intake_keys(LayoutReader(office.settings().data).layouts(), ["salesforce"])["gl_balances"]
    done = definitions.resolve_job_def(INTAKE).execute_in_process(
        partition_key=str(TUESDAY), instance=instance, asset_selection=keys
    )
    assert done.success
    (check,) = [one for one in done.get_asset_check_evaluations() if one.check_name == "gl_ties"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["accounts"].value == "2420 EUR, 2450 EUR"
