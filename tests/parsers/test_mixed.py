"""Files whose lines are of several kinds: groups with totals, addenda, several details, lines passed over."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.errors import Code, PermanentError
from counterfoil.protocols import Parsed
from parsers import lines
from parsers.layout import Layout
from parsers.layout_file import parse_layout
from parsers.reader import read_file

Read = Callable[[bytes], Parsed]

BATCHED = """
feed: batched
partner: harbour
kind: handback
version: 1
effective_from: 2020-01-01
arrival: {folder: x, ready: stable}
identity: {by: date}
recognise: {name: x}
encoding: utf-8
line_ends: [lf]
shape:
  type: delimited
  delimiter: ","
  quote: none
  names: false
  columns: [{name: kind}, {name: ref}, {name: points}, {name: code}]
  headers: [FH]
  trailers: [FT]
  group: {header: BH, trailer: BT}
  detail: [D, E]
  addenda: A
  ignore: ["#"]
envelope:
  made_on: {line: FH, column: "2", type: date, format: YYYYMMDD}
  batches: {line: FT, column: "2", type: integer}
  everything: {line: FT, column: "3", type: integer}
  records: {line: FT, column: "4", type: integer}
  batch_records: {line: BT, column: "2", type: integer}
  batch_points: {line: BT, column: "3", type: points}
  batch_rejected: {line: BH, column: "3", type: integer}
marks: {business_date: {envelope: made_on}}
identities:
  records_groups: batches = count of groups
  records_lines: everything = count of lines
  records_all: records = count of details
  records_batch: batch_records = count of details
  records_rejected: batch_rejected = count of rejected
  points_batch: batch_points = sum of details
fields:
  reference: {column: ref, type: text}
  amount: {column: points, type: points}
  code: {line: D, column: code, type: code, codes: {"0": accepted, "9": rejected}, unknown: quarantine}
  said: {line: E, column: code, type: code, codes: {Y: accepted, N: rejected}, unknown: quarantine}
  processed: {line: BH, column: "2", type: date, format: YYYYMMDD}
  why: {line: A, column: "2", type: text, required: false}
record_key: [ref]
record:
  ref: reference
  points: amount
  outcome: {first_of: [code, said]}
  reason: why
  value_date: processed
