"""The processes that crash tests try their faults on, and the figures at the end.

Here: fixtures for this folder. Not here: any test.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.asking import FIGURES, Evening, Zygotes, seed


@pytest.fixture(scope="session")
def zygotes(root: Path) -> Iterator[Zygotes]:
    """Two zygotes."""
    with Zygotes(root) as made:
        yield made


@pytest.fixture(scope="session")
def evening(zygotes: Zygotes, tmp_path_factory: pytest.TempPathFactory) -> Evening:
    """The evening without a fault."""
    return Evening.of(zygotes, tmp_path_factory.mktemp("evening"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What was tried, whatever came of it."""
    if FIGURES:
        terminalreporter.section(f"faults tried, COUNTERFOIL_SEED={seed(config.rootpath)}")
        for what, number in FIGURES.items():
            terminalreporter.write_line(f"{number:6,}  {what}")
