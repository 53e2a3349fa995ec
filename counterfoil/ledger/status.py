"""A programme day at a glance: its files with what became of them, and what each feed brought and left open.

Here: the book beside the arrival index. Not here: what a file holds (``extracts``), or any judgement (``reports``).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from counterfoil.clock import utc_text
from counterfoil.errors import Code
from counterfoil.feed import Feed
from counterfoil.identity import Verdict
from counterfoil.landing.index import ArrivalIndex
from counterfoil.landing.records import Delivery, Outcome, OutcomeState
from counterfoil.ledger import extracts
from counterfoil.ledger.known import Moment, known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.open_breaks import open_breaks

WAITING: Final = "waiting"
"""The state of a file that landed and has no outcome yet."""

FILES: Final = {
    "order": pl.Int64,
    "feed": pl.String,
    "partner": pl.String,
    "name": pl.String,
    "identity": pl.String,
    "business_date": pl.Date,
    "received_at": pl.String,
    "lines": pl.Int64,
    "envelope_lines": pl.Int64,
    "records": pl.Int64,
    "accepted": pl.Int64,
    "quarantined": pl.Int64,
    "points_net": pl.Int64,
    "verdict": pl.String,
    "state": pl.String,
    "code": pl.String,
    "message": pl.String,
    "posting": pl.Int64,
    "payload_sha": pl.String,
}
"""One delivery a row; ``code``, ``message`` and ``posting`` may be null, other texts are empty instead."""

_STANDING: Final = {
    Verdict.NEW: WAITING,
    Verdict.REPLACEMENT: WAITING,
    Verdict.REPLAY: "replay",
    Verdict.REJECTED: "rejected",
}
"""How a file stands that has no outcome, by its verdict on arrival; any other is held."""

_DAYS_BACK: Final = 4
"""A cut-off and its grace end within this many days of the day they belong to."""


def day_end(feeds: Sequence[Feed], day: date) -> datetime:
    """The instant a programme day ends: once every feed's cut-off and grace have passed; midnight UTC without feeds."""
    ends = [due_at(feed, day) for feed in feeds]
    return max(ends, default=datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)).astimezone(UTC)


def due_at(feed: Feed, day: date) -> datetime:
    """The last instant at which a feed's file for a day is in time: its cut-off plus the grace."""
    return datetime.combine(day, feed.cutoff, ZoneInfo(feed.zone)) + timedelta(minutes=feed.grace_minutes)


def expected(feed: Feed, day: date) -> bool:
    """Whether the feed's contract has a file due on a day."""
    return feed.expected is not None and day.isoweekday() in feed.expected.weekdays


def day_files(book: Lookups, index: ArrivalIndex, feeds: Sequence[Feed], day: date, moment: Moment) -> pl.DataFrame:
    """The files of a programme day as FILES, by order, as they stood at a moment; each delivery belongs to one day.

    A posted file belongs to the day its posting fell on; its figures are those of the book. Any other belongs to its
    business date or, where that is missing, not to be believed, or was closed before the file came, to the day that was
    running then; its figures are 0, for nothing of it is in the book. ``state``: posted, replay, held, rejected or
    waiting. Reads every delivery's row of the index: a few a day.
    """
    postings = extracts.postings_of(book, day, moment.n)
    found = [*_posted(book, index, postings), *_others(book, index, feeds, day, moment)]
    return pl.DataFrame(found, schema=FILES).sort("order")


def day_status(book: Lookups, index: ArrivalIndex, feeds: Sequence[Feed], day: date, moment: Moment) -> pl.DataFrame:
    """A row a feed, as a day stood at a moment: feed, partner, expected, closed, files, posted, replay, held, rejected,
    waiting (files by state), accepted, quarantined (rows posted), open_breaks; sorted by feed.

    ``expected``: the feed's contract has a file due that day; ``closed``: the day is. Besides ``feeds`` it lists every
    feed of a file or break; a file that no layout claims stands under an empty feed.
    """
    closed = book.row("SELECT 1 FROM book.closed_day WHERE day = ? AND file_id <= ? LIMIT 1", day, moment.n) is not None
    files = day_files(book, index, feeds, day, moment)
    states = ("posted", "replay", "held", "rejected", WAITING)
    brought = files.group_by("feed").agg(
        pl.col("partner").first(),
        pl.len().cast(pl.Int64).alias("files"),
        *((pl.col("state") == state).sum().cast(pl.Int64).alias(state) for state in states),
        pl.col("accepted", "quarantined").sum(),
    )
    left = open_breaks(book, known(book, day, moment.n)).group_by("feed").agg(
        pl.col("partner").first().alias("break_partner"), open_breaks=pl.len().cast(pl.Int64)
    )  # fmt: skip
    declared = pl.DataFrame(
        [(feed.feed, feed.partner, expected(feed, day)) for feed in feeds],
        schema={"feed": pl.String, "declared": pl.String, "expected": pl.Boolean},
        orient="row",
    )
    every = declared.join(brought, on="feed", how="full", coalesce=True).join(
        left, on="feed", how="full", coalesce=True
    )
    counts = ("files", *states, "accepted", "quarantined", "open_breaks")
    return every.select(
        "feed",
        pl.coalesce("declared", "partner", "break_partner").alias("partner"),
        pl.col("expected").fill_null(value=False),
        pl.lit(closed).alias("closed"),
        pl.col(counts).fill_null(0),
    ).sort("feed")


