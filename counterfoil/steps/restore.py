"""Restoring: a home made again from a backup, proved whole before any of it takes its place.

Here: the order in which that is safe. Not here: the form of a backup (``backup``), or running anything afterwards.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from counterfoil import limits
from counterfoil.errors import Code, PermanentError, UsageError
from counterfoil.files import canonical_json, copy_synced, ensure_folder, sync_folder, write_durably
from counterfoil.landing.index import ArrivalIndex
from counterfoil.landing.store import LandingStore
from counterfoil.ledger import lock
from counterfoil.ledger.store import Book
from counterfoil.settings import Home
from counterfoil.steps import backup
from counterfoil.steps.backup import Manifest
from counterfoil.steps.desk import Progress

ASIDE: Final = "restoring"
"""Where everything is put together in the home before it takes its place."""

SEAL: Final = "restoring.json"
"""Written once everything aside is proved, gone when all of it has its place: a home that has it is half restored."""


@dataclass(frozen=True)
class Restored:
    """The backup a home was made from; ``own_settings`` is True where the home kept a settings file of its own."""

    manifest: Manifest
    own_settings: bool


def restore(source: Path, home: Home, *, number: int | None, progress: Progress) -> Restored:
    """Make ``home`` again from a backup in ``source``, the newest by default.

    Everything is copied aside and proved by its hash, the book by its heads, before anything takes its place; a restore
    that was killed is done again. Raises FOLDER_TAKEN for a home in which anything happened, NOTHING_FOUND where there
    is no such backup, BACKUP_DAMAGED, BOOK_NEWER, DISK_FULL and BOOK_BUSY.
    """
    manifest = _chosen(source, number)
    ensure_folder(home.root)
    with lock.held(home.book_lock, exclusive=True, wait_s=limits.LOCK_WAIT_S, purpose="restore"):
        aside, seal = home.root / ASIDE, home.root / SEAL
        sealed = canonical_json(manifest.fields())
        if not seal.exists():
            _require_vacant(home)
            if aside.exists():
                shutil.rmtree(aside)
            try:
                _assemble(source, manifest, aside, progress)
            except BaseException:
                shutil.rmtree(aside, ignore_errors=True)
                raise
            write_durably(aside / SEAL, sealed)
            (aside / SEAL).replace(seal)
            sync_folder(home.root)
        elif seal.read_bytes() != sealed:
            raise _taken(home, "a restore from another backup that did not end")
        own_settings = _place(home, aside)
        seal.unlink()
        sync_folder(home.root)
    return Restored(manifest, own_settings)


def require_whole(home: Home) -> None:
    """Raise FOLDER_TAKEN for a home that a restore has only half put in place."""
    if (home.root / SEAL).exists():
        raise UsageError(
            Code.FOLDER_TAKEN,
            str(home.root),
            found="a restore that did not end",
            expected="a home that is whole",
            remedy="Run the same counterfoil restore again; it goes on where it stopped",
        )


def _chosen(source: Path, number: int | None) -> Manifest:
    there = backup.manifests(source) if source.is_dir() else []
    if not there or (number is not None and number not in there):
        raise UsageError(
            Code.NOTHING_FOUND,
            str(source),
            found=f"the finished backups {', '.join(map(str, there)) or 'none'}",
            expected="a finished backup" if number is None else f"backup {number}",
            remedy="Name a folder that counterfoil backup has written, with --from",
        )
    return backup.read_manifest(source, there[-1] if number is None else number)


def _require_vacant(home: Home) -> None:
    """A home in which anything happened must not be mixed with another."""
    for place in (home.book, home.book_head, home.landing, home.arrival_db, home.out):
        if _has_facts(home, place):
            raise _taken(home, f"{place.name} in it")


def _has_facts(home: Home, place: Path) -> bool:
    """Whether a place holds more than whoever merely looked at an empty home left there; what cannot be read does."""
    if not place.is_file():
        return any(path.is_file() for path in place.rglob("*"))
    try:
        if place == home.book:
            return _book(home).inspect()[0].n > 0
        if place == home.book_head:
            return _book(home).published().n > 0
        if place == home.arrival_db:
            with ArrivalIndex(place, LandingStore(home.landing), batches=home.out_crm) as index:
                return index.has_facts()
    except PermanentError:
        pass
    return True


def _clear(home: Home, place: Path) -> None:
    """Take away what a mere look left; a file that came meanwhile stops it."""
    if place == home.book:
        _book(home).remove()
    elif place == home.arrival_db:
        for suffix in ("", "-wal", "-shm"):
            place.with_name(f"{place.name}{suffix}").unlink(missing_ok=True)
    for folder, _, _ in os.walk(place, topdown=False):
        Path(folder).rmdir()


def _book(home: Home) -> Book:
    return Book(home.book, home.book_lock, home.book_head)


def _taken(home: Home, found: str) -> UsageError:
    return UsageError(
        Code.FOLDER_TAKEN,
        str(home.root),
        found=found,
        expected="a home in which nothing has arrived or was posted",
        remedy="Restore into another folder with --home, or move what is there away",
    )


def _assemble(source: Path, manifest: Manifest, aside: Path, progress: Progress) -> None:
    """Put the home together aside, every file proved."""
    files = backup.inventory(source, manifest)
    lacking = backup.lacking_records(files, manifest.n)
    if lacking or backup.book_name(manifest.number) not in files:
        what = f"the record of posting {lacking[0]}" if lacking else "the book"
        raise backup.damaged(source / backup.inventory_name(manifest.number), f"a list without {what}")
    _copy(source, manifest, files, aside, progress)
    book = Book(aside / "book.duckdb", aside / "book.lock", aside / "book.head.json")
    if book.inspect() != (manifest.heads, manifest.book_schema):
        raise backup.damaged(source / backup.book_name(manifest.number), "a book with other heads than the manifest")
    book.publish(manifest.heads)


def _copy(source: Path, manifest: Manifest, files: Mapping[str, str], aside: Path, progress: Progress) -> None:
    done = 0

    def copied(size: int) -> None:
        nonlocal done
        done += size
        progress(f"copying {len(files):,} files", done, manifest.bytes)

    own = {
        backup.book_name(manifest.number): "book.duckdb",
        backup.settings_name(manifest.number): "counterfoil.yaml",
    }
    for path, sha in files.items():
        target = aside / own.get(path, path)
        ensure_folder(target.parent)
        try:
            found = copy_synced(source / path, target, copied=copied)
        except FileNotFoundError as error:
            raise backup.damaged(source / path, "no such file") from error
        if found != sha:
            raise backup.damaged(source / path, "other bytes than those that were backed up")
    for folder in {(aside / PurePosixPath(path)).parent for path in files}:
        sync_folder(folder)


def _place(home: Home, aside: Path) -> bool:
    """Give everything its place: the landing store first, from which all else can be made, and the book last.

    Returns whether the home keeps a settings file of its own.
    """
    settings = aside / home.settings_file.name
    own_settings = settings.exists() and home.settings_file.exists()
    if own_settings:
        settings.unlink()
    # The index fills itself from the landing store when it is made, so an empty one that is there goes first.
    for place in (home.arrival_db, home.landing, home.out, home.settings_file, home.book_head, home.book):
        made = aside / place.name
        if place == home.arrival_db or made.exists():
            if _has_facts(home, place):
                raise _taken(home, f"{place.name} in it, which came while it was being restored")
            _clear(home, place)
        if made.exists():
            made.replace(place)
            sync_folder(home.root)
    if aside.exists():
        shutil.rmtree(aside)
    return own_settings
