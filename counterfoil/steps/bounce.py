"""Reports that letters were not delivered become facts: landed as they came, and joined to their letters.

Here: reading files and recording what they say, once. Not here: what a report says (``bounces``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from counterfoil.bounces import Report, read_report
from counterfoil.errors import Code, UsageError
from counterfoil.landing.outbox import Outbox
from counterfoil.limits import MEBIBYTE
from counterfoil.steps.desk import Desk

_REPORT_BYTES_MAX: Final = 25 * MEBIBYTE
"""What mail servers take; a report returns at most the letter."""


@dataclass(frozen=True)
class Told:
    """What came of one file: how many recipients it reports on, to how many of them nothing was delivered, and the
    letters that it is about."""

    file: str
    reports: int
    failed: int
    letters: tuple[str, ...]


def record_bounces(desk: Desk, place: Path) -> list[Told]:
    """Record the reports of a file or of the files of a folder. A file that is no report is told with none, and
    stays as it is; NOTHING_FOUND where there is no file."""
    return [_recorded(desk, path) for path in _files(place)]


def _recorded(desk: Desk, path: Path) -> Told:
    data = path.read_bytes() if path.stat().st_size <= _REPORT_BYTES_MAX else b""
    reports = read_report(data)
    outbox = desk.index.outbox
    facts = [(_letter(outbox, report), report.action, report.status) for report in reports]
    letters = outbox.bounce(data, facts, desk.now()) if facts else []
    failed = sum(report.action == "failed" for report in reports)
    return Told(path.name, len(reports), failed, tuple(letters))


def _letter(outbox: Outbox, report: Report) -> str | None:
    """The letter that a report is about: by its message's id, else the last one sent to the address."""
    if report.message is not None and (letter := outbox.of_message(report.message)) is not None:
        return letter
    return outbox.sent_to(report.recipient) if report.recipient is not None else None


def _files(place: Path) -> Sequence[Path]:
    found = list(_below(place)) if place.is_dir() else [place]
    if not found or not all(path.is_file() for path in found):
        raise UsageError(
            Code.NOTHING_FOUND,
            str(place),
            found="no file",
            expected="a report of a mail server as a file, or a folder of them",
            remedy="Save the reports as files and name them",
        )
    return found


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))
