"""The demo week: its files are what the layouts read, and what the program reports of them is what was planted."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from counterfoil.errors import Code, PermanentError
from counterfoil.ledger.known import known
from counterfoil.protocols import Parsed, RemoteFile
from counterfoil.schemas.gate import prove_control
from counterfoil.steps.arrive import receive
from counterfoil.steps.close import close_days
from counterfoil.steps.explain import of_gl
from counterfoil.steps.post import settle
from counterfoil.steps.publish import publish_journal
from parsers.registry import LayoutReader
from pipelines.commands.demo import LIMITS
from pipelines.demo.found import found
from pipelines.demo.general_ledger import extract
from pipelines.demo.northstar import overpunched
from pipelines.demo.plan import EXPECTATIONS, FRIDAY, RECORDS_MIN, THURSDAY, TUESDAY, UNREADABLE, WEDNESDAY
from pipelines.demo.scenario import DemoFile, Scenario, build, expected
from tests.plugins.homes import Office

RECORDS = 1_000

Read = Callable[[DemoFile], Parsed]


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return build(RECORDS)


@pytest.fixture(scope="module")
def reader(root: Path) -> LayoutReader:
    return LayoutReader(root / "data")


@pytest.fixture(scope="module")
def read(reader: LayoutReader, tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Read a demo file by the layout that claims it, once; its totals are not judged."""
    folder = tmp_path_factory.mktemp("demo")

    @cache
    def parse(file: DemoFile) -> Parsed:
        path = folder / hashlib.sha256(file.data).hexdigest()
        path.write_bytes(file.data)
        feed = reader.claim(connection=file.connection, folder=file.folder, name=file.name, payload=path)
        return reader.read(feed, name=file.name, payload=path)

    return parse


def planted(scenario: Scenario, kind: str) -> list[DemoFile]:
    return [file for file in scenario.files if file.plants == kind]


def sound(scenario: Scenario) -> list[DemoFile]:
    """Every file that a layout reads and whose totals are right."""
    strange = {"half_uploaded_file", "unclaimed_file", "wrong_control_total"}
    return [scenario.opening, scenario.rates, *(file for file in scenario.files if file.plants not in strange)]


def digest(scenario: Scenario) -> str:
    files = (scenario.opening, scenario.rates, *scenario.files)
    return hashlib.sha256(b"".join(file.name.encode() + file.data for file in files)).hexdigest()


def test_the_same_seed_makes_the_same_bytes_in_any_process(scenario: Scenario, root: Path) -> None:
    again = f"""
import hashlib
from pipelines.demo.scenario import build
made = build({RECORDS})
files = (made.opening, made.rates, *made.files)
print(hashlib.sha256(b"".join(file.name.encode() + file.data for file in files)).hexdigest())
"""
    environment = os.environ | {"PYTHONHASHSEED": "7", "POLARS_MAX_THREADS": "3"}
    command = [sys.executable, "-c", again]
    run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == digest(scenario)
    assert digest(build(RECORDS, seed=1)) != digest(scenario)


@pytest.mark.parametrize("records", [RECORDS_MIN, RECORDS_MIN + 1, 2_000, 200_000])
def test_the_files_hold_what_the_plan_says_at_any_size(records: int) -> None:
    made = build(records)
    assert made.planted == expected(made)
    northstar, skybridge = last_handbacks(made)
    assert len(northstar.data) // 251 - 1 + skybridge.data.count(b"\n") - 1 == records


def test_only_ordinary_stories_grow_with_the_size() -> None:
    few, many = build(RECORDS_MIN).planted, build(20_000).planted
    grown = {kind for kind in few if many[kind] != few[kind]}
    assert grown == {
        "accepted",
        "in_transit",
        *(kind for kind in few if kind.startswith("rejected_") and "after" not in kind),
    }


def test_every_kind_is_planted_and_nothing_else(scenario: Scenario) -> None:
    assert list(scenario.planted) == list(EXPECTATIONS)
    assert [kind for kind, count in scenario.planted.items() if count == 0] == ["unplanned"]


