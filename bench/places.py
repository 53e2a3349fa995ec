"""The folders of one run of the harness: inputs, data folder, prepared state of both sides, and copies for each turn.

Here: names, days, and making and copying folders; nothing heavy is imported. Not here: what the files hold
(``inputs``), or what is measured (``run``).
"""

import os
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

REQUESTED: Final = date(2026, 11, 18)
ANSWERED: Final = date(2026, 11, 19)

OPENING: Final = f"opening/opening_{REQUESTED:%Y%m%d}.csv"
RATES: Final = f"rates/rates_{REQUESTED:%Y%m%d}.csv"
REQUESTS: Final = f"bench/outgoing/BENCH_{REQUESTED:%Y%m%d}.txt"
HANDBACK: Final = f"bench/incoming/BENCH_{ANSWERED:%Y%m%d}.HANDBACK.txt"
"""Where the files lie below an inbox."""

PROJECT: Final = Path(__file__).resolve().parent.parent
SHARED_DATA: Final = ("ledger", "crm", "gl", "partners/counterfoil")
"""What the yardstick's data folder has in common with the shipped one."""

SETTINGS: Final = f"programme: bench\nstart_date: {REQUESTED}\napproval_points: {1 << 60}\napproval_minor: {1 << 60}\n"
"""Nobody is there to approve the opening balances, however large."""

WRITTEN_ONCE: Final = {"inbox", "payloads"}
"""Folders of a home whose files are never written in place; copies of a home share them."""


@dataclass(frozen=True)
class Places:
    """Where everything of one run lies; nothing outside ``root`` is written."""

    root: Path

    @property
    def inputs(self) -> Path:
        return self.root / "inputs"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def prepared_home(self) -> Path:
        return self.root / "prepared" / "home"

    @property
    def prepared_plain(self) -> Path:
        return self.root / "prepared" / "plain"

    @property
    def turn(self) -> Path:
        return self.root / "turn"


def make_data_folder(places: Places) -> None:
    """The shipped rules and targets with the yardstick's two layouts."""
    for name in SHARED_DATA:
        shutil.copytree(PROJECT / "data" / name, places.data / name)
    shutil.copytree(PROJECT / "bench" / "data", places.data, dirs_exist_ok=True)


def make_home(places: Places) -> None:
    """A home whose inbox holds every input but the hand-back."""
    places.prepared_home.mkdir(parents=True)
    (places.prepared_home / "counterfoil.yaml").write_text(SETTINGS)
    inbox = places.prepared_home / "inbox"
    shutil.copytree(places.inputs, inbox, copy_function=os.link)
    (inbox / HANDBACK).unlink()


def copy_home(places: Places) -> Path:
    """A fresh copy of the prepared home, the hand-back in its inbox.

    All of it is settled on the disk, so that no turn pays for what came before it.
    """
    home = places.turn / "home"
    shutil.rmtree(places.turn, ignore_errors=True)
    shutil.copytree(places.prepared_home, home, copy_function=_copy)
    os.link(places.inputs / HANDBACK, home / "inbox" / HANDBACK)
    os.sync()
    return home


def copy_plain(places: Places) -> Path:
    """A fresh copy of the plain side's database, with an empty folder ``out``; settled on the disk."""
    folder = places.turn / "plain"
    shutil.rmtree(places.turn, ignore_errors=True)
    shutil.copytree(places.prepared_plain, folder)
    (folder / "out").mkdir()
    os.sync()
    return folder


def _copy(source: str, target: str) -> str:
    if WRITTEN_ONCE & set(Path(source).parts):
        os.link(source, target)
        return target
    return str(shutil.copy2(source, target))
