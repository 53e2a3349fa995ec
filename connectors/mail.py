"""Letters leave: as ``.eml`` files in a folder, or by a mail server (SMTP).

Here: two postmen. Not here: which letters go, what they say, or what is recorded of them (``steps.mailing``).
"""

import contextlib
import re
import smtplib
import ssl
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from counterfoil.errors import Code, PermanentError, TransientError
from counterfoil.files import ensure_folder, sha256_bytes, write_together
from counterfoil.invariants import require
from counterfoil.limits import CONNECT_TIMEOUT_S, MAIL_ANSWER_TIMEOUT_S, READ_TIMEOUT_S
from counterfoil.mail_settings import Smtp
from counterfoil.protocols import Answer, Envelope

_NAME: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_NAME_MAX: Final = 60
_DOT: Final = re.compile(rb"^\.", re.MULTILINE)
_ENHANCED: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?!\S)")
_HIDDEN: Final = re.compile(r"[^\s<>()]*@[^\s<>()]*|[^\x20-\x7e]")
_ANSWER_MAX: Final = 120

_CLOSING: Final = 421
_GO_ON: Final = 354
_OURS: Final = {500, 501, 502, 503, 504, 530, 535, 538}
"""Answers that no letter causes: the server does not take this command, or from nobody who has not logged in."""

_GONE: Final = (OSError, smtplib.SMTPException)
"""The connection ended, stayed silent, or speaks another protocol."""


