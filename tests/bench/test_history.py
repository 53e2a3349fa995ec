"""What history costs, on a small scale: every figure is there, and nothing is left behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_every_size_is_posted_proved_and_replayed(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "history", "--records", "50", "--sizes", "1", "20", "--turns", "1"]
    run = subprocess.run(
        [*command, "--format", "json", "--work", str(tmp_path)], cwd=root, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    # Rates, opening balances, three files a day: a history of one or two files a feed, and the day that was measured.
    assert [(size["days"], size["postings"]) for size in result["sizes"]] == [(1, 8), (20, 11)]
    assert all(size["entries"] > 50 * 3 * size["days"] for size in result["sizes"])
    assert all(size[what] > 0 for size in result["sizes"] for what in ("day", "verify", "replay", "opening"))
    assert [result[ratio]["1"] for ratio in ("day_ratio", "open_ratio", "verify_ratio")] == pytest.approx([1, 1, 1])
    assert result["verify_million"] > 0
    assert result["digest"] > 0
    assert list(tmp_path.iterdir()) == []
