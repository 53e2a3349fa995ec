"""What every test may use: the suite's rules, the servers, and where the repository is.

Here: nothing but those. Not here: what one folder of tests needs alone, which its own conftest has.
"""

from pathlib import Path

import pytest

pytest_plugins = [
    "tests.plugins.suite",
    "tests.plugins.servers",
    "tests.plugins.homes",
    "tests.plugins.books",
    "tests.plugins.partners",
    "tests.plugins.stores",
    "tests.plugins.commands",
    "tests.plugins.wrapped",
    "tests.plugins.keys",
    "tests.plugins.programme",
    "tests.plugins.mail",
]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root folder."""
    return Path(__file__).resolve().parent.parent
