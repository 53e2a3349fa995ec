"""Small real books: files of rows composed and posted as the program does it.

Here: the fixtures that every test of the ledger may use. Not here: how files arrive or are read (``tests/plugins``).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from counterfoil.feed import Arrival, Feed, FeedKind, Identity
from counterfoil.ledger.answers import Work
from counterfoil.ledger.chart import Rulebook, load_rulebook
from counterfoil.ledger.compose import compose
from counterfoil.ledger.store import Book
from counterfoil.ledger.writing import Entitled, Posted, Writer
from counterfoil.protocols import Marks, Parsed
from counterfoil.reconcile import balance
from counterfoil.schemas.tables import ACCEPTED, CONTROL, QUARANTINED, empty

MakeBook = Callable[[], Book]
MakeFeed = Callable[..., Feed]
PostRows = Callable[..., Posted]
Row = Mapping[str, Any]

UNIT = "points"


def in_shape(kind: FeedKind, rows: Iterable[Row] | pl.DataFrame, day: date) -> pl.DataFrame:
    """Accepted rows from partial ones: what a row leaves out gets an ordinary value."""
    if isinstance(rows, pl.DataFrame):
        return rows
    ordinary: dict[FeedKind, dict[str, Any]] = {
        FeedKind.REQUESTS: {"member": "M1", "value_date": day},
        FeedKind.HANDBACK: {"outcome": "accepted", "value_date": day},
        FeedKind.OPENING: {"entry": "balance", "account": "member", "partner": "p", "value_date": day},
        FeedKind.CALENDAR: {"day": day, "feed": "p_handback", "partner": "p", "status": "received", "files": 1},
        FeedKind.RATES: {"basis": "programme", "currency": "EUR", "per_points": 100, "effective_from": day},
    }
    filled = [{"line_no": number} | ordinary[kind] | dict(row) for number, row in enumerate(rows, start=2)]
    return pl.DataFrame(filled, schema=dict(ACCEPTED[kind]))


@pytest.fixture(scope="session")
def rulebook(root: Path) -> Rulebook:
    return load_rulebook(root / "data")


@pytest.fixture(scope="session")
def make_book(tmp_path_factory: pytest.TempPathFactory) -> MakeBook:
    """Each call makes an empty book in a folder of its own."""

    def make() -> Book:
        home = tmp_path_factory.mktemp("home")
        return Book(home / "book.duckdb", home / "book.lock", home / "book.head.json")

    return make


@pytest.fixture(scope="session")
def make_feed() -> MakeFeed:
    """``make_feed("requests", partner="p", source="member")``: a feed's contract named ``<partner>_<kind>``."""

    def make(kind: str, *, partner: str = "p", **changes: Any) -> Feed:
        given: dict[str, Any] = {
            "feed": f"{partner}_{kind}",
            "partner": partner,
            "kind": FeedKind(kind),
            "version": 1,
            "effective_from": date(2026, 1, 1),
            "arrival": Arrival(folder=f"{partner}/{kind}", ready="stable"),
            "identity": Identity(by="date"),
        }
        if kind == "requests":
            given |= {"source": "member", "beyond_balance": "already_gone"}
        return Feed(**given | changes)

    return make


@pytest.fixture(scope="session")
def post(rulebook: Rulebook) -> PostRows:
    """``post(writer, feed, rows, day)``: post accepted rows (dicts or a frame) as the next file of a feed."""

    def post_rows(writer: Writer, feed: Feed, rows: Iterable[Row] | pl.DataFrame, day: date) -> Posted:
        accepted = in_shape(feed.kind, rows, day)
        n = writer.last_posting() + 1
        work = Work(
            feed=feed,
            accepted=accepted,
            file_id=n,
            business_date=day,
            on_day=day,
            unit=UNIT,
            rules=rulebook.rules,
        )
        changes = compose(work, writer, identity=f"{day}", skipped=[])
        parsed = Parsed(
            marks=Marks(day, "", None, empty=accepted.is_empty()),
            lines=accepted.height + 1,
            envelope_lines=1,
            accepted=accepted,
            quarantined=empty(QUARANTINED),
            control=empty(CONTROL),
        )
        entitled = Entitled(
            n=n,
            delivery=n,
            feed=feed.feed,
            kind=feed.kind.value,
            partner=feed.partner,
            name=f"{feed.feed}_{n}",
            identity=f"{day}",
            epoch="",
            sequence=None,
            business_date=day,
            on_day=day,
            payload_sha=f"{n:064d}",
            run_id="test",
            actor="test",
            posted_at=datetime(2026, 11, 20, 12, tzinfo=UTC).replace(tzinfo=None),
            software="test",
        )
        return writer.post(
            entitled,
            changes,
            figures=balance.stage_one(parsed, changes.rows["disposition"]),
            controls=parsed.control,
            rules=rulebook.rules,
            rule_hashes=rulebook.hashes,
            seal=lambda: f"record {n}",
        )

    return post_rows
