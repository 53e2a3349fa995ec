"""XML documents: what an element must hold, and what is refused before anything of it is believed."""

import resource
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.errors import Code, PermanentError
from counterfoil.masking import masked_line
from counterfoil.protocols import Parsed
from parsers.layout import Layout
from parsers.layout_file import parse_layout
from parsers.registry import LayoutReader
from parsers.shapes import xml_file

LAYOUT = Path(__file__).parents[2] / "data/contracts/partners/lumenair/lumenair_handback/layout.yaml"
NAME = "LumenairHandBack-000204.xml"
HEAD = '<Header sequence="204"><CreatedAt>2026-11-20T04:10:00Z</CreatedAt></Header>'
GOOD = (
    '<Transaction reference="R1"><Member><Number>0044</Number></Member><Points unit="MILES">100</Points>'
    "<Status>Processed</Status><SubStatus>Success</SubStatus><ProcessedOn>2026-11-19</ProcessedOn></Transaction>"
)

Parse = Callable[[str | bytes], Parsed]


def document(*records: str, total: int | None = None, before: str = "", head: str = HEAD) -> str:
    points = sum(100 for record in records if ">100<" in record) if total is None else total
    end = f"<Trailer><Count>{len(records)}</Count><Points>{points}</Points></Trailer>"
    return f"{before}<HandBack>{head}<Transactions>{''.join(records)}</Transactions>{end}</HandBack>"


@pytest.fixture
def layout() -> Layout:
    return parse_layout(LAYOUT.read_bytes(), "test")


@pytest.fixture
def parse(reader: LayoutReader, layout: Layout, tmp_path: Path) -> Parse:
    def read(content: str | bytes) -> Parsed:
        (tmp_path / "payload").write_bytes(content.encode() if isinstance(content, str) else content)
        return reader.read(layout, name=NAME, payload=tmp_path / "payload")

    return read


def refused(parse: Parse, content: str | bytes) -> PermanentError:
    with pytest.raises(PermanentError) as failure:
        parse(content)
    return failure.value


@pytest.mark.parametrize(
    ("record", "code", "field"),
    [
        (GOOD.replace("0044", "<a>0044</a>"), "VALUE_NESTED", "member"),
        (GOOD.replace("<Member>", "<Member>x").replace("<Number>0044</Number>", ""), "VALUE_NESTED", "member"),
        (GOOD.replace("</Number>", "</Number><Number>1</Number>"), "VALUE_TWICE", None),
        (GOOD.replace("<Member>", "<Member></Member><Member>"), "VALUE_TWICE", None),
        (GOOD.replace("<Points", "<Points/><Points"), "VALUE_TWICE", None),
        (GOOD.replace("<Number>0044</Number>", ""), "FIELD_MISSING", "member"),
        (GOOD.replace("0044", " \n "), "FIELD_MISSING", "member"),
        (GOOD.replace(' reference="R1"', ""), "FIELD_MISSING", "reference"),
        (GOOD.replace("0044", "00\n44"), "CONTROL_CHARACTER", None),
        (GOOD.replace("0044", "00&#9;44"), "CONTROL_CHARACTER", None),
        (GOOD.replace(">100<", ">12.50<"), "NUMBER_INVALID", "points"),
        (GOOD.replace(">100<", ">1e2<"), "NUMBER_INVALID", "points"),
        (GOOD.replace(">100<", ">NaN<"), "NUMBER_INVALID", "points"),
        (GOOD.replace("MILES", "KM"), "CODE_UNKNOWN", "unit"),
        (GOOD.replace("0044", "4" * 70_000), "FIELD_LONG", "member"),
    ],
)
def test_a_bad_record_is_kept_apart(parse: Parse, record: str, code: str, field: str | None) -> None:
    parsed = parse(document(GOOD, record, GOOD.replace("R1", "R3")))
    assert parsed.accepted["ref"].to_list() == ["R1", "R3"]
    assert parsed.quarantined.select("line_no", "code", "field").rows() == [(2, code, field)]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("&#228;&amp;&lt;", "ä&<"),
        ("<![CDATA[a<b>]]>", "a<b>"),
        ("a<!-- x -->b", "ab"),
        ("a<?x y?>b", "ab"),
        (" R 1 ", "R 1"),
    ],
)
def test_texts_are_what_they_mean(parse: Parse, written: str, text: str) -> None:
    assert parse(document(GOOD.replace("0044", written))).accepted["member"].to_list() == [text]


