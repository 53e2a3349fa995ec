"""JSON documents: records found wherever pieces end, the rest read as a document, and broken ones refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.errors import Code, PermanentError
from counterfoil.masking import masked_line
from counterfoil.protocols import Parsed
from parsers.layout import Layout
from parsers.layout_file import parse_layout
from parsers.registry import LayoutReader
from parsers.shapes import json_document, json_text

LAYOUT = Path(__file__).parents[2] / "data/contracts/partners/fernhill/fernhill_handback/layout.yaml"
NAME = "fernhill_postings_2026-11-20.jsonl"
GOOD = (
    '{"transactionId":"R1","memberId":"0070412235","amount":150,"status":"success",'
    '"order":{"createdAt":"2026-11-18T14:02:11Z"}}'
)

Parse = Callable[[str | bytes], Parsed]


def layout_of(**changes: Any) -> Layout:
    """The lines' contract as one document with its totals around the records."""
    keys = yaml.safe_load(LAYOUT.read_text()) | {"effective_from": "2020-01-01"}
    keys["shape"] = {"type": "json", "records": "data.postings"}
    keys["envelope"] = {
        "count": {"path": "count", "type": "integer"},
        "total": {"path": "data.total", "type": "points", "decimal_mark": ".", "decimals": 2},
    }
    keys["identities"] = {"records_all": "count = count of details", "points_all": "total = sum of details"}
    return parse_layout(yaml.safe_dump(keys | changes).encode(), "test")


def document(*records: str, total: str | None = None, count: str | None = None) -> str:
    points = sum(150 for record in records if "150" in record) if total is None else total
    inner = f'"postings": [{", ".join(records)}], "total": {points}'
    return f'{{"count": {len(records) if count is None else count}, "data": {{{inner}}}}}'


@pytest.fixture
def parse(reader: LayoutReader, tmp_path: Path) -> Parse:
    def read(content: str | bytes) -> Parsed:
        (tmp_path / "payload").unlink(missing_ok=True)
        (tmp_path / "payload").write_bytes(content.encode() if isinstance(content, str) else content)
        return reader.read(layout_of(), name=NAME, payload=tmp_path / "payload")

    return read


def refused(parse: Parse, content: str | bytes) -> PermanentError:
    with pytest.raises(PermanentError) as failure:
        parse(content)
    return failure.value


def test_records_and_what_stands_around_them(parse: Parse) -> None:
    parsed = parse("\ufeff" + document(GOOD, GOOD.replace("R1", "R2"), total="300.00"))
    assert parsed.accepted.select("line_no", "ref", "points").rows() == [(1, "R1", 150), (2, "R2", 150)]
    assert parsed.control["holds"].all()
    assert (parsed.lines, parsed.envelope_lines) == (2, 0)


@pytest.mark.parametrize(
    ("record", "code", "field"),
    [
        ("12", "RECORD_INVALID", None),
        ("null", "RECORD_INVALID", None),
        ('"a, b]"', "RECORD_INVALID", None),
        ("[1, 2]", "RECORD_INVALID", None),
        (GOOD.replace("{", '{"memberId":"1",', 1), "VALUE_TWICE", None),
        (GOOD.replace("150", "[150, 1]"), "VALUE_NESTED", "amount"),
        (GOOD.replace("150", "12.50"), "NUMBER_FRACTION", "amount"),
        (GOOD.replace("150", "1.5e2"), "NUMBER_INVALID", "amount"),
        (GOOD.replace("R1", "R\\n1"), "CONTROL_CHARACTER", None),
        (GOOD.replace("R1", "R" * 70_000), "LINE_LENGTH", None),
        (GOOD.replace("R1", "\\ud800"), "RECORD_INVALID", None),
    ],
)
def test_a_bad_record_is_kept_apart(parse: Parse, record: str, code: str, field: str | None) -> None:
    parsed = parse(document(GOOD, record, GOOD.replace("R1", "R3")))
    assert parsed.accepted["ref"].to_list() == ["R1", "R3"]
    assert parsed.quarantined.select("line_no", "code", "field").rows() == [(2, code, field)]
    raw = parsed.quarantined["raw"].item()
    assert raw == record.encode() or (code == "LINE_LENGTH" and record.encode().startswith(raw.strip()))


