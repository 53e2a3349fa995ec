"""Files that come packed: each fault is told and kept, nothing is lost, no other file is hurt."""

import gzip
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from counterfoil import journey
from counterfoil.errors import Code
from counterfoil.files import sha256_bytes
from counterfoil.identity import Verdict
from counterfoil.landing.records import Delivery
from counterfoil.limits import MEBIBYTE
from counterfoil.steps.audit import audit
from pipelines.commands.run import show
from tests.plugins.homes import MONDAY, skybridge_handback, skybridge_requests
from tests.plugins.wrapped import ANSWERS, PLAIN_NAME, PackedOffice, declare, gzipped, share_arrival, zipped

Make = Callable[..., PackedOffice]
GZIP = {"wrappers": "[{type: gzip}]", "ending": r"\.gz"}
ZIP = {"wrappers": r"[{type: zip, name: 'ANSWERS_\d+\.zip'}]"}
REQUESTS_NAME = f"SKYBRIDGE_{MONDAY:%Y%m%d}.txt"


def arrive(office: PackedOffice) -> list[Delivery]:
    """Two looks; what was delivered."""
    office.look()
    with office.desk() as desk:
        return journey.arrive(desk, "inbox", patient=False).delivered


def every(office: PackedOffice) -> list[Delivery]:
    """Two looks; everything that was ever delivered."""
    arrive(office)
    with office.desk() as desk:
        return desk.index.deliveries()


def sent(office: PackedOffice) -> list[str]:
    """What the partner still sees in its folder."""
    return sorted(path.name for path in (office.home / "inbox/skybridge/incoming").iterdir() if path.is_file())


def unfinished(office: PackedOffice) -> list[str]:
    return [path.name for path in (office.home / "landing/incoming").iterdir()]


def test_a_gzip_file_posts_as_what_is_in_it_and_is_kept_as_it_came(packed_office: Make) -> None:
    office = packed_office(**GZIP)
    office.begin()
    office.ask(MONDAY, ("1", 100))
    packed = gzipped(ANSWERS[:50]) + gzipped(ANSWERS[50:])
    office.send(f"{PLAIN_NAME}.gz", packed)
    night = office.run(MONDAY)
    assert night.exit_status == 0, [str(error) for _, error in night.failures]
    (delivery,) = [one for one in night.delivered if one.feed == "skybridge_handback"]
    assert (delivery.payload_sha, delivery.received_sha) == (sha256_bytes(ANSWERS), sha256_bytes(packed))
    assert delivery.wrapped == "gzip"
    assert sent(office) == []
    assert audit(office.proof_desk()).proved
    with office.desk() as desk:
        path = desk.landing.path(delivery.received_sha)
        assert path.read_bytes() == packed
        desk.index.rebuild()
        assert desk.index.delivery(delivery.order) == delivery
    path.chmod(0o644)
    path.write_bytes(packed[:-1])
    assert [finding.check for finding in audit(office.proof_desk()).findings] == ["payload"], "what came is proved too"


def test_a_file_packed_again_is_a_replay(packed_office: Make) -> None:
    office = packed_office(**GZIP)
    office.send(f"{PLAIN_NAME}.gz", gzip.compress(ANSWERS, 1, mtime=1))
    assert [one.verdict for one in arrive(office)] == [Verdict.NEW]
    office.send(f"{PLAIN_NAME}.gz", gzip.compress(ANSWERS, 9, mtime=2))
    assert [one.verdict for one in arrive(office)] == [Verdict.REPLAY]


def crc_off(packed: bytes) -> bytes:
    return packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]


