"""The book's file: migrated by copy, refused when newer, copied under its lock; killed at any instant."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from counterfoil.errors import Code, CounterfoilError, PermanentError, TransientError, UsageError
from counterfoil.files import sha256_bytes, sha256_file
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.migrating import MIGRATIONS
from counterfoil.ledger.store import Book, Heads
from tests.plugins.stores import OldStore

NEWEST = max(int(step.name[:4]) for step in MIGRATIONS.iterdir() if step.name.endswith(".sql"))
SECOND = "CREATE TABLE book.second (n INTEGER); INSERT INTO book.second SELECT n FROM book.posting;"
THIRD = "ALTER TABLE book.second ADD COLUMN doubled INTEGER; UPDATE book.second SET doubled = n * 2;"
BROKEN = "CREATE TABLE book.half (n INTEGER); INSERT INTO book.half SELECT CAST('a member''s name' AS INTEGER);"
SLOW = "CREATE TABLE book.slow AS SELECT i, hash(i) AS h FROM range(1_500_000) r(i);"
KILLS = 12

Steps = Callable[..., Path]


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    """``steps(SECOND, THIRD)``: a folder with the first published step and these after it."""

    def make(*later: str) -> Path:
        folder = tmp_path / f"steps-{sha256_bytes(repr(later).encode())[:8]}"
        folder.mkdir(exist_ok=True)
        (folder / "0001_book.sql").write_bytes((MIGRATIONS / "0001_book.sql").read_bytes())
        for number, sql in enumerate(later, start=2):
            (folder / f"{number:04d}_step.sql").write_text(sql)
        return folder

    return make


@pytest.fixture
def old(old_store: OldStore, steps: Steps) -> Book:
    """The kept book of schema 1, as the program of then knows it."""
    home = old_store(1)
    return Book(home.book, home.book_lock, home.book_head, steps())


def files(book: Book) -> set[str]:
    return {path.name for path in book.path.parent.glob("book.*")} - {"book.lock", "book.head.json"}


def counts(book: Lookups) -> dict[str, int]:
    tables = book.frame("SELECT table_name FROM duckdb_tables() WHERE database_name = 'book' ORDER BY 1")
    return {name: (book.row(f'SELECT count(*) FROM book."{name}"') or (0,))[0] for name in tables["table_name"]}


def migrated(book: Lookups) -> list[int]:
    return book.frame("SELECT version FROM book.migration ORDER BY version")["version"].to_list()


def test_the_store_of_schema_1_opens_at_the_newest(old: Book) -> None:
    with old.reading() as book:
        before = counts(book)
    heads, schema = old.inspect()
    bytes_before = sha256_file(old.path)
    assert (schema, heads.n) == (1, 26)
    new = replace(old, migrations=MIGRATIONS)
    with new.reading() as book:
        after = counts(book)
        assert migrated(book) == list(range(1, NEWEST + 1))
    assert new.inspect() == (heads, NEWEST)
    assert new.published() == heads
    assert {name: after[name] for name in before if name != "migration"} == {
        name: rows for name, rows in before.items() if name != "migration"
    }
    assert files(new) == {"book.duckdb", "book.before-0001.duckdb"}
    assert sha256_file(new.path.with_name("book.before-0001.duckdb")) == bytes_before
    with new.writing(purpose="test") as writer:
        assert writer.last_posting() == 26


def test_from_1_by_2_to_3_is_from_1_to_3(old: Book, steps: Steps, old_store: OldStore) -> None:
    with replace(old, migrations=steps(SECOND)).reading() as book:
        assert migrated(book) == [1, 2]
    with replace(old, migrations=steps(SECOND, THIRD)).reading() as book:
        by_2 = book.frame("SELECT * FROM book.second ORDER BY n")
        assert migrated(book) == [1, 2, 3]
    assert files(old) == {"book.duckdb", "book.before-0001.duckdb", "book.before-0002.duckdb"}
    for schema in (1, 2):
        kept = replace(old, path=old.path.with_name(f"book.before-{schema:04d}.duckdb"), migrations=steps(SECOND))
        assert kept.inspect() == (old.published(), schema)
    for kept_file in old.path.parent.glob("book.before-*"):
        kept_file.unlink()
    old_store(1)
    with replace(old, migrations=steps(SECOND, THIRD)).writing(purpose="test") as book:
        assert book.frame("SELECT * FROM book.second ORDER BY n").equals(by_2)
    assert files(old) == {"book.duckdb", "book.before-0001.duckdb"}


def test_a_step_that_fails_changes_nothing(old: Book, steps: Steps) -> None:
    before = sha256_file(old.path)
    for use in ("reading", "writing"):
        broken = replace(old, migrations=steps(SECOND, BROKEN))
        with pytest.raises(PermanentError) as told, enter(broken, use):
            pass
        assert told.value.code is Code.MIGRATION_FAILED
        assert told.value.where == "0003_step.sql"
        assert "member's name" not in str(told.value)
        assert sha256_file(old.path) == before
        assert files(old) == {"book.duckdb"}
    with old.reading() as book:
        assert "second" not in counts(book)


def enter(book: Book, use: str) -> AbstractContextManager[Lookups]:
    return book.reading() if use == "reading" else book.writing(purpose="test")


@pytest.mark.parametrize("use", ["reading", "writing", "copying"])
def test_a_newer_book_is_refused_and_left_alone(old: Book, steps: Steps, tmp_path: Path, use: str) -> None:
    with replace(old, migrations=steps(SECOND)).reading():
        pass
    before = sha256_file(old.path)
    older = replace(old, migrations=steps())
    with (
        pytest.raises(PermanentError, match=r"schema 2\. Expected at most schema 1") as told,
        older.copying(tmp_path / "copy") if use == "copying" else enter(older, use),
    ):
        pass
    assert told.value.code is Code.BOOK_NEWER
    assert sha256_file(old.path) == before
    assert not (tmp_path / "copy").exists()


def test_a_book_put_back_at_an_older_schema_is_noticed_by_a_process_that_knew_it(old: Book, steps: Steps) -> None:
    new = replace(old, migrations=steps(SECOND))
    for _ in range(2):
        with new.reading():
            pass
    kept = new.path.with_name("book.before-0001.duckdb")
    kept.replace(new.path)
    with new.reading() as book:
        assert migrated(book) == [1, 2]


# The log beside the book

KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from counterfoil.ledger.store import Book
home = Path(sys.argv[1])
book = Book(home / "book.duckdb", home / "book.lock", home / "book.head.json", Path(sys.argv[2]))
with book.writing(purpose="killed") as writer:
    writer.row("INSERT INTO book.control VALUES (26, 'left in the log', 1, 1)")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_a_writer(old: Book, root: Path) -> Path:
    command = [sys.executable, "-c", KILLED_WRITER, str(old.path.parent), str(old.migrations)]
    subprocess.run(command, cwd=root, check=False)
    log = old.path.with_name("book.duckdb.wal")
    assert log.exists(), "the writer must be killed before its log is folded in"
    return log


def left_in_the_log(book: Book) -> int:
    with book.reading() as lookups:
        return int((lookups.row("SELECT count(*) FROM book.control WHERE control = 'left in the log'") or (0,))[0])


def test_a_log_is_folded_into_the_old_book_before_it_is_copied(old: Book, steps: Steps, root: Path) -> None:
    log = kill_a_writer(old, root)
    new = replace(old, migrations=steps(SECOND))
    assert left_in_the_log(new) == 1
    assert not log.exists()
    old_again = replace(old, path=old.path.with_name("book.before-0001.duckdb"), lock_path=old.path.with_name("other"))
    assert left_in_the_log(old_again) == 1


def test_a_log_without_its_book_is_not_read_into_a_new_one(old: Book, root: Path) -> None:
    log = kill_a_writer(old, root)
    old.path.unlink()
    old.head_path.unlink()
    assert left_in_the_log(old) == 0
    assert not log.exists()
    assert old.inspect() == (Heads(0, *[old.inspect()[0].content_head] * 2), 1)


def test_what_a_killed_migration_left_is_cleared_away(old: Book, steps: Steps) -> None:
    for name in ("book.making", "book.making.wal"):
        old.path.with_name(name).write_bytes(b"half a book")
    with replace(old, migrations=steps(SECOND)).reading() as book:
        assert migrated(book) == [1, 2]
    assert files(old) == {"book.duckdb", "book.before-0001.duckdb"}


# Kills and full disks

KILLER = """
import json, os, shutil, signal, sys, time, traceback
from pathlib import Path
from counterfoil.ledger.store import Book

