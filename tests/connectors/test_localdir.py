"""What only a folder on this machine can do to us; the contract itself is in test_source.py."""

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest

from connectors.localdir import LocalSource
from counterfoil.errors import Code, PermanentError, TransientError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "out").mkdir(parents=True)
    (root / "out" / "a.txt").write_bytes(b"content")
    return root


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_root_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(PermanentError) as caught, LocalSource(alias="inbox", root=tmp_path / "nowhere"):
        pytest.fail("it opened")
    assert caught.value.code is Code.REMOTE_MISSING


def test_a_root_may_be_reached_over_a_link_but_nothing_below_it(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    (root / "linked").symlink_to(root / "out")
    with LocalSource(alias="inbox", root=tmp_path / "link") as source:
        assert [file.name for file in source.listing("out")] == ["a.txt"]
        with pytest.raises(PermanentError) as caught:
            source.listing("linked")
        assert caught.value.code is Code.REMOTE_REFUSED
        with pytest.raises(PermanentError):
            source.archive(source.listing("out")[0], "linked/archive")
    assert names(root) == ["out/a.txt"]


def test_a_pipe_in_the_files_place_does_not_hang(root: Path) -> None:
    with LocalSource(alias="inbox", root=root) as source:
        [file] = source.listing("out")
        (root / "out" / "a.txt").unlink()
        os.mkfifo(root / "out" / "a.txt")
        with pytest.raises(TransientError) as caught:
            source.fetch(file, io.BytesIO(), 0)
    assert caught.value.code is Code.FILE_MOVED


def test_a_file_cut_during_the_fetch_is_not_taken(root: Path) -> None:
    path = root / "out" / "big.bin"
    path.write_bytes(bytes(5_000_000))

    class Cutting(io.BytesIO):
        def write(self, data: Any) -> int:
            os.truncate(path, 2_500_000)
            return super().write(data)

    with LocalSource(alias="inbox", root=root) as source:
        file = source.listing("out")[1]
        with pytest.raises(TransientError) as caught:
            source.fetch(file, Cutting(), 0)
    assert caught.value.code is Code.FILE_CUT_SHORT


def test_a_file_that_grows_during_the_fetch_is_not_taken(root: Path) -> None:
    path = root / "out" / "a.txt"

    class Growing(io.BytesIO):
        def write(self, data: Any) -> int:
            with path.open("ab") as file:
                file.write(b"more")
            return super().write(data)

    with LocalSource(alias="inbox", root=root) as source:
        [file] = source.listing("out")
        with pytest.raises(TransientError) as caught:
            source.fetch(file, Growing(), 0)
    assert caught.value.code is Code.FILE_MOVED


def test_archiving_goes_on_after_a_crash_between_link_and_unlink(root: Path) -> None:
    with LocalSource(alias="inbox", root=root) as source:
        [file] = source.listing("out")
        (root / "done").mkdir()
        os.link(root / "out" / "a.txt", root / "done" / "a.txt")
        source.archive(file, "done")
    assert names(root) == ["done/a.txt"]


def test_archiving_works_without_hard_links(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on exFAT and many network shares, of which none can be mounted in a test."""

    def no_links(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_links)
    (root / "done").mkdir()
    (root / "done" / "a.txt").write_bytes(b"older")
    with LocalSource(alias="inbox", root=root) as source:
        source.archive(source.listing("out")[0], "done")
    assert names(root) == ["done/a.txt", "done/a.txt.1"]
    assert (root / "done" / "a.txt.1").read_bytes() == b"content"
