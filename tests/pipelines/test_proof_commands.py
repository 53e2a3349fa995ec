"""``counterfoil audit verify`` and ``counterfoil replay`` as people and machines use them."""

import json
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner, Result

from counterfoil.errors import CounterfoilError
from counterfoil.settings import Home
from pipelines.commands.app import app
from tests.plugins.stores import OldStore

PROOF = {
    "verdict", "since", "postings", "rows", "entries", "payloads", "n", "content_head", "chain_head", "findings",
    "strays",
}  # fmt: skip
FINDING = {"check", "found", "expected", "posting", "file", "table", "line", "row"}
REPLAY = {"verdict", "n", "content_head", "chain_head", "against", "compared", "difference"}


@pytest.fixture
def home(old_store: OldStore, monkeypatch: pytest.MonkeyPatch) -> Home:
    home = old_store(1)
    home.settings_file.write_text("programme: Meridian Rewards\nentity: MER1\nstart_date: 2026-11-16\n")
    monkeypatch.setenv("COUNTERFOIL_HOME", str(home.root))
    return home


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def exit_status(result: Result) -> int:
    if isinstance(result.exception, CounterfoilError):
        return result.exception.exit_status
    return result.exit_code


def test_a_home_is_proved_for_people_and_for_machines(home: Home) -> None:
    told = invoke("audit", "verify", "--format", "json")
    assert told.exit_code == 0, told.output
    facts = json.loads(told.stdout)
    assert facts.keys() == PROOF
    assert (facts["verdict"], facts["since"], facts["postings"], facts["n"]) == ("proved", 1, 26, 26)
    assert facts["findings"] == []
    shown = invoke("audit", "verify", "--since", "2026-11-19", "--head", facts["chain_head"][:16])
    assert shown.exit_code == 0, shown.output
    assert "14 postings from posting 13" in shown.stdout
    assert "; proved." in shown.stdout
    assert facts["chain_head"] in shown.stdout


def test_what_differs_is_listed_and_the_exit_status_says_so(home: Home) -> None:
    invoke("audit", "verify")
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{home.book}' AS book")
        connection.execute("UPDATE book.entry SET amount = 2 * amount WHERE file_id = 2 AND line_no = 3")
    told = invoke("audit", "verify", "--format", "json")
    assert told.exit_code == 1, told.output
    facts = json.loads(told.stdout)
    assert facts["verdict"] == "differs"
    assert {frozenset(finding) for finding in facts["findings"]} == {frozenset(FINDING)}
    first = facts["findings"][0]
    assert (first["check"], first["posting"], first["table"], first["line"]) == ("row", 2, "entry", 3)
    shown = invoke("audit", "verify")
    assert shown.exit_code == 1
    assert "differs" in shown.stdout
    assert first["row"].split(",")[0] in shown.stdout


def test_a_replay_says_where_it_came_to(home: Home, tmp_path: Path) -> None:
    into = str(tmp_path / "again")
    told = invoke("replay", "--into", into, "--through", "3", "--format", "json")
    assert told.exit_code == 0, told.output
    facts = json.loads(told.stdout)
    assert facts.keys() == REPLAY
    assert (facts["verdict"], facts["n"], facts["compared"], facts["difference"]) == ("equal", 3, 3, None)
    record = home.landing / "postings/00000005.json"
    record.write_bytes(record.read_bytes().replace(b'"actor": "', b'"actor": "x'))
    shown = invoke("replay", "--into", into, "--through", "6")
    assert shown.exit_code == 1
    assert "another chain head" in shown.stdout
    assert "5 postings made again" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("audit", "verify", "--since", "yesterday"), "DATE_OUTSIDE --since"),
        (("audit", "verify", "--head", "12"), "NOTHING_FOUND"),
        (("replay", "--into", "{home}"), "FOLDER_TAKEN"),
        (("replay", "--into", "{home}/book.duckdb"), "FOLDER_TAKEN"),
        (("run", "--home", "/proc/none"), "FOLDER_TAKEN"),
        (("replay", "--into", "{home}/again"), "FOLDER_TAKEN {home}/again: the home itself, or a folder in it"),
        (("backup", "--to", "{home}/again"), "FOLDER_TAKEN {home}/again: the home that is to be backed up"),
        (("replay", "--into", "{home}-again", "--through", "27"), "NOTHING_FOUND"),
    ],
)
def test_wrong_use_is_told(home: Home, arguments: tuple[str, ...], code: str) -> None:
    result = invoke(*(argument.format(home=home.root) for argument in arguments))
    assert exit_status(result) == 2
    assert str(result.exception).startswith(code.format(home=home.root))
    assert not (home.root / "again").exists()


def test_a_stray_file_is_a_warning_that_says_what_to_do(home: Home) -> None:
    (home.landing / "postings" / "notes.json").write_text("{}")
    shown = invoke("audit", "verify")
    assert shown.exit_code == 0, shown.output
    assert "Warning: landing/postings/notes.json is no file of this program" in shown.stdout
    assert "Move it out" in shown.stdout
    assert "; proved." in shown.stdout


@pytest.mark.parametrize("verb", [("audit", "verify"), ("replay", "--into", "again")])
def test_a_home_that_never_posted_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(*verb, "--home", str(tmp_path / "nothing"))
    assert exit_status(result) == 2
    assert str(result.exception).startswith("NOTHING_FOUND")
    assert list(tmp_path.iterdir()) == []
