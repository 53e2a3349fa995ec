"""What letters say that the book does not hold: names, citations and campaigns, which lie in landed files, and links.

Here: adding them to letters about distributions. Not here: which letters there are (``ledger.letters``), or how a
campaign uses what is known (``campaigns``).
"""

from typing import Final

import polars as pl

from counterfoil.ledger.model import RECORD_SPAN
from counterfoil.letters import LETTERS, LetterKind
from counterfoil.steps.desk import Desk
from counterfoil.steps.record import accepted_of

_OF_ITEMS: Final = (LetterKind.POINTS.value, LetterKind.REGISTER.value)
"""Kinds whose keys end in the item that they are about."""


def worded(desk: Desk, letters: pl.DataFrame) -> pl.DataFrame:
    """The letters (LETTERS) with name, citation and campaign as the line of each one's item says, and the link of its
    kind; they stay as they are where nothing says more."""
    items = letters.filter(pl.col("kind").is_in(_OF_ITEMS)).select(
        "letter_key", item_id=pl.col("letter_key").str.extract(r":([0-9]+)$").cast(pl.Int64)
    )
    places = items.with_columns(n=pl.col("item_id") // RECORD_SPAN, line_no=pl.col("item_id") % RECORD_SPAN)
    places = places.filter(pl.col("n") > 0)
    said = [_said(desk, n, lines) for (n,), lines in places.group_by("n", maintain_order=True)]
    columns = {"letter_key": pl.String, "name": pl.String, "citation": pl.String, "campaign": pl.String}
    told = pl.concat([pl.DataFrame(schema=columns), *said])
    links = {str(kind): link for kind, link in desk.settings.mail.links.items()}
    return (
        letters.join(told, on="letter_key", how="left", maintain_order="left", suffix="_said")
        .with_columns(
            name=pl.coalesce("name_said", "name"),
            citation=pl.coalesce("citation_said", "citation"),
            campaign=pl.coalesce("campaign_said", "campaign"),
            link=pl.coalesce("link", pl.col("kind").replace_strict(links, default=None, return_dtype=pl.String)),
        )
        .select(*LETTERS)
    )


def _said(desk: Desk, n: object, lines: pl.DataFrame) -> pl.DataFrame:
    rows = accepted_of(desk, int(str(n))).select("line_no", "name", "citation", "campaign")
    return lines.join(rows, on="line_no", maintain_order="left").select("letter_key", "name", "citation", "campaign")
