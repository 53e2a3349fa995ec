"""Bad files and bad rows, each with what must become of it: refused whole with a code, or one row quarantined."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from counterfoil.errors import Code, PermanentError
from counterfoil.protocols import Parsed
from counterfoil.schemas.gate import prove_control
from parsers.layout import Layout

Read = Callable[..., Parsed]
Build = Callable[..., Any]
CodeOf = Callable[[Parsed, Layout], str]

HEADER = b"Transfer date,Amount,Reference number,Outcome code\n"
GOOD = b"2026-11-18,100,R-1,0000\n"
GOOD_ANSWERS = [{"ref": "700101", "miles": 100}, {"ref": "700102", "miles": 250}]


def verdicts(parsed: Parsed) -> Sequence[tuple[object, ...]]:
    """Line, code and field of every quarantined row."""
    return parsed.quarantined.select("line_no", "code", "field").rows()


def refusal(read: Read, feed: str, content: bytes, **more: Any) -> PermanentError:
    with pytest.raises(PermanentError) as failure:
        read(feed, content, **more)
    return failure.value


# --- the file as a whole


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\r\n\r\n", b"\x1a", b"\n\n\x1a\x1a", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"]
)
@pytest.mark.parametrize("feed", ["skybridge_handback", "northstar_handback"])
def test_empty_file(read: Read, feed: str, content: bytes) -> None:
    assert refusal(read, feed, content).code == Code.FILE_EMPTY


def test_header_only(read: Read, sponsor_file: Build, layouts: dict[str, Layout], code_of: CodeOf) -> None:
    for feed, content in [("skybridge_handback", HEADER), ("northstar_handback", sponsor_file([]).bytes())]:
        parsed = read(feed, content)
        assert parsed.marks.empty
        assert (parsed.lines, parsed.envelope_lines, parsed.records) == (1, 1, 0)
        assert code_of(parsed, layouts[feed]) == "accepted"


def test_no_header(read: Read, sponsor_file: Build) -> None:
    assert refusal(read, "skybridge_handback", GOOD).code == Code.HEADER_MISSING
    headless = sponsor_file(GOOD_ANSWERS).bytes()[251:]
    assert refusal(read, "northstar_handback", headless).code == Code.HEADER_MISSING


def test_a_missing_header_never_shows_the_row_in_its_place(read: Read) -> None:
    message = str(refusal(read, "skybridge_requests", b"1,1000000001,Wade,Qux,2026-11-18,20000,SB-1,HOLT\n"))
    assert "Wade" not in message
    assert "8 columns that were not agreed" in message
    assert "columns 'index', 'Member ID'" in message


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (b"Transfer date,Amount,Reference number\n", Code.HEADER_MISSING),
        (b"Amount,Transfer date,Reference number,Outcome code\n", Code.HEADER_MISSING),
        (b"Transfer date,Amount,Amount,Reference number,Outcome code\n", Code.HEADER_MISSING),
        (b"Transfer date,Amount,Reference number,Outcome code,Note\n", Code.HEADER_MISSING),
        (b"Transfer date,Amount,Reference\rnumber,Outcome code\n", Code.HEADER_MISSING),
        (b"Transfer date,Amount,Reference number,Outcome c\xf8de\n", Code.ENVELOPE_INVALID),
        (b"Transfer date,Amount,Reference number,Outcome code\0\n", Code.ENVELOPE_INVALID),
        (b"x" * 3_000_000 + b"\n", Code.HEADER_MISSING),
    ],
)
def test_header_line_of_another_form(read: Read, header: bytes, code: Code) -> None:
    assert refusal(read, "skybridge_handback", header + GOOD).code == code


@pytest.mark.parametrize(
    ("position", "text", "field"),
    [
        (9, "AIRM", "provider"),
        (13, "00001 ", "sequence"),
        (13, "-00011", "sequence"),
        (19, "20261399", "process_date"),
        (19, "99991231", "process_date"),
        (19, "        ", "process_date"),
        (27, "246060", "process_time"),
        (33, "0000000x", "total_details"),
        (41, "000000000035é", "total_miles"),
        (41, "0000000000 5{", "total_miles"),
        (80, " " * 8, "rejected_details"),
    ],
)
def test_header_value_that_cannot_be_read(
    read: Read, sponsor_file: Build, position: int, text: str, field: str
) -> None:
    content = bytearray(sponsor_file(GOOD_ANSWERS).bytes())
    content[position - 1 : position - 1 + len(text)] = text.encode("latin-1")
    error = refusal(read, "northstar_handback", bytes(content))
    assert error.code == Code.ENVELOPE_INVALID
    assert field in error.found or not text.isascii()
    assert text.strip() == "" or text not in str(error)


def test_header_of_another_length(read: Read, sponsor_file: Build) -> None:
    content = sponsor_file(GOOD_ANSWERS).bytes()
    assert refusal(read, "northstar_handback", content[:100] + content[101:]).code == Code.ENVELOPE_INVALID


def test_audit_area_of_a_request_is_blank(read: Read, sponsor_file: Build) -> None:
    error = refusal(read, "northstar_requests", sponsor_file(GOOD_ANSWERS).bytes())
    assert (error.code, "audit_area" in error.found) == (Code.ENVELOPE_INVALID, True)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"count": 3}, ["records_total: declared 3, found 2"]),
        ({"count": 1}, ["records_total: declared 1, found 2"]),
        ({"miles": 351}, ["points_total: declared 351, found 350"]),
        ({"miles": 349}, ["points_total: declared 349, found 350"]),
        ({"rejected": (1, 0)}, ["records_rejected: declared 1, found 0"]),
        ({"rejected": (0, 7)}, ["points_rejected: declared 7, found 0"]),
        ({"count": 3, "miles": 0}, ["records_total: declared 3, found 2", "points_total: declared 0, found 350"]),
    ],
)
def test_wrong_control_total(
    read: Read, sponsor_file: Build, layouts: dict[str, Layout], changes: dict[str, Any], wrong: list[str]
) -> None:
    parsed = read("northstar_handback", sponsor_file(GOOD_ANSWERS, **changes).bytes())
    with pytest.raises(PermanentError) as failure:
        prove_control(parsed, layouts["northstar_handback"], "NSTR0011")
    assert failure.value.code == Code.CONTROL_TOTAL_WRONG
    assert failure.value.found == "; ".join(wrong)


def test_declared_totals_that_contradict_each_other(
    read: Read, sponsor_file: Build, layouts: dict[str, Layout], code_of: CodeOf
) -> None:
    content = bytearray(sponsor_file(GOOD_ANSWERS).bytes())
    content[100:108] = b"00000001"
    parsed = read("northstar_handback", bytes(content))
    assert parsed.control.filter(~parsed.control["holds"])["name"].to_list() == ["records_declared"]
    assert code_of(parsed, layouts["northstar_handback"]) == Code.CONTROL_TOTAL_WRONG


def test_too_many_rows(read: Read, amend: Callable[..., Layout]) -> None:
    layout = amend("skybridge_handback", {"limits": {"rows_max": "2"}})
    assert read("x", HEADER + GOOD * 2, layout=layout).records == 2
    assert refusal(read, "x", HEADER + GOOD * 3, layout=layout).code == Code.ROWS_TOO_MANY


def test_too_many_bytes(read: Read, amend: Callable[..., Layout]) -> None:
    layout = amend("skybridge_handback", {"limits": {"bytes_max": "80"}})
    assert read("x", HEADER + GOOD, layout=layout).records == 1
    assert refusal(read, "x", HEADER + GOOD * 2, layout=layout).code == Code.FILE_TOO_LARGE


@pytest.mark.parametrize(
    "name",
    [
        "SKYBRIDGE_20261399.HANDBACK.txt",
        "SKYBRIDGE_00000000.HANDBACK.txt",
        "SKYBRIDGE_00010101.HANDBACK.txt",
        "SKYBRIDGE_99991231.HANDBACK.txt",
        "renamed.txt",
    ],
)
def test_name_without_a_day(read: Read, name: str) -> None:
    assert refusal(read, "skybridge_handback", HEADER + GOOD, name=name).code == Code.ENVELOPE_INVALID


def test_points_that_add_up_beyond_64_bits(read: Read) -> None:
    content = HEADER + b"".join(b"2026-11-18,1000000000000000,R-%d,0000\n" % i for i in range(9_224))
    assert refusal(read, "skybridge_handback", content).code == Code.CONTROL_TOTAL_WRONG
    assert read("skybridge_handback", content[: content.rindex(b"2026")]).records == 9_223


# --- lines and line ends


@pytest.mark.parametrize("line_end", ["\r", "\r\n", "\n"])
@pytest.mark.parametrize("tail", ["", "\r", "\x1a", "\r\n\x1a", "\n\n\n"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_and_tails(read: Read, sponsor_file: Build, line_end: str, tail: str, last: bool) -> None:
    content = sponsor_file(GOOD_ANSWERS, line_end=line_end).bytes()
    content = (content if last else content.removesuffix(line_end.encode())) + tail.encode()
    parsed = read("northstar_handback", content)
    assert parsed.accepted["ref"].to_list() == ["700101", "700102"]
    assert parsed.accepted["line_no"].to_list() == [2, 3]
    assert parsed.lines == 3


def test_undeclared_line_ends(read: Read) -> None:
    content = (HEADER + GOOD).replace(b"\n", b"\r\n")
    assert read("skybridge_handback", content).accepted.height == 1
    bare = (HEADER + GOOD).replace(b"\n", b"\r")
    assert refusal(read, "skybridge_handback", bare).code == Code.HEADER_MISSING


def test_line_ends_the_layout_does_not_name(read: Read, amend: Callable[..., Layout]) -> None:
    layout = amend("skybridge_handback", {"line_ends": ["lf"]})
    error = refusal(read, "x", (HEADER + GOOD).replace(b"\n", b"\r\n"), layout=layout)
    assert (error.code, error.found, error.expected) == (Code.ENVELOPE_INVALID, "lines that end in CRLF", "LF")


def test_byte_order_mark(read: Read) -> None:
    assert read("skybridge_handback", b"\xef\xbb\xbf" + HEADER + GOOD).accepted.height == 1


def test_blank_line_between_records_is_a_record(read: Read, sponsor_file: Build) -> None:
    parsed = read("skybridge_handback", HEADER + GOOD + b"\n" + GOOD)
    assert verdicts(parsed) == [(3, "COLUMNS", None)]
    assert parsed.lines == 4
    content = sponsor_file(GOOD_ANSWERS).bytes()
    parsed = read("northstar_handback", content[:502] + b"\r" + content[502:])
    assert verdicts(parsed) == [(3, "LINE_LENGTH", None)]


def test_one_enormous_line(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parsers.lines.BLOCK_BYTES", 100_000)
    content = HEADER + GOOD + b"x" * 3_000_000 + b"\n" + GOOD + b"y" * 2_000_000
    parsed = read("skybridge_handback", content)
    assert verdicts(parsed) == [(3, "LINE_LENGTH", None), (5, "LINE_LENGTH", None)]
    assert [len(raw) for raw in parsed.quarantined["raw"]] == [4096, 4096]
    assert parsed.accepted["line_no"].to_list() == [2, 4]


def test_lines_do_not_depend_on_blocks(read: Read, sponsor_file: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    content = sponsor_file([{"ref": str(i + 1), "miles": i} for i in range(12)]).bytes()
    whole = read("northstar_handback", content)
    for size in (251, 252, 1000):
        monkeypatch.setattr("parsers.lines.BLOCK_BYTES", size)
        monkeypatch.setattr("parsers.lines.SCAN_BYTES", size // 3)
        assert read("northstar_handback", content).accepted.equals(whole.accepted)


# --- single rows


@pytest.mark.parametrize(
    ("row", "code", "field", "points"),
    [
        (b"2026-11-18,100,R-1", "COLUMNS", None, None),
        (b"2026-11-18,100,R-1,0000,", "COLUMNS", None, None),
        (b"2026-11-18,100,R-1,0000\xff", "ENCODING", None, 100),
        (b"2026-11-18,100,R\xe9-1,0000", "ENCODING", None, 100),
        (b"2026-11-18,1\xff0,R-1,0000", "ENCODING", None, None),
        (b"2026-11-18,100,R\0-1,0000", "NUL_BYTE", None, 100),
        (b"2026-11-18,1\0000,R-1,0000", "NUL_BYTE", None, None),
        (b"2026-11-18,100,R\0\xff,0000", "NUL_BYTE", None, 100),
        (b'2026-11-18,100,"R-1,0000', "QUOTES", None, None),
        (b'2026-11-18,100,R"-1,0000', "QUOTES", None, None),
        (b'2026-11-18,100,"R-1" ,0000', "QUOTES", None, None),
        (b'2026-11-18,100,"R-1"', "COLUMNS", None, None),
        (b"2026-11-18,,R-1,0000", "FIELD_MISSING", "amount", None),
        (b"2026-11-18,100, ,0000", "FIELD_MISSING", "reference", 100),
        (b"2026-11-18,100,R-1,", "FIELD_MISSING", "outcome_code", 100),
        (b"2026-11-18,100," + b"R" * 41 + b",0000", "FIELD_LONG", "reference", 100),
        (b"2026-11-18,1o0,R-1,0000", "NUMBER_INVALID", "amount", None),
        (b"2026-11-18,+100,R-1,0000", "NUMBER_INVALID", "amount", None),
        (b"2026-11-18,1e3,R-1,0000", "NUMBER_INVALID", "amount", None),
        (b"2026-11-18,100.0,R-1,0000", "NUMBER_INVALID", "amount", None),
        (b"2026-11-18,1 000,R-1,0000", "NUMBER_INVALID", "amount", None),
        ("2026-11-18,１００,R-1,0000".encode(), "NUMBER_INVALID", "amount", None),
        (b"2026-11-18,-,R-1,0000", "NUMBER_INVALID", "amount", None),
        (b"2026-11-18,9223372036854775808,R-1,0000", "NUMBER_RANGE", "amount", None),
        (b"2026-11-18,-9223372036854775808,R-1,0000", "NUMBER_RANGE", "amount", None),
        (b"2026-11-18,1000000000000001,R-1,0000", "NUMBER_RANGE", "amount", None),
        (b"2026-02-30,100,R-1,0000", "DATE_INVALID", "transfer_date", 100),
        (b"2026-2-3,100,R-1,0000", "DATE_INVALID", "transfer_date", 100),
        (b"20261118,100,R-1,0000", "DATE_INVALID", "transfer_date", 100),
        (b"2026-11-18T00:00,100,R-1,0000", "DATE_INVALID", "transfer_date", 100),
        (b"1999-12-31,100,R-1,0000", "DATE_RANGE", "transfer_date", 100),
        (b"9999-12-31,100,R-1,0000", "DATE_RANGE", "transfer_date", 100),
        (b"2026-11-18,100,R-1,1", "OUTCOME_UNKNOWN", "outcome", 100),
        (b"2026-11-18,100,R-1,0006", "OUTCOME_UNKNOWN", "outcome", 100),
        (b"2026-11-18,100,R-1,00000", "OUTCOME_UNKNOWN", "outcome", 100),
        (b"2026-02-30,1o0,R-1,1", "NUMBER_INVALID", "amount", None),
    ],
)
def test_bad_row(read: Read, row: bytes, code: str, field: str | None, points: int | None) -> None:
    """Only the one row is quarantined, with its own bytes; of several faults the one declared first is named."""
    parsed = read("skybridge_handback", HEADER + GOOD + row + b"\n" + b'2026-11-18,200,"R-""2""",0001\n')
    assert parsed.quarantined.rows() == [(3, code, field, row, points)]
    assert parsed.accepted.select("line_no", "ref", "points").rows() == [(2, "R-1", 100), (4, 'R-"2"', 200)]


