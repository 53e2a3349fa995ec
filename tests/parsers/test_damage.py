"""Random damage: whatever is done to a file's bytes, each line is accounted for or the file is refused with a code."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.errors import PermanentError
from counterfoil.schemas.gate import prove_control
from parsers.layout import Layout
from parsers.registry import LayoutReader

slow = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

bytes_of_interest = st.sampled_from([0, 9, 10, 13, 26, 32, 34, 44, 45, 48, 57, 65, 84, 123, 125, 128, 195, 226, 255])
damage = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(["change", "insert", "delete", "cut"]),
        bytes_of_interest | st.integers(0, 255),
    ),
    min_size=1,
    max_size=12,
)


def damaged(content: bytes, blows: list[tuple[float, str, int]]) -> bytes:
    body = bytearray(content)
    for where, what, byte in blows:
        place = int(where * len(body))
        if what == "change" and body:
            body[place] = byte
        elif what == "insert":
            body.insert(place, byte)
        elif what == "delete":
            del body[place : place + 1]
        elif what == "cut" and byte > 200:
            del body[place:]
    return bytes(body)


def physical_lines(content: bytes, reader_line_end: bytes) -> int:
    body = content.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n\x1a")
    return body.count(reader_line_end) + 1 if body else 0


def prove_accounted(reader: LayoutReader, layout: Layout, path: Path, name: str, content: bytes) -> None:
    path.write_bytes(content)
    try:
        marks = reader.inspect(layout, name=name, payload=path)
        parsed = reader.read(layout, name=name, payload=path)
    except PermanentError:
        return
    accepted, quarantined = parsed.accepted, parsed.quarantined
    assert parsed.marks == marks
    assert marks.empty == (parsed.records == 0)
    assert parsed.lines - parsed.envelope_lines == accepted.height + quarantined.height
    numbers = sorted([*accepted["line_no"], *quarantined["line_no"]])
    assert numbers == list(range(parsed.envelope_lines + 1, parsed.lines + 1))
    counts = {physical_lines(content, line_end) for line_end in (b"\r", b"\n")}
    assert parsed.lines in counts
    lines = [line for end in (b"\r", b"\n") for line in content.rstrip(b"\r\n\x1a").split(end)]
    assert all(raw in lines or raw + b"\r" in lines for raw in quarantined["raw"])
    with suppress(PermanentError):
        prove_control(parsed, layout, name)


@given(blows=damage, line_end=st.sampled_from(["\r", "\n", "\r\n"]))
@slow
def test_damaged_sponsor_file(
    reader: LayoutReader,
    layouts: dict[str, Layout],
    sponsor_file: Callable[..., Any],
    tmp_path: Path,
    blows: list[tuple[float, str, int]],
    line_end: str,
) -> None:
    answers = [{"ref": str(i + 1), "miles": i, "status": " WE"[i % 3], "flags": "Y" * (i % 3 == 2)} for i in range(5)]
    content = damaged(sponsor_file(answers, line_end=line_end).bytes(), blows)
    prove_accounted(reader, layouts["northstar_handback"], tmp_path / "payload", "NSTR0011", content)


@given(blows=damage, line_end=st.sampled_from([b"\n", b"\r\n"]))
@slow
def test_damaged_delimited_file(
    reader: LayoutReader, root: Path, tmp_path: Path, layouts: dict[str, Layout], blows: Any, line_end: bytes
) -> None:
    (sample,) = (root / "data").glob("partners/*/*/samples/SKYBRIDGE_20261118.txt")
    content = damaged(sample.read_bytes().replace(b"\n", line_end), blows)
    prove_accounted(reader, layouts["skybridge_requests"], tmp_path / "payload", sample.name, content)


@given(content=st.binary(max_size=400))
@slow
def test_arbitrary_bytes(reader: LayoutReader, layouts: dict[str, Layout], tmp_path: Path, content: bytes) -> None:
    for feed, name in [("northstar_handback", "NSTR0011"), ("rates", "rates.csv")]:
        prove_accounted(reader, layouts[feed], tmp_path / "payload", name, content)


values = st.fixed_dictionaries(
    {
        "ref": st.text(alphabet="0123456789ABZ-", min_size=1, max_size=20).filter(lambda ref: ref.strip("0")),
        "miles": st.integers(-999_999_999, 999_999_999),
        "status": st.sampled_from(" WMRE"),
        "merge_to": st.from_regex(r"[0-9]{11}", fullmatch=True),
        "flags": st.text(alphabet="Y ", max_size=24),
        "account": st.from_regex(r"[0-9]{11}", fullmatch=True),
    }
)


@given(answers=st.lists(values, max_size=8), line_end=st.sampled_from(["\r", "\n", "\r\n"]))
@slow
def test_what_is_written_is_read(
    reader: LayoutReader,
    layouts: dict[str, Layout],
    sponsor_file: Callable[..., Any],
    tmp_path: Path,
    answers: list[dict[str, Any]],
    line_end: str,
) -> None:
    path = tmp_path / "payload"
    path.write_bytes(sponsor_file(answers, line_end=line_end).bytes())
    layout = layouts["northstar_handback"]
    parsed = reader.read(layout, name="NSTR0011", payload=path)
    prove_control(parsed, layout, "NSTR0011")
    wanted = [
        (
            answer["ref"].lstrip("0"),
            answer["account"],
            answer["miles"],
            "rejected" if answer["status"] == "E" else "accepted",
            ",".join(str(i + 1) for i, flag in enumerate(answer["flags"]) if flag == "Y") or None
            if answer["status"] == "E"
            else None,
            answer["merge_to"] if answer["status"] in "MR" else None,
        )
        for answer in answers
    ]
    columns = ["ref", "member", "points", "outcome", "reason", "to_account"]
    assert parsed.accepted.select(columns).rows() == wanted