class EmlFolder:
    """A ``counterfoil.protocols.Postman`` that lays each letter into a folder, whole or not at all.

    A letter's key names its file, so one that is there was handed over: it is never written again.
    """

    name = "folder"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[Path, bytes] = {}

    def __enter__(self) -> Self:
        ensure_folder(self._folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Nothing is held but what was never settled."""
        self._made.clear()

    def hand_over(self, letter: Envelope, *, leaving: Callable[[], None]) -> tuple[Answer, str]:
        """Take the letter; it lies in the folder once settled."""
        path = self._path(letter.letter_key)
        if not path.exists():
            leaving()
            self._made[path] = letter.message
        return Answer.SENT, path.name

    def settle(self) -> None:
        """Write what was taken; DISK_FULL, DISK_FAULT."""
        write_together(self._made, private=True)
        self._made.clear()

    def took(self, letter_key: str) -> bool:
        """Whether its file is there."""
        return self._path(letter_key).exists()

    def _path(self, letter_key: str) -> Path:
        plain = _NAME.sub("-", letter_key)[:_NAME_MAX]
        return self._folder / f"{plain}-{sha256_bytes(letter_key.encode())[:12]}.eml"


class SmtpPostman:
    """A ``counterfoil.protocols.Postman`` that speaks to a mail server, all letters on one connection.

    A connection that the server ends between letters is made anew once. Raises CONNECTION_LOST (transient),
    CERTIFICATE_INVALID, LOGIN_REFUSED and REMOTE_REFUSED (permanent).
    """

    name = "smtp"

    def __init__(self, server: Smtp, *, password: str | None, ca_file: Path | None, domain: str) -> None:
        self._server = server
        self._password = password
        self._ca_file = ca_file
        self._domain = domain
        self._where = f"mail server {server.host}:{server.at_port}"
        self._smtp: smtplib.SMTP | None = None
        self._carried = 0

    def __enter__(self) -> Self:
        require(self._smtp is None, "a postman is entered once at a time")
        self._connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._disconnect()

    def settle(self) -> None:
        """What a server has taken it has taken."""

    def took(self, letter_key: str) -> None:
        """Nobody can ask a mail server."""

    def hand_over(self, letter: Envelope, *, leaving: Callable[[], None]) -> tuple[Answer, str]:
        """One mail transaction; a refusal for good is of this recipient or this message."""
        code, said = self._begun(letter.sender)
        if code in _OURS or code // 100 == 5:
            raise self._refused(f"the server answered {_told(code, said)} to the sender's address")
        if code // 100 == 2:
            code, said = self._asked("RCPT", f"TO:<{letter.recipient}>")
            if code // 100 == 2:
                code, said = self._asked("DATA")
        if code in _OURS:
            raise self._refused(f"the server answered {_told(code, said)}")
        if code != _GO_ON:
            self._asked("RSET")
            return self._answer(code, said)
        self._carried += 1
        leaving()
        return self._answer(*self._given(letter.message))

    def _begun(self, sender: str) -> tuple[int, bytes]:
        """The answer to the sender's address, with which a transaction begins and before which nothing has left."""
        try:
            return self._asked("MAIL", f"FROM:<{sender}>")
        except TransientError:
            if not self._carried:
                raise
            self._disconnect()
            self._connect()
            return self._asked("MAIL", f"FROM:<{sender}>")

    def _given(self, message: bytes) -> tuple[int, bytes]:
        """The answer to a whole message."""
        smtp = self._connected()
        try:
            smtp.send(_DOT.sub(b"..", message.removesuffix(b"\r\n")) + b"\r\n.\r\n")
            self._wait(MAIL_ANSWER_TIMEOUT_S)
            answer = smtp.getreply()
            self._wait(READ_TIMEOUT_S)
        except _GONE as error:
            raise self._lost("the connection ended before the server answered to a message") from error
        return answer

    def _asked(self, command: str, argument: str = "") -> tuple[int, bytes]:
        """The answer to a command; CONNECTION_LOST also where the server says that it ends the connection."""
        try:
            code, said = self._connected().docmd(command, argument)
        except _GONE as error:
            raise self._lost(f"the connection ended at {command}") from error
        if code == _CLOSING or code < 200:
            raise self._lost(f"the server ended the connection at {command}")
        return code, said

    def _answer(self, code: int, said: bytes) -> tuple[Answer, str]:
        known = {2: Answer.SENT, 4: Answer.DEFERRED, 5: Answer.REFUSED}
        if code // 100 not in known:
            raise self._lost("the server answered with no code of this protocol")
        return known[code // 100], _told(code, said)

    # The connection

    def _connect(self) -> None:
        """Reach the server, make the connection unreadable to others, and log in."""
        self._carried = 0
        context = self._context()
        try:
            self._smtp = self._reached(context)
            self._wait(READ_TIMEOUT_S)
            self._smtp.ehlo_or_helo_if_needed()
            if self._server.security == "starttls":
                self._smtp.starttls(context=context)
                self._smtp.ehlo_or_helo_if_needed()
        except ssl.SSLCertVerificationError as error:
            self._disconnect()
            raise self._untrusted() from error
        except smtplib.SMTPNotSupportedError as error:
            self._disconnect()
            raise self._refused("the server does not offer STARTTLS") from error
        except _GONE as error:
            self._disconnect()
            raise self._lost(f"no connection was made ({type(error).__name__})") from error
        if self._server.user is not None:
            self._log_in(self._server.user)

    def _context(self) -> ssl.SSLContext:
        """What proves the server: a certificate for its name, signed by one that is trusted."""
        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except OSError as error:
            raise PermanentError(
                Code.SETTINGS_INVALID,
                "mail.smtp.ca_file",
                found="a file that is not there or holds no certificates",
                expected="certificates in PEM form",
                remedy="Correct it, or leave it out where the server's certificate is signed publicly",
            ) from error

    def _reached(self, context: ssl.SSLContext) -> smtplib.SMTP:
        host, port = self._server.host, self._server.at_port
        if self._server.security == "tls":
            return smtplib.SMTP_SSL(host, port, self._domain, timeout=CONNECT_TIMEOUT_S, context=context)
        return smtplib.SMTP(host, port, self._domain, timeout=CONNECT_TIMEOUT_S)

    def _log_in(self, user: str) -> None:
        """Show the secret, once: a second way with the same secret would only lock the account sooner."""
        smtp = self._connected()
        offered = smtp.esmtp_features.get("auth", "").upper().split()
        smtp.user, smtp.password = user, self._password or ""
        ways = {"PLAIN": smtp.auth_plain, "LOGIN": smtp.auth_login}
        way = next((name for name in ways if name in offered), None)
        if way is None:
            self._disconnect()
            raise self._no_log_in("the server offers neither PLAIN nor LOGIN")
        try:
            smtp.auth(way, ways[way])
        except smtplib.SMTPAuthenticationError as error:
            self._disconnect()
            if error.smtp_code // 100 == 4:
                raise self._lost(f"the server answered {error.smtp_code} to the log-in") from error
            raise self._no_log_in(f"the server answered {error.smtp_code} to the log-in") from error
        except _GONE as error:
            self._disconnect()
            raise self._lost("the connection ended during log-in") from error

    def _connected(self) -> smtplib.SMTP:
        if self._smtp is None:
            raise self._lost("there is no connection any more")
        return self._smtp

    def _wait(self, seconds: float) -> None:
        """How long silence lasts before the server counts as gone."""
        smtp = self._connected()
        if smtp.sock is not None:
            smtp.sock.settimeout(seconds)

    def _disconnect(self) -> None:
        """Say good-bye where somebody still listens; never fails."""
        if self._smtp is None:
            return
        with contextlib.suppress(*_GONE):
            self._wait(CONNECT_TIMEOUT_S)
            self._smtp.quit()
        self._smtp.close()
        self._smtp = None

    # Errors

    def _lost(self, found: str) -> TransientError:
        return TransientError(
            Code.CONNECTION_LOST,
            self._where,
            found=found,
            expected="a mail server that answers",
            remedy="Nothing is lost: letters wait for the next run; check host, port and network if this stays so",
        )

    def _refused(self, found: str) -> PermanentError:
        return PermanentError(
            Code.REMOTE_REFUSED,
            self._where,
            found=found,
            expected="a server that takes this installation's letters",
            remedy="Check mail.smtp in counterfoil.yaml and the campaign's sender; the letters wait",
        )

    def _no_log_in(self, found: str) -> PermanentError:
        return PermanentError(
            Code.LOGIN_REFUSED,
            self._where,
            found=found,
            expected="the log-in to be accepted",
            remedy="Check mail.smtp.user in counterfoil.yaml and its secret; the letters wait",
        )

    def _untrusted(self) -> PermanentError:
        return PermanentError(
            Code.CERTIFICATE_INVALID,
            self._where,
            found="a certificate that does not fit the host or is signed by nobody we trust",
            expected="a valid certificate for that host",
            remedy="Somebody may be in between: nothing was sent. Correct mail.smtp.host, or name the certificate that "
            "signed it as mail.smtp.ca_file",
        )


def _told(code: int, said: bytes) -> str:
    """An answer without a name: its codes, and of a taken letter what the server calls it."""
    text = _HIDDEN.sub("…", " ".join(said.decode("ascii", "replace").split()))
    if code // 100 != 2:
        text = found[0] if (found := _ENHANCED.match(text)) else ""
    return f"{code} {text}".strip()[:_ANSWER_MAX]
