"""Workbooks: cells as exact texts, rows accounted for, and what makes a sheet say less than it shows refused."""

import io
import zipfile
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from counterfoil.errors import Code, PermanentError
from counterfoil.masking import masked_line
from counterfoil.protocols import Parsed
from parsers.layout import Layout
from parsers.layout_file import parse_layout
from parsers.registry import LayoutReader
from parsers.shapes import workbook

LAYOUT = Path(__file__).parents[2] / "data/contracts/partners/juniper/juniper_handback/layout.yaml"
NAME = "Juniper Rewards 20261120.xlsx"
HEADS = ("Reference", "Member No.", "Points", "Result", "Reason", "Processed on")
DAY = date(2026, 11, 20)
GOOD = ("R1", "0099120", 100, "Confirmed", None, DAY)
SHEET = "xl/worksheets/sheet1.xml"

Parse = Callable[[bytes], Parsed]


def book(
    rows: Sequence[Sequence[Any]] = (GOOD,),
    heads: Sequence[str] = HEADS,
    more: Callable[[Any], None] = lambda _: None,
    *,
    sheet: str = "Hand-back",
    first: int = 0,
    total: float | None = None,
) -> bytes:
    """A workbook whose envelope tells the truth, unless told otherwise."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as made:
        page = made.add_worksheet(sheet)
        day, instant = made.add_format({"num_format": "d.m.yy"}), made.add_format({"num_format": "d.m.yy h:mm"})
        points = sum(row[2] for row in rows if isinstance(row[2], int) and row[2] < 10**15) if total is None else total
        page.write_datetime("B1", DAY, day)
        page.write("B2", len(rows))
        page.write("B3", points)
        page.write_row(4, first, heads)
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                if isinstance(value, datetime):
                    page.write_datetime(5 + i, first + j, value, instant)
                elif isinstance(value, date):
                    page.write_datetime(5 + i, first + j, value, day)
                elif value is not None:
                    page.write(5 + i, first + j, value)
        made.add_worksheet("Notes")
        more(page)
    return out.getvalue()


def edited(data: bytes, part: str, old: str, new: str) -> bytes:
    """A workbook with one part changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as parts, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for info in parts.infolist():
            content = parts.read(info).decode()
            assert info.filename != part or old in content
            target.writestr(info.filename, content.replace(old, new, 1) if info.filename == part else content)
    return out.getvalue()


@pytest.fixture
def layout() -> Layout:
    return parse_layout(LAYOUT.read_bytes(), "test")


@pytest.fixture
def parse(reader: LayoutReader, layout: Layout, tmp_path: Path) -> Parse:
    def read(content: bytes) -> Parsed:
        (tmp_path / "payload").write_bytes(content)
        return reader.read(layout, name=NAME, payload=tmp_path / "payload")

    return read


def refused(parse: Parse, content: bytes) -> PermanentError:
    with pytest.raises(PermanentError) as failure:
        parse(content)
    return failure.value


def test_cells_become_records(parse: Parse) -> None:
    parsed = parse(book([GOOD, ("R2", "x", 25, "Rejected", "closed", "2026-11-19")]))
    assert parsed.accepted.select("line_no", "ref", "member", "points", "outcome", "reason", "value_date").rows() == [
        (6, "R1", "0099120", 100, "accepted", None, DAY),
        (7, "R2", "x", 25, "rejected", "closed", date(2026, 11, 19)),
    ]
    assert (parsed.lines, parsed.envelope_lines, parsed.marks.business_date) == (7, 5, DAY)
    assert parsed.control["holds"].all()


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({2: 12.5}, "NUMBER_FRACTION", "points"),
        ({2: 0.1 + 0.2}, "NUMBER_FRACTION", "points"),
        ({2: 1e-7}, "NUMBER_INVALID", "points"),
        ({2: 1e15}, "DIGITS_LOST", None),
        ({2: 2**53 + 1}, "DIGITS_LOST", None),
        ({1: 1e300}, "DIGITS_LOST", None),
        ({2: "12345678901234567890"}, "NUMBER_RANGE", "points"),
        ({2: True}, "NUMBER_INVALID", "points"),
        ({2: DAY}, "NUMBER_INVALID", "points"),
        ({0: None}, "FIELD_MISSING", "reference"),
        ({0: "R\n1"}, "CONTROL_CHARACTER", None),
        ({0: "R\t1"}, "CONTROL_CHARACTER", None),
        ({3: "Perhaps"}, "OUTCOME_UNKNOWN", "result"),
        ({5: datetime.combine(DAY, time(10, 30))}, "DATE_INVALID", "processed"),
        ({5: 46346}, "DATE_INVALID", "processed"),
        ({5: "20/11/2026"}, "DATE_INVALID", "processed"),
    ],
)
def test_a_bad_row_is_kept_apart(parse: Parse, change: dict[int, Any], code: str, field: str | None) -> None:
    bad = tuple(change.get(i, value) for i, value in enumerate(GOOD))
    parsed = parse(book([GOOD, bad, GOOD]))
    assert parsed.accepted["line_no"].to_list() == [6, 8]
    assert parsed.quarantined.select("line_no", "code", "field").rows() == [(7, code, field)]


