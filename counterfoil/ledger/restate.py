"""Why figures that were known at one time are others at a later one: every change by what caused it, adding up.

Here: the points of each account before and after, and the parts between them. Not here: which postings were known when
(``known``), which chart was in force (``steps.recall``), or showing it.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from counterfoil.errors import Code
from counterfoil.feed import FeedKind
from counterfoil.identity import Verdict
from counterfoil.invariants import require
from counterfoil.ledger.chart import Chart
from counterfoil.ledger.extracts import gl_and_name, sums
from counterfoil.ledger.known import Reach
from counterfoil.ledger.lookups import Lookups

FILE: Final = "file"
CORRECTION: Final = "correction"
DECISION: Final = "decision"
RULE_VERSION: Final = "rule version"

FIGURES: Final[dict[str, type[pl.DataType]]] = {
    "gl": pl.String,
    "name": pl.String,
    "kind": pl.String,
    "partner": pl.String,
    "unit": pl.String,
    "before": pl.Int64,
    "after": pl.Int64,
    "change": pl.Int64,
}
"""A figure that something changed, though its changes may cancel out. Points are credit-positive."""

PARTS: Final[dict[str, type[pl.DataType]]] = {
    "gl": pl.String,
    "kind": pl.String,
    "partner": pl.String,
    "unit": pl.String,
    "points": pl.Int64,
    "cause": pl.String,
    "posting": pl.Int64,
    "posted_at": pl.Datetime,
    "feed": pl.String,
    "file": pl.String,
    "sender": pl.String,
}
"""What one posting changed in one figure. Cause ``rule version``: the same points stand under another GL account; then
``posting`` is the first under the new chart, ``file`` names the chart, and feed and sender are null."""

_PLACE: Final = ("gl", "kind", "partner", "unit")
_HELD: Final = ("kind", "partner", "unit")


@dataclass(frozen=True, eq=False)
class Restated:
    """FIGURES and PARTS; the parts of a figure add up to its change."""

    figures: pl.DataFrame
    parts: pl.DataFrame


@dataclass(frozen=True)
class ChartChange:
    """The charts of accounts before and after, and the first posting under the second; the same twice for none."""

    before: Chart
    after: Chart
    since: int


def restate(book: Lookups, from_n: int, to_n: int, *, reach: Reach, charts: ChartChange) -> Restated:
    """What changed between posting ``from_n`` and posting ``to_n`` in the figures that ``reach`` dates.

    Before and after are read from balances, parts from the entries between, and the two are proved to agree for each
    figure and in all: MASS_BALANCE. Raises RULES_INVALID when a chart lacks a kind of account that has points.
    """
    before, after = (_held(book, reach.at(n)) for n in (from_n, to_n))
    moved = _moved(book, from_n, to_n, reach)
    parts = pl.concat([_placed(moved, charts.after, *PARTS), _reclassified(book, before, charts)])
    told = Restated(
        _figures(_placed(before, charts.before, *_PLACE, "points"), _placed(after, charts.after, *_PLACE, "points"),
                 parts, charts),
        parts.sort(*_PLACE, "posting", "cause"),
    )  # fmt: skip
    prove(told)
    return told


def prove(told: Restated) -> None:
    """Raise MASS_BALANCE unless the parts of each figure add up to its change, and all parts to all changes."""
    added = told.parts.group_by(_PLACE).agg(added=pl.col("points").cast(pl.Int128).sum())
    both = told.figures.join(added, on=_PLACE, how="full", coalesce=True)
    stated, summed = pl.col("change").fill_null(0).cast(pl.Int128), pl.col("added").fill_null(0)
    require(
        bool(both.select((stated == summed).all()).item()),
        "the parts of each figure add up to its change",
        code=Code.MASS_BALANCE,
    )
    require(
        told.figures["change"].cast(pl.Int128).sum() == told.parts["points"].cast(pl.Int128).sum(),
        "all parts add up to all changes",
        code=Code.MASS_BALANCE,
    )


def _held(book: Lookups, reach: Reach) -> pl.DataFrame:
    """What kinds of account held: kind, partner, unit, points; those without points are left out."""
    return book.frame(
        f"""SELECT a.kind, p.partner, a.unit, CAST(sum(s.balance) AS BIGINT) AS points
            FROM ({sums(reach)}) s JOIN book.account a ON a.account_id = s.account_id
            JOIN book.partner p ON p.partner_id = a.partner_id GROUP BY ALL HAVING sum(s.balance) <> 0"""
    )


def _moved(book: Lookups, from_n: int, to_n: int, reach: Reach) -> pl.DataFrame:
    """What each posting in between did: PARTS without ``gl``; what cancels out within a posting is left out."""
    decisions = ", ".join(f"'{kind}'" for kind in (FeedKind.DECISIONS, FeedKind.APPROVALS))
    return book.frame(
        f"""WITH moved AS (
                SELECT file_id, account_id, sum(amount) AS points FROM book.entry
                WHERE file_id > {from_n} AND file_id <= {to_n} AND {reach.dated()} GROUP BY file_id, account_id
            )
            SELECT a.kind, p.partner, a.unit, CAST(sum(m.points) AS BIGINT) AS points,
                   CASE WHEN f.verdict = '{Verdict.CORRECTION}' THEN '{CORRECTION}'
                        WHEN f.kind IN ({decisions}) THEN '{DECISION}' ELSE '{FILE}' END AS cause,
                   CAST(f.n AS BIGINT) AS posting, f.posted_at, f.feed, f.name AS file, f.sender
            FROM moved m JOIN book.account a ON a.account_id = m.account_id
            JOIN book.partner p ON p.partner_id = a.partner_id JOIN book.posting f ON f.n = m.file_id
            GROUP BY ALL HAVING sum(m.points) <> 0"""
    )


def _reclassified(book: Lookups, before: pl.DataFrame, charts: ChartChange) -> pl.DataFrame:
    """PARTS of the points that a new chart puts under another GL account: out of the old one, into the new one."""
    places = _placed(before, charts.before, *_PLACE, "points").join(
        _placed(before, charts.after, *_PLACE).rename({"gl": "gl_after"}), on=_HELD
    )
    other = places.filter(pl.col("gl") != pl.col("gl_after"))
    both = pl.concat(
        [other.with_columns(points=-pl.col("points")).drop("gl_after"), other.drop("gl").rename({"gl_after": "gl"})],
        how="diagonal",
    )
    posted = book.row("SELECT posted_at FROM book.posting WHERE n = ?", charts.since)
    stamp = {
        "cause": RULE_VERSION,
        "posting": charts.since,
        "posted_at": posted[0] if posted else None,
        "feed": None,
        "file": f"chart of accounts, version {charts.after.version}",
        "sender": None,
    }
    return both.select(
        *_PLACE, "points", *(pl.lit(value).cast(PARTS[name]).alias(name) for name, value in stamp.items())
    )


def _placed(found: pl.DataFrame, chart: Chart, *columns: str) -> pl.DataFrame:
    """Rows with the GL account of their kind."""
    gl, _ = gl_and_name(found, chart)
    named = found.with_columns(gl)
    return named.select(pl.col(name).cast(PARTS[name]) for name in columns)


def _figures(before: pl.DataFrame, after: pl.DataFrame, parts: pl.DataFrame, charts: ChartChange) -> pl.DataFrame:
    """FIGURES of the places that have parts, or a change without any, which the proof then refuses."""
    told = parts.select(*_PLACE).unique().with_columns(told=pl.lit(value=True))
    both = before.rename({"points": "before"}).join(
        after.rename({"points": "after"}), on=_PLACE, how="full", coalesce=True
    )
    stated = (
        both.join(told, on=_PLACE, how="full", coalesce=True)
        .with_columns(pl.col("before", "after").fill_null(0))
        .with_columns(change=pl.col("after") - pl.col("before"))
        .filter(pl.col("told").is_not_null() | (pl.col("change") != 0))
    )
    names = pl.DataFrame(
        [
            (kind, account.gl, account.name)
            for chart in (charts.after, charts.before)
            for kind, account in chart.accounts.items()
        ],
        schema={"kind": pl.String, "gl": pl.String, "name": pl.String},
        orient="row",
    ).unique(["kind", "gl"], keep="first", maintain_order=True)
    named = stated.join(names, on=["kind", "gl"], how="left").sort(*_PLACE)
    return named.select(pl.col(name).cast(kind) for name, kind in FIGURES.items())
