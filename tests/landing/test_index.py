"""The arrival index: looks, deliveries, outcomes and verdicts; two processes at once; lost and made again."""

import os
import sqlite3
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
from counterfoil.files import sha256_bytes
from counterfoil.identity import POSTING_VERDICTS, Verdict
from counterfoil.landing import database
from counterfoil.landing.index import ArrivalIndex
from counterfoil.landing.records import Arrival, Delivery, Outcome, OutcomeState, Refusal
from counterfoil.landing.store import LandingStore
from counterfoil.protocols import RemoteFile

NOW = datetime(2026, 11, 20, 22, 15, tzinfo=UTC)
DAY = date(2026, 11, 20)
FILE = RemoteFile(folder="out", name="NSTR0011", size=10, mtime_ns=5)

OpenIndex = Callable[[], ArrivalIndex]
MakeArrival = Callable[..., Arrival]


def end(
    index: ArrivalIndex, delivery: Delivery, state: OutcomeState, *, n: int | None = None, code: Code | None = None
) -> Outcome:
    return index.record_outcome(delivery.order, state, n=n, code=code, message=None, at=NOW, run_id="run")


def sidecars(tmp_path: Path, folder: str) -> list[str]:
    return sorted(path.name for path in (tmp_path / "landing" / folder).glob("*.json"))


# Looks


def test_quiet_time_counts_from_the_first_look_at_this_size_and_time(open_index: OpenIndex) -> None:
    with open_index() as index:
        assert [look.first_seen for look in index.note_looks("c", [FILE], NOW)] == [NOW]
    later = NOW + timedelta(minutes=5)
    with open_index() as index:
        grown = replace(FILE, size=11)
        looks = index.note_looks("c", [FILE, grown, replace(FILE, folder="in")], later)
        assert [(look.file, look.first_seen) for look in looks] == [
            (FILE, NOW),
            (grown, later),
            (replace(FILE, folder="in"), later),
        ]
        assert index.note_looks("other", [FILE], later)[0].first_seen == later


def test_a_file_that_changed_and_changed_back_is_not_quiet(open_index: OpenIndex) -> None:
    with open_index() as index:
        for minute, file in enumerate([FILE, replace(FILE, mtime_ns=6), FILE]):
            at = NOW + timedelta(minutes=minute)
            assert index.note_looks("c", [file], at)[0].first_seen == at
        at = NOW + timedelta(minutes=9)
        assert index.note_looks("c", [FILE], at)[0].first_seen == NOW + timedelta(minutes=2)


def test_an_empty_listing(open_index: OpenIndex) -> None:
    with open_index() as index:
        assert index.note_looks("c", [], NOW) == []


def test_a_clock_set_back_breaks_nothing(open_index: OpenIndex) -> None:
    with open_index() as index:
        index.note_looks("c", [FILE], NOW)
        assert index.note_looks("c", [FILE], NOW - timedelta(hours=1))[0].first_seen == NOW


def test_names_are_data_whatever_they_hold(open_index: OpenIndex, make_arrival: MakeArrival, tmp_path: Path) -> None:
    names = [
        "../../etc/x",
        "/etc/passwd",
        "a\nb",
        "a'; DROP TABLE looks; --",
        os.fsdecode(b"\xff"),
        "",
        "x" * 255,
        "a\0b",
    ]
    with open_index() as index:
        files = [replace(FILE, name=name) for name in names]
        assert [look.file.name for look in index.note_looks("c", files, NOW)] == names
        for file in files:
            arrival = make_arrival(connection="c", folder=file.folder, name=file.name, size=10, mtime_ns=5)
            index.record_delivery(replace(arrival, payload_sha=sha256_bytes(os.fsencode(file.name))))
        assert all(look.delivered for look in index.note_looks("c", files, NOW))
        (other,) = index.note_looks("c", [replace(FILE, name="\\xdcff")], NOW)
        assert not other.delivered
    outside = {path for path in tmp_path.rglob("*") if path.is_file()} - set((tmp_path / "landing").rglob("*"))
    assert {path.name.removesuffix("-wal").removesuffix("-shm") for path in outside} == {"arrival.db"}
    with open_index() as index:
        index.rebuild()
        assert all(look.delivered for look in index.note_looks("c", files, NOW))


