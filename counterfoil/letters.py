"""Letters to people: what is known of one, and the whole message that leaves.

Here: the frame that names letters, addresses, and a message's bytes (RFC 5322), the same ones whenever it is made
again. Pure. Not here: what a letter says (``campaigns``), who gets one (``ledger.letters``), or sending (``steps``).
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from email.charset import QP, Charset
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.policy import compat32
from email.utils import format_datetime
from enum import StrEnum
from typing import Final, NamedTuple

import polars as pl

from counterfoil.errors import Code
from counterfoil.files import sha256_bytes
from counterfoil.invariants import require

LETTERS: Final[dict[str, pl.DataType]] = {
    "letter_key": pl.String(),
    "kind": pl.String(),
    "campaign": pl.String(),
    "company": pl.String(),
    "recipient": pl.String(),
    "name": pl.String(),
    "points": pl.Int64(),
    "citation": pl.String(),
    "link": pl.String(),
    "reference": pl.String(),
    "expires": pl.Date(),
    "due": pl.Date(),
    "posting": pl.Int64(),
}
"""One row a letter. ``letter_key`` names it for ever (``points:<record id>``) and ``due`` is the first day it may go;
from ``name`` to ``expires`` a row may have no value."""

REQUIRED: Final = ("letter_key", "kind", "campaign", "company", "recipient", "due", "posting")

RESENT: Final = "#"
"""Before the number of a letter that repeats another one: no key of a source has it."""

_FAULT: Final = Code.MASS_BALANCE

_BREAKS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_TURNS: Final = re.compile(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Marks that turn the direction of what follows, so that a text shows as another one; and what is no character."""

_INSIDE: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_ATOM: Final = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
LOCAL: Final = rf"{_ATOM}(\.{_ATOM})*"
"""What comes before the @ as mail servers take it without extensions: RFC 5321 and 5322, no quotes and no comments."""

LABEL: Final = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
"""A part of a domain, in small letters."""

LOCAL_MAX: Final = 64
ADDRESS_MAX: Final = 254
"""Characters before the @, and of a whole address."""

_LOCAL: Final = re.compile(LOCAL)
_DOMAIN: Final = re.compile(rf"({LABEL}\.)+(?!\d+$){LABEL}")

_PLAIN: Final = re.compile(r"[A-Za-z0-9]*( [A-Za-z0-9]+)*")
"""A text that is the same as a name and as a subject: words of letters and digits, on one line."""

_WHOLE_MAX: Final = 60

_UTF8: Final = Charset("utf-8")
_UTF8.body_encoding = QP
_POLICY: Final = compat32.clone(linesep="\r\n", mangle_from_=False)
"""The library's older classes: they make a message in a third of the time, and keep quoted-printable to 76 characters a
line (RFC 2045), where the newer ones write 78."""

_WORD_BYTES_MAX: Final = 39
"""With the header's name 73 characters of base64 and signs: a line may have 76."""

_FOLD: Final = "\r\n "


class LetterKind(StrEnum):
    """What a letter is about; each has a template of its own."""

    POINTS = "points"
    REGISTER = "register"
    ALERT = "alert"
    VOUCHER = "voucher"


class Revealed(NamedTuple):
    """A voucher's code, or the address where it is, and its PIN where it has one."""

    code: str
    pin: str | None = None


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One row of LETTERS. ``codes`` are put in as a letter leaves, and kept nowhere."""

    letter_key: str
    kind: LetterKind
    campaign: str
    company: str
    recipient: str
    name: str | None
    points: int | None
    citation: str | None
    link: str | None
    reference: str | None
    expires: date | None
    due: date
    posting: int
    codes: tuple[Revealed, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Mailbox:
    """Who a letter is from: a name for people and an address."""

    name: str
    address: str


@dataclass(frozen=True)
class Text:
    """What a letter says, filled in."""

    subject: str
    text: str
    html: str


def joined(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Letters of several sources as one frame, by key; proved: LETTERS' columns, each key once, no value missing."""
    schema = pl.Schema(LETTERS)
    require(all(frame.schema == schema for frame in frames), "letters have the columns of LETTERS", code=_FAULT)
    letters = pl.concat([schema.to_frame(), *frames]).sort("letter_key")
    require(not letters["letter_key"].is_duplicated().any(), "each letter has a key of its own", code=_FAULT)
    require(letters.select(REQUIRED).null_count().sum_horizontal().sum() == 0, "letters lack no value", code=_FAULT)
    require(not letters["letter_key"].str.contains(RESENT, literal=True).any(), "no key has a #", code=_FAULT)
    require(letters["link"].drop_nulls().str.contains(r"^https?://\S+$").all(), "links lead to pages", code=_FAULT)
    require(letters["kind"].is_in(list(LetterKind)).all(), "every letter is of a known kind", code=_FAULT)
    return letters


