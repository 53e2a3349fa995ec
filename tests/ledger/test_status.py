"""Which programme day a file belongs to, and a day at a glance."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from counterfoil.errors import Code
from counterfoil.feed import Expected, Feed
from counterfoil.files import sha256_bytes
from counterfoil.identity import Verdict
from counterfoil.landing.index import ArrivalIndex
from counterfoil.landing.records import Arrival, Delivery, OutcomeState, Refusal
from counterfoil.landing.store import LandingStore
from counterfoil.ledger.known import moment
from counterfoil.ledger.status import day_end, day_files, day_status
from counterfoil.ledger.store import Book
from counterfoil.ledger.writing import Writer
from counterfoil.reports.facts import SCHEMAS

MONDAY = date(2026, 11, 16)
TUESDAY = MONDAY + timedelta(days=1)
CLOSED_MONDAY = datetime(2026, 11, 17, 6, tzinfo=UTC)
"""Monday ends at 00:59 UTC on Tuesday (23:59 and an hour's grace) and is closed at six."""

LONG_AGO = date(2020, 1, 1)
POSTINGS_MAX = 3
"""Postings of a test: the fixtures number the delivery behind posting n as n, so these numbers are taken first."""

Posts = Callable[..., Any]
Deliver = Callable[..., Delivery]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[ArrivalIndex]:
    with ArrivalIndex(tmp_path / "arrival.db", LandingStore(tmp_path / "landing"), batches=tmp_path / "out") as opened:
        yield opened


@pytest.fixture
def feeds(make_feed: Posts) -> list[Feed]:
    return [
        make_feed("handback", grace_minutes=60, expected=Expected(weekdays=(1, 2, 3, 4, 5))),
        make_feed("requests", grace_minutes=30),
    ]


@pytest.fixture
def writer(make_book: Callable[[], Book]) -> Iterator[Writer]:
    with make_book().writing(purpose="test") as opened:
        yield opened


@pytest.fixture
def deliver(index: ArrivalIndex) -> Deliver:
    """``deliver(name, received_at, day)``: a landed file of the hand-back feed, unless ``changes`` say otherwise."""

    def record(
        name: str, received_at: datetime, day: date | None = None, *, refusal: Refusal | None = None, **changes: Any
    ) -> Delivery:
        given: dict[str, Any] = {
            "connection": "inbox", "folder": "p/handback", "name": name, "size": len(name), "mtime_ns": 0,
            "payload_sha": sha256_bytes(name.encode()), "feed": "p_handback", "layout_version": 1,
            "layout_sha": "0" * 64, "business_date": day, "epoch": "", "sequence": None, "empty": False,
            "identity": f"{day} {name}", "received_at": received_at,
        }  # fmt: skip
        return index.record_delivery(Arrival(**given | changes), refusal)

    for number in range(POSTINGS_MAX):
        record(f"posted {number}", datetime(2020, 1, 1, tzinfo=UTC), LONG_AGO)
    return record


def unclaimed(deliver: Deliver, received_at: datetime) -> Delivery:
    refusal = Refusal(verdict=Verdict.HELD, code=Code.FILE_UNCLAIMED, message="no layout claims it")
    nothing = dict.fromkeys(("feed", "layout_version", "layout_sha", "identity"))
    return deliver("README.txt", received_at, refusal=refusal, **nothing)


def close(writer: Writer, make_feed: Posts, post: Posts, day: date) -> None:
    post(writer, make_feed("calendar", partner="counterfoil"), [{"day": day}], day)
    at = (CLOSED_MONDAY + (day - MONDAY)).replace(tzinfo=None)
    writer._connection.execute("UPDATE book.posting SET posted_at = ? WHERE on_day = ?", [at, day])


def days_of(writer: Writer, index: ArrivalIndex, feeds: list[Feed]) -> dict[str, list[date]]:
    """The days under which each file is listed."""
    found: dict[str, list[date]] = {}
    for number in range(-2, 12):
        day = MONDAY + timedelta(days=number)
        for name in day_files(writer, index, feeds, day, moment(writer, None)).filter(pl.col("state") != "posted")[
            "name"
        ]:
            found.setdefault(name, []).append(day)
    return found


def test_a_day_ends_when_the_last_feed_has_had_its_grace(make_feed: Posts) -> None:
    east = make_feed("requests", zone="Asia/Singapore", cutoff="23:00")
    west = make_feed("handback", zone="America/Toronto", cutoff="23:00", grace_minutes=60)
    assert day_end([east, west], MONDAY) == datetime(2026, 11, 17, 5, tzinfo=UTC)
    assert day_end([east], MONDAY) == datetime(2026, 11, 16, 15, tzinfo=UTC)
    assert day_end([], MONDAY) == datetime(2026, 11, 17, tzinfo=UTC)


def test_a_file_without_effect_counts_for_its_business_date(
    writer: Writer, index: ArrivalIndex, feeds: list[Feed], deliver: Deliver, make_feed: Posts, post: Posts
) -> None:
    deliver("held", CLOSED_MONDAY - timedelta(minutes=5), MONDAY)
    close(writer, make_feed, post, MONDAY)
    assert days_of(writer, index, feeds) == {"held": [MONDAY]}


def test_a_file_for_a_closed_day_or_of_no_day_counts_for_the_day_that_runs(
    writer: Writer, index: ArrivalIndex, feeds: list[Feed], deliver: Deliver, make_feed: Posts, post: Posts
) -> None:
    close(writer, make_feed, post, MONDAY)
    deliver("late", CLOSED_MONDAY + timedelta(hours=3), MONDAY)
    unclaimed(deliver, CLOSED_MONDAY + timedelta(hours=4))
    assert days_of(writer, index, feeds) == {"late": [TUESDAY], "README.txt": [TUESDAY]}


def test_a_file_of_no_day_that_comes_in_the_night_counts_for_the_day_about_to_close(
    writer: Writer, index: ArrivalIndex, feeds: list[Feed], deliver: Deliver, make_feed: Posts, post: Posts
) -> None:
    unclaimed(deliver, CLOSED_MONDAY - timedelta(minutes=5))
    close(writer, make_feed, post, MONDAY)
    assert days_of(writer, index, feeds) == {"README.txt": [MONDAY]}


def test_a_date_that_is_not_believed_is_not_where_the_file_is_listed(
    writer: Writer, index: ArrivalIndex, feeds: list[Feed], deliver: Deliver, make_feed: Posts, post: Posts
) -> None:
    close(writer, make_feed, post, MONDAY)
    refusal = Refusal(verdict=Verdict.HELD, code=Code.BUSINESS_DATE_FAR, message="business date far off")
    deliver("far", CLOSED_MONDAY + timedelta(hours=1), MONDAY + timedelta(days=10), refusal=refusal)
    assert days_of(writer, index, feeds) == {"far": [TUESDAY]}


def test_a_posted_file_counts_for_the_day_of_its_posting_with_the_figures_of_the_book(
    writer: Writer, index: ArrivalIndex, feeds: list[Feed], deliver: Deliver, make_feed: Posts, post: Posts
) -> None:
    handback = feeds[0]
    delivery = deliver("answers", CLOSED_MONDAY, MONDAY)
    post(writer, handback, [{"ref": "A", "points": 70}, {"ref": "B", "points": -20}], TUESDAY)
    writer._connection.execute("UPDATE book.posting SET delivery = ?", [delivery.order])
    index.record_outcome(
        delivery.order, OutcomeState.POSTED, n=1, code=None, message=None, at=CLOSED_MONDAY, run_id="test"
    )
    assert day_files(writer, index, feeds, MONDAY, moment(writer, None)).is_empty()
    files = day_files(writer, index, feeds, TUESDAY, moment(writer, None))
    assert dict(files.schema) == SCHEMAS["files"]
    row = files.row(0, named=True)
    assert (row["order"], row["state"], row["posting"], row["verdict"]) == (delivery.order, "posted", 1, "new")
    assert (row["lines"], row["records"], row["accepted"], row["points_net"]) == (3, 2, 2, 50)
    assert row["received_at"] == "2026-11-17T06:00:00.000Z"


@pytest.mark.parametrize(
    ("outcome", "state"), [(None, "waiting"), (OutcomeState.REJECTED, "rejected"), (OutcomeState.HELD, "held")]
)
def test_the_last_outcome_says_how_a_file_stands(
    writer: Writer, index: ArrivalIndex, feeds: list[Feed], deliver: Deliver, outcome: OutcomeState | None, state: str
) -> None:
    delivery = deliver("file", CLOSED_MONDAY, MONDAY)
    if outcome:
        code = Code.CONTROL_TOTAL_WRONG
        index.record_outcome(
            delivery.order, outcome, n=None, code=code, message="wrong", at=CLOSED_MONDAY, run_id="test"
        )
    row = day_files(writer, index, feeds, MONDAY, moment(writer, None)).row(0, named=True)
    assert (row["state"], row["code"], row["message"]) == (
        (state, "CONTROL_TOTAL_WRONG", "wrong") if outcome else (state, None, None)
    )
    assert (row["posting"], row["lines"], row["accepted"]) == (None, 0, 0)


def test_the_same_content_again_is_a_replay(
    writer: Writer, index: ArrivalIndex, feeds: list[Feed], deliver: Deliver
) -> None:
    first = deliver("file", CLOSED_MONDAY, MONDAY)
    deliver("file", CLOSED_MONDAY, MONDAY, mtime_ns=1)
    files = day_files(writer, index, feeds, MONDAY, moment(writer, None))
    assert files.select("order", "verdict", "state").rows() == [
        (first.order, "new", "waiting"),
        (first.order + 1, "replay", "replay"),
    ]


def test_a_day_at_a_glance_has_a_row_for_every_feed(
    writer: Writer, index: ArrivalIndex, feeds: list[Feed], deliver: Deliver, make_feed: Posts, post: Posts
) -> None:
    _, requests = feeds
    deliver("waiting", CLOSED_MONDAY - timedelta(hours=1), MONDAY)
    unclaimed(deliver, CLOSED_MONDAY - timedelta(hours=1))
    post(writer, requests, [{"ref": "A", "points": 70}, {"ref": "A", "points": 70}], MONDAY)
    before = {row["feed"]: row for row in day_status(writer, index, feeds, MONDAY, moment(writer, None)).to_dicts()}
    assert set(before) == {"", "p_handback", "p_requests"}
    assert before["p_handback"] == dict.fromkeys(before[""], 0) | {
        "feed": "p_handback", "partner": "p", "expected": True, "closed": False, "files": 1, "waiting": 1,
    }  # fmt: skip
    assert (before["p_requests"]["posted"], before["p_requests"]["accepted"]) == (1, 2)
    assert before["p_requests"]["open_breaks"] == 1
    assert (before[""]["held"], before[""]["partner"]) == (1, "")
    missing = [{"day": MONDAY, "feed": "p_handback", "partner": "p", "status": "missing"}]
    post(writer, make_feed("calendar", partner="counterfoil"), missing, MONDAY)
    after = {row["feed"]: row for row in day_status(writer, index, feeds, MONDAY, moment(writer, None)).to_dicts()}
    assert set(after) == {"", "counterfoil_calendar", "p_handback", "p_requests"}
    assert all(row["closed"] for row in after.values())
    assert after["p_handback"]["open_breaks"] == 1


def test_weekends_expect_nothing(writer: Writer, index: ArrivalIndex, feeds: list[Feed]) -> None:
    sunday = MONDAY - timedelta(days=1)
    assert not day_status(writer, index, feeds, sunday, moment(writer, None))["expected"].any()