def test_attempts_rise_for_this_version_of_the_file_only(open_index: OpenIndex) -> None:
    with open_index() as index:
        assert index.note_failure("c", FILE, Code.CONNECTION_LOST) == 0
        index.note_looks("c", [FILE, replace(FILE, size=11)], NOW)
        assert [index.note_failure("c", FILE, Code.CONNECTION_LOST) for _ in range(3)] == [1, 2, 3]
        looks = index.note_looks("c", [FILE, replace(FILE, size=11)], NOW)
        assert [(look.attempts, look.code) for look in looks] == [(3, "CONNECTION_LOST"), (0, None)]


# Deliveries


def test_a_delivery_reads_back_from_row_and_sidecar(
    open_index: OpenIndex, make_arrival: MakeArrival, store: LandingStore
) -> None:
    with open_index() as index:
        delivery = index.record_delivery(make_arrival())
        assert (delivery.order, delivery.verdict, delivery.code, delivery.message) == (1, Verdict.NEW, None, None)
        assert index.delivery(1) == delivery == store.read_delivery(1)
        assert index.delivery(2) is None
        file = RemoteFile(delivery.folder, delivery.name, delivery.size, delivery.mtime_ns)
        seen = [
            *index.note_looks("northstar", [file, replace(file, mtime_ns=1)], NOW),
            *index.note_looks("other", [file], NOW),
        ]
        assert [look.delivered for look in seen] == [True, False, False]


def test_the_same_delivery_again_is_the_one_that_exists(open_index: OpenIndex, make_arrival: MakeArrival) -> None:
    with open_index() as index:
        first = index.record_delivery(make_arrival())
        assert index.record_delivery(make_arrival(received_at=NOW + timedelta(days=1))) == first
        assert index.deliveries() == [first]


def test_a_refused_file_is_compared_with_nothing(open_index: OpenIndex, make_arrival: MakeArrival) -> None:
    error = PermanentError(Code.FILE_UNCLAIMED, "x", found="no layout", expected="one", remedy="Add one")
    unclaimed = make_arrival(feed=None, identity=None, layout_version=None, layout_sha=None, business_date=None)
    with open_index() as index:
        delivery = index.record_delivery(unclaimed, Refusal.of(Verdict.HELD, error))
        assert (delivery.verdict, delivery.code, delivery.message) == ("held", "FILE_UNCLAIMED", str(error))
        assert index.pending() == []
        assert index.record_delivery(unclaimed, Refusal.of(Verdict.HELD, error)) == delivery
        # Claimed by a layout that was added since, it is a delivery of its own.
        assert index.record_delivery(make_arrival()).verdict == Verdict.NEW
        with pytest.raises(PermanentError, match="a compared file has a feed and an identity"):
            index.record_delivery(make_arrival("other", feed=None))
        assert len(index.deliveries()) == 2


def test_deliveries_by_feed_and_day(open_index: OpenIndex, make_arrival: MakeArrival) -> None:
    with open_index() as index:
        for number, (feed, day) in enumerate([("a", DAY), ("b", DAY), ("a", DAY + timedelta(days=1))]):
            index.record_delivery(make_arrival(str(number), feed=feed, business_date=day, identity=str(number)))
        assert [found.order for found in index.deliveries(feed="a")] == [1, 3]
        assert [found.order for found in index.deliveries(day=DAY)] == [1, 2]
        assert [found.order for found in index.deliveries(feed="a", day=DAY)] == [1]
        assert [found.order for found in index.deliveries(since=DAY)] == [1, 2, 3]
        assert [found.order for found in index.deliveries(feed="a", since=DAY + timedelta(days=1))] == [3]
        assert [found.order for found in index.pending(feed="a")] == [1, 3]
        assert [found.order for found in index.pending(feed="a", day=DAY)] == [1]
        assert [found.order for found in index.pending()] == [1, 2, 3]


# Verdicts against what happened


def test_replay_correction_and_renamed_replay_do_not_post(open_index: OpenIndex, make_arrival: MakeArrival) -> None:
    with open_index() as index:
        end(index, index.record_delivery(make_arrival("one")), OutcomeState.POSTED, n=1)
        replay = index.record_delivery(make_arrival("one", name="again"))
        correction = index.record_delivery(make_arrival("two"))
        renamed = index.record_delivery(make_arrival("one", identity="NSTR:000012"))
        assert [found.verdict for found in (replay, correction, renamed)] == ["replay", "correction", "renamed_replay"]
        assert [found.code for found in (replay, correction, renamed)] == [
            None,
            "CORRECTION_HELD",
            "RENAMED_REPLAY_HELD",
        ]
        assert correction.message is not None
        assert correction.message.startswith("CORRECTION_HELD northstar_requests NSTR:000011: ")
        assert index.pending() == []


