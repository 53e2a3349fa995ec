"""The layout language: what is refused, by file and key, and what YAML must not turn into something else."""

from collections.abc import Callable
from datetime import date, time
from typing import Any

import pytest

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import FeedKind
from parsers.layout import Layout
from parsers.layout_file import parse_layout

Amend = Callable[..., Layout]


def test_shipped_layouts_say_what_their_partners_agreed(layouts: dict[str, Layout]) -> None:
    northstar, skybridge = layouts["northstar_requests"], layouts["skybridge_requests"]
    assert (northstar.source, northstar.identity.by, northstar.identity.gap) == ("issued", "sequence", "hold")
    assert (northstar.arrival.ready, northstar.arrival.marker_suffix) == ("marker", ".done")
    assert (skybridge.source, skybridge.identity.by, skybridge.cutoff) == ("member", "date", time(23))
    for feed in ("northstar_handback", "skybridge_handback"):
        assert (layouts[feed].arrival.ready, layouts[feed].arrival.afterwards) == ("stable", "archive")
    assert layouts["skybridge_handback"].reason_texts["0099"] == "cannot be processed, contact support"
    assert northstar.effective_from == date(2020, 1, 1)


@pytest.mark.parametrize(
    ("feed", "changes", "complaint"),
    [
        ("skybridge_handback", {"colour": "red"}, "colour: Extra inputs are not permitted"),
        ("skybridge_handback", {"fields.amount.sgin": "none"}, "fields.amount.points.sgin: Extra inputs"),
        ("skybridge_handback", {"kind": "handbag"}, "kind: Input should be 'requests', 'handback'"),
        ("skybridge_handback", {"encoding": "utf-32"}, "encoding: Input should be"),
        ("skybridge_handback", {"encoding": "cp037"}, "cp037 goes with line_ends"),
        ("skybridge_handback", {"line_ends": []}, "line_ends: Tuple should have at least 1 item"),
        ("skybridge_handback", {"recognise.name": "("}, "recognise: not a regular expression"),
        ("skybridge_handback", {"recognise.name": "x"}, "marks.business_date: recognise.name has no group date"),
        ("skybridge_handback", {"marks": None}, "identity.by is date, so marks.business_date is needed"),
        ("skybridge_handback", {"identity.by": "sequence"}, "marks.sequence is needed"),
        ("skybridge_handback", {"marks.business_date.envelope": "x"}, "give name or envelope"),
        ("skybridge_handback", {"shape.delimiter": "||"}, "quote is one character beside a delimiter"),
        ("skybridge_handback", {"shape.delimiter": "\n"}, "plain ASCII characters"),
        ("skybridge_handback", {"shape.quote": ","}, "quote is one character beside a delimiter"),
        ("skybridge_handback", {"shape.columns": [{"name": "a"}, {"name": "b", "also": ["a"]}]}, "given twice"),
        ("skybridge_handback", {"shape.type": "xls"}, "shape: Input tag 'xls'"),
        ("skybridge_handback", {"fields.amount.column": "Sum"}, "fields.amount: column is not among shape.columns"),
        ("skybridge_handback", {"fields.amount.from": "1"}, "from and length go together"),
        ("skybridge_handback", {"fields.amount.line": "T"}, "fields.amount: line is the prefix of a detail"),
        ("skybridge_handback", {"fields.outcome.codes": {"0000": "yes"}}, "codes may only mean accepted, rejected"),
        ("skybridge_handback", {"fields.outcome.unknown": "accept"}, "unknown is quarantine, or one of the meanings"),
        ("skybridge_handback", {"fields.outcome.unknown": None}, "fields.outcome.code.unknown: Field required"),
        ("skybridge_handback", {"fields.amount.type": "integer"}, "record.points: its field is of type points"),
        ("skybridge_handback", {"fields.amount.type": "money"}, "record.points: its field is of type points"),
        ("skybridge_handback", {"record.money": "amount"}, "record.money: its field is of type money"),
        ("skybridge_handback", {"fields.amount.required": "false"}, "record.points: may not be null"),
        ("skybridge_handback", {"fields.amount.pad": "zero"}, "pad: Input should be 'zeros' or 'blanks'"),
        ("skybridge_handback", {"fields.transfer_date.format": "YYYY.MM.DD"}, "fields.transfer_date.date.format"),
        ("skybridge_handback", {"record.outcome": None}, "record.outcome: missing, and handback needs it"),
        ("skybridge_handback", {"record.colour": "amount"}, "record: colour is no column of handback"),
        ("skybridge_handback", {"record.ref": "nothing"}, "record.ref: there is no field nothing"),
        ("skybridge_handback", {"record.ref": "amount"}, "record.ref: field amount is of another type"),
        ("skybridge_handback", {"record.ref": {"constant": "x", "field": "amount"}}, "only one of them"),
        ("skybridge_handback", {"record.points": {"constant": "5"}}, "record.points: constants are texts"),
        ("skybridge_handback", {"record.outcome": {"constant": "maybe"}}, "record.outcome: not one of accepted"),
        ("skybridge_handback", {"record.outcome": "reference"}, "record.outcome: its field is of type code"),
        ("skybridge_handback", {"record.ref": {"use": "business_date"}}, "the business date is a date"),
        ("skybridge_handback", {"record.reason.when": {"amount": ["1"]}}, "record.reason.when: no text or code field"),
        ("skybridge_handback", {"record.reason": {"constant": "x", "when": {"a": ["b"]}}}, "when goes with a field"),
        (
            "skybridge_handback",
            {"record.reason": {"field": "outcome_code", "required": "1"}},
            "required goes with when",
        ),
        (
            "skybridge_handback",
            {"record.points": {"field": "amount", "when": {"outcome": ["held"]}}},
            "may not be",
        ),
        ("skybridge_handback", {"record_key": ["member"]}, "record_key: member is not in record"),
        ("skybridge_handback", {"record_tolerances": {"bonus": {}}}, "record_tolerances: record.record_type is needed"),
        (
            "skybridge_handback",
            {"record_tolerances": {"bonus": {}}, "record.record_type": {"constant": "sale"}},
            "record_tolerances: bonus is no type that record.record_type can be",
        ),
        ("northstar_handback", {"fields.miles.length": "10"}, "miles and transaction_date overlap"),
        ("northstar_handback", {"fields.miles.from": "249"}, "fields.miles: ends beyond the record's 250 bytes"),
        ("northstar_handback", {"fields.miles.from": "0"}, "fields.miles.points.from: Input should be greater"),
        ("northstar_handback", {"envelope.provider.line": "TT"}, "envelope.provider: line must be one of TH"),
        ("northstar_handback", {"envelope.sequence.from": "10"}, "overlap"),
        (
            "northstar_handback",
            {"identities.points_x": "total_miles = sum of everything"},
            "details, credits, debits, lines, groups",
        ),
        (
            "northstar_handback",
            {"identities.points_x": "total_miles == 3"},
            "identities.points_x: write 'field = count",
        ),
        ("northstar_handback", {"identities.points_x": "miles = sum of details"}, "no required number miles in"),
        ("northstar_handback", {"identities.points_x": "total_details = sum of details"}, "must be of type points"),
        ("northstar_handback", {"identities.sum": "total_miles = sum of details"}, "its name must begin with points_"),
        (
            "northstar_handback",
            {"identities.points_split": "total_miles = accepted_miles + rejected_miles"},
            "its name must begin with points_declared",
        ),
        ("northstar_handback", {"envelope.total_miles.required": "false"}, "no required number total_miles"),
        ("northstar_handback", {"marks.sequence.envelope": "provider"}, "marks.sequence: no envelope field provider"),
        ("northstar_requests", {"identities.points_x": "total_miles = sum of rejected"}, "only answers have outcomes"),
        ("rates", {"identities": {"points_x": "a = sum of details"}}, "no required number a"),
        ("calendar", {"fields.status.codes": {"gone": "gone"}}, "codes may only mean received"),
        ("opening", {"fields": {"Entry": {"column": "entry", "type": "text"}}}, "a field's name is lower case"),
    ],
)
def test_refused(amend: Amend, feed: str, changes: dict[str, Any], complaint: str) -> None:
    if "record.ref.when" in changes:
        changes = {"record.ref": {"field": "reference", "when": {"outcome": ["held"]}}}
    with pytest.raises(PermanentError) as failure:
        amend(feed, changes)
    assert failure.value.code == Code.LAYOUT_INVALID
    assert complaint in failure.value.found


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "it holds no keys"),
        (b"- a", "it holds no keys"),
        (b"a: [", "it is not YAML"),
        (b"a: \xff", "it is not YAML"),
        (b"feed: x\nfeed: y", "key 'feed' is given twice"),
        (b"shape: {type: a, type: b}", "key 'type' is given twice"),
        (b"feed: &a x\npartner: *a", "kind: Field required"),
        (b"? [a, b]\n: c", "it is not YAML"),
    ],
)
def test_not_a_layout(content: bytes, complaint: str) -> None:
    with pytest.raises(PermanentError, match=r"LAYOUT_INVALID partners/p/f/layout\.yaml: ") as failure:
        parse_layout(content, "partners/p/f/layout.yaml")
    assert complaint in failure.value.found


def test_scalars_stay_as_they_are_written(amend: Amend) -> None:
    """YAML would read these as 8, True, a number of seconds and null."""
    codes = {"0010": "accepted", "no": "rejected", "12:30": "held", "null": "reversed", "": "accepted"}
    layout = amend("skybridge_handback", {"fields.outcome.codes": codes, "cutoff": "12:30"})
    assert getattr(layout.fields["outcome"], "codes") == codes  # noqa: B009 - a field of a union
    assert layout.cutoff == time(12, 30)
    assert layout.kind is FeedKind.HANDBACK


def test_a_long_list_of_problems_is_cut(amend: Amend) -> None:
    with pytest.raises(PermanentError, match=r"a0: .* and 15 more\. Expected"):
        amend("skybridge_handback", {f"a{i}": "x" for i in range(20)})
