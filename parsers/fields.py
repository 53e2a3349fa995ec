"""The fields a layout may declare: where a value lies in a line and what it must look like.

Here: the typed models of one field. Not here: the layout as a whole (``layout``) or how values are read (``values``).
"""

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from counterfoil.feed import Contract

DATE_FORMATS: Final = {
    "YYYYMMDD": "%Y%m%d",
    "YYYY-MM-DD": "%Y-%m-%d",
    "DD/MM/YYYY": "%d/%m/%Y",
    "MM/DD/YYYY": "%m/%d/%Y",
}
"""Spelling in a layout → format as polars and Python know it."""

DateFormat = Literal["YYYYMMDD", "YYYY-MM-DD", "DD/MM/YYYY", "MM/DD/YYYY"]

TEXT_CHARACTERS_MAX: Final = 64
"""Longest text of a delimited field unless the layout says more: references and member numbers stay under 40."""


class Place(Contract):
    """Where a value lies: ``from`` and ``length`` in bytes (fixed width), or ``column`` (delimited).

    ``line`` is the prefix of the header or trailer line that holds it, for envelope fields only; their ``column`` is a
    number from 1.
    """

    start: int | None = Field(default=None, alias="from", ge=1)
    length: int | None = Field(default=None, ge=1)
    column: str | None = None
    line: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "Place":
        if (self.start is None) != (self.length is None):
            raise ValueError("from and length go together")
        if (self.start is None) == (self.column is None):
            raise ValueError("give from and length (fixed width) or column (delimited), and only one of them")
        return self

    @property
    def span(self) -> tuple[int, int]:
        """First byte (from 0) and the one after the last; fixed width only."""
        if self.start is None or self.length is None:
            raise ValueError("a delimited field has no byte positions")
        return self.start - 1, self.start - 1 + self.length


class TextField(Place):
    """Text without its surrounding blanks; ``equals`` demands one value."""

    type: Literal["text"]
    required: bool = True
    strip_zeros: bool = False
    equals: str | None = None
    max_length: int = Field(default=TEXT_CHARACTERS_MAX, ge=1, le=1000)


class IntegerField(Place):
    """Digits only. ``points`` and ``money`` (whole minor units) mark amounts, ``integer`` all other numbers.

    ``sign``: ``none``, ``minus`` (a leading minus sign) or ``overpunch`` (the last digit also carries the sign; a plain
    digit is positive). ``pad`` fills a fixed width number up on the left; a blank behind it is always a lost digit.
    """

    type: Literal["integer", "points", "money"]
    required: bool = True
    sign: Literal["none", "minus", "overpunch"] = "minus"
    pad: Literal["zeros", "blanks"] = "zeros"
    minimum: int | None = None
    maximum: int | None = None


class DateField(Place):
    """A day of the calendar in exactly one spelling."""

    type: Literal["date"]
    required: bool = True
    format: DateFormat


class CodeField(Place):
    """A coded value and what each code means; blank is a code too, written ``""``."""

    type: Literal["code"]
    codes: dict[str, str] = Field(min_length=1)
    unknown: Literal["quarantine"]


class FlagsField(Place):
    """One flag a position, ``Y`` when raised, else blank; the value lists the raised ones by number, as in ``1,5``."""

    type: Literal["flags"]


class BlankField(Place):
    """An area that must hold blanks only."""

    type: Literal["blank"]


FieldSpec = Annotated[
    TextField | IntegerField | DateField | CodeField | FlagsField | BlankField, Field(discriminator="type")
]
