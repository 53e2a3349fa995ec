"""The code location as the server loads it: its graph, a feed's run, a failed check, the day's close, the sensor."""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from counterfoil.identity import Verdict
from counterfoil.settings import load_settings
from parsers.registry import LayoutReader
from pipelines.definitions import build_definitions
from pipelines.jobs import DAY, INTAKE, intake_keys
from tests.plugins.homes import MONDAY, Office
from tests.plugins.mail import Mailroom, letters, mail_server, settle_in

TUESDAY = MONDAY + timedelta(days=1)
OWN = (
    "approvals", "budgets", "companies", "decisions", "gl_balances", "members", "opening", "points", "rates",
    "recharges", "vouchers",
)  # fmt: skip
FEEDS = (*OWN, "northstar_handback", "northstar_requests", "skybridge_handback", "skybridge_requests")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def located(office: Office, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dg.Definitions]:
    """Builds the location for the office; Dagster takes partitions after its own clock, which is stopped with ours."""
    monkeypatch.setenv("COUNTERFOIL_HOME", str(office.home))
    return lambda: build_definitions(settings=office.settings)


def run(definitions: dg.Definitions, instance: dg.DagsterInstance, job: str, *feeds: str) -> dg.ExecuteInProcessResult:
    known = intake_keys(LayoutReader(load_settings().data).layouts(), ["salesforce"])
    keys = [key for feed in feeds for key in known[feed]] or None
    return definitions.resolve_job_def(job).execute_in_process(
        partition_key=str(MONDAY), instance=instance, asset_selection=keys, raise_on_error=False
    )


def test_the_graph_is_the_journey(located: Callable[[], dg.Definitions]) -> None:
    definitions = located()
    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    chain = {f"{step}/{feed}" for step in ("received", "parsed", "reconciled", "posted") for feed in FEEDS}
    assert keys == chain | {
        "crm/salesforce",
        "day/calendar",
        "gl/journal",
        "mail/letters",
        "report/reconciliation",
    }
    assert {job.name for job in definitions.resolve_all_job_defs()} >= {INTAKE, DAY}
    schedules = {schedule.name for schedule in definitions.schedules or ()}
    assert schedules == {"nightly_intake", "nightly_close"}
    assert {sensor.name for sensor in definitions.sensors or ()} == {"arrivals_inbox"}


def test_runs_of_feeds_and_of_the_day_end_in_ledger_batches_and_report(
    office: Office, located: Callable[[], dg.Definitions], instance: dg.DagsterInstance
) -> None:
    office.begin()
    office.ask(MONDAY, ("1", 100), ("2", 200))
    office.answer(MONDAY, ("1", 100, "0000"), ("2", 200, "0002"))
    office.look()
    definitions = located()
    for feed in ("rates", "opening", "skybridge_requests", "skybridge_handback"):
        assert run(definitions, instance, INTAKE, feed).success, feed
    office.now = datetime(2026, 11, 17, 6, tzinfo=UTC)
    assert run(definitions, instance, DAY).success
    heads = office.heads()
    assert list((office.home / "out/crm/salesforce").iterdir())
    assert (office.home / f"out/reports/{MONDAY}/v1/index.html").exists()
    for feed in ("skybridge_requests", "skybridge_handback"):
        assert run(definitions, instance, INTAKE, feed).success, "a run again is safe"
    assert run(definitions, instance, DAY).success
    assert office.heads() == heads


def test_a_held_file_fails_its_check_and_stops_no_other_feed(
    office: Office, located: Callable[[], dg.Definitions], instance: dg.DagsterInstance
) -> None:
    office.begin()
    office.ask(MONDAY, ("1", 100))
    office.answer(MONDAY, *[(str(number), 100, "7777") for number in range(50)])
    office.look()
    definitions = located()
    assert run(definitions, instance, INTAKE, "rates").success
    failed = run(definitions, instance, INTAKE, "skybridge_handback")
    assert not failed.success
    checks = {evaluation.check_name: evaluation.passed for evaluation in failed.get_asset_check_evaluations()}
    assert checks == {"every_file_accepted": False, "mass_balance": True, "suspense_empty": True}
    assert run(definitions, instance, INTAKE, "skybridge_requests").success


