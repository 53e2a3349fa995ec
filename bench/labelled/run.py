"""A home for one seed, and the real journey through all of its days: arrival, posting, and the close of each day.

Here: folders, a clock that stands still, and calls of the product's own steps. Not here: what the files hold
(``write``), or what is made of the book (``seen``, ``score``).
"""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from bench.labelled import days
from bench.labelled.seen import Seen, read
from bench.labelled.truth import Plan
from bench.labelled.write import File, files
from bench.places import PROJECT, SHARED_DATA
from counterfoil import journey
from counterfoil.invariants import require
from counterfoil.settings import INBOX, Settings, load_settings
from counterfoil.steps.close import close_days
from pipelines.wiring import open_desk

SETTINGS: Final = (
    f"programme: labelled\nstart_date: {days.FIRST}\napproval_points: {1 << 60}\napproval_minor: {1 << 60}\n"
)
"""Nobody is there to approve the opening balances, however large."""

QUIET: Final = timedelta(minutes=5)
"""Longer than any file must stay unchanged."""


def run(plan: Plan, root: Path) -> Seen:
    """Live through a plan in a new home below ``root``, and read what the book says at its end."""
    data, home = root / "data", root / "home"
    for name in SHARED_DATA:
        shutil.copytree(PROJECT / "data" / name, data / name)
    shutil.copytree(PROJECT / "bench" / "labelled" / "data", data, dirs_exist_ok=True)
    home.mkdir()
    (home / "counterfoil.yaml").write_text(SETTINGS)
    made = files(plan)
    for day in days.DAYS:
        for file in made:
            if file.arrives == day:
                _put(home, file)
        _night(data, home, day)
    with open_desk(_settings(data, home, _morning(days.LAST))) as desk, desk.book.reading() as book:
        return read(book, made, desk.feeds())


def _put(home: Path, file: File) -> None:
    path = home / INBOX / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.content)


def _night(data: Path, home: Path, day: date) -> None:
    """Two looks at the inbox, every feed, and the close of the day; nothing is handed on or reported."""
    with open_desk(_settings(data, home, _morning(day) - QUIET)) as desk:
        journey.arrive(desk, INBOX, patient=False)
    with open_desk(_settings(data, home, _morning(day))) as desk:
        received = journey.arrive(desk, INBOX, patient=False)
        require(not received.troubles and not received.waiting, "every file of the day arrives")
        for feed in [*desk.feeds(journey.OWN_FIRST), *desk.feeds()]:
            journey.intake(desk, feed.feed, day)
        close_days(desk, day)


def _morning(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 6, tzinfo=UTC) + timedelta(days=1)


def _settings(data: Path, home: Path, now: datetime) -> Settings:
    return load_settings(home).model_copy(update={"data": data, "clock": lambda: now, "run_id": "labelled"})
