"""The suite's own rules: a test that CI skips has failed; a golden is written only under ``--accept``.

Here: options, hooks and the fixture of goldens. Not here: anything a test is about.
"""

import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

IN_CI = os.environ.get("CI") == "true"


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


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--accept`` writes goldens instead of comparing with them."""
    parser.addoption("--accept", action="store_true", help="write every golden anew and run nothing else")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--accept`` only the tests that have a golden run."""
    if config.getoption("--accept"):
        keep = [item for item in items if "golden" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in keep])
        items[:] = keep


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, bytes], None]:
    """Compare bytes with a reviewed file, or write that file under ``--accept``; a person reviews the difference."""
    accept = bool(request.config.getoption("--accept"))

    def compare(path: Path, actual: bytes) -> None:
        if accept:
            path.write_bytes(actual)
        assert path.exists(), f"{path.name} is not there; `make accept` writes it"
        assert actual.decode("utf-8", "backslashreplace") == path.read_bytes().decode("utf-8", "backslashreplace")

    return compare
