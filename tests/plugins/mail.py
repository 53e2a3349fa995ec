"""A real mail server on loopback, and letters to send to it.

Here: the server's behaviour by recipient, its certificate, a source of letters that only tests have. Not here: any
expectation.
"""

import asyncio
import datetime as dt
import email
import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from email import policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from counterfoil.ledger import letters as sources
from counterfoil.ledger.lookups import Lookups
from counterfoil.letters import LETTERS
from tests.plugins.homes import MONDAY, Office

FELIX = ("felix", "felix secret")


@dataclass
class Mailroom:
    """What a server has taken, in order, and how it treats whom: answers by recipient at each command.

    ``drops``: recipients at whose message the server goes away, before (``DATA``) or after (``done``) it took it.
    """

    answers: dict[tuple[str, str], str] = field(default_factory=dict)
    drops: dict[str, str] = field(default_factory=dict)
    taken: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    connections: int = 0
    on_this: int = 0
    a_connection: int | None = None
    """Messages that the server takes on one connection."""

    def ids(self) -> Counter[str]:
        return Counter(str(message["Message-ID"]) for message in self.taken)

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        self.on_this = 0
        return responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.a_connection is not None and self.on_this >= self.a_connection:
            self._hang_up(server)
            return "421 4.7.0 enough"
        answer = self.answers.get(("MAIL", address), "250 OK")
        if answer.startswith("2"):
            envelope.mail_from = address
        return answer

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.answers.get(("RCPT", address), "250 OK")
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        (recipient,) = envelope.rcpt_tos
        drop = self.drops.get(recipient)
        if drop == "DATA":
            self._hang_up(server)
            return "250 nobody hears this"
        answer = self.answers.get(("DATA", recipient), "250 2.0.0 OK queued as X1")
        if answer.startswith("2"):
            content = envelope.content if isinstance(envelope.content, bytes) else b""
            self.raw.append(content)
            self.taken.append(email.message_from_bytes(content, policy=policy.default))
            self.recipients.append(recipient)
            self.senders.append(envelope.mail_from or "")
            self.on_this += 1
        if drop == "done":
            self._hang_up(server)
        return answer

    @staticmethod
    def _hang_up(server: SMTP) -> None:
        assert isinstance(server.transport, asyncio.WriteTransport)
        server.transport.abort()


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1 and its key."""

    cert: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate that nobody else trusts."""
    folder = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example")])
    began = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(began)
        .not_valid_after(began + dt.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Certificate(folder / "cert.pem", folder / "key.pem")


class _AnyPort(Controller):
    """A server on a port that the system chooses."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def mail_server(room: Mailroom, port: int = 0, **options: Any) -> Iterator[int]:
    """A server until the context ends; its port."""
    server = _AnyPort(room, hostname="127.0.0.1", port=port, **options)
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


def log_in(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword) -> AuthResult:
    """Lets one account in."""
    return AuthResult(success=(data.login.decode(), data.password.decode()) == FELIX, handled=False)


@pytest.fixture
def mailroom() -> Mailroom:
    """What the server of this test takes and answers."""
    return Mailroom()


@pytest.fixture
def mail_port(mailroom: Mailroom) -> Iterator[int]:
    """A plain server on loopback."""
    with mail_server(mailroom) as port:
        yield port


def letters(
    *recipients: str, due: date = MONDAY, kind: str = "points", first: int = 1, posting: int = 1
) -> pl.DataFrame:
    """Letters to people, one each."""
    rows = [
        {
            "letter_key": f"{kind}:{number:06d}",
            "kind": kind,
            "campaign": "standard",
            "company": "acme",
            "recipient": recipient,
            "name": f"Person {number}",
            "points": 100 + number,
            "due": due,
            "posting": posting,
        }
        for number, recipient in enumerate(recipients, start=1)
    ]
    return pl.DataFrame(rows, schema=LETTERS)


@pytest.fixture
def tell_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[pl.DataFrame], None]:
    """``tell_of(letters)``: a source of letters that has these, each with its posting's range."""

    def install(frame: pl.DataFrame) -> None:
        def source(book: Lookups, from_n: int, to_n: int) -> pl.DataFrame:
            return frame.filter(pl.col("posting").is_between(from_n + 1, to_n))

        monkeypatch.setattr(sources, "SOURCES", (source,))

    return install


def settle_in(office: Office, port: int | None = None, more: Iterable[str] = ()) -> Office:
    """A home that has postings, and that sends by the server at a port."""
    office.home.mkdir(parents=True, exist_ok=True)
    lines = [f"start_date: {MONDAY}", *more]
    if port is not None:
        lines.append(f"mail: {{domain: programme.example, smtp: {{host: 127.0.0.1, port: {port}, security: none}}}}")
    (office.home / "counterfoil.yaml").write_text("\n".join(lines) + "\n")
    return office


def bounce(
    message_id: str,
    recipient: str,
    *,
    action: str = "failed",
    status: str = "5.1.1",
    returned: str = "message/rfc822",
    more: str = "",
    after: str = "",
) -> bytes:
    """A mail server's report about a message, as RFC 3464 has it."""
    original = f"From: rewards@programme.example\r\nMessage-ID: {message_id}\r\nSubject: points\r\n\r\nHello\r\n"
    back = f"--b\r\nContent-Type: {returned}\r\n\r\n{original}\r\n" if returned else ""
    return (
        "From: MAILER-DAEMON@mx.acme.example\r\nTo: rewards@programme.example\r\nSubject: Undelivered\r\n"
        'MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nI am sorry.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.acme.example\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\n{more}Action: {action}\r\nStatus: {status}\r\n{after}\r\n"
        f"{back}--b--\r\n"
    ).encode()
