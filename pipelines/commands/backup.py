"""``counterfoil backup`` and ``counterfoil restore``: the home on another disk, and back."""

from pathlib import Path
from typing import Annotated

import typer

from counterfoil.ledger.store import Book
from counterfoil.settings import load_settings
from counterfoil.steps.backup import Manifest
from counterfoil.steps.backup import backup as add_backup
from counterfoil.steps.restore import restore as bring_back
from pipelines.commands.common import Format, FormatOption, HomeOption, emit_json, emit_rows, progress, stdout
from pipelines.wiring import existing

BackupOption = Annotated[int | None, typer.Option("--backup", help="A backup by its number; the newest by default.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    to: Annotated[Path, typer.Option("--to", help="A folder on another disk, for this home's backups alone.")],
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Copy the book under its lock, and what has landed since the last backup. Secrets are left out."""
    settings = existing(home)
    place = settings.home
    book = Book(place.book, place.book_lock, place.book_head)
    with progress() as say:
        made = add_backup(book, place, to.expanduser().absolute(), at=settings.clock(), progress=say)
    if output is Format.JSON:
        emit_json(made.fields())
        return
    _show(made, f"Backup {made.number}")


def restore(
    source: Annotated[Path, typer.Option("--from", help="The folder that the backups are in.")],
    home: HomeOption = None,
    number: BackupOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make a home again from a backup, proved whole before anything takes its place. Runs nothing."""
    place = load_settings(home).home
    with progress() as say:
        done = bring_back(source.expanduser().absolute(), place, number=number, progress=say)
    following = [f"counterfoil {verb} --home {place.root}" for verb in ("audit verify", "run")]
    if output is Format.JSON:
        emit_json({**done.manifest.fields(), "own_settings": done.own_settings, "next": following})
        return
    _show(done.manifest, f"Restored backup {done.manifest.number}")
    if done.own_settings:
        stdout.print("The settings file that was there has stayed.")
    stdout.print("Bring the secrets back by hand. Then:")
    for command in following:
        stdout.print(f"  {command}", soft_wrap=True)


def _show(manifest: Manifest, title: str) -> None:
    shown = ("chain_head", "book_schema", "files", "bytes", "new_files", "new_bytes", "made_at", "software")
    facts = manifest.fields()
    rows = [("posting", manifest.n), *((name.replace("_", " "), facts[name]) for name in shown)]
    emit_rows(rows, ("what", "value"), title=title)
