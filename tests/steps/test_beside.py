"""Files that come with small ones beside them: none is taken before all is there, and none counts that differs."""

import hashlib
import json
from collections.abc import Callable

import pytest

from counterfoil import journey
from counterfoil.errors import Code, CounterfoilError
from counterfoil.files import sha256_bytes
from counterfoil.identity import Verdict
from counterfoil.landing.records import Delivery
from tests.plugins.homes import MONDAY, skybridge_handback
from tests.plugins.wrapped import ANSWERS, PLAIN_NAME, PackedOffice, gzipped

Make = Callable[..., PackedOffice]

SHA = "companions: [{suffix: .sha256, holds: sha256}]"
MD5 = "companions: [{suffix: .md5, holds: md5}]"
CONTROL = r"companions: [{suffix: .ctl, holds: control, pattern: '^RECS=(?P<records>\d+);SUM=(?P<points>-?\d+)$'}]"
LINES = r"manifest: {name: 'SET_\d+\.txt'}"
JSON = r"manifest: {name: '.*\.filesetdesc\.json', files: data.files}"
TUESDAY_NAME = PLAIN_NAME.replace("1116", "1117")
TUESDAY = skybridge_handback(MONDAY, [("2", 50, "0000")]).encode()


@pytest.fixture
def office_with(packed_office: Callable[..., PackedOffice]) -> Make:
    """``office_with("companions: …")``: a home whose partner's answers come with something beside them."""

    def made(arrival: str, wrappers: str = "[]", ending: str = "") -> PackedOffice:
        office = packed_office(wrappers, ending=ending)
        for path in (office.data / "partners/skybridge/skybridge_handback").glob("layout*.yaml"):
            path.write_text(path.read_text().replace("arrival:\n", f"arrival:\n  {arrival}\n", 1))
        return office

    return made


def took(office: PackedOffice) -> tuple[list[Delivery], list[CounterfoilError]]:
    office.look()
    with office.desk() as desk:
        received = journey.arrive(desk, "inbox", patient=False)
        return desk.index.deliveries(), received.troubles


def left(office: PackedOffice) -> list[str]:
    return sorted(path.name for path in (office.home / "inbox/skybridge/incoming").iterdir() if path.is_file())


@pytest.mark.parametrize(
    ("arrival", "name", "content"),
    [
        (SHA, ".sha256", f"{sha256_bytes(ANSWERS)}  {PLAIN_NAME}\n"),
        (SHA, ".sha256", sha256_bytes(ANSWERS).upper()),
        (MD5, ".md5", f"MD5 ({PLAIN_NAME}) = {hashlib.md5(ANSWERS, usedforsecurity=False).hexdigest()}\n"),
        (CONTROL, ".ctl", "RECS=1;SUM=100"),
        (CONTROL, ".ctl", "\ufeffRECS=1;SUM=100"),
    ],
)
def test_a_file_waits_for_what_belongs_beside_it_and_both_are_cleared_away(
    office_with: Make, arrival: str, name: str, content: str
) -> None:
    office = office_with(arrival)
    office.send(PLAIN_NAME, ANSWERS)
    assert took(office) == ([], [])
    with office.desk() as desk:
        assert [one.name for one in journey.arrive(desk, "inbox", patient=False).waiting] == [PLAIN_NAME]
    office.send(PLAIN_NAME + name, content.encode())
    ((delivery,), troubles) = took(office)
    assert (delivery.verdict, troubles, left(office)) == (Verdict.NEW, [], [])
    assert delivery.companions == sha256_bytes(content.encode())
    assert delivery.companions in delivery.kept, "what said so is proved and backed up like the file"
    with office.desk() as desk:
        assert desk.landing.path(delivery.companions).read_bytes() == content.encode()
        desk.index.rebuild()
        assert desk.index.delivery(delivery.order) == delivery