@pytest.mark.parametrize(
    ("answer", "code", "field"),
    [
        ({"status": "Q"}, "OUTCOME_UNKNOWN", "outcome"),
        ({"status": "e"}, "OUTCOME_UNKNOWN", "outcome"),
        ({"status": "M"}, "FIELD_MISSING", "merge_to"),
        ({"status": "E", "flags": "Y N"}, "CODE_UNKNOWN", "flags"),
        ({"load_date": "20260230"}, "DATE_INVALID", "load_date"),
        ({"load_date": "2026 105"}, "DATE_INVALID", "load_date"),
        ({"load_date": "02026015"}, "DATE_INVALID", "load_date"),
        ({"load_date": "        "}, "FIELD_MISSING", "load_date"),
        ({"ref": "0"}, "FIELD_MISSING", "reference"),
        ({"account": " " * 11}, "FIELD_MISSING", "account"),
    ],
)
def test_bad_detail(read: Read, sponsor_file: Build, answer: dict[str, Any], code: str, field: str) -> None:
    parsed = read("northstar_handback", sponsor_file([*GOOD_ANSWERS, answer]).bytes())
    assert verdicts(parsed) == [(4, code, field)]
    assert parsed.quarantined["points"].to_list() == [100]
    assert parsed.accepted.height == 2


