"""What a layout says is written is read back as it was, for every shape, and encodings and line ends alike."""

import copy
import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from parsers.layout import Layout
from parsers.layout_file import parse_layout
from parsers.reader import read_file

SIGNS = "{ABCDEFGHI}JKLMNOPQR"
CODES = {"accepted": "A", "rejected": "R", "held": "H", "reversed": "V"}

COMMON: dict[str, Any] = {
    "feed": "round",
    "partner": "trip",
    "kind": "handback",
    "version": "1",
    "effective_from": "2020-01-01",
    "arrival": {"folder": "x", "ready": "stable"},
    "identity": {"by": "content"},
    "recognise": {"name": "x"},
    "identities": {"records_all": "count = count of details", "points_all": "total = sum of details"},
    "record": {"ref": "ref", "member": "member", "points": "points", "outcome": "outcome", "value_date": "day"},
}

WAYS: dict[str, dict[str, Any]] = {
    "fixed, UTF-8": {"shape": "fixed_width", "encoding": "utf-8", "line_end": "lf", "sign": "overpunch"},
    "fixed, CP1252": {"shape": "fixed_width", "encoding": "cp1252", "line_end": "crlf", "sign": "overpunch"},
    "blocks, EBCDIC": {"shape": "fixed_width", "encoding": "cp500", "line_end": "none", "sign": "packed"},
    "comma, quoted": {"shape": "delimited", "encoding": "utf-8", "line_end": "lf", "delimiter": ",", "quote": '"'},
    "many characters": {"shape": "delimited", "encoding": "latin-1", "line_end": "crlf", "delimiter": "%%"},
    "tab, UTF-16": {"shape": "delimited", "encoding": "utf-16", "line_end": "lf", "delimiter": "\t"},
    "bar, carriage returns": {"shape": "delimited", "encoding": "utf-8", "line_end": "cr", "delimiter": "|"},
    "JSON lines": {"shape": "json_lines", "encoding": "utf-8", "line_end": "lf", "first": 1},
    "JSON lines, UTF-16": {"shape": "json_lines", "encoding": "utf-16", "line_end": "crlf", "first": 1},
    "JSON lines, header and trailer": {
        "shape": "json_lines", "encoding": "utf-8", "line_end": "lf", "first": 2, "around": True,
    },
    "JSON": {"shape": "json", "encoding": "utf-8", "line_end": "lf", "first": 1},
    "XML": {"shape": "xml", "encoding": "utf-8", "line_end": "lf", "first": 1},
    "XML, CP1252": {"shape": "xml", "encoding": "cp1252", "line_end": "lf", "first": 1},
    "workbook": {"shape": "xlsx", "encoding": "utf-8", "line_end": "lf", "first": 4},
    "workbook, totals below": {"shape": "xlsx", "encoding": "utf-8", "line_end": "lf", "first": 4, "around": True},
}  # fmt: skip

DOCUMENTS = ("json_lines", "json", "xml", "xlsx")
ENDS = {"lf": "\n", "crlf": "\r\n", "cr": "\r", "none": ""}
PLACES = {"kind": (1, 1), "ref": (2, 12), "member": (14, 10), "points": (24, 9), "outcome": (33, 1), "day": (34, 8)}
WIDTH = 60

Record = tuple[str, str, int, str, date]


def layout_of(way: dict[str, Any]) -> Layout:
    """A layout of one way to write the same record."""
    document = copy.deepcopy(COMMON) | {"encoding": way["encoding"], "line_ends": [way["line_end"]]}
    types: dict[str, dict[str, Any]] = {
        "ref": {"type": "text"},
        "member": {"type": "text"},
        "points": {"type": "points", "sign": way.get("sign", "minus")},
        "outcome": {
            "type": "code",
            "codes": {code: outcome for outcome, code in CODES.items()},
            "unknown": "quarantine",
        },
        "day": {"type": "date", "format": "YYYYMMDD"},
    }
    if way["shape"] == "fixed_width":
        document["shape"] = {"type": "fixed_width", "record_length": WIDTH, "headers": ["H"], "detail": "D"}
        place: dict[str, dict[str, Any]] = {
            name: {"from": start, "length": length} for name, (start, length) in PLACES.items()
        }
        envelope: dict[str, dict[str, Any]] = {"count": {"from": 2, "length": 9}, "total": {"from": 11, "length": 15}}
    elif way["shape"] in DOCUMENTS:
        document["shape"], place, envelope = documented(way["shape"], around=way.get("around", False))
    else:
        document["shape"] = {
            "type": "delimited", "delimiter": way["delimiter"], "quote": way.get("quote", "none"), "names": "false",
            "headers": ["H"], "detail": "D", "columns": [{"name": name} for name in PLACES],
        }  # fmt: skip
        place = {name: {"column": name} for name in PLACES}
        envelope = {"count": {"column": "2"}, "total": {"column": "3"}}
    document["fields"] = {name: types[name] | place[name] for name in types}
    line = {} if way["shape"] in DOCUMENTS else {"line": "H"}
    document["envelope"] = {
        name: line | {"type": "points" if name == "total" else "integer"} | at for name, at in envelope.items()
    }
    if not envelope:
        document["identities"] = {}
    return parse_layout(yaml.safe_dump(document).encode(), "test")


