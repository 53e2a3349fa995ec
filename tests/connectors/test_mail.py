"""Both postmen: what a real server on loopback takes, refuses and drops, and what lies in a folder."""

import socket
import stat
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from connectors.mail import EmlFolder, SmtpPostman
from counterfoil.errors import Code, CounterfoilError, PermanentError, TransientError
from counterfoil.mail_settings import Smtp
from counterfoil.protocols import Answer, Envelope, Postman
from tests.plugins.mail import FELIX, Certificate, Mailroom, log_in, mail_server

TEXT = b"Subject: one\r\nMessage-ID: <a@programme.example>\r\n\r\n.a line that begins with a dot\r\n..two\r\n"


@dataclass
class Noted:
    """Whether a letter left."""

    left: list[str] = field(default_factory=list)

    def __call__(self) -> None:
        self.left.append("left")


def letter(
    recipient: str = "ada@acme.example", sender: str = "rewards@programme.example", key: str = "k:1"
) -> Envelope:
    return Envelope(key, sender, recipient, TEXT)


def postman(port: int, security: str = "none", **options: object) -> SmtpPostman:
    server = Smtp.model_validate({"host": "127.0.0.1", "port": port, "security": security, **options})
    return SmtpPostman(server, password=None, ca_file=None, domain="programme.example")


def hand(by: Postman, *letters: Envelope) -> list[tuple[Answer, str, bool]]:
    with by:
        found = []
        for one in letters:
            noted = Noted()
            answer, said = by.hand_over(one, leaving=noted)
            found.append((answer, said, bool(noted.left)))
        by.settle()
        return found


def test_a_letter_arrives_byte_for_byte_and_many_share_a_connection(mailroom: Mailroom, mail_port: int) -> None:
    told = hand(postman(mail_port), letter(), letter("bob@acme.example"), letter("cleo@acme.example"))
    assert told == [(Answer.SENT, "250 2.0.0 OK queued as X1", True)] * 3
    assert mailroom.raw == [TEXT] * 3
    assert mailroom.recipients == ["ada@acme.example", "bob@acme.example", "cleo@acme.example"]
    assert mailroom.senders == ["rewards@programme.example"] * 3
    assert mailroom.connections == 1


def test_what_a_server_says_of_a_recipient_is_told_without_the_address(mailroom: Mailroom, mail_port: int) -> None:
    mailroom.answers = {
        ("RCPT", "gone@acme.example"): "550 5.1.1 <gone@acme.example> unknown",
        ("RCPT", "later@acme.example"): "450 4.2.0 greylisted",
        ("DATA", "spam@acme.example"): "554 5.7.1 spam@acme.example does not want this",
        ("DATA", "full@acme.example"): "452 mailbox of full full",
        ("DATA", "kept@acme.example"): "250 2.0.0 kept for kept@acme.example",
    }
    names = ("gone", "later", "spam", "full", "kept", "ada")
    assert hand(postman(mail_port), *(letter(f"{name}@acme.example") for name in names)) == [
        (Answer.REFUSED, "550 5.1.1", False),
        (Answer.DEFERRED, "450 4.2.0", False),
        (Answer.REFUSED, "554 5.7.1", True),
        (Answer.DEFERRED, "452", True),
        (Answer.SENT, "250 2.0.0 kept for …", True),
        (Answer.SENT, "250 2.0.0 OK queued as X1", True),
    ]
    assert mailroom.recipients == ["kept@acme.example", "ada@acme.example"]


def test_a_server_that_refuses_the_sender_refuses_no_letter(mailroom: Mailroom, mail_port: int) -> None:
    mailroom.answers = {("MAIL", "rewards@programme.example"): "550 5.7.1 not you"}
    noted = Noted()
    with postman(mail_port) as by, pytest.raises(PermanentError) as refused:
        by.hand_over(letter(), leaving=noted)
    assert refused.value.code is Code.REMOTE_REFUSED
    assert "not you" not in str(refused.value)
    assert not noted.left
    mailroom.answers = {("MAIL", "rewards@programme.example"): "451 4.3.0 busy"}
    assert hand(postman(mail_port), letter()) == [(Answer.DEFERRED, "451 4.3.0", False)]


@pytest.mark.parametrize("answer", ["530 5.7.0 log in first", "503 what", "500 no"])
def test_an_answer_that_no_letter_causes_stops_all(mailroom: Mailroom, mail_port: int, answer: str) -> None:
    mailroom.answers = {("RCPT", "ada@acme.example"): answer}
    with postman(mail_port) as by, pytest.raises(PermanentError) as refused:
        by.hand_over(letter(), leaving=Noted())
    assert refused.value.code is Code.REMOTE_REFUSED


