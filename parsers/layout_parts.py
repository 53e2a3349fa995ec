"""The parts of a layout besides its fields: recognition, shape, marks, where canonical columns come from, identities.

Here: their models and what each can check alone. Not here: checks across parts (``layout``).
"""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from counterfoil.feed import Contract
from parsers.fields import DateFormat

LineEnd = Literal["cr", "lf", "crlf"]
Encoding = Literal["utf-8", "latin-1", "cp1252"]
Prefix = Annotated[str, Field(min_length=1, max_length=64)]
"""How an envelope line begins."""


class Recognise(Contract):
    """How a file is told from others: the whole name, and the beginning of its first line where the name is not enough.

    Both are regular expressions; named groups of ``name`` can feed the marks.
    """

    name: str
    first_line: str | None = None

    @model_validator(mode="after")
    def _compiles(self) -> "Recognise":
        for pattern in (self.name, self.first_line):
            try:
                re.compile(pattern or "")
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from None
        return self


class FixedWidth(Contract):
    """Records of one length in bytes; the prefixes of the record types: first lines, details, last lines."""

    type: Literal["fixed_width"]
    record_length: int = Field(ge=1, le=65_536)
    detail: str = ""
    headers: tuple[Prefix, ...] = ()
    trailers: tuple[Prefix, ...] = ()


class Column(Contract):
    """One column of a delimited file: its name in the header line, and other spellings of it."""

    name: str
    also: tuple[str, ...] = ()


class Delimited(Contract):
    """Columns between delimiters, after a line of column names; a record is one line, also when quoted."""

    type: Literal["delimited"]
    delimiter: str = Field(min_length=1, max_length=1)
    quote: str = Field(max_length=4)
    columns: tuple[Column, ...] = Field(min_length=1)
    order: Literal["fixed", "any"] = "fixed"
    headers: tuple[Prefix, ...] = ()
    trailers: tuple[Prefix, ...] = ()

    @property
    def quote_character(self) -> str | None:
        """The quote character, or None where the layout says ``none``."""
        return None if self.quote == "none" else self.quote

    @model_validator(mode="after")
    def _plain_characters(self) -> "Delimited":
        quote = self.quote_character
        if quote is not None and (len(quote) != 1 or quote == self.delimiter):
            raise ValueError("quote is one character other than the delimiter, or none")
        if any(not character.isascii() or character in "\r\n\x1a\0" for character in self.delimiter + (quote or "")):
            raise ValueError("delimiter and quote are plain ASCII characters")
        names = [name for column in self.columns for name in (column.name, *column.also)]
        if len(set(names)) != len(names):
            raise ValueError("a column name is given twice")
        return self


class Said(Contract):
    """Where a mark is said: in a named group of the file's name, or in an envelope field."""

    name: str | None = None
    envelope: str | None = None
    format: DateFormat = "YYYYMMDD"

    @model_validator(mode="after")
    def _one_source(self) -> "Said":
        if (self.name is None) == (self.envelope is None):
            raise ValueError("give name or envelope, and only one of them")
        return self


class MarksSpec(Contract):
    """What makes a delivery this delivery. Without ``business_date`` the day of arrival counts."""

    business_date: Said | None = None
    epoch: Said | None = None
    sequence: Said | None = None


class Origin(Contract):
    """Where a canonical column comes from: a field, a constant, or the file's business date.

    ``when`` keeps the field's value only on records on which another field has one of the listed values; ``required``
    then demands it there.
    """

    field: str | None = None
    constant: str | None = None
    use: Literal["business_date"] | None = None
    when: dict[str, tuple[str, ...]] | None = None
    required: bool = False

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"field": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_origin(self) -> "Origin":
        if sum(part is not None for part in (self.field, self.constant, self.use)) != 1:
            raise ValueError("give field, constant or use, and only one of them")
        if self.when is not None and (self.field is None or len(self.when) != 1):
            raise ValueError("when goes with a field and names one other field")
        if self.required and self.when is None:
            raise ValueError("required goes with when; elsewhere the field itself says it")
        return self


@dataclass(frozen=True)
class Proof:
    """One identity: ``declared`` equals a count or sum over details, or the sum of other declared values."""

    name: str
    declared: str
    measure: Literal["count", "sum", "add"]
    outcome: str | None
    parts: tuple[str, ...]