def test_another_feed_is_another_story(open_index: OpenIndex, make_arrival: MakeArrival) -> None:
    with open_index() as index:
        index.record_delivery(make_arrival())
        assert index.record_delivery(make_arrival(feed="northstar_handback")).verdict == Verdict.NEW


def test_what_was_rejected_may_come_again(open_index: OpenIndex, make_arrival: MakeArrival) -> None:
    with open_index() as index:
        end(index, index.record_delivery(make_arrival("one")), OutcomeState.REJECTED, code=Code.CONTROL_TOTAL_WRONG)
        assert index.pending() == []
        again = index.record_delivery(make_arrival("one", mtime_ns=9))
        assert again.verdict == Verdict.REPLACEMENT
        end(index, again, OutcomeState.REJECTED, code=Code.CONTROL_TOTAL_WRONG)
        mended = index.record_delivery(make_arrival("two", mtime_ns=10))
        assert mended.verdict == Verdict.REPLACEMENT
        assert index.pending() == [mended]


def test_of_two_waiting_under_one_identity_the_first_to_post_wins(
    open_index: OpenIndex, make_arrival: MakeArrival
) -> None:
    with open_index() as index:
        first, second = (index.record_delivery(make_arrival(content)) for content in ("one", "two"))
        assert second.verdict == Verdict.REPLACEMENT
        assert index.pending() == [first, second]
        end(index, first, OutcomeState.POSTED, n=1)
        assert index.judge(second).verdict == Verdict.CORRECTION
        end(index, second, OutcomeState.HELD, code=Code.CORRECTION_HELD)
        assert index.pending() == []


def test_held_for_a_gap_waits_until_it_is_filled_or_replaced(open_index: OpenIndex, make_arrival: MakeArrival) -> None:
    with open_index() as index:
        early = index.record_delivery(make_arrival("one", identity="NSTR:000012", sequence=12))
        end(index, early, OutcomeState.HELD, code=Code.SEQUENCE_GAP)
        assert index.pending() == [early]
        better = index.record_delivery(make_arrival("two", identity="NSTR:000012", sequence=12))
        assert better.verdict == Verdict.REPLACEMENT
        assert index.pending() == [better]
        # Passed over for good, it is nothing that a copy could repeat.
        assert index.record_delivery(make_arrival("one", identity="NSTR:000012", mtime_ns=9)).verdict == "replacement"


def test_judging_sees_what_posted_after_it_was_delivered(open_index: OpenIndex, make_arrival: MakeArrival) -> None:
    """A file held for a person, whose content came again under its right identity and posted meanwhile."""
    with open_index() as index:
        held = index.record_delivery(make_arrival("one", identity="2025-11-20"))
        end(index, held, OutcomeState.HELD, code=Code.BUSINESS_DATE_FAR)
        right = index.record_delivery(make_arrival("one", identity="2026-11-20"))
        assert right.verdict == Verdict.NEW
        end(index, right, OutcomeState.POSTED, n=1)
        assert index.judge(held).verdict == Verdict.RENAMED_REPLAY


STORY = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), st.sampled_from("ABC"), st.sampled_from("pqr")),
        st.tuples(st.just("work"), st.sampled_from(["posted", "rejected", "held", "gap"]), st.integers(0, 3)),
        st.tuples(st.just("rebuild"), st.just(""), st.just(0)),
    ),
    max_size=14,
)


@given(story=STORY)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
def test_nothing_posts_twice_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, make_arrival: MakeArrival, story: list[tuple[str, str, Any]]
) -> None:
    home = tmp_path_factory.mktemp("home")
    posted: list[Delivery] = []
    with ArrivalIndex(home / "arrival.db", LandingStore(home / "landing"), batches=home / "crm") as index:
        for step, (verb, one, two) in enumerate(story):
            if verb == "deliver":
                index.record_delivery(make_arrival(two, identity=one, mtime_ns=step))
            elif verb == "rebuild":
                before = (index.deliveries(), index.pending())
                index.rebuild()
                assert (index.deliveries(), index.pending()) == before
            elif pending := index.pending():
                work(index, pending[two % len(pending)], one, posted)
    identities = [delivery.identity for delivery in posted]
    assert len(identities) == len(set(identities))
    assert len(posted) == len({delivery.payload_sha for delivery in posted})


