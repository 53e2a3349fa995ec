"""Files to parse: builders for both partners' formats, and a reader over the real layouts.

Here: bytes that differ from good ones in one place. Not here: what must come of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from counterfoil.errors import PermanentError
from counterfoil.protocols import Parsed
from counterfoil.schemas.gate import prove_control
from parsers.accept import sample_vault
from parsers.layout import Layout
from parsers.layout_file import parse_layout
from parsers.registry import LayoutReader

SIGNS = "{ABCDEFGHI}JKLMNOPQR"


def overpunch(value: int, width: int) -> str:
    """A signed number as the sponsor file writes it; written anew here, so that reading it proves something."""
    digits = f"{abs(value):0{width}d}"
    return digits[:-1] + SIGNS[int(digits[-1]) + (10 if value < 0 else 0)]


def at(*pieces: tuple[int, str], length: int = 250) -> str:
    """A fixed width line: pieces at positions from 1, blanks elsewhere."""
    line = " " * length
    for position, text in pieces:
        line = line[: position - 1] + text + line[position - 1 + len(text) :]
    return line


@dataclass(frozen=True)
class Answer:
    """One detail of a sponsor file that comes back."""

    ref: str = "700101"
    miles: int = 100
    status: str = " "
    flags: str = ""
    merge_to: str = ""
    account: str = "80012345671"
    load_date: str = "20261120"

    def line(self) -> str:
        audit = ((122, "20261119"), (130, self.load_date), (138, "20261120"), (146, self.merge_to))
        return at(
            (1, "TD"), (18, self.account), (29, f"{self.ref:0>20}"), (49, "NSTR"), (53, "SPRING26"),
            (74, overpunch(self.miles, 9)), (83, "20261118"), *audit, (157, self.status), (177, self.flags),
        )  # fmt: skip


@dataclass(frozen=True)
class SponsorFile:
    """A sponsor file coming back whose header tells the truth, unless told otherwise."""

    details: tuple[str, ...]
    count: int
    miles: int
    rejected: tuple[int, int]
    sequence: int = 11
    line_end: str = "\r"

    @classmethod
    def of(cls, answers: Sequence[Answer]) -> "SponsorFile":
        rejects = [answer.miles for answer in answers if answer.status == "E"]
        return cls(
            tuple(answer.line() for answer in answers),
            len(answers),
            sum(answer.miles for answer in answers),
            (len(rejects), sum(rejects)),
        )

    def header(self) -> str:
        count, miles = self.rejected
        audit = f"{count:08d}{overpunch(miles, 13)}{self.count - count:08d}{overpunch(self.miles - miles, 13)}"
        return at(
            (1, "TH"), (9, "NSTR"), (13, f"{self.sequence:06d}"), (19, "20261120"), (27, "061500"),
            (33, f"{self.count:08d}"), (41, overpunch(self.miles, 13)), (80, audit),
        )  # fmt: skip

    def bytes(self) -> bytes:
        return "".join(line + self.line_end for line in (self.header(), *self.details)).encode()


@pytest.fixture(scope="session")
def reader(root: Path) -> LayoutReader:
    """All shipped layouts."""
    return LayoutReader(root / "data", vault=sample_vault)


@pytest.fixture(scope="session")
def layouts(reader: LayoutReader) -> dict[str, Layout]:
    """The shipped layouts by feed."""
    return {feed.feed: feed for feed in reader.feeds() if isinstance(feed, Layout)}


@pytest.fixture(scope="session")
def sponsor_file() -> Callable[..., SponsorFile]:
    """``sponsor_file([answers], **changes)``: a hand-back in the sponsor's format."""

    def build(answers: Sequence[dict[str, Any]], **changes: Any) -> SponsorFile:
        return replace(SponsorFile.of([Answer(**answer) for answer in answers]), **changes)

    return build


@pytest.fixture
def read(reader: LayoutReader, layouts: dict[str, Layout], tmp_path: Path) -> Callable[..., Parsed]:
    """``read(feed, content, name=…, layout=…)``: parse bytes by a shipped layout or a given one."""
    names = {
        "northstar_handback": "NSTR0011",
        "northstar_requests": "NSTR0011",
        "skybridge_handback": "SKYBRIDGE_20261120.HANDBACK.txt",
        "skybridge_requests": "SKYBRIDGE_20261120.txt",
        "opening": "opening_20260101.csv",
        "rates": "rates_20260101.csv",
        "calendar": "calendar_20261120.csv",
        "vouchers": "vouchers_20261116_0a1b2c3d.csv",
    }

    def parse(feed: str, content: bytes, name: str | None = None, layout: Layout | None = None) -> Parsed:
        path = tmp_path / "payload"
        path.write_bytes(content)
        chosen = layout or layouts[feed]
        return reader.read(chosen, name=name or names[chosen.feed], payload=path)

    return parse


@pytest.fixture(scope="session")
def code_of() -> Callable[[Parsed, Layout], str]:
    """The gate's verdict on a parsed file: ``accepted`` or the code of the error."""

    def judge(parsed: Parsed, layout: Layout) -> str:
        try:
            prove_control(parsed, layout, "file")
        except PermanentError as error:
            return error.code.value
        return "accepted"

    return judge


@pytest.fixture(scope="session")
def amend(root: Path) -> Callable[..., Layout]:
    """``amend(feed, {"shape.quote": "none", "identities": None})``: a shipped layout with keys changed or taken out."""

    def change(feed: str, changes: dict[str, Any]) -> Layout:
        (path,) = (root / "data").glob(f"partners/*/{feed}/layout.yaml")
        document = yaml.load(path.read_text("utf-8"), Loader=yaml.BaseLoader)
        for key, value in changes.items():
            *parents, last = key.split(".")
            place = document
            for parent in parents:
                place = place.setdefault(parent, {})
            if value is None:
                del place[last]
            else:
                place[last] = value
        return parse_layout(yaml.safe_dump(document, sort_keys=False).encode(), "test")

    return change