@pytest.mark.parametrize(
    ("packed", "told"),
    [
        (ANSWERS, "no gzip file"),
        (b"", "no gzip file"),
        (gzipped(ANSWERS)[:-1], "cut short"),
        (gzipped(ANSWERS)[:30], "cut short"),
        (gzipped(ANSWERS) + gzipped(ANSWERS)[:1], "bytes behind the end"),
        (gzipped(ANSWERS) + b"\0\0\0", "bytes behind the end"),
        (crc_off(gzipped(ANSWERS)), "damaged"),
    ],
)
def test_a_damaged_gzip_file_is_rejected_and_kept(packed_office: Make, packed: bytes, told: str) -> None:
    office = packed_office(**GZIP)
    office.ask(MONDAY, ("1", 100))
    office.send(f"{PLAIN_NAME}.gz", packed)
    answers, requests = sorted(arrive(office), key=lambda one: one.feed or "")
    assert (answers.verdict, answers.code) == (Verdict.REJECTED, Code.PACKING_DAMAGED)
    assert told in (answers.message or "")
    assert requests.verdict is Verdict.NEW, "no other file is hurt"
    with office.desk() as desk:
        assert desk.landing.path(answers.payload_sha).read_bytes() == packed
    assert unfinished(office) == []
    office.send(f"{PLAIN_NAME}.gz", gzipped(ANSWERS))
    assert [one.verdict for one in arrive(office)] == [Verdict.NEW], "sent again, whole, it counts"