@pytest.mark.parametrize("when", ["DATA", "done"])
def test_a_server_that_goes_away_with_a_letter_leaves_it_in_the_air(
    mailroom: Mailroom, mail_port: int, when: str
) -> None:
    mailroom.drops = {"ada@acme.example": when}
    noted = Noted()
    with postman(mail_port) as by:
        with pytest.raises(TransientError) as lost:
            by.hand_over(letter(), leaving=noted)
        assert lost.value.code is Code.CONNECTION_LOST
    assert noted.left
    assert len(mailroom.taken) == (when == "done")


def test_a_server_that_ends_a_connection_between_letters_gets_a_new_one(mailroom: Mailroom, mail_port: int) -> None:
    mailroom.a_connection = 2
    people = [letter(f"p{number}@acme.example") for number in range(5)]
    assert [answer for answer, _, _ in hand(postman(mail_port), *people)] == [Answer.SENT] * 5
    assert mailroom.connections == 3
    assert mailroom.recipients == [one.recipient for one in people]


def test_nobody_there_is_transient_and_says_that_letters_wait() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(TransientError) as lost:
            hand(postman(taken.getsockname()[1]), letter())
    assert lost.value.code is Code.CONNECTION_LOST
    assert "letters wait" in str(lost.value)
    assert lost.value.exit_status == 3


@pytest.mark.parametrize("greeting", [b"", b"554 go away\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220" * 5000])
def test_what_is_no_mail_server_is_transient(greeting: bytes) -> None:

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(greeting)

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(TransientError) as lost:
            hand(postman(listening.getsockname()[1]), letter())
        thread.join()
    assert lost.value.code is Code.CONNECTION_LOST


def secure(port: int, certificate: Certificate | None, *, security: str, password: str | None = None) -> SmtpPostman:
    user = {"user": FELIX[0]} if password is not None else {}
    server = Smtp.model_validate({"host": "127.0.0.1", "port": port, "security": security, **user})
    ca_file = certificate.cert if certificate else None
    return SmtpPostman(server, password=password, ca_file=ca_file, domain="programme.example")


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_is_verified_before_anything_is_said(
    mailroom: Mailroom, certificate: Certificate, security: str
) -> None:
    context = certificate.context()
    options = {"tls_context": context, "require_starttls": True} if security == "starttls" else {"ssl_context": context}
    with mail_server(mailroom, **options) as port:
        ((answer, _, _),) = hand(secure(port, certificate, security=security), letter())
        assert answer is Answer.SENT
        with pytest.raises(PermanentError) as untrusted:
            hand(secure(port, None, security=security), letter())
    assert untrusted.value.code is Code.CERTIFICATE_INVALID
    assert len(mailroom.taken) == 1


def test_a_server_without_starttls_gets_no_letter(mailroom: Mailroom, mail_port: int) -> None:
    with pytest.raises(PermanentError) as refused:
        hand(secure(mail_port, None, security="starttls", password=FELIX[1]), letter())
    assert refused.value.code is Code.REMOTE_REFUSED
    assert "STARTTLS" in str(refused.value)
    assert not mailroom.taken


def test_the_secret_logs_in_and_is_never_told(mailroom: Mailroom, certificate: Certificate) -> None:
    context = certificate.context()
    with mail_server(mailroom, tls_context=context, auth_required=True, authenticator=log_in) as port:
        ((answer, _, _),) = hand(secure(port, certificate, security="starttls", password=FELIX[1]), letter())
        assert answer is Answer.SENT
        with pytest.raises(PermanentError) as refused:
            hand(secure(port, certificate, security="starttls", password="another secret"), letter())
        assert refused.value.code is Code.LOGIN_REFUSED
        assert "another secret" not in str(refused.value)
        with pytest.raises(PermanentError) as unknown:
            hand(secure(port, certificate, security="starttls"), letter())
        assert unknown.value.code is Code.REMOTE_REFUSED, "a server that wants a log-in refuses no single letter"


def test_a_missing_certificate_file_is_a_setting(mail_port: int, tmp_path: Path) -> None:
    server = Smtp.model_validate({"host": "127.0.0.1", "port": mail_port})
    by = SmtpPostman(server, password=None, ca_file=tmp_path / "none.pem", domain="programme.example")
    with pytest.raises(CounterfoilError) as invalid:
        hand(by, letter())
    assert invalid.value.code is Code.SETTINGS_INVALID


def test_a_folder_gets_each_letter_once_for_this_account_alone(tmp_path: Path) -> None:
    by = EmlFolder(tmp_path / "out/mail")
    assert not by.took("points:../../7")
    ((answer, said, left),) = hand(by, letter(key="points:../../7"))
    (path,) = (tmp_path / "out/mail").iterdir()
    assert (answer, said, left) == (Answer.SENT, path.name, True)
    assert path.name.startswith("points-..-..-7-")
    assert path.read_bytes() == TEXT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert by.took("points:../../7")
    assert hand(by, letter(key="points:../../7"))[0][2] is False, "the same letter again leaves nothing"
    assert hand(by, letter(key="points:.../7"))[0][2] is True, "another key that looks alike is another letter"
