"""What is installed: our five packages with the data they need, nothing else, and nobody else under those names."""

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PACKAGES = {"counterfoil", "parsers", "connectors", "assets", "pipelines"}


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel as the locked build backend makes it, without isolation and so without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    run = subprocess.run(build, cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def names(wheel: zipfile.ZipFile) -> set[str]:
    """Every path in the wheel."""
    return set(wheel.namelist())


def test_only_our_packages_are_in_the_wheel(names: set[str]) -> None:
    folders = {name.split("/")[0] for name in names}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == PACKAGES


def test_every_module_is_in_the_wheel(root: Path, product_modules: list[Path], names: set[str]) -> None:
    assert {path.relative_to(root).as_posix() for path in product_modules} <= names


def test_the_data_is_in_the_wheel_and_samples_are_not(root: Path, own_files: list[Path], names: set[str]) -> None:
    data = {path.relative_to(root / "data").as_posix() for path in own_files if path.is_relative_to(root / "data")}
    kept = {f"counterfoil/_data/{name}" for name in data if "samples" not in name.split("/")}
    assert kept
    assert {name for name in names if name.startswith("counterfoil/_data/")} == kept


def test_no_test_is_in_the_wheel(names: set[str]) -> None:
    assert [name for name in names if "test" in Path(name).name or Path(name).name == "conftest.py"] == []


def test_the_wheel_is_for_nobody_to_upload(wheel: zipfile.ZipFile, names: set[str]) -> None:
    (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    assert "Classifier: Private :: Do Not Upload" in wheel.read(metadata).decode()
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_nobody_else_owns_our_names() -> None:
    """Another distribution with a ``parsers`` would replace ours in silence, and delete it when it is removed."""
    owners = importlib.metadata.packages_distributions()
    assert {name: owner for name in PACKAGES for owner in owners.get(name, []) if owner != "counterfoil"} == {}
