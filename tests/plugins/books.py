"""Small real books: files of rows composed and posted as the program does it.

Here: the fixtures that every test of a book may use. Not here: how files arrive or are read (``homes``).
"""

import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bench import by_hand
from counterfoil.feed import Arrival, Feed, FeedKind, Identity
from counterfoil.ledger.chart import Chart, Rulebook, load_rulebook
from counterfoil.ledger.journal import journal
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.store import Book
from counterfoil.ledger.updates import updates
from counterfoil.ledger.writing import Posted, Writer
from counterfoil.schemas.tables import ACCEPTED

Ranges = dict[tuple[int, int], Any]
Told = tuple[Book, Ranges, Ranges]
MakeJournal = Callable[..., pl.DataFrame]
MakeBook = Callable[..., Book]
MakeFeed = Callable[..., Feed]
PostRows = Callable[..., Posted]
Row = Mapping[str, Any]

UNIT = "points"
RATES_FROM, MON, TUE, WED = (date(2026, 11, day) for day in (1, 16, 17, 18))

STORY: list[tuple[date, str, str, list[dict[str, Any]]]] = [
    (MON, "counterfoil", "rates", [
        {"basis": "programme", "minor": 50, "effective_from": RATES_FROM},
        {"basis": "p", "minor": 70, "effective_from": RATES_FROM},
        {"basis": "q", "minor": 33, "effective_from": RATES_FROM},
    ]),
    (MON, "counterfoil", "opening", [
        {"owner": "M1", "points": 1001},
        {"owner": "M2", "points": 500},
        {"account": "payable", "points": 77},
        {"entry": "item", "owner": "M1", "ref": "O1", "points": 40},
    ]),
    (MON, "p", "requests", [
        {"ref": "R1", "points": 101},
        {"ref": "R2", "points": 61},
        {"ref": "R3", "points": 51, "member": "M2"},
        {"ref": "R4", "points": 31, "member": "M2"},
        {"ref": "R4", "points": 31, "member": "M2"},
    ]),
    (MON, "p", "handback", [
        {"ref": "R1", "points": 101},
        {"ref": "R2", "points": 61, "outcome": "rejected", "reason": "07"},
        {"ref": "R3", "points": 51, "outcome": "held", "reason": "99"},
        {"ref": "R4", "points": 33},
        {"ref": "X1", "points": 25},
        {"ref": "X2", "points": 9, "outcome": "rejected", "reason": "w2"},
        {"ref": "X3", "points": 8, "outcome": "held", "reason": "w3"},
        {"ref": "X4", "points": 5},
        {"ref": "X5", "points": 0},
    ]),
    (MON, "counterfoil", "calendar", [{}]),
    (TUE, "counterfoil", "rates", [
        {"basis": "programme", "minor": 55, "effective_from": TUE},
        {"basis": "p", "minor": 71, "effective_from": WED},
    ]),
    (TUE, "p", "handback", [
        {"ref": "R1", "points": 40, "outcome": "reversed", "reason": "r1"},
        {"ref": "R2", "points": 61, "outcome": "rejected", "reason": "07"},
        {"ref": "R3", "points": 51, "value_date": MON},
    ]),
    (TUE, "p", "requests", [
        {"ref": "X1", "points": 25},
        {"ref": "X2", "points": 9},
        {"ref": "X3", "points": 8},
        {"ref": "X4", "points": 6},
    ]),
    (TUE, "q", "requests", [{"ref": "R1", "points": 11}, {"ref": "Q2", "points": 13}]),
    (TUE, "q", "handback", [
        {"ref": "R1", "points": 11},
        {"ref": "Q2", "points": 13},
        {"ref": "Q2", "points": 13, "outcome": "rejected"},
    ]),
    (TUE, "counterfoil", "calendar", [{}]),
    (WED, "p", "handback", [
        {"ref": "R1", "points": 61, "outcome": "reversed"},
        {"ref": "O1", "points": 40, "value_date": MON},
        {"ref": "R2", "points": 61},
    ]),
    (WED, "p", "requests", [{"ref": "K1", "points": -15}]),
    (WED, "p", "handback", [{"ref": "K1", "points": -15}, {"ref": "X3", "points": 8}]),
    (WED, "counterfoil", "calendar", [{}]),
]  # fmt: skip
"""Three days at two partners, with every kind of file and nearly every event; one file a posting, in order."""


