"""What people may see of a partner's line: its structure, and of everything in it that could name somebody the end.

Here: which characters are hidden, and how what cannot be shown as text is shown. Not here: finding the line, or what
its parts mean (``parsers.raw_lines``); members' numbers alone are masked by ``ledger.extracts``.
"""

import re
from itertools import pairwise
from typing import Final

import polars as pl

from counterfoil.protocols import RawLine, Span

HIDDEN: Final = "·"
"""Stands for one hidden character, so that columns stay where they are."""

CUT: Final = "…"
"""Ends a line that was too long to be kept whole."""

_SHOWN: Final = 3
"""Characters at the end of what is hidden that people see; what is no longer than that is hidden whole."""

_NUMBER: Final = re.compile(r"\d{4,}")
_WORD: Final = re.compile(r"[^\W_]*[^\W\d_][^\W_]*")
_AROUND: Final = " \t\"'"
"""Padding and quotes around a value."""


def masked_line(line: RawLine) -> str:
    """A line for people: runs of four digits and more, words that the layout does not know to be codes, and accounts
    show their last three characters. Bytes that are no printable text are shown in hexadecimal, masked as well.
    """
    text = _printable(line.content, line.encoding)
    # Each byte is a character of its own there, so that nothing in it escapes the mask.
    letters = text if text is not None else line.content.decode("latin-1")
    shift = _shift(line) if text is not None else {}
    plain, accounts = ({(shift.get(a, a), shift.get(b, b)) for a, b in spans} for spans in (line.plain, line.accounts))
    hidden = _hidden(letters, plain, accounts)
    end = CUT if line.size > len(line.content) else ""
    if text is None:
        pairs = (HIDDEN * 2 if hide else f"{ord(letter):02x}" for letter, hide in zip(letters, hidden, strict=True))
        return " ".join(pairs) + end
    return "".join(HIDDEN if hide else letter for letter, hide in zip(letters, hidden, strict=True)) + end


def _printable(content: bytes, encoding: str) -> str | None:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    return text if text.replace("\t", "").isprintable() else None


def _shift(line: RawLine) -> dict[int, int]:
    """Where bytes are no characters: the character at which each edge of a span lies."""
    if line.content.isascii():
        return {}
    edges = {edge for span in (*line.plain, *line.accounts) for edge in span}
    return {edge: len(line.content[:edge].decode(line.encoding, "ignore")) for edge in edges}


def _hidden(text: str, plain: set[Span], accounts: set[Span]) -> list[bool]:
    """Which characters are hidden. Parts are looked at one by one: fixed width ones have nothing between them."""
    hidden = [False] * len(text)
    for part in pairwise(sorted({0, len(text), *(edge for span in plain | accounts for edge in span)})):
        if part in accounts:
            value = text[slice(*part)]
            first = part[0] + len(value) - len(value.lstrip(_AROUND))
            _hide(hidden, first, first + len(value.strip(_AROUND)))
            continue
        for pattern in (_NUMBER,) if part in plain else (_NUMBER, _WORD):
            for match in pattern.finditer(text, *part):
                _hide(hidden, *match.span())
    return hidden


def _hide(hidden: list[bool], start: int, end: int) -> None:
    """Hide all but the end of a part, or all of a short one. What another rule has hidden stays so."""
    last = end - _SHOWN if end - start > _SHOWN else end
    hidden[start:last] = [True] * (last - start)


def masked_address(column: str) -> pl.Expr:
    """``a···@acme.example``: a mail address for people; of a short name, or of what is no address, nothing is shown."""
    text = pl.col(column)
    domain = text.str.extract(r"(@[A-Za-z0-9.-]+)$").fill_null("")
    first = pl.when(text.str.contains(rf"^[^@]{{{_SHOWN + 1},}}@")).then(text.str.slice(0, 1)).otherwise(pl.lit(""))
    return pl.concat_str(first, pl.lit(HIDDEN * 3), domain).alias(column)