@pytest.mark.parametrize(
    ("arrival", "name", "content", "code", "told"),
    [
        (SHA, ".sha256", sha256_bytes(b""), Code.COMPANION_DIFFERS, f"{sha256_bytes(ANSWERS)}. Expected e3b0c442"),
        (SHA, ".sha256", "", Code.COMPANION_DIFFERS, "0 check sums"),
        (SHA, ".sha256", f"{sha256_bytes(b'')}\n{sha256_bytes(ANSWERS)}", Code.COMPANION_DIFFERS, "2 check sums"),
        (MD5, ".md5", "d41d8cd98f00b204e9800998ecf8427e", Code.COMPANION_DIFFERS, "d41d8cd98f00b204e9800998ecf8427e"),
        (CONTROL, ".ctl", "RECS=2;SUM=100", Code.CONTROL_TOTAL_WRONG, "records_companion: declared 2, found 1"),
        (CONTROL, ".ctl", "RECS=1;SUM=99", Code.CONTROL_TOTAL_WRONG, "points_companion: declared 99, found 100"),
        (CONTROL, ".ctl", "one record", Code.COMPANION_DIFFERS, "no text that its pattern finds"),
        (CONTROL, ".ctl", "x" * (1024 * 1024 + 1), Code.COMPANION_DIFFERS, "1,048,577 bytes"),
    ],
)
def test_a_file_that_differs_is_rejected_with_both_sides_and_sent_again_it_counts(
    office_with: Make, arrival: str, name: str, content: str, code: Code, told: str
) -> None:
    office = office_with(arrival)
    office.ask(MONDAY, ("1", 100))
    office.send(PLAIN_NAME, ANSWERS)
    office.send(PLAIN_NAME + name, content.encode())
    (deliveries, troubles) = took(office)
    by_feed = {one.feed: one for one in deliveries}
    refused = by_feed["skybridge_handback"]
    assert (refused.verdict, refused.code, troubles) == (Verdict.REJECTED, code, [])
    assert told in (refused.message or "")
    assert by_feed["skybridge_requests"].verdict is Verdict.NEW, "no other file is hurt"
    right = {".sha256": sha256_bytes(ANSWERS), ".md5": hashlib.md5(ANSWERS, usedforsecurity=False).hexdigest()}
    office.send(PLAIN_NAME, ANSWERS)
    office.send(PLAIN_NAME + name, right.get(name, "RECS=1;SUM=100").encode())
    (deliveries, _) = took(office)
    assert deliveries[-1].verdict in {Verdict.NEW, Verdict.REPLACEMENT}


def test_a_check_sum_is_that_of_the_file_as_it_was_received(office_with: Make) -> None:
    office = office_with(SHA, "[{type: gzip}]", r"\.gz")
    packed = gzipped(ANSWERS)
    office.send(f"{PLAIN_NAME}.gz", packed)
    office.send(f"{PLAIN_NAME}.gz.sha256", sha256_bytes(packed).encode())
    ((delivery,), _) = took(office)
    assert (delivery.verdict, delivery.payload_sha) == (Verdict.NEW, sha256_bytes(ANSWERS))


def in_lines(*files: tuple[str, bytes | None]) -> bytes:
    return "".join(f"{sha256_bytes(data) + '  ' if data is not None else ''}{name}\n" for name, data in files).encode()


def in_json(*files: tuple[str, bytes | None]) -> bytes:
    entries = [name if data is None else {"name": name, "sha256": sha256_bytes(data)} for name, data in files]
    return json.dumps({"timestamp": 1, "data": {"files": entries}}).encode()


Write = Callable[..., bytes]
SETS: list[tuple[str, str, Write]] = [(LINES, "SET_1.txt", in_lines), (JSON, "a.filesetdesc.json", in_json)]


@pytest.mark.parametrize(("arrival", "name", "write"), SETS)
@pytest.mark.parametrize("summed", [False, True])
def test_no_file_of_a_set_is_taken_before_all_are_there(
    office_with: Make, arrival: str, name: str, write: Write, summed: bool
) -> None:
    office = office_with(arrival)
    both = [(PLAIN_NAME, ANSWERS if summed else None), (TUESDAY_NAME, TUESDAY if summed else None)]
    office.send(PLAIN_NAME, ANSWERS)
    assert took(office) == ([], []), "no manifest, no file"
    office.send(name, write(*both))
    assert took(office) == ([], [])
    office.send(TUESDAY_NAME, TUESDAY)
    (deliveries, troubles) = took(office)
    assert ([one.verdict for one in deliveries], troubles, left(office)) == ([Verdict.NEW] * 2, [], [])


