"""The file that a partner gets back for a file of its own: what it may hold, and writing it.

Here: the contracts ``reply:`` and ``statement:`` of a layout, and lines of text from facts and rows. Pure. Not here:
which files are answered when, or how an answer reaches the partner (``steps.reply``).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final, Literal

import polars as pl
from pydantic import Field, StringConstraints, model_validator

from counterfoil.contract import Contract
from counterfoil.spreadsheets import inert

FACTS: Final = (
    "name", "stem", "suffix", "date", "sequence", "next", "order", "attempt", "status", "code", "message", "detail",
    "records", "accepted", "rejected", "points", "rejected_points",
)  # fmt: skip
"""What is said of the file as a whole, by the names that templates use. ``next`` is the number expected next,
``attempt`` how often it was tried, ``detail`` all that is known of a fault."""

ROWS: Final = {
    "line": pl.Int64,
    "ref": pl.String,
    "member": pl.String,
    "points": pl.Int64,
    "code": pl.String,
    "text": pl.String,
    "field": pl.String,
    "raw": pl.String,
}
"""What is said of a record. ``code`` is the partner's; ``ref`` and ``member`` are blank where it could not be read. Of
a bulk upload ``member`` is the recipient's address."""

_NUMBERS: Final = ("records", "accepted", "rejected", "points", "rejected_points")
"""Of these the minus must stay one."""

_PLACE: Final = re.compile(r"\{(\w+)(?::([<>0])(\d{1,4}))?\}")
_BREAKS: Final = r"[\x00-\x1f\x7f\u2028\u2029]"


class Status(StrEnum):
    """What became of a file as a whole."""

    ACCEPTED = "accepted"
    PARTLY = "partly"
    """Some of its records were not taken."""
    FAILED = "failed"
    """Nothing of it counts; it is to be sent again."""
    DUPLICATE = "duplicate"
    """It had been sent before."""
    WAITS = "waits"
    """Nothing of it counts yet: the company's balance does not cover it."""


class Reply(Contract):
    """The answer to each file of a feed: lines of text, each a template.

    A name in braces stands for a value: ``{points}``; ``{points:010}`` pads it with zeros to ten places, ``{ref:<20}``
    and ``{ref:>20}`` with blanks on the right and left and cut what is longer. Header, trailer and names may use what
    is said of the file, ``row`` that and what is said of the record.
    """

    when: Literal["always", "rejects"] = "always"
    """``rejects``: only where the file failed or some of its records were not taken."""
    folder: str
    """Where it is put, on the connection that the file came from."""
    name: str
    """Its name, by which the partner knows which file it answers."""
    failed_name: str | None = None
    """Its name where the whole file failed, for partners who want the same name again then."""
    waits_name: str | None = None
    """Its name where a bulk upload waits for cover; without one nothing is said until it is posted."""
    encoding: Literal["utf-8", "latin-1", "cp1252"] = "utf-8"
    line_end: Literal["lf", "crlf"] = "lf"
    escape: Literal["none", "csv", "spreadsheet", "xml"] = "none"
    """How values keep to the format: quoted where they hold a comma, semicolon, bar or quote, or as XML text.
    ``spreadsheet`` is ``csv`` for people: with an apostrophe before what would run as a formula."""
    header: tuple[str, ...] = ()
    row: str | None = None
    rows: Literal["rejects", "all"] = "rejects"
    trailer: tuple[str, ...] = ()
    statuses: dict[Status, str] = Field(default_factory=dict)
    """The partner's words for what became of the file; without one, ours."""
    codes: dict[str, str] = Field(default_factory=dict)
    """The partner's codes for ours; ``other`` stands for all that are not listed, ``""`` for a record that is fine."""

    @model_validator(mode="after")
    def _names_are_known(self) -> "Reply":
        keys = {
            "name": (self.name, self.failed_name or "", self.waits_name or ""),
            "header": self.header,
            "row": (self.row or "",),
            "trailer": self.trailer,
        }
        for key, templates in keys.items():
            known = {*FACTS, *(ROWS if key == "row" else ())}
            for template in templates:
                strange = [name for name, _, _ in _PLACE.findall(template) if name not in known]
                if strange or "{" in _PLACE.sub("", template) or "}" in _PLACE.sub("", template):
                    found = ", ".join(strange) or "a brace alone"
                    raise ValueError(f"{key}: {found} is none of {', '.join(sorted(known))}")
        return self

    def code(self, code: str) -> str:
        """The partner's code for one of ours."""
        return self.codes.get(code, self.codes.get("other", code) if code else "")

    def wanted(self, status: Status) -> bool:
        """Whether a file of which this became is answered."""
        if status is Status.WAITS:
            return self.waits_name is not None
        return self.when == "always" or status in (Status.PARTLY, Status.FAILED)


