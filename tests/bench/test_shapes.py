"""Every shape is written, read whole by both sides and told in the table."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.shapes import SHAPES, WRITERS, layout, made
from parsers.reader import read_file


@pytest.mark.parametrize("shape", SHAPES)
def test_the_file_of_a_shape_holds_what_was_made(shape: str, tmp_path: Path) -> None:
    rows = made(100)
    WRITERS[shape](tmp_path / "file", rows)
    read = read_file(layout(shape), "file", tmp_path / "file")
    assert read.quarantined.is_empty()
    assert read.accepted.select("ref", "member", "points").rows() == [
        (ref, member, int(points)) for ref, member, points, _, _ in rows.rows()
    ]


@pytest.mark.slow
def test_both_sides_are_measured(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "shapes", "--records", "500", "--turns", "1", "--work", str(tmp_path)]
    run = subprocess.run([*command, "--format", "json"], cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert set(result) == set(SHAPES)
    assert all(case["ours"]["seconds"] > 0 and case["theirs"]["peak_mib"] > 0 for case in result.values())
    assert list(tmp_path.iterdir()) == []
