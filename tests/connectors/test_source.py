"""What every source promises, proved on a folder, on the embedded server and on OpenSSH's server alike."""

import io
import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from functools import partial

import pytest

from counterfoil.errors import Code, CounterfoilError, PermanentError, TransientError
from counterfoil.protocols import RemoteFile, Source
from tests.plugins.places import Place

SECOND_NS = 1_000_000_000

UNSAFE_NAMES = [
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "",
    "out/a.txt",
    "a\nb.txt",
    "a\0b.txt",
    "a\rb.txt",
    "a\x1b[2Jb.txt",
    "..\\..\\a.txt",
    "a\u2028b.txt",
    "a\u202etxt.exe",
    "caf\\xe9.txt",
    "x" * 256,
    "é" * 128,
]

UNSAFE_FOLDERS = ["..", "../out", "/etc", "out/..", "out//deep", "out/", "a\nb", "out/../../etc", "./out"]


def only(source: Source, folder: str = "out") -> RemoteFile:
    [file] = source.listing(folder)
    return file


def fetched(source: Source, file: RemoteFile, offset: int = 0) -> bytes:
    into = io.BytesIO()
    source.fetch(file, into, offset)
    return into.getvalue()


def archive_all(source: Source, files: list[RemoteFile]) -> None:
    for file in files:
        source.archive(file, "done")


def assert_refused_as_unsafe(use: Callable[[], object]) -> None:
    """Permanent, and the message itself can do no harm in a terminal or a log."""
    with pytest.raises(PermanentError) as caught:
        use()
    assert caught.value.code is Code.NAME_UNSAFE
    text = str(caught.value)
    assert text.isprintable()
    assert text.replace("…", "").isascii()
    assert len(text) < 500


def test_a_listing_shows_regular_files_sorted(place: Place) -> None:
    place.put("out/b.txt", b"22")
    os.utime(place.put("out/a.txt", b"1"), ns=(0, 1_790_000_000 * SECOND_NS))
    place.put("out/ä ö.txt", b"")
    place.put("out/deep/c.txt", b"3")
    (place.root / "out" / "link.txt").symlink_to(place.root / "out" / "a.txt")
    (place.root / "out" / "linked").symlink_to(place.root / "out" / "deep")
    (place.root / "out" / "broken").symlink_to("nowhere")
    os.mkfifo(place.root / "out" / "pipe")
    with place.source as source:
        listing = source.listing("out")
        assert [(file.folder, file.name) for file in source.listing("out/deep")] == [("out/deep", "c.txt")]
    assert [(file.folder, file.name, file.size) for file in listing] == [
        ("out", "a.txt", 1),
        ("out", "b.txt", 2),
        ("out", "ä ö.txt", 0),
    ]
    assert listing[0].mtime_ns == 1_790_000_000 * SECOND_NS


def test_the_root_is_a_folder_too(place: Place) -> None:
    place.put("top.txt", b"1")
    with place.source as source:
        assert only(source, "") == replace(only(source, "."), folder="")
        assert fetched(source, only(source, "")) == b"1"


def test_a_bad_name_ends_no_listing(place: Place) -> None:
    """It comes back to be recorded; as a path it is never used; its neighbours are fetched as ever."""
    for raw in [b"good.txt", b"new\nline.txt", b"latin-\xe9.txt", b"back\\slash.txt", b"esc\x1b[2J.txt", b"x" * 255]:
        with open(os.fsencode(place.root / "out") + b"/" + raw, "wb") as written:
            written.write(b"1")
    with place.source as source:
        listing = source.listing("out")
        assert {file.name for file in listing} == {
            "good.txt",
            "new\nline.txt",
            "latin-\\xe9.txt",
            "back\\slash.txt",
            "esc\x1b[2J.txt",
            "x" * 255,
        }
        for file in listing:
            if file.name in {"good.txt", "x" * 255}:
                assert fetched(source, file) == b"1"
            else:
                with pytest.raises(PermanentError) as caught:
                    fetched(source, file)
                assert caught.value.code is Code.NAME_UNSAFE


def test_an_unsafe_name_is_never_a_path(place: Place) -> None:
    place.put("out/a.txt", b"1")
    place.put("a.txt", b"1")
    before = place.inside()
    with place.source as source:
        for name in UNSAFE_NAMES:
            file = RemoteFile("out", name, 1, 0)
            assert_refused_as_unsafe(partial(source.stat, file))
            assert_refused_as_unsafe(partial(fetched, source, file))
            assert_refused_as_unsafe(partial(source.archive, file, "archive"))
            assert_refused_as_unsafe(partial(source.delete, file))
    assert place.inside() == before


def test_a_folder_never_leads_out(place: Place) -> None:
    place.put("out/a.txt", b"1")
    with place.source as source:
        file = only(source)
        for folder in UNSAFE_FOLDERS:
            elsewhere = replace(file, folder=folder)
            assert_refused_as_unsafe(partial(source.listing, folder))
            assert_refused_as_unsafe(partial(fetched, source, elsewhere))
            assert_refused_as_unsafe(partial(source.archive, file, folder))
    assert place.inside() == {"out/a.txt": b"1"}


