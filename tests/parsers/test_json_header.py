"""JSON lines of several kinds: a header first and a trailer last, told by a key, and proved beside the records."""

from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.errors import Code, PermanentError
from counterfoil.masking import masked_line
from counterfoil.protocols import Parsed
from parsers.drift import drift
from parsers.layout import Layout
from parsers.layout_file import parse_layout
from parsers.registry import LayoutReader

FOLDER = Path(__file__).parents[2] / "data/contracts/partners/hawthorn/hawthorn_handback"
NAME = "hawthorn-answers-000031.jsonl"
HEADER, FIRST, SECOND, THIRD, TRAILER = (FOLDER / "samples" / NAME).read_text().splitlines()

Judge = Callable[[Parsed, Layout], str]


@pytest.fixture
def layout() -> Layout:
    return parse_layout((FOLDER / "layout.yaml").read_bytes(), "test")


@pytest.fixture
def parse(reader: LayoutReader, layout: Layout, tmp_path: Path) -> Callable[..., Parsed]:
    def read(*lines: str, by: Layout = layout) -> Parsed:
        (tmp_path / "payload").write_text("".join(line + "\n" for line in lines))
        return reader.read(by, name=NAME, payload=tmp_path / "payload")

    return read


def test_day_number_counts_and_total_are_those_of_header_and_trailer(
    parse: Callable[..., Parsed], layout: Layout, code_of: Judge
) -> None:
    parsed = parse(HEADER, FIRST, SECOND, "", THIRD, TRAILER)
    assert (str(parsed.marks.business_date), parsed.marks.sequence) == ("2026-11-20", 31)
    assert (parsed.lines, parsed.envelope_lines, parsed.accepted["line_no"].to_list()) == (6, 3, [2, 3, 5])
    assert code_of(parsed, layout) == "accepted"
    for told, wrong in (
        ('"count": 3', '"count": 4'),
        ('"points": 1030', '"points": 1031'),
        ('"refused": 1', '"refused": 0'),
    ):
        lines = [line.replace(told, wrong) for line in (HEADER, FIRST, SECOND, THIRD, TRAILER)]
        assert code_of(parse(*lines), layout) == Code.CONTROL_TOTAL_WRONG


def test_a_day_without_records_is_empty(parse: Callable[..., Parsed]) -> None:
    assert parse(HEADER, TRAILER).marks.empty


@pytest.mark.parametrize(
    ("lines", "code", "found"),
    [
        ([FIRST, SECOND, TRAILER], Code.HEADER_MISSING, "no object whose type is 'header' in its place"),
        (["", HEADER, FIRST, TRAILER], Code.HEADER_MISSING, "'header'"),
        ([HEADER[:-1], FIRST, TRAILER], Code.HEADER_MISSING, "'header'"),
        ([HEADER.replace("{", '{"type": "header", ', 1), TRAILER], Code.HEADER_MISSING, "'header'"),
        ([HEADER.replace('"header"', '["header"]'), TRAILER], Code.HEADER_MISSING, "'header'"),
        ([HEADER, FIRST, SECOND], Code.ENVELOPE_INVALID, "no object whose type is 'trailer' in its place"),
        ([HEADER], Code.ENVELOPE_INVALID, "'trailer'"),
        ([HEADER, TRAILER, FIRST], Code.ENVELOPE_INVALID, "'trailer'"),
        (
            [HEADER.replace("3}", "[3]}"), FIRST, TRAILER],
            Code.ENVELOPE_INVALID,
            "count (at count of line header), nested",
        ),
        ([HEADER.replace("3}", '"3\\n"}'), FIRST, TRAILER], Code.ENVELOPE_INVALID, "a control character"),
        (
            [HEADER.replace(', "count": 3', ""), FIRST, TRAILER],
            Code.ENVELOPE_INVALID,
            "count (at count of line header): a",
        ),
        ([HEADER.replace("2026-11-20", "20.11.2026"), TRAILER], Code.ENVELOPE_INVALID, "made_on (at file_date of line"),
    ],
)
def test_a_file_without_whole_header_and_trailer_is_refused(
    parse: Callable[..., Parsed], lines: list[str], code: Code, found: str
) -> None:
    with pytest.raises(PermanentError) as failure:
        parse(*lines)
    assert failure.value.code is code
    assert found in failure.value.found


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (HEADER, "RECORD_TYPE_UNKNOWN"),
        (TRAILER, "RECORD_TYPE_UNKNOWN"),
        (FIRST.replace('"answer"', '"Answer"'), "RECORD_TYPE_UNKNOWN"),
        (FIRST.replace('"type": "answer", ', ""), "RECORD_TYPE_UNKNOWN"),
        (FIRST.replace('"answer"', '{"is": "answer"}'), "RECORD_TYPE_UNKNOWN"),
        (FIRST[:-1], "RECORD_INVALID"),
        (FIRST.replace("{", '{"ref": "x", ', 1), "VALUE_TWICE"),
    ],
)
def test_a_line_of_no_declared_kind_is_kept_apart(parse: Callable[..., Parsed], line: str, code: str) -> None:
    parsed = parse(HEADER, FIRST, line, SECOND, TRAILER)
    assert parsed.quarantined.select("line_no", "code", "field").rows() == [(3, code, None)]
    assert parsed.accepted["line_no"].to_list() == [2, 4]


