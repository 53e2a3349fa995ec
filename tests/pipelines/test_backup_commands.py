"""``counterfoil backup`` and ``restore`` as people and machines use them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from counterfoil.errors import CounterfoilError
from pipelines.commands.app import app
from tests.plugins.stores import OldStore

KEYS = {
    "number", "n", "content_head", "chain_head", "book_schema", "files", "bytes", "new_files", "new_bytes", "made_at",
    "software", "inventory_sha",
}  # fmt: skip


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def exit_status(result: Result) -> int:
    if isinstance(result.exception, CounterfoilError):
        return result.exception.exit_status
    return result.exit_code


def test_a_home_goes_to_another_disk_and_comes_back(
    old_store: OldStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERFOIL_NOW", "2026-11-21T05:00:00Z")
    monkeypatch.setenv("COUNTERFOIL_HOME", str(old_store(1).root))
    to, again = str(tmp_path / "backups"), str(tmp_path / "again")
    made = invoke("backup", "--to", to, "--format", "json")
    assert made.exit_code == 0, made.output
    facts = json.loads(made.stdout)
    assert facts.keys() == KEYS
    assert (facts["number"], facts["n"], facts["made_at"]) == (1, 26, "2026-11-21T05:00:00.000Z")
    shown = invoke("backup", "--to", to)
    assert (shown.exit_code, shown.stdout.split()[:2]) == (0, ["Backup", "2"])
    assert facts["chain_head"] in shown.stdout

    back = invoke("restore", "--from", to, "--home", again, "--backup", "1", "--format", "json")
    assert back.exit_code == 0, back.output
    told = json.loads(back.stdout)
    assert told == facts | {
        "own_settings": False,
        "next": [f"counterfoil audit verify --home {again}", f"counterfoil run --home {again}"],
    }
    once_more = invoke("restore", "--from", to, "--home", again)
    assert exit_status(once_more) == 2
    assert "FOLDER_TAKEN" in str(once_more.exception)
    people = invoke("restore", "--from", to, "--home", str(tmp_path / "third"))
    assert people.exit_code == 0, people.output
    assert "secrets back by hand" in people.stdout
    assert f"counterfoil audit verify --home {tmp_path / 'third'}" in people.stdout


def test_where_a_backup_goes_must_be_said(old_store: OldStore) -> None:
    assert exit_status(invoke("backup", "--home", str(old_store(1).root))) == 2


def test_a_damaged_backup_ends_with_1(old_store: OldStore, tmp_path: Path) -> None:
    to = tmp_path / "backups"
    assert invoke("backup", "--to", str(to), "--home", str(old_store(1).root)).exit_code == 0
    (to / "landing" / "postings" / "00000007.json").unlink()
    result = invoke("restore", "--from", str(to), "--home", str(tmp_path / "again"))
    assert exit_status(result) == 1
    assert "00000007.json: no such file" in str(result.exception)
