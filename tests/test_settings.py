"""Settings: defaults without a file, one file, the environment, secrets; errors that name keys and never values."""

import os
import pwd
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from counterfoil.errors import Code, UsageError
from counterfoil.mail_settings import MailSettings
from counterfoil.settings import Credentials, Folder, Home, Sftp, load_settings

NORTHSTAR = """
connections:
  northstar:
    sftp: {host: files.northstar.example, port: 2222, user: rewards, root: /data,
           host_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==]}
  drop:
    folder: {path: elsewhere}
"""


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("COUNTERFOIL_"):
            monkeypatch.delenv(name)


def write(home: Path, text: str) -> Path:
    (home / "counterfoil.yaml").write_text(text)
    return home


def refused(home: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_settings(home)
    assert caught.value.code == Code.SETTINGS_INVALID
    assert caught.value.exit_status == 2
    return str(caught.value)


def test_everything_has_a_default(tmp_path: Path, root: Path) -> None:
    settings = load_settings(tmp_path / "none")
    assert settings.start_date == date(2026, 1, 1)
    assert (settings.zone, settings.currency, settings.unit) == ("UTC", "EUR", "points")
    assert settings.data == root / "data"
    assert settings.connection("inbox") == Folder(path=tmp_path / "none" / "inbox")
    assert not (tmp_path / "none").exists()


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, "# nothing\n")).settings_sha == load_settings(tmp_path / "none").settings_sha


def test_home_from_argument_environment_or_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings().home.root == tmp_path / ".counterfoil"
    monkeypatch.setenv("COUNTERFOIL_HOME", str(tmp_path / "from_environment"))
    assert load_settings().home.root == tmp_path / "from_environment"
    assert load_settings(Path("given")).home.root == tmp_path / "given"


def test_home_layout() -> None:
    home = Home(Path("/h"))
    places = {
        home.settings_file: "counterfoil.yaml",
        home.secrets: "secrets",
        home.inbox: "inbox",
        home.landing: "landing",
        home.arrival_db: "arrival.db",
        home.book: "book.duckdb",
        home.book_lock: "book.lock",
        home.book_head: "book.head.json",
        home.staging: "staging",
        home.out_crm: "out/crm",
        home.out_gl: "out/gl",
        home.out_reports: "out/reports",
        home.dagster: "dagster",
    }
    assert {str(path) for path in places} == {f"/h/{name}" for name in places.values()}


def test_connections(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, NORTHSTAR))
    northstar = settings.connection("northstar")
    assert isinstance(northstar, Sftp)
    assert (northstar.host, northstar.port, northstar.user, northstar.root) == (
        "files.northstar.example",
        2222,
        "rewards",
        "/data",
    )
    assert settings.connection("drop") == Folder(path=tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"SETTINGS_INVALID .*no connection 'other'"):
        settings.connection("other")


def test_settings_are_frozen(tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        load_settings(tmp_path).currency = "USD"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("currencey: EUR", "currencey"),
        ("currency: euro-secret", "currency"),
        ("zone: Europe/Secret", "zone"),
        ("zone: ../../etc/secret", "zone"),
        ("start_date: secret", "start_date"),
        ("programme: ''", "programme"),
        ("connections: {a: {}}", "connections.a: names one of sftp and folder"),
        ("connections: {Secret Name: {folder: {path: x}}}", "connections"),
        ("connections: {a: {sftp: {host: h, user: u}, folder: {path: x}}}", "connections.a"),
        ("connections: {a: {sftp: {host: h, user: u, port: 70000}}}", "connections.a.sftp.port"),
        ("connections: {a: {sftp: {host: h, user: u, password: hunter2}}}", "connections.a.sftp.password"),
        ("connections: {a: {sftp: {host: h, user: u, host_keys: [secret]}}}", "connections.a.sftp.host_keys.0"),
        ("- secret", "the whole file"),
        ("home: /tmp", "home"),
        ("clock: secret", "clock"),
    ],
)
def test_a_wrong_key_is_named_and_its_value_is_not(tmp_path: Path, text: str, key: str) -> None:
    message = refused(write(tmp_path, text))
    assert message.startswith(f"SETTINGS_INVALID {tmp_path / 'counterfoil.yaml'}: ")
    assert key in message
    for value in ("euro-secret", "hunter2", "Europe/Secret", "[secret]", "etc/secret", "70000"):
        assert value not in message