def test_without_detail_every_line_between_is_a_record(parse: Callable[..., Parsed]) -> None:
    text = (FOLDER / "layout.yaml").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("  detail:")]
    open_to_all = parse_layout(text.replace(line + "\n", "").encode(), "test")
    bare = FIRST.replace('"type": "answer", ', "")
    parsed = parse(HEADER, bare, FIRST.replace('"answer"', '"new"'), HEADER, TRAILER, by=open_to_all)
    assert parsed.accepted["line_no"].to_list() == [2, 3]
    assert parsed.quarantined.select("line_no", "code").rows() == [(4, "RECORD_TYPE_UNKNOWN")]


def test_blocks_change_nothing(parse: Callable[..., Parsed], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [HEADER, *[FIRST.replace("HT-4001", f"HT-{i}") for i in range(40)], TRAILER]
    whole = parse(*lines)
    monkeypatch.setattr("parsers.lines.BLOCK_BYTES", 300)
    assert parse(*lines).accepted.equals(whole.accepted)


def test_a_shown_line_says_what_kind_it_is_and_a_header_nothing(
    reader: LayoutReader, layout: Layout, tmp_path: Path
) -> None:
    (tmp_path / "payload").write_text(f"{HEADER}\n{FIRST}\n{TRAILER}\n")
    lines = reader.lines(layout, name=NAME, payload=tmp_path / "payload", numbers=[1, 2, 3])
    assert masked_line(lines[2]).startswith('{"type": "answer", "ref": "HT-')
    assert "2026-11-20" not in masked_line(lines[1])


def test_the_key_that_tells_kinds_apart_was_agreed(
    parse: Callable[..., Parsed], layout: Layout, tmp_path: Path
) -> None:
    parsed = parse(HEADER, FIRST, SECOND, THIRD, TRAILER)
    assert drift(parsed, layout, NAME, tmp_path / "payload") == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  discriminator: type ", "  # ", "discriminator goes with headers, trailers or detail"),
        ("detail: answer", "detail: header", "stands for lines of two kinds"),
        ("detail: answer", "detail: [answer, answer]", "stands for lines of two kinds"),
        ("line: header, path: count", "line: head, path: count", "line must be one of header, trailer"),
        ("line: header, path: count", "path: count", "line must be one of header, trailer"),
        ("line: header, path: count", "line: header, column: '3'", "has a path"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(old: str, new: str, said: str) -> None:
    text = (FOLDER / "layout.yaml").read_text()
    assert old in text
    with pytest.raises(PermanentError) as failure:
        parse_layout(text.replace(old, new).encode(), "test")
    assert said in failure.value.found


def test_lines_too_are_counted(parse: Callable[..., Parsed], code_of: Judge) -> None:
    text = (FOLDER / "layout.yaml").read_text().replace("count = count of details", "count = count of lines")
    all_lines = parse_layout(text.encode(), "test")
    lines = (HEADER.replace('"count": 3', '"count": 5'), FIRST, SECOND, THIRD, TRAILER)
    assert code_of(parse(*lines, by=all_lines), all_lines) == "accepted"