@pytest.mark.parametrize(
    ("position", "new", "code", "field"),
    [
        (1, b"TX", "RECORD_TYPE_UNKNOWN", None),
        (1, b"TH", "RECORD_TYPE_UNKNOWN", None),
        (74, b"00000010x", "NUMBER_INVALID", "miles"),
        (74, b"-0000010{", "NUMBER_INVALID", "miles"),
        (74, b"+0000010{", "NUMBER_INVALID", "miles"),
        (74, b"000010{0{", "NUMBER_INVALID", "miles"),
        (74, b"         ", "FIELD_MISSING", "miles"),
        (74, b"00000010 ", "NUMBER_INVALID", "miles"),
        (74, b" 0000010{", "NUMBER_INVALID", "miles"),
    ],
)
def test_bytes_changed_in_a_detail(
    read: Read, sponsor_file: Build, position: int, new: bytes, code: str, field: str | None
) -> None:
    content = bytearray(sponsor_file(GOOD_ANSWERS).bytes())
    start = 251 + position - 1
    content[start : start + len(new)] = new
    parsed = read("northstar_handback", bytes(content))
    assert verdicts(parsed) == [(2, code, field)]
    assert parsed.quarantined["points"].to_list() == [None]


@pytest.mark.parametrize("cut", [249, 251, 1, 0])
def test_line_too_short_or_long(read: Read, sponsor_file: Build, cut: int) -> None:
    content = sponsor_file(GOOD_ANSWERS).bytes()
    line = content[251:501]
    spoilt = (line + b"x")[:cut] if cut != 249 else line[:80] + line[81:]
    parsed = read("northstar_handback", content[:251] + spoilt + content[501:])
    assert verdicts(parsed) == [(2, "LINE_LENGTH", None)]
    assert parsed.quarantined["points"].to_list() == [None], "shifted fields must not be taken for amounts"
    assert parsed.accepted["ref"].to_list() == ["700102"]


