"""The speed harness on a small scale: both sides run, settle what was planted, and leave nothing behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_both_sides_settle_what_was_planted(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--records", "5000", "--turns", "1", "--format", "json"]
    run = subprocess.run([*command, "--work", str(tmp_path)], cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert (result["records"], result["open_items"]) == (5_000, 6_000)
    found = [turn["found"] for side in ("product", "plain") for turn in result[side]["turns"]]
    assert found[0] == found[1]
    assert 4_900 < found[0]["settled"] < 5_000
    assert result["ratio_work"] > 0
    assert {"land", "parse and gate", "match and compose", "prove", "CRM batches", "report"} <= set(
        result["product"]["stages"]
    )
    assert list(tmp_path.iterdir()) == []