def work(index: ArrivalIndex, delivery: Delivery, fate: str, posted: list[Delivery]) -> None:
    if index.judge(delivery).verdict not in POSTING_VERDICTS:
        end(index, delivery, OutcomeState.HELD, code=Code.CORRECTION_HELD)
    elif fate == "posted":
        posted.append(delivery)
        end(index, delivery, OutcomeState.POSTED, n=len(posted))
    elif fate == "gap":
        end(index, delivery, OutcomeState.HELD, code=Code.SEQUENCE_GAP)
    else:
        end(index, delivery, OutcomeState(fate), code=Code.UNREADABLE_AMOUNTS)


# Outcomes


def test_an_outcome_is_written_if_it_differs(open_index: OpenIndex, make_arrival: MakeArrival, tmp_path: Path) -> None:
    with open_index() as index:
        delivery = index.record_delivery(make_arrival())
        gap = end(index, delivery, OutcomeState.HELD, code=Code.SEQUENCE_GAP)
        assert (
            index.record_outcome(
                1,
                OutcomeState.HELD,
                n=None,
                code="SEQUENCE_GAP",
                message=None,
                at=NOW + timedelta(days=1),
                run_id="other",
            )
            == gap
        )
        posted = end(index, delivery, OutcomeState.POSTED, n=7)
        assert (gap.k, posted.k) == (1, 2)
        assert index.latest_outcomes([1, 2]) == {1: posted}
        assert index.posted_through() == 7
    assert sidecars(tmp_path, "outcomes") == ["00000001-1.json", "00000001-2.json"]


def test_two_deliveries_are_never_the_same_posting(open_index: OpenIndex, make_arrival: MakeArrival) -> None:
    with open_index() as index:
        first, second = (index.record_delivery(make_arrival(text, identity=text)) for text in "ab")
        end(index, first, OutcomeState.POSTED, n=1)
        with pytest.raises(sqlite3.IntegrityError):
            end(index, second, OutcomeState.POSTED, n=1)


# Lost, damaged, killed


def everything(index: ArrivalIndex) -> tuple[object, ...]:
    deliveries = index.deliveries()
    return deliveries, index.latest_outcomes(found.order for found in deliveries), index.pending()


def test_a_lost_index_fills_itself_from_the_store(
    open_index: OpenIndex, make_arrival: MakeArrival, tmp_path: Path
) -> None:
    with open_index() as index:
        for number in range(1, 6):
            delivery = index.record_delivery(make_arrival(str(number), identity=str(number)))
            if number < 4:
                end(index, delivery, OutcomeState.HELD, code=Code.SEQUENCE_GAP)
                end(index, delivery, OutcomeState.POSTED, n=number)
        before = everything(index)
    (tmp_path / "arrival.db").unlink()
    with open_index() as index:
        assert everything(index) == before
        index.rebuild()
        assert everything(index) == before
        assert index.record_delivery(make_arrival("6", identity="6")).order == 6


def test_sidecars_that_a_crash_left_without_rows_are_found(
    open_index: OpenIndex, make_arrival: MakeArrival, store: LandingStore
) -> None:
    with open_index() as index:
        first = index.record_delivery(make_arrival("1", identity="1"))
        store.write_delivery(replace(first, order=2, identity="2", payload_sha="2" * 64, name="stray"))
        assert index.record_delivery(make_arrival("3", identity="3")).order == 3
        stray = index.delivery(2)
        assert stray is not None
        assert stray.name == "stray"
        # An outcome that only the store knows must not look like work to do.
        outcome = Outcome(
            order=2, k=1, state=OutcomeState.POSTED, n=1, code=None, message=None, at=NOW, run_id="killed"
        )
        store.write_outcome(outcome)
        assert [found.order for found in index.pending()] == [1, 3]
        store.write_outcome(replace(outcome, order=3, n=2))
        third = index.delivery(3)
        assert third is not None
        assert end(index, third, OutcomeState.POSTED, n=2).run_id == "killed"


