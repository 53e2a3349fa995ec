"""The suite's own rules: with CI=true a skipped test has failed; goldens are compared, never made in passing."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RunSuite = Callable[..., tuple[int, str]]

SKIPS = """
import pytest

@pytest.mark.skip(reason="no sshd here")
def test_marked():
    pass

def test_inside():
    pytest.skip("no room here")

@pytest.mark.xfail(strict=True, raises=ZeroDivisionError)
def test_known_fault():
    1 / 0

def test_good():
    pass
"""

GOLDENS = """
from pathlib import Path

def test_with_golden(golden):
    golden(Path(__file__).with_name("golden.txt"), b"what the program makes now")
"""


@pytest.fixture
def run_suite(root: Path, tmp_path: Path) -> RunSuite:
    """Run a small suite under this project's rules; returns exit status and output."""

    def run(suite: str, **changes: str) -> tuple[int, str]:
        (tmp_path / "test_suite.py").write_text(suite)
        environment = {key: value for key, value in os.environ.items() if key not in {"CI", "PYTEST_ADDOPTS"}}
        environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(root)} | changes
        command = [sys.executable, "-m", "pytest", "-p", "tests.plugins.suite", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, f"--rootdir={tmp_path}", str(tmp_path)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout

    return run


def test_a_skip_fails_in_ci_and_says_why(run_suite: RunSuite) -> None:
    status, output = run_suite(SKIPS, CI="true")
    verdict = "was skipped, which counts as a failure with CI=true. Skipped:"
    assert status == 1
    assert f"test_suite.py::test_marked {verdict} no sshd here" in output
    assert f"test_suite.py::test_inside {verdict} no room here" in output
    assert "1 failed, 1 passed, 1 xfailed, 1 error" in output.splitlines()[-1]


def test_a_skip_stays_a_skip_elsewhere(run_suite: RunSuite) -> None:
    status, output = run_suite(SKIPS)
    assert status == 0
    assert "1 passed, 2 skipped, 1 xfailed" in output.splitlines()[-1]


def test_a_skipped_module_fails_in_ci(run_suite: RunSuite) -> None:
    status, output = run_suite('import pytest\npytest.importorskip("no_such_module")\n', CI="true")
    assert status != 0
    assert "was skipped, which counts as a failure" in output


def test_a_golden_that_is_missing_or_differs_fails(run_suite: RunSuite, tmp_path: Path) -> None:
    assert "`make accept` writes it" in run_suite(GOLDENS)[1]
    assert not (tmp_path / "golden.txt").exists()
    (tmp_path / "golden.txt").write_text("what it made before")
    status, output = run_suite(GOLDENS)
    assert status == 1
    assert "what it made before" in output
    (tmp_path / "golden.txt").write_text("what the program makes now")
    assert run_suite(GOLDENS)[0] == 0
