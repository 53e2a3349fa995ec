"""The later passes at a small scale: each takes what was made for it, and the same rows come out on any number of
threads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DIGEST = """
import sys, tempfile
from pathlib import Path
from bench.passes import ASKED, PROJECT, every_pass, load_rulebook, mixed, post, prepared, requests, book
rulebook, asked = load_rulebook(PROJECT / "data"), requests(3_000)
with tempfile.TemporaryDirectory() as root:
    home = prepared(Path(root) / "home", asked, rulebook)
    with book(home).writing(purpose="test") as writer:
        print(post(writer, every_pass(), mixed(asked), ASKED, rulebook).rows_digest)
"""


@pytest.mark.slow
def test_each_pass_takes_what_was_made_for_it(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "passes", "--records", "2000", "--equals", "200", "--turns", "1"]
    run = subprocess.run(
        [*command, "--format", "json", "--work", str(tmp_path)], cwd=root, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["exact"]["passes"] == {"exact": 2_000}
    assert result["mixed"]["passes"] == {
        "exact": 1_880, "date_window": 20, "tolerance": 20, "split": 40, "netted": 20, "suggested": 20,
    }  # fmt: skip
    assert result["hard"]["passes"] == {"gave_up": 200}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_number_of_threads_changes_nothing(root: Path) -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            cwd=root,
            env={**os.environ, "POLARS_MAX_THREADS": threads, "SLURM_CPUS_ON_NODE": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2", "5")
    }
    assert len(digests) == 1
