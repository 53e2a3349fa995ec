"""The landing store: bytes land whole or not at all, whatever the network, the disk or a kill does."""

import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.errors import Code, CounterfoilError, PermanentError, TransientError
from counterfoil.feed import FeedKind
from counterfoil.files import sha256_bytes
from counterfoil.identity import Verdict
from counterfoil.landing.records import PostingRecord, record_bytes, record_sha
from counterfoil.landing.store import LandingStore, fetch_token, posting_time

NOW = datetime(2026, 11, 20, 22, 15, 0, 123000, tzinfo=UTC)
TOKEN = fetch_token("northstar", "out", "NSTR0011", size=1, mtime_ns=1)


class Server:
    """Bytes that can be fetched in chunks, and ways to go wrong."""

    def __init__(self, data: bytes, *, drop_at: int | None = None, ignore_offset: bool = False) -> None:
        self.data = data
        self.drop_at = drop_at
        self.ignore_offset = ignore_offset
        self.sent = 0

    def fill(self, into: BinaryIO, offset: int) -> None:
        place = 0 if self.ignore_offset else offset
        while place < len(self.data):
            if self.drop_at is not None and place >= self.drop_at:
                raise transient(Code.CONNECTION_LOST)
            end = min(place + 10_000, len(self.data) if self.drop_at is None else self.drop_at)
            self.sent += into.write(self.data[place:end])
            place = end


def transient(code: Code) -> TransientError:
    return TransientError(code, "server", found="a fault", expected="none", remedy="Look again")


def nothing() -> None:
    """A source that did not move."""


def land(store: LandingStore, server: Server, size: int, confirm: Callable[[], None] = nothing) -> str:
    return store.land_stream(TOKEN, size=size, fill=server.fill, confirm=confirm)


def refused(store: LandingStore, server: Server, size: int, confirm: Callable[[], None] = nothing) -> Code:
    with pytest.raises(CounterfoilError) as caught:
        land(store, server, size, confirm)
    return caught.value.code


def parts(store: LandingStore) -> list[Path]:
    return sorted((store.root / "incoming").iterdir())


def payloads(store: LandingStore) -> list[Path]:
    return sorted(path for path in (store.root / "payloads").rglob("*") if path.is_file())


# Bytes


