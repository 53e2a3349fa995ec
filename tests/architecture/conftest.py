"""The project's own files as the style tests see them."""

import subprocess
from pathlib import Path

import pytest

PRODUCT = ("counterfoil", "parsers", "connectors", "assets", "pipelines")


@pytest.fixture(scope="session")
def own_files(root: Path) -> list[Path]:
    """Every file that is, or is about to be, in the repository; outside of one, all but hidden folders."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    run = subprocess.run(listing, cwd=root, capture_output=True, text=True)
    if run.returncode == 0:
        paths = [root / name for name in run.stdout.split("\0") if name]
    else:
        paths = [path for path in root.rglob("*") if not hidden(path.relative_to(root))]
    return sorted(path for path in paths if path.is_file())


def hidden(path: Path) -> bool:
    """True inside folders that tools and runs make."""
    return any(part == "__pycache__" or (part.startswith(".") and part != ".ci") for part in path.parts[:-1])


@pytest.fixture(scope="session")
def modules(own_files: list[Path]) -> list[Path]:
    """Every Python file that holds code."""
    return [path for path in own_files if path.suffix == ".py" and path.name != "__init__.py"]


@pytest.fixture(scope="session")
def product_modules(root: Path, modules: list[Path]) -> list[Path]:
    """The modules that the wheel holds."""
    return [path for path in modules if path.relative_to(root).parts[0] in PRODUCT]