def bomb(size: int) -> bytes:
    """Zeros, a thousand to a byte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(MEBIBYTE)
    return b"".join(packer.compress(block) for _ in range(size // MEBIBYTE)) + packer.flush()


@pytest.mark.parametrize(("limits", "key"), [("", "ratio_max"), ("limits: {unpacked_bytes_max: 60}\n", "unpacked")])
def test_a_bomb_is_put_out_at_its_limit(packed_office: Make, limits: str, key: str) -> None:
    office = packed_office(**GZIP, more=limits)
    office.send(f"{PLAIN_NAME}.gz", bomb(300 * MEBIBYTE))
    (delivery,) = arrive(office)
    assert (delivery.verdict, delivery.code) == (Verdict.REJECTED, Code.UNPACKED_TOO_LARGE)
    assert key in (delivery.message or "")
    assert unfinished(office) == []


def test_members_of_an_archive_are_files_of_their_own_also_of_several_feeds(packed_office: Make) -> None:
    office = packed_office(**ZIP)
    declare(office.data, "skybridge_requests", ZIP["wrappers"])
    share_arrival(office.data, "skybridge_handback", "skybridge_requests")
    office.begin()
    asked = skybridge_requests(MONDAY, [("1", 100)]).encode()
    office.send("ANSWERS_1.zip", zipped([(REQUESTS_NAME, asked), (PLAIN_NAME, ANSWERS), ("readme.txt", b"Hello")]))
    night = office.run(MONDAY)
    members = {one.name: one for one in night.delivered if one.archive}
    assert {one.archive for one in members.values()} == {"ANSWERS_1.zip"}
    assert members["readme.txt"].code == Code.FILE_UNCLAIMED
    posted = {delivery.name for delivery, outcome in night.outcomes if outcome.n}
    assert {REQUESTS_NAME, PLAIN_NAME} <= posted
    assert sent(office) == []


def test_a_member_that_nobody_claims_is_told_with_its_archive_and_what_to_do(
    packed_office: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    office = packed_office(**ZIP)
    office.begin()
    office.ask(MONDAY, ("1", 100))
    office.send("ANSWERS_1.zip", zipped([("readme.txt", b"Hello"), (PLAIN_NAME, ANSWERS)]))
    night = office.run(MONDAY)
    show(night)
    told = " ".join(capsys.readouterr().err.split())
    assert "FILE_UNCLAIMED inbox:skybridge/incoming/'readme.txt' of archive 'ANSWERS_1.zip'" in told
    assert "add a layout for it, with arrival: and wrappers: of theirs, and the next run takes it" in told
    assert night.exit_status == 1
    assert PLAIN_NAME in {delivery.name for delivery, outcome in night.outcomes if outcome.n}, "the others count"
    with office.desk() as desk:
        (kept,) = desk.index.unclaimed("inbox")
        assert desk.landing.path(kept.payload_sha).read_bytes() == b"Hello"


def test_a_member_is_taken_as_it_landed_once_a_layout_claims_it(packed_office: Make) -> None:
    office = packed_office(**ZIP)
    office.begin()
    asked = skybridge_requests(MONDAY, [("1", 100)]).encode()
    packed = zipped([(REQUESTS_NAME, asked), (PLAIN_NAME, ANSWERS)])
    office.send("ANSWERS_1.zip", packed)
    assert [(one.name, one.code) for one in arrive(office) if one.archive] == [
        (REQUESTS_NAME, Code.FILE_UNCLAIMED),
        (PLAIN_NAME, None),
    ]
    declare(office.data, "skybridge_requests", ZIP["wrappers"])
    share_arrival(office.data, "skybridge_handback", "skybridge_requests")
    night = office.run(MONDAY)
    assert night.exit_status == 0, [str(error) for _, error in night.failures]
    assert {REQUESTS_NAME, PLAIN_NAME} <= {delivery.name for delivery, outcome in night.outcomes if outcome.n}
    with office.desk() as desk:
        assert desk.index.unclaimed("inbox") == []
        (first, taken) = [one for one in desk.index.deliveries() if one.name == REQUESTS_NAME]
        assert (taken.feed, taken.verdict) == ("skybridge_requests", Verdict.NEW)
        assert (taken.received_sha, taken.archive, taken.members) == (first.received_sha, "ANSWERS_1.zip", 2)
    assert arrive(office) == []
    office.send("ANSWERS_1.zip", packed)
    assert [one.verdict for one in arrive(office)] == [Verdict.REPLAY, Verdict.REPLAY]
    assert audit(office.proof_desk()).proved


def test_an_archive_that_no_layout_knew_is_opened_once_when_one_does(packed_office: Make) -> None:
    office = packed_office("[]")
    other = PLAIN_NAME.replace("1116", "1117")
    more = skybridge_handback(MONDAY + timedelta(days=1), [("2", 50, "0000")]).encode()
    office.send("ANSWERS_1.zip", zipped([(PLAIN_NAME, ANSWERS), ("readme.txt", b"Hello"), (other, more)]))
    assert [(one.name, one.code) for one in arrive(office)] == [("ANSWERS_1.zip", Code.FILE_UNCLAIMED)]
    for path in (office.data / "partners/skybridge/skybridge_handback").glob("layout*.yaml"):
        path.write_text(path.read_text().replace("wrappers: []", f"wrappers: {ZIP['wrappers']}"))
    found = every(office)
    assert [(one.name, one.verdict, one.code) for one in found[1:]] == [
        (PLAIN_NAME, Verdict.NEW, None),
        ("readme.txt", Verdict.HELD, Code.FILE_UNCLAIMED),
        (other, Verdict.NEW, None),
    ]
    with office.desk() as desk:
        assert [one.name for one in desk.index.unclaimed("inbox")] == ["readme.txt"]
    assert every(office) == found, "what nobody claims is not delivered again each night"
    assert sent(office) == []


@pytest.mark.parametrize(("stated", "verdict"), [("RECS=1", Verdict.NEW), ("RECS=2", Verdict.REJECTED)])
def test_a_member_taken_later_is_held_against_what_lay_beside_its_archive(
    packed_office: Make, stated: str, verdict: Verdict
) -> None:
    office = packed_office(**ZIP)
    control = r"companions: [{suffix: .ctl, holds: control, pattern: 'RECS=(?P<records>\d+)'}]"
    for path in (office.data / "partners/skybridge/skybridge_handback").glob("layout*.yaml"):
        path.write_text(path.read_text().replace("arrival:\n", f"arrival:\n  {control}\n", 1))
    asked = skybridge_requests(MONDAY, [("1", 100)]).encode()
    office.send("ANSWERS_1.zip", zipped([(REQUESTS_NAME, asked)]))
    office.send("ANSWERS_1.zip.ctl", stated.encode())
    assert [one.code for one in arrive(office)] == [Code.FILE_UNCLAIMED]
    declare(office.data, "skybridge_requests", ZIP["wrappers"])
    share_arrival(office.data, "skybridge_handback", "skybridge_requests")
    _, taken = every(office)
    assert (taken.verdict, taken.feed) == (verdict, "skybridge_requests")


def test_what_was_unpacked_is_not_unpacked_again_once_a_layout_claims_it(packed_office: Make) -> None:
    office = packed_office(**GZIP)
    folder = office.data / "partners/skybridge/skybridge_handback"
    layouts = {path: path.read_text() for path in folder.glob("layout*.yaml")}
    for path, text in layouts.items():
        path.write_text(text.replace("recognise:\n", "recognise:\n  first_line: Other\n", 1))
    office.send(f"{PLAIN_NAME}.gz", gzipped(ANSWERS))
    assert [one.code for one in arrive(office)] == [Code.FILE_UNCLAIMED]
    assert arrive(office) == []
    for path, text in layouts.items():
        path.write_text(text)
    _, taken = every(office)
    assert (taken.verdict, taken.payload_sha) == (Verdict.NEW, sha256_bytes(ANSWERS))


@pytest.mark.parametrize(
    ("archive", "code"),
    [
        (b"no archive", Code.PACKING_DAMAGED),
        (zipped([(PLAIN_NAME, ANSWERS)])[:-30], Code.PACKING_DAMAGED),
        (zipped([(PLAIN_NAME, ANSWERS)]).replace(b"PK\x03\x04", b"PK\x07\x08", 1), Code.PACKING_DAMAGED),
        (zipped([]), Code.MEMBER_UNFIT),
        (zipped([("folder/", b"")]), Code.MEMBER_UNFIT),
        (zipped([(f"../{PLAIN_NAME}", ANSWERS)]), Code.NAME_UNSAFE),
        (zipped([(f"/{PLAIN_NAME}", ANSWERS)]), Code.NAME_UNSAFE),
        (zipped([(f"C:{PLAIN_NAME}", ANSWERS)]), Code.NAME_UNSAFE),
        (zipped([("a\nb", ANSWERS)]), Code.NAME_UNSAFE),
        (zipped([(f"{number}.txt", b"") for number in range(1001)]), Code.UNPACKED_TOO_LARGE),
    ],
)
def test_an_unfit_archive_is_rejected_whole_and_kept(packed_office: Make, archive: bytes, code: Code) -> None:
    office = packed_office(**ZIP)
    office.ask(MONDAY, ("1", 100))
    office.send("ANSWERS_1.zip", archive)
    refused, requests = sorted(arrive(office), key=lambda one: one.feed or "")
    assert (refused.verdict, refused.code, refused.name) == (Verdict.REJECTED, code, "ANSWERS_1.zip")
    assert requests.verdict is Verdict.NEW
    with office.desk() as desk:
        assert desk.landing.path(refused.payload_sha).read_bytes() == archive
    assert (unfinished(office), sent(office)) == ([], [])


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_with_one_name_are_rejected(packed_office: Make) -> None:
    office = packed_office(**ZIP)
    office.send("ANSWERS_1.zip", zipped([(PLAIN_NAME, ANSWERS), (PLAIN_NAME, ANSWERS + b"\n")]))
    assert [one.code for one in arrive(office)] == [Code.MEMBER_UNFIT]


def test_a_member_with_a_password_is_rejected(packed_office: Make) -> None:
    archive = bytearray(zipped([(PLAIN_NAME, ANSWERS)]))
    archive[6] |= 1
    archive[archive.index(b"PK\x01\x02") + 8] |= 1
    office = packed_office(**ZIP)
    office.send("ANSWERS_1.zip", bytes(archive))
    (refused,) = arrive(office)
    assert refused.code == Code.MEMBER_UNFIT
    assert "password" in (refused.message or "")


def test_archives_are_opened_only_as_deep_as_declared(packed_office: Make) -> None:
    office = packed_office(**ZIP)
    inner = zipped([(PLAIN_NAME, ANSWERS)])
    office.send("ANSWERS_1.zip", zipped([("ANSWERS_2.zip", inner)]))
    assert [one.code for one in arrive(office)] == [Code.FILE_UNCLAIMED]


def test_wrappers_come_off_in_the_order_declared(packed_office: Make) -> None:
    office = packed_office(
        r"[{type: zip, name: 'A\.zip'}, {type: zip, name: 'B\d\.zip'}, {type: gzip}]", ending=r"\.gz"
    )
    other = PLAIN_NAME.replace("1116", "1117")
    inner = [zipped([(f"{name}.gz", gzipped(ANSWERS))]) for name in (PLAIN_NAME, other)]
    office.send("A.zip", zipped([("B1.zip", inner[0]), ("B2.zip", inner[1])]))
    first, second = arrive(office)
    assert (first.verdict, second.verdict) == (Verdict.NEW, Verdict.RENAMED_REPLAY)
    assert first.wrapped == "zip zip gzip"
    assert unfinished(office) == []


def test_a_file_without_the_wrappers_of_its_layout_has_no_effect(packed_office: Make) -> None:
    office = packed_office(**ZIP)
    office.send(PLAIN_NAME, ANSWERS)
    assert [(one.verdict, one.code) for one in arrive(office)] == [(Verdict.HELD, Code.WRAPPING_DIFFERS)]


class Died(BaseException):
    """The process is no more: nothing handles it."""


def die_after(office: PackedOffice, members: int) -> int:
    """One look, in which the process dies before the record of the next delivery; how many were written."""
    with office.desk() as desk:
        write = desk.landing.write_delivery
        written: list[Delivery] = []

        def dying(delivery: Delivery) -> None:
            if len(written) == members:
                raise Died
            write(delivery)
            written.append(delivery)

        desk.landing.write_delivery = dying  # type: ignore[method-assign]
        with suppress(Died):
            journey.arrive(desk, "inbox", patient=False)
    return len(written)


@pytest.mark.parametrize("members", [0, 1, 2])
def test_a_crash_between_members_comes_to_the_same_end(packed_office: Make, members: int) -> None:
    """Dying before, between and after the records of two members, the next run finishes the archive."""
    office = packed_office(**ZIP)
    other = PLAIN_NAME.replace("1116", "1117")
    more = skybridge_handback(MONDAY + timedelta(days=1), [("2", 50, "0000")]).encode()
    office.send("ANSWERS_1.zip", zipped([(PLAIN_NAME, ANSWERS), (other, more)]))
    office.look()
    assert die_after(office, members) == members
    assert sent(office) == (["ANSWERS_1.zip"] if members < 2 else [])
    arrive(office)
    with office.desk() as desk:
        found = desk.index.deliveries()
    assert [(one.order, one.name, one.verdict) for one in found] == [
        (1, PLAIN_NAME, Verdict.NEW),
        (2, other, Verdict.NEW),
    ]
    assert sent(office) == []
    assert [replace(one, received_at=found[0].received_at).members for one in found] == [2, 2]


@pytest.mark.parametrize("members", [0, 1, 2])
def test_a_crash_while_an_archive_is_opened_later_loses_no_member(packed_office: Make, members: int) -> None:
    office = packed_office("[]")
    other = PLAIN_NAME.replace("1116", "1117")
    more = skybridge_handback(MONDAY + timedelta(days=1), [("2", 50, "0000")]).encode()
    office.send("ANSWERS_1.zip", zipped([(PLAIN_NAME, ANSWERS), (other, more)]))
    arrive(office)
    for path in (office.data / "partners/skybridge/skybridge_handback").glob("layout*.yaml"):
        path.write_text(path.read_text().replace("wrappers: []", f"wrappers: {ZIP['wrappers']}"))
    assert die_after(office, members) == members
    assert [(one.name, one.verdict) for one in every(office)[1:]] == [(PLAIN_NAME, Verdict.NEW), (other, Verdict.NEW)]
    with office.desk() as desk:
        assert desk.index.unclaimed("inbox") == []
