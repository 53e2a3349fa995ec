"""JSON lines: what each line must be, number texts kept, and every line accounted for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.errors import Code, PermanentError
from counterfoil.masking import masked_line
from counterfoil.protocols import Parsed
from parsers.layout import Layout
from parsers.layout_file import parse_layout
from parsers.registry import LayoutReader
from parsers.shapes import json_text

LAYOUT = Path(__file__).parents[2] / "data/contracts/partners/fernhill/fernhill_handback/layout.yaml"
NAME = "fernhill_postings_2026-11-20.jsonl"
GOOD = (
    '{"transactionId":"R1","memberId":"0070412235","amount":150,"status":"success",'
    '"order":{"createdAt":"2026-11-18T14:02:11Z"}}'
)

Parse = Callable[..., Parsed]


@pytest.fixture
def layout() -> Layout:
    return parse_layout(LAYOUT.read_bytes(), "test")


@pytest.fixture
def parse(reader: LayoutReader, layout: Layout, tmp_path: Path) -> Parse:
    def read(*lines: str | bytes, end: bytes = b"\n") -> Parsed:
        coded = (line.encode() if isinstance(line, str) else line for line in lines)
        (tmp_path / "payload").write_bytes(b"".join(line + end for line in coded))
        return reader.read(layout, name=NAME, payload=tmp_path / "payload")

    return read


@pytest.mark.parametrize(
    ("line", "code", "field"),
    [
        ("[1, 2]", "RECORD_INVALID", None),
        ("12", "RECORD_INVALID", None),
        ("null", "RECORD_INVALID", None),
        (GOOD[:-1], "RECORD_INVALID", None),
        (GOOD + GOOD, "RECORD_INVALID", None),
        (GOOD + " x", "RECORD_INVALID", None),
        (GOOD.replace("150", "NaN"), "RECORD_INVALID", None),
        (GOOD.replace("150", "-Infinity"), "RECORD_INVALID", None),
        (GOOD.replace("150", "0150"), "RECORD_INVALID", None),
        (GOOD.replace('"R1"', "'R1'"), "RECORD_INVALID", None),
        (GOOD.replace("R1", "R\t1"), "RECORD_INVALID", None),
        (GOOD.replace("R1", "R\\x"), "RECORD_INVALID", None),
        (GOOD.replace("R1", "\\ud800"), "RECORD_INVALID", None),
        (GOOD.replace("R1", "\\udc00\\ud800"), "RECORD_INVALID", None),
        ("[" * 60_000, "RECORD_INVALID", None),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "RECORD_INVALID", None),
        (GOOD.replace("{", '{"memberId":"1",', 1), "VALUE_TWICE", None),
        (GOOD.replace('"order":{', '"order":{"x":1,"x":2,'), "VALUE_TWICE", None),
        (GOOD.replace("150", "[150]"), "VALUE_NESTED", "amount"),
        (GOOD.replace('"0070412235"', '{"a":1}'), "VALUE_NESTED", "member"),
        (GOOD.replace('{"createdAt":"2026-11-18T14:02:11Z"}', '"2026"'), "VALUE_NESTED", "ordered"),
        (GOOD.replace("R1", "R\\n1"), "CONTROL_CHARACTER", None),
        (GOOD.replace("R1", "R\\u00001"), "CONTROL_CHARACTER", None),
        (GOOD.replace('"R1"', "null"), "FIELD_MISSING", "transaction"),
        (GOOD.replace('"order":{"createdAt":"2026-11-18T14:02:11Z"}', '"order":null'), "FIELD_MISSING", "ordered"),
        (GOOD.replace('"amount":150,', ""), "FIELD_MISSING", "amount"),
        (GOOD.replace("150", "true"), "NUMBER_INVALID", "amount"),
        (GOOD.replace("150", "1.5e2"), "NUMBER_INVALID", "amount"),
        (GOOD.replace("150", "12.50"), "NUMBER_FRACTION", "amount"),
        (GOOD.replace("150", "150.000"), "NUMBER_INVALID", "amount"),
        (GOOD.replace("150", "9" * 5_000), "NUMBER_RANGE", "amount"),
        (GOOD.replace("R1", "R" * 101), "FIELD_LONG", "transaction"),
        (GOOD.replace("R1", "R" * 70_000), "LINE_LENGTH", None),
        (GOOD.encode().replace(b"R1", b"R\xff"), "ENCODING", None),
        (GOOD.encode().replace(b"R1", b"R\x00"), "NUL_BYTE", None),
    ],
)
def test_a_bad_line_is_kept_apart_and_its_neighbours_are_read(
    parse: Parse, line: str | bytes, code: str, field: str | None
) -> None:
    parsed = parse(GOOD, line, GOOD.replace("R1", "R3"))
    assert parsed.accepted["ref"].to_list() == ["R1", "R3"]
    assert parsed.quarantined.select("line_no", "code", "field").rows() == [(2, code, field)]
    raw = line.encode() if isinstance(line, str) else line
    assert raw.startswith(parsed.quarantined["raw"].item()) if code == "LINE_LENGTH" else True


@pytest.mark.parametrize(
    ("written", "points"),
    [("150", 150), ("-0", 0), ("150.00", 150), ('"150"', 150), ("1000000000000000", 10**15), ("-12.0", -12)],
)
def test_numbers_are_their_texts(parse: Parse, written: str, points: int) -> None:
    assert parse(GOOD.replace("150", written)).accepted["points"].to_list() == [points]


def test_texts_are_what_their_escapes_mean(parse: Parse) -> None:
    parsed = parse(GOOD.replace("R1", "\\u00e4\\ud83d\\ude00\\\\ud800 \\u00df"))
    assert parsed.accepted["ref"].to_list() == ["ä😀\\ud800 ß"]


def test_every_line_is_accounted_for(parse: Parse) -> None:
    parsed = parse(GOOD, "", "  \t", "x", GOOD, end=b"\n")
    assert (parsed.lines, parsed.envelope_lines, parsed.records) == (5, 2, 3)
    assert parsed.accepted["line_no"].to_list() == [1, 5]


def test_steps_and_blocks_change_nothing(parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for i in range(40) for line in (GOOD.replace("R1", f"R{i}"), "x" * (i % 3), '{"a":1,"a":2}')]
    whole = parse(*lines)
    monkeypatch.setattr(json_text, "STEP_RECORDS", 7)
    monkeypatch.setattr("parsers.lines.BLOCK_BYTES", 300)
    parts = parse(*lines)
    assert parts.accepted.equals(whole.accepted)
    assert parts.quarantined.equals(whole.quarantined)
    assert (parts.lines, parts.envelope_lines) == (whole.lines, whole.envelope_lines)


def test_a_file_of_blanks_is_empty_and_one_of_nothing_is_refused(
    parse: Parse, reader: LayoutReader, layout: Layout, tmp_path: Path
) -> None:
    assert parse("  ").marks.empty
    (tmp_path / "payload").unlink()
    (tmp_path / "payload").write_bytes(b"\n\n")
    with pytest.raises(PermanentError) as failure:
        reader.read(layout, name=NAME, payload=tmp_path / "payload")
    assert failure.value.code is Code.FILE_EMPTY


def test_a_shown_line_hides_who_it_is_about(reader: LayoutReader, layout: Layout, tmp_path: Path) -> None:
    line = GOOD.replace("{", '{"firstName":"Wade", ', 1)
    (tmp_path / "payload").write_text("\n" + line + "\n")
    shown = masked_line(reader.lines(layout, name=NAME, payload=tmp_path / "payload", numbers=[2])[2])
    assert '"transactionId":"R1","memberId":"·······235","amount":150,"status":"success"' in shown
    assert "Wade" not in shown
    assert len(shown) == len(line)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("path: amount", "column: amount", "a field of this shape has a path"),
        ("path: order.createdAt", "path: order..createdAt", "pattern"),
        ("encoding: utf-8", "encoding: latin-1", "JSON is utf-8 or utf-16"),
        ("marks:", "envelope: {count: {path: n, type: integer}}\nmarks:", "JSON lines have no envelope"),
        ("path: amount", "path: amount, line: X", "line is for files of lines"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(PermanentError) as failure:
        parse_layout(LAYOUT.read_text().replace(old, new).encode(), "test")
    assert said in failure.value.found