home, steps, kills = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
book = Book(home / "book.duckdb", home / "book.lock", home / "book.head.json", steps)
kept = home / "kept.duckdb"
shutil.copy2(book.path, kept)
CALLS = ("open", "fsync", "replace", "link", "unlink", "utime")

def child(action):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return pid

def ended(pid):
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0
    return False

def migrate():
    with book.reading():
        pass

def migrate_until(instant):
    left = [instant]
    def tick():
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
    def around(call):
        def counted(*given, **named):
            tick()
            result = call(*given, **named)
            tick()
            return result
        return counted
    for name in CALLS:
        setattr(os, name, around(getattr(os, name)))
    migrate()

def check():
    heads, schema = book.inspect()
    assert heads == book.published(), heads
    assert schema in (1, 3), schema
    with book.reading() as opened:
        assert opened.row("SELECT count(*) FROM book.slow")[0] > 0
    assert book.inspect() == (heads, 3)
    left = {path.name for path in home.glob("book.*")}
    assert left == {"book.duckdb", "book.before-0001.duckdb", "book.lock", "book.head.json"}, left
    (home / f"was-{schema}").touch()

def again():
    for path in home.glob("book*.duckdb*"):
        path.unlink()
    shutil.copy2(kept, book.path)

def after():
    assert not ended(child(check))
    again()

