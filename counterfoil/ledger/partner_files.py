"""The files that a partner owed and those that came, by programme day: in time, late, again, out of sequence.

Here: the arrival index beside the book, for the scorecard. Not here: what the files hold (``scorecard``), or a single
day's files (``status``). A closed day keeps its rows whatever comes later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from counterfoil.clock import utc_text
from counterfoil.feed import Feed
from counterfoil.identity import Verdict
from counterfoil.landing.index import ArrivalIndex
from counterfoil.landing.records import Delivery, OutcomeState
from counterfoil.ledger.known import Known, Moment
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.status import closings, day_of, due_at, expected
from counterfoil.limits import BUSINESS_DATE_DAYS_MAX
from counterfoil.reconcile.scoring import FILES


@dataclass(frozen=True)
class Span:
    """The programme days from ``first`` to the day that ``at`` is the end of."""

    at: Known
    first: date

    def counts(self, posting: str, day: str) -> str:
        """A condition: the posting with this number counts, and its programme day is one of them."""
        return f"{day} BETWEEN DATE '{self.first}' AND DATE '{self.at.day}' AND {self.at.counts(posting)}"


@dataclass(frozen=True)
class _Came:
    """A file of a partner: ``day`` is its programme day, ``state`` its verdict."""

    feed: str
    business_date: date | None
    day: date
    file: str
    received_at: datetime
    state: str


def postings_of(book: Lookups, span: Span, feeds: Sequence[Feed]) -> pl.DataFrame:
    """Postings of the feeds in a span, by number: n, delivery, partner, feed, kind, name, business_date, day,
    posted_at, verdict, number, number_due.

    ``number_due`` is what followed in its sequence, null for a first file and for a correction. As
    ``identity.sequence_gap`` has it, the highest number before counts.
    """
    restarts = {feed.feed: feed.identity.restart for feed in feeds if feed.identity.by == "sequence"}
    before = "ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
    return book.frame(
        f"""WITH numbered AS (
                SELECT p.n, p.sequence, p.feed, p.epoch,
                       CASE f.restart WHEN 'yearly' THEN CAST(year(p.business_date) AS VARCHAR)
                                      WHEN 'daily' THEN CAST(p.business_date AS VARCHAR) END AS scope
                FROM book.posting p JOIN feeds f ON f.feed = p.feed
                WHERE f.restart IS NOT NULL AND p.sequence IS NOT NULL AND p.verdict <> '{Verdict.CORRECTION}'
                  AND {span.at.counts("p.n")}
            ), placed AS (
                SELECT n, max(sequence) OVER (PARTITION BY feed, epoch {before}) AS in_epoch,
                       max(sequence) OVER (PARTITION BY feed, epoch, scope {before}) AS in_scope
                FROM numbered
            )
            SELECT p.n, p.delivery, p.partner, p.feed, p.kind, p.name, p.business_date, p.on_day AS day, p.posted_at,
                   CASE p.verdict WHEN '' THEN '{Verdict.NEW}' ELSE p.verdict END AS verdict, p.sequence AS number,
                   CASE WHEN s.in_epoch IS NOT NULL THEN coalesce(s.in_scope, 0) + 1 END AS number_due
            FROM book.posting p JOIN feeds f ON f.feed = p.feed LEFT JOIN placed s ON s.n = p.n
            WHERE {span.counts("p.n", "p.on_day")} ORDER BY p.n""",
        feeds=pl.DataFrame(
            [(feed.feed, restarts.get(feed.feed)) for feed in feeds],
            schema={"feed": pl.String, "restart": pl.String},
            orient="row",
        ),
    )


def partner_files(
    book: Lookups, index: ArrivalIndex, feeds: Sequence[Feed], *, span: Span, moment: Moment, postings: pl.DataFrame
) -> pl.DataFrame:
    """FILES of the feeds in a span; ``postings`` are theirs (``postings_of``).

    A file counts as received when it was taken, whatever time its name or server gave it. Reads the arrival index from
    a little before the span on: a few rows a day.
    """
    since = span.first - timedelta(days=BUSINESS_DATE_DAYS_MAX)
    delivered = {
        one.order: one
        for feed in feeds
        for one in index.deliveries(feed=feed.feed, since=since)
        if moment.includes(one.received_at)
    }
    posted = _posted(index, postings, delivered)
    others = _others(book, index, feeds, span, moment, delivered)
    partners = {feed.feed: feed.partner for feed in feeds}
    rows = [
        *_expected(book, feeds, span, posted, others),
        *(
            {"feed": one.feed, "day": one.day, "listed_as": "received", "state": one.state, "file": one.file,
             "received_at": utc_text(one.received_at)}
            for one in (*posted, *others)
        ),
    ]  # fmt: skip
    next_one = pl.col("number") == pl.col("number_due")
    numbered = postings.filter(pl.col("number_due").is_not_null()).select(
        "feed",
        "day",
        "number",
        "number_due",
        file="name",
        listed_as=pl.lit("numbered"),
        state=pl.when(next_one).then(pl.lit("next")).otherwise(pl.lit("out_of_sequence")),
    )
    found = pl.concat([pl.DataFrame(rows, schema=FILES, orient="row"), numbered], how="diagonal_relaxed")
    named = found.with_columns(partner=pl.col("feed").replace_strict(partners, return_dtype=pl.String))
    ordered = named.sort("partner", "listed_as", "day", "feed", "file", "state", "received_at")
    return ordered.select(pl.col(name).cast(kind) for name, kind in FILES.items())


def _posted(index: ArrivalIndex, postings: pl.DataFrame, delivered: Mapping[int, Delivery]) -> list[_Came]:
    found = []
    for row in postings.iter_rows(named=True):
        delivery = delivered.get(row["delivery"]) or index.delivery(row["delivery"])
        received = delivery.received_at if delivery else row["posted_at"].replace(tzinfo=UTC)
        found.append(_Came(row["feed"], row["business_date"], row["day"], row["name"], received, row["verdict"]))
    return found


def _others(
    book: Lookups,
    index: ArrivalIndex,
    feeds: Sequence[Feed],
    span: Span,
    moment: Moment,
    delivered: Mapping[int, Delivery],
) -> list[_Came]:
    """Files that had come by the end of the span and of which nothing counted then."""
    counted = set(book.frame(f"SELECT delivery FROM book.posting WHERE {span.at.counts('n')}")["delivery"])
    closed = closings(book, moment)
    dated = [(one, day_of(one, feeds, closed)) for one in delivered.values() if one.order not in counted]
    others = [(one, day) for one, day in dated if span.first <= day <= span.at.day]
    outcomes = index.latest_outcomes((one.order for one, _ in others), until=moment.at)
    replays = {order for order, outcome in outcomes.items() if outcome.state is OutcomeState.REPLAY}
    return [
        _Came(
            feed=one.feed or "",
            business_date=one.business_date,
            day=day,
            file=one.name,
            received_at=one.received_at,
            state=str(Verdict.REPLAY if one.order in replays else one.verdict),
        )
        for one, day in others
    ]


def _expected(
    book: Lookups, feeds: Sequence[Feed], span: Span, posted: Sequence[_Came], others: Sequence[_Came]
) -> list[dict[str, object]]:
    """A row for each file that was due on a day that has closed: the first that counts for it, else the first that
    came."""
    closed = book.frame(
        f"SELECT DISTINCT feed, day FROM book.closed_day WHERE status <> 'not_due' AND {span.counts('file_id', 'day')}"
    )
    days = closed.group_by("feed").agg(pl.col("day").sort())
    by_feed = dict(days.iter_rows())
    in_book, refused = _first(posted), _first(others)
    rows = []
    for feed in feeds:
        for day in by_feed.get(feed.feed, []):
            if not expected(feed, day):
                continue
            came, limit = in_book.get((feed.feed, day)), due_at(feed, day)
            state = "missing" if came is None else "on_time" if came.received_at <= limit else "late"
            if came is None and (came := refused.get((feed.feed, day))):
                state = "refused"
            rows.append(
                {
                    "feed": feed.feed,
                    "day": day,
                    "listed_as": "expected",
                    "state": state,
                    "file": came.file if came else "",
                    "due_at": utc_text(limit),
                    "received_at": utc_text(came.received_at) if came else None,
                }
            )
    return rows


def _first(files: Iterable[_Came]) -> dict[tuple[str, date | None], _Came]:
    """The file that came first for each feed and business date."""
    latest_first = sorted(files, key=lambda one: (one.received_at, one.file), reverse=True)
    return {(one.feed, one.business_date): one for one in latest_first}
