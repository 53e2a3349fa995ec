"""Letters go out: those of new postings into the outbox, those that are due to the postman, each at most once.

Here: which, in which order, and what is recorded when. Not here: what a letter says (``campaigns``), how it leaves
(``connectors.mail``), or the outbox itself (``landing.outbox``).

A record names a group of letters before the first of them leaves, a second what became of each. Between the two a
diary, which is not fsynced, notes each letter as it leaves and as it is answered: after the kill of a process the
machine still has it, so at most the one letter in the air is unsure. After a lost machine the whole group may be.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Final

from counterfoil.campaigns import Campaign, load_campaign
from counterfoil.clock import local_date
from counterfoil.errors import Code, CounterfoilError, PermanentError, TransientError
from counterfoil.files import ensure_folder, room_for_write, sha256_bytes
from counterfoil.landing.mail_records import LetterState, Sending
from counterfoil.landing.outbox import MAIL, Result
from counterfoil.ledger import lock
from counterfoil.ledger.letters import letters
from counterfoil.letters import LETTERS, Letter, message, valid_address
from counterfoil.limits import LETTERS_AT_ONCE, LOCK_WAIT_S, REFUSED_IN_A_ROW_MAX
from counterfoil.protocols import Answer, Envelope, Postman
from counterfoil.steps.desk import Desk
from counterfoil.steps.publish import batch_id
from counterfoil.steps.voucher_mail import note_sent, revealed
from counterfoil.steps.wording import worded

LAYOUT_SHA: Final = sha256_bytes("\n".join(f"{name} {kind}" for name, kind in LETTERS.items()).encode())
"""What a batch of letters is made under: nothing but what a letter is."""

NO_ADDRESS: Final = "no valid address"

_STATES: Final = {Answer.SENT: LetterState.SENT, Answer.REFUSED: LetterState.REFUSED}
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass
class Mailed:
    """What one run did about letters, and what it could not do. ``written``: letters that are new in the outbox."""

    written: int = 0
    sent: int = 0
    refused: int = 0
    deferred: int = 0
    unsure: int = 0
    troubles: list[CounterfoilError] = field(default_factory=list)

    def count(self, results: Mapping[str, Result]) -> None:
        """Add what became of a sending's letters."""
        states = [result.state for result in results.values()]
        self.sent += states.count(LetterState.SENT)
        self.refused += states.count(LetterState.REFUSED)
        self.unsure += states.count(LetterState.UNSURE)
        self.deferred += sum(result.tried and result.state is LetterState.WAITING for result in results.values())


def send_mail(desk: Desk) -> Mailed:
    """Put the letters of new postings into the outbox, and hand over those that are due. An expected failure is among
    the troubles, and so is what a person must see to: nothing is lost by any of them."""
    mailed = Mailed()
    for act in (write_letters, send_letters, _note_vouchers):
        try:
            act(desk, mailed)
        except CounterfoilError as error:
            mailed.troubles.append(error)
    mailed.troubles += _to_tell(mailed)
    return mailed


def write_letters(desk: Desk, mailed: Mailed) -> None:
    """Put the letters of every posting since the last batch into the outbox; a range without any waits for the next."""
    with desk.book.reading() as book:
        to_n = book.last_posting()
        done = max((known.batch.to_n for known in desk.index.ranges(MAIL) if known.state == "written"), default=0)
        due = letters(book, done, to_n)
        while not due.is_empty():
            batch = desk.index.allot_range(
                target=MAIL, to_n=to_n, mapping_sha=LAYOUT_SHA, batch_id=batch_id, at=desk.now()
            )
            if batch is None:
                return
            if (batch.from_n, batch.to_n) != (done, to_n):
                due = letters(book, batch.from_n, batch.to_n)
            desk.index.outbox.add(batch, worded(desk, due), desk.now())
            mailed.written += due.height
            done = batch.to_n
            due = letters(book, done, to_n)


def _note_vouchers(desk: Desk, _mailed: Mailed) -> None:
    """Let the book know of vouchers that have been handed over."""
    note_sent(desk)