hits = 0
if kills:
    began = time.monotonic()
    assert not ended(child(migrate))
    lasted = time.monotonic() - began
    again()
    for number in range(kills):
        pid = child(migrate)
        time.sleep(lasted * (number + 0.5) / kills)
        os.kill(pid, signal.SIGKILL)
        hits += ended(pid)
        after()
else:
    while ended(child(lambda: migrate_until(hits))):
        hits += 1
        after()
print(json.dumps([hits, sorted(path.name for path in home.glob("was-*"))]))
"""


def killed(old: Book, folder: Path, root: Path, kills: int) -> tuple[int, list[str]]:
    command = [sys.executable, "-c", KILLER, str(old.path.parent), str(folder), str(kills)]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    hits, was = json.loads(run.stdout)
    return hits, was


@pytest.mark.slow
def test_a_kill_at_any_instant_of_a_slow_migration(old: Book, steps: Steps, root: Path) -> None:
    hits, _ = killed(old, steps(SLOW, SECOND), root, KILLS)
    assert hits >= KILLS // 2, "many kills must hit a running migration"


@pytest.mark.slow
def test_a_kill_before_and_after_each_call_of_a_migration(old: Book, steps: Steps, root: Path) -> None:
    quick = SLOW.replace("1_500_000", "100")
    hits, was = killed(old, steps(quick, SECOND), root, 0)
    assert hits >= 16
    assert was == ["was-1", "was-3"], "some kills leave the old book, and some the new one"


def test_nothing_is_drawn_into_what_machines_read(old: Book, root: Path) -> None:
    """DuckDB takes a process without a script of its own for one that somebody watches, and draws long queries."""
    reading = f"""
from pathlib import Path
from counterfoil.ledger.store import Book
home = Path({str(old.path.parent)!r})
with Book(home / "book.duckdb", home / "book.lock", home / "book.head.json").reading() as book:
    print(*book.row("SELECT current_setting('enable_progress_bar')"))
"""
    run = subprocess.run([sys.executable, "-c", reading], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


NO_ROOM = """
import resource, sys
from pathlib import Path
from counterfoil.errors import CounterfoilError
from counterfoil.ledger.store import Book
home = Path(sys.argv[1])
book = Book(home / "book.duckdb", home / "book.lock", home / "book.head.json", Path(sys.argv[2]))
limit = int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with book.reading():
        pass
except CounterfoilError as error:
    print(error.code, error.permanent, error.expected)