def test_letters_leave_with_the_day_and_a_server_that_is_away_fails_no_run(
    office: Office,
    located: Callable[[], dg.Definitions],
    instance: dg.DagsterInstance,
    tell_of: Callable[[pl.DataFrame], None],
    mailroom: Mailroom,
) -> None:
    with mail_server(mailroom) as port:
        pass
    settle_in(office, port)
    office.begin()
    office.look()
    tell_of(letters("ada@acme.example"))
    definitions = located()
    away = run(definitions, instance, INTAKE, "rates")
    assert away.success
    (check,) = (one for one in away.get_asset_check_evaluations() if one.check_name == "letters_answered")
    assert not check.passed
    assert "CONNECTION_LOST" in str(check.metadata)
    office.now = datetime(2026, 11, 17, 6, tzinfo=UTC)
    with mail_server(mailroom, port):
        there = run(definitions, instance, DAY)
    assert there.success
    assert [one.passed for one in there.get_asset_check_evaluations() if one.check_name == "letters_answered"] == [True]
    assert mailroom.recipients == ["ada@acme.example"]


def test_a_day_that_has_not_ended_is_not_closed(
    office: Office, located: Callable[[], dg.Definitions], instance: dg.DagsterInstance
) -> None:
    office.now = datetime(2026, 11, 16, 12, tzinfo=UTC)
    result = run(located(), instance, DAY)
    assert not result.success
    failures = [str(event.event_specific_data) for event in result.all_events if event.is_step_failure]
    assert any("the day has not ended" in failure for failure in failures)
    assert office.heads()[0] == 0


def test_the_sensor_asks_for_one_run_a_feed_once_files_are_quiet(
    office: Office, located: Callable[[], dg.Definitions], instance: dg.DagsterInstance
) -> None:
    office.begin()
    office.ask(MONDAY, ("1", 100))
    definitions = located()
    sensor = next(iter(definitions.sensors or ()))
    opener = (definitions.resources or {})["desk"]

    def tick() -> Any:
        context = dg.build_sensor_context(instance=instance, resources={"desk": opener}, definitions=definitions)
        return sensor.evaluate_tick(context)

    assert not tick().run_requests
    office.now += timedelta(seconds=31)
    asked = tick().run_requests
    assert {request.tags["feed"]: request.partition_key for request in asked} == {
        "opening": "2026-11-16",
        "rates": "2026-11-16",
        "skybridge_requests": "2026-11-16",
    }
    assert {request.run_key for request in tick().run_requests} == {request.run_key for request in asked}
    for request in asked:
        assert run(definitions, instance, INTAKE, request.tags["feed"]).success
    office.now += timedelta(seconds=31)
    assert not tick().run_requests


def test_a_date_outside_the_partitions_never_becomes_a_key(
    office: Office, located: Callable[[], dg.Definitions], instance: dg.DagsterInstance
) -> None:
    office.ask(MONDAY + timedelta(days=300), ("1", 100))
    office.look()
    definitions = located()
    sensor = next(iter(definitions.sensors or ()))
    resources = {"desk": (definitions.resources or {})["desk"]}
    context = dg.build_sensor_context(instance=instance, resources=resources, definitions=definitions)
    (request,) = sensor.evaluate_tick(context).run_requests or []
    assert request.partition_key == str(TUESDAY)
    office.run(MONDAY)
    with office.desk() as desk:
        (strange,) = desk.index.deliveries(feed="skybridge_requests")
    assert strange.verdict == Verdict.HELD


def test_a_feed_that_is_answered_has_an_asset_for_it(
    office: Office,
    located: Callable[[], dg.Definitions],
    instance: dg.DagsterInstance,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = shutil.copytree(root / "data", tmp_path / "data")
    shutil.copytree(data / "contracts/partners/adriatic", data / "partners/adriatic")
    monkeypatch.setenv("COUNTERFOIL_DATA", str(data))
    batch = f"FH,1.0,{MONDAY}T18:00:00Z\nBH,1,{MONDAY}\nBT,0,0\nFT,1\n"
    office.put("adriatic/incoming/Adriatic_0000001_Rewards.csv", batch)
    office.look()
    definitions = located()
    assert run(definitions, instance, INTAKE, "adriatic_handback").success
    (answer,) = (office.home / "inbox/adriatic/acks").iterdir()
    assert answer.read_text().endswith("Accepted,\nFT,0,0,2\n")
    (made,) = instance.fetch_materializations(dg.AssetKey(["reply", "adriatic_handback"]), limit=1).records
    assert "Adriatic_0000001_Rewards_ack.csv" in str(made.asset_materialization and made.asset_materialization.metadata)
