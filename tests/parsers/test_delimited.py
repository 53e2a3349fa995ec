"""Delimited files beyond those of the shipped partners: trailers, other delimiters, column orders and spellings."""

from collections.abc import Callable
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.errors import Code, PermanentError
from counterfoil.protocols import Parsed
from parsers.layout import Layout

Read = Callable[..., Parsed]
Amend = Callable[..., Layout]

COLUMNS = ["Transfer date", "Amount", "Reference number", "Outcome code"]


@pytest.fixture
def framed(amend: Amend) -> Layout:
    """A pipe-delimited hand-back with a header record, two trailers, and totals in them."""
    return amend(
        "skybridge_handback",
        {
            "shape.delimiter": "|",
            "shape.quote": "none",
            "shape.headers": ["FH"],
            "shape.trailers": ["BT", "FT"],
            "envelope": {
                "made_on": {"line": "FH", "column": "2", "type": "date", "format": "DD/MM/YYYY"},
                "batch": {"line": "FH", "column": "3", "type": "integer", "sign": "none"},
                "lines": {"line": "BT", "column": "2", "type": "integer"},
                "total": {"line": "BT", "column": "3", "type": "points"},
                "batches": {"line": "FT", "column": "2", "type": "integer"},
            },
            "marks": {"business_date": {"envelope": "made_on"}, "sequence": {"envelope": "batch"}},
            "identities": {
                "records_total": "lines = count of details",
                "points_total": "total = sum of details",
                "points_held": "total = sum of held",
            },
        },
    )


FRAMED = b"""FH|20/11/2026|0042
Transfer date|Amount|Reference number|Outcome code
2026-11-18|100|"R-1"|0000
2026-11-18|-30|R,2|0099
BT|2|70
FT|1
"""


def test_header_and_trailer_records(read: Read, framed: Layout) -> None:
    parsed = read("x", FRAMED, layout=framed)
    assert (parsed.marks.business_date, parsed.marks.sequence) == (date(2026, 11, 20), 42)
    assert (parsed.lines, parsed.envelope_lines, parsed.records) == (6, 4, 2)
    assert parsed.accepted.select("line_no", "ref").rows() == [(3, '"R-1"'), (4, "R,2")]
    assert parsed.control.rows() == [
        ("records_total", 2, 2, True),
        ("points_total", 70, 70, True),
        ("points_held", 70, -30, False),
    ]


@pytest.mark.parametrize(
    ("trailer", "wrong"),
    [
        (b"2|1|1|100|30", []),
        (b"2|1|1|100|-30", []),
        (b"2|2|0|100|30", ["records_credits", "records_debits"]),
        (b"2|1|1|101|31", ["points_credits", "points_debits"]),
    ],
)
def test_totals_of_credits_and_of_debits(read: Read, framed: Layout, trailer: bytes, wrong: list[str]) -> None:
    """As airlines' trailers have them: each off by the same leaves the net right, and is seen all the same."""
    said = {
        name: {"line": "BT", "column": str(column), "type": kind}
        for column, (name, kind) in enumerate(
            [("all", "integer"), ("ups", "integer"), ("downs", "integer"), ("in", "points"), ("out", "points")], start=2
        )
    }
    document = framed.model_dump(mode="json", by_alias=True, exclude_unset=True)
    kept = {name: spec for name, spec in document["envelope"].items() if spec["line"] != "BT"}
    document |= {
        "envelope": {**kept, **said},
        "identities": {
            "records_total": "all = count of details",
            "records_credits": "ups = count of credits",
            "records_debits": "downs = count of debits",
            "points_credits": "in = sum of credits",
            "points_debits": "out = sum of debits",
        },
    }
    parsed = read("x", FRAMED.replace(b"2|70", trailer), layout=Layout.model_validate(document))
    assert parsed.control.filter(~pl.col("holds"))["name"].to_list() == wrong


@pytest.mark.parametrize("tail", [b"FT|1", b"FT|1\r", b"FT|1\n\n\x1a"])
def test_trailers_are_found_behind_any_tail(read: Read, framed: Layout, tail: bytes) -> None:
    assert read("x", FRAMED[:-5] + tail, layout=framed).records == 2


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"FT|1\n", b"", Code.ENVELOPE_INVALID),
        (b"BT|2|70\n", b"", Code.ENVELOPE_INVALID),
        (b"BT|2|70\nFT|1\n", b"FT|1\nBT|2|70\n", Code.ENVELOPE_INVALID),
        (b"BT|2|70\n", b"BT|2\n", Code.ENVELOPE_INVALID),
        (b"BT|2|70\n", b"BT|two|70\n", Code.ENVELOPE_INVALID),
        (b"BT|2|70\n", b"BT|2|9000000000000000000\n", Code.ENVELOPE_INVALID),
        (b"FH|20/11/2026", b"FH|31/11/2026", Code.ENVELOPE_INVALID),
        (b"FH|20/11/2026|0042\n", b"", Code.HEADER_MISSING),
    ],
)
def test_broken_frame(read: Read, framed: Layout, old: bytes, new: bytes, code: Code) -> None:
    with pytest.raises(PermanentError) as failure:
        read("x", FRAMED.replace(old, new), layout=framed)
    assert failure.value.code == code