def _posted(book: Lookups, index: ArrivalIndex, postings: pl.DataFrame) -> list[dict[str, object]]:
    """Rows of the files behind postings."""
    figures = {row["posting"]: row for row in extracts.stage1(book, postings["n"]).to_dicts()}
    named = ("lines", "envelope_lines", "records", "accepted", "quarantined", "points_net")
    rows = []
    for posting in postings.to_dicts():
        delivery = index.delivery(posting["delivery"])
        facts = {name: figures[posting["n"]][name] for name in named}
        received = delivery.received_at if delivery else posting["posted_at"].replace(tzinfo=UTC)
        rows.append(
            {
                **{name: posting[name] for name in ("feed", "partner", "name", "identity", "business_date")},
                **facts,
                "order": posting["delivery"],
                "received_at": utc_text(received),
                "verdict": str(delivery.verdict) if delivery else str(Verdict.NEW),
                "state": str(OutcomeState.POSTED),
                "posting": posting["n"],
                "payload_sha": posting["payload_sha"],
            }
        )
    return rows


def _others(
    book: Lookups, index: ArrivalIndex, feeds: Sequence[Feed], day: date, moment: Moment
) -> list[dict[str, object]]:
    """Rows of the files that had come and were not in the book."""
    closed = closings(book, moment)
    posted = set(book.frame(f"SELECT delivery FROM book.posting WHERE n <= {moment.n}")["delivery"])
    partners = {feed.feed: feed.partner for feed in feeds}
    outside = [
        delivery
        for delivery in index.deliveries()
        if delivery.order not in posted
        and moment.includes(delivery.received_at)
        and day_of(delivery, feeds, closed) == day
    ]
    outcomes = index.latest_outcomes((delivery.order for delivery in outside), until=moment.at)
    return [_outside(delivery, outcomes.get(delivery.order), partners, day) for delivery in outside]


def closings(book: Lookups, moment: Moment) -> dict[date, datetime]:
    """When each programme day was closed, of those that had been by then."""
    found = book.frame(
        f"""SELECT c.day, min(p.posted_at) AS posted_at
            FROM book.closed_day c JOIN book.posting p ON p.n = c.file_id
            WHERE p.n <= {moment.n} GROUP BY c.day"""
    )
    return {day: posted.replace(tzinfo=UTC) for day, posted in found.iter_rows()}


def day_of(delivery: Delivery, feeds: Sequence[Feed], closed: Mapping[date, datetime]) -> date:
    """The programme day of a file that is not in the book; ``closed`` are the ``closings``."""

    def was_closed(day: date) -> bool:
        return day in closed and closed[day] < delivery.received_at

    day = delivery.business_date
    if day is not None and delivery.code != Code.BUSINESS_DATE_FAR and not was_closed(day):
        return day
    arrived = delivery.received_at.date()
    over = [arrived + timedelta(days=1 - back) for back in range(_DAYS_BACK + 1)]
    ended = next((known for known in over if day_end(feeds, known) <= delivery.received_at), over[-1])
    return ended + timedelta(days=1) if was_closed(ended) else ended


def _outside(delivery: Delivery, outcome: Outcome | None, partners: Mapping[str, str], day: date) -> dict[str, object]:
    last = outcome or delivery
    state = str(outcome.state) if outcome else _STANDING.get(delivery.verdict, "held")
    return {
        "order": delivery.order,
        "feed": delivery.feed or "",
        "partner": partners.get(delivery.feed or "", ""),
        "name": delivery.name,
        "identity": delivery.identity or "",
        "business_date": delivery.business_date or day,
        "received_at": utc_text(delivery.received_at),
        **dict.fromkeys(("lines", "envelope_lines", "records", "accepted", "quarantined", "points_net"), 0),
        "verdict": str(Verdict.REPLAY if state == OutcomeState.REPLAY else delivery.verdict),
        "state": state,
        "code": last.code,
        "message": last.message,
        "posting": None,
        "payload_sha": delivery.payload_sha,
    }
