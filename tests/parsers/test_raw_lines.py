"""Lines by number as the partner sent them, and what people see of them: structure, and nobody."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.masking import masked_line
from counterfoil.protocols import RawLine
from counterfoil.schemas.tables import RAW_BYTES_MAX
from parsers import raw_lines
from parsers.registry import LayoutReader
from tests.parsers.conftest import Answer, SponsorFile
from tests.plugins.homes import skybridge_requests

DAY = date(2026, 11, 18)
Shown = Callable[..., dict[int, str]]


@pytest.fixture(scope="module")
def reader(root: Path) -> LayoutReader:
    return LayoutReader(root / "data")


@pytest.fixture
def shown(reader: LayoutReader, tmp_path: Path) -> Shown:
    """``shown(feed, name, content, numbers)``: the lines as people see them."""

    def show(feed: str, name: str, content: bytes, *numbers: int) -> dict[int, str]:
        path = tmp_path / "payload"
        path.write_bytes(content)
        (known,) = (one for one in reader.feeds() if one.feed == feed)
        lines = reader.lines(known, name=name, payload=path, numbers=numbers)
        return {number: masked_line(line) for number, line in lines.items()}

    return show


def test_a_delimited_line_shows_its_structure_and_no_person(shown: Shown) -> None:
    content = skybridge_requests(DAY, [("R-1001", 12500, "8001234567"), ("17", 40, "12 345 678")]).encode()
    lines = shown("skybridge_requests", "SKYBRIDGE_20261118.txt", content, 1, 2, 3, 9)
    assert set(lines) == {1, 2, 3}
    assert lines[2] == "1,·······567,···,····ple,·026-11-18,··500,R-·001,··nk1"
    assert lines[3].split(",")[1] == "·······678"


def test_a_quoted_name_with_a_comma_in_it_stays_hidden(shown: Shown) -> None:
    header, row = skybridge_requests(DAY, [("1", 5)]).splitlines()
    content = f"{header}\n{row.replace('Ada,', chr(34) + 'Ada, Grace' + chr(34) + ',')}\n".encode()
    (line,) = shown("skybridge_requests", "SKYBRIDGE_20261118.txt", content, 2).values()
    assert line == '1,·······111,"···, ··ace",····ple,·026-11-18,5,1,··nk1'


def test_a_line_without_the_declared_structure_shows_no_word(shown: Shown) -> None:
    content = skybridge_requests(DAY, []).encode() + b"1,Ada,Lovelace,accepted\n"
    (line,) = shown("skybridge_requests", "SKYBRIDGE_20261118.txt", content, 2).values()
    assert line == "1,···,·····ace,·····ted"


@pytest.mark.parametrize("line_end", ["\r", "\n", "\r\n"])
def test_a_fixed_width_line_keeps_its_columns(shown: Shown, line_end: str) -> None:
    file = SponsorFile.of([Answer(ref="700101"), Answer(ref="700102", status="M", merge_to="80099999999")])
    content = line_end.join([file.header(), *file.details]).encode() + line_end.encode()
    lines = shown("northstar_handback", "NSTR0011", content, 2, 3)
    assert [len(line) for line in lines.values()] == [250, 250]
    assert lines[2][:2] == "TD"
    assert lines[2][17:48] == "········671" + "·" * 17 + "101"
    assert lines[3][145:157] == "········999M"


def test_bytes_that_are_no_text_are_shown_as_masked_hexadecimal(shown: Shown) -> None:
    content = skybridge_requests(DAY, []).encode() + b"1,8001234567,Ada\xff\x00Love,2\n"
    (line,) = shown("skybridge_requests", "SKYBRIDGE_20261118.txt", content, 2).values()
    assert line == "31 2c ·· ·· ·· ·· ·· ·· ·· 35 36 37 2c ·· 64 61 ff 00 ·· 6f 76 65 2c 32"


def test_a_long_line_is_cut(shown: Shown) -> None:
    content = skybridge_requests(DAY, []).encode() + b"," * 200_000 + b"\n1\n"
    lines = shown("skybridge_requests", "SKYBRIDGE_20261118.txt", content, 2, 3)
    assert lines == {2: "," * RAW_BYTES_MAX + "…", 3: "1"}


def test_lines_are_found_by_number_in_pieces_of_any_size(
    reader: LayoutReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [(f"R{number}", number) for number in range(1, 200)]
    path = tmp_path / "payload"
    path.write_text(skybridge_requests(DAY, rows))
    (feed,) = (one for one in reader.feeds() if one.feed == "skybridge_requests")
    expected = dict(enumerate(path.read_bytes().splitlines(), start=1))
    for piece in (7, 64, 1 << 18):
        monkeypatch.setattr(raw_lines, "SCAN_BYTES", piece)
        found = reader.lines(feed, name="SKYBRIDGE_20261118.txt", payload=path, numbers=range(1, 300))
        assert {number: line.content for number, line in found.items()} == expected


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=4, max_size=40))
def test_no_word_and_no_number_of_four_characters_is_shown_whole(text: str) -> None:
    seen = masked_line(RawLine(text.encode(), len(text.encode()), "utf-8"))
    assert not any(word in seen.split() for word in text.split() if len(word) > 3 and word.isalnum())


@given(st.binary(max_size=60), st.sampled_from(["utf-8", "latin-1", "cp1252"]))
def test_an_account_shows_its_end_at_most(content: bytes, encoding: str) -> None:
    account = b"M1234567"
    line = RawLine(
        content + account, len(content + account), encoding, accounts=((len(content), len(content + account)),)
    )
    seen = masked_line(line)
    assert seen.endswith("567" if "·· 35" not in seen else "35 36 37")
    assert "4567" not in seen
    assert "34 35" not in seen
