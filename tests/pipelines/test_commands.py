"""The command as people and machines use it: tables, JSON with stable keys, messages and exit statuses."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner, Result

from connectors.sftp_server import EmbeddedServer
from counterfoil.errors import CounterfoilError
from pipelines.commands import common
from pipelines.commands.app import app
from tests.plugins.homes import MONDAY, Office

Invoke = Callable[..., Result]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """One night with something to see in every list; to be copied, not changed."""
    office = Office(tmp_path_factory.mktemp("commands") / "home")
    office.home.mkdir()
    (office.home / "counterfoil.yaml").write_text(f"start_date: {MONDAY}\n")
    office.begin()
    office.ask(MONDAY, ("1001", 100), ("1002", 250), ("1003", 70))
    office.answer(MONDAY, ("1001", 100, "0000"), ("1002", 250, "0001"), ("9999", 5, "0000"))
    office.run(MONDAY)
    return office


@pytest.fixture
def ran(night: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A home after that night."""
    office = night.copied(tmp_path / "home")
    monkeypatch.setenv("COUNTERFOIL_HOME", str(office.home))
    return office


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def answer(*arguments: str) -> Any:
    result = invoke(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def exit_status(result: Result) -> int:
    """What the process would end with: ``main`` turns our errors into their status."""
    if isinstance(result.exception, CounterfoilError):
        return result.exception.exit_status
    return result.exit_code


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["feeds"], {"feed", "version", "kind", "partner", "connection", "folder", "ready", "afterwards", "cutoff"}),
        (["files"], {"delivery", "feed", "file", "identity", "verdict", "outcome", "posting", "code", "message"}),
        (["status", "--date", str(MONDAY)], {"feed", "partner", "expected", "files", "posted", "held", "open_breaks"}),
        (["breaks", "--as-of", str(MONDAY)], {"break_id", "code", "severity", "partner", "age_days", "next_step"}),
        (["breaks", "--by", "cause"], {"cause", "change", "breaks", "points", "weight", "example", "break_ids"}),
        (["balances"], {"kind", "partner", "owner", "unit", "balance"}),
        (["trial-balance"], {"gl", "name", "kind", "partner", "debit", "credit"}),
    ],
)
def test_every_reading_verb_answers_machines_and_people(ran: Office, arguments: list[str], keys: set[str]) -> None:
    rows = answer(*arguments)
    assert rows
    assert keys <= set(rows[0])
    shown = invoke(*arguments)
    assert shown.exit_code == 0
    assert "none" not in shown.stdout.splitlines()[0]


def test_a_story_is_told_from_file_to_batch(ran: Office) -> None:
    told = answer("explain", "1001")
    assert [record["event"] for record in told["records"]] == ["request", "accepted"]
    assert [record["line"] for record in told["records"]] == [2, 2]
    assert told["batches"]
    assert "1111111111" not in json.dumps(told), "members are masked"
    assert "1001" in invoke("explain", "1001").stdout


def test_an_unknown_reference_is_wrong_use(ran: Office) -> None:
    result = invoke("explain", "nobody")
    assert exit_status(result) == 2
    assert "NOTHING_FOUND" in str(result.exception)


def test_the_trial_balance_balances(ran: Office) -> None:
    rows = answer("trial-balance")
    assert sum(row["debit"] for row in rows) == sum(row["credit"] for row in rows) > 0


