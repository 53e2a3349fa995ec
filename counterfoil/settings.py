"""What this installation is told: its home folder, programme, connections, secrets, clock and who runs it.

Here: the settings file and the only place that reads the environment. Not here: what layouts and rules declare.
"""

import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Self
from uuid import uuid4

import yaml
from pydantic import ConfigDict, Field, SecretStr, StringConstraints, ValidationError, model_validator

from counterfoil.clock import Zone, fixed_clock, system_clock
from counterfoil.contract import Contract
from counterfoil.errors import Code, UsageError
from counterfoil.files import canonical_json, sha256_bytes
from counterfoil.mail_settings import MailSettings
from counterfoil.secret_files import private_file, private_text

INBOX: Final = "inbox"
"""The connection that every installation has: a folder below its home."""

_NOT_PLACES: Final = {"programme", "unit", "entity", "currency", "zone", "start_date"}
_ADDED_LATER: Final = {"points_live_days", "return_grace_days", "approval_points", "approval_minor"}
"""Left out of what is hashed while at their defaults, so that a setting that came later changes no old hash."""

_PROBLEMS_SHOWN: Final = 5
_RUN_ID_MAX: Final = 100
_RUN_IDS: Final[dict[int, str]] = {}


@dataclass(frozen=True)
class Home:
    """Where everything that the program keeps at run time lies."""

    root: Path

    @property
    def settings_file(self) -> Path:
        return self.root / "counterfoil.yaml"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def inbox(self) -> Path:
        return self.root / INBOX

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    @property
    def arrival_db(self) -> Path:
        return self.root / "arrival.db"

    @property
    def book(self) -> Path:
        return self.root / "book.duckdb"

    @property
    def book_lock(self) -> Path:
        return self.root / "book.lock"

    @property
    def book_head(self) -> Path:
        return self.root / "book.head.json"

    @property
    def mail_lock(self) -> Path:
        return self.root / "mail" / "sending.lock"

    @property
    def staging(self) -> Path:
        return self.root / "staging"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def out_crm(self) -> Path:
        return self.out / "crm"

    @property
    def out_gl(self) -> Path:
        return self.out / "gl"

    @property
    def out_disputes(self) -> Path:
        return self.out / "disputes"

    @property
    def out_suppliers(self) -> Path:
        return self.out / "suppliers"

    @property
    def out_statements(self) -> Path:
        return self.out / "statements"

    @property
    def out_reports(self) -> Path:
        return self.out / "reports"

    @property
    def dagster(self) -> Path:
        return self.root / "dagster"


Label = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$")]
HostKey = Annotated[str, StringConstraints(pattern=r"^[a-z0-9@.-]+ [A-Za-z0-9+/]+=*$")]
Alias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class Sftp(Contract):
    """A partner's SFTP server. ``host_keys`` pins its key (``ssh-ed25519 AAAA…``); two while it is being changed."""

    host: Label
    port: int = Field(default=22, ge=1, le=65535)
    user: Label
    host_keys: tuple[HostKey, ...] = Field(default=(), max_length=2)
    root: str = "/"
    """The remote folder below which the layouts' folders lie."""


class Folder(Contract):
    """A folder on this machine; a relative path counts from the home folder."""

    path: Path


class Connection(Contract):
    """One place that files come from: exactly one of the two."""

    sftp: Sftp | None = None
    folder: Folder | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.sftp is None) == (self.folder is None):
            raise ValueError("names one of sftp and folder")
        return self


class ProgrammeSettings(Contract):
    """``counterfoil.yaml``, each key with its default: without the file everything works."""

    programme: Label = "rewards"
    unit: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")] = "points"
    """What the programme counts in."""
    entity: Label = "E1"
    """The legal entity whose general ledger carries the liability."""
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "EUR"
    zone: Zone = "UTC"
    """The programme's time zone: when its days close."""
    start_date: date = date(2026, 1, 1)
    """The first business date that the program keeps."""
    points_live_days: Annotated[int, Field(ge=1)] | None = None
    """How long points live whose file does not say when they expire; for ever by default."""
    return_grace_days: Annotated[int, Field(ge=0)] = 30
    """How long points live that return after they would have expired."""
    approval_points: Annotated[int, Field(ge=0)] = 1_000_000
    """Points that one person may move in a day for one cause before another person must approve."""
    approval_minor: Annotated[int, Field(ge=0)] = 1_000_000
    """The same in minor units of the currency."""
    connections: dict[Alias, Connection] = Field(default_factory=dict)
    mail: MailSettings = MailSettings()


