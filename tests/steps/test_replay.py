"""The book made again from the landing store: equal bit for bit, or stopped at the first posting that is not."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from counterfoil.errors import Code, UsageError
from counterfoil.feed import FeedKind
from counterfoil.files import sha256_file
from counterfoil.ledger import compose
from counterfoil.ledger.posting import Changes
from counterfoil.ledger.store import Book
from counterfoil.ledger.work import Work
from counterfoil.settings import Home
from counterfoil.steps.audit import audit
from counterfoil.steps.replay import MARK, Replayed, replay
from tests.plugins.homes import MONDAY, Office, every_row
from tests.plugins.stores import OldStore

LAST = 5
REQUESTS, ANSWERS = "SKYBRIDGE_20261116.txt", "SKYBRIDGE_20261116.HANDBACK.txt"
"""Postings 3 and 4; 1 are rates, 2 opening balances, 5 is the calendar."""
OLD_HEAD = "c1279c50b36e92b29abf12ea185c189dd517429fa269f785dfbb4dab80267758"
SECOND_HEAD = "a2df0d9da0ada56fd3385521c4e0e479311167994c3056b653f6dbc6b28ffdab"
OLD_SETTINGS = "programme: Meridian Rewards\nentity: MER1\nstart_date: 2026-11-16\n"


@pytest.fixture(scope="module")
def posted(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """One day; to be copied, not changed."""
    office = Office(tmp_path_factory.mktemp("replay") / "home")
    office.begin()
    office.ask(MONDAY, ("1", 100), ("2", 200), ("3", 300))
    office.answer(MONDAY, ("1", 100, "0000"), ("2", 200, "0001"), ("9", 55, "0000"), ("3", 300, "0099"))
    office.book_day(MONDAY)
    return office


@pytest.fixture
def home(posted: Office, tmp_path: Path) -> Office:
    """A copy to change."""
    shutil.copytree(posted.home, tmp_path / "home")
    return replace(posted, home=tmp_path / "home")


def replayed(office: Office, into: Path, **options: int) -> Replayed:
    return replay(office.proof_desk(), into, **options)


def change(office: Office, statement: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{office.home / 'book.duckdb'}' AS book")
        connection.execute(statement)


def files(folder: Path) -> dict[str, tuple[str, int]]:
    kept = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)): (sha256_file(path), path.stat().st_mtime_ns) for path in kept}


def test_the_landing_store_alone_makes_the_same_book(home: Office, tmp_path: Path) -> None:
    shutil.rmtree(home.home / "inbox")
    (home.home / "arrival.db").unlink()
    before = files(home.home)
    done = replayed(home, tmp_path / "again")
    assert (done.difference, done.against, done.compared) == (None, "book", LAST)
    assert files(home.home) == before
    assert every_row(tmp_path / "again/book.duckdb") == every_row(home.home / "book.duckdb")
    place = Home(tmp_path / "again")
    assert Book(place.book, place.book_lock, place.book_head).published() == done.heads


def test_the_store_of_schema_1_replays_to_its_old_heads_and_is_left_as_it_was(
    old_store: OldStore, tmp_path: Path
) -> None:
    office = Office(old_store(1).root)
    (office.home / "counterfoil.yaml").write_text(OLD_SETTINGS)
    before = files(office.home)
    done = replayed(office, tmp_path / "again")
    assert (done.difference, done.against, done.compared) == (None, "book", 26)
    assert done.heads.content_head == OLD_HEAD
    assert files(office.home) == before
    with office.proof_desk().book.reading():  # migrates it
        pass
    made, old = every_row(tmp_path / "again/book.duckdb"), every_row(office.home / "book.duckdb")
    assert {table for table in made if made[table] != old[table]} == {"posting"}  # only there is the verdict


def test_the_store_of_schema_2_replays_and_goes_on_as_it_was_sealed(old_store: OldStore, tmp_path: Path) -> None:
    """It holds a correction, decisions and an answer before its request; nothing in it states a charge."""
    office = Office(old_store(2).root)
    done = replayed(office, tmp_path / "again")
    assert (done.difference, done.against, done.compared) == (None, "book", 11)
    assert done.heads.chain_head == SECOND_HEAD
    proof = audit(office.proof_desk())
    assert (proof.findings, proof.heads) == ((), done.heads)
    assert every_row(tmp_path / "again/book.duckdb") == every_row(office.home / "book.duckdb")
    office.now = datetime(2026, 11, 20, 6, tzinfo=UTC)
    office.answer(MONDAY + timedelta(days=3), ("3001", 5, "0000"))
    office.book_day(MONDAY + timedelta(days=3))
    assert office.sql("SELECT DISTINCT book_schema FROM book.posting ORDER BY 1").to_series().to_list() == [2, 3]
    assert audit(office.proof_desk()).findings == ()


def test_settings_that_were_never_landed_must_be_those_of_today(old_store: OldStore, tmp_path: Path) -> None:
    done = replayed(Office(old_store(1).root), tmp_path / "again")
    assert done.difference is not None
    assert done.difference.posting == 1
    assert done.difference.found.startswith(Code.PAYLOAD_DAMAGED)


def test_a_replay_that_was_stopped_goes_on(home: Office, tmp_path: Path) -> None:
    into = tmp_path / "again"
    first = replayed(home, into, through=2)
    assert (first.heads.n, first.compared) == (2, 2)

    def stop(_what: str, done: int, _all: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(replace(home.proof_desk(), progress=stop), into)
    told: list[tuple[str, int, int]] = []
    done = replay(replace(home.proof_desk(), progress=lambda *said: told.append(said)), into)
    assert told == [("replaying", 3, LAST), ("replaying", 4, LAST), ("replaying", LAST, LAST)]
    assert (done.difference, done.compared) == (None, LAST)
    assert every_row(into / "book.duckdb") == every_row(home.home / "book.duckdb")


def test_a_folder_with_anything_else_is_refused(
    home: Office, new_office: Callable[[str], Office], tmp_path: Path
) -> None:
    other = new_office("other")
    other.begin([("7", 7)])
    other.book_day(MONDAY)
    replayed(other, tmp_path / "of-another")
    replayed(home, tmp_path / "finished")
    (tmp_path / "stray").mkdir()
    (tmp_path / "stray/book.duckdb").touch()
    heads = home.heads()
    for folder in (home.home, other.home, tmp_path / "of-another", tmp_path / "finished", tmp_path / "stray"):
        with pytest.raises(UsageError) as told:
            replayed(home, folder)
        assert told.value.code is Code.FOLDER_TAKEN
    assert home.heads() == heads
    assert not (home.home / MARK).exists()


@pytest.mark.parametrize("through", [0, LAST + 1])
def test_a_posting_that_there_is_not_is_refused(home: Office, tmp_path: Path, through: int) -> None:
    with pytest.raises(UsageError) as told:
        replayed(home, tmp_path / "again", through=through)
    assert told.value.code is Code.NOTHING_FOUND
    assert not (tmp_path / "again").exists()


def test_without_its_book_the_last_heads_are_compared_with_the_head_file(home: Office, tmp_path: Path) -> None:
    (home.home / "book.duckdb").write_bytes(b"no database" * 1000)
    done = replayed(home, tmp_path / "by-head")
    assert (done.difference, done.against, done.compared) == (None, "head file", 1)
    (home.home / "book.duckdb").unlink()
    (home.home / "book.head.json").write_text(
        (home.home / "book.head.json").read_text().replace('"content_head": "', '"content_head": "0')
    )
    other = replayed(home, tmp_path / "other-head")
    assert other.difference is not None
    assert (other.difference.posting, other.difference.found) == (LAST, "another content head")
    (home.home / "book.head.json").write_text("{")
    alone = replayed(home, tmp_path / "alone")
    assert (alone.difference, alone.against, alone.compared) == (None, "nothing", 0)
    assert alone.heads == done.heads
    assert not (home.home / "book.duckdb").exists()


def test_a_program_that_books_otherwise_is_named_by_its_first_posting(
    home: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = compose.COMPOSERS[FeedKind.HANDBACK]

    def otherwise(work: Work, book: Any) -> Changes:
        changes = before(work, book)
        settled = changes.rows["settled_key"]
        return replace(changes, rows={**changes.rows, "settled_key": settled.with_columns(month=settled["month"] + 1)})

    monkeypatch.setattr(compose, "COMPOSERS", {**compose.COMPOSERS, FeedKind.HANDBACK: otherwise})
    done = replayed(home, tmp_path / "again")
    assert done.difference is not None
    assert (done.difference.posting, done.difference.file) == (4, ANSWERS)
    assert done.heads.n == 4
    monkeypatch.undo()
    assert replayed(home, tmp_path / "again").difference == done.difference, "it does not go on past a difference"


def test_a_landed_file_that_was_changed_is_named(home: Office, tmp_path: Path) -> None:
    desk = home.proof_desk()
    path = desk.landing.path(desk.landing.read_record(3).payload_sha)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"100", b"101"))
    done = replayed(home, tmp_path / "again")
    assert done.difference is not None
    assert (done.difference.posting, done.difference.file) == (3, REQUESTS)
    assert done.difference.found.startswith(Code.PAYLOAD_DAMAGED)
    assert done.heads.n == 2


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (b'"run_id": "test"', b'"run_id": "tess"', "another chain head"),
        (b'"frame_digest": "', b'"frame_digest": "0', "POSTING_DIFFERS"),
        (b'"epoch"', b'"epock"', "SIDECAR_DAMAGED"),
    ],
)
def test_a_posting_record_that_was_changed_is_named(
    home: Office, tmp_path: Path, old: bytes, new: bytes, found: str
) -> None:
    path = home.home / "landing/postings/00000003.json"
    path.write_bytes(path.read_bytes().replace(old, new))
    done = replayed(home, tmp_path / "again")
    assert done.difference is not None
    assert done.difference.posting == 3
    assert done.difference.found.startswith(found)


@pytest.mark.parametrize(
    ("statement", "table", "n"),
    [
        ("UPDATE book.control SET declared = declared + 1 WHERE file_id = 4", "control", 4),
        ("UPDATE book.mass_balance SET net = 1 WHERE file_id = 3 AND part = 'line'", "mass_balance", 3),
        ("UPDATE book.posting SET partner = 'northstar' WHERE n = 3", "posting", 3),
    ],
)
def test_what_no_digest_covers_is_compared_too(
    home: Office, tmp_path: Path, statement: str, table: str, n: int
) -> None:
    has_controls = home.sql("SELECT count(*) FROM book.control WHERE file_id = 4").item()
    if table == "control" and not has_controls:
        statement = "INSERT INTO book.control VALUES (4, 'records', 1, 1)"
    change(home, statement)
    done = replayed(home, tmp_path / "again")
    assert done.difference is not None
    assert (done.difference.table, done.difference.posting) == (table, n)


def test_a_tuesday_can_be_replayed_on_top(home: Office, tmp_path: Path) -> None:
    """What a home posts later, a replay that had come to its end makes as well."""
    replayed(home, tmp_path / "again")
    home.answer(MONDAY + timedelta(days=1), ("3", 300, "0000"))
    home.book_day(MONDAY + timedelta(days=1))
    done = replayed(home, tmp_path / "again")
    assert (done.difference, done.heads.n) == (None, LAST + 2)
