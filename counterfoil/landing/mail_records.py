"""What the landing store keeps of letters: one row of numbered records, of which the outbox is the sum.

Here: the records. Not here: how they are written (``records``, ``store``) or read together (``outbox``).
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Discriminator


class LetterState(StrEnum):
    """Where a letter stands."""

    WAITING = "waiting"
    """Not handed over yet: its day has not come, or the server was away or put it off."""
    SENDING = "sending"
    """Being handed over now, or by a run that died."""
    SENT = "sent"
    REFUSED = "refused"
    """For good: by the server, or because its address is none."""
    UNSURE = "unsure"
    """Handed over without an answer: it may have gone out, so nothing sends it again by itself."""
    BOUNCED = "bounced"
    """Taken by the server, and reported as not delivered later."""


@dataclass(frozen=True, kw_only=True)
class LettersDue:
    """Letters of a range of postings: those of ``payload_sha`` (a line of JSON each, LETTERS)."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    what: Literal["letters"]
    number: int
    batch_id: str
    mapping_sha: str
    from_n: int
    to_n: int
    letters: int
    payload_sha: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Sending:
    """Letters that a run begins to hand over; ``boot`` names the start of the machine, and ``campaigns`` the SHA-256 of
    each template file."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    what: Literal["sending"]
    number: int
    keys: list[str]
    postman: str
    campaigns: dict[str, str]
    boot: str
    at: datetime
    run_id: str


@dataclass(frozen=True, kw_only=True)
class Handed:
    """What became of each letter of the ``sending`` with that number, and what the server answered."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    what: Literal["handed"]
    number: int
    sending: int
    states: dict[str, LetterState]
    answers: dict[str, str]
    tried: list[str]
    """Those of the waiting that the server put off."""
    at: datetime
    run_id: str


@dataclass(frozen=True, kw_only=True)
class Resend:
    """A person wants a letter to go again: as ``letter_key``, a copy of ``of``."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    what: Literal["resend"]
    number: int
    letter_key: str
    of: str
    due: date
    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Bounced:
    """A report that a letter was not delivered, which landed as ``payload_sha``; ``letter_key`` is None where it fits
    none. ``status`` is the server's code (RFC 3463)."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    what: Literal["bounced"]
    number: int
    payload_sha: str
    letter_key: str | None
    action: str
    status: str
    at: datetime


MailRecord = Annotated[LettersDue | Sending | Handed | Resend | Bounced, Discriminator("what")]
"""One of them, told apart by ``what``."""
