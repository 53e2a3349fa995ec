"""kill -9 while letters are handed over: none is sent twice, and each is in the outbox's record exactly once.

The server kills the sender at chosen messages: when it holds the whole message and has not answered, which nobody can
tell from a lost one, and just after its answer, when the sender writes its records.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from counterfoil.letters import message_part
from counterfoil.steps.mailing import Mailed, send_mail, write_letters
from tests.plugins.homes import MONDAY, Office
from tests.plugins.mail import Mailroom, letters, mail_server, settle_in

LETTERS = 230
"""Two groups and a part of a third."""

PEOPLE = [f"person{number:03d}@acme.example" for number in range(LETTERS)]
COMMAND = [sys.executable, "-c", "from pipelines.commands.app import main; main()", "mail", "send"]


class Killer(Mailroom):
    """A server that kills its client at the ``at``-th message it takes."""

    def __init__(self, at: int, *, answered: bool) -> None:
        super().__init__()
        self.at, self.answered = at, answered
        self.client: subprocess.Popen[bytes] | None = None

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = await super().handle_DATA(server, session, envelope)
        if len(self.taken) == self.at and self.client is not None:
            if self.answered:
                asyncio.get_running_loop().call_later(0.001, self.client.kill)
            else:
                self.client.kill()
        return answer


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose outbox holds letters that are due."""
    office = settle_in(Office(tmp_path_factory.mktemp("mail") / "home"))
    office.begin()
    office.book_day(MONDAY)
    return office.home


@pytest.fixture
def full(prepared: Path, tmp_path: Path, tell_of: Callable[[pl.DataFrame], None]) -> Office:
    """A copy of that home with letters that wait."""
    office = Office(shutil.copytree(prepared, tmp_path / "home"))
    tell_of(letters(*PEOPLE))
    mailed = Mailed()
    with office.desk() as desk:
        write_letters(desk, mailed)
    assert mailed.written == LETTERS
    tell_of(letters())
    return office


def killed(office: Office, room: Killer, port: int) -> int:
    """The command against a server; how it ended."""
    settle_in(office, port)
    env = {**os.environ, "COUNTERFOIL_HOME": str(office.home), "COUNTERFOIL_NOW": office.now.isoformat()}
    env.pop("COUNTERFOIL_RUN_ID", None)
    with subprocess.Popen(COMMAND, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        room.client = process
        process.communicate(timeout=120)
    room.client = None
    return process.returncode


def send_here(office: Office) -> Mailed:
    """What is left, by the same settings."""
    with office.desk() as desk:
        return send_mail(desk)


def states(office: Office) -> dict[str, str]:
    with office.desk() as desk:
        listed = desk.index.outbox.listed()
    assert listed["letter_key"].is_unique().all()
    return dict(zip(listed["letter_key"], listed["state"], strict=True))


def received(room: Mailroom, office: Office) -> set[str]:
    """The letters that the server has, each once."""
    assert max(room.ids().values(), default=0) <= 1, "a letter came twice"
    keys = {message_part(key): key for key in states(office)}
    return {keys[identity[1:33]] for identity in room.ids()}


@pytest.mark.parametrize(("at", "answered"), [(1, False), (57, False), (100, True), (200, False), (230, True)])
def test_a_killed_sender_sends_nothing_twice(full: Office, at: int, answered: bool) -> None:
    room = Killer(at, answered=answered)
    with mail_server(room) as port:
        assert killed(full, room, port) == -signal.SIGKILL
        again = send_here(full)
        found = states(full)
        assert again.unsure == list(found.values()).count("unsure")
        assert send_here(full) == Mailed()
    assert states(full) == found, "whatever is unsure stays so until a person decides"
    sent = {key for key, state in found.items() if state == "sent"}
    unsure = {key for key, state in found.items() if state == "unsure"}
    assert len(found) == LETTERS
    assert sent | unsure == found.keys()
    assert sent <= received(room, full) <= sent | unsure
    assert len(unsure) <= 1, "the diary says of all but the one in the air what became of it"
    with full.desk() as desk:
        desk.index.rebuild()
    assert states(full) == found, "the records alone lead to the same outbox"


def test_after_a_lost_machine_the_group_in_hand_is_unsure(full: Office) -> None:
    room = Killer(150, answered=False)
    with mail_server(room) as port:
        assert killed(full, room, port) == -signal.SIGKILL
        (diary,) = (full.home / "landing/incoming").glob("sending-*.part")
        diary.unlink()
        assert send_here(full).unsure == 100
    found = states(full)
    assert list(found.values()).count("unsure") == 100
    assert list(found.values()).count("sent") == LETTERS - 100
    assert len(received(room, full)) == 180, "the second group got to its 50th letter"


def test_a_killed_writer_of_files_is_sure_of_each(full: Office) -> None:
    """A folder can be asked: after a kill nothing is unsure, and no file is written twice."""
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "replace, count = Path.replace, iter(range(1000))\n"
        "def then_die(self, target):\n"
        "    found = replace(self, target)\n"
        "    if target.suffix == '.eml' and next(count) == 149: os.kill(os.getpid(), 9)\n"
        "    return found\n"
        "Path.replace = then_die\n"
        "from pipelines.commands.app import main\n"
        "sys.argv = ['counterfoil', 'mail', 'send']\n"
        "main()\n"
    )
    env = {**os.environ, "COUNTERFOIL_HOME": str(full.home), "COUNTERFOIL_NOW": full.now.isoformat()}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    files = {path.name: path.stat().st_mtime_ns for path in (full.home / "out/mail").glob("*.eml")}
    assert len(files) == 150
    assert send_here(full) == Mailed(sent=LETTERS - 100), "a whole group was recorded before"
    after = {path.name: path.stat().st_mtime_ns for path in (full.home / "out/mail").glob("*.eml")}
    assert len(after) == LETTERS
    assert files.items() <= after.items()
    assert set(states(full).values()) == {"sent"}
