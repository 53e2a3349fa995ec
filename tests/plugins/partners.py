"""Two months of one partner in a real book with its arrival index, and a second partner that never sends anything.

Here: the days, their files and when they came. Not here: what a scorecard or a dispute pack must say of them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest

from counterfoil.errors import Code
from counterfoil.feed import Expected, Feed, Identity
from counterfoil.files import sha256_bytes
from counterfoil.identity import Verdict
from counterfoil.landing.index import ArrivalIndex
from counterfoil.landing.records import Arrival, Delivery, OutcomeState, Refusal
from counterfoil.landing.store import LandingStore
from counterfoil.ledger.known import moment
from counterfoil.ledger.scorecard import Scorecard, scorecard
from counterfoil.ledger.store import Book
from counterfoil.ledger.writing import Writer

OCT_5, OCT_6, OCT_7 = (date(2026, 10, day) for day in (5, 6, 7))
NOV_2, NOV_3, NOV_4 = (date(2026, 11, day) for day in (2, 3, 4))

IN_TIME, IN_GRACE, LATE = time(19), time(20, 59), time(22)
"""The hand-back is due at 20:00 with an hour's grace; days close at 23:00."""

_NOT_INDEXED = 1_000
"""Deliveries from this number on belong to files of ours, which the scorecard never looks up."""


@dataclass(frozen=True)
class TwoMonths:
    """The book, its index, the partners' feeds, and the scorecard of 7 October when that day had just closed."""

    book: Book
    index: ArrivalIndex
    feeds: list[Feed]
    then: Scorecard


@dataclass
class _Keeper:
    """Posts files day by day, each with its delivery."""

    writer: Writer
    index: ArrivalIndex
    post: Callable[..., Any]
    feeds: Mapping[str, Feed]

    def deliver(
        self, content: str, day: date, at: time, number: int, *, came_on: date | None = None, refusal: bool = False
    ) -> Delivery:
        """A hand-back arrives."""
        refused = Refusal(verdict=Verdict.REJECTED, code=Code.ENVELOPE_INVALID, message="no envelope")
        received = datetime.combine(came_on or day, at, UTC)
        arrival = Arrival(
            connection="inbox",
            folder="p/handback",
            name=f"P_{number}",
            size=len(content),
            mtime_ns=int(received.timestamp()),
            payload_sha=sha256_bytes(content.encode()),
            feed="p_handback",
            layout_version=1,
            layout_sha="0" * 64,
            business_date=day,
            epoch="P",
            sequence=number,
            empty=False,
            identity=f"P:{number:06d}",
            received_at=received,
        )
        return self.index.record_delivery(arrival, refused if refusal else None)

    def answer(self, number: int, day: date, at: time, rows: list[dict[str, Any]]) -> int:
        """A hand-back arrives and is posted."""
        one = self.deliver(f"answers {number}", day, at, number)
        n = self._post("handback", rows, day, delivery=one.order, sequence=number, epoch="P", name=one.name)
        self.index.record_outcome(
            one.order, OutcomeState.POSTED, n=n, code=None, message=None, at=one.received_at, run_id="test"
        )
        return n

    def ask(self, day: date, rows: list[dict[str, Any]]) -> None:
        """Requests of ours go out."""
        self._post("requests", rows, day)

    def close(self, day: date, status: str = "received") -> None:
        """A day closes."""
        rows = [
            {"day": day, "feed": "p_handback", "partner": "p", "status": status},
            {"day": day, "feed": "q_handback", "partner": "q", "status": "not_due"},
            {"day": day, "feed": "p_requests", "partner": "p", "status": "missing"},
        ]
        self._post("calendar", rows, day)

    def rates(self, day: date, rows: list[dict[str, Any]]) -> None:
        """Rates land."""
        self._post("rates", rows, day)

    def _post(self, kind: str, rows: list[dict[str, Any]], day: date, **titles: Any) -> int:
        n = self.writer.last_posting() + 1
        given = {"delivery": _NOT_INDEXED + n, "posted_at": datetime.combine(day, time(23)), "identity": f"{day}"}
        posted: int = self.post(self.writer, self.feeds[kind], rows, day, **given | titles).n
        return posted

    def card(self, day: date) -> Scorecard:
        """The scorecard of a day as it is known now."""
        partners = [feed for feed in self.feeds.values() if feed.partner != "counterfoil"]
        return scorecard(
            self.writer, self.index, partners, day=day, moment=moment(self.writer, None), currency="EUR"
        )  # fmt: skip


