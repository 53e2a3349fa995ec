"""Lines and their encodings: bytes damaged at will, against the plain Python reading of the same bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.schemas.rules import Rule
from parsers.layout_shapes import Encoding, LineEnd
from parsers.lines import Block, blocks, map_lines
from parsers.text import LINE_FAULTS, read_text

# Pieces of which interesting bytes are made: whole characters, broken ones, line ends, end-of-file marks.
PIECES = [
    b"a", b"9", b" ", b"?", "é".encode(), "€".encode(), "😀".encode(), b"\xe2\x82", b"\xf0\x9f", b"\xc3", b"\x80",
    b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\x81", b"\0", b"\n", b"\r", b"\r\n", b"\x1a",
]  # fmt: skip
payloads = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)
ALL: tuple[LineEnd, ...] = ("cr", "crlf", "lf")

quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def to_file(content: bytes) -> Path:
        (tmp_path / "payload").write_bytes(content)
        return tmp_path / "payload"

    return to_file


def lines_of(path: Path, line_ends: tuple[LineEnd, ...]) -> tuple[str | None, list[bytes]]:
    """What the module makes of a file: how its lines end, and their contents."""
    payload = map_lines(path, line_ends)
    if payload is None:
        return None, []
    found: list[bytes] = []
    for block in blocks(payload, payload.start, payload.end, 1):
        assert block.first_no == len(found) + 1
        for start, size in zip(block.starts[:-1], block.sizes, strict=True):
            found.append(block.buffer[start : start + size].tobytes())
    return payload.line_end, found


def plain_lines(content: bytes, separator: bytes, carriage: bool) -> list[bytes]:
    body = content.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n\x1a")
    lines = body.split(separator) if body else []
    return [line.removesuffix(b"\r") if carriage else line for line in lines]


@given(content=payloads, small=st.booleans(), bom=st.booleans())
@quick
def test_lines_are_those_of_a_plain_split(
    write: Callable[[bytes], Path], content: bytes, small: bool, bom: bool
) -> None:
    if bom:
        content = b"\xef\xbb\xbf" + content
    with pytest.MonkeyPatch.context() as patch:
        if small:
            patch.setattr("parsers.lines.BLOCK_BYTES", 64)
            patch.setattr("parsers.lines.SCAN_BYTES", 5)
        for line_ends in (ALL, ("lf", "crlf"), ("cr",)):
            line_end, lines = lines_of(write(content), line_ends)
            separator = b"\r" if line_end == "cr" else b"\n"
            assert lines == plain_lines(content, separator, line_end == "crlf")


@pytest.mark.parametrize(
    ("content", "line_end"),
    [(b"a\rb\r", "cr"), (b"a\nb\r", "lf"), (b"a\r\nb\n", "crlf"), (b"a\r\r\nb", "cr"), (b"a", "cr"), (b"\nb", "lf")],
)
def test_the_first_line_tells_how_lines_end(write: Callable[[bytes], Path], content: bytes, line_end: str) -> None:
    assert lines_of(write(content), ALL)[0] == line_end


def block_of(lines: list[bytes]) -> Block:
    ends = np.cumsum([len(line) + 1 for line in lines])
    return Block(
        1,
        np.frombuffer(b"".join(line + b"\n" for line in lines), np.uint8),
        np.concatenate([[0], ends]).astype(np.int64),
        np.array([len(line) for line in lines], np.int64),
    )


def decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


@given(lines=st.lists(payloads.map(lambda b: b.replace(b"\n", b"")), min_size=1, max_size=8), piece=st.integers(1, 9))
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "latin-1"])
@quick
def test_exactly_the_undecodable_lines_are_at_fault(encoding: Encoding, lines: list[bytes], piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("parsers.text._PIECE", piece)
        text = read_text(block_of(lines), encoding, None, ())
    faults = text.rows["line.fault"].to_list()
    wanted = {False: "ENCODING", True: "NUL_BYTE"}
    by_code = {rule.value: value for rule, value in LINE_FAULTS.items()}
    for line, fault, shown in zip(lines, faults, text.clean.binary().cast(pl.String), strict=True):
        good = decodes(line, encoding)
        assert fault == (0 if good and b"\0" not in line else by_code[wanted[b"\0" in line]])
        if good:
            assert shown == line.decode(encoding) + "\n"
        else:
            assert shown.isascii()
    assert text.raw.binary().to_list() == [line + b"\n" for line in lines]


@pytest.mark.parametrize("sequence", [piece for piece in PIECES if not decodes(piece, "utf-8")] + [
    b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xed\xbf\xbf", b"\xf0\x8f\xbf\xbf", b"\xf5\x80\x80\x80", b"\xc1\xbf",
    b"\xe2\x28\xa1", b"\xf0\x9f\x98", b"\xc3\xa9\xa9",
])  # fmt: skip
def test_each_broken_sequence(sequence: bytes) -> None:
    """RFC 3629: overlong forms, surrogates, code points beyond U+10FFFF, stray and missing continuations."""
    whole = ["é", "€", "😀", "\ud7ff", "\ue000", "\U0010ffff", "\u0800", "\U00010000"]
    lines = [b"a" + sequence, *(letter.encode() for letter in whole), sequence + b"a", b"a"]
    faults = read_text(block_of(lines), "utf-8", None, ()).rows["line.fault"].to_list()
    assert [bool(fault) for fault in faults] == [True, *(False for _ in whole), True, False]


def test_a_field_never_begins_inside_a_character() -> None:
    lines = [b"ab\xc3\xa9def", b"abc\xc3\xa9ef", b"abcdefg"]
    text = read_text(block_of(lines), "utf-8", 7, (3,))
    assert text.rows["line.fault"].to_list() == [LINE_FAULTS[Rule.ENCODING], 0, 0]
    assert text.clean.binary().to_list()[0] == b"ab??def\n"


@pytest.mark.parametrize(("encoding", "letter"), [("latin-1", b"\xd8"), ("cp1252", b"\x80"), ("cp1252", b"\xd8")])
def test_single_byte_encodings_keep_their_positions(
    read: Callable[..., Any], sponsor_file: Any, amend: Callable[..., Any], encoding: str, letter: bytes
) -> None:
    """Fixed width positions count bytes of the file, also when its letters take more in UTF-8."""
    layout = amend("northstar_handback", {"encoding": encoding})
    content = bytearray(sponsor_file([{"ref": "1"}, {"ref": "2", "miles": 7}]).bytes())
    content[251 + 17] = letter[0]
    parsed = read("x", bytes(content), layout=layout)
    assert parsed.accepted["member"].to_list() == [letter.decode(encoding) + "0012345671", "80012345671"]
    assert parsed.accepted["points"].to_list() == [100, 7]
    assert parsed.accepted["ref"].to_list() == ["1", "2"]


def test_both_ways_of_cutting_give_the_same(
    read: Callable[..., Any], sponsor_file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equally long lines are cut by numpy, others by polars."""
    accounts = ["80012345671", "  012345671", "é123456789", "€12345678", "x😀123456"]
    answers = [
        {"ref": "9" * (1 + i % 20), "miles": 37 * i - 500, "status": " WE"[i % 3], "flags": "Y" * (i % 3)}
        for i in range(40)
    ]
    content = sponsor_file([answer | {"account": "@" * 11} for answer in answers], line_end="\n").bytes()
    for account in accounts * 8:
        content = content.replace(b"@" * 11, account.encode(), 1)
    by_numpy = read("northstar_handback", content)
    monkeypatch.setattr("parsers.views.Lines.grid", lambda *_: None)
    by_polars = read("northstar_handback", content)
    assert by_numpy.accepted["member"].to_list() == [account.strip() for account in accounts] * 8
    assert by_numpy.accepted.equals(by_polars.accepted)