def in_shape(kind: FeedKind, rows: Iterable[Row] | pl.DataFrame, day: date) -> pl.DataFrame:
    """Accepted rows from partial ones: what a row leaves out gets an ordinary value."""
    if isinstance(rows, pl.DataFrame):
        return rows
    ordinary: dict[FeedKind, dict[str, Any]] = {
        FeedKind.REQUESTS: {"member": "M1", "value_date": day},
        FeedKind.HANDBACK: {"outcome": "accepted", "value_date": day},
        FeedKind.ACTIVITY: {"member": "M1", "activity": "accrual", "value_date": day},
        FeedKind.OPENING: {"entry": "balance", "account": "member", "partner": "p", "value_date": day},
        FeedKind.CALENDAR: {"day": day, "feed": "p_handback", "partner": "p", "status": "received", "files": 1},
        FeedKind.RATES: {"basis": "programme", "currency": "EUR", "per_points": 100, "effective_from": day},
        FeedKind.MEMBERS: {"partner": "p", "value_date": day},
        FeedKind.DECISIONS: {"points": 0, "reason": "agreed"},
        FeedKind.COMPANIES: {"unit": "company", "change": "open", "company": "acme", "value_date": day},
        FeedKind.RECHARGES: {"company": "acme", "value_date": day},
        FeedKind.BUDGETS: {"company": "acme", "points": 0, "value_date": day},
        FeedKind.BULK_UPLOAD: {"company": "acme", "name": "Ada Lindqvist"},
        FeedKind.CATALOGUE: {
            "name": "A voucher",
            "currency": "EUR",
            "denominations": "10 25",
            "points_per_unit": 100,
            "quantity_max": 10,
            "type": "code",
            "supply": "generated",
            "effective_from": date(2026, 1, 1),
        },
        FeedKind.VOUCHER_ORDERS: {"member": "M1", "denomination": 1000, "quantity": 1, "value_date": day},
        FeedKind.VOUCHER_PAYMENTS: {"payment": "P1", "value_date": day},
        FeedKind.VOUCHER_FULFILMENT: {"denomination": 1000, "type": "code", "status": "delivered", "value_date": day},
        FeedKind.VOUCHERS: {"value_date": day},
        FeedKind.DELIVERIES: {"value_date": day},
    }
    filled = [{"line_no": number} | ordinary[kind] | dict(row) for number, row in enumerate(rows, start=2)]
    return pl.DataFrame(filled, schema=dict(ACCEPTED[kind]))


@pytest.fixture(scope="session")
def rulebook(root: Path) -> Rulebook:
    return load_rulebook(root / "data")


def book_in(home: Path) -> Book:
    return Book(home / "book.duckdb", home / "book.lock", home / "book.head.json")


@pytest.fixture(scope="session")
def make_book(tmp_path_factory: pytest.TempPathFactory) -> MakeBook:
    """``make_book(like=…)``: a copy of a closed book in a folder of its own; of an empty one, which took every step of
    its schema once, if no other is named."""
    empty = book_in(tmp_path_factory.mktemp("empty"))
    with empty.writing(purpose="make"):
        pass

    def make(like: Book = empty) -> Book:
        book = book_in(tmp_path_factory.mktemp("home"))
        shutil.copyfile(like.path, book.path)
        return book

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
    """``post(writer, feed, rows, day)``: post accepted rows (dicts or a frame) as the next file of a feed, with the
    options of ``by_hand.post``."""

    def post_rows(writer: Writer, feed: Feed, rows: Iterable[Row] | pl.DataFrame, day: date, **options: Any) -> Posted:
        return by_hand.post(writer, feed, in_shape(feed.kind, rows, day), day, rulebook, **{"by": "test", **options})

    return post_rows


@pytest.fixture(scope="session")
def make_journal(rulebook: Rulebook) -> MakeJournal:
    """``make_journal(book, from_n, to_n)``: the journal in EUR by the program's own chart."""

    def make(
        book: Lookups, from_n: int, to_n: int, *, chart: Chart = rulebook.chart, currency: str = "EUR"
    ) -> pl.DataFrame:
        return journal(
            book,
            from_n,
            to_n,
            chart=chart,
            programme="rewards",
            entity="101",
            unit=UNIT,
            currency=currency,
            journal_id=f"CF101-{to_n:08d}",
        )

    return make


@pytest.fixture(scope="session")
def told(make_book: MakeBook, make_feed: MakeFeed, post: PostRows, make_journal: MakeJournal) -> Told:
    """STORY in a book, and what ranges gave while their last posting was the newest."""
    book = make_book()
    then_updates: Ranges = {}
    then_journals: Ranges = {}
    with book.writing(purpose="story") as writer:
        for day, partner, kind, rows in STORY:
            changes = {"source": "issued"} if (partner, kind) == ("q", "requests") else {}
            n = post(writer, make_feed(kind, partner=partner, **changes), rows, day).n
            for low in (0, n - 1):
                then_updates[low, n] = updates(writer, low, n)
                then_journals[low, n] = make_journal(writer, low, n)
    return book, then_updates, then_journals


@pytest.fixture(scope="session")
def story(told: Told) -> Book:
    """The book of STORY; to be read only."""
    return told[0]
