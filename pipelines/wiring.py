"""Binds the core's protocols to parsers and connectors: builds the desk that commands and assets work at.

Here: construction only, on demand, never at import. Not here: Dagster, which has its own resource over this.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.crm.salesforce import SalesforceFiles
from connectors.gl.neutral import NeutralCsv
from connectors.gl.oracle_fbdi import OracleFbdi
from connectors.localdir import LocalSource
from connectors.pgp import GnuPG
from counterfoil.errors import Code, UsageError
from counterfoil.feed import LANDED_HERE
from counterfoil.landing.index import ArrivalIndex
from counterfoil.landing.store import LandingStore
from counterfoil.ledger.chart import load_rulebook
from counterfoil.ledger.store import Book
from counterfoil.protocols import Postman, Reader, Source
from counterfoil.settings import Folder, Settings, load_settings
from counterfoil.steps import restore
from counterfoil.steps.desk import Desk, Progress, ProofDesk, silent
from parsers.registry import LayoutReader

if TYPE_CHECKING:
    from counterfoil.vault import Vault


@contextmanager
def open_desk(settings: Settings, *, progress: Progress = silent) -> Iterator[Desk]:
    """The desk of an installation, its arrival index open for as long as the context lasts. FOLDER_TAKEN."""
    home = settings.home
    restore.require_whole(home)
    landing = LandingStore(home.landing)
    keys = vault_of(settings)
    reader = LayoutReader(settings.data, vault=keys)
    with ArrivalIndex(home.arrival_db, landing, batches=home.out_crm) as index:
        yield Desk(
            settings=settings,
            landing=landing,
            index=index,
            book=Book(home.book, home.book_lock, home.book_head, recorded=landing.last_n),
            reader=reader,
            rulebook=load_rulebook(settings.data),
            open_source=lambda alias: open_source(settings, reader, alias),
            pgp=pgp(settings),
            vault=keys,
            crm_targets=[SalesforceFiles(settings.data / "crm/salesforce.yaml")],
            journal_targets=[NeutralCsv(), OracleFbdi(settings.data / "gl/oracle_fbdi.yaml")],
            open_postman=lambda: open_postman(settings),
            progress=progress,
        )


@contextmanager
def desk_at(home: Path | None, *, progress: Progress = silent) -> Iterator[Desk]:
    """The desk of an ``existing`` home folder."""
    with open_desk(existing(home), progress=progress) as desk:
        yield desk


def existing(home: Path | None) -> Settings:
    """The settings of a home folder that is there already; NOTHING_FOUND otherwise, and nothing is made.

    Every command begins with it but those that make a home (``run``, ``restore``, ``demo``) or need none.
    """
    settings = load_settings(home)
    if not settings.home.root.is_dir():
        raise UsageError(
            Code.NOTHING_FOUND,
            str(settings.home.root),
            found="no such folder",
            expected="a home that has run",
            remedy="Name that home with --home or COUNTERFOIL_HOME",
        )
    return settings


def proof_desk(settings: Settings, *, progress: Progress = silent) -> ProofDesk:
    """The part of a desk that proving and replaying work at; opens nothing."""
    home = settings.home
    landing = LandingStore(home.landing)
    return ProofDesk(
        settings=settings,
        landing=landing,
        book=Book(home.book, home.book_lock, home.book_head, recorded=landing.last_n),
        reader=LayoutReader(settings.data, vault=vault_of(settings)),
        progress=progress,
    )


def vault_of(settings: Settings) -> Callable[[], "Vault"]:
    """The vault of an installation, made when it is first asked for: SECRET_MISSING, SECRET_EXPOSED."""

    @cache
    def opened() -> "Vault":
        # Imported here: only what handles voucher codes needs it.
        from counterfoil.vault import vault  # noqa: PLC0415

        keys, digest = settings.voucher_secrets()
        return vault(keys.get_secret_value().split(), digest.get_secret_value())

    return opened


def pgp(settings: Settings) -> GnuPG:
    """What takes OpenPGP wrappers off: partners' public keys lie with their layouts, our private ones in secrets."""
    return GnuPG(settings.data / "partners", settings.pgp_secrets)


def open_source(settings: Settings, reader: Reader, alias: str) -> Source:
    """The source a connection names; SETTINGS_INVALID and SECRET_MISSING when it is not set up.

    The folders that layouts look for are made in a local one, so that people see where files go.
    """
    place = settings.connection(alias)
    if isinstance(place, Folder):
        for feed in reader.feeds():
            if feed.arrival.connection == alias and feed.kind not in LANDED_HERE:
                (place.path / feed.arrival.folder).mkdir(parents=True, exist_ok=True)
        return LocalSource(alias=alias, root=place.path)
    # Imported here: paramiko takes half a second, and most commands never call a server.
    from connectors.sftp import SftpSource  # noqa: PLC0415

    secrets = settings.credentials(alias)
    return SftpSource(
        alias=alias,
        host=place.host,
        port=place.port,
        user=place.user,
        host_keys=place.host_keys,
        password=secrets.password.get_secret_value() if secrets.password else None,
        key_file=secrets.key_file,
        root=place.root,
    )


def open_postman(settings: Settings) -> Postman:
    """What takes letters away: the mail server of the settings, or a folder. SECRET_MISSING, SECRET_EXPOSED."""
    # Imported here: most commands send nothing.
    from connectors.mail import EmlFolder, SmtpPostman  # noqa: PLC0415

    mail, home = settings.mail, settings.home
    if mail.smtp is None:
        return EmlFolder(home.root / mail.folder.expanduser())
    password = settings.mail_password(mail.smtp.alias) if mail.smtp.user is not None else None
    return SmtpPostman(
        mail.smtp,
        password=password.get_secret_value() if password else None,
        ca_file=home.root / mail.smtp.ca_file.expanduser() if mail.smtp.ca_file else None,
        domain=mail.domain,
    )