@pytest.mark.parametrize("length", [1, 100, 249, 251, 400])
def test_every_line_of_the_same_wrong_length(read: Read, sponsor_file: Build, length: int) -> None:
    details = tuple(f"TD{'x' * 400}"[:length] for _ in range(3))
    parsed = read("northstar_handback", sponsor_file(GOOD_ANSWERS, details=details).bytes())
    assert parsed.quarantined.select("line_no", "code", "points").rows() == [
        (line, "LINE_LENGTH", None) for line in (2, 3, 4)
    ]


def test_requests_move_points(read: Read) -> None:
    header = b"index,Member ID,Member first name,Member last name,Transfer date,Amount,Reference number,Partner code\n"
    parsed = read(
        "skybridge_requests", header + b"1,1,Wade,Qux,2026-11-18,0,R-1,HOLT\n2,1,Wade,Qux,2026-11-18,-5,R-2,HOLT\n"
    )
    assert verdicts(parsed) == [(2, "POINTS_ZERO", "amount")]
    assert parsed.quarantined["points"].to_list() == [0]
    assert parsed.accepted["points"].to_list() == [-5], "a negative request is a recall"


def test_own_feeds_are_whole_or_refused(read: Read, layouts: dict[str, Layout], code_of: CodeOf) -> None:
    header = b"entry,account,owner,partner,ref,points,value_date,expires\n"
    rows = [
        (b"balance,member,,,,5,2026-01-01,\n", "FIELD_MISSING", "owner"),
        (b"balance,payable,,,,5,2026-01-01,\n", "FIELD_MISSING", "partner"),
        (b"item,member,m1,,r1,5,2026-01-01,\n", "FIELD_MISSING", "partner"),
        (b"item,member,m1,p1,,5,2026-01-01,\n", "FIELD_MISSING", "ref"),
        (b"item,member,m1,p1,r1,0,2026-01-01,\n", "POINTS_ZERO", "points"),
        (b"lot,member,m1,p1,r1,1,2026-01-01,\n", "CODE_UNKNOWN", "entry"),
        (b"balance,purse,m1,p1,r1,1,2026-01-01,\n", "CODE_UNKNOWN", "account"),
        (b"balance,member,m1,p1,,5,2026-01-01,31.12.2026\n", "DATE_INVALID", "expires"),
        (b"balance,member,m1,p1,,-5,2026-01-01,2026-12-31\n", "NOT_BLANK", "expires"),
        (b"balance,payable,,p1,,5,2026-01-01,2026-12-31\n", "NOT_BLANK", "expires"),
        (b"item,member,m1,p1,r1,5,2026-01-01,2026-12-31\n", "NOT_BLANK", "expires"),
    ]
    good = b"balance,issued,,,,5,2026-01-01,\n" * 100
    for row, code, field in rows:
        parsed = read("opening", header + good + row)
        assert verdicts(parsed) == [(102, code, field)]
        assert code_of(parsed, layouts["opening"]) == Code.REJECT_RATE_HIGH
    rates = read(
        "rates", b"basis,currency,minor,per_points,effective_from\nx,eur,1,1,2026-01-01\ny,EUR,1,0,2026-01-01\n"
    )
    assert verdicts(rates) == [(2, "TEXT_INVALID", "currency"), (3, "NUMBER_RANGE", "per_points")]


