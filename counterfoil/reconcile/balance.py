"""The mass balance of a file: what it brought and what became of it, in rows and in points. Pure.

Here: the figures of stage 1 and what must hold between them. Not here: where they are kept or shown.
"""

from typing import Final

import polars as pl

from counterfoil.ledger.model import Disposition
from counterfoil.protocols import Parsed

FIGURES: Final = {
    "part": pl.String,
    "records": pl.Int64,
    "net": pl.Int64,
    "positive": pl.Int64,
    "negative": pl.Int64,
}
"""One part of a file a row: how many rows, and their points net and by sign."""

BROUGHT: Final = ("line", "envelope", "record", "accepted", "quarantined")
BECAME: Final = tuple(disposition.name.lower() for disposition in Disposition)


def stage_one(parsed: Parsed, dispositions: pl.DataFrame) -> pl.DataFrame:
    """FIGURES of a file: BROUGHT, quarantined rows again by code (``quarantined:CODE``), then one row a disposition.

    ``dispositions``: disposition, points.
    """
    counts = {"line": parsed.lines, "envelope": parsed.envelope_lines, "record": parsed.records}
    brought = [
        *(pl.DataFrame({"part": [part], "records": [count]}) for part, count in counts.items()),
        _figures("accepted", parsed.accepted),
        _figures("quarantined", parsed.quarantined),
        *(
            _figures(f"quarantined:{rows['code'][0]}", rows)
            for rows in parsed.quarantined.sort("code").partition_by("code", maintain_order=True)
        ),
    ]
    became = [
        _figures(kind.name.lower(), dispositions.filter(pl.col("disposition") == kind.value)) for kind in Disposition
    ]
    return pl.concat([*brought, *became], how="diagonal_relaxed").select(
        pl.col(name).cast(kind).fill_null(strategy="zero") if name != "part" else pl.col(name)
        for name, kind in FIGURES.items()
    )


def _figures(part: str, rows: pl.DataFrame) -> pl.DataFrame:
    points = rows["points"] if "points" in rows.columns else pl.Series("points", [], pl.Int64)
    return pl.DataFrame(
        {
            "part": [part],
            "records": [rows.height],
            "net": [int(points.sum())],
            "positive": [int(points.filter(points > 0).sum())],
            "negative": [int(points.filter(points < 0).sum())],
        }
    )


def unexplained(figures: pl.DataFrame) -> dict[str, int]:
    """What does not add up: rows, and points net, positive and negative; all 0 when the pipe balances.

    line = envelope + record; record = accepted + quarantined; accepted = the sum of the dispositions.
    """
    parts = {row["part"]: row for row in figures.iter_rows(named=True)}
    became = {name: sum(parts[part][name] for part in BECAME) for name in ("records", "net", "positive", "negative")}
    return {
        "lines": parts["line"]["records"] - parts["envelope"]["records"] - parts["record"]["records"],
        "records": parts["record"]["records"] - parts["accepted"]["records"] - parts["quarantined"]["records"],
        "rows": parts["accepted"]["records"] - became["records"],
        **{name: parts["accepted"][name] - became[name] for name in ("net", "positive", "negative")},
    }
