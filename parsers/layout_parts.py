"""The parts of a layout besides its shape and fields: recognition, marks, origins of canonical columns, identities.

Here: their models and what each can check alone. Not here: checks across parts (``layout``).
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from counterfoil.contract import Contract
from parsers.dates import DateFormat, require_pivot


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


class Said(Contract):
    """Where a mark is said: in a named group of the file's name, or in an envelope field."""

    name: str | None = None
    envelope: str | None = None
    format: DateFormat = "YYYYMMDD"
    pivot: int | None = Field(default=None, ge=0, le=99)
    """Two-digit years below it are of this century, the others of the last."""

    @model_validator(mode="after")
    def _one_source(self) -> "Said":
        if (self.name is None) == (self.envelope is None):
            raise ValueError("give name or envelope, and only one of them")
        require_pivot(self.format, self.pivot)
        return self


class MarksSpec(Contract):
    """What makes a delivery this delivery. Without ``business_date`` the day of arrival counts."""

    business_date: Said | None = None
    epoch: Said | None = None
    sequence: Said | None = None


def _or_a_field(schema: dict[str, Any]) -> None:
    """An origin may be written as the name of a field alone."""
    whole = dict(schema)
    schema.clear()
    schema.update({"description": whole.pop("description"), "anyOf": [{"type": "string"}, whole]})


class Origin(Contract):
    """Where a canonical column comes from: a field, the first of several that is filled, an envelope field, a named
    group of the file's name, a constant, or the file's business date.

    ``when`` keeps the field's value only on records on which another field has one of the listed values; ``required``
    then demands it there.
    """

    field: str | None = None
    first_of: tuple[str, ...] = ()
    envelope: str | None = None
    name: str | None = None
    constant: str | None = None
    use: Literal["business_date"] | None = None
    when: dict[str, tuple[str, ...]] | None = None
    required: bool = False

    model_config = ConfigDict(json_schema_extra=_or_a_field)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"field": value} if isinstance(value, str) else value

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that the value may come from."""
        return self.first_of if self.field is None else (self.field,)

    @model_validator(mode="after")
    def _one_origin(self) -> "Origin":
        given = (self.field, self.first_of or None, self.envelope, self.name, self.constant, self.use)
        if sum(part is not None for part in given) != 1:
            raise ValueError("give field, first_of, envelope, name, constant or use, and only one of them")
        if self.when is not None and (self.field is None or len(self.when) != 1):
            raise ValueError("when goes with a field and names one other field")
        if self.required and self.when is None:
            raise ValueError("required goes with when; elsewhere the field itself says it")
        return self


@dataclass(frozen=True)
class Proof:
    """One identity: ``declared`` equals a count or sum over details, a count of lines or groups, or the sum of other
    declared values. ``in_group``: it is proved for each group. ``sign``: 1 counts details of points above 0 alone, -1
    those below, whose amounts both sides state without their sign; 0 all."""

    name: str
    declared: str
    measure: Literal["count", "sum", "add", "lines", "groups"]
    outcome: str | None
    parts: tuple[str, ...]
    in_group: bool = False
    sign: int = 0
