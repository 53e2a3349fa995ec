"""What a materialisation shows: counts, tables and links, never a row's values. Pure: facts in, metadata out."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import dagster as dg
import polars as pl

from counterfoil.landing.records import Delivery, Outcome


def table(rows: Iterable[Sequence[object]], header: Sequence[str]) -> dg.MetadataValue:
    """A Markdown table; ``none`` where there is no row."""
    lines = [" | ".join(_cell(cell) for cell in row) for row in rows]
    if not lines:
        return dg.MetadataValue.md("none")
    return dg.MetadataValue.md("\n".join([" | ".join(header), " | ".join("---" for _ in header), *lines]))


def frame(rows: pl.DataFrame) -> dg.MetadataValue:
    """A small frame as a Markdown table."""
    return table(rows.iter_rows(), rows.columns)


def turned(rows: pl.DataFrame, *, heading: str) -> dg.MetadataValue:
    """A wide frame of few rows, one column a row of it: what does not fit the page sideways is read downwards."""
    names = [str(name) for name in rows[heading]]
    fields = [name for name in rows.columns if name != heading]
    return table([(field.replace("_", " "), *rows[field].to_list()) for field in fields], ("", *names))


def deliveries(known: Sequence[Delivery], outcomes: Mapping[int, Outcome]) -> dg.MetadataValue:
    """Files with their verdict on arrival and what became of them."""
    return table(
        [
            (one.order, one.name, one.identity, one.size, one.verdict, _state(outcomes.get(one.order)), one.code)
            for one in known
        ],
        ("delivery", "file", "identity", "bytes", "verdict", "outcome", "code"),
    )


def link(page: Path) -> dg.MetadataValue:
    """A link to a file on this machine."""
    return dg.MetadataValue.url(page.as_uri())


def _state(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    return f"posting {outcome.n}" if outcome.n else f"{outcome.state} {outcome.code or ''}".strip()


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("|", "\\|")
