"""The suite's own rules: a test that CI skips has failed; a golden is compared and never made in passing.

Here: hooks and the fixture of goldens. Not here: anything a test is about.
"""

import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import settings

IN_CI = os.environ.get("CI") == "true"

# Tests are never timed, so no example has a deadline; CI tries the same examples each time, people ever new ones.
settings.register_profile("suite", deadline=None, derandomize=IN_CI)
settings.load_profile("suite")


def skipped_in_ci(report: pytest.TestReport | pytest.CollectReport) -> bool:
    """True for a skip that hides a missing part of the machine; an expected failure is none."""
    return IN_CI and report.skipped and not hasattr(report, "wasxfail")


def fail_for_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that names its reason."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} was skipped, which counts as a failure with CI=true. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Skips in a test, a fixture or a mark."""
    report = yield
    if skipped_in_ci(report):
        fail_for_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skips of a whole module."""
    report = yield
    if skipped_in_ci(report):
        fail_for_skip(report)
    return report


@pytest.fixture
def golden() -> Callable[[Path, bytes], None]:
    """Compare bytes with a reviewed file; only ``make accept`` writes that file."""

    def compare(path: Path, actual: bytes) -> None:
        assert path.exists(), f"{path.name} is not there; `make accept` writes it"
        assert actual.decode("utf-8", "backslashreplace") == path.read_bytes().decode("utf-8", "backslashreplace")

    return compare
