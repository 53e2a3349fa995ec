"""The folders of one run of the harness: inputs, data folder, prepared state of both sides, and copies for each turn.

Here: making and copying folders. Not here: what is measured (``run``), or what the files hold (``inputs``).
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.inputs import HANDBACK, REQUESTED

PROJECT: Final = Path(__file__).resolve().parent.parent
BENCH_DATA: Final = Path(__file__).resolve().parent / "data"
SHARED_DATA: Final = ("ledger", "crm", "gl", "partners/counterfoil")
"""What the yardstick's data folder has in common with the shipped one."""

SETTINGS: Final = f"programme: bench\nstart_date: {REQUESTED}\n"


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
    shutil.copytree(BENCH_DATA, places.data, dirs_exist_ok=True)


def make_home(places: Places) -> None:
    """A home whose inbox holds every input but the hand-back."""
    places.prepared_home.mkdir(parents=True)
    (places.prepared_home / "counterfoil.yaml").write_text(SETTINGS)
    inbox = places.prepared_home / "inbox"
    shutil.copytree(places.inputs, inbox, copy_function=os.link)
    (inbox / HANDBACK).unlink()


def copy_home(places: Places) -> Path:
    """A fresh copy of the prepared home, the hand-back in its inbox; settled on the disk, so no turn pays for another.

    Files that are never written in place are linked.
    """
    home = places.turn / "home"
    shutil.rmtree(places.turn, ignore_errors=True)
    shutil.copytree(places.prepared_home, home, copy_function=_copy)
    os.link(places.inputs / HANDBACK, home / "inbox" / HANDBACK)
    os.sync()
    return home


def copy_plain(places: Places) -> Path:
    """A fresh copy of the plain side's prepared folder, with an empty ``out``."""
    folder = places.turn / "plain"
    shutil.rmtree(places.turn, ignore_errors=True)
    shutil.copytree(places.prepared_plain, folder)
    (folder / "out").mkdir()
    os.sync()
    return folder


def _copy(source: str, target: str) -> str:
    if {"inbox", "payloads"} & set(Path(source).parts):
        os.link(source, target)
        return target
    return shutil.copy2(source, target)