@given(data=st.binary(max_size=1000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_bytes_land_under_their_hash(store: LandingStore, data: bytes) -> None:
    sha = store.land_bytes(data)
    assert sha == sha256_bytes(data)
    assert store.verify(sha).read_bytes() == data
    with store.open(sha) as stream:
        assert stream.read() == data
    assert parts(store) == []


def test_landing_again_changes_nothing(store: LandingStore) -> None:
    first = store.land_bytes(b"one")
    assert store.land_bytes(b"one") == first
    assert land(store, Server(b"one"), 3) == first
    assert len(payloads(store)) == 1


def test_nobody_writes_to_a_payload(store: LandingStore) -> None:
    path = store.path(store.land_bytes(b"one"))
    assert not stat.S_IMODE(path.stat().st_mode) & 0o222


@pytest.mark.parametrize("damage", [b"onf", b"on", b""])
def test_damaged_bytes_are_found_and_landing_again_mends_them(store: LandingStore, damage: bytes) -> None:
    sha = store.land_bytes(b"one")
    store.path(sha).chmod(0o644)
    store.path(sha).write_bytes(damage)
    with pytest.raises(PermanentError) as caught:
        store.verify(sha)
    assert caught.value.code == Code.PAYLOAD_DAMAGED
    store.land_bytes(b"one")
    assert store.verify(sha).read_bytes() == b"one"


def test_a_missing_payload(store: LandingStore) -> None:
    for read in (store.verify, store.open):
        with pytest.raises(PermanentError, match=r"PAYLOAD_DAMAGED .*no such payload"):
            read("0" * 64)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_a_payload_has_no_other_name_than_a_hash(store: LandingStore, name: str) -> None:
    with pytest.raises(PermanentError):
        store.path(name)


# Fetching


def test_a_fetch_lands(store: LandingStore) -> None:
    data = os.urandom(300_000)
    assert land(store, Server(data), len(data)) == sha256_bytes(data)
    assert parts(store) == []


def test_an_empty_file_lands(store: LandingStore) -> None:
    assert store.verify(land(store, Server(b""), 0)).read_bytes() == b""


def test_a_drop_is_resumed_and_not_begun_again(store: LandingStore) -> None:
    data = os.urandom(1_000_000)
    assert refused(store, Server(data, drop_at=700_000), len(data)) == Code.CONNECTION_LOST
    assert payloads_absent(store)
    again = Server(data)
    assert store.verify(land(store, again, len(data))).read_bytes() == data
    assert again.sent < 400_000
    assert parts(store) == []


@given(drops=st.lists(st.integers(0, 200_000), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_any_drops_end_in_the_same_bytes(store: LandingStore, drops: list[int]) -> None:
    data = bytes(range(256)) * 800
    for drop in drops:
        assert refused(store, Server(data, drop_at=drop), len(data)) == Code.CONNECTION_LOST
    assert store.verify(land(store, Server(data), len(data))).read_bytes() == data
    assert parts(store) == []


def test_a_server_that_ignores_the_offset_is_caught(store: LandingStore) -> None:
    data = os.urandom(200_000)
    refused(store, Server(data, drop_at=150_000), len(data))
    assert refused(store, Server(data, ignore_offset=True), len(data)) == Code.FILE_MOVED
    assert parts(store) == []
    assert store.verify(land(store, Server(data), len(data))).read_bytes() == data


def test_a_file_swapped_during_a_drop_is_caught(store: LandingStore) -> None:
    refused(store, Server(os.urandom(200_000), drop_at=150_000), 200_000)
    assert refused(store, Server(os.urandom(200_000)), 200_000) == Code.FILE_MOVED
    assert parts(store) == []
    assert payloads_absent(store)


def test_a_file_cut_short_is_not_accepted_and_can_be_completed(store: LandingStore) -> None:
    data = os.urandom(100_000)
    assert refused(store, Server(data[:60_000]), len(data)) == Code.FILE_CUT_SHORT
    assert payloads_absent(store)
    assert land(store, Server(data), len(data)) == sha256_bytes(data)


def test_more_bytes_than_announced_are_not_written(store: LandingStore) -> None:
    assert refused(store, Server(b"x" * 50_000), 40_000) == Code.FILE_MOVED
    assert parts(store) == []


def test_a_source_that_moved_is_not_accepted(store: LandingStore) -> None:
    def moved() -> None:
        raise transient(Code.FILE_MOVED)

    assert refused(store, Server(b"x" * 50), 50, moved) == Code.FILE_MOVED
    assert parts(store) == []
    assert payloads_absent(store)


def test_two_fetches_of_one_file_at_once_do_not_meet(store: LandingStore) -> None:
    data = os.urandom(100_000)

    def fill(into: BinaryIO, offset: int) -> None:
        into.write(data[:30_000])
        assert land(LandingStore(store.root), Server(data), len(data)) == sha256_bytes(data)
        into.write(data[30_000:])

    assert store.land_stream(TOKEN, size=len(data), fill=fill, confirm=nothing) == sha256_bytes(data)
    store.verify(sha256_bytes(data))
    assert parts(store) == []


def test_a_fetch_that_another_finishes_before_its_lock_does_not_touch_the_payload(
    store: LandingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(50_000)
    lock = fcntl.flock

    def lock_late(handle: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        land(LandingStore(store.root), Server(data), len(data))
        lock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    other = Server(os.urandom(50_000), drop_at=20_000)
    assert refused(store, other, len(data)) == Code.CONNECTION_LOST
    assert store.verify(sha256_bytes(data)).read_bytes() == data
    assert parts(store) == []


def test_the_second_of_two_fetches_leaves_no_part_when_it_drops(store: LandingStore) -> None:
    data = os.urandom(100_000)

    def fill(into: BinaryIO, offset: int) -> None:
        assert refused(LandingStore(store.root), Server(data, drop_at=50_000), len(data)) == Code.CONNECTION_LOST
        into.write(data)

    store.land_stream(TOKEN, size=len(data), fill=fill, confirm=nothing)
    assert parts(store) == []


def test_tokens_differ_with_every_fact_and_are_safe_names() -> None:
    facts: dict[str, Any] = {"connection": "a", "folder": "b", "name": "../../etc/x\n", "size": 1, "mtime_ns": 2}
    changed = [facts | {key: 9 if isinstance(value, int) else value + "z"} for key, value in facts.items()]
    tokens = {fetch_token(**case) for case in [facts, *changed]}
    assert len(tokens) == 6
    assert all(len(token) == 64 and token.isalnum() for token in tokens)


def test_sweeping_leaves_what_is_fresh(store: LandingStore) -> None:
    data = os.urandom(100_000)
    refused(store, Server(data, drop_at=50_000), len(data))
    now = datetime.now(UTC)
    assert store.sweep(now) == 0
    assert store.sweep(now + timedelta(days=8)) == 1
    assert LandingStore(store.root / "none").sweep(now) == 0


def payloads_absent(store: LandingStore) -> bool:
    return not (store.root / "payloads").exists() or payloads(store) == []


# Kills and full disks


def test_a_kill_at_any_instant_of_landing(store: LandingStore, kill_everywhere: Any) -> None:
    """After each kill: either no payload or the whole one."""
    data = os.urandom(50_000)

    def whole_or_absent() -> None:
        assert payloads_absent(store) or store.verify(sha256_bytes(data)).read_bytes() == data

    kills = kill_everywhere(lambda: store.land_bytes(data), whole_or_absent)
    assert kills >= 12
    assert store.verify(sha256_bytes(data)).read_bytes() == data


def test_a_kill_at_any_instant_of_fetching(store: LandingStore, kill_everywhere: Any) -> None:
    data = os.urandom(50_000)

    def whole_or_absent() -> None:
        assert payloads_absent(store) or store.verify(sha256_bytes(data)).read_bytes() == data

    kills = kill_everywhere(lambda: land(store, Server(data), len(data)), whole_or_absent)
    assert kills >= 12
    assert store.verify(sha256_bytes(data)).read_bytes() == data
    assert parts(store) == []


def test_killed_between_fsync_and_rename_then_landed_again(
    store: LandingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(50_000)
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(os, "replace", lambda *_: os.kill(os.getpid(), 9))
        land(store, Server(data), len(data))
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == 9
    assert payloads_absent(store)
    assert [part.stat().st_size for part in parts(store)] == [len(data)]
    again = Server(data)
    assert store.verify(land(store, again, len(data))).read_bytes() == data
    assert again.sent <= 64 * 1024


SMALL_DISK = """
import resource, sys
from datetime import UTC, date, datetime
from pathlib import Path
from counterfoil.errors import CounterfoilError
from counterfoil.landing.store import LandingStore
store = LandingStore(Path(sys.argv[1]))
small = store.land_bytes(b"small")
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
big = b"x" * 100_000
for land in (
    lambda: store.land_bytes(big),
    lambda: store.land_stream("token", size=len(big), fill=lambda into, at: into.write(big), confirm=lambda: None),
):
    try:
        land()
    except CounterfoilError as error:
        print(error.code, error.permanent, error.where)
print(*sorted(path.name for path in store.root.rglob("*") if path.is_file()))
store.verify(small)
store.land_bytes(b"room again")
"""


@pytest.mark.parametrize("room", ["limit", "disk"])
def test_a_full_disk_leaves_nothing_half_landed(tmp_path: Path, root: Path, room: str) -> None:
    """On a file system of 64 KiB, in a mount namespace of its own; where none can be had, under a file size limit."""
    small = tmp_path / "small"
    small.mkdir()
    command = [sys.executable, "-c", SMALL_DISK, str(small), room]
    if room == "disk":
        mount = f"mount -t tmpfs -o size=64k tmpfs {small} && exec "
        unshared = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
        if subprocess.run([*unshared, mount + "true"], capture_output=True).returncode == 0:
            command = [*unshared, mount + '"$@"', "sh", *command]
        else:
            command[-1] = "limit"
    run = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    failed = f"DISK_FULL False {small / 'incoming'}"
    assert run.stdout.splitlines() == [failed, failed, sha256_bytes(b"small")]


# Posting records


def posting(n: int = 1, **changes: Any) -> PostingRecord:
    record = PostingRecord(
        n=n,
        order=n,
        payload_sha="a" * 64,
        feed="northstar_requests",
        kind=FeedKind.REQUESTS,
        name="NSTR0011",
        identity="NSTR:000011",
        business_date=date(2026, 11, 20),
        sequence=11,
        epoch="NSTR",
        verdict=Verdict.NEW,
        hashes={"rules": "b" * 64, "layout": "c" * 64},
        run_id="run",
        actor="os:tester",
        posted_at=NOW,
        software="0.1.0",
        frame_digest="d" * 64,
    )
    return replace(record, **changes)


def test_posting_records_read_back_and_have_no_gaps(store: LandingStore) -> None:
    assert store.last_n() == 0
    for n in (1, 2, 3):
        store.write_record(posting(n))
    assert store.last_n() == 3
    assert store.read_record(2) == posting(2)
    assert list(store.records_after(1)) == [posting(2), posting(3)]
    for n in (3, 5):
        with pytest.raises(PermanentError, match=f"posting {n} follows posting 3"):
            store.write_record(posting(n))


def test_posting_times_never_go_back(store: LandingStore) -> None:
    store.write_record(posting(1))
    with pytest.raises(PermanentError, match="never go back"):
        store.write_record(posting(2, posted_at=NOW - timedelta(seconds=1)))
    assert posting_time(NOW - timedelta(days=1), posting(1)) == NOW
    assert posting_time(NOW + timedelta(days=1), posting(1)) == NOW + timedelta(days=1)
    assert posting_time(NOW, None) == NOW


def test_a_records_hash_is_that_of_its_file(store: LandingStore) -> None:
    store.write_record(posting(1))
    assert record_sha(posting(1)) == sha256_bytes((store.root / "postings" / "00000001.json").read_bytes())
    assert record_sha(posting(1, hashes={"layout": "c" * 64, "rules": "b" * 64})) == record_sha(posting(1))
    assert record_sha(posting(1, actor="os:other")) != record_sha(posting(1))


def test_the_bytes_of_a_record_are_pinned() -> None:
    assert sha256_bytes(record_bytes(posting(1))) == "c583a9dd91fd3c8b1730017807146a79978ace3c74081e314bd56e3d27b648a8"


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b'{"n": "1"}', b"\xff"])
def test_a_damaged_record_is_an_error(store: LandingStore, damage: bytes) -> None:
    store.write_record(posting(1))
    (store.root / "postings" / "00000001.json").write_bytes(damage)
    with pytest.raises(PermanentError) as caught:
        store.read_record(1)
    assert caught.value.code == Code.SIDECAR_DAMAGED


@pytest.mark.parametrize("change", [("\n}", ',\n  "extra": 1\n}'), ('"n": 1,', ""), ('"order": 1', '"order": "1"')])
def test_a_record_with_a_key_too_many_or_few_or_of_another_type(store: LandingStore, change: tuple[str, str]) -> None:
    store.write_record(posting(1))
    path = store.root / "postings" / "00000001.json"
    text = path.read_text()
    assert change[0] in text
    path.write_text(change[1].join(text.rsplit(change[0], 1)))
    with pytest.raises(PermanentError, match="SIDECAR_DAMAGED"):
        store.read_record(1)


def test_a_missing_record_is_an_error(store: LandingStore) -> None:
    store.write_record(posting(1))
    store.write_record(posting(2))
    (store.root / "postings" / "00000001.json").unlink()
    with pytest.raises(PermanentError, match=r"SIDECAR_DAMAGED .*no such posting record"):
        list(store.records_after(0))


def test_a_kill_at_any_instant_of_recording(store: LandingStore, kill_everywhere: Any) -> None:
    def gapless_and_whole() -> None:
        assert [record.n for record in store.records_after(0)] == list(range(1, store.last_n() + 1))

    kills = kill_everywhere(lambda: store.write_record(posting(store.last_n() + 1)), gapless_and_whole)
    assert kills >= 10
    gapless_and_whole()