class Statement(Contract):
    """Where a company's statement of a day is put, on the connection that its files come from."""

    folder: str
    name: Annotated[str, StringConstraints(pattern=r"^[^{}]*\{date\}[^{}]*$")]
    """Its name; ``{date}`` stands for the day, as 20261120."""


def file_name(reply: Reply, facts: Mapping[str, str], status: Status) -> str:
    """The name of an answer."""
    named = {Status.FAILED: reply.failed_name, Status.WAITS: reply.waits_name}
    template = named.get(status) or reply.name
    return _lines(template, pl.DataFrame([facts]), lambda name, _: _text(name))[0]


def content(reply: Reply, facts: Mapping[str, str], rows: pl.DataFrame) -> bytes:
    """The bytes of an answer. ``rows`` has ROWS' columns. What the encoding cannot hold becomes a question mark."""

    def once(templates: Sequence[str]) -> list[str]:
        said = pl.DataFrame([facts])
        return [_lines(template, said, lambda name, _: _escaped(name, reply))[0] for template in templates]

    lines = once(reply.header)
    if reply.row is not None:
        told = rows.with_columns(pl.lit(value).alias(name) for name, value in facts.items() if name not in ROWS)
        # A padded value has a place of its own, in which nothing is quoted.
        lines += _lines(reply.row, told, lambda name, padded: _text(name) if padded else _escaped(name, reply))
    lines += once(reply.trailer)
    end = "\r\n" if reply.line_end == "crlf" else "\n"
    return "".join(line + end for line in lines).encode(reply.encoding, errors="replace")


def _lines(template: str, said: pl.DataFrame, value: Callable[[str, bool], pl.Expr]) -> list[str]:
    """A template filled once for each row; ``value`` gives the text of a name, and is told whether it is padded."""
    parts: list[pl.Expr] = []
    at = 0
    for hit in _PLACE.finditer(template):
        name, how, width = hit[1], hit[2], int(hit[3] or 0)
        parts += [pl.lit(template[at : hit.start()]), _padded(value(name, how is not None), how, width)]
        at = hit.end()
    return said.with_columns(pl.concat_str([*parts, pl.lit(template[at:])]).alias("line"))["line"].to_list()


def _padded(text: pl.Expr, how: str | None, width: int) -> pl.Expr:
    if how is None:
        return text
    if how == "0":
        return text.str.zfill(width)
    text = text.str.slice(0, width)
    return text.str.pad_end(width) if how == "<" else text.str.pad_start(width)


def _text(name: str) -> pl.Expr:
    """A value on one line."""
    return pl.col(name).cast(pl.String).fill_null("").str.replace_all(_BREAKS, " ")


def _escaped(name: str, reply: Reply) -> pl.Expr:
    """A value as the format of the answer takes it."""
    text = _text(name)
    if reply.escape == "spreadsheet" and name not in _NUMBERS:
        text = inert(text)
    if reply.escape in ("csv", "spreadsheet"):
        quoted = pl.concat_str(pl.lit('"'), text.str.replace_all('"', '""', literal=True), pl.lit('"'))
        return pl.when(text.str.contains('[,;|"]')).then(quoted).otherwise(text)
    if reply.escape == "xml":
        return text.str.replace_many(["&", "<", ">", '"'], ["&amp;", "&lt;", "&gt;", "&quot;"])
    return text