"""

GOOD = """FH,20261120
BH,20261118,1
D,R1,100,0
D,R2,50,9
A,closed
#,nothing to see
BT,2,150
BH,20261119,0
E,R3,7,Y
BT,1,7
FT,2,11,3
"""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    layout = parse_layout(BATCHED.encode(), "test")

    def parse(content: bytes) -> Parsed:
        (tmp_path / "x").write_bytes(content)
        return read_file(layout, "x", tmp_path / "x")

    return parse


def test_details_have_what_their_group_and_addenda_say(read: Read) -> None:
    parsed = read(GOOD.encode())
    assert parsed.accepted.select("line_no", "ref", "points", "outcome", "reason", "value_date").rows() == [
        (3, "R1", 100, "accepted", None, date(2026, 11, 18)),
        (4, "R2", 50, "rejected", "closed", date(2026, 11, 18)),
        (9, "R3", 7, "accepted", None, date(2026, 11, 19)),
    ]
    assert (parsed.lines, parsed.envelope_lines, parsed.records) == (11, 8, 3)
    assert parsed.control.rows() == [
        ("records_groups", 2, 2, True),
        ("records_lines", 11, 11, True),
        ("records_all", 3, 3, True),
        ("records_batch of group 1", 2, 2, True),
        ("records_batch of group 2", 1, 1, True),
        ("records_rejected of group 1", 1, 1, True),
        ("records_rejected of group 2", 0, 0, True),
        ("points_batch of group 1", 150, 150, True),
        ("points_batch of group 2", 7, 7, True),
    ]


def test_a_group_s_wrong_total_is_its_own(read: Read) -> None:
    control = read(GOOD.replace("BT,2,150", "BT,2,151").encode()).control
    assert control.filter(~control["holds"]).rows() == [("points_batch of group 1", 151, 150, False)]


@pytest.mark.parametrize("block", [16, 30, 45, 1000])
def test_the_cut_into_blocks_changes_nothing(read: Read, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    whole = read(GOOD.encode())
    monkeypatch.setattr(lines, "BLOCK_BYTES", block)
    parts = read(GOOD.encode())
    assert parts.accepted.equals(whole.accepted)
    assert parts.control.equals(whole.control)
    assert (parts.lines, parts.envelope_lines) == (whole.lines, whole.envelope_lines)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("BT,2,150\n", "", "not inside one group"),
        ("BH,20261119,0\n", "", "not inside one group"),
        ("BT,1,7\n", "", "no 'BT' line after the last group"),
        ("FH,20261120\n", "FH,20261120\nD,R0,1,0\n", "not inside one group"),
        ("BT,2,150", "BT,two,150", "batch_records (column 2 of line BT): a number is not written"),
        ("BH,20261118,1", "BH,20261118", "batch_rejected (column 3 of line BH): a required value is blank"),
    ],
)
def test_broken_groups_break_the_file(read: Read, old: str, new: str, found: str) -> None:
    with pytest.raises(PermanentError) as failure:
        read(GOOD.replace(old, new, 1).encode())
    assert failure.value.code is Code.ENVELOPE_INVALID
    assert found in failure.value.found


@pytest.mark.parametrize(
    ("old", "new", "rows"),
    [
        ("A,closed\n", "A,closed\nA,again\n", [(6, "RECORD_TYPE_UNKNOWN")]),
        ("BT,2,150\n", "A,late\nBT,2,150\n", [(7, "RECORD_TYPE_UNKNOWN")]),
        ("D,R2,50,9\n", "X,R2,50,9\n", [(4, "RECORD_TYPE_UNKNOWN"), (5, "RECORD_TYPE_UNKNOWN")]),
        ("D,R1,100,0", "D,R1,100,Y", [(3, "OUTCOME_UNKNOWN")]),
        ("E,R3,7,Y", "E,R3,7,0", [(9, "OUTCOME_UNKNOWN")]),
        ("E,R3,7,Y", "E,R3,7", [(9, "COLUMNS")]),
        ("BH,20261118,1", "BH,18.11.2026,1", [(3, "DATE_INVALID"), (4, "DATE_INVALID")]),
    ],
)
def test_lines_out_of_place_are_kept_apart(read: Read, old: str, new: str, rows: list[tuple[int, str]]) -> None:
    assert read(GOOD.replace(old, new, 1).encode()).quarantined.select("line_no", "code").rows() == rows


@given(
    st.lists(st.lists(st.tuples(st.integers(-999, 999), st.sampled_from("09"), st.booleans()), max_size=4), max_size=5),
    st.integers(16, 80),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_groups_round_trip(read: Read, monkeypatch: pytest.MonkeyPatch, groups: list[list[Any]], block: int) -> None:
    text, expected, no, records = "FH,20261120\n", [], 1, 0
    for n, group in enumerate(groups):
        day = date(2026, 11, 1 + n)
        text += f"BH,{day:%Y%m%d},{sum(code == '9' for _, code, _ in group)}\n"
        no += 1
        for points, code, addenda in group:
            no, records = no + 1, records + 1
            expected.append((no, f"R{records}", points, "why" if addenda else None, day))
            text += f"D,R{records},{points},{code}\n" + ("A,why\n" if addenda else "")
            no += addenda
        text += f"BT,{len(group)},{sum(points for points, _, _ in group)}\n"
        no += 1
    text += f"FT,{len(groups)},{no + 1},{records}\n"
    monkeypatch.setattr(lines, "BLOCK_BYTES", block)
    parsed = read(text.encode())
    assert parsed.accepted.select("line_no", "ref", "points", "reason", "value_date").rows() == expected
    assert parsed.control["holds"].all()
    assert parsed.lines == no + 1


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"shape": {"ignore": ["D1"]}}, "is of two kinds"),
        ({"identities": {"records_x": "batches = count of details of group"}}, "identities.records_x: write"),
        ({"identities": {"records_declared_x": "batches = batch_records + records"}}, "is said elsewhere"),
        ({"marks": {"sequence": {"envelope": "batch_records"}}}, "marks.sequence: no envelope field"),
        ({"fields": {"why": {"line": "BT", "column": "2", "type": "text"}}}, "line is the prefix of a detail"),
        ({"fields": {"why": {"line": "A", "column": "text", "type": "text"}}}, "column is a number from 1"),
        ({"record": {"outcome": "code"}}, "on every record"),
        ({"record": {"reason": {"envelope": "batch_records"}}}, "no envelope field batch_records"),
    ],
)
def test_layouts_that_cannot_be_meant_are_refused(changes: dict[str, dict[str, Any]], complaint: str) -> None:
    document = yaml.load(BATCHED, Loader=yaml.BaseLoader)
    for section, keys in changes.items():
        document[section] |= keys
    with pytest.raises(PermanentError) as failure:
        parse_layout(yaml.safe_dump(document).encode(), "test")
    assert complaint in failure.value.found


def test_what_a_layout_says_is_shown(read: Read) -> None:
    layout: Layout = parse_layout(BATCHED.encode(), "test")
    assert [proof.name for proof in layout.proofs if proof.in_group] == [
        "records_batch",
        "records_rejected",
        "points_batch",
    ]