def test_a_demo_that_is_too_small_is_refused() -> None:
    with pytest.raises(PermanentError):
        build(RECORDS_MIN - 1)


def test_the_layouts_read_every_file_and_its_totals_hold(scenario: Scenario, reader: LayoutReader, read: Read) -> None:
    feeds = {(feed.arrival.folder): feed for feed in reader.feeds()}
    quarantined: Counter[str] = Counter()
    for file in sound(scenario):
        parsed = read(file)
        prove_control(parsed, feeds[file.folder], file.name)
        quarantined.update(parsed.quarantined["code"])
    assert quarantined == Counter(["ENCODING", "NUMBER_INVALID", "DATE_INVALID", "OUTCOME_UNKNOWN"])


def test_the_last_handbacks_hold_the_records_asked_for(scenario: Scenario, read: Read) -> None:
    assert sum(read(file).records for file in last_handbacks(scenario)) == RECORDS


def test_unreadable_rows_are_in_skybridges_last_handback(scenario: Scenario, read: Read) -> None:
    northstar, skybridge = last_handbacks(scenario)
    assert read(northstar).quarantined.is_empty()
    assert read(skybridge).quarantined.height == len(UNREADABLE)


def test_each_file_is_for_its_day_and_waits_for_its_marker(
    scenario: Scenario, reader: LayoutReader, read: Read
) -> None:
    marked = {feed.arrival.folder for feed in reader.feeds() if feed.arrival.ready == "marker"}
    late = {"replaced_file", "renamed_replay"}
    for file in sound(scenario):
        assert file.marker == (file.folder in marked)
        assert read(file).marks.business_date == (WEDNESDAY if file.plants in late else file.day)
    assert [file.day for file in scenario.files] == sorted(file.day for file in scenario.files)


def test_northstar_numbers_its_files_without_a_gap(scenario: Scenario, read: Read) -> None:
    for folder, first in (("northstar/outgoing", 11), ("northstar/incoming", 10)):
        files = [file for file in sound(scenario) if file.folder == folder]
        assert [read(file).marks.sequence for file in files] == list(range(first, first + 5))


def test_a_wrong_total_is_off_by_one_and_mended_under_the_same_name(scenario: Scenario, read: Read) -> None:
    (wrong,), (mended,) = planted(scenario, "wrong_control_total"), planted(scenario, "replaced_file")
    assert (wrong.name, wrong.folder, wrong.day) == (mended.name, mended.folder, mended.day - timedelta(days=1))
    off = read(wrong).control.filter(~pl.col("holds"))
    assert set(off["declared"] - off["computed"]) == {1}
    assert wrong.data[250:] == mended.data[250:]


def test_empty_days_are_alike_and_empty(scenario: Scenario, read: Read) -> None:
    empty = planted(scenario, "empty_day")
    assert len({file.data for file in empty}) == 1
    assert len({file.name for file in empty}) == len(empty) == 2
    assert all(read(file).marks.empty for file in empty)


def test_a_renamed_replay_has_the_bytes_of_another_day(scenario: Scenario) -> None:
    (renamed,) = planted(scenario, "renamed_replay")
    alike = [file for file in scenario.files if file.data == renamed.data and file is not renamed]
    assert [(file.folder, file.day) for file in alike] == [(renamed.folder, TUESDAY)]
    assert alike[0].name != renamed.name


def test_a_half_uploaded_file_has_no_marker_and_could_not_be_whole(scenario: Scenario, read: Read) -> None:
    (half,) = planted(scenario, "half_uploaded_file")
    assert (half.marker, half.complete) == (False, False)
    assert all(file.complete for file in scenario.files if file is not half)
    assert not read(half).control["holds"].all()


