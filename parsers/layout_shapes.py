"""The shapes that a layout may declare: how records and envelope lie in a file.

Here: their models and what each can check alone. Not here: fields (``fields``) or reading (``shapes``).
"""

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from counterfoil.contract import Contract

LineEnd = Literal["cr", "lf", "crlf", "none"]
"""``none``: records of one length follow each other without line ends."""

Encoding = Literal["utf-8", "utf-16", "latin-1", "cp1252", "cp037", "cp500"]

EBCDIC: Final = ("cp037", "cp500")

Prefix = Annotated[str, Field(max_length=64)]
"""How a line begins; the empty one fits every line."""


Kind = Annotated[str, Field(min_length=1, max_length=64)]
"""What a JSON object says it is, or how a row of totals begins."""

_JSON_PATH: Final = r"^[^.@\s]+(\.[^.@\s]+)*$"


class Group(Contract):
    """Details between a header and a trailer line of their own, as in a file of batches."""

    header: Prefix = Field(min_length=1)
    trailer: Prefix | None = Field(default=None, min_length=1)


class Lines(Contract):
    """What the lines of a file are, told by how they begin: first lines, details, last lines, and what may lie between.

    Every line of ``headers`` and ``trailers`` must be there, in this order. ``addenda`` is a line after a detail that
    belongs to it; lines that begin with one of ``ignore`` are counted and passed over.
    """

    headers: tuple[Prefix, ...] = ()
    trailers: tuple[Prefix, ...] = ()
    detail: Prefix | tuple[Prefix, ...] = ""
    group: Group | None = None
    addenda: Prefix | None = Field(default=None, min_length=1)
    ignore: tuple[Prefix, ...] = ()

    @property
    def details(self) -> tuple[str, ...]:
        """The prefixes of details."""
        return (self.detail,) if isinstance(self.detail, str) else self.detail

    @property
    def mixed(self) -> bool:
        """True when lines between headers and trailers are not all details of one kind."""
        return bool(self.group or self.addenda or self.ignore) or len(self.details) > 1

    @property
    def between(self) -> tuple[str, ...]:
        """The prefixes of the lines between headers and trailers that are no details."""
        group = (self.group.header, *([self.group.trailer] if self.group.trailer else [])) if self.group else ()
        return (*group, *([self.addenda] if self.addenda else []), *self.ignore)

    @model_validator(mode="after")
    def _told_apart(self) -> "Lines":
        inner = (*self.details, *self.between)
        for i, prefix in enumerate(inner):
            if self.mixed and any(prefix.startswith(other) for other in inner[:i] + inner[i + 1 :]):
                raise ValueError(f"a line that begins with {prefix!r} is of two kinds")
        return self


class FixedWidth(Lines):
    """Records of one length in bytes."""

    type: Literal["fixed_width"]
    record_length: int = Field(ge=1, le=65_536)


class Column(Contract):
    """One column of a table: its name in the line of column names, other spellings of it, and whether it may be
    absent."""

    name: str
    also: tuple[str, ...] = ()
    optional: bool = False


class Table(Contract):
    """Named columns, in the layout's order or any, with or without others between them."""

    columns: tuple[Column, ...] = Field(min_length=1)
    order: Literal["fixed", "any"] = "fixed"
    others: Literal["refuse", "ignore"] = "refuse"
    """What to do about columns that the layout does not name."""

    @model_validator(mode="after")
    def _names_differ(self) -> "Table":
        names = [name for column in self.columns for name in (column.name, *column.also)]
        if len(set(names)) != len(names):
            raise ValueError("a column name is given twice")
        return self


class Delimited(Lines, Table):
    """Columns between delimiters; a record is one line, also when quoted.

    ``names``: whether a line of column names stands before the details; without it columns are those of the layout.
    """

    type: Literal["delimited"]
    delimiter: str = Field(min_length=1, max_length=4)
    quote: str = Field(max_length=4)
    names: bool = True

    @property
    def quote_character(self) -> str | None:
        """The quote character, or None where the layout says ``none``."""
        return None if self.quote == "none" else self.quote

    @model_validator(mode="after")
    def _plain_characters(self) -> "Delimited":
        quote = self.quote_character
        if quote is not None and (len(quote) != 1 or quote in self.delimiter or len(self.delimiter) > 1):
            raise ValueError("quote is one character beside a delimiter of one other character, or none")
        if any(not character.isascii() or character in "\r\n\x1a\0" for character in self.delimiter + (quote or "")):
            raise ValueError("delimiter and quote are plain ASCII characters")
        if not self.names and (self.order == "any" or self.others == "ignore"):
            raise ValueError("without a line of column names the columns are those of the layout, in its order")
        return self


class JsonLines(Contract):
    """One JSON object a line. A field's path names the keys on the way to its value, as in ``order.amount``.

    Where lines are of several kinds, ``discriminator`` is the path of the value that tells them apart, such as
    ``type``; ``headers``, ``trailers`` and ``detail`` list its values: of the first lines and the last ones, all of
    which must be there in this order, and of records. Without ``detail`` every other line is a record.
    """

    type: Literal["json_lines"]
    discriminator: str | None = Field(default=None, pattern=_JSON_PATH)
    headers: tuple[Kind, ...] = ()
    trailers: tuple[Kind, ...] = ()
    detail: Kind | tuple[Kind, ...] = ()

    @property
    def details(self) -> tuple[str, ...]:
        """The values of records; none where every line between headers and trailers is one."""
        return (self.detail,) if isinstance(self.detail, str) else self.detail

    @model_validator(mode="after")
    def _told_apart(self) -> "JsonLines":
        kinds = (*self.headers, *self.trailers, *self.details)
        if (self.discriminator is None) == bool(kinds):
            raise ValueError("discriminator goes with headers, trailers or detail, which hold its values")
        if len(set(kinds)) != len(kinds):
            raise ValueError("one value of the discriminator stands for lines of two kinds")
        return self


class Json(Contract):
    """One JSON document; ``records`` is the path of the array of its records, which without it the document itself is.

    A field's path begins in its record, that of an envelope field at the top.
    """

    type: Literal["json"]
    records: str | None = Field(default=None, pattern=_JSON_PATH)


class Xlsx(Table):
    """One sheet of a workbook: its column names in ``header_row`` (from 1), and one record a row below it.

    Rows above may hold what the file says once, and so may the last rows: ``trailers`` is how the first filled cell of
    each begins, all of which must be there in this order. Days in cells are read as ``YYYY-MM-DD``, instants as
    ``YYYY-MM-DD HH:MM:SS``; numbers as their digits, with a point where they have decimals.
    """

    type: Literal["xlsx"]
    sheet: str = Field(min_length=1, max_length=31)
    header_row: int = Field(default=1, ge=1, le=1000)
    trailers: tuple[Kind, ...] = ()


class Xml(Contract):
    """One XML document; ``record`` is the path of the records' element, from the root on, as in ``HandBack.Transfer``.

    A field's path begins below its record, that of an envelope field below the root; the last part may be an attribute,
    as in ``Amount.@currency``. Namespaces are passed over.
    """

    type: Literal["xml"]
    record: str = Field(pattern=r"^[^.@\s]+(\.[^.@\s]+)+$")


Shape = Annotated[FixedWidth | Delimited | JsonLines | Json | Xlsx | Xml, Field(discriminator="type")]
