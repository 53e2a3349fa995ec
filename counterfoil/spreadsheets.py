"""What keeps a spreadsheet from running the text of a cell. Not here: writing any file."""

from typing import Final

import polars as pl

_FORMULA: Final = (
    "^[=+@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}-]"
)
"""First letters after which a spreadsheet may run a cell (OWASP, "CSV Injection"); their wide forms count in Japan."""


def inert(text: pl.Expr) -> pl.Expr:
    """The text, with an apostrophe before what a spreadsheet would take for a formula."""
    return pl.when(text.str.contains(_FORMULA)).then(pl.lit("'") + text).otherwise(text)