@pytest.mark.parametrize(
    ("value", "text"),
    [(12.5, "12.5"), (100, "100"), (999_999_999_999_999, "999999999999999"), (-0.25, "-0.25"), ("007", "007"),
     ("12345678901234567890", "12345678901234567890"), ("ä\U0001f600", "ä\U0001f600"), (1e14, "100000000000000")],
)  # fmt: skip
def test_values_are_exact_texts(parse: Parse, value: Any, text: str) -> None:
    assert parse(book([(value, *GOOD[1:])])).accepted["ref"].to_list() == [text]


def test_rows_without_a_value_are_passed_and_columns_may_begin_anywhere(parse: Parse) -> None:
    blank = ("", None, None, None, None, None)
    parsed = parse(edited(book([GOOD, blank, GOOD], first=3), SHEET, "<v>3</v>", "<v>2</v>"))
    assert parsed.accepted["line_no"].to_list() == [6, 8]
    assert (parsed.lines, parsed.envelope_lines) == (8, 6)


def test_steps_and_pieces_change_nothing(parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(f"R{i}", *GOOD[1:2], 1e15 if i % 7 == 0 else i, *GOOD[3:]) for i in range(1, 60)]
    whole = parse(book(rows, total=sum(range(60))))
    monkeypatch.setattr(workbook, "PIECE_BYTES", 500)
    monkeypatch.setattr("parsers.shapes.xlsx.STEP_ROWS", 7)
    parts = parse(book(rows, total=sum(range(60))))
    assert whole.quarantined["line_no"].to_list() == [12 + 7 * i for i in range(8)]
    assert parts.accepted.equals(whole.accepted)
    assert parts.quarantined.equals(whole.quarantined)
    assert (
        "merged cells A60:A64" in refused(parse, book(rows, more=lambda page: page.merge_range("A60:A64", "x"))).found
    )


def test_columns_of_others_are_passed_over_and_named_ones_may_be_anywhere(parse: Parse) -> None:
    heads = ("Mine", *reversed(HEADS))
    parsed = parse(book([("x", *reversed(GOOD))], heads, total=100))
    assert parsed.accepted["points"].to_list() == [100]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: book(sheet="Other"), "no sheet 'Hand-back'"),
        (lambda: book(more=lambda page: page.write_formula("C7", "=1+1", None, 2)), "a formula in C7"),
        (lambda: book(more=lambda page: page.merge_range("A5:B5", "Reference")), "merged cells A5:B5"),
        (lambda: book(more=lambda page: page.merge_range("A6:A9", "R1")), "merged cells A6:A9"),
        (lambda: book(more=lambda page: page.merge_range("A4:B9", "R1")), "merged cells A4:B9"),
        (lambda: edited(book(), "xl/workbook.xml", '" sheetId="1"', '" sheetId="1" state="hidden"'), "hidden"),
        (lambda: edited(book(), "xl/workbook.xml", '" sheetId="1"', '" sheetId="1" state="veryHidden"'), "hidden"),
        (lambda: edited(book(), "xl/workbook.xml", "<workbook ", "<!DOCTYPE x><workbook "), "document type"),
        (lambda: edited(book(), SHEET, "<worksheet ", '<!DOCTYPE x [<!ENTITY a "b">]><worksheet '), "document type"),
        (lambda: edited(book(), SHEET, 'encoding="UTF-8"', 'encoding="UTF-16"'), "not in UTF-8"),
        (lambda: edited(book(), "xl/workbook.xml", "<sheets>", "<sheets"), "no well-formed XML"),
        (lambda: edited(book(), SHEET, '<c r="C6"', "<c "), "cells without a place"),
        (lambda: edited(book(), SHEET, '<c r="C6"', '<c r="XFD1048576"'), "cells as far as XFD1048576"),
        (lambda: edited(book(), SHEET, '<c r="C6">', '<c r="C6" t="e">'), "an error for a value in C6"),
        (lambda: book()[:-200], "no workbook that can be unpacked"),
        (lambda: book()[:-6] + b"\0\0\0\xe0" + book()[-2:], "no workbook that can be unpacked (ValueError)"),
        (lambda: b"x" * 500, "no workbook that can be unpacked"),
        (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500, "no workbook that can be unpacked"),
    ],
)  # fmt: skip
def test_a_workbook_that_says_less_than_it_shows_is_refused(
    parse: Parse, content: Callable[[], bytes], said: str
) -> None:
    error = refused(parse, content())
    assert error.code is Code.ENVELOPE_INVALID
    assert said in error.found


