"""What went out: ranges without gaps or overlaps, versions never written over, journals and events once."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.errors import Code, PermanentError, TransientError
from counterfoil.landing.index import ArrivalIndex
from counterfoil.landing.outputs import Event
from counterfoil.landing.records import Journal, ReportVersion
from counterfoil.landing.store import LandingStore
from counterfoil.protocols import Batch

NOW = datetime(2026, 11, 20, 22, 15, tzinfo=UTC)
DAY = date(2026, 11, 20)

OpenIndex = Callable[[], ArrivalIndex]


def batch_id(target: str, mapping_sha: str, from_n: int, to_n: int) -> str:
    return f"{target}-{mapping_sha}-{from_n}-{to_n}"


def allot(index: ArrivalIndex, to_n: int, mapping: str = "m", target: str = "crm") -> Batch | None:
    return index.allot_range(target=target, to_n=to_n, mapping_sha=mapping, batch_id=batch_id, at=NOW)


def spans(index: ArrivalIndex, target: str = "crm") -> list[tuple[int, int, str]]:
    return [(found.batch.from_n, found.batch.to_n, found.state) for found in index.ranges(target)]


def write_manifest(folder: Path, batch: Batch) -> None:
    (folder / batch.target / batch.batch_id).mkdir(parents=True)
    (folder / batch.target / batch.batch_id / "manifest.json").write_text(json.dumps({**vars(batch), "parts": []}))


# Ranges


def test_ranges_follow_each_other(open_index: OpenIndex) -> None:
    with open_index() as index:
        assert allot(index, 0) is None
        first = allot(index, 5)
        assert first == Batch(target="crm", batch_id="crm-m-0-5", mapping_sha="m", from_n=0, to_n=5)
        index.mark_range_written(first)
        assert allot(index, 5) is None
        assert allot(index, 3) is None
        second = allot(index, 8)
        assert second is not None
        assert (second.from_n, second.to_n) == (5, 8)
        assert spans(index) == [(0, 5, "written"), (5, 8, "allotted")]
        assert allot(index, 8, target="other") == Batch("other", "other-m-0-8", "m", 0, 8)


def test_a_range_that_was_not_written_is_given_again(open_index: OpenIndex) -> None:
    with open_index() as index:
        first = allot(index, 5)
    with open_index() as index:
        assert allot(index, 9) == first
        assert first is not None
        index.mark_range_written(first)
        index.mark_range_written(first)
        rest = allot(index, 9)
        assert rest is not None
        assert (rest.from_n, rest.to_n) == (5, 9)


def test_an_unwritten_range_takes_the_mapping_in_force(open_index: OpenIndex) -> None:
    with open_index() as index:
        allot(index, 5)
        assert allot(index, 9, "new") == Batch("crm", "crm-new-0-5", "new", 0, 5)
        assert spans(index) == [(0, 5, "allotted")]


def test_a_batch_that_was_never_allotted_cannot_be_written(open_index: OpenIndex) -> None:
    with open_index() as index, pytest.raises(PermanentError, match="allotted before"):
        index.mark_range_written(Batch("crm", "made up", "m", 0, 5))


STEPS = st.lists(st.tuples(st.sampled_from(["allot", "write", "lose"]), st.integers(0, 30)), max_size=15)


@given(steps=STEPS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
def test_written_ranges_cover_each_posting_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Allotting, writing and losing the index in any order: what is written is contiguous from 0 and stays."""
    home = tmp_path_factory.mktemp("home")

    def open_here() -> ArrivalIndex:
        return ArrivalIndex(home / "arrival.db", LandingStore(home / "landing"), batches=home / "crm")

    written: list[Batch] = []
    index = open_here()
    for verb, to_n in steps:
        if verb == "lose":
            index.close()
            (home / "arrival.db").unlink()
            index = open_here()
        elif (batch := allot(index, to_n)) is not None and verb == "write":
            write_manifest(home / "crm", batch)
            index.mark_range_written(batch)
            written.append(batch)
    assert [found.batch for found in index.ranges("crm") if found.state == "written"] == written
    index.close()
    edges = [0, *(batch.to_n for batch in written)]
    assert [batch.from_n for batch in written] == edges[:-1]
    assert edges == sorted(set(edges))