# --- amounts that cannot be read, and how many bad rows are too many


@pytest.mark.parametrize(
    ("unreadable", "verdict"), [("hold", Code.UNREADABLE_AMOUNTS.value), ("post_rest", "accepted")]
)
def test_unreadable_amounts(
    read: Read, sponsor_file: Build, amend: Callable[..., Layout], code_of: CodeOf, unreadable: str, verdict: str
) -> None:
    layout = amend("northstar_handback", {"unreadable": unreadable})
    content = bytearray(sponsor_file([{"ref": str(i + 1), "miles": 10} for i in range(30)]).bytes())
    content[251 + 73 : 251 + 82] = b"0000000?{"
    parsed = read("x", bytes(content), layout=layout)
    assert code_of(parsed, layout) == verdict
    row = parsed.control.filter(parsed.control["name"] == "points_total").row(0, named=True)
    assert row["declared"] - row["computed"] == 10, "the implied remainder is on record"
    assert not row["holds"]


def test_an_unreadable_amount_excuses_no_other_total(
    read: Read, sponsor_file: Build, amend: Callable[..., Layout], code_of: CodeOf
) -> None:
    layout = amend("northstar_handback", {"unreadable": "post_rest"})
    content = bytearray(sponsor_file([{"ref": str(i + 1)} for i in range(30)], count=31).bytes())
    content[251 + 73 : 251 + 82] = b"0000000?{"
    assert code_of(read("x", bytes(content), layout=layout), layout) == Code.CONTROL_TOTAL_WRONG
    content = bytearray(sponsor_file([{"ref": str(i + 1)} for i in range(30)]).bytes())
    content[251 + 73 : 251 + 82] = b"0000000?{"
    content[109 + 11] = ord("A")  # accepted miles no longer add up with the rejected ones to the total
    assert code_of(read("x", bytes(content), layout=layout), layout) == Code.CONTROL_TOTAL_WRONG


