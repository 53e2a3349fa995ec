"""The fields a layout may declare: where a value lies in a record and what it must look like.

Here: the typed models of one field. Not here: the layout as a whole (``layout``), the spellings of dates (``dates``) or
how values are read (``values``).
"""

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from counterfoil.clock import Zone
from counterfoil.contract import Contract
from parsers.dates import DATE_FORMATS, DateFormat, require_pivot

TEXT_CHARACTERS_MAX: Final = 64
"""Longest text of a field that has no length unless the layout says more: references and member numbers stay under
40."""

PACKED_BYTES_MAX: Final = 9
"""Seventeen digits and a sign: more than any number that is taken."""


Path = Annotated[str, Field(pattern=r"^([^.@\s]+\.)*@?[^.@\s]+$")]
"""Names with dots between them, such as ``order.amount``."""


class Place(Contract):
    """Where a value lies, by the layout's shape: ``from`` and ``length`` in bytes (fixed width), ``column``
    (delimited, xlsx), or ``path`` (JSON, XML).

    ``line`` is the prefix of the line that holds it, where that is not the detail itself: a header or trailer line for
    envelope fields; for fields a group's header, an addenda line, or one of several details. The ``column`` of such a
    line is a number from 1. Of JSON lines it is what a header or trailer says that it is. An envelope field of an xlsx
    file has a ``cell`` above the column names, such as ``B2``, or the ``line`` of a row of totals and a ``column``.
    """

    start: int | None = Field(default=None, alias="from", ge=1)
    length: int | None = Field(default=None, ge=1)
    column: str | None = None
    path: Path | None = None
    cell: str | None = Field(default=None, pattern=r"^[A-Z]{1,3}[1-9][0-9]{0,3}$")
    line: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "Place":
        if (self.start is None) != (self.length is None):
            raise ValueError("from and length go together")
        if sum(place is not None for place in (self.start, self.column, self.path, self.cell, self.joined)) != 1:
            raise ValueError("give from and length, column, path or cell, as the shape asks, and only one of them")
        return self

    @property
    def joined(self) -> tuple[str, ...] | None:
        """The fields whose texts make this one's; only codes have them."""
        return None

    @property
    def span(self) -> tuple[int, int]:
        """First byte (from 0) and the one after the last; fixed width only."""
        if self.start is None or self.length is None:
            raise ValueError("only a fixed width field has byte positions")
        return self.start - 1, self.start - 1 + self.length

    def placed(self, name: str) -> str:
        """A field's name and where it lies, as the partner's own description would say it."""
        if self.start is not None:
            start, end = self.span
            where = f"bytes {start + 1}-{end}"
        elif self.column is not None:
            where = f"column {self.column}"
        else:
            where = f"at {self.path}" if self.path is not None else self.cell or " and ".join(self.joined or ())
        line = f" of line {self.line}" if self.line is not None else ""
        return f"{name} ({where}{line})"


class TextField(Place):
    """Text without its surrounding blanks; ``equals`` demands one value."""

    type: Literal["text"]
    required: bool = True
    strip_zeros: bool = False
    equals: str | None = None
    max_length: int = Field(default=TEXT_CHARACTERS_MAX, ge=1, le=1000)


class IntegerField(Place):
    """Digits only. ``points`` and ``money`` (whole minor units) mark amounts, ``integer`` all other numbers.

    ``sign``: ``none``, ``minus`` (a leading minus sign), ``either`` (a leading plus or minus), ``trailing`` (behind the
    digits), ``parentheses`` (around a negative number), ``overpunch`` (the last digit also carries the sign, as in
    zoned decimals; a plain digit is positive) or ``packed`` (packed decimals, two digits a byte). ``pad`` fills a fixed
    width number up on the left; a blank behind it is always a lost digit.
    """

    type: Literal["integer", "points", "money"]
    required: bool = True
    sign: Literal["none", "minus", "either", "trailing", "parentheses", "overpunch", "packed"] = "minus"
    pad: Literal["zeros", "blanks"] = "zeros"
    minimum: int | None = None
    maximum: int | None = None
    decimals: int = Field(default=0, ge=0, le=9)
    """Digits behind the decimal mark: how many are implied where no mark is written, at most how many where one is."""
    decimal_mark: Literal["", ".", ","] = ""
    """The decimal mark as it is written; without one the decimals are implied."""
    thousands_mark: Literal["", ",", ".", " ", "'"] = ""
    """What parts the thousands, where it is written; a number without it is read too."""
    scale: int = Field(default=0, ge=0, le=9)
    """Digits behind the mark that the value keeps: 2 makes 1234 of ``12.34``. What it cannot keep must be zeros."""
    negative_when: dict[str, tuple[str, ...]] | None = None
    """Another field and its texts that make the number negative, such as ``{side: [C, CR]}``."""

    @model_validator(mode="after")
    def _can_be_written(self) -> "IntegerField":
        if self.sign == "packed" and (self.start is None or self.span[1] - self.span[0] > PACKED_BYTES_MAX):
            raise ValueError(f"packed decimals have from and length, of at most {PACKED_BYTES_MAX} bytes")
        if self.sign in ("packed", "overpunch") and (self.decimal_mark or self.thousands_mark):
            raise ValueError("packed and overpunched numbers have no marks; say how many decimals are implied")
        if self.decimal_mark and self.decimal_mark == self.thousands_mark:
            raise ValueError("decimal_mark and thousands_mark differ")
        if self.negative_when is not None and (len(self.negative_when) != 1 or self.sign != "none"):
            raise ValueError("negative_when names one other field, and goes with sign: none")
        return self

    @property
    def plain(self) -> bool:
        """True when the digits are the value."""
        return not (self.decimals or self.scale or self.thousands_mark or self.decimal_mark)


class DateField(Place):
    """A day of the calendar in exactly one spelling; an instant counts for its day in the layout's zone."""

    type: Literal["date"]
    required: bool = True
    format: DateFormat
    zone: Zone | None = None
    """The zone of an instant that does not state its own; the layout's without it."""
    pivot: int | None = Field(default=None, ge=0, le=99)
    """Two-digit years below it are of this century, the others of the last."""

    @model_validator(mode="after")
    def _is_told(self) -> "DateField":
        require_pivot(self.format, self.pivot)
        form = DATE_FORMATS[self.format]
        if self.zone is not None and (not form.instant or form.offset):
            raise ValueError("zone goes with instants that do not state their own")
        return self


class CodeField(Place):
    """A coded value and what each code means; blank is a code too, written ``""``.

    ``unknown`` says what an unlisted code means: ``quarantine`` the record, or one of the meanings. ``join`` makes the
    code of several fields' texts, with ``/`` between them.
    """

    type: Literal["code"]
    codes: dict[str, str] = Field(min_length=1)
    unknown: str
    join: tuple[str, ...] | None = Field(default=None, min_length=2)

    @property
    def joined(self) -> tuple[str, ...] | None:
        return self.join

    @model_validator(mode="after")
    def _unknown_is_known(self) -> "CodeField":
        if self.unknown != "quarantine" and self.unknown not in self.codes.values():
            raise ValueError("unknown is quarantine, or one of the meanings of codes")
        return self


class FlagsField(Place):
    """One flag a position, ``Y`` when raised, else blank; the value lists the raised ones by number, as in ``1,5``."""

    type: Literal["flags"]


class BlankField(Place):
    """An area that must hold blanks only."""

    type: Literal["blank"]


FieldSpec = Annotated[
    TextField | IntegerField | DateField | CodeField | FlagsField | BlankField, Field(discriminator="type")
]
