"""Answers to partners as text: templates, padding, quoting, what a contract may not say."""

import csv
import io
from xml.etree import ElementTree as ET

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.replies import FACTS, ROWS, Reply, Status, content, file_name

FACTS_OF = dict.fromkeys(FACTS, "") | {
    "name": "A_0007.csv",
    "stem": "A_0007",
    "status": "OK",
    "accepted": "2",
    "next": "8",
}


def reply(**keys: object) -> Reply:
    return Reply.model_validate({"folder": "out", "name": "{stem}_result.csv"} | keys)


def rows(*records: tuple[object, ...]) -> pl.DataFrame:
    return pl.DataFrame(list(records), schema=ROWS, orient="row")


def test_an_answer_in_columns() -> None:
    contract = reply(
        header=["ACK {status} {accepted:04}"],
        row="{line:05}{ref:<6}{points:>8}{code}",
        trailer=["next {next}"],
        rows="all",
    )
    data = content(
        contract, FACTS_OF, rows((3, "R-1234567", "m", -25, "E1", "", "", ""), (12, None, None, None, "", "", "", ""))
    )
    assert data == b"ACK OK 0002\n00003R-1234     -25E1\n00012" + b" " * 14 + b"\nnext 8\n"


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), max_size=5))
def test_quoted_values_come_back(values: list[tuple[str, str]]) -> None:
    contract = reply(row="{line},{ref},{raw}", escape="csv")
    table = rows(*((i, ref, None, None, "", "", "", raw) for i, (ref, raw) in enumerate(values)))
    read = list(csv.reader(io.StringIO(content(contract, FACTS_OF, table).decode())))
    breaks = dict.fromkeys((*range(32), 127, 8232, 8233), " ")
    expected = [[str(i), ref.translate(breaks), raw.translate(breaks)] for i, (ref, raw) in enumerate(values)]
    assert read == expected


def test_xml_values_are_text() -> None:
    contract = reply(header=["<ack>"], row='<r ref="{ref}">{text}</r>', trailer=["</ack>"], escape="xml")
    data = content(contract, FACTS_OF, rows((1, 'a"<&', None, None, "", "x > y & z", "", "")))
    record = ET.fromstring(data)[0]
    assert (record.get("ref"), record.text) == ('a"<&', "x > y & z")


def test_people_open_an_answer_in_a_spreadsheet_that_runs_nothing_of_it() -> None:
    contract = reply(row="{line},{ref},{points}", trailer=["{rejected_points}"], escape="spreadsheet")
    bad = rows((2, "=HYPERLINK(1,2)", None, -5, "", "", "", ""), (3, "R-1", None, 1, "", "", "", ""))
    told = content(contract, FACTS_OF | {"rejected_points": "-5"}, bad)
    assert told.decode().splitlines() == ['2,"\'=HYPERLINK(1,2)",-5', "3,R-1,1", "-5"]


def test_a_failed_file_may_have_another_name() -> None:
    contract = reply(failed_name="{name}")
    assert file_name(contract, FACTS_OF, Status.FAILED) == "A_0007.csv"
    assert file_name(contract, FACTS_OF, Status.PARTLY) == "A_0007_result.csv"


def test_the_partner_s_codes() -> None:
    contract = reply(codes={"DATE_INVALID": "14", "other": "13", "": "00"})
    assert [contract.code(code) for code in ("DATE_INVALID", "NUL_BYTE", "")] == ["14", "13", "00"]
    assert [reply().code(code) for code in ("NUL_BYTE", "")] == ["NUL_BYTE", ""]


@pytest.mark.parametrize(
    ("changes", "unanswered"),
    [
        ({}, {Status.WAITS}),
        ({"waits_name": "{stem}_waits.csv"}, set()),
        ({"when": "rejects"}, {Status.ACCEPTED, Status.DUPLICATE, Status.WAITS}),
    ],
)
def test_when_a_file_is_answered(changes: dict[str, str], unanswered: set[Status]) -> None:
    assert {status for status in Status if not reply(**changes).wanted(status)} == unanswered


@pytest.mark.parametrize(
    "keys", [{"name": "{file}"}, {"header": ["{line}"]}, {"row": "{"}, {"trailer": ["{points:x3}"]}, {"when": "never"}]
)
def test_templates_that_cannot_be_filled_are_refused(keys: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        reply(**keys)


def test_what_the_encoding_cannot_hold_is_a_question_mark() -> None:
    data = content(reply(row="{text}", encoding="latin-1"), FACTS_OF, rows((1, "", "", 0, "", "Szőke Ä", "", "")))
    assert data == "Sz?ke Ä\n".encode("latin-1")