def test_a_kill_at_any_instant_of_recording(
    open_index: OpenIndex, make_arrival: MakeArrival, kill_everywhere: Any, kill_each: Any, tmp_path: Path
) -> None:
    """Killed at each system call, then at each SQL statement: sidecars, rows and a rebuilt index agree."""

    def act(statements: int = 10_000) -> None:
        with open_index() as index:
            kill_at_statement(index, statements)
            count = len(sidecars(tmp_path, "deliveries"))
            delivery = index.record_delivery(make_arrival(str(count), identity=str(count)))
            end(index, delivery, OutcomeState.POSTED, n=delivery.order)

    def agree() -> None:
        with open_index() as index:
            closing = f"after {len(index.deliveries())}"
            index.record_delivery(make_arrival(closing, identity=closing))
            pending = index.pending()
            found = everything(index)
            index.rebuild()
            assert everything(index) == found
            assert [delivery.order for delivery in index.deliveries()] == list(range(1, len(index.deliveries()) + 1))
            for delivery in pending:
                end(index, delivery, OutcomeState.POSTED, n=delivery.order)

    assert kill_everywhere(act, agree) >= 20
    assert kill_each(act, agree) >= 10


def kill_at_statement(index: ArrivalIndex, left: int) -> None:
    remaining = iter(range(left))

    def tick(_: str) -> None:
        if next(remaining, None) is None:
            os.kill(os.getpid(), 9)

    index._db._connection.set_trace_callback(tick)


def test_a_damaged_index_says_what_to_do(open_index: OpenIndex, tmp_path: Path) -> None:
    (tmp_path / "arrival.db").write_bytes(b"no database" * 100)
    with pytest.raises(PermanentError) as caught:
        open_index()
    assert caught.value.code == Code.INDEX_UNUSABLE
    assert "Move it away" in str(caught.value)


def test_an_index_of_a_newer_program_is_refused(open_index: OpenIndex, tmp_path: Path) -> None:
    open_index().close()
    with sqlite3.connect(tmp_path / "arrival.db") as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(PermanentError, match=r"INDEX_UNUSABLE .*version 99"):
        open_index()


def test_a_writer_that_never_ends_is_named(
    open_index: OpenIndex, make_arrival: MakeArrival, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_WAIT_S", 0.1)
    with open_index() as index, sqlite3.connect(tmp_path / "arrival.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TransientError) as caught:
            index.record_delivery(make_arrival())
        assert caught.value.code == Code.INDEX_BUSY
        other.execute("ROLLBACK")
        assert index.record_delivery(make_arrival()).order == 1
    assert sidecars(tmp_path, "deliveries") == ["00000001.json"]


def test_no_room_for_the_index_changes_nothing(
    open_index: OpenIndex, make_arrival: MakeArrival, tmp_path: Path
) -> None:
    with open_index() as index:
        index.record_delivery(make_arrival("1", identity="1"))
        before = everything(index)
        index._db._connection.execute("PRAGMA max_page_count=1")
        many = [replace(FILE, name=f"{number:0200d}") for number in range(200)]
        with pytest.raises(TransientError) as caught:
            index.note_looks("c", many, NOW)
        assert caught.value.code == Code.DISK_FULL
        assert str(tmp_path) in str(caught.value)
        assert everything(index) == before


# Two at once


def record_many(home: Path, make: partial[Arrival], worker: int) -> list[int]:
    """Fifteen files of this worker's own and fifteen that every worker fetches; returns their orders in turn."""
    with ArrivalIndex(home / "arrival.db", LandingStore(home / "landing"), batches=home / "crm") as index:
        orders = []
        for number in range(15):
            for name in (f"{worker} {number}", f"shared {number}"):
                arrival = make(identity=name, name=name, payload_sha=sha256_bytes(name.encode()))
                orders.append(index.record_delivery(arrival).order)
        return orders


def test_processes_at_once_give_each_file_one_order(tmp_path: Path, make_arrival: MakeArrival) -> None:
    make = partial(replace, make_arrival())
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as pool:
        found = list(pool.map(partial(record_many, tmp_path, make), range(3)))
    with ArrivalIndex(tmp_path / "arrival.db", LandingStore(tmp_path / "landing"), batches=tmp_path / "crm") as index:
        deliveries = index.deliveries()
    assert [delivery.order for delivery in deliveries] == list(range(1, 61))
    assert all(delivery.verdict == Verdict.NEW for delivery in deliveries)
    shared = {tuple(orders[1::2]) for orders in found}
    assert len(shared) == 1
    assert len({order for orders in found for order in orders}) == 60
    assert len(sidecars(tmp_path, "deliveries")) == 60
