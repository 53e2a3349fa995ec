"""The book on disk: opened late, closed early, under its lock, at the newest schema.

Here: the DuckDB file, how it is replaced and copied whole, and the heads published beside it. Not here: what is read
(``lookups``, ``extracts``) or written (``writing``), the steps of its schema (``migrating``). Tables are addressed
through the attached catalog ``book``.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import duckdb
from pydantic import TypeAdapter, ValidationError

from counterfoil import limits
from counterfoil.errors import Code, PermanentError, TransientError, UsageError
from counterfoil.files import canonical_json, copy_synced, disk_fault, room_for_write, sync_folder, write_durably
from counterfoil.invariants import require
from counterfoil.ledger import audit, lock, migrating
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.writing import Writer

MEMORY_LIMIT: Final = "3GB"
"""Above it DuckDB spills to disk beside the book; 2 M records need about 1 GB."""


@dataclass(frozen=True)
class Heads:
    """What the book held when posting ``n`` was committed; published outside the database."""

    n: int
    content_head: str
    chain_head: str


_HEADS: Final = TypeAdapter(Heads)


@dataclass(frozen=True)
class Copied:
    """A copy of the book: what it holds, and the SHA-256 of its bytes. ``continues`` is False for another history."""

    heads: Heads
    schema: int
    sha256: str
    continues: bool


_NO_MEMORY: Final = ("Out of Memory", "llocate", "bad allocation", "worker thread", "start new thread")
_FAULTY: Final = ("Input/output error", "Read-only file system", "Stale file handle", "fsync failed")
_NO_ROOM: Final = ("No space left", "File too large", "Could not write", "quota")
"""What DuckDB's messages hold, the system's own words among them; its types of errors do not tell these apart."""

_SEEN_CURRENT: Final[set[tuple[int, int, Traversable]]] = set()
"""Books (device, inode, steps) this process has found at the newest schema: no program goes back to an older one."""


def _nobody(_bytes: int) -> None:
    """Told of copied bytes, and says nothing."""


def _no_records() -> int:
    """Of a book beside which nothing is recorded."""
    return 0


@dataclass(frozen=True)
class Book:
    """Where the book, its lock, its published heads and the steps of its schema lie.

    ``recorded`` tells how many postings are recorded outside it: with any, a book that is not there was lost.
    """

    path: Path
    lock_path: Path
    head_path: Path
    migrations: Traversable = migrating.MIGRATIONS
    recorded: Callable[[], int] = _no_records

    @contextmanager
    def reading(self, *, wait_s: float = limits.LOCK_WAIT_S) -> Iterator[Lookups]:
        """The book to read, beside other readers; an empty book where none is yet.

        Raises BOOK_DAMAGED, as ``writing`` does, where there was one and it is gone.
        """
        self._ensure(wait_s)
        with (
            lock.held(self.lock_path, exclusive=False, wait_s=wait_s, purpose="read"),
            self._attached(read_only=True) as connection,
        ):
            yield Lookups(connection)

    @contextmanager
    def as_it_is(self, *, wait_s: float = limits.LOCK_WAIT_S) -> Iterator[Lookups]:
        """The file at whatever schema it has, to read beside other readers; nothing is made or migrated.

        Raises BOOK_DAMAGED where there is no database.
        """
        if not self.path.exists():
            raise self._damaged("no book")
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

    @contextmanager
    def copying(
        self,
        target: Path,
        *,
        since: Heads | None = None,
        copied: Callable[[int], object] = _nobody,
        wait_s: float = limits.LOCK_WAIT_S,
    ) -> Iterator[Copied]:
        """Copy the book to ``target``, fsynced and proved; nobody can post before the context ends.

        The book is copied at the schema it has. ``since`` are heads that it should have had once. Raises NOTHING_FOUND
        where there is no book, BOOK_NEWER, BOOK_DAMAGED and DISK_FULL.
        """
        with lock.held(self.lock_path, exclusive=True, wait_s=wait_s, purpose="backup"):
            if not self.path.exists():
                raise UsageError(
                    Code.NOTHING_FOUND,
                    str(self.path),
                    found="no book",
                    expected="the book of a home that has run",
                    remedy="Name that home with --home",
                )
            held = self.inspect()
            with self._attached(read_only=True) as connection:
                self._publish(Lookups(connection))
            self._fold()
            sha = copy_synced(self.path, target, copied=copied)
            copy = replace(self, path=target)
            require(copy.inspect() == held, "a copy holds what the book holds", code=Code.BOOK_DAMAGED)
            yield Copied(*held, sha256=sha, continues=since is None or copy._has(since))

    def inspect(self) -> tuple[Heads, int]:
        """The heads and the schema of the file as it is. Changes nothing, takes no lock; BOOK_NEWER, BOOK_DAMAGED."""
        with self._attached(read_only=True) as connection:
            migrating.pending(connection, self.migrations)
            schema = migrating.schema(connection)
            if schema == 0:
                raise self._damaged("a database without the tables of a book")
            return self.heads(Lookups(connection)), schema

    def remove(self) -> None:
        """Remove the file and its log."""
        for path in (self.path, _wal(self.path)):
            path.unlink(missing_ok=True)

    def publish(self, heads: Heads) -> None:
        """Write heads beside the book."""
        write_durably(self.head_path, canonical_json(asdict(heads)))

    def heads(self, book: Lookups) -> Heads:
        """The heads after the last posting."""
        row = book.row("SELECT n, content_head, chain_head FROM book.posting ORDER BY n DESC LIMIT 1")
        return Heads(*row) if row else Heads(0, audit.GENESIS, audit.GENESIS)

    def published(self) -> Heads:
        """The heads as they were last published beside the book; reads no database. Raises BOOK_DAMAGED."""
        if not self.head_path.exists():
            return Heads(0, audit.GENESIS, audit.GENESIS)
        try:
            return _HEADS.validate_json(self.head_path.read_bytes(), strict=True)
        except ValidationError as error:
            raise PermanentError(
                Code.BOOK_DAMAGED,
                self.head_path.name,
                found="no published heads in it",
                expected="the number and the two heads of the last posting, as they were written",
                remedy="Restore it from its copy, or verify the book and remove the file; the next run writes it anew",
            ) from error

    def _publish(self, book: Lookups) -> None:
        """Write the heads beside the book; a published head that the book does not have means it was changed."""
        heads = self.heads(book)
        if self.head_path.exists():
            published = self.published()
            if published == heads:
                return
            if not _knows(book, published):
                raise PermanentError(
                    Code.BOOK_DAMAGED,
                    self.path.name,
                    found=f"the book does not hold the published head of posting {published.n}",
                    expected="every published head in the book",
                    remedy="Restore the book or rebuild it from the landing store; nothing was posted",
                )
        self.publish(heads)

    def _ensure(self, wait_s: float) -> None:
        """Make a book that is not there, and bring an older one up to date."""
        with lock.held(self.lock_path, exclusive=False, wait_s=wait_s, purpose="read"):
            current = self._current()
        if not current:
            with lock.held(self.lock_path, exclusive=True, wait_s=wait_s, purpose="migrate"):
                self._migrate()

    def _current(self) -> bool:
        """Whether the book is there at the newest schema; each process asks each file once."""
        try:
            facts = self.path.stat()
        except FileNotFoundError:
            return False
        seen = (facts.st_dev, facts.st_ino, self.migrations)
        if seen not in _SEEN_CURRENT:
            if self._pending():
                return False
            _SEEN_CURRENT.add(seen)
        return True

    def _pending(self) -> list[Traversable]:
        with self._attached(read_only=True) as connection:
            return migrating.pending(connection, self.migrations)

    def _migrate(self) -> None:
        """Bring the book to the newest schema, or make it; under the exclusive lock.

        The steps are taken aside, on a copy, and the copy then takes the book's name, so at every instant there is
        the old book or the new one. The old file stays beside it under a name that tells its schema.
        """
        aside = replace(self, path=self.path.with_suffix(".making"))
        with room_for_write(self.path.parent):
            aside.remove()  # what a killed migration left
            if not self.path.exists():
                self._require_never_posted()
                _wal(self.path).unlink(missing_ok=True)  # of a book that is gone: it must not be read into the new one
                aside._make()
            elif self._pending():
                self._fold()
                self._keep(aside._make(self.path))
            else:
                return  # another process was first
            aside.path.replace(self.path)
            sync_folder(self.path.parent)

    def _require_never_posted(self) -> None:
        """Raise BOOK_DAMAGED where postings are known outside a book that is gone: a new one would hide the loss.

        The book is made before its first posting is recorded, so no crash leaves a record without a book.
        """
        known = max(self.published().n, self.recorded())
        if known:
            raise PermanentError(
                Code.BOOK_DAMAGED,
                self.path.name,
                found=f"no book, though {known:,} postings were recorded",
                expected="the book that holds them",
                remedy="Restore it from a backup, or make it again with counterfoil replay; nothing was changed",
            )

    def _make(self, old: Path | None = None) -> int:
        """Make this file at the newest schema, from nothing or from a copy of ``old``; returns the schema it began at.

        Nothing of it is left when that fails: MIGRATION_FAILED, DISK_FULL.
        """
        try:
            if old is not None:
                self._require_room(old)
                copy_synced(old, self.path, copied=_nobody)
            with self._attached(read_only=False) as connection:
                began = migrating.schema(connection)
                for step in migrating.pending(connection, self.migrations):
                    self._take(connection, step)
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
            require(not _wal(self.path).exists(), "a closed book has no log beside it", code=Code.MIGRATION_FAILED)
        except BaseException as error:
            self.remove()
            if old is not None and isinstance(error, TransientError) and error.code is Code.DISK_FULL:
                raise _no_room_to_migrate(old) from error
            raise
        return began

    def _take(self, connection: duckdb.DuckDBPyConnection, step: Traversable) -> None:
        try:
            migrating.take(connection, step)
        except duckdb.Error as error:
            told = self._told(error)
            raise (migrating.failed(step, error) if told is error else told) from error

    def _require_room(self, old: Path) -> None:
        if shutil.disk_usage(old.parent).free < old.stat().st_size:
            raise _no_room_to_migrate(old)

    def _keep(self, schema: int) -> None:
        """Keep the file that a migration replaces, as ``book.before-0001.duckdb``; the number is its schema."""
        kept = self.path.with_stem(f"{self.path.stem}.before-{schema:04d}")
        kept.unlink(missing_ok=True)
        kept.hardlink_to(self.path)
        sync_folder(kept.parent)

    def _fold(self) -> None:
        """Fold the log into the file, so that the file alone is the book. Under the exclusive lock."""
        with self._attached(read_only=False) as connection:
            connection.execute("CHECKPOINT book")
        require(not _wal(self.path).exists(), "a closed book has no log beside it", code=Code.BOOK_DAMAGED)

    def _has(self, heads: Heads) -> bool:
        with self._attached(read_only=True) as connection:
            return _knows(Lookups(connection), heads)

    @contextmanager
    def _attached(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(duckdb.connect(":memory:", config={"memory_limit": MEMORY_LIMIT})) as connection:
                connection.execute(f"SET temp_directory = '{_quoted(self.path.parent / 'spill')}'")
                # In a process without a script of its own it would be drawn into what machines read.
                connection.execute("SET enable_progress_bar = false")
                connection.execute(f"ATTACH '{_quoted(self.path)}' AS book{' (READ_ONLY)' if read_only else ''}")
                yield connection
        except (duckdb.Error, MemoryError, RuntimeError) as error:
            raise self._told(error) from error

    def _told(self, error: duckdb.Error | MemoryError | RuntimeError) -> Exception:
        """Such errors in ours: no memory (or none for a thread), no room and a faulty disk are transient, a file that
        DuckDB cannot read is damage, the rest is a bug."""
        text = str(error)
        if isinstance(error, MemoryError) or any(sign in text for sign in _NO_MEMORY):
            return TransientError(
                Code.OUT_OF_MEMORY,
                self.path.name,
                found="not enough memory for what was being done with the book",
                expected=f"{MEMORY_LIMIT} for the book and as much for the rest",
                remedy="Free memory or raise the limit of the process, then run again; nothing was half posted",
            )
        if any(sign in text for sign in _FAULTY):
            return disk_fault(self.path, "the book could not be written")
        if any(sign in text for sign in _NO_ROOM):
            return TransientError(
                Code.DISK_FULL,
                str(self.path.parent),
                found="no room to write the book",
                expected="room for the whole posting",
                remedy="Free space there or raise the limit, then run again; nothing was posted",
            )
        if isinstance(error, duckdb.IOException):
            return self._damaged("a file that DuckDB cannot read or write")
        if isinstance(error, duckdb.CatalogException) and "Table with name" in text:
            return self._damaged("a database without a table of the book")
        return error

    def _damaged(self, found: str) -> PermanentError:
        return PermanentError(
            Code.BOOK_DAMAGED,
            self.path.name,
            found=found,
            expected="the book as it was last closed",
            remedy="Restore the book from its copy; the landing store holds everything that was posted",
        )


def _knows(book: Lookups, heads: Heads) -> bool:
    """Whether the book had these heads once; every book had those of no posting."""
    known = book.row("SELECT content_head, chain_head FROM book.posting WHERE n = ?", heads.n)
    return heads.n == 0 or known == (heads.content_head, heads.chain_head)


def _no_room_to_migrate(old: Path) -> TransientError:
    size = old.stat().st_size
    return TransientError(
        Code.DISK_FULL,
        str(old.parent),
        found=f"{shutil.disk_usage(old.parent).free:,} bytes to migrate the book in, or a limit on what may be written",
        expected=f"{size:,} for a copy of the book and up to as much again for steps that rewrite it",
        remedy="Free space there or raise the limit, then run again; the book is as it was",
    )


def _wal(path: Path) -> Path:
    """Where DuckDB keeps what was committed since the last checkpoint."""
    return path.with_name(f"{path.name}.wal")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
