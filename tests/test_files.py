"""Durable writes: whole or absent, never half, with a clear error when there is no room."""

import json
import os
import resource
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.errors import Code, TransientError
from counterfoil.files import (
    canonical_json,
    ensure_folder,
    room_for_write,
    sha256_bytes,
    sha256_file,
    sweep_parts,
    write_durably,
    write_once,
    write_together,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@given(VALUES)
def test_canonical_json_reads_back_and_ends_in_a_newline(value: object) -> None:
    data = canonical_json(value)
    assert json.loads(data) == value
    assert data.endswith(b"\n")
    assert not data.endswith(b"\n\n")


def test_canonical_json_has_one_spelling() -> None:
    assert canonical_json({"b": 1, "a": "é"}) == b'{\n  "a": "\xc3\xa9",\n  "b": 1\n}\n'
    assert canonical_json({"a": "é", "b": 1}) == canonical_json({"b": 1, "a": "é"})


def test_write_durably_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_durably(path, b"one")
    write_durably(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(path.parent) == ["file"]


def test_a_private_file_is_private_whatever_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "pack.csv"
    path.write_text("open to all")
    path.chmod(0o644)
    write_durably(path, b"for one", private=True)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"for one", 0o600)


def test_write_once_never_writes_over(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_once(path, b"one")
    with pytest.raises(FileExistsError):
        write_once(path, b"two")
    assert path.read_bytes() == b"one"
    assert names(tmp_path) == ["file"]


def test_a_failed_rename_leaves_no_part(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        write_durably(tmp_path / "file", b"one")
    assert names(tmp_path) == ["file"]


def test_ensure_folder_twice(tmp_path: Path) -> None:
    ensure_folder(tmp_path / "a" / "b")
    ensure_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(data)
    assert sha256_file(tmp_path / "file") == sha256_bytes(data)


def test_sweep_removes_old_parts_only(tmp_path: Path) -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    for name, age in (("old.part", 2), (".old.part", 2), ("new.part", 0), ("old.json", 2)):
        (tmp_path / name).touch()
        seen = (now - timedelta(days=age)).timestamp()
        os.utime(tmp_path / name, (seen, seen))
    assert sweep_parts(tmp_path, now - timedelta(days=1)) == 2
    assert names(tmp_path) == ["new.part", "old.json"]


def test_a_full_device_is_a_transient_error_that_names_the_folder() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(TransientError) as caught, room_for_write(Path("/dev")):
        os.write(full, b"x")
    os.close(full)
    assert caught.value.code == Code.DISK_FULL
    assert str(caught.value).startswith("DISK_FULL /dev: no room to write: the file system is full. Expected room")
    assert str(caught.value).endswith("Transient: try again.")


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), room_for_write(tmp_path):
        (tmp_path / "none").read_bytes()


LIMITED = """
import resource, sys
from pathlib import Path
from counterfoil.errors import TransientError
from counterfoil.files import write_durably
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
path = Path(sys.argv[1])
write_durably(path, b"small")
try:
    write_durably(path, b"x" * 100_000)
except TransientError as error:
    print(error)
"""


def test_a_file_size_limit_leaves_the_old_file(tmp_path: Path, root: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 65536
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "file")], cwd=root, capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith(f"DISK_FULL {tmp_path}: no room to write: the file would pass the size limit")
    assert (tmp_path / "file").read_bytes() == b"small"
    assert names(tmp_path) == ["file"]


def test_files_written_together_have_their_names_once_all_are_whole(tmp_path: Path) -> None:
    files = {tmp_path / "made" / f"{number}.eml": b"%d" % number for number in range(30)}
    write_together(files, private=True)
    assert {path: path.read_bytes() for path in (tmp_path / "made").iterdir()} == files
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_files_written_together_leave_nothing_when_one_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        write_together({tmp_path / "taken": b"1", tmp_path / "free": b"2"})
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
