"""A programme's home for tests that run the journey for real: its inbox, its clock, its desk, and partners' files.

Here: the fixture ``office`` and the text of small partner files. Not here: servers (``servers``) or any expectation.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from counterfoil import journey
from counterfoil.settings import Settings, load_settings
from counterfoil.steps.close import close_days
from counterfoil.steps.desk import Desk, ProofDesk
from pipelines.wiring import open_desk, proof_desk

MONDAY = date(2026, 11, 16)

REQUESTS_HEADER = (
    "index,Member ID,Member first name,Member last name,Transfer date,Amount,Reference number,Partner code\n"
)
HANDBACK_HEADER = "Transfer date,Amount,Reference number,Outcome code\n"
OPENING_HEADER = "entry,account,owner,partner,ref,points,value_date\n"
RATES = (
    "basis,currency,minor,per_points,effective_from\n"
    "programme,EUR,50,100,2026-11-01\nskybridge,EUR,60,100,2026-11-01\nnorthstar,EUR,70,100,2026-11-01\n"
)


def skybridge_requests(day: date, rows: Iterable[tuple[str, int] | tuple[str, int, str]]) -> str:
    """Rows of (reference, points[, member])."""
    return REQUESTS_HEADER + "".join(
        f"{number},{rest[0] if rest else '1111111111'},Ada,Example,{day},{points},{ref},bank1\n"
        for number, (ref, points, *rest) in enumerate(rows, start=1)
    )


def skybridge_handback(day: date, rows: Iterable[tuple[str, int, str]]) -> str:
    """Rows of (reference, points, outcome code)."""
    return HANDBACK_HEADER + "".join(f"{day},{points},{ref},{code}\n" for ref, points, code in rows)


def opening(day: date, balances: Iterable[tuple[str, int]]) -> str:
    """Rows of (member, points) at skybridge."""
    return OPENING_HEADER + "".join(
        f"balance,member,{member},skybridge,,{points},{day}\n" for member, points in balances
    )


def every_row(book: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of a book's file by table, in one order."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{book}' AS book (READ_ONLY)")
        tables = connection.sql("SELECT table_name FROM duckdb_tables() WHERE database_name = 'book'").fetchall()
        return {name: connection.sql(f"SELECT * FROM book.{name} ORDER BY ALL").fetchall() for (name,) in tables}


@dataclass
class Office:
    """A home folder with a clock that only moves when told."""

    home: Path
    now: datetime = field(default_factory=lambda: datetime(2026, 11, 17, 6, tzinfo=UTC))
    run_id: str = "test"

    def copied(self, home: Path) -> "Office":
        """Another home in the same state: what many tests start from is made once."""
        return replace(self, home=shutil.copytree(self.home, home))

    def settings(self) -> Settings:
        return load_settings(self.home).model_copy(
            update={"clock": lambda: self.now, "run_id": self.run_id, "start_date": MONDAY}
        )

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        with open_desk(self.settings()) as desk:
            yield desk

    def proof_desk(self) -> ProofDesk:
        """What proving and replaying this home work at."""
        return proof_desk(self.settings())

    def put(self, path: str, content: str | bytes) -> Path:
        """A partner writes a file into the inbox."""
        file = self.home / "inbox" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def begin(self, balances: Iterable[tuple[str, int]] = (("1111111111", 100_000),)) -> None:
        """Opening balances and rates."""
        self.put(f"opening/opening_{MONDAY:%Y%m%d}.csv", opening(MONDAY, balances))
        self.put(f"rates/rates_{MONDAY:%Y%m%d}.csv", RATES)

    def ask(self, day: date, *rows: tuple[str, int] | tuple[str, int, str]) -> None:
        self.put(f"skybridge/outgoing/SKYBRIDGE_{day:%Y%m%d}.txt", skybridge_requests(day, rows))

    def answer(self, day: date, *rows: tuple[str, int, str]) -> None:
        self.put(f"skybridge/incoming/SKYBRIDGE_{day:%Y%m%d}.HANDBACK.txt", skybridge_handback(day, rows))

    def look(self) -> None:
        """A first look long enough ago that everything there counts as unchanged."""
        with self.desk() as desk:
            for connection in ("inbox",):
                journey.arrive(desk, connection, patient=False)
        self.now += timedelta(minutes=5)

    def run(self, day: date, **options: object) -> journey.Night:
        """The night of a day, at six the next morning."""
        self.now = max(self.now, datetime(day.year, day.month, day.day, 6, tzinfo=UTC) + timedelta(days=1))
        self.look()
        with self.desk() as desk:
            return journey.run(desk, day, **options)  # type: ignore[arg-type]

    def book_day(self, day: date) -> None:
        """The night of a day as far as the book: nothing is handed on or reported."""
        self.now = max(self.now, datetime(day.year, day.month, day.day, 6, tzinfo=UTC) + timedelta(days=1))
        with self.desk() as desk:
            journey.arrive(desk, "inbox", patient=False)
            self.now += timedelta(minutes=5)
            journey.arrive(desk, "inbox", patient=False)
            for feed in [*desk.feeds(journey.OWN_FIRST), *desk.feeds()]:
                journey.intake(desk, feed.feed, day)
            close_days(desk, day)

    def sql(self, query: str) -> pl.DataFrame:
        with self.desk() as desk, desk.book.reading() as book:
            return book.frame(query)

    def heads(self) -> tuple[int, str, str]:
        with self.desk() as desk, desk.book.reading() as book:
            heads = desk.book.heads(book)
        return heads.n, heads.content_head, heads.chain_head


@pytest.fixture
def new_office(tmp_path: Path) -> Callable[[str], Office]:
    """``new_office("a")``: an empty home of that name."""
    return lambda name: Office(tmp_path / name)


@pytest.fixture
def office(new_office: Callable[[str], Office]) -> Office:
    """An empty home."""
    return new_office("home")
