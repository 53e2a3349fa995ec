"""What lies beside a checked file, held against it: check sums, control totals, and the list of its set.

Here: both sides of each, for people and machines. Not here: what a small file may say
(``counterfoil.steps.beside``), or the file itself (``check``).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from counterfoil.errors import PermanentError
from counterfoil.feed import Companion
from counterfoil.files import sha256_file
from counterfoil.protocols import Parsed
from counterfoil.steps.beside import (
    counted,
    declared_in,
    listed_in,
    lists,
    md5_of,
    prove_stated,
    require_small,
    require_sum,
    sum_in,
)
from parsers.layout import Layout
from pipelines.commands.common import emit_rows, stdout

_COLUMNS: Final = ("beside_it", "says", "stated", "found", "holds")

_WAITS: Final = "when the file arrives it waits for that"


@dataclass
class Around:
    """What was found beside a file. ``sides``: a row of _COLUMNS for each thing that is said of it; ``notes``: what is
    not there, in sentences; ``declared``: by control file, the records and points it states; ``fault``: why the file
    would be refused, if anything differs."""

    sides: list[tuple[str, str, str | int, str | int, bool]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    declared: dict[str, dict[str, int]] = field(default_factory=dict)
    fault: PermanentError | None = None

    @contextmanager
    def told_first(self) -> Iterator[None]:
        """A file that is not the one meant need not be readable: then that is told, and not how it breaks."""
        try:
            yield
        except PermanentError:
            if self.fault is None:
                raise
            raise self.fault from None

    def hold_sum(self, feed: Layout, file: Path, small: str, kind: str, stated: str) -> None:
        """Hold the bytes against a check sum."""
        found = sha256_file(file) if kind == "sha256" else md5_of(file)
        self.sides.append((small, kind, stated, found, stated == found))
        require_sum(f"{feed.key} {file.name!r}", small, stated, found)

    def count(self, parsed: Parsed, feed: Layout, name: str) -> None:
        """Hold the records against what control files state."""
        found = counted(parsed)
        for small, declared in self.declared.items():
            self.sides += [
                (small, what, stated, found[what], stated == found[what]) for what, stated in declared.items()
            ]
            with self.kept():
                prove_stated(parsed, feed, name, declared)

    def document(self) -> dict[str, object]:
        """The same as JSON values."""
        return {"beside": [dict(zip(_COLUMNS, row, strict=True)) for row in self.sides], "not_beside": self.notes}

    def show(self) -> None:
        """The same for people; nothing of a feed whose files come alone."""
        if self.sides:
            emit_rows(self.sides, _COLUMNS, title="What lies beside it")
        for note in self.notes:
            stdout.print(f"{note}.")

    @contextmanager
    def kept(self) -> Iterator[None]:
        """The first fault is the one that a run would tell."""
        try:
            yield
        except PermanentError as error:
            self.fault = self.fault or error


def look_around(feed: Layout, file: Path, *, inside: bool) -> Around:
    """Hold the bytes of a received file against all that its layout says lies beside it; ``inside``: it is only what
    was wrapped."""
    around = Around()
    if inside and (feed.arrival.companions or feed.arrival.manifest):
        around.notes.append("Not looked at: what lies beside it is about the file as it is received, wrappers and all")
        return around
    for companion in feed.arrival.companions:
        with around.kept():
            _hold(around, feed, file, companion)
    with around.kept():
        _hold_listed(around, feed, file)
    return around


def _hold(around: Around, feed: Layout, file: Path, companion: Companion) -> None:
    small = file.with_name(file.name + companion.suffix)
    if not small.is_file():
        around.notes.append(
            f"Not beside it: {small.name!r} ({companion.holds}); when the file arrives it waits for that"
        )
    elif companion.holds == "control":
        around.declared[small.name] = declared_in(companion, _content(small), small.name)
    else:
        around.hold_sum(feed, file, small.name, companion.holds, sum_in(companion, _content(small), small.name))


def _hold_listed(around: Around, feed: Layout, file: Path) -> None:
    """Hold a file against the manifest that lists it, and the manifest against what lies there."""
    manifest = feed.arrival.manifest
    if manifest is None:
        return
    for small in sorted(path for path in file.parent.iterdir() if lists(manifest, path.name) and path.is_file()):
        listed = listed_in(manifest, _content(small), small.name)
        if file.name not in listed:
            continue
        away = ", ".join(repr(name) for name in listed if not file.with_name(name).is_file())
        if away:
            around.notes.append(f"Not beside it: {away}, which {small.name!r} lists; none of a set is taken before all")
        if listed[file.name]:
            around.hold_sum(feed, file, small.name, "sha256", listed[file.name])
        else:
            around.sides.append((small.name, "name", file.name, file.name, True))
        return
    around.notes.append(f"Not beside it: a manifest that lists it; {_WAITS}")


def _content(small: Path) -> bytes:
    require_small(small.name, small.stat().st_size)
    return small.read_bytes()