def test_titles_above_may_be_merged(parse: Parse) -> None:
    assert parse(book(more=lambda page: page.merge_range("D1:F2", "Hand-back"))).records == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: book([], [f"c{i}" for i in range(10_000)]), "10,000 columns that were not agreed"),
        (lambda: book(heads=("Reference", "Reference", *HEADS[1:5])), "missing"),
        (lambda: book(heads=("x", *HEADS[1:])), "column 'Reference' is missing"),
        (lambda: book([], heads=()), "no line of column names"),
    ],
)
def test_other_columns_are_refused(
    reader: LayoutReader, tmp_path: Path, content: Callable[[], bytes], said: str
) -> None:
    strict = parse_layout(LAYOUT.read_bytes().replace(b"others: ignore", b"others: refuse"), "test")
    (tmp_path / "payload").write_bytes(content())
    with pytest.raises(PermanentError) as failure:
        reader.read(strict, name=NAME, payload=tmp_path / "payload")
    assert failure.value.code is Code.HEADER_MISSING
    assert said in failure.value.found


def test_bombs_are_not_unpacked(parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = edited(book(), "xl/theme/theme1.xml", "<", " " * 5_000_000 + "<")
    assert "at most 200 times as many" in refused(parse, bomb).found
    monkeypatch.setattr(workbook, "PARTS_BYTES_MAX", 1_000)
    assert "bytes unpacked" in refused(parse, book()).found
    monkeypatch.undo()
    monkeypatch.setattr("parsers.shapes.xlsx.FILE_BYTES_MAX", 1_000)
    assert refused(parse, book()).code is Code.FILE_TOO_LARGE


def test_what_the_reader_panics_at_is_refused(parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):  # as Rust's is called in Python
        pass

    def fails(_: object, kind: type[BaseException]) -> None:
        raise kind

    monkeypatch.setattr("fastexcel.read_excel", partial(fails, kind=PanicException))
    assert "cannot be read (PanicException)" in refused(parse, book()).found
    monkeypatch.setattr("fastexcel.read_excel", partial(fails, kind=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        parse(book())


def test_parts_packed_in_another_way_are_refused(parse: Parse) -> None:
    out = io.BytesIO(book())
    with zipfile.ZipFile(out, "a", zipfile.ZIP_LZMA) as parts:
        parts.writestr("xl/more.bin", b"x" * 100)
    assert "packed in another way" in refused(parse, out.getvalue()).found


def test_a_part_that_is_there_twice_is_refused(parse: Parse) -> None:
    out = io.BytesIO(book())
    with zipfile.ZipFile(out, "a") as parts, pytest.warns(UserWarning, match="Duplicate name"):
        parts.writestr(SHEET, "<worksheet/>")
    assert "of one name" in refused(parse, out.getvalue()).found
    other = io.BytesIO(book())
    with zipfile.ZipFile(other, "a") as parts:
        parts.writestr(SHEET.upper(), "<worksheet/>")
    assert "of one name" in refused(parse, other.getvalue()).found


def test_a_day_without_records_is_empty(parse: Parse) -> None:
    parsed = parse(book([]))
    assert parsed.marks.empty
    assert (parsed.lines, parsed.envelope_lines) == (5, 5)
    assert refused(parse, b"").code is Code.FILE_EMPTY


def test_a_shown_row_hides_who_it_is_about(reader: LayoutReader, layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "payload").write_bytes(book([(*GOOD, "Wade")], (*HEADS, "Clerk"), total=100))
    found = reader.lines(layout, name=NAME, payload=tmp_path / "payload", numbers=[6])
    assert masked_line(found[6]) == "R1\t····120\t100\tConfirmed\t\t·026-11-20 00:00:00\t·ade"
    (tmp_path / "other").write_bytes(book([(None, *GOOD[1:])]))
    found = reader.lines(layout, name=NAME, payload=tmp_path / "other", numbers=[6])
    assert masked_line(found[6]).startswith("\t····120\t100\tConfirmed")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("cell: B1", "cell: B5", "above shape.header_row"),
        ("cell: B1", "column: Points", "above shape.header_row"),
        ("{column: Points", "{cell: B9", "column is not among"),
        ("first_line", "", ""),
    ],
)
def test_a_layout_that_cannot_be_is_refused(old: str, new: str, said: str) -> None:
    text = LAYOUT.read_text()
    text = text.replace(old, new) if old in text else text.replace("recognise:", "recognise:\n  first_line: x")
    with pytest.raises(PermanentError) as failure:
        parse_layout(text.encode(), "test")
    assert (said or "the file is not made of lines") in failure.value.found


TOTALLED = {
    "  header_row: 5\n": "  header_row: 5\n  trailers: [TOTAL]\n",
    "{cell: B2, type: integer, sign: none}": "{line: TOTAL, column: Member No., type: integer, sign: none}",
    "{cell: B3, type: points,": "{line: TOTAL, column: Points, type: points,",
}


def totalled(**more: str) -> Layout:
    """The contract, with its totals in a row below the records instead of cells above them."""
    text = LAYOUT.read_text()
    for old, new in {**TOTALLED, **more}.items():
        assert old in text
        text = text.replace(old, new)
    return parse_layout(text.encode(), "test")


@pytest.fixture
def parse_totalled(reader: LayoutReader, tmp_path: Path) -> Parse:
    def read(content: bytes) -> Parsed:
        (tmp_path / "payload").write_bytes(content)
        return reader.read(totalled(), name=NAME, payload=tmp_path / "payload")

    return read


@pytest.mark.parametrize(
    ("row", "holds"),
    [
        (("TOTAL", 2, 125), [True, True]),
        (("  TOTAL of 2 rows", 2, 125), [True, True]),
        ((None, 2, 125, "TOTAL"), None),
        (("TOTAL", 3, 125), [False, True]),
        (("TOTAL", 2, "125.0"), [True, True]),
        (("TOTAL", 2, 124), [True, False]),
    ],
)
def test_a_row_of_totals_below_the_records_is_proved_and_is_no_record(
    parse_totalled: Parse, row: tuple[Any, ...], holds: list[bool] | None
) -> None:
    content = book([GOOD, ("R2", "x", 25, "Confirmed", None, DAY), (), row], total=0)
    if holds is None:
        assert "no row that begins with 'TOTAL' in its place" in refused(parse_totalled, content).found
        return
    parsed = parse_totalled(content)
    assert parsed.accepted["line_no"].to_list() == [6, 7]
    assert (parsed.lines, parsed.envelope_lines, parsed.quarantined.height) == (9, 7, 0)
    assert parsed.control["holds"].to_list() == holds


def test_a_row_of_totals_that_is_not_last_or_not_whole_refuses_the_workbook(parse_totalled: Parse) -> None:
    told = "no row that begins with 'TOTAL' in its place"
    assert told in refused(parse_totalled, book([("TOTAL", 1, 100), GOOD])).found
    assert told in refused(parse_totalled, book([GOOD])).found
    assert told in refused(parse_totalled, book([])).found
    blank = refused(parse_totalled, book([GOOD, ("TOTAL", None, 100)], total=0))
    assert blank.found == "rows (column Member No. of line TOTAL): a required value is blank"
    many = refused(parse_totalled, book([GOOD, ("TOTAL", 1, 10.0**15)], total=0))
    assert "a number in row 7 with more digits than a workbook keeps" in many.found


def test_a_workbook_of_totals_alone_is_an_empty_day(parse_totalled: Parse) -> None:
    parsed = parse_totalled(book([("TOTAL", 0, 0)], total=0))
    assert parsed.marks.empty
    assert (parsed.records, parsed.control["holds"].all()) == (0, True)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("line: TOTAL, column: Points", "line: SUM, column: Points", "line is for files of lines and rows of totals"),
        ("line: TOTAL, column: Points", "line: TOTAL, cell: C9", "column is not among shape.columns"),
        ("line: TOTAL, column: Points", "column: Points", "a cell above shape.header_row"),
        ("line: TOTAL, column: Points", "line: TOTAL, column: Reason", "its column is optional"),
    ],
)
def test_a_layout_of_totals_that_cannot_be_is_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(PermanentError) as failure:
        totalled(**{old: new})
    assert said in failure.value.found
