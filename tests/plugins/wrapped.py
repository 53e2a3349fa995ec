"""A home whose partner packs, encrypts or signs its answers, and real archives and messages to send there.

Here: the fixture ``packed_office`` and how files are packed. Not here: any expectation.
"""

import gzip
import io
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from counterfoil.settings import Settings
from tests.plugins.homes import MONDAY, Office, skybridge_handback

INCOMING = "skybridge/incoming"
PLAIN_NAME = f"SKYBRIDGE_{MONDAY:%Y%m%d}.HANDBACK.txt"
ANSWERS = skybridge_handback(MONDAY, [("1", 100, "0000")]).encode()

_ARRIVAL = re.compile(r"^arrival:\n(?:  .*\n)+", re.MULTILINE)


@dataclass
class PackedOffice(Office):
    """A home with a data folder of its own."""

    data: Path = Path()

    def settings(self) -> Settings:
        return super().settings().model_copy(update={"data": self.data})

    def send(self, name: str, data: bytes) -> Path:
        """The partner puts a file into its folder."""
        return self.put(f"{INCOMING}/{name}", data)


def declare(data: Path, feed: str, wrappers: str, *, ending: str = "", more: str = "") -> None:
    """Have every layout of a feed of skybridge take its files in wrappers, under names with another ending."""
    for path in (data / "partners/skybridge" / feed).glob("layout*.yaml"):
        text = path.read_text()
        old = next(line for line in text.splitlines() if line.startswith("  name: SKYBRIDGE"))
        path.write_text(text.replace(old, old + ending) + f"wrappers: {wrappers}\n{more}")


def share_arrival(data: Path, of: str, to: str) -> None:
    """Have all versions of two feeds of skybridge arrive as the first of them does."""
    folder = data / "partners/skybridge"
    (block,) = _ARRIVAL.findall((folder / of / "layout.yaml").read_text())
    for path in (path for feed in (of, to) for path in (folder / feed).glob("layout*.yaml")):
        path.write_text(_ARRIVAL.sub(lambda _: block, path.read_text()))


def zipped(members: Iterable[tuple[str, bytes]]) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def gzipped(data: bytes) -> bytes:
    """One gzip member."""
    return gzip.compress(data, mtime=0)


@pytest.fixture
def packed_office(tmp_path: Path, root: Path) -> Callable[..., PackedOffice]:
    """``packed_office("[{type: gzip}]", ending="\\.gz")``: a home that takes answers so wrapped."""

    def made(wrappers: str, *, ending: str = "", more: str = "") -> PackedOffice:
        data = tmp_path / "data"
        shutil.copytree(root / "data", data)
        declare(data, "skybridge_handback", wrappers, ending=ending, more=more)
        return PackedOffice(tmp_path / "home", data=data)

    return made