print(*sorted(path.name for path in home.glob("book.*")))
"""


@pytest.mark.parametrize("room", ["for half a copy", "for the copy and not for the steps", "on a small disk"])
def test_without_room_the_old_book_stays(old: Book, steps: Steps, root: Path, tmp_path: Path, room: str) -> None:
    size, before = old.path.stat().st_size, sha256_file(old.path)
    wide = steps("CREATE TABLE book.wide AS SELECT i, hash(i) AS h FROM range(2_000_000) r(i);")
    limit = {"for half a copy": size // 2, "for the copy and not for the steps": size + 65536}.get(room, 0)
    home = old.path.parent
    command = [sys.executable, "-c", NO_ROOM, str(home), str(wide), str(limit or size // 2)]
    if room == "on a small disk":
        small = tmp_path / "small"
        small.mkdir()
        mount = f"mount -t tmpfs -o size={size * 3 // 2} tmpfs {small} && cp {home}/book.* {small} && exec "
        unshared = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
        if subprocess.run([*unshared, mount + "true"], capture_output=True).returncode == 0:
            command = [*unshared, mount + '"$@"', "sh", *command[:3], str(small), str(wide), "0"]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    needed = f"{size:,} for a copy of the book and up to as much again for steps that rewrite it"
    assert run.stdout.splitlines() == [f"DISK_FULL False {needed}", "book.duckdb book.head.json book.lock"]
    assert sha256_file(old.path) == before


# Copies


def test_a_copy_is_the_book_and_nobody_posts_while_it_is_made(old: Book, tmp_path: Path) -> None:
    told: list[int] = []
    with old.copying(tmp_path / "copy.duckdb", copied=told.append) as copy:
        with pytest.raises(TransientError) as busy, old.writing(purpose="test", wait_s=0):
            pass
        assert busy.value.code is Code.BOOK_BUSY
    with old.writing(purpose="test", wait_s=0):
        pass
    assert copy.sha256 == sha256_file(tmp_path / "copy.duckdb") == sha256_file(old.path)
    assert sum(told) == old.path.stat().st_size
    assert (copy.heads, copy.schema) == (old.published(), 1)
    assert replace(old, path=tmp_path / "copy.duckdb").inspect() == (old.published(), 1)


def test_a_copy_is_made_at_the_schema_of_the_book(old: Book, steps: Steps, tmp_path: Path) -> None:
    with replace(old, migrations=steps(SECOND)).copying(tmp_path / "copy.duckdb") as copy:
        assert copy.schema == 1
    assert old.inspect()[1] == 1


def test_a_copy_holds_what_a_killed_writer_left_in_the_log(old: Book, tmp_path: Path, root: Path) -> None:
    kill_a_writer(old, root)
    with old.copying(tmp_path / "copy.duckdb"):
        pass
    copy = Book(tmp_path / "copy.duckdb", tmp_path / "lock", tmp_path / "head", old.migrations)
    assert left_in_the_log(copy) == 1


def test_a_copy_tells_whether_the_book_goes_on_from_earlier_heads(old: Book, tmp_path: Path) -> None:
    heads = old.published()
    with old.reading() as book:
        row = book.row("SELECT content_head, chain_head FROM book.posting WHERE n = 20")
    assert row is not None
    earlier = Heads(20, *row)
    for since, continues in (
        (None, True),
        (heads, True),
        (earlier, True),
        (replace(earlier, chain_head="0" * 64), False),
        (replace(heads, n=27), False),
    ):
        with old.copying(tmp_path / "copy.duckdb", since=since) as copy:
            assert copy.continues is continues


def test_there_is_no_copy_of_a_book_that_is_not_there_or_not_the_published_one(old: Book, tmp_path: Path) -> None:
    old.head_path.write_text(json.dumps(asdict(replace(old.published(), chain_head="0" * 64))))
    with pytest.raises(PermanentError) as told, old.copying(tmp_path / "copy.duckdb"):
        pass
    assert told.value.code is Code.BOOK_DAMAGED
    old.path.unlink()
    with pytest.raises(UsageError) as missing, old.copying(tmp_path / "copy.duckdb"):
        pass
    assert missing.value.code is Code.NOTHING_FOUND
    assert not (tmp_path / "copy.duckdb").exists()


@pytest.mark.parametrize("damage", ["cut short", "other bytes", "another database"])
def test_what_is_no_book_is_called_damaged(old: Book, steps: Steps, damage: str) -> None:
    if damage == "another database":
        empty = replace(old, path=old.path.with_name("empty.duckdb"))
        with empty._attached(read_only=False):
            pass
        empty.path.replace(old.path)
    else:
        data = old.path.read_bytes()
        old.path.write_bytes(data[: len(data) // 2] if damage == "cut short" else b"\0" * len(data))
    with pytest.raises(CounterfoilError) as told:
        old.inspect()
    assert told.value.code is Code.BOOK_DAMAGED


@pytest.mark.parametrize("damage", [b"", b"\x00\xff", b"[1]", b"{}", b'{"n":"1","content_head":"a","chain_head":"b"}'])
def test_heads_that_cannot_be_read_are_called_damaged(old: Book, damage: bytes) -> None:
    old.head_path.write_bytes(damage)
    with pytest.raises(PermanentError) as told, old.writing(purpose="test"):
        pass
    assert told.value.code is Code.BOOK_DAMAGED
    assert told.value.where == old.head_path.name
    assert old.head_path.read_bytes() == damage, "what was published is left to be looked at"


@pytest.mark.parametrize("kept", ["heads", "records"])
def test_a_book_that_was_lost_is_not_begun_anew(old: Book, kept: str) -> None:
    old.path.unlink()
    if kept == "records":
        old.head_path.unlink()
        old = replace(old, recorded=lambda: 1)
    for use in (old.reading(), old.writing(purpose="test")):
        with pytest.raises(PermanentError) as told, use:
            pass
        assert told.value.code is Code.BOOK_DAMAGED
    assert files(old) == set()


def test_a_book_without_a_table_is_called_damaged(old: Book) -> None:
    with old._attached(read_only=False) as connection:
        connection.execute("DROP TABLE book.posting CASCADE")
    with pytest.raises(PermanentError) as told, old.writing(purpose="test"):
        pass
    assert told.value.code is Code.BOOK_DAMAGED
