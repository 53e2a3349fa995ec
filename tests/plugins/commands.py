"""The real command in a home of its own with chosen partners, night after night.

Here: the home and its nights. Not here: what partners send, which each test says.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines.commands.app import app
from tests.plugins.homes import MONDAY

OWN = ("crm", "gl", "ledger", "mail", "partners/counterfoil")


class Nights:
    """``nights("breaks", …)``: the command; JSON where it has any. ``put`` lays a file into the inbox."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, patch
        (folder / "home").mkdir()
        (folder / "home/counterfoil.yaml").write_text(f"start_date: {MONDAY}\n")
        patch.setenv("COUNTERFOIL_DATA", str(folder / "data"))
        patch.setenv("COUNTERFOIL_HOME", str(folder / "home"))

    def __call__(self, *arguments: object, json_wanted: bool = True, exit_code: int = 0) -> Any:
        given = [str(argument) for argument in arguments] + (["--format", "json"] if json_wanted else [])
        result = CliRunner().invoke(app, given)
        assert result.exit_code == exit_code, result.output or result.exception
        return json.loads(result.stdout) if json_wanted else result.stdout

    def put(self, name: str, text: str) -> None:
        path = self.folder / "home/inbox" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, day: date) -> None:
        """The night after a day."""
        self.at(day + timedelta(days=1), "06:00:00")
        self("run", "--date", day, json_wanted=False)

    def at(self, day: date, time: str) -> None:
        """What the clock says from now on."""
        self._patch.setenv("COUNTERFOIL_NOW", f"{day}T{time}Z")


OpenNights = Callable[[Iterable[Path]], AbstractContextManager[Nights]]


def home(name: str) -> Path:
    """A file of the home."""
    return Path(os.environ["COUNTERFOIL_HOME"]) / name


@pytest.fixture(scope="session")
def open_nights(tmp_path_factory: pytest.TempPathFactory, root: Path) -> OpenNights:
    """``with open_nights(partners) as nights:``: a home with the program's own feeds and these partners' folders."""

    @contextmanager
    def opened(partners: Iterable[Path]) -> Any:
        folder = tmp_path_factory.mktemp("nights")
        for name in OWN:
            shutil.copytree(root / "data" / name, folder / "data" / name)
        for partner in partners:
            shutil.copytree(partner, folder / "data/partners" / partner.name)
        for layout in folder.glob("data/partners/*/*/layout*.yaml"):
            # Nobody writes to these files while they are looked at, so that nobody need wait.
            layout.write_text(re.sub(r"stable_s: [0-9]+", "stable_s: 0", layout.read_text()))
        with pytest.MonkeyPatch.context() as patch:
            yield Nights(folder, patch)

    return opened
