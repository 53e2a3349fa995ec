"""What a partner is told when its format changes: keys, elements and attributes that are gone, new or other."""

from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.schemas.rules import Rule
from parsers import drift
from parsers.layout import Layout
from parsers.layout_file import parse_layout
from parsers.registry import LayoutReader
from parsers.shapes import json_text

CONTRACTS = Path(__file__).parents[2] / "data/contracts/partners"
LINE = (
    '{"transactionId":"R1","memberId":"7","amount":150,"status":"success","order":{"createdAt":"2026-11-18T14:02:11Z"}}'
)
ANSWER = '{"transactionId":"R1","member":{"id":"7"},"amount":150,"status":"success"}'
ELEMENT = (
    '<Transaction reference="R1"><Member><Number>7</Number></Member><Points unit="MILES">150</Points>'
    "<Status>Processed</Status><SubStatus>Success</SubStatus><ProcessedOn>2026-11-19</ProcessedOn></Transaction>"
)

Tell = Callable[..., list[str]]


def written(shape: str, records: list[str]) -> bytes:
    """A file of three records or more in one of three contracts, whose envelope tells the truth."""
    count, total = len(records), 150 * len(records)
    if shape == "json_lines":
        return "".join(record + "\n" for record in records).encode()
    if shape == "json":
        said = f'"totals":{{"count":{count},"credits":{total},"debits":0,"net":{total}}}'
        return f'{{"file":{{"businessDate":"2026-11-20",{said}}},"answers":[{",".join(records)}]}}'.encode()
    head = '<Header sequence="204"><CreatedAt>2026-11-20T04:10:00Z</CreatedAt></Header>'
    tail = f"<Trailer><Count>{count}</Count><Points>{total}</Points></Trailer>"
    return f"<HandBack>{head}<Transactions>{''.join(records)}</Transactions>{tail}</HandBack>".encode()


FILES = {
    "json_lines": ("fernhill/fernhill_handback", "fernhill_postings_2026-11-20.jsonl", LINE),
    "json": ("sablecrest/sablecrest_handback", "sablecrest-00a41f7c.json", ANSWER),
    "xml": ("lumenair/lumenair_handback", "LumenairHandBack-000204.xml", ELEMENT),
}


@pytest.fixture
def tell(reader: LayoutReader, tmp_path: Path) -> Tell:
    """``tell("json", (old, new), …)``: what is said of three good records in which these texts are replaced, and of
    ``records`` instead of them."""

    def told(shape: str, *changes: tuple[str, str], records: list[str] | None = None) -> list[str]:
        folder, name, record = FILES[shape]
        for old, new in changes:
            assert old in record
            record = record.replace(old, new)
        (tmp_path / "payload").write_bytes(written(shape, records or [record] * 3))
        layout: Layout = parse_layout((CONTRACTS / folder / "layout.yaml").read_bytes(), "test")
        parsed = reader.read(layout, name=name, payload=tmp_path / "payload")
        return drift.drift(parsed, layout, name, tmp_path / "payload")

    return told


