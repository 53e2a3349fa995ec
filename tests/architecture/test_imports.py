"""Imports run one way, and each library stays in its room: the contracts of ``[tool.importlinter]`` hold."""

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter import api


def test_every_contract_is_kept(root: Path) -> None:
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", lint, "--no-cache", "--no-logo"]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("library", "room"),
    [("duckdb", "counterfoil.ledger"), ("pandera", "counterfoil.schemas"), ("paramiko", "connectors")],
)
def test_each_library_has_one_room(root: Path, library: str, room: str) -> None:
    contracts = api.read_configuration(str(root / "pyproject.toml"))["contracts_options"]
    rooms = [
        contract["allowed_importers"] for contract in contracts if library in contract.get("protected_modules", [])
    ]
    assert rooms == [[room]]


@pytest.mark.parametrize("module", ["pipelines.commands.app", "pipelines.wiring", "counterfoil.journey"])
def test_the_command_line_never_loads_dagster(root: Path, module: str) -> None:
    """What import-linter cannot see: an import made at run time."""
    code = f"import sys, {module}; sys.exit('dagster' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
