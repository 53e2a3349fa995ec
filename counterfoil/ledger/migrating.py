"""The book's schema: the numbered SQL steps that lead to it, and which of them a book has taken.

Here: reading and taking steps on an open book. Not here: which file they are taken on, and its safety (``store``).
"""

from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

import duckdb

from counterfoil.errors import Code, PermanentError

MIGRATIONS: Final = resources.files("counterfoil.ledger") / "migrations"
"""``0001_book.sql`` and those after it. A published step is never edited."""


def version(step: Traversable) -> int:
    """The schema that a step leads to."""
    return int(step.name[:4])


def schema(connection: duckdb.DuckDBPyConnection) -> int:
    """The schema of the open book, 0 before its first step."""
    return max(_taken(connection), default=0)


def pending(connection: duckdb.DuckDBPyConnection, folder: Traversable) -> list[Traversable]:
    """The steps that the open book lacks, in order; writes nothing. BOOK_NEWER when it has one that is not there."""
    steps = sorted((step for step in folder.iterdir() if step.name.endswith(".sql")), key=version)
    taken = _taken(connection)
    newest = max(map(version, steps))
    if max(taken, default=0) > newest:
        raise PermanentError(
            Code.BOOK_NEWER,
            "book",
            found=f"schema {max(taken)}",
            expected=f"at most schema {newest}",
            remedy="Use the program that wrote it, or a newer one",
        )
    return [step for step in steps if version(step) not in taken]


def take(connection: duckdb.DuckDBPyConnection, step: Traversable) -> None:
    """Take one step: the step and its record in one transaction, then a checkpoint.

    The checkpoint is not for speed: an unclean stop after an ALTER can leave a file that does not open again.
    """
    connection.execute("BEGIN")
    connection.execute(step.read_text("utf-8"))
    connection.execute("INSERT INTO book.migration VALUES (?, ?)", [version(step), step.name])
    connection.execute("COMMIT")
    connection.execute("CHECKPOINT book")


def failed(step: Traversable, error: duckdb.Error) -> PermanentError:
    """A step that did not go through. The database's own text may quote values, so only its kind is told."""
    return PermanentError(
        Code.MIGRATION_FAILED,
        step.name,
        found=f"{type(error).__name__} on a copy of the book",
        expected="every step to go through",
        remedy="The book is as it was: go on with the program that wrote it, and report this",
    )


def _taken(connection: duckdb.DuckDBPyConnection) -> set[int]:
    exists = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'book' AND table_name = 'migration'"
    ).fetchone()
    if exists == (0,):
        return set()
    return {taken for (taken,) in connection.execute("SELECT version FROM book.migration").fetchall()}