def test_a_missing_folder_is_named(place: Place) -> None:
    with place.source as source, pytest.raises(PermanentError, match="REMOTE_MISSING northstar:nowhere: ") as caught:
        source.listing("nowhere")
    assert caught.value.code is Code.REMOTE_MISSING


def test_a_folder_of_too_many_files_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        place.put(f"out/{number}.txt", b"")
    # A server lists "." and ".." as well.
    monkeypatch.setattr("connectors.sftp.LISTING_FILES_MAX", 4)
    monkeypatch.setattr("connectors.localdir.LISTING_FILES_MAX", 4)
    with place.source as source:
        with pytest.raises(PermanentError) as caught:
            source.listing("out")
        assert caught.value.code is Code.LISTING_TOO_LONG
        place.put("few/4.txt", b"4")
        assert fetched(source, only(source, "few")) == b"4"


def test_a_long_folder_is_listed_whole(place: Place) -> None:
    names = sorted(f"NSTR{number:04d}" for number in range(1_000))
    for name in names:
        (place.root / "out" / name).touch()
    with place.source as source:
        assert [file.name for file in source.listing("out")] == names


def test_stat_tells_the_present_state(place: Place) -> None:
    path = place.put("out/a.txt", b"1")
    with place.source as source:
        file = only(source)
        assert source.stat(file) == file
        os.utime(place.put("out/a.txt", b"123"), ns=(0, 1_790_000_000 * SECOND_NS))
        assert source.stat(file) == replace(file, size=3, mtime_ns=1_790_000_000 * SECOND_NS)
        path.unlink()
        with pytest.raises(PermanentError) as gone:
            source.stat(file)
        path.symlink_to(place.put("elsewhere.txt", b"1"))
        with pytest.raises(PermanentError) as linked:
            source.stat(file)
    assert gone.value.code is linked.value.code is Code.REMOTE_MISSING


def test_a_file_arrives_byte_for_byte(place: Place) -> None:
    for size in (0, 1, 32_767, 32_768, 32_769, 1_048_576, 5_000_001):
        place.put(f"out/{size:08d}.bin", random.Random(size).randbytes(size))
    with place.source as source:
        for file in source.listing("out"):
            assert fetched(source, file) == random.Random(file.size).randbytes(file.size)


def test_a_fetch_goes_on_from_an_offset(place: Place) -> None:
    content = random.Random(1).randbytes(3_000_000)
    place.put("out/a.bin", content)
    with place.source as source:
        for offset in (1, 32_768, 100_000, 2_999_999, 3_000_000):
            assert fetched(source, only(source), offset) == content[offset:]


@pytest.mark.parametrize("change", ["longer", "shorter", "as long but later", "as long but earlier", "gone", "a link"])
def test_a_file_that_is_no_longer_the_listed_one_is_not_taken(place: Place, change: str) -> None:
    path = place.put("out/a.bin", b"x" * 1000)
    with place.source as source:
        file = only(source)
        if change == "longer":
            place.put("out/a.bin", b"x" * 1001)
        elif change == "shorter":
            place.put("out/a.bin", b"x" * 999)
        elif change == "gone":
            path.unlink()
        elif change == "a link":
            path.rename(place.root / "b.bin")
            path.symlink_to("/etc/hostname")
        else:
            seconds = 2 if "later" in change else -2
            os.utime(path, ns=(0, file.mtime_ns + seconds * SECOND_NS))
        with pytest.raises(CounterfoilError) as caught:
            fetched(source, file)
    # OpenSSH's server follows links, so there the other file's size and time give it away.
    wanted = {"gone": {Code.REMOTE_MISSING}, "a link": {Code.REMOTE_REFUSED, Code.FILE_MOVED}}
    assert caught.value.code in wanted.get(change, {Code.FILE_MOVED})


def test_an_offset_outside_the_file_is_no_resumption(place: Place) -> None:
    place.put("out/a.bin", b"x" * 1000)
    with place.source as source:
        for offset in (-1, 1001):
            with pytest.raises(TransientError) as caught:
                fetched(source, only(source), offset)
            assert caught.value.code is Code.FILE_MOVED


def test_a_full_disk_on_our_side_is_not_blamed_on_the_server(place: Place) -> None:
    place.put("out/a.bin", b"x" * 3_000_000)
    place.put("out/b.bin", b"y" * 3_000_000)
    with place.source as source, open("/dev/full", "wb", buffering=0) as full:
        first, second = source.listing("out")
        with pytest.raises(OSError, match="No space left on device"):
            source.fetch(first, full, 0)
        assert fetched(source, second) == b"y" * 3_000_000


