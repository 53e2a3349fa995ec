"""A workbook's sheet as rows of texts, once the zip and the sheet's XML hold nothing that would make them say less.

Here: what is refused before a value is read: zip bombs, formulas, cells in error, merged cells, hidden sheets, cells so
far out that the table between would fill the memory. Not here: which columns are which (``xlsx``).
"""

import io
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Final

import fastexcel
import polars as pl
from lxml import etree

from parsers.shapes.xml_text import OPTIONS, local

FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""A workbook is read whole; a full sheet of a million rows and ten columns stays below."""

PARTS_BYTES_MAX: Final = 256 * 1024 * 1024
RATIO_MAX: Final = 200
"""Unpacked beside packed, counted from RATIO_FROM_BYTES on; sheets of one value repeated come near 100."""
RATIO_FROM_BYTES: Final = 1024 * 1024
PARTS_MAX: Final = 10_000
CELLS_MAX: Final = 25_000_000
"""The reader holds every cell from the first to the last, the absent ones too."""

PIECE_BYTES: Final = 8 * 1024 * 1024
"""Of a sheet's XML, searched at a time."""

_WORKBOOK: Final = "xl/workbook.xml"
_RELATIONS: Final = "xl/_rels/workbook.xml.rels"
_READ_WHOLE: Final = (_WORKBOOK, _RELATIONS, "xl/styles.xml", "xl/sharedStrings.xml")

_UNPACKING: Final = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, LookupError, ArithmeticError,
    RuntimeError,
)  # fmt: skip
"""What zipfile raises for a zip that is damaged, encrypted or of another method: found by damaging some."""

_BEGIN: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?!!DOCTYPE)")
_DOCTYPE: Final = re.compile(rb"<!(?:DOCTYPE|ENTITY)")
_DECLARED: Final = re.compile(rb"""<\?xml[^<>]*\sencoding\s*=\s*["'](?!utf-8["'])[^"']*["']""", re.IGNORECASE)
_ROW_END: Final = b"row>"
_CELL: Final = r"<(?:\w+:)?c(?:\s[^<>]*)?/?>"
_PLACE: Final = r"""\sr\s*=\s*["']([A-Z]{1,3}[0-9]{1,7})["']"""
_FORMULA: Final = r"<(?:\w+:)?f[\s/>]"
_ERROR: Final = r"""\st\s*=\s*["']e["']"""
_MERGED: Final = r"""<(?:\w+:)?mergeCell\s[^<>]*\bref\s*=\s*["']([A-Z]+[0-9]+:[A-Z]+[0-9]+)["']"""
# Spreadsheets keep fifteen digits of a number.
_LONG: Final = r"-?(?:[0-9]{16,}[^<]*|[0-9.]+[eE]\+?(?:1[5-9]|[2-9][0-9]|[0-9]{3,}))"
_LONG_NUMBER: Final = rf"{_CELL}\s*<(?:\w+:)?v>\s*{_LONG}\s*<"
_NO_NUMBER: Final = r"""\st\s*=\s*["'][^n"']"""
"""Looked for by Polars, whose expressions take a time in proportion to the text whatever it holds."""