def test_a_manifest_that_is_none_is_an_error(open_index: OpenIndex, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "crm" / "crm" / "b"
    folder.mkdir(parents=True)
    for text in ("", "[]", "{}", '{"target": "crm"}'):
        (folder / "manifest.json").write_text(text)
        with pytest.raises(PermanentError) as caught:
            open_index()
        assert caught.value.code == Code.SIDECAR_DAMAGED
    (folder / "manifest.json").unlink()
    open_index().close()


def allot_and_write(home: Path, worker: int) -> list[tuple[int, int]]:
    mine = []
    with ArrivalIndex(home / "arrival.db", LandingStore(home / "landing"), batches=home / "crm") as index:
        for to_n in range(1, 31):
            while (batch := allot(index, to_n)) is not None:
                index.mark_range_written(batch)
                mine.append((batch.from_n, batch.to_n))
    return mine


def test_processes_at_once_allot_no_gap_and_no_overlap(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as pool:
        list(pool.map(partial(allot_and_write, tmp_path), range(3)))
    with ArrivalIndex(tmp_path / "arrival.db", LandingStore(tmp_path / "landing"), batches=tmp_path / "crm") as index:
        found = spans(index)
    assert [to_n for _, to_n, _ in found] == [from_n for from_n, _, _ in found[1:]] + [30]
    assert found[0][0] == 0


# Reports


def version(index: ArrivalIndex, n: int, inputs: str = "lock", day: date = DAY) -> int:
    return index.report_version(day=day, n=n, inputs_sha=inputs, at=NOW).version


def test_a_report_is_a_new_version_when_anything_changed(open_index: OpenIndex) -> None:
    with open_index() as index:
        assert [version(index, n) for n in (5, 5, 9, 5, 9)] == [1, 1, 2, 1, 2]
        assert version(index, 9, "new lock") == 3
        assert version(index, 9, day=DAY + timedelta(days=1)) == 1
        report = index.report_versions(DAY)[-1]
        assert report == ReportVersion(date=DAY, version=3, n=9, inputs_sha="new lock", made_at=NOW)
        assert index.report_path(report) is None
        index.note_report(report, sha="a" * 64, path="out/reports/2026-11-20/v3")
        assert index.report_path(report) == "out/reports/2026-11-20/v3"


def test_versions_survive_the_index(open_index: OpenIndex, tmp_path: Path, store: LandingStore) -> None:
    with open_index() as index:
        assert [version(index, n) for n in (5, 9)] == [1, 2]
        store.write_report_version(ReportVersion(date=DAY, version=3, n=11, inputs_sha="lock", made_at=NOW))
        assert version(index, 11) == 3
        assert version(index, 12) == 4
    (tmp_path / "arrival.db").unlink()
    with open_index() as index:
        assert [version(index, n) for n in (5, 9, 11, 12, 13)] == [1, 2, 3, 4, 5]


def test_a_kill_at_any_instant_of_allotting_a_version(open_index: OpenIndex, kill_everywhere: Any) -> None:
    def act() -> None:
        with open_index() as index:
            version(index, len(index.report_versions(DAY)) + 1)

    def no_gap() -> None:
        with open_index() as index:
            version(index, 0)
            found = index.report_versions(DAY)
            assert [report.version for report in found] == list(range(1, len(found) + 1))
            index.rebuild()
            assert index.report_versions(DAY) == found

    assert kill_everywhere(act, no_gap) >= 10


# Journals


JOURNAL = Journal(
    journal_id="2026-11-20-0007", target="oracle", date=DAY, from_n=0, to_n=7, sha256="a" * 64, made_at=NOW
)


def test_a_journal_is_recorded_once(open_index: OpenIndex, tmp_path: Path) -> None:
    with open_index() as index:
        index.claim_journal(JOURNAL)
        index.claim_journal(replace(JOURNAL, made_at=NOW + timedelta(days=1)))
        with pytest.raises(PermanentError, match=r"POSTING_DIFFERS .*2026-11-20-0007"):
            index.claim_journal(replace(JOURNAL, sha256="b" * 64))
        assert index.journals("oracle") == [JOURNAL]
        assert index.journals("other") == []
    (tmp_path / "arrival.db").unlink()
    with open_index() as index:
        assert index.journals("oracle") == [JOURNAL]


def test_postings_are_claimed_by_one_journal_only(open_index: OpenIndex) -> None:
    following = replace(JOURNAL, journal_id="2026-11-20-0009", from_n=7, to_n=9)
    with open_index() as index:
        index.claim_journal(JOURNAL)
        with pytest.raises(TransientError, match="BATCH_TAKEN"):
            index.claim_journal(replace(JOURNAL, journal_id="2026-11-20-0008", to_n=8))
        index.claim_journal(following)
        assert index.journals("oracle") == [JOURNAL, following]


@pytest.mark.parametrize("name", ["", "../x", ".x", "a/b", "a\n", "x" * 101])
def test_a_journal_id_is_a_plain_name(open_index: OpenIndex, name: str) -> None:
    with open_index() as index, pytest.raises(PermanentError, match="plain name"):
        index.claim_journal(replace(JOURNAL, journal_id=name))


# Events


def test_an_event_is_new_once_for_each_cause(open_index: OpenIndex) -> None:
    late = Event("late:f:2026-11-20", "late", "f", DAY, Code.REMOTE_MISSING, "text", NOW)
    blocked = Event("blocked:7", "blocked", None, None, Code.CORRECTION_HELD, "text", NOW + timedelta(hours=1))
    with open_index() as index:
        assert [index.note_event(event) for event in (late, blocked, late)] == [True, True, False]
        assert not index.note_event(replace(late, at=NOW + timedelta(days=1)))
        assert index.events() == [late, blocked]
        assert index.events(DAY) == [late]


def test_the_journal_of_an_event_outlives_the_process(open_index: OpenIndex) -> None:
    event = Event("late", "late", "f", DAY, Code.REMOTE_MISSING, "text", NOW)
    child = os.fork()
    if child == 0:
        with open_index() as index:
            index.note_event(event)
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    with open_index() as index:
        assert not index.note_event(event)