def test_archiving_moves_into_a_folder_made_for_it(place: Place) -> None:
    place.put("out/a.txt", b"1")
    with place.source as source:
        file = only(source)
        source.archive(file, "done/2026/11")
        assert place.inside() == {"done/2026/11/a.txt": b"1"}
        source.archive(file, "done/2026/11")
        assert place.inside() == {"done/2026/11/a.txt": b"1"}
        assert source.listing("out") == []


def test_archiving_overwrites_nothing(place: Place) -> None:
    with place.source as source:
        for number in range(12):
            place.put("out/members.csv", b"%d" % number)
            source.archive(only(source), "done")
    inside = place.inside()
    assert inside.pop("done/members.csv") == b"0"
    assert inside == {f"done/members.csv.{number}": b"%d" % number for number in range(1, 12)}


def test_archiving_what_is_nowhere_is_an_error(place: Place) -> None:
    path = place.put("out/a.txt", b"1")
    with place.source as source:
        file = only(source)
        path.unlink()
        with pytest.raises(PermanentError) as caught:
            source.archive(file, "done")
    assert caught.value.code is Code.REMOTE_MISSING


def test_an_archive_folder_that_is_a_file_loses_nothing(place: Place) -> None:
    place.put("out/a.txt", b"1")
    place.put("done", b"a file")
    with place.source as source, pytest.raises(PermanentError):
        source.archive(only(source), "done")
    assert place.inside() == {"out/a.txt": b"1", "done": b"a file"}


def test_two_runs_archive_the_same_files_at_once(place: Place) -> None:
    contents = {f"{number:02d}.txt": b"%d" % number for number in range(30)}
    for name, content in contents.items():
        place.put(f"out/{name}", content)
    with copy(place.source) as first, copy(place.source) as second:
        files = first.listing("out")
        with ThreadPoolExecutor(2) as pool:
            for outcome in [pool.submit(archive_all, source, files) for source in (first, second)]:
                outcome.result()
        assert first.listing("out") == []
    archived = place.inside()
    assert {name.removeprefix("done/")[:6]: content for name, content in archived.items()} == contents


@pytest.mark.parametrize("clear", ["archive", "delete"])
def test_a_new_file_in_the_old_ones_place_is_not_cleared_away(place: Place, clear: str) -> None:
    """It was never fetched: clearing it away would lose it."""
    place.put("out/a.txt", b"1")
    with place.source as source:
        file = only(source)
        place.put("out/a.txt", b"12")
        with pytest.raises(TransientError) as caught:
            source.archive(file, "done") if clear == "archive" else source.delete(file)
    assert caught.value.code is Code.FILE_MOVED
    assert place.inside() == {"out/a.txt": b"12"}


def test_deleting_twice_is_deleting_once(place: Place) -> None:
    place.put("out/a.txt", b"1")
    place.put("out/b.txt", b"2")
    with place.source as source:
        file = source.listing("out")[0]
        source.delete(file)
        source.delete(file)
        assert place.inside() == {"out/b.txt": b"2"}


def test_a_source_is_entered_again_after_it_was_left(place: Place) -> None:
    place.put("out/a.txt", b"1")
    for _ in range(2):
        with place.source as source:
            assert fetched(source, only(source)) == b"1"
    with pytest.raises(PermanentError, match="inside its with block"):
        place.source.listing("out")


@pytest.mark.parametrize("size", [0, 1, 32_768, 32_769, 3_000_000])
def test_a_file_is_put_whole(place: Place, size: int) -> None:
    data = random.Random(size).randbytes(size)
    with place.source as source:
        source.put("replies/today", "answer.csv", data)
        source.put("replies/today", "answer.csv", data)
        assert [file.name for file in source.listing("replies/today")] == ["answer.csv"]
    assert (place.root / "replies" / "today" / "answer.csv").read_bytes() == data


def test_what_is_put_goes_over_no_other_file(place: Place) -> None:
    (place.root / "out" / "answer.csv").write_bytes(b"theirs")
    with place.source as source:
        for data in (b"ours, longer", b"oursXX"):
            with pytest.raises(PermanentError) as caught:
                source.put("out", "answer.csv", data)
            assert caught.value.code is Code.REMOTE_REFUSED
    assert (place.root / "out" / "answer.csv").read_bytes() == b"theirs"


def test_a_part_that_a_crash_left_is_written_anew(place: Place) -> None:
    (place.root / "out" / "answer.csv.part").write_bytes(b"half of something longer")
    with place.source as source:
        source.put("out", "answer.csv", b"whole")
    assert {path.name: path.read_bytes() for path in (place.root / "out").iterdir()} == {"answer.csv": b"whole"}


@pytest.mark.parametrize("name", UNSAFE_NAMES)
def test_nothing_is_put_under_an_unsafe_name(place: Place, name: str) -> None:
    with place.source as source:
        assert_refused_as_unsafe(lambda: source.put("out", name, b"x"))
