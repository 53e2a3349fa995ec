"""The part of the arrival index about letters: which there are, where each stands, and which may go.

Here: the outbox as the sum of its records, each fsynced in the landing store before it counts. Not here: making or
handing over a letter (``steps.mailing``).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any, Final

import polars as pl

from counterfoil.clock import utc_text
from counterfoil.errors import Code, UsageError
from counterfoil.invariants import require
from counterfoil.landing.database import Database
from counterfoil.landing.mail_records import (
    Bounced,
    Handed,
    LettersDue,
    LetterState,
    MailRecord,
    Resend,
    Sending,
)
from counterfoil.landing.records import record_fields, record_from_row
from counterfoil.landing.store import LandingStore
from counterfoil.letters import LETTERS, RESENT, Letter, message_part
from counterfoil.protocols import Batch

MAIL: Final = "mail"
"""The one range of letters."""

_ROWS_AT_ONCE: Final = 5_000
"""Letters of a batch that are read at once."""

_COLUMNS: Final = ", ".join(LETTERS)

_INSERT_LETTER: Final = f"""INSERT OR IGNORE INTO letters ({_COLUMNS}, message, at)
    VALUES ({", ".join(f":{name}" for name in LETTERS)}, :message, :at)"""  # noqa: S608 (names of ours)

_COPY_LETTER: Final = f"""INSERT OR IGNORE INTO letters ({_COLUMNS}, message, at, resends, actor, reason)
    SELECT {", ".join({"letter_key": ":letter_key", "due": ":due"}.get(name, name) for name in LETTERS)},
        :message, :at, letter_key, :actor, :reason FROM letters WHERE letter_key = :of"""  # noqa: S608 (names of ours)

_RANGE: Final = """INSERT OR REPLACE INTO ranges (target, from_n, to_n, batch_id, mapping_sha, state, made_at)
    VALUES (:target, :from_n, :to_n, :batch_id, :mapping_sha, 'written', :at)"""

_HANDED: Final = """UPDATE letters SET state = :state, answer = :answer, attempts = attempts + :tried, at = :at
    WHERE letter_key = :letter_key"""

_BACK: Final = """SELECT letter_key, status FROM bounces WHERE number > :sending AND action = 'failed'
    AND letter_key IS NOT NULL ORDER BY number"""

LISTED: Final[dict[str, pl.DataType]] = {
    "letter_key": pl.String(),
    "kind": pl.String(),
    "campaign": pl.String(),
    "company": pl.String(),
    "recipient": pl.String(),
    "due": pl.Date(),
    "posting": pl.Int64(),
    "state": pl.String(),
    "attempts": pl.Int64(),
    "answer": pl.String(),
    "at": pl.String(),
    "resends": pl.String(),
    "actor": pl.String(),
    "reason": pl.String(),
}
"""A letter as it is listed: its facts and where it stands."""


@dataclass(frozen=True)
class Result:
    """What became of one letter of a sending; ``tried`` where the mail server was asked."""

    state: LetterState
    answer: str = ""
    tried: bool = False


class Outbox:
    """Letters and their states. Every change is a numbered record first, so after a crash, or with the index lost, the
    same records lead to the same states."""

    def __init__(self, db: Database, store: LandingStore) -> None:
        self._db = db
        self._store = store

    # What changes

    def add(self, batch: Batch, letters: pl.DataFrame, at: datetime) -> None:
        """Put the letters of a range of postings in, once; a key that is known already is the letter that it was."""
        payload = self._store.land_bytes(letters.write_ndjson().encode())
        with self._db.transaction():
            number = self._next()
            query = "SELECT state FROM ranges WHERE target = :target AND from_n = :from_n"
            if [row["state"] for row in self._db.rows(query, vars(batch))] == ["written"]:
                return
            self._append(
                LettersDue(
                    what="letters",
                    number=number,
                    batch_id=batch.batch_id,
                    mapping_sha=batch.mapping_sha,
                    from_n=batch.from_n,
                    to_n=batch.to_n,
                    letters=letters.height,
                    payload_sha=payload,
                    at=at,
                )
            )

    def begin(
        self, keys: Sequence[str], *, postman: str, campaigns: Mapping[str, str], boot: str, at: datetime, run_id: str
    ) -> int:
        """Record that these waiting letters are being handed over; returns the sending's number."""
        with self._db.transaction():
            number = self._next()
            waiting = self._db.value(
                """SELECT count(*) FROM letters WHERE state = 'waiting'
                AND letter_key IN (SELECT value FROM json_each(:keys))""",
                {"keys": json.dumps(keys)},
            )
            require(waiting == len(keys), "only letters that wait are handed over", code=Code.MASS_BALANCE)
            self._append(
                Sending(
                    what="sending",
                    number=number,
                    keys=list(keys),
                    postman=postman,
                    campaigns=dict(campaigns),
                    boot=boot,
                    at=at,
                    run_id=run_id,
                )
            )
            return number

    def end(self, sending: int, results: Mapping[str, Result], *, at: datetime, run_id: str) -> None:
        """Record what became of each letter of a sending."""
        with self._db.transaction():
            number = self._next()
            open_keys = {letter for one in self._open() if one.number == sending for letter in one.keys}
            require(results.keys() == open_keys, "each letter of a sending ends once", code=Code.MASS_BALANCE)
            self._append(
                Handed(
                    what="handed",
                    number=number,
                    sending=sending,
                    states={key: result.state for key, result in results.items()},
                    answers={key: result.answer for key, result in results.items() if result.answer},
                    tried=[key for key, result in results.items() if result.tried],
                    at=at,
                    run_id=run_id,
                )
            )

    def resend(self, letter_key: str, *, due: date, actor: str, reason: str, at: datetime) -> str:
        """Put a copy of a letter in that is due on a day; returns its key. NOTHING_FOUND, DECISION_UNFIT."""
        with self._db.transaction():
            number = self._next()
            rows = self._db.rows("SELECT state FROM letters WHERE letter_key = :key", {"key": letter_key})
            if not rows:
                raise _unknown(letter_key)
            if rows[0]["state"] in {LetterState.WAITING, LetterState.SENDING}:
                raise UsageError(
                    Code.DECISION_UNFIT,
                    f"letter {letter_key}",
                    found="a letter that has not gone yet",
                    expected="one that was sent, refused or bounced, or of which it is not known",
                    remedy="Let it go first: it is handed over by the next run once it is due",
                )
            first = letter_key.partition(RESENT)[0]
            query = "SELECT count(*) FROM letters WHERE letter_key = :first OR substr(letter_key, 1, :length) = :prefix"
            prefix = f"{first}{RESENT}"
            known = self._db.value(query, {"first": first, "prefix": prefix, "length": len(prefix)})
            key = f"{prefix}{known + 1}"
            self._append(
                Resend(
                    what="resend",
                    number=number,
                    letter_key=key,
                    of=letter_key,
                    due=due,
                    actor=actor,
                    reason=reason,
                    at=at,
                )
            )
            return key

    def bounce(self, report: bytes, found: Sequence[tuple[str | None, str, str]], at: datetime) -> list[str]:
        """Record what a report says of letters: (letter or None, action, status). Returns the letters that it is about
        by the record, which for a report that is known already is the one of then."""
        payload = self._store.land_bytes(report)
        with self._db.transaction():
            number = self._next()
            query = "SELECT letter_key FROM bounces WHERE payload_sha = :sha ORDER BY number"
            known = self._db.rows(query, {"sha": payload})
            for position, (letter_key, action, status) in enumerate([] if known else found):
                self._append(
                    Bounced(
                        what="bounced",
                        number=number + position,
                        payload_sha=payload,
                        letter_key=letter_key,
                        action=action,
                        status=status,
                        at=at,
                    )
                )
            recorded = [row["letter_key"] for row in known or self._db.rows(query, {"sha": payload})]
            return [letter_key for letter_key in recorded if letter_key is not None]

    # What is asked

    def due(self, day: date, *, after: Letter | None, limit: int) -> list[Letter]:
        """Waiting letters that may go by a day, in order of their days, behind one of them."""
        rows = self._db.rows(
            f"""SELECT {_COLUMNS} FROM letters WHERE state = 'waiting' AND due <= :day
                AND (due, letter_key) > (:due, :letter_key) ORDER BY due, letter_key LIMIT :limit""",  # noqa: S608
            {
                "day": day.isoformat(),
                "due": after.due.isoformat() if after else "",
                "letter_key": after.letter_key if after else "",
                "limit": limit,
            },
        )
        return [record_from_row(Letter, row) for row in rows]

    def unfinished(self) -> list[Sending]:
        """Sendings whose end nobody recorded; a run that still lives holds the lock of the mail."""
        with self._db.transaction():
            self._next()
            return self._open()

    def listed(self, state: LetterState | None = None) -> pl.DataFrame:
        """All letters, or those in a state, by day and key: LISTED."""
        query = f"""SELECT {", ".join(LISTED)} FROM letters WHERE :state IS NULL OR state = :state
            ORDER BY due, letter_key"""  # noqa: S608 (names of ours)
        rows = self._db.rows(query, {"state": state})
        kept = pl.DataFrame(rows, schema={**LISTED, "due": pl.String()})
        return kept.with_columns(pl.col("due").str.to_date())

    def counts(self) -> dict[LetterState, int]:
        """How many letters stand where."""
        rows = self._db.rows("SELECT state, count(*) AS letters FROM letters GROUP BY state ORDER BY state")
        return {LetterState(row["state"]): row["letters"] for row in rows}

    def newest(self, references: Sequence[str]) -> dict[str, LetterState]:
        """Letters with vouchers of these orders: where each stands, or the last one that was sent in its place."""
        rows = self._db.rows(
            f"""SELECT first, state FROM (
                SELECT first, state, row_number() OVER (PARTITION BY first ORDER BY length(key) DESC, key DESC) AS back
                FROM (SELECT letter_key AS key, state,
                          substr(letter_key, 1, instr(letter_key || '{RESENT}', '{RESENT}') - 1) AS first
                      FROM letters WHERE kind = 'voucher' AND reference IN (SELECT value FROM json_each(:asked)))
            ) WHERE back = 1""",  # noqa: S608 (a sign of ours)
            {"asked": json.dumps(list(references))},
        )
        return {row["first"]: LetterState(row["state"]) for row in rows}

    def bounced_vouchers(self) -> list[str]:
        """Orders of which a letter with vouchers came back, whatever was sent in its place."""
        rows = self._db.rows(
            "SELECT DISTINCT reference FROM letters WHERE kind = 'voucher' AND state = 'bounced' ORDER BY reference"
        )
        return [row["reference"] for row in rows]

    def of_message(self, message: str) -> str | None:
        """The letter whose message has this id, without its domain."""
        rows = self._db.rows("SELECT letter_key FROM letters WHERE message = :message", {"message": message})
        return rows[0]["letter_key"] if rows else None

    def sent_to(self, recipient: str) -> str | None:
        """The letter that was sent to an address last; of an address that got none, the last that may have left."""
        rows = self._db.rows(
            """SELECT letter_key FROM letters WHERE recipient = :recipient AND state IN ('sent', 'sending', 'unsure')
            ORDER BY state = 'sent' DESC, at DESC, letter_key LIMIT 1""",
            {"recipient": recipient},
        )
        return rows[0]["letter_key"] if rows else None

    # Records

    def rebuild(self) -> None:
        """Make all states anew from the records; within the caller's transaction."""
        for table in ("letters", "mail_records", "bounces"):
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 (names of ours)
        self._next()

    def _next(self) -> int:
        """The number of the next record, once those are applied that a crash kept from the index."""
        last = int(self._db.value("SELECT coalesce(max(number), 0) FROM mail_records"))
        while (record := self._store.read_mail(last + 1)) is not None:
            self._apply(record)
            last += 1
        return last + 1

    def _append(self, record: MailRecord) -> None:
        self._store.write_mail(record)
        self._apply(record)

    def _open(self) -> list[Sending]:
        rows = self._db.rows("SELECT DISTINCT sending FROM letters WHERE state = 'sending' ORDER BY sending")
        found = [self._store.read_mail(row["sending"]) for row in rows]
        return [one for one in found if isinstance(one, Sending)]

    def _apply(self, record: MailRecord) -> None:
        """What a record says becomes the state of its letters."""
        at = utc_text(record.at)
        self._db.execute("INSERT INTO mail_records VALUES (:number, :what, :at)", {**vars(record), "at": at})
        match record:
            case LettersDue():
                self._db.execute(_RANGE, {**vars(record), "target": MAIL, "at": at})
                with self._store.open(record.payload_sha) as lines:
                    while some := list(islice(lines, _ROWS_AT_ONCE)):
                        self._db.execute_all(_INSERT_LETTER, [_row(line, at) for line in some])
            case Sending():
                self._db.execute(
                    """UPDATE letters SET state = 'sending', sending = :number, at = :at
                    WHERE letter_key IN (SELECT value FROM json_each(:keys))""",
                    {"number": record.number, "at": at, "keys": json.dumps(record.keys)},
                )
            case Handed():
                # A report can come before the end of the sending is recorded: then it is what became of the letter.
                back = {row["letter_key"]: row["status"] for row in self._db.rows(_BACK, vars(record))}
                self._db.execute_all(_HANDED, list(_ended(record, at, back)))
            case Resend():
                values = {**record_fields(record), "message": message_part(record.letter_key)}
                self._db.execute(_COPY_LETTER, values)
            case Bounced():
                self._db.execute(
                    "INSERT INTO bounces VALUES (:payload_sha, :number, :letter_key, :action, :status, :at)",
                    {**vars(record), "at": at},
                )
                if record.action == "failed":
                    # What has not left cannot come back; of what is leaving the sending's end tells.
                    self._db.execute(
                        """UPDATE letters SET state = 'bounced', answer = :status, at = :at
                        WHERE letter_key = :letter_key AND state NOT IN ('waiting', 'sending')""",
                        {**vars(record), "at": at},
                    )


def _row(line: bytes, at: str) -> dict[str, Any]:
    row = json.loads(line)
    return {**row, "message": message_part(row["letter_key"]), "at": at}


def _ended(record: Handed, at: str, back: Mapping[str, str]) -> Iterable[dict[str, Any]]:
    tried = set(record.tried)
    for key, state in record.states.items():
        bounced = key in back and state is not LetterState.WAITING
        yield {
            "letter_key": key,
            "state": LetterState.BOUNCED if bounced else state,
            "answer": back[key] if bounced else record.answers.get(key, ""),
            "tried": key in tried,
            "at": at,
        }


def _unknown(letter_key: str) -> UsageError:
    return UsageError(
        Code.NOTHING_FOUND,
        f"letter {letter_key}",
        found="no such letter",
        expected="the key of one",
        remedy="See counterfoil mail list",
    )