def test_namespaces_are_passed_over(parse: Parse) -> None:
    spaced = document(GOOD).replace("<HandBack>", '<HandBack xmlns="urn:a" xmlns:b="urn:b">')
    assert parse(spaced.replace("Points", "b:Points")).accepted["points"].to_list() == [100]


def test_elements_of_other_places_are_no_records(parse: Parse) -> None:
    parsed = parse(document(GOOD, head=HEAD + f"<Old>{GOOD}</Old>"))
    assert (parsed.records, parsed.lines) == (1, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (document(GOOD, before='<!DOCTYPE x [<!ENTITY a "b">]>'), "a document type"),
        (document(GOOD, before='<!DOCTYPE x SYSTEM "http://x.example/x.dtd">'), "a document type"),
        (document(GOOD, before='<?xml version="1.0" encoding="ISO-8859-1"?>'), "says it is 'ISO-8859-1' and not utf-8"),
        (document(GOOD, before='<?xml version="1.0" encoding="no-such"?>'), "says it is 'no-such'"),
        (document(GOOD).replace("HandBack", "Other"), "another root"),
        (document(GOOD)[:-30], "no well-formed XML (ERR_TAG_NOT_FINISHED)"),
        (document(GOOD).replace("</Transactions>", ""), "line 1, column"),
        (document(GOOD).replace("0044", "a & b"), "no well-formed XML"),
        (document(GOOD).replace("0044", "a\x01b"), "no well-formed XML"),
        (document(GOOD).replace("0044", "&x;"), "no well-formed XML"),
        (document(GOOD).replace("0044", "ä").encode("latin-1"), "no well-formed XML (ERR_INVALID_ENCODING)"),
        (document(GOOD).replace("0044", "<a>" * 300), "no well-formed XML (ERR_RESOURCE_LIMIT)"),
        (document(GOOD).encode("utf-16"), "no well-formed XML"),
        (document(GOOD) + "<x/>", "no well-formed XML"),
        ("{}", "no element"),
        ("\n" * 70_000 + document(GOOD), "no element in the first 65,536 bytes"),
        (document(GOOD).replace("<Trailer>", "<Trailer><Count>1</Count>"), "count, given twice, nested"),
        (document(GOOD).replace("<Count>1", "<Count>1&#10;1"), "control character"),
        (document(GOOD, head=HEAD + "<Trailer><Count>1</Count><Points>100</Points></Trailer>"), "given twice"),
    ],
)
def test_a_document_that_cannot_be_believed_is_refused(parse: Parse, content: str | bytes, said: str) -> None:
    error = refused(parse, content)
    assert error.code is Code.ENVELOPE_INVALID
    assert said in error.found


def test_entities_do_not_grow(parse: Parse) -> None:
    bombs = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
    laughs = f'<!DOCTYPE HandBack [<!ENTITY a0 "ha">{bombs}]>' + document(GOOD).replace("0044", "&a11;")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "a document type" in refused(parse, laughs).found
    hidden = "<!-- -->" * 9_000 + laughs
    assert "in the first 65,536 bytes" in refused(parse, hidden).found
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000 or sys.platform == "darwin"


def test_every_encoding_that_is_agreed(reader: LayoutReader, tmp_path: Path) -> None:
    for encoding, declared in (("latin-1", "ISO-8859-1"), ("cp1252", "windows-1252"), ("utf-16", "UTF-16")):
        layout = parse_layout(LAYOUT.read_bytes().replace(b"encoding: utf-8", f"encoding: {encoding}".encode()), "x")
        for before in (f'<?xml version="1.0" encoding="{declared}"?>', ""):
            path = tmp_path / f"{encoding}{len(before)}"
            path.write_bytes(document(GOOD.replace("0044", "é"), before=before).encode(encoding))
            assert reader.read(layout, name=NAME, payload=path).accepted["member"].to_list() == ["é"]