@dataclass(frozen=True)
class Credentials:
    """What logs a connection in: a key file, a password, or a key file whose passphrase is the password."""

    password: SecretStr | None
    key_file: Path | None


class Settings(ProgrammeSettings):
    """The settings file and what surrounds it: places, clock, run and actor. Holds no secret."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    home: Home
    data: Path
    """Layouts, targets, rules and templates."""
    clock: Callable[[], datetime]
    run_id: str
    actor: str
    """The account that runs this process, as the operating system knows it: ``os:<name>``."""

    @cached_property
    def settings_bytes(self) -> bytes:
        """The settings that can change a result, as they are landed: no places, hosts or secrets."""
        kept = self.model_dump(mode="json", include=_NOT_PLACES)
        later = self.model_dump(mode="json", include=_ADDED_LATER, exclude_defaults=True)
        return canonical_json(kept | later)

    @cached_property
    def settings_sha(self) -> str:
        """The SHA-256 of ``settings_bytes``."""
        return sha256_bytes(self.settings_bytes)

    def connection(self, alias: str) -> Sftp | Folder:
        """A connection by its alias, a folder with its full path; SETTINGS_INVALID when it is not configured."""
        found = self.connections.get(alias, Connection(folder=Folder(path=Path(INBOX))) if alias == INBOX else None)
        if found is not None and found.folder is not None:
            return Folder(path=self.home.root / found.folder.path.expanduser())
        if found is not None and found.sftp is not None:
            return found.sftp
        raise UsageError(
            Code.SETTINGS_INVALID,
            f"{self.home.settings_file} connections",
            found=f"no connection {alias!r}",
            expected="every connection that a layout names",
            remedy="Add it with sftp: or folder: beneath",
        )

    def credentials(self, alias: str) -> Credentials:
        """The secrets of a configured connection, read now and kept nowhere.

        Each from COUNTERFOIL_<ALIAS>_PASSWORD or COUNTERFOIL_<ALIAS>_KEY_FILE, else from ``<alias>.password`` or
        ``<alias>.key`` in the secrets folder. Raises SECRET_MISSING when there is neither, SECRET_EXPOSED when other
        accounts can get at a file.
        """
        self.connection(alias)
        variable, key_variable = f"COUNTERFOIL_{alias.upper()}_PASSWORD", f"COUNTERFOIL_{alias.upper()}_KEY_FILE"
        password = self._password(alias)
        named = os.environ.get(key_variable)
        key_file = private_file(Path(named).expanduser() if named else self.home.secrets / f"{alias}.key")
        if key_file is None and (named or not password):
            raise UsageError(
                Code.SECRET_MISSING,
                f"connection {alias}",
                found=f"no file where {key_variable} says" if named else "neither a password nor a key",
                expected=f"{variable}, {key_variable}, or {alias}.password or {alias}.key in the secrets folder",
                remedy=f"Put one there; the secrets folder is {self.home.secrets}",
            )
        return Credentials(SecretStr(password) if password else None, key_file)

    def mail_password(self, alias: str) -> SecretStr:
        """What logs in at the mail server, read now and kept nowhere; SECRET_MISSING, SECRET_EXPOSED."""
        password = self._password(alias)
        if password is None:
            raise UsageError(
                Code.SECRET_MISSING,
                "mail.smtp",
                found="a user without a password",
                expected=f"COUNTERFOIL_{alias.upper()}_PASSWORD, or {alias}.password in the secrets folder",
                remedy=f"Put it there; the secrets folder is {self.home.secrets}",
            )
        return SecretStr(password)

    def _password(self, alias: str) -> str | None:
        named = os.environ.get(f"COUNTERFOIL_{alias.upper()}_PASSWORD")
        return named or private_text(self.home.secrets / f"{alias}.password")

    def pgp_secrets(self, alias: str) -> Credentials:
        """What decrypts a connection's files: ``<alias>.asc`` of the secrets folder, an exported private key, and its
        passphrase in ``<alias>.passphrase`` where it has one. SECRET_EXPOSED."""
        passphrase = private_text(self.home.secrets / f"{alias}.passphrase")
        key_file = private_file(self.home.secrets / f"{alias}.asc")
        return Credentials(SecretStr(passphrase) if passphrase else None, key_file)

    def voucher_secrets(self) -> tuple[SecretStr, SecretStr]:
        """The keys that voucher codes are sealed under, apart by blanks or lines, the one in use first; and the key of
        their digests. Empty where there are none.

        From COUNTERFOIL_VOUCHERS_KEYS and COUNTERFOIL_VOUCHERS_DIGEST, else from ``vouchers.keys`` and
        ``vouchers.digest`` in the secrets folder. SECRET_EXPOSED.
        """
        keys = os.environ.get("COUNTERFOIL_VOUCHERS_KEYS") or private_text(self.voucher_keys_file)
        digest = os.environ.get("COUNTERFOIL_VOUCHERS_DIGEST") or private_text(self.voucher_digest_file)
        return SecretStr(keys or ""), SecretStr(digest or "")

    @property
    def voucher_keys_file(self) -> Path:
        return self.home.secrets / "vouchers.keys"

    @property
    def voucher_digest_file(self) -> Path:
        return self.home.secrets / "vouchers.digest"


def load_settings(home: Path | None = None) -> Settings:
    """Everything this process is told, from the home folder's ``counterfoil.yaml`` and the environment.

    The home is the argument, else COUNTERFOIL_HOME, else ``.counterfoil`` here; it need not exist. COUNTERFOIL_DATA
    names another data folder, COUNTERFOIL_NOW (an instant with its offset) stops the clock, COUNTERFOIL_RUN_ID names
    the run. Raises SETTINGS_INVALID, which names file and key and never a value.
    """
    place = Home((home or Path(os.environ.get("COUNTERFOIL_HOME") or ".counterfoil")).expanduser().absolute())
    programme = _programme_settings(place.settings_file)
    return Settings(
        **dict(programme),
        home=place,
        data=_data_folder(),
        clock=_clock(),
        run_id=_run_id(),
        actor=os_account(os.getuid()),
    )


def landed_settings(data: bytes) -> ProgrammeSettings:
    """The settings that were in force, from the bytes that were landed."""
    return ProgrammeSettings.model_validate_json(data)


class _Loader(yaml.SafeLoader):
    """YAML that refuses the same key twice, of which the plain loader keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(keys) != len(set(keys)):
            raise yaml.MarkedYAMLError(problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def _programme_settings(path: Path) -> ProgrammeSettings:
    try:
        content = yaml.load(path.read_bytes(), _Loader)  # noqa: S506 (a safe loader, made stricter)
        return ProgrammeSettings.model_validate({} if content is None else content)
    except FileNotFoundError:
        return ProgrammeSettings()
    except OSError as error:
        raise _invalid(str(path), f"a file that cannot be read ({os.strerror(error.errno or 0)})") from error
    except yaml.YAMLError as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        line = f" near line {mark.line + 1}" if mark else ""
        raise _invalid(str(path), f"no sound YAML{line}, or a key given twice") from error
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in problem['loc']) or 'the whole file'}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise _invalid(str(path), "; ".join(problems[:_PROBLEMS_SHOWN])) from error


