"""Homes as earlier programs left them: one small zip a schema of the book, kept in ``tests/stores``.

Here: the fixture that unpacks one. Not here: what opening it must lead to.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.settings import Home

OldStore = Callable[[int], Home]


@pytest.fixture
def old_store(root: Path, tmp_path: Path) -> OldStore:
    """``old_store(1)``: the home that a program with schema 1 of the book left behind."""

    def unpack(schema: int) -> Home:
        home = tmp_path / f"schema-{schema}"
        with zipfile.ZipFile(root / "tests" / "stores" / f"schema{schema}.zip") as kept:
            kept.extractall(home)
        return Home(home)

    return unpack
