"""Some records as raw texts turned into accepted and quarantined ones.

Here: canonical columns from fields, and the split by the rules of line, field, column and kind. Not here: reading a
whole file (``reader``) or its totals (``control``).
"""

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Final

import polars as pl

from counterfoil.feed import FeedKind
from counterfoil.schemas.kind_rules import kind_checks
from counterfoil.schemas.rules import Check, Rule, route
from counterfoil.schemas.tables import ACCEPTED, NULLABLE, QUARANTINED, RAW_BYTES_MAX, empty
from parsers.envelope import Envelope, Scalar, name_part
from parsers.layout import Layout
from parsers.layout_parts import Origin
from parsers.shapes.cut import LINE_CHECKS, RAW, SINGLE, WHOLE, Cut
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


def plan(layout: Layout, envelope: Envelope, name: str) -> Plan:
    """How to read this layout's records; columns may use what the file and its name say once."""
    outcome = layout.record.get(OUTCOME)
    outcomes = outcome.fields if outcome is not None else ()
    values = {
        field: value_of(field, spec, layout.zone, outcome=field in outcomes) for field, spec in layout.fields.items()
    }
    once = {
        column: _said_once(origin, layout, envelope, name)
        for column, origin in layout.record.items()
        if not origin.fields
    }
    columns = {
        column: pl.lit(once[column], dtype) if column in once else _column(layout.record.get(column), dtype)
        for column, dtype in ACCEPTED[layout.kind].items()
        if column != "line_no"
    }
    sources = {column: origin.fields[0] for column, origin in layout.record.items() if origin.fields}
    demanded = tuple(
        Check(Rule.FIELD_MISSING, origin.field, _applies(origin) & pl.col(FIELD + (origin.field or "")).is_null())
        for origin in layout.record.values()
        if origin.required
    )
    nested = tuple(
        Check(Rule.VALUE_NESTED, name, ~pl.col(SINGLE + name))
        for name, spec in layout.fields.items()
        if spec.path is not None
    )
    extra = (*nested, *demanded, *_required_of_several(layout), *kind_checks(layout, sources))
    field_checks = tuple(check for value in values.values() for check in value.checks)
    suspects = [~pl.col(WHOLE), pl.col("line.fault") != 0, *(v.suspect for v in values.values())]
    suspects += [check.fails for check in extra]
    suspect = reduce(or_, suspects).fill_null(value=False)
    return Plan(values, columns, suspect, (*LINE_CHECKS, *field_checks, *extra))


def _said_once(origin: Origin, layout: Layout, envelope: Envelope, name: str) -> Scalar:
    """What a column has on every record of the file."""
    if origin.use is not None:
        return envelope.marks.business_date
    if origin.envelope is not None:
        return envelope.values[origin.envelope]
    return origin.constant if origin.name is None else name_part(layout, name, origin.name)


def _required_of_several(layout: Layout) -> tuple[Check, ...]:
    """Of several fields that a column may come from, one must be filled where the column may not be null."""
    nullable = NULLABLE[layout.kind]
    return tuple(
        Check(Rule.FIELD_MISSING, origin.first_of[0], pl.all_horizontal(_blank(field) for field in origin.first_of))
        for column, origin in layout.record.items()
        if origin.first_of and column not in nullable
    )


def _blank(field: str) -> pl.Expr:
    return pl.col(RAW + field).fill_null("") == ""


def _column(origin: Origin | None, dtype: type[pl.DataType]) -> pl.Expr:
    if origin is None:
        return pl.lit(None, dtype)
    value = pl.coalesce([pl.col(FIELD + field) for field in origin.fields])
    return value if origin.when is None else pl.when(_applies(origin)).then(value)


def _applies(origin: Origin) -> pl.Expr:
    """True on the records on which a column's ``when`` keeps its value."""
    ((other, wanted),) = (origin.when or {}).items()
    return pl.col(FIELD + other).is_in(list(wanted)).fill_null(value=False)


def split(cut: Cut, layout: Layout, how: Plan) -> Split:
    """Read one block."""
    rows = cut.rows
    # Lazy only so that what an expression uses twice is computed once.
    rows = rows.lazy().with_columns(value.typed.alias(FIELD + name) for name, value in how.values.items()).collect()
    rows = rows.with_columns(expression.alias(column) for column, expression in how.columns.items())
    suspect = rows.select(suspect=how.suspect).to_series()
    quarantined, guilty = route(rows, suspect, how.checks)
    accepted = rows.select(*ACCEPTED[layout.kind])
    if guilty.height:
        accepted = accepted.filter(~quarantined)
        raw = cut.raw.filter(quarantined)
    else:
        raw = pl.Series([], dtype=pl.Binary)
    return Split(accepted, _quarantined(guilty.with_columns(raw.alias("line.raw")), layout, how))


def _quarantined(guilty: pl.DataFrame, layout: Layout, how: Plan) -> pl.DataFrame:
    """Guilty rows as the quarantine keeps them; an amount or outcome counts as read only in a line that is whole."""
    points = outcome = pl.lit(None)
    origin = layout.record.get("points")
    if origin is not None:
        unread = [check.fails.fill_null(value=False) for f in origin.fields for check in how.values[f].checks]
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