def send_letters(desk: Desk, mailed: Mailed) -> None:
    """Hand over what is due today, each letter at most once a run; one process at a time. Raises what stops all of
    them, once what became of each is recorded."""
    outbox = desk.index.outbox
    today = local_date(desk.now(), desk.settings.zone)
    if not outbox.unfinished() and not outbox.due(today, after=None, limit=1):
        return
    with lock.held(desk.settings.home.mail_lock, exclusive=True, wait_s=LOCK_WAIT_S, purpose="letters"):
        postman = desk.open_postman()
        for dead in outbox.unfinished():
            _settle(desk, dead, postman, mailed)
        round_ = _Round(desk, mailed, today)
        group = round_.next_group()
        if not group:
            return
        with postman:
            while group:
                round_.hand_over(group, postman)
                group = round_.next_group()


def _settle(desk: Desk, dead: Sending, postman: Postman, mailed: Mailed) -> None:
    """Record what became of a sending whose run died."""
    diary = desk.landing.diary(dead.number)
    # What was not fsynced is whole only as long as the machine has not stopped since.
    noted = _Diary.read(diary) if dead.boot and dead.boot == _boot() else None
    unsure = Result(LetterState.UNSURE, "the run ended before an answer", tried=True)
    results = {}
    for position, key in enumerate(dead.keys):
        taken = postman.took(key) if postman.name == dead.postman else None
        if taken is not None:
            results[key] = Result(LetterState.SENT, tried=True) if taken else Result(LetterState.WAITING)
        elif noted is not None:
            results[key] = noted.get(position, Result(LetterState.WAITING)) or unsure
        else:
            results[key] = unsure
    _record(desk, dead.number, results, mailed)


def _record(desk: Desk, number: int, results: Mapping[str, Result], mailed: Mailed) -> None:
    desk.index.outbox.end(number, results, at=desk.now(), run_id=desk.settings.run_id)
    desk.landing.diary(number).unlink(missing_ok=True)
    mailed.count(results)


class _Round:
    """One run's walk through the letters that are due."""

    def __init__(self, desk: Desk, mailed: Mailed, today: date) -> None:
        self._desk = desk
        self._mailed = mailed
        self._day = today
        self._left = desk.settings.mail.letters_a_run
        self._last: Letter | None = None
        self._campaigns: dict[str, Campaign | None] = {}
        self._refused_in_a_row = 0

    def next_group(self) -> list[Letter]:
        """The letters behind those before; a waiting one that was passed over is for the next run."""
        limit = min(self._left, LETTERS_AT_ONCE)
        group = self._desk.index.outbox.due(self._day, after=self._last, limit=limit) if limit else []
        if group:
            self._last = group[-1]
        return group

    def hand_over(self, group: Sequence[Letter], postman: Postman) -> None:
        """Hand over a group. What became of each letter is recorded whatever happens."""
        desk, at = self._desk, self._desk.now()
        whole = revealed(desk, group, self._mailed.troubles)
        ready = [envelope for letter in whole if (envelope := self._envelope(letter, at)) is not None]
        self._left -= len(ready)
        if not ready:
            return
        number = desk.index.outbox.begin(
            [envelope.letter_key for envelope in ready],
            postman=postman.name,
            campaigns={name: campaign.sha256 for name, campaign in sorted(self._campaigns.items()) if campaign},
            boot=_boot(),
            at=at,
            run_id=desk.settings.run_id,
        )
        results = dict.fromkeys((envelope.letter_key for envelope in ready), Result(LetterState.WAITING))
        try:
            with _Diary(desk.landing.diary(number)) as diary:
                for position, envelope in enumerate(ready):
                    desk.progress("handing letters over", self._mailed.sent + position, 0)
                    self._hand_one(position, envelope, postman, diary, results)
        finally:
            postman.settle()
            _record(desk, number, results, self._mailed)

    def _hand_one(
        self, position: int, envelope: Envelope, postman: Postman, diary: "_Diary", results: dict[str, Result]
    ) -> None:
        """Hand one letter over; ``results`` is right at each instant."""
        key = envelope.letter_key
        if not envelope.recipient:
            results[key] = Result(LetterState.REFUSED, NO_ADDRESS)
            return

        def leaving() -> None:
            diary.leaves(position)
            results[key] = Result(LetterState.UNSURE, "the connection ended before an answer", tried=True)

        answer, said = postman.hand_over(envelope, leaving=leaving)
        results[key] = Result(_STATES.get(answer, LetterState.WAITING), said, tried=True)
        diary.answered(position, results[key])
        self._refused_in_a_row = self._refused_in_a_row + 1 if answer is Answer.REFUSED else 0
        if self._refused_in_a_row == REFUSED_IN_A_ROW_MAX:
            raise PermanentError(
                Code.MAIL_REFUSED,
                "outbox",
                found=f"{REFUSED_IN_A_ROW_MAX} letters refused one after another",
                expected="a server that refuses single recipients, not us",
                remedy="See the answers with counterfoil mail list --state refused and ask whoever runs the mail "
                "server; then send them with counterfoil mail resend. The other letters wait",
            )

    def _envelope(self, letter: Letter, at: datetime) -> Envelope | None:
        """A letter ready to go, without a recipient where its address is none; None while its campaign is not sound."""
        campaign = self._campaign(letter.campaign)
        if campaign is None:
            return None
        to = valid_address(letter.recipient)
        if to is None:
            return Envelope(letter.letter_key, campaign.returns_to, "", b"")
        try:
            text = campaign.text(letter)
        except PermanentError as error:
            self._mailed.troubles.append(error)
            self._campaigns[letter.campaign] = None
            return None
        made = message(
            letter,
            text,
            to=to,
            sender=campaign.sender,
            reply_to=campaign.file.reply_to,
            domain=self._desk.settings.mail.domain,
            at=at,
        )
        return Envelope(letter.letter_key, campaign.returns_to, to, made)

    def _campaign(self, name: str) -> Campaign | None:
        """A campaign, read once a run; one that is not sound is told once and its letters wait."""
        if name not in self._campaigns:
            try:
                self._campaigns[name] = load_campaign(self._desk.settings.data, name)
            except PermanentError as error:
                self._mailed.troubles.append(error)
                self._campaigns[name] = None
        return self._campaigns[name]