@pytest.mark.parametrize(("arrival", "name", "write"), SETS)
def test_a_file_of_a_set_whose_check_sum_differs_is_rejected_and_the_others_count(
    office_with: Make, arrival: str, name: str, write: Write
) -> None:
    office = office_with(arrival)
    office.send(PLAIN_NAME, ANSWERS)
    office.send(TUESDAY_NAME, TUESDAY)
    office.send(name, write((PLAIN_NAME, ANSWERS), (TUESDAY_NAME, ANSWERS)))
    (deliveries, _) = took(office)
    assert {one.name: one.code for one in deliveries} == {PLAIN_NAME: None, TUESDAY_NAME: Code.COMPANION_DIFFERS}
    assert left(office) == []


@pytest.mark.parametrize(
    ("arrival", "name", "content"),
    [
        (LINES, "SET_1.txt", b""),
        (LINES, "SET_1.txt", b"a\na\n"),
        (LINES, "SET_1.txt", b"\xff\xfe"),
        (JSON, "a.filesetdesc.json", b"{"),
        (JSON, "a.filesetdesc.json", b'{"data": {"files": "a"}}'),
        (JSON, "a.filesetdesc.json", b'{"data": {"files": [1]}}'),
        (JSON, "a.filesetdesc.json", b'{"data": []}'),
        (JSON, "a.filesetdesc.json", b"[" * 100_000),
    ],
)
def test_a_manifest_that_cannot_be_read_is_told_and_its_files_wait(
    office_with: Make, arrival: str, name: str, content: bytes
) -> None:
    office = office_with(arrival)
    office.send(PLAIN_NAME, ANSWERS)
    office.send(name, content)
    (deliveries, troubles) = took(office)
    assert (deliveries, [error.code for error in troubles]) == ([], [Code.COMPANION_DIFFERS])
    assert left(office) == sorted([PLAIN_NAME, name])


def test_a_set_that_a_crash_cut_short_is_taken_to_its_end(office_with: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    office = office_with(LINES)
    office.send(PLAIN_NAME, ANSWERS)
    office.send(TUESDAY_NAME, TUESDAY)
    office.send("SET_1.txt", in_lines((PLAIN_NAME, None), (TUESDAY_NAME, None)))
    office.look()
    with office.desk() as desk:
        write = desk.landing.write_delivery

        def once(delivery: Delivery) -> None:
            write(delivery)
            monkeypatch.setattr(desk.landing, "write_delivery", full)

        def full(_: Delivery) -> None:
            raise OSError

        monkeypatch.setattr(desk.landing, "write_delivery", once)
        with pytest.raises(OSError):  # noqa: PT011 (any fault at all)
            journey.arrive(desk, "inbox", patient=False)
    assert left(office) == ["SET_1.txt", TUESDAY_NAME], "the first of the set has gone"
    (deliveries, _) = took(office)
    assert [one.verdict for one in deliveries] == [Verdict.NEW] * 2
    assert left(office) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "companions: [{suffix: .ctl, holds: control}]",
        "companions: [{suffix: .ctl, holds: control, pattern: '(?P<total>x)'}]",
        "companions: [{suffix: .md5, holds: md5, pattern: '(?P<records>x)'}]",
        "companions: [{suffix: md5, holds: md5}]",
        "manifest: {name: '['}",
    ],
)
def test_companions_that_make_no_sense_are_no_layout(office_with: Make, wrong: str) -> None:
    office = office_with(wrong)
    with pytest.raises(CounterfoilError) as told, office.desk():
        pass
    assert told.value.code is Code.LAYOUT_INVALID