@pytest.mark.parametrize(("rejected", "holds"), [((1, 10), True), ((2, 20), True), ((3, 30), False), ((2, 30), False)])
def test_an_unreadable_outcome_explains_only_itself(
    read: Read, sponsor_file: Build, rejected: tuple[int, int], holds: bool
) -> None:
    """One reject and one row of unknown outcome: the partner may count it either way, and no third."""
    answers = [{"ref": "1", "miles": 10, "status": "E"}, {"ref": "2", "miles": 10, "status": "?"}, {"ref": "3"}]
    parsed = read("northstar_handback", sponsor_file(answers, rejected=rejected).bytes())
    by_outcome = parsed.control.filter(parsed.control["name"].str.ends_with("_rejected"))
    assert by_outcome["holds"].all() == holds


def test_reject_rate(read: Read, layouts: dict[str, Layout], code_of: CodeOf) -> None:
    layout, bad = layouts["skybridge_handback"], b"2026-11-18,100,R-1,1\n"
    assert code_of(read("skybridge_handback", HEADER + bad), layout) == "accepted"
    assert code_of(read("skybridge_handback", HEADER + bad * 5 + GOOD * 95), layout) == "accepted"
    parsed = read("skybridge_handback", HEADER + bad * 6 + GOOD * 94)
    with pytest.raises(PermanentError) as failure:
        prove_control(parsed, layout, "name")
    assert failure.value.code == Code.REJECT_RATE_HIGH
    assert failure.value.found == "6 of 100 records cannot be accepted (OUTCOME_UNKNOWN 6)"


# --- what the program itself lands


def test_a_code_in_the_clear_is_no_code_of_ours(read: Read) -> None:
    head = b"step,ref,unit,code,sealed,valid_until,value_date\n"
    shown = head + b"issue,PO-3,1,BOOK-0001-AAAA-7731,x,2027-11-16,2026-11-16\n"
    assert verdicts(read("vouchers", shown)) == [(2, "TEXT_INVALID", "code")]
