"""One block of lines turned into accepted and quarantined records.

Here: canonical columns from fields, and the split by the rules of line, field, column and kind. Not here: reading a
whole file (``reader``) or its totals (``control``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from operator import or_
from typing import Final

import polars as pl

from counterfoil.feed import FeedKind
from counterfoil.schemas.rules import Check, Rule, kind_checks, route
from counterfoil.schemas.tables import ACCEPTED, QUARANTINED, RAW_BYTES_MAX, empty
from parsers.layout import Layout
from parsers.layout_parts import LineEnd, Origin
from parsers.shapes import LINE_CHECKS, WHOLE, cut
from parsers.text import Text
from parsers.values import FIELD, Value, value_of

OUTCOME: Final = "outcome"


@dataclass(frozen=True, eq=False)
class Split:
    """``accepted`` as in ``tables.ACCEPTED``; ``quarantined`` as in ``tables.QUARANTINED`` and ``outcome`` String?
    (where the partner's outcome could be read, for counts by outcome)."""

    accepted: pl.DataFrame
    quarantined: pl.DataFrame


@dataclass(frozen=True, eq=False)
class Plan:
    """A layout as expressions, made once a file."""

    values: dict[str, Value]
    columns: dict[str, pl.Expr]
    suspect: pl.Expr
    checks: tuple[Check, ...]


def plan(layout: Layout, business_date: date | None) -> Plan:
    """How to read this layout's records; ``business_date`` is the file's, for columns that use it."""
    outcome = layout.record.get(OUTCOME)
    outcome_field = outcome.field if outcome is not None else None
    values = {name: value_of(name, spec, outcome=name == outcome_field) for name, spec in layout.fields.items()}
    columns = {
        column: _column(layout.record.get(column), dtype, business_date)
        for column, dtype in ACCEPTED[layout.kind].items()
        if column != "line_no"
    }
    sources = {column: origin.field for column, origin in layout.record.items() if origin.field is not None}
    demanded = tuple(
        Check(Rule.FIELD_MISSING, origin.field, _applies(origin) & pl.col(FIELD + (origin.field or "")).is_null())
        for origin in layout.record.values()
        if origin.required
    )
    extra = (*demanded, *kind_checks(layout.kind, sources))
    field_checks = tuple(check for value in values.values() for check in value.checks)
    suspects = [~pl.col(WHOLE), pl.col("line.fault") != 0, *(v.suspect for v in values.values())]
    suspects += [check.fails for check in extra]
    suspect = reduce(or_, suspects).fill_null(value=False)
    return Plan(values, columns, suspect, (*LINE_CHECKS, *field_checks, *extra))


def _column(origin: Origin | None, dtype: type[pl.DataType], business_date: date | None) -> pl.Expr:
    if origin is None:
        return pl.lit(None, dtype)
    if origin.constant is not None:
        return pl.lit(origin.constant, dtype)
    if origin.use is not None:
        return pl.lit(business_date, dtype)
    value = pl.col(FIELD + (origin.field or ""))
    return value if origin.when is None else pl.when(_applies(origin)).then(value)


def _applies(origin: Origin) -> pl.Expr:
    """True on the records on which a column's ``when`` keeps its value."""
    ((other, wanted),) = (origin.when or {}).items()
    return pl.col(FIELD + other).is_in(list(wanted)).fill_null(value=False)


def split(text: Text, layout: Layout, how: Plan, columns: Sequence[str], line_end: LineEnd) -> Split:
    """Read one block. ``columns`` are those of a delimited file in its own order."""
    rows = cut(text, layout, columns, line_end)
    # Lazy only so that what an expression uses twice is computed once.
    rows = rows.lazy().with_columns(value.typed.alias(FIELD + name) for name, value in how.values.items()).collect()
    rows = rows.with_columns(expression.alias(column) for column, expression in how.columns.items())
    suspect = rows.select(suspect=how.suspect).to_series()
    quarantined, guilty = route(rows, suspect, how.checks)
    accepted = rows.select(*ACCEPTED[layout.kind])
    if guilty.height:
        accepted = accepted.filter(~quarantined)
        raw = text.raw.binary().filter(quarantined)
    else:
        raw = pl.Series([], dtype=pl.Binary)
    return Split(accepted, _quarantined(guilty.with_columns(raw.alias("line.raw")), layout, how))


def _quarantined(guilty: pl.DataFrame, layout: Layout, how: Plan) -> pl.DataFrame:
    """Guilty rows as the quarantine keeps them; an amount or outcome counts as read only in a line that is whole."""
    points = outcome = pl.lit(None)
    origin = layout.record.get("points")
    if origin is not None:
        field = origin.field or ""
        unread = [check.fails.fill_null(value=False) for check in how.values[field].checks]
        points = pl.when(pl.col(WHOLE) & ~reduce(or_, unread)).then(pl.col("points"))
    if layout.kind == FeedKind.HANDBACK:
        outcome = pl.when(pl.col(WHOLE)).then(pl.col(OUTCOME))
    return guilty.select(
        "line_no",
        "code",
        "field",
        raw=pl.col("line.raw").bin.slice(0, pl.min_horizontal("line.size", pl.lit(RAW_BYTES_MAX))),
        points=points.cast(pl.Int64),
        outcome=outcome.cast(pl.String),
    )


def nothing(layout: Layout) -> Split:
    """A file without records."""
    quarantined = empty(QUARANTINED).with_columns(pl.lit(None, pl.String).alias(OUTCOME))
    return Split(empty(ACCEPTED[layout.kind]), quarantined)