def documented(
    shape: str, *, around: bool
) -> tuple[dict[str, Any], dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The shape, and where fields and totals lie in it; ``around``: in objects, or a row, of their own."""
    if shape == "xlsx":
        columns = [{"name": name} for name in PLACES]
        cells = {"count": {"cell": "B1"}, "total": {"cell": "B2"}}
        whole = {"type": shape, "sheet": "S", "header_row": 3, "columns": columns}
        if around:
            whole["trailers"] = ["SUM"]
            cells = {"count": {"line": "SUM", "column": "member"}, "total": {"line": "SUM", "column": "points"}}
        return whole, {name: {"column": name} for name in PLACES}, cells
    paths: dict[str, dict[str, Any]] = {name: {"path": f"in.{name}"} for name in PLACES} | {"ref": {"path": "ref"}}
    totals = {name: {"path": f"totals.{name}"} for name in ("count", "total")}
    if around:
        kinds = {"type": shape, "discriminator": "is.a", "headers": ["H"], "detail": "D", "trailers": ["T"]}
        return kinds, paths, {name: {"line": line} | totals[name] for name, line in (("count", "H"), ("total", "T"))}
    if shape == "xml":
        return {"type": shape, "record": "all.some.one"}, paths | {"day": {"path": "in.@day"}}, totals
    return {"type": shape} | ({"records": "some"} if shape == "json" else {}), paths, totals if shape == "json" else {}


def document_of(way: dict[str, Any], records: list[Record]) -> bytes:
    """The records as a document of the shape."""
    totals = {"count": len(records), "total": sum(points for _, _, points, _, _ in records)}
    rows: list[dict[str, Any]] = [
        {"ref": ref, "in": {"member": member, "points": points, "outcome": CODES[outcome], "day": f"{day:%Y%m%d}"}}
        for ref, member, points, outcome, day in records
    ]
    if way.get("around") and way["shape"] == "json_lines":
        ends: list[dict[str, Any]] = [{"is": {"a": kind}, "totals": totals} for kind in "HT"]
        rows = [ends[0], *({"is": {"a": "D"}} | row for row in rows), ends[1]]
    if way["shape"] == "json_lines":
        lines = (json.dumps(row, ensure_ascii=i % 2 == 0) + ENDS[way["line_end"]] for i, row in enumerate(rows))
        return ("".join(lines) or " \n").encode(way["encoding"])
    if way["shape"] == "json":
        return json.dumps({"totals": totals, "some": rows}, indent=len(rows) % 3 or None).encode()
    return (
        workbook(records, totals, below=way.get("around", False))
        if way["shape"] == "xlsx"
        else xml(way["encoding"], records, totals)
    )


def xml(encoding: str, records: list[Record], totals: dict[str, int]) -> bytes:
    root = etree.Element("all")
    some = etree.SubElement(root, "some")
    for ref, member, points, outcome, day in records:
        one = etree.SubElement(some, "one")
        etree.SubElement(one, "ref").text = ref
        inner = etree.SubElement(one, "in", {"day": f"{day:%Y%m%d}"})
        for name, text in (("member", member), ("points", str(points)), ("outcome", CODES[outcome])):
            etree.SubElement(inner, name).text = text
    told = etree.SubElement(root, "totals")
    for name, number in totals.items():
        etree.SubElement(told, name).text = str(number)
    return etree.tostring(root, encoding=encoding, pretty_print=len(records) % 2 == 0)


def workbook(records: list[Record], totals: dict[str, int], *, below: bool) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as made:
        page = made.add_worksheet("S")
        if below:
            page.write_row(3 + len(records), 0, ["SUM", None, *totals.values()])
        else:
            page.write_column("B1", totals.values())
        page.write_row(2, 0, list(PLACES))
        for i, (ref, member, points, outcome, day) in enumerate(records):
            for j, text in enumerate(("D", ref, member, None, CODES[outcome], f"{day:%Y%m%d}")):
                page.write_string(3 + i, j, text) if text is not None else page.write_number(3 + i, j, points)
    return out.getvalue()


def written(way: dict[str, Any], records: list[Record]) -> bytes:
    """The records as the layout says they are written."""
    if way["shape"] in DOCUMENTS:
        return document_of(way, records)
    total = sum(points for _, _, points, _, _ in records)
    if way["shape"] == "delimited":
        cells = [["H", str(len(records)), str(total)]]
        cells += [
            ["D", ref, member, str(points), CODES[outcome], f"{day:%Y%m%d}"]
            for ref, member, points, outcome, day in records
        ]
        lines = [way["delimiter"].join(quoted(cell, way) for cell in row) for row in cells]
        return "".join(line + ENDS[way["line_end"]] for line in lines).encode(way["encoding"])
    head = f"H{len(records):09d}{total:015d}" if total >= 0 else f"H{len(records):09d}-{-total:014d}"
    data = [head.ljust(WIDTH).encode(way["encoding"])]
    for ref, member, points, outcome, day in records:
        left, right = (
            f"D{ref:<12}{member:<10}".encode(way["encoding"]),
            f"{CODES[outcome]}{day:%Y%m%d}".encode(way["encoding"]),
        )
        line = left + number(points, way) + right
        data.append(line + " ".encode(way["encoding"]) * (WIDTH - len(line)))
    return b"".join(line + ENDS[way["line_end"]].encode() for line in data)


def quoted(cell: str, way: dict[str, Any]) -> str:
    quote = way.get("quote", "")
    return (
        quote + cell.replace(quote, quote * 2) + quote
        if quote and (quote in cell or way["delimiter"] in cell)
        else cell
    )


def number(value: int, way: dict[str, Any]) -> bytes:
    """Nine bytes of an amount: seventeen packed digits and a sign, or nine digits, the last with the sign."""
    if way["sign"] == "packed":
        return bytes.fromhex(f"{abs(value):017d}{'D' if value < 0 else 'C'}")
    digits = f"{abs(value):09d}"
    return (digits[:-1] + SIGNS[int(digits[-1]) + (10 if value < 0 else 0)]).encode(way["encoding"])


names = (
    st.text(alphabet="ABCxyz0189äöß \"'%&,|", min_size=1, max_size=8)
    .map(str.strip)
    .filter(lambda text: "%%" not in text and text)
)
plain = st.text(alphabet="ABCxyz0189", min_size=1, max_size=10)
record = st.tuples(
    plain,
    names,
    st.integers(-99_999_999, 99_999_999),
    st.sampled_from(sorted(CODES)),
    st.dates(date(2000, 1, 1), date(2099, 12, 31)),
)


@pytest.mark.parametrize("name", WAYS)
@given(records=st.lists(record, max_size=6))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, name: str, records: list[Record]) -> None:
    way = WAYS[name]
    delimiter, quote = way.get("delimiter"), way.get("quote")
    if delimiter and not quote:
        records = [(r[0], r[1].replace(delimiter[0], "-"), *r[2:]) for r in records]
    if name == "fixed, UTF-8":
        # Positions count bytes, so only characters of one byte keep theirs.
        records = [(r[0], r[1].encode("ascii", "replace").decode(), *r[2:]) for r in records]
    (tmp_path / "x").unlink(missing_ok=True)
    (tmp_path / "x").write_bytes(written(way, records))
    parsed = read_file(layout_of(way), "x", tmp_path / "x")
    assert parsed.quarantined.is_empty()
    assert parsed.accepted.select("ref", "member", "points", "outcome", "value_date").rows() == records
    assert parsed.control["holds"].all()
    assert parsed.accepted["line_no"].to_list() == [way.get("first", 2) + i for i in range(len(records))]
