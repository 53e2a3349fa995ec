"""The book on disk: opened late, closed early, under its lock, at the newest schema.

Here: the DuckDB file, its migrations and the heads published beside it. Not here: what is read (``lookups``,
``extracts``) or written (``writing``). Tables are addressed through the attached catalog ``book``.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import duckdb

from counterfoil import limits
from counterfoil.errors import Code, PermanentError, TransientError
from counterfoil.files import canonical_json, sync_folder, write_durably
from counterfoil.ledger import audit, lock
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.writing import Writer

MIGRATIONS: Final = resources.files("counterfoil.ledger") / "migrations"
MEMORY_LIMIT: Final = "3GB"
"""Above it DuckDB spills to disk beside the book; 2 M records need about 1 GB."""


@dataclass(frozen=True)
class Heads:
    """What the book held when posting ``n`` was committed; published outside the database."""

    n: int
    content_head: str
    chain_head: str


_NO_ROOM: Final = ("No space left", "File too large", "Could not write", "quota")

_SEEN_CURRENT: Final[set[Path]] = set()
"""Books this process has found at the newest schema: no other program brings one back to an older schema."""


@dataclass(frozen=True)
class Book:
    """Where the book, its lock and its published heads lie."""

    path: Path
    lock_path: Path
    head_path: Path

    @contextmanager
    def reading(self, *, wait_s: float = limits.LOCK_WAIT_S) -> Iterator[Lookups]:
        """The book to read, beside other readers; an empty book where none is yet."""
        self._ensure(wait_s)
        with (
            lock.held(self.lock_path, exclusive=False, wait_s=wait_s, purpose="read"),
            self._attached(read_only=True) as connection,
        ):
            yield Lookups(connection)

    @contextmanager
    def writing(self, *, purpose: str, wait_s: float = limits.LOCK_WAIT_S) -> Iterator[Writer]:
        """The book to write, alone. Each posting inside is a transaction of its own."""
        with lock.held(self.lock_path, exclusive=True, wait_s=wait_s, purpose=purpose):
            if not self._current():
                self._migrate()
            with self._attached(read_only=False) as connection:
                writer = Writer(connection)
                self._publish(writer)
                yield writer
                self._publish(writer)

    def heads(self, book: Lookups) -> Heads:
        """The heads after the last posting."""
        row = book.row("SELECT n, content_head, chain_head FROM book.posting ORDER BY n DESC LIMIT 1")
        return Heads(*row) if row else Heads(0, audit.GENESIS, audit.GENESIS)

    def published(self) -> Heads:
        """The heads as they were last published beside the book; reads no database."""
        if not self.head_path.exists():
            return Heads(0, audit.GENESIS, audit.GENESIS)
        return Heads(**json.loads(self.head_path.read_bytes()))

    def _publish(self, book: Lookups) -> None:
        """Write the heads beside the book; a published head that the book does not have means it was changed."""
        heads = self.heads(book)
        if self.head_path.exists():
            published = self.published()
            if published == heads:
                return
            known = book.row("SELECT content_head, chain_head FROM book.posting WHERE n = ?", published.n)
            if published.n and known != (published.content_head, published.chain_head):
                raise PermanentError(
                    Code.BOOK_DAMAGED,
                    self.path.name,
                    found=f"the book does not hold the published head of posting {published.n}",
                    expected="every published head in the book",
                    remedy="Restore the book or rebuild it from the landing store; nothing was posted",
                )
        write_durably(self.head_path, canonical_json(asdict(heads)))

    def _ensure(self, wait_s: float) -> None:
        """Make a book that is not there, and bring an older one up to date."""
        with lock.held(self.lock_path, exclusive=False, wait_s=wait_s, purpose="read"):
            current = self._current()
        if not current:
            with lock.held(self.lock_path, exclusive=True, wait_s=wait_s, purpose="migrate"):
                self._migrate()

    def _current(self) -> bool:
        """Whether the book is there at the newest schema; each process asks the file once a schema."""
        if not self.path.exists():
            return False
        if self.path not in _SEEN_CURRENT:
            with self._attached(read_only=True) as connection:
                if _pending(connection):
                    return False
            _SEEN_CURRENT.add(self.path)
        return True

    def _migrate(self) -> None:
        """Bring the book to the newest schema. A new one is made aside and renamed, for a file that a crash left
        without its header could never be opened again."""
        if self.path.exists():
            self._steps()
            return
        fresh = replace(self, path=self.path.with_suffix(".making"))
        for stale in (fresh.path, fresh.path.with_name(f"{fresh.path.name}.wal")):
            stale.unlink(missing_ok=True)
        fresh._steps()
        fresh.path.replace(self.path)
        sync_folder(self.path.parent)

    def _steps(self) -> None:
        """Every pending migration: copy first, then step and record in one transaction, then checkpoint."""
        with self._attached(read_only=False) as connection:
            pending = _pending(connection)
        if not pending:
            return
        if any(_version(step) > 1 for step in pending) and self.path.exists():
            shutil.copy2(self.path, self.path.with_suffix(f".before-{_version(pending[0]):04d}"))
        with self._attached(read_only=False) as connection:
            for step in pending:
                connection.execute("BEGIN")
                connection.execute(step.read_text())
                connection.execute("INSERT INTO book.migration VALUES (?, ?)", [_version(step), step.name])
                connection.execute("COMMIT")
            connection.execute("CHECKPOINT book")

    @contextmanager
    def _attached(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(":memory:", config={"memory_limit": MEMORY_LIMIT})
        try:
            connection.execute(f"SET temp_directory = '{_quoted(self.path.parent / 'spill')}'")
            connection.execute(f"ATTACH '{_quoted(self.path)}' AS book{' (READ_ONLY)' if read_only else ''}")
            yield connection
        except duckdb.Error as error:
            raise self._told(error) from error
        finally:
            connection.close()

    def _told(self, error: duckdb.Error) -> Exception:
        """DuckDB's own errors in ours: no room is transient, a file it cannot read is damage, the rest is a bug."""
        text = str(error)
        if any(sign in text for sign in _NO_ROOM):
            return TransientError(
                Code.DISK_FULL,
                str(self.path.parent),
                found="no room to write the book",
                expected="room for the whole posting",
                remedy="Free space there or raise the limit, then run again; nothing was posted",
            )
        if isinstance(error, duckdb.IOException):
            return PermanentError(
                Code.BOOK_DAMAGED,
                self.path.name,
                found="a file that DuckDB cannot read or write",
                expected="the book as it was last closed",
                remedy="Restore the book from its copy; the landing store holds everything that was posted",
            )
        return error


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _version(step: Traversable) -> int:
    return int(step.name[:4])


def _pending(connection: duckdb.DuckDBPyConnection) -> list[Traversable]:
    """Migrations the book lacks, in order; a book newer than the program is refused."""
    steps = sorted((step for step in MIGRATIONS.iterdir() if step.name.endswith(".sql")), key=_version)
    done = _done(connection)
    newest = max(map(_version, steps))
    if max(done, default=0) > newest:
        raise PermanentError(
            Code.BOOK_NEWER,
            "book",
            found=f"schema {max(done)}",
            expected=f"at most schema {newest}",
            remedy="Use the program that wrote it, or a newer one",
        )
    return [step for step in steps if _version(step) not in done]


def _done(connection: duckdb.DuckDBPyConnection) -> set[int]:
    exists = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'book' AND table_name = 'migration'"
    ).fetchone()
    if exists == (0,):
        return set()
    return {version for (version,) in connection.execute("SELECT version FROM book.migration").fetchall()}
