"""The contracts that are shipped to begin from: their goldens, and what is peculiar to each."""

from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.errors import Code, PermanentError
from counterfoil.protocols import Parsed
from parsers import lines
from parsers.accept import claim_sample, golden_path, render, sample_vault, samples
from parsers.registry import LayoutReader

CONTRACTS = Path(__file__).parents[2] / "data" / "contracts"
SAMPLES = list(samples(CONTRACTS))

Read = Callable[[bytes], Parsed]


@pytest.fixture(scope="module")
def contracts() -> LayoutReader:
    return LayoutReader(CONTRACTS, vault=sample_vault)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_golden(contracts: LayoutReader, sample: Path) -> None:
    assert render(contracts, sample) == golden_path(sample).read_bytes(), "run `make accept` and look at what changed"


def test_every_contract_has_a_sample(contracts: LayoutReader) -> None:
    assert {sample.parent.parent.name for sample in SAMPLES} == {feed.feed for feed in contracts.feeds()}


@pytest.fixture
def mainframe(contracts: LayoutReader, tmp_path: Path) -> Read:
    (sample,) = (sample for sample in SAMPLES if sample.name.startswith("IB."))
    feed = claim_sample(contracts, sample)

    def parse(content: bytes) -> Parsed:
        (tmp_path / "payload").write_bytes(content)
        return contracts.read(feed, name=sample.name, payload=tmp_path / "payload")

    return parse


def mainframe_sample() -> bytes:
    return next(sample for sample in SAMPLES if sample.name.startswith("IB.")).read_bytes()


def test_blocks_of_bytes_are_cut_anywhere(mainframe: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mainframe(mainframe_sample())
    monkeypatch.setattr(lines, "BLOCK_BYTES", 100)
    parts = mainframe(mainframe_sample())
    assert parts.accepted.equals(whole.accepted)
    assert parts.quarantined.equals(whole.quarantined)
    assert (parts.lines, parts.envelope_lines) == (9, 4)


@pytest.mark.parametrize(
    ("place", "content", "code"),
    [
        (80 + 23, bytes.fromhex("00000000125F"), None),
        (80 + 23, bytes.fromhex("00000000125A"), "NUMBER_INVALID"),
        (80 + 23, bytes.fromhex("0000000012A5"), "NUMBER_INVALID"),
        (80 + 23, b"\x40" * 6, "NUMBER_INVALID"),
        (80 + 23, bytes.fromhex("99999999999D"), None),
        (80 + 40, b"\x00", "NUL_BYTE"),
        (80, b"\xf7", "RECORD_TYPE_UNKNOWN"),
    ],
)
def test_packed_decimals_are_read_exactly_or_refused(
    mainframe: Read, place: int, content: bytes, code: str | None
) -> None:
    sample = mainframe_sample()
    parsed = mainframe(sample[:place] + content + sample[place + len(content) :])
    assert parsed.quarantined.filter(parsed.quarantined["line_no"] == 2)["code"].to_list() == ([code] if code else [])
    if code is None:
        assert parsed.accepted["points"][0] in (125, -99_999_999_999)


def test_a_mainframe_file_cut_short_is_refused(mainframe: Read) -> None:
    with pytest.raises(PermanentError) as failure:
        mainframe(mainframe_sample()[:-30])
    assert failure.value.code is Code.ENVELOPE_INVALID


@pytest.mark.parametrize("bom", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_read_like_utf_8(contracts: LayoutReader, tmp_path: Path, bom: str) -> None:
    """The same text in another encoding makes the same records; the layout says which it is."""
    sample = next(sample for sample in SAMPLES if sample.name.startswith("Adriatic"))
    text = sample.read_text("utf-8")
    layout_file = CONTRACTS / "partners" / "adriatic" / "adriatic_handback" / "layout.yaml"
    wide = contracts.feed_from_bytes(layout_file.read_bytes().replace(b"encoding: utf-8", b"encoding: utf-16"))
    mark = {"utf-16": "", "utf-16-le": "\ufeff", "utf-16-be": "\ufeff"}[bom]
    (tmp_path / "wide").write_bytes((mark + text).encode(bom))
    found = contracts.read(wide, name=sample.name, payload=tmp_path / "wide")
    assert found.accepted.equals(
        contracts.read(claim_sample(contracts, sample), name=sample.name, payload=sample).accepted
    )
    (tmp_path / "wide").write_bytes((mark + text).encode(bom)[:-1])
    with pytest.raises(PermanentError) as failure:
        contracts.read(wide, name=sample.name, payload=tmp_path / "wide")
    assert "bytes that are not utf-16" in failure.value.found