def test_a_run_again_says_that_nothing_was_posted(ran: Office) -> None:
    result = invoke("run", "--date", str(MONDAY), "--format", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["postings"] == []


@pytest.mark.parametrize(
    "arguments",
    [["run", "--date", "yesterday"], ["run", "--feed", "nobody"], ["breaks", "--as-of", "2026-13-01"]],
)
def test_wrong_use_ends_with_2(ran: Office, arguments: list[str]) -> None:
    assert exit_status(invoke(*arguments)) == 2


def test_a_home_that_no_demo_made_is_never_cleared_away(ran: Office) -> None:
    before = sorted(path.name for path in ran.home.iterdir())
    assert exit_status(invoke("demo", "--home", str(ran.home))) == 2
    assert sorted(path.name for path in ran.home.iterdir()) == before


def test_check_names_rows_and_touches_nothing(ran: Office, tmp_path: Path) -> None:
    file = tmp_path / "SKYBRIDGE_20261117.HANDBACK.txt"
    file.write_text("Transfer date,Amount,Reference number,Outcome code\n2026-11-17,5x,1,0000\n2026-11-17,5,2,0000\n")
    heads = ran.heads()
    result = invoke("check", str(file), "--format", "json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert [(row["line_no"], row["code"]) for row in found["quarantined"]] == [(2, "NUMBER_INVALID")]
    assert (found["records"], found["accepted"]) == (2, 1)
    assert ran.heads() == heads


def connected(office: Office, port: int, host_key: str) -> None:
    place = {"host": "127.0.0.1", "port": port, "user": "partner", "host_keys": [host_key], "root": "/"}
    (office.home / "counterfoil.yaml").write_text(
        yaml.safe_dump({"start_date": MONDAY, "connections": {"inbox": {"sftp": place}}})
    )
    secrets = office.home / "secrets"
    secrets.mkdir(exist_ok=True, mode=0o700)
    (secrets / "inbox.password").touch(mode=0o600)
    (secrets / "inbox.password").write_text("a password")


OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFJhbmRvbUJ5dGVzRm9yQVRlc3RPbmx5MTIzNDU2Nzg5MA=="


def test_a_changed_host_key_ends_with_1_and_says_how_to_pin_it(
    ran: Office, serve: Callable[..., EmbeddedServer], tmp_path: Path
) -> None:
    (tmp_path / "served").mkdir()
    server = serve(tmp_path / "served")
    connected(ran, server.port, OTHER_KEY)
    result = invoke("run", "--date", str(MONDAY))
    assert result.exit_code == 1
    assert "HOST_KEY_CHANGED" in result.stderr
    assert "host_keys" in result.stderr


def test_a_wrong_password_ends_with_1(ran: Office, serve: Callable[..., EmbeddedServer], tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    server = serve(tmp_path / "served", password="another")
    connected(ran, server.port, server.host_key_line.strip())
    result = invoke("run", "--date", str(MONDAY))
    assert result.exit_code == 1
    assert "LOGIN_REFUSED" in result.stderr


def test_a_server_that_is_not_there_ends_with_3(ran: Office) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    connected(ran, port, OTHER_KEY)
    result = invoke("run", "--date", str(MONDAY))
    assert result.exit_code == 3
    assert "CONNECTION_LOST" in result.stderr


@pytest.mark.usefixtures("ran")
def test_a_partner_or_feed_that_nobody_configured_is_not_found() -> None:
    for verb in (["breaks"], ["balances"], ["balances", "--by-expiry"], ["explain", "1001"], ["suggestions"]):
        done = invoke(*verb, "--partner", "nobody")
        assert exit_status(done) == 2, verb
        assert "skybridge" in str(done.exception), verb
    done = invoke("files", "--feed", "nobody")
    assert exit_status(done) == 2
    assert "skybridge_requests" in str(done.exception)


NEED_A_HOME: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("suggestions", "files", "status", "breaks", "balances", "trial-balance", "held", "decisions", "scorecard"), ()
    ),
    **dict.fromkeys(("release", "discard", "approve"), ("0123456789abcdef", "--reason", "agreed")),
    **dict.fromkeys(("lock", "reopen"), ("2026-10", "--reason", "agreed")),
    "undo": ("4:2", "--reason", "agreed"),
    "resolve": ("0123456789abcdef", "--reason", "agreed"),
    "explain": ("1001",),
    "dispute": ("--partner", "skybridge"),
    "report": (),
    "restate": ("--from", str(MONDAY)),
    "audit": ("verify",),
    "company": ("budgets",),
    "points": ("waiting",),
    "vouchers": ("orders",),
    "replay": ("--into", "again"),
    "backup": ("--to", "backups"),
    "tie-out": (),
    "mail": ("list",),
}
NEED_NONE = {"demo", "run", "restore", "check", "layout", "feeds", "sftp-server"}
"""Commands that make a home, or work without one."""


def test_a_book_that_was_lost_is_missed_by_whoever_reads_or_posts(ran: Office) -> None:
    (ran.home / "book.duckdb").unlink()
    for verb in ("status", "breaks", "balances", "trial-balance", "decisions", "run"):
        done = invoke(verb)
        assert exit_status(done) == 1, verb
        assert "BOOK_DAMAGED" in done.stderr + str(done.exception), verb
    assert not (ran.home / "book.duckdb").exists()
    assert (ran.home / "book.head.json").exists()


@pytest.mark.parametrize(("verb", "arguments"), NEED_A_HOME.items(), ids=NEED_A_HOME)
def test_a_home_that_is_not_there_is_missed_and_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke(verb, *arguments, "--home", str(tmp_path / "none"))
    assert exit_status(done) == 2
    assert f"NOTHING_FOUND {tmp_path / 'none'}: no such folder" in str(done.exception)
    assert "--home" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_every_command_is_known_to_need_a_home_or_none() -> None:
    assert {*NEED_A_HOME, *NEED_NONE} == set(get_command(app).commands)  # type: ignore[attr-defined]


def test_what_is_configured_is_told_without_a_home(tmp_path: Path) -> None:
    done = invoke("feeds", "--home", str(tmp_path / "none"), "--format", "json")
    assert done.exit_code == 0, done.output
    assert "skybridge_requests" in {feed["feed"] for feed in json.loads(done.stdout)}
    assert list(tmp_path.iterdir()) == []


def test_a_table_shows_text_as_it_is() -> None:
    with common.stdout.capture() as shown:
        common.emit_rows([("alert:5:15:100:nora", "[bold]")], ("letter_key", "name"), title="Letters")
    assert "alert:5:15:100:nora" in shown.get()
    assert "[bold]" in shown.get()


def test_what_partners_write_means_itself(capsys: pytest.CaptureFixture[str]) -> None:
    common.emit_rows([("[/x] [bold] :100:",)], ("a",), title="Of [/y]")
    common.emit_rows([], ("a",), title="Of [/z]")
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("[/x] [bold] :100:", "Of [/y]", "Of [/z]: none"))