class WorkbookError(Exception):
    """A workbook that is not read, and why, in words for the partner."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """``cells``: one String column a column of the sheet, from A on, one row a row of it, from 1 on; null for no value.
    ``long_numbers``: the numbers of rows with a number of more digits than are kept."""

    cells: pl.DataFrame
    long_numbers: frozenset[int]


def read_sheet(path: Path, name: str, header_row: int) -> Sheet:
    """One sheet by name; WorkbookError."""
    data = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            xml = _sheet_xml(parts, name)
    except _UNPACKING as error:
        raise WorkbookError(f"no workbook that can be unpacked ({type(error).__name__})") from None
    long_numbers = _checked(xml, name, header_row)
    del xml
    try:
        sheet = fastexcel.read_excel(data).load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
        cells = sheet.to_polars()
    except fastexcel.FastExcelError as error:
        raise _unreadable(name, error) from None
    except BaseException as error:
        # What Rust panics at is no Exception in Python, and says no more than that the workbook is damaged.
        if type(error).__name__ == "PanicException":
            raise _unreadable(name, error) from None
        raise
    # Columns before the first one used are left out by the reader; their places count all the same.
    used = {column.absolute_index: column.name for column in sheet.available_columns()}
    width = max(used, default=-1) + 1
    columns = [(pl.col(used[i]) if i in used else pl.lit(None, pl.String)).alias(letters(i)) for i in range(width)]
    return Sheet(cells.select(columns) if columns else pl.DataFrame(), long_numbers)


def _unreadable(name: str, error: BaseException) -> WorkbookError:
    return WorkbookError(f"sheet {name!r}, which cannot be read ({type(error).__name__})")


def letters(index: int) -> str:
    """The name of a column, from 0 on: A to Z, then AA."""
    head = letters(index // 26 - 1) if index >= 26 else ""
    return head + chr(ord("A") + index % 26)


def number_of(column: str) -> int:
    """The place of a column by its name, from 0 on."""
    place = 0
    for letter in column:
        place = place * 26 + ord(letter) - ord("A") + 1
    return place - 1


def _sheet_xml(parts: zipfile.ZipFile, name: str) -> bytes:
    """The XML of the sheet; every part that will be read is unpacked here once, so that none is longer than it says."""
    infos = parts.infolist()
    names = [info.filename for info in infos]
    packed, unpacked = sum(info.compress_size for info in infos), sum(info.file_size for info in infos)
    # The reader looks parts up in any case of letters.
    if len(infos) > PARTS_MAX or len({name.casefold() for name in names}) != len(names):
        raise WorkbookError(f"{len(infos):,} parts, some of one name or too many")
    if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in infos):
        raise WorkbookError("parts that are packed in another way than workbooks are")
    if unpacked > PARTS_BYTES_MAX or (unpacked > RATIO_FROM_BYTES and unpacked > packed * RATIO_MAX):
        raise WorkbookError(f"{unpacked:,} bytes unpacked from {packed:,}; at most {RATIO_MAX} times as many")
    if _WORKBOOK not in names or _RELATIONS not in names:
        raise WorkbookError("a zip that is no workbook")
    read = {part: _plain_xml(parts.read(part), part) for part in _READ_WHOLE if part in names}
    sheets = [element for element in _parsed(read[_WORKBOOK]).iter("{*}sheet") if element.get("name") == name]
    if not sheets:
        raise WorkbookError(f"no sheet {name!r}")
    if sheets[0].get("state", "visible") != "visible":
        raise WorkbookError(f"sheet {name!r}, hidden")
    relation = next((value for key, value in sheets[0].items() if local(key) == "id"), None)
    relations = {str(e.get("Id")): str(e.get("Target", "")) for e in _parsed(read[_RELATIONS]).iter("{*}Relationship")}
    part = posixpath.normpath(posixpath.join("/xl", relations.get(str(relation), ""))).lstrip("/")
    if part not in names:
        raise WorkbookError(f"no cells of sheet {name!r}")
    return _plain_xml(parts.read(part), part)


def _plain_xml(content: bytes, part: str) -> bytes:
    if _BEGIN.match(content) is None or _DECLARED.match(content) or _DOCTYPE.search(content):
        raise WorkbookError(f"part {part!r}, not in UTF-8 or with a document type")
    return content


def _parsed(content: bytes) -> etree._Element:
    try:
        return etree.fromstring(content, etree.XMLParser(**OPTIONS))
    except etree.XMLSyntaxError:
        raise WorkbookError("a list of sheets that is no well-formed XML") from None


def _checked(xml: bytes, name: str, header_row: int) -> frozenset[int]:
    """The rows with long numbers of a sheet none of whose cells are other than they show, or too many."""
    width = height = 0
    long_numbers: set[int] = set()
    for text in _pieces(xml):
        cells = _all(text, _CELL)
        places = cells.str.extract(_PLACE, 1)
        if places.null_count():
            raise WorkbookError(f"cells without a place in sheet {name!r}")
        _refuse(text, places.filter(cells.str.contains(_ERROR)), name, header_row)
        columns = places.str.strip_chars_end("0123456789").unique()
        width = max(width, *(number_of(column) + 1 for column in columns), 0)
        height = max(height, *_rows(places).unique(), 0)
        if width * height > CELLS_MAX:
            raise WorkbookError(f"cells as far as {letters(width - 1)}{height} in sheet {name!r}")
        long = _all(text, _LONG_NUMBER)
        long_numbers.update(_rows(long.filter(~long.str.contains(_NO_NUMBER)).str.extract(_PLACE, 1)))
    return frozenset(long_numbers)


def _refuse(text: pl.Series, errors: pl.Series, name: str, header_row: int) -> None:
    """Raise for cells that hold something else than a value of their own."""
    if text.str.contains(_FORMULA).any():
        found = _all(text, rf"{_CELL}\s*{_FORMULA}").str.extract(_PLACE, 1)
        raise WorkbookError(f"a formula in {next(iter(found), 'a cell')} of sheet {name!r}; values alone were agreed")
    if errors.len():
        raise WorkbookError(f"an error for a value in {errors[0]} of sheet {name!r}")
    for merged in _all(text, _MERGED).str.extract(_MERGED, 1):
        if int(merged.rpartition(":")[2].lstrip(ascii_uppercase)) >= header_row:
            raise WorkbookError(f"merged cells {merged} in sheet {name!r}")


def _pieces(xml: bytes) -> Iterator[pl.Series]:
    """The text of a sheet piece by piece, each ending behind a row. Bytes that are not UTF-8 are nothing looked for."""
    start = 0
    while start < len(xml):
        stop = xml.rfind(_ROW_END, start, start + PIECE_BYTES) + len(_ROW_END)
        if stop < start + len(_ROW_END):
            found = xml.find(_ROW_END, start)
            stop = len(xml) if found < 0 else found + len(_ROW_END)
        yield pl.Series([xml[start:stop].decode("utf-8", "replace")])
        start = stop


def _all(text: pl.Series, pattern: str) -> pl.Series:
    return text.str.extract_all(pattern).explode().drop_nulls()


def _rows(places: pl.Series) -> pl.Series:
    return places.str.strip_chars_start(ascii_uppercase).cast(pl.Int64)