@pytest.mark.parametrize(
    "text", ["a: [1", "zone: UTC\nzone: UTC", "connections:\n  a: &b\n    <<: *c", "\x00", "\tx: 1"]
)
def test_unsound_yaml_is_refused(tmp_path: Path, text: str) -> None:
    assert "no sound YAML" in refused(write(tmp_path, text))


def test_a_settings_file_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "counterfoil.yaml").mkdir()
    assert "cannot be read (Is a directory)" in refused(tmp_path)


def test_the_hash_covers_what_changes_results_only(tmp_path: Path) -> None:
    plain = load_settings(tmp_path).settings_sha
    assert load_settings(write(tmp_path, NORTHSTAR)).settings_sha == plain
    assert load_settings(tmp_path / "elsewhere").settings_sha == plain
    changed = [
        load_settings(write(tmp_path, text)).settings_sha
        for text in (
            "programme: p",
            "unit: miles",
            "entity: E2",
            "currency: USD",
            "zone: Asia/Tokyo",
            "start_date: 2025-01-01",
        )
    ]
    assert len({plain, *changed}) == 7


def test_the_clock_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    assert load_settings(tmp_path).clock() >= before
    monkeypatch.setenv("COUNTERFOIL_NOW", "2026-11-20T23:15:00+01:00")
    assert load_settings(tmp_path).clock() == datetime(2026, 11, 20, 22, 15, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "2026-11-20T22:15:00", "2026-13-01T00:00:00Z"])
def test_a_clock_that_is_no_instant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("COUNTERFOIL_NOW", text)
    message = refused(tmp_path)
    assert "COUNTERFOIL_NOW" in message
    assert text not in message


def test_one_run_id_a_process_or_the_given_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = load_settings(tmp_path).run_id
    assert len(mine) == 32
    assert load_settings(tmp_path).run_id == mine
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, load_settings(tmp_path).run_id.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100).decode() != mine
    monkeypatch.setenv("COUNTERFOIL_RUN_ID", "night-1")
    assert load_settings(tmp_path).run_id == "night-1"
    monkeypatch.setenv("COUNTERFOIL_RUN_ID", "a\nb")
    assert "COUNTERFOIL_RUN_ID" in refused(tmp_path)


def test_the_actor_is_the_account_not_a_typed_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "somebody")
    monkeypatch.setenv("LOGNAME", "somebody")
    assert load_settings(tmp_path).actor == f"os:{pwd.getpwuid(os.getuid()).pw_name}"


def test_another_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFOIL_DATA", str(tmp_path))
    assert load_settings(tmp_path).data == tmp_path
    monkeypatch.setenv("COUNTERFOIL_DATA", str(tmp_path / "none"))
    assert "no data folder" in refused(tmp_path)


def test_an_installed_package_finds_its_own_data(tmp_path: Path, root: Path) -> None:
    """Beside an installed package may lie somebody else's folder named data."""
    shutil.copytree(root / "counterfoil", tmp_path / "counterfoil", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "data").mkdir()
    (tmp_path / "counterfoil" / "_data").mkdir()
    code = "from counterfoil.settings import load_settings; print(load_settings().data)"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(tmp_path / "counterfoil" / "_data")


# Secrets


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    return write(tmp_path, NORTHSTAR)