def test_what_is_no_record_may_not_fill_the_memory(parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "1,000 elements besides" in refused(parse, document(*["<x/>"] * 1_500, GOOD)).found
    monkeypatch.setattr(xml_file, "LOOSE_BYTES_MAX", 200_000)
    assert "bytes without a 'Transaction'" in refused(parse, document(f"<x>{'y' * 400_000}</x>", GOOD)).found


def test_records_may_be_tiny(reader: LayoutReader, tmp_path: Path) -> None:
    """Many of them lie in one piece of the file."""
    text = LAYOUT.read_text().replace("HandBack.Transactions.Transaction", "HandBack.T.t")
    (tmp_path / "payload").write_text(document(*["<t/>"] * 20_000).replace("Transactions>", "T>"))
    tiny = parse_layout(text.encode(), "test")
    assert reader.read(tiny, name=NAME, payload=tmp_path / "payload").quarantined.height == 20_000


def test_records_are_let_go(parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many more records than are held at a time, each in a parent of its own."""
    monkeypatch.setattr(xml_file, "STEP_RECORDS", 7)
    monkeypatch.setattr(xml_file, "STEP_BYTES", 1_200)
    monkeypatch.setattr(xml_file, "PIECE_BYTES", 100)
    parsed = parse(document(*(f"</Transactions><Transactions>{GOOD.replace('R1', f'R{i}')}" for i in range(3_000))))
    assert parsed.accepted["ref"].to_list() == [f"R{i}" for i in range(3_000)]
    assert parsed.accepted["line_no"].to_list() == list(range(1, 3_001))
    assert parsed.control["holds"].all()


@pytest.mark.parametrize("size", range(10, 400, 13))
def test_pieces_end_anywhere(parse: Parse, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(xml_file, "PIECE_BYTES", size)
    monkeypatch.setattr(xml_file.XmlFile, "_check_beginning", lambda _: None)
    parsed = parse(document(GOOD, GOOD.replace("R1", "R2")))
    assert parsed.accepted["ref"].to_list() == ["R1", "R2"]
    assert parsed.control["holds"].all()


def test_an_envelope_at_the_beginning_opens_without_the_rest(
    reader: LayoutReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = LAYOUT.read_text().replace("path: Trailer.Count", 'path: "Transactions.@n"')
    early = parse_layout(text.replace("path: Trailer.Points", "path: Header.Sum.Points").encode(), "test")
    whole = document(*[GOOD] * 1_000, head=HEAD.replace("</Header>", "<Sum><Points>7</Points></Sum></Header>"))
    (tmp_path / "payload").write_text(whole.replace("<Transactions>", '<Transactions n="1000">')[:-50])
    marks = reader.inspect(early, name=NAME, payload=tmp_path / "payload")
    assert (marks.sequence, marks.empty) == (204, False)
    with pytest.raises(PermanentError, match="no well-formed XML"):
        reader.read(early, name=NAME, payload=tmp_path / "payload")


def test_a_day_without_records_is_empty(parse: Parse) -> None:
    parsed = parse(document())
    assert (parsed.marks.empty, parsed.lines, parsed.marks.sequence) == (True, 0, 204)
    assert refused(parse, "").code is Code.FILE_EMPTY


def test_a_shown_record_hides_who_it_is_about(reader: LayoutReader, layout: Layout, tmp_path: Path) -> None:
    record = GOOD.replace("0044", "0044120019").replace("<Number>", "\n  <Name>Wade</Name><Number>")
    (tmp_path / "payload").write_text(document(GOOD, record))
    shown = masked_line(reader.lines(layout, name=NAME, payload=tmp_path / "payload", numbers=[2])[2])
    assert shown.startswith('<Transaction reference="R1"><Member> <·ame>·ade</·ame><Number>·······019</Number>')
    assert '<Points unit="··LES">100</Points>' in shown


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("record: HandBack.Transactions.Transaction", "record: HandBack", "pattern"),
        ("path: Member.Number", "path: Member.@a.Number", "pattern"),
        ("path: Member.Number", "column: Member", "has a path"),
        ("path: Trailer.Count", "path: Trailer.Count, line: T", "line is for files of lines"),
        ("count = count of details", "count = count of lines", "not made of lines"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(PermanentError) as failure:
        parse_layout(LAYOUT.read_text().replace(old, new).encode(), "test")
    assert said in failure.value.found