class _Diary:
    """What left and what was answered, a line each, written at once and never fsynced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def __enter__(self) -> "_Diary":
        ensure_folder(self._path.parent)
        with room_for_write(self._path.parent):
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def leaves(self, position: int) -> None:
        """The first byte is about to leave; DISK_FULL keeps it here."""
        self._write(f"{position}\n")

    def answered(self, position: int, result: Result) -> None:
        self._write(f"{position} {result.state} {result.answer}\n")

    def _write(self, line: str) -> None:
        data = line.encode()
        with room_for_write(self._path.parent):
            while self._file is not None and data:
                data = data[os.write(self._file, data) :]

    @staticmethod
    def read(path: Path) -> dict[int, Result | None] | None:
        """By position the result of each letter that left, None where it has none; None where there is no diary."""
        try:
            lines = path.read_text("utf-8", "replace").split("\n")
        except FileNotFoundError:
            return None
        noted: dict[int, Result | None] = {}
        # What follows the last line end was never written whole.
        for line in lines[:-1]:
            position, _, rest = line.partition(" ")
            state, _, answer = rest.partition(" ")
            noted[int(position)] = Result(LetterState(state), answer, tried=True) if state else None
        return noted


def _boot() -> str:
    """What names the machine's last start; empty where it has no such name, and then no diary is trusted."""
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return ""


def _to_tell(mailed: Mailed) -> list[CounterfoilError]:
    """What a person must see to, or another run."""
    told: list[CounterfoilError] = []
    if mailed.unsure:
        told.append(
            PermanentError(
                Code.MAIL_UNSURE,
                "outbox",
                found=f"{mailed.unsure} letters that left without an answer",
                expected="an answer to each",
                remedy="Nothing sends them again by itself. See counterfoil mail list --state unsure, ask whoever runs "
                "the mail server, and send those that did not go with counterfoil mail resend",
            )
        )
    if mailed.refused:
        told.append(
            PermanentError(
                Code.MAIL_REFUSED,
                "outbox",
                found=f"{mailed.refused} letters refused for good",
                expected="addresses that take mail",
                remedy="See counterfoil mail list --state refused, and have the addresses corrected at their source",
            )
        )
    if mailed.deferred:
        told.append(
            TransientError(
                Code.MAIL_DEFERRED,
                "outbox",
                found=f"{mailed.deferred} letters that the server put off",
                expected="a server that takes them",
                remedy="The next run tries them again",
            )
        )
    return told