def _october(keeper: _Keeper) -> Scorecard:
    keeper.rates(
        OCT_5,
        [
            {"minor": 50, "effective_from": date(2026, 10, 1)},
            {"minor": 60, "effective_from": date(2026, 11, 1)},
        ],
    )
    keeper.ask(OCT_5, [{"ref": ref, "points": points, "member": "M100000001"} for ref, points in (
        ("A", 100), ("B", 200), ("C", 300), ("D", 50),
    )])  # fmt: skip
    keeper.answer(1, OCT_5, IN_GRACE, [
        {"ref": "A", "points": 100},
        {"ref": "B", "points": 200, "outcome": "rejected", "reason": "01"},
    ])  # fmt: skip
    keeper.close(OCT_5)
    keeper.answer(3, OCT_6, LATE, [
        {"ref": "A", "points": 100},
        {"ref": "Z", "points": 70, "member": "M900000009"},
        {"ref": "D", "points": 45},
        {"ref": "C", "points": 300, "outcome": "held", "reason": "99"},
    ])  # fmt: skip
    keeper.deliver("answers 3", OCT_6, time(22, 30), 3)
    keeper.close(OCT_6)
    keeper.close(OCT_7, "missing")
    return keeper.card(OCT_7)


def _november(keeper: _Keeper) -> None:
    """One answer is four points short, which the layout tolerates."""
    keeper.ask(NOV_2, [{"ref": "E", "points": 1000}, {"ref": "F", "points": 500}, {"ref": "G", "points": 40}])
    keeper.answer(4, NOV_2, IN_TIME, [
        {"ref": "E", "points": 996},
        {"ref": "F", "points": 500, "outcome": "rejected", "reason": "02"},
        {"ref": "G", "points": 40},
    ])  # fmt: skip
    keeper.deliver("answers 1", NOV_2, time(20), 400)
    keeper.close(NOV_2)
    keeper.deliver("torn", NOV_3, IN_TIME, 5, refusal=True)
    keeper.close(NOV_3, "rejected")
    keeper.deliver("other answers", OCT_6, time(10), 3, came_on=NOV_4)
    keeper.answer(5, NOV_4, LATE, [{"ref": "Y", "points": 70, "outcome": "rejected", "reason": "01"}])
    keeper.close(NOV_4)


@pytest.fixture(scope="session")
def two_months(
    make_book: Callable[[], Book],
    make_feed: Callable[..., Feed],
    post: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[TwoMonths]:
    """October and November as far as they are told: six days, of which the partner was due on each."""
    home: Path = tmp_path_factory.mktemp("two-months")
    feeds = {
        "requests": make_feed("requests", expected=Expected(), answer_due_days=3),
        "handback": make_feed(
            "handback", identity=Identity(by="sequence", gap="warn"), expected=Expected(weekdays=(1, 2, 3, 4, 5)),
            cutoff=time(20), grace_minutes=60, tolerance_points=4, tolerance_monthly_points=10,
            reason_texts={"01": "no such member", "02": "closed", "99": "put off"},
        ),
        "silent": make_feed("handback", partner="q"),
        "rates": make_feed("rates", partner="counterfoil"),
        "calendar": make_feed("calendar", partner="counterfoil"),
    }  # fmt: skip
    book, index = make_book(), ArrivalIndex(home / "arrival.db", LandingStore(home / "landing"), batches=home / "out")
    with closing(index):
        with book.writing(purpose="two months") as writer:
            keeper = _Keeper(writer, index, post, feeds)
            then = _october(keeper)
            _november(keeper)
        partners = [feed for feed in feeds.values() if feed.partner in ("p", "q")]
        yield TwoMonths(book, index, partners, then)