def secret(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_no_secret_is_an_error_that_names_where_to_put_it(home: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_settings(home).credentials("northstar")
    assert caught.value.code == Code.SECRET_MISSING
    assert "COUNTERFOIL_NORTHSTAR_PASSWORD" in str(caught.value)
    assert str(home / "secrets") in str(caught.value)


def test_secrets_from_files(home: Path) -> None:
    secret(home / "secrets" / "northstar.password", " hunter2 \n")
    key = secret(home / "secrets" / "northstar.key", "key")
    found = load_settings(home).credentials("northstar")
    assert found.password is not None
    assert found.password.get_secret_value() == " hunter2 "
    assert found.key_file == key
    assert "hunter2" not in repr(found)


def test_the_environment_comes_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret(home / "secrets" / "northstar.password", "from file")
    key = secret(home / "other.key", "key")
    monkeypatch.setenv("COUNTERFOIL_NORTHSTAR_PASSWORD", "hunter2")
    monkeypatch.setenv("COUNTERFOIL_NORTHSTAR_KEY_FILE", str(key))
    found = load_settings(home).credentials("northstar")
    assert found.password is not None
    assert found.password.get_secret_value() == "hunter2"
    assert found.key_file == key
    assert "hunter2" not in repr(load_settings(home))


def test_a_key_alone_is_enough(home: Path) -> None:
    key = secret(home / "secrets" / "northstar.key", "key")
    assert load_settings(home).credentials("northstar") == Credentials(None, key)


def test_a_named_key_must_be_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret(home / "secrets" / "northstar.password", "hunter2")
    monkeypatch.setenv("COUNTERFOIL_NORTHSTAR_KEY_FILE", str(home / "none"))
    with pytest.raises(
        UsageError, match="SECRET_MISSING connection northstar: no file where COUNTERFOIL_NORTHSTAR_KEY_FILE"
    ):
        load_settings(home).credentials("northstar")


@pytest.mark.parametrize("name", ["northstar.password", "northstar.key"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
def test_a_secret_that_others_can_read_is_refused(home: Path, name: str, mode: int) -> None:
    secret(home / "secrets" / name, "hunter2", mode)
    with pytest.raises(UsageError) as caught:
        load_settings(home).credentials("northstar")
    assert caught.value.code == Code.SECRET_EXPOSED
    assert "chmod 600" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_password_file_with_nothing_or_no_text(home: Path) -> None:
    path = secret(home / "secrets" / "northstar.password", "\n")
    with pytest.raises(UsageError, match="SECRET_MISSING"):
        load_settings(home).credentials("northstar")
    path.write_bytes(b"hunter\xff")
    with pytest.raises(UsageError, match=r"SECRET_MISSING .*no UTF-8 text") as caught:
        load_settings(home).credentials("northstar")
    assert "hunter" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_secrets_of_connections_only(home: Path) -> None:
    with pytest.raises(UsageError, match="no connection"):
        load_settings(home).credentials("../northstar")


def mail(**keys: object) -> MailSettings:
    return MailSettings.model_validate(keys)


def test_letters_go_to_a_folder_until_a_server_is_named() -> None:
    assert mail().smtp is None
    smtp = mail(domain="rewards.example", smtp={"host": "smtp.example"}).smtp
    assert smtp is not None
    assert (smtp.security, smtp.at_port) == ("starttls", 587)


@pytest.mark.parametrize(
    "keys",
    [
        {"smtp": {"host": "smtp.example"}},
        {"domain": "rewards.example", "smtp": {"host": "smtp.example", "security": "none"}},
        {"domain": "rewards.example", "smtp": {"host": "127.0.0.1", "security": "none", "user": "felix"}},
        {"domain": "rewards.example", "smtp": {"host": "smtp.example", "password": "in the open"}},
        {"domain": "no domain"},
        {"letters_a_run": 0},
    ],
)
def test_mail_that_would_leave_readable_or_nameless_is_refused(keys: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        mail(**keys)


def test_the_mail_secret_is_found_as_those_of_connections_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(tmp_path)
    with pytest.raises(UsageError) as missing:
        settings.mail_password("mail")
    assert missing.value.code is Code.SECRET_MISSING
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/mail.password").touch(0o600)
    (tmp_path / "secrets/mail.password").write_text("from a file\n")
    assert settings.mail_password("mail").get_secret_value() == "from a file"
    monkeypatch.setenv("COUNTERFOIL_MAIL_PASSWORD", "from the environment")
    assert settings.mail_password("mail").get_secret_value() == "from the environment"