def valid_address(text: str) -> str | None:
    """An address as a mail server takes it: plain ASCII, its domain in small letters and, where it has others, in
    Punycode. None for anything that is no address: several, a comment, a quoted or a foreign part before the @.
    """
    local, _, domain = text.strip(" ").rpartition("@")
    try:
        domain = domain.encode("idna").decode().lower()
    except UnicodeError:  # an empty or too long part, or a letter that no domain may have
        return None
    address = f"{local}@{domain}"
    plain = _LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain)
    return address if plain and len(local) <= LOCAL_MAX and len(address) <= ADDRESS_MAX else None


def one_line(text: str) -> str:
    """A text for one line: breaks and other controls become a blank, marks that turn its direction are dropped."""
    return " ".join(_BREAKS.sub(" ", _TURNS.sub("", text)).split())


def plain_text(text: str) -> str:
    """A text that may keep its lines, and no other control."""
    return _INSIDE.sub("", _TURNS.sub("", text.replace("\r\n", "\n")))


def message_part(letter_key: str) -> str:
    """What comes before the @ in the id of a letter's message; the same one for ever."""
    return sha256_bytes(letter_key.encode())[:32]


def message(
    letter: Letter, text: Text, *, to: str, sender: Mailbox, reply_to: str | None, domain: str, at: datetime
) -> bytes:
    """The whole message of a letter to the valid address ``to``, with its text and its HTML. Same inputs, same bytes.

    Nothing from outside can make a header of its own: what goes into one is on one line before.
    """
    heads = {
        "From": _person(sender.name, sender.address),
        "To": _person(letter.name or "", to),
        "Reply-To": reply_to,
        "Subject": _encoded(text.subject),
        "Date": format_datetime(at),
        "Message-ID": f"<{message_part(letter.letter_key)}@{domain}>",
        # No holiday reply shall answer a machine (RFC 3834).
        "Auto-Submitted": "auto-generated",
    }
    # Quoted-printable never writes "=_", so no part can hold the boundary.
    made = MIMEMultipart("alternative", boundary=f"=_{message_part(letter.letter_key)}")
    made.attach(_part("plain", text.text))
    made.attach(_part("html", text.html))
    told = "".join(f"{name}: {value}\r\n" for name, value in heads.items() if value is not None)
    return told.encode("ascii") + made.as_bytes(policy=_POLICY)


def _part(subtype: str, text: str) -> MIMENonMultipart:
    part = MIMENonMultipart("text", subtype, charset="utf-8")
    part.set_payload(plain_text(text), _UTF8)
    return part


def _person(name: str, address: str) -> str:
    """A name and an address for a header, on a line of its own each where the name is encoded."""
    shown = _encoded(name)
    return f"{shown}{_FOLD if shown.endswith('?=') else ' '}<{address}>" if shown else f"<{address}>"


def _encoded(text: str) -> str:
    """A text for a header: as it is where it is short and plain, else as encoded words (RFC 2047), one a line.

    Written here because the library's own folding puts blanks into long names of some scripts.
    """
    text = one_line(text)
    if len(text) <= _WHOLE_MAX and _PLAIN.fullmatch(text):
        return text
    pieces = [b""]
    for letter in map(str.encode, text):
        if len(pieces[-1]) + len(letter) > _WORD_BYTES_MAX:
            pieces.append(b"")
        pieces[-1] += letter
    return _FOLD.join(f"=?utf-8?b?{b64encode(piece).decode()}?=" for piece in pieces)