def test_a_frame_without_details_is_empty(read: Read, framed: Layout) -> None:
    lines = FRAMED.splitlines(keepends=True)
    parsed = read("x", b"".join([*lines[:2], b"BT|0|0\n", b"FT|0\n"]), layout=framed)
    assert (parsed.marks.empty, parsed.lines, parsed.records) == (True, 4, 0)
    for count in (1, 2, 3):
        with pytest.raises(PermanentError):
            read("x", b"".join(lines[:count]), layout=framed)


def test_columns_in_any_order_and_spelling(read: Read, amend: Amend) -> None:
    content = b"OutcomeCode, ReferenceNumber ,amount,transferdate\n0001,R-1,5,2026-11-18\n"
    parsed = read("x", content, layout=amend("skybridge_handback", {"shape.order": "any"}))
    assert parsed.accepted.select("ref", "points", "outcome", "reason").rows() == [("R-1", 5, "rejected", "0001")]
    with pytest.raises(PermanentError, match="columns in another order"):
        read("skybridge_handback", content)


def test_constants(read: Read, amend: Amend) -> None:
    layout = amend("skybridge_handback", {"record.outcome": {"constant": "accepted"}, "record.reason": None})
    content = ",".join(COLUMNS).encode() + b"\n2026-11-18,5,R-1,0001\n"
    assert read("x", content, layout=layout).accepted["outcome"].to_list() == ["accepted"]


cells = st.text(alphabet='ab ,"|;é0', max_size=6)


def quoted(cell: str, always: bool) -> str:
    if always or "," in cell or '"' in cell:
        return '"' + cell.replace('"', '""') + '"'
    return cell


@given(rows=st.lists(st.tuples(cells, cells, st.booleans()), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_quoted_cells_round_trip(read: Read, rows: list[tuple[str, str, bool]]) -> None:
    """Every way of writing the same cells gives the same cells, and each line keeps its number."""
    lines = ["index,Member ID,Member first name,Member last name,Transfer date,Amount,Reference number,Partner code"]
    for number, (first, last, always) in enumerate(rows):
        values = [str(number + 1), "m" + first, "f" + last, "l", "2026-11-18", "5", "r" + last, "p"]
        lines.append(",".join(quoted(value, always) for value in values))
    parsed = read("skybridge_requests", "\n".join(lines).encode())
    assert parsed.quarantined.is_empty()
    wanted = [(i + 2, ("r" + last).strip(" "), ("m" + first).strip(" ")) for i, (first, last, _) in enumerate(rows)]
    assert parsed.accepted.select("line_no", "ref", "member").rows() == wanted


@pytest.mark.parametrize(("quote", "delimiter"), [("'", ";"), ("^", "|"), ("]", "["), ("\\", "\t")])
def test_any_quote_and_delimiter(read: Read, amend: Amend, quote: str, delimiter: str) -> None:
    layout = amend("skybridge_handback", {"shape.quote": quote, "shape.delimiter": delimiter})
    reference = f"{quote}a{quote * 2}{delimiter}b{quote}"
    lines = [delimiter.join(COLUMNS), delimiter.join(["2026-11-18", "5", reference, "0000"])]
    parsed = read("x", "\n".join(lines).encode(), layout=layout)
    assert parsed.accepted["ref"].to_list() == [f"a{quote}{delimiter}b"]


def test_a_long_line_is_not_split(read: Read) -> None:
    content = ",".join(COLUMNS).encode() + b"\n2026-11-18,5,R-1,0000\n" + b"," * 70_000 + b"\n"
    parsed = read("skybridge_handback", content)
    assert parsed.quarantined.select("line_no", "code").rows() == [(3, "LINE_LENGTH")]


def test_thousands_of_rows_keep_their_order(read: Read) -> None:
    body = b"".join(b'2026-11-18,%d,"R,%d",0000\n' % (i, i) if i % 7 else b"bad,%d\n" % i for i in range(5000))
    parsed = read("skybridge_handback", ",".join(COLUMNS).encode() + b"\n" + body)
    lines: list[Any] = sorted([*parsed.accepted["line_no"], *parsed.quarantined["line_no"]])
    assert lines == list(range(2, 5002))
    assert parsed.accepted["ref"].to_list() == [f"R,{i}" for i in range(5000) if i % 7]