def test_no_layout_claims_the_stray_file(scenario: Scenario, read: Read) -> None:
    (stray,) = planted(scenario, "unclaimed_file")
    with pytest.raises(PermanentError) as caught:
        read(stray)
    assert caught.value.code == Code.FILE_UNCLAIMED


def test_references_are_used_once_but_for_the_planted_duplicates(scenario: Scenario, read: Read) -> None:
    for folder, twice in (("northstar/outgoing", 0), ("skybridge/outgoing", scenario.planted["duplicate_request"])):
        refs = pl.concat([read(file).accepted for file in sound(scenario) if file.folder == folder])["ref"]
        assert refs.len() - refs.n_unique() == twice


def test_opening_balances_cover_all_but_the_planted_requests(scenario: Scenario, read: Read) -> None:
    asked = pl.concat([read(file).accepted for file in sound(scenario) if file.folder == "skybridge/outgoing"])
    balances = read(scenario.opening).accepted.filter(pl.col("account") == "member").select("owner", "points")
    spent = asked.unique("ref").group_by("member").agg(pl.col("points").sum())
    short = spent.join(balances, left_on="member", right_on="owner", validate="1:1").filter(
        pl.col("points") > pl.col("points_right")
    )
    assert short.height == scenario.planted["balance_short"]


def test_recalls_go_out_with_their_sign_in_the_last_digit(scenario: Scenario, read: Read) -> None:
    (thursday,) = (file for file in sound(scenario) if (file.folder, file.day) == ("northstar/outgoing", THURSDAY))
    recalls = read(thursday).accepted.filter(pl.col("points") < 0)
    assert recalls.height == scenario.planted["recall_accepted"] + scenario.planted["recall_rejected"]


@pytest.mark.parametrize(("value", "text"), [(451, "45A"), (-100, "10}"), (0, "00{"), (-9, "00R")])
def test_overpunched_numbers_are_those_of_the_published_table(value: int, text: str) -> None:
    assert overpunched(value, 3) == text


@pytest.mark.slow
def test_what_is_reported_is_what_was_planted(scenario: Scenario, office: Office) -> None:
    """The week through arrival, gate and book, day by day."""
    office.home.mkdir(parents=True)
    (office.home / "counterfoil.yaml").write_text("".join(f"{name}: {limit}\n" for name, limit in LIMITS.items()))
    waiting: list[RemoteFile] = []
    for day in scenario.days:
        for file in (scenario.opening, scenario.rates, *scenario.files):
            if file.day == day:
                put(file, office)
        if day == FRIDAY:
            journals = sorted((office.home / "out" / "gl" / "neutral").glob("*/journal.csv"))
            put(extract(journals, as_of=THURSDAY, on=FRIDAY), office)
        office.now = datetime.combine(day, time(22), UTC)
        office.look()
        with office.desk() as desk:
            received = receive(desk, "inbox", patient=False)
            assert received.troubles == []
            waiting = received.waiting
            settle(desk, ["opening", "rates", "gl_balances", *(feed.feed for feed in desk.feeds())], day, {})
            office.now += timedelta(hours=12)
            close_days(desk, day)
            publish_journal(desk, day)
    with office.desk() as desk, desk.book.reading() as book:
        assert found(book, desk.index, waiting) == scenario.planted
        named = of_gl(desk, book, known(book, FRIDAY))["change"].to_list()
    assert named == ["entry GL-2026-004802 on account 2420: listed as posted by hand, and not in the balance"]


def put(file: DemoFile, office: Office) -> None:
    """Lay a file, and its marker, where a connection that is a folder finds it."""
    office.put(f"{file.folder}/{file.name}", file.data)
    if file.marker:
        office.put(f"{file.folder}/{file.name}.done", b"")


def last_handbacks(scenario: Scenario) -> tuple[DemoFile, DemoFile]:
    """Northstar's and Skybridge's own hand-back of the last day."""
    northstar, skybridge = (
        file for file in scenario.files if file.day == FRIDAY and file.folder.endswith("/incoming") and not file.plants
    )
    return northstar, skybridge
