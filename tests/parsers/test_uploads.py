"""Bulk uploads as people fill them: columns moved and renamed, and each bad row refused by itself, with its reason."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastexcel
import pytest
import xlsxwriter

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed
from counterfoil.protocols import Parsed
from counterfoil.reports import upload_template
from parsers.registry import LayoutReader

HEADS = ("Name", "E-mail", "Points", "Country code", "Mobile", "Send date", "Expiry months", "Reference")
GOOD = ("Ada Lindqvist", "ada@harbour.example", "250", "46", "701740605", "2026-12-24", "12", "R-1")

Upload = Callable[..., Parsed]


def text(heads: tuple[str, ...], *rows: tuple[str, ...]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([heads, *rows])
    return out.getvalue().encode()


@pytest.fixture(scope="module")
def reader(root: Path) -> LayoutReader:
    return LayoutReader(root / "data/contracts")


def feed(reader: LayoutReader, name: str) -> Feed:
    return next(one for one in reader.feeds() if one.feed == name)


@pytest.fixture
def upload(reader: LayoutReader, tmp_path: Path) -> Upload:
    def read(content: bytes, name: str = "harbour_points", file: str = "harbour.csv") -> Parsed:
        path = tmp_path / "payload"
        path.write_bytes(content)
        return reader.read(feed(reader, name), name=file, payload=path)

    return read


def changed(column: str, value: str) -> tuple[str, ...]:
    return tuple(value if head == column else cell for head, cell in zip(HEADS, GOOD, strict=True))


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5, 6, 7), (7, 6, 5, 4, 3, 2, 1, 0), (2, 0, 1)])
def test_columns_may_stand_anywhere_and_optional_ones_may_be_left_out(upload: Upload, order: tuple[int, ...]) -> None:
    heads, row = (tuple(given[place] for place in order) for given in (HEADS, GOOD))
    (read,) = upload(text(heads, row)).accepted.to_dicts()
    assert (read["name"], read["email"], read["points"]) == ("Ada Lindqvist", "ada@harbour.example", 250)
    assert (read["company"], read["expiry_months"]) == ("harbour", 12 if 6 in order else None)


def test_a_column_goes_by_its_other_names(upload: Upload) -> None:
    assert upload(text(("Name", "Email", "Points"), GOOD[:3])).accepted.height == 1


@pytest.mark.parametrize(
    ("heads", "found"),
    [
        (("Name", "E-mail"), "'Points'"),
        (("Name", "E-mail", "Points", "Shoe size"), "1 columns that were not agreed"),
        (("Name", "E-mail", "Points", "Points"), "Points"),
    ],
)
def test_columns_that_lack_or_are_new_refuse_the_file(upload: Upload, heads: tuple[str, ...], found: str) -> None:
    with pytest.raises(PermanentError) as refused:
        upload(text(heads, ("Ada", "ada@harbour.example", "1", "2")[: len(heads)]))
    assert refused.value.code is Code.HEADER_MISSING
    assert found in str(refused.value)


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("Points", "0", "POINTS_ZERO"),
        ("Points", "-5", "NUMBER_RANGE"),
        ("Points", "12.5", "NUMBER_FRACTION"),
        ("Points", "1e3", "NUMBER_INVALID"),
        ("Points", "9999999999999999999", "NUMBER_RANGE"),
        ("Points", "", "FIELD_MISSING"),
        ("Name", "", "FIELD_MISSING"),
        ("E-mail", "", "FIELD_MISSING"),
        ("E-mail", "ada", "EMAIL_INVALID"),
        ("E-mail", "ada@harbour", "EMAIL_INVALID"),
        ("E-mail", "ada@@harbour.example", "EMAIL_INVALID"),
        ("E-mail", "ada..l@harbour.example", "EMAIL_INVALID"),
        ("E-mail", ".ada@harbour.example", "EMAIL_INVALID"),
        ("E-mail", "ada.@harbour.example", "EMAIL_INVALID"),
        ("E-mail", f"{'a' * 65}@harbour.example", "EMAIL_INVALID"),
        ("E-mail", "ada@harb0ur.example", "EMAIL_LOOKALIKE"),
        ("E-mail", "ada@harbour-.example", "EMAIL_LOOKALIKE"),
        ("E-mail", "ada@hаrbour.example", "EMAIL_LOOKALIKE"),
        ("E-mail", "ada@xn--hrbour-4ve.example", "EMAIL_LOOKALIKE"),
        ("Country code", "", "FIELD_MISSING"),
        ("Country code", "+0", "TEXT_INVALID"),
        ("Mobile", "call me", "TEXT_INVALID"),
        ("Send date", "24.12.2026", "DATE_INVALID"),
        ("Expiry months", "0", "NUMBER_RANGE"),
        ("Expiry months", "121", "NUMBER_RANGE"),
        ("Reference", "?5:2", "TEXT_INVALID"),
    ],
)
def test_a_bad_row_is_refused_by_itself(upload: Upload, column: str, value: str, code: str) -> None:
    parsed = upload(text(HEADS, GOOD, changed(column, value)))
    assert parsed.accepted["line_no"].to_list() == [2]
    assert parsed.quarantined.select("line_no", "code").rows() == [(3, code)]


@pytest.mark.parametrize("name", ["小林 さくら", "Zoë Ní Bhriain", "مريم", "=HYPERLINK(1)", "O'Neil; DROP"])
def test_names_are_taken_in_any_script_and_as_they_are_written(upload: Upload, name: str) -> None:
    assert upload(text(HEADS, changed("Name", name))).accepted["name"].to_list() == [name]


def test_an_address_elsewhere_is_no_look_alike(upload: Upload) -> None:
    assert upload(text(HEADS, changed("E-mail", "ada@partner.example"))).accepted.height == 1


@pytest.mark.parametrize("name", ["harbour_points", "harbour_points_book"])
def test_the_template_with_its_example_reads_by_the_layout_it_was_made_from(
    reader: LayoutReader, upload: Upload, name: str, tmp_path: Path
) -> None:
    layout = feed(reader, name)
    terms = reader.terms(layout)
    if terms.sheet is None:
        filled, file = upload_template.as_csv(layout, terms, filled=True), "harbour.csv"
    else:
        filled, file = _with_example_on_the_sheet_to_fill(upload_template.as_workbook(layout, terms)), "harbour.xlsx"
    parsed = upload(filled, name, file)
    assert parsed.quarantined.is_empty()
    assert parsed.accepted["points"].to_list() == [250, 100]
    assert upload_template.as_workbook(layout, terms) == upload_template.as_workbook(layout, terms)


def _with_example_on_the_sheet_to_fill(template: bytes) -> bytes:
    """A workbook as somebody fills it: the example's cells typed into the first sheet."""
    made = fastexcel.read_excel(template)
    assert made.sheet_names == ["Points", "Example", "Rules"]
    rows: list[tuple[Any, ...]] = made.load_sheet("Example", header_row=None).to_polars().rows()
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet("Points")
        for number, row in enumerate(rows):
            for place, cell in enumerate(row):
                if cell is not None:
                    sheet.write_string(number, place, str(cell))
    return out.getvalue()