def test_bytes_of_another_encoding_are_kept_apart(parse: Parse) -> None:
    content = document(GOOD, GOOD.replace("R1", "é"), GOOD).encode().replace("é".encode(), b"\xe9")
    assert parse(content).quarantined.select("line_no", "code").rows() == [(2, "ENCODING")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", None),
        ("x", "no array data.postings"),
        ('{"data": []}', "no array data.postings"),
        ('{"data": [{"postings": []}]}', "no array data.postings"),
        ('{"data": {"postings": {}}}', "no array data.postings"),
        (document(GOOD)[:-20], "records that do not end"),
        (document(GOOD)[:-1], "no JSON"),
        (document(GOOD) + "x", "line 1, column"),
        (document(GOOD) + document(GOOD), "no JSON"),
        ("\n\n" + document(GOOD, GOOD.replace(":150", " 150")), "line 3, column 160: a record that is no JSON"),
        (document(GOOD, GOOD.replace(":150", ":NaN")), "a record that is no JSON"),
        (document(GOOD, GOOD.replace("}}", "]}")), "a record that is no JSON"),
        (document(GOOD, ""), "a record that is no JSON"),
        (document(GOOD, GOOD + GOOD), "a record that is no JSON"),
        (document(GOOD).replace('"total"', '"x": [1, 2], "x": 1, "total"'), "names a key twice"),
        (document(GOOD).replace('"total"', '"postings": [], "total"'), "names a key twice"),
        (document(GOOD, count="[1]"), "count, nested"),
        (document(GOOD, count='{"n": 1}'), "count, nested"),
        (document(GOOD, count="1.5"), "count (at "),
        (document(GOOD, count='"\\ud800"'), "half of a character"),
        (document(GOOD, count='"1\\n"'), "a control character"),
        (document(GOOD, total="1e5"), "total (at data.total):"),
        (document(GOOD, count="NaN"), "no JSON"),
        (document(GOOD).encode("utf-16"), "no array"),
        (document(GOOD).replace('"total"', "[" * 100_000 + '"total"'), "no JSON"),
        ('{"x": "' + "y" * 1_100_000 + '", ' + document(GOOD)[1:], "in the first 1,048,576 bytes"),
        (document(GOOD)[:-1] + ', "x": "' + "y" * 1_100_000 + '"}', "bytes behind the records"),
    ],
)
def test_a_document_that_breaks_is_refused_with_the_place(parse: Parse, content: str | bytes, said: str | None) -> None:
    error = refused(parse, content)
    assert error.code is (Code.FILE_EMPTY if said is None else Code.ENVELOPE_INVALID)
    assert said is None or said in error.found


def test_a_document_may_be_its_records(reader: LayoutReader, tmp_path: Path) -> None:
    bare = layout_of(shape={"type": "json"}, envelope={}, identities={})
    (tmp_path / "payload").write_text(f" [\n {GOOD},\n {GOOD.replace('R1', 'R2')} ]\n")
    assert reader.read(bare, name=NAME, payload=tmp_path / "payload").accepted["ref"].to_list() == ["R1", "R2"]


def test_utf_16_is_read_like_utf_8(reader: LayoutReader, tmp_path: Path) -> None:
    (tmp_path / "payload").write_bytes(document(GOOD.replace("R1", "ä")).encode("utf-16"))
    wide = layout_of(encoding="utf-16")
    assert reader.read(wide, name=NAME, payload=tmp_path / "payload").accepted["ref"].to_list() == ["ä"]
    (tmp_path / "odd").write_bytes(document(GOOD).encode("utf-16")[:-1])
    with pytest.raises(PermanentError, match="bytes that are not utf-16"):
        reader.read(wide, name=NAME, payload=tmp_path / "odd")


def test_a_day_without_records_is_empty(parse: Parse) -> None:
    parsed = parse(document())
    assert (parsed.marks.empty, parsed.lines) == (True, 0)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='\\"{}[],:a\né', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='ab"\\,]', max_size=3), inner),
    max_leaves=8,
)


@given(records=st.lists(values, max_size=8), piece=st.integers(1, 40), loose=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_records_are_found_wherever_pieces_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: list[Any], piece: int, loose: bool
) -> None:
    monkeypatch.setattr(json_document, "PIECE_BYTES", piece)
    monkeypatch.setattr(json_text, "STEP_RECORDS", 3)
    texts = (json.dumps(record, ensure_ascii=loose, indent=1 if loose else None) for record in records)
    written = document(*texts, total="0")
    (tmp_path / "payload").unlink(missing_ok=True)
    (tmp_path / "payload").write_text(written)
    layout = layout_of()
    opened = json_document.JsonFile(layout, layout.shape, tmp_path / "payload", NAME)  # type: ignore[arg-type]
    found = [
        json.loads(raw[:size])
        for cut in opened.cuts()
        for raw, size in zip(cut.raw.to_list(), cut.rows["line.size"], strict=True)
    ]
    assert found == records
    assert opened.envelope == {"count": str(len(records)), "total": "0"}


def test_a_huge_record_is_cut_short(parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_document, "PIECE_BYTES", 100_000)
    parsed = parse(document(GOOD, GOOD.replace("R1", "R" * 1_000_000), GOOD.replace("R1", "R3")))
    assert parsed.quarantined.select("line_no", "code").rows() == [(2, "LINE_LENGTH")]
    assert parsed.accepted["line_no"].to_list() == [1, 3]


def test_a_shown_record_hides_who_it_is_about(reader: LayoutReader, tmp_path: Path) -> None:
    record = GOOD.replace("{", '{\n  "firstName": "Wade",\r\n  ', 1)
    (tmp_path / "payload").write_text(document(GOOD, record))
    shown = masked_line(reader.lines(layout_of(), name=NAME, payload=tmp_path / "payload", numbers=[2])[2])
    assert shown.startswith('{ "······ame": "·ade", "transactionId":"R1","memberId":"·······235","amount":150,')


def test_a_layout_that_cannot_be_is_refused() -> None:
    for changes, said in (
        ({"shape": {"type": "json"}}, "a document that is an array has no envelope"),
        ({"shape": {"type": "json", "records": "a..b"}}, "pattern"),
        ({"envelope": {"count": {"path": "a.@b", "type": "integer"}}}, "attributes are for XML"),
        ({"encoding": "cp1252"}, "JSON is utf-8 or utf-16"),
    ):
        with pytest.raises(PermanentError) as failure:
            layout_of(**changes)
        assert said in failure.value.found