def _invalid(where: str, found: str) -> UsageError:
    return UsageError(
        Code.SETTINGS_INVALID,
        where,
        found=found,
        expected="the keys and forms of the settings reference",
        remedy="Correct it and run again",
    )


def _data_folder() -> Path:
    package = Path(__file__).resolve().parent
    checkout, installed = package.parent / "data", package / "_data"
    named = os.environ.get("COUNTERFOIL_DATA")
    if named:
        folder = Path(named).expanduser().absolute()
    else:
        # An installed package may lie beside somebody else's folder named data.
        folder = checkout if (package.parent / "pyproject.toml").is_file() else installed
    if not folder.is_dir():
        raise _invalid("COUNTERFOIL_DATA" if named else str(package), "no data folder")
    return folder


def _clock() -> Callable[[], datetime]:
    text = os.environ.get("COUNTERFOIL_NOW")
    if not text:
        return system_clock
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise _invalid("COUNTERFOIL_NOW", "no instant such as 2026-11-20T22:15:00Z") from error
    if instant.tzinfo is None:
        raise _invalid("COUNTERFOIL_NOW", "an instant without its offset from UTC")
    return fixed_clock(instant.astimezone(UTC))


def _run_id() -> str:
    named = os.environ.get("COUNTERFOIL_RUN_ID")
    if named and not (named.isascii() and named.isprintable() and len(named) <= _RUN_ID_MAX):
        raise _invalid("COUNTERFOIL_RUN_ID", f"no printable ASCII text of at most {_RUN_ID_MAX} characters")
    # A forked child is another process and gets an id of its own.
    return named or _RUN_IDS.setdefault(os.getpid(), uuid4().hex)


def os_account(uid: int) -> str:
    """``os:<name>``: an account as the operating system knows it."""
    try:
        return f"os:{pwd.getpwuid(uid).pw_name}"
    except KeyError:  # a container may run under an account that has no name
        return f"os:#{uid}"