@pytest.mark.parametrize(
    ("shape", "old", "new", "said"),
    [
        ("json_lines", '"amount":150,', "", ["key 'amount' is missing: 3 of 3 records are without it"]),
        ("json_lines", '"order":{"createdAt":"2026-11-18T14:02:11Z"}', '"x":{"y":1}', [
            "key 'order' is missing: 3 of 3 records are without it",
            "key 'x' was not agreed: 3 of 3 records have it",
        ]),
        ("json_lines", '"createdAt"', '"made"', [
            "key 'order.createdAt' is missing: 3 of 3 records are without it",
            "key 'order.made' was not agreed: 3 of 3 records have it",
        ]),
        ("json_lines", '"amount"', '"order.amount":1,"amount"', [
            "key 'order.amount' was not agreed: 3 of 3 records have it"
        ]),
        ("json_lines", '"amount":150', '"amount":150,"":0', ["key '' was not agreed: 3 of 3 records have it"]),
        ("json_lines", "150", '"a lot"', [
            f"amount (at amount): 3 of 3 records hold no number of 2 decimals as agreed; {Rule.NUMBER_INVALID.summary}"
        ]),
        ("json_lines", "150", '{"value":150}', [
            f"amount (at amount): 3 of 3 records hold no number of 2 decimals as agreed; {Rule.VALUE_NESTED.summary}"
        ]),
        ("json_lines", '"amount":150', '"amount":null', [
            "amount (at amount): 3 of 3 records hold no number of 2 decimals as agreed; a required value is blank"
        ]),
        ("json_lines", '"amount":150,', '"amount":150,"amount":1,', [f"3 of 3 records: {Rule.VALUE_TWICE.summary}"]),
        ("json", '"amount"', '"miles"', [
            "key 'amount' is missing: 3 of 3 records are without it",
            "key 'miles' was not agreed: 3 of 3 records have it",
        ]),
        ("json", '"id":"7"', '"id":"7","tier":"gold"', ["key 'member.tier' was not agreed: 3 of 3 records have it"]),
        ("xml", 'reference="R1"', "", ["attribute '@reference' is missing: 3 of 3 records are without it"]),
        ("xml", "<Member><Number>7</Number></Member>", "<Card><No>7</No></Card>", [
            "element 'Member' is missing: 3 of 3 records are without it",
            "element 'Card' was not agreed: 3 of 3 records have it",
        ]),
        ("xml", 'unit="MILES"', 'unit="MILES" tier="2"', [
            "attribute 'Points.@tier' was not agreed: 3 of 3 records have it"
        ]),
        ("xml", "150", "many", [
            f"points (at Points): 3 of 3 records hold no whole number as agreed; {Rule.NUMBER_INVALID.summary}"
        ]),
    ],
)  # fmt: skip
def test_what_changed_is_said_as_the_partner_names_it(
    tell: Tell, shape: str, old: str, new: str, said: list[str]
) -> None:
    assert tell(shape) == [], "nothing is said of a file as agreed"
    assert tell(shape, (old, new)) == said


def test_the_order_of_keys_and_what_need_not_be_there_are_no_drift(tell: Tell) -> None:
    turned = LINE.replace('{"transactionId":"R1",', "{", 1)[:-1] + ',"transactionId":"R1"}'
    assert tell("json_lines", records=[turned, LINE]) == []
    assert tell("json", ('"status"', '"isReversal":false,"status"')) == []
    assert tell("xml", ("<SubStatus>Success</SubStatus>", ""), ("Processed<", "In Progress<")) == []


def test_what_only_some_records_lack_is_a_matter_of_those(tell: Tell) -> None:
    short = LINE.replace('"amount":150,', "")
    assert tell("json_lines", records=[LINE, LINE, short]) == []
    (said,) = tell("json_lines", records=[LINE, short, short])
    assert said == "key 'amount' is missing: 2 of 3 records are without it"


def test_lines_that_are_no_object_say_nothing_of_keys(tell: Tell) -> None:
    assert tell("json_lines", records=["[1]", "x", "\\", LINE]) == [f"3 of 4 records: {Rule.RECORD_INVALID.summary}"]


def test_keys_without_end_are_counted_and_fill_no_memory(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [LINE.replace("{", f'{{"k{i}":1,"often":2,', 1) for i in range(100)]
    said = tell("json_lines", records=records)
    assert said[0] == "key 'often' was not agreed: 100 of 100 records have it"
    assert (len(said), said[-1]) == (11, "not agreed were also 91 names that are less common")
    monkeypatch.setattr(json_text, "STEP_RECORDS", 7)
    assert tell("json_lines", records=records) == said
    monkeypatch.setattr(drift, "KNOWN_MAX", 5)
    monkeypatch.setattr(drift, "TOLD_MAX", 2)
    bounded = tell("json_lines", records=records)
    assert (len(bounded), bounded[0]) == (3, said[0])
    assert bounded[-1].startswith("not agreed were also at least")
    assert not any("missing" in one for one in bounded), "what was agreed is counted to the end"
    (long,) = tell("json_lines", ('"status"', '"' + "x" * 1000 + '":1,"status"'))
    assert len(long) < 150
