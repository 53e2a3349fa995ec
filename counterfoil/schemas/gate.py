"""The gate: proves frames against their models and a parsed file against what it says of itself.

Here: ``conform`` and ``prove_control``. Not here: which row is accepted (``rules``). After that split a failure of
``conform`` is our own fault; one of ``prove_control`` is the file's.
"""

from typing import Any, Final, Literal

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed, FeedKind
from counterfoil.protocols import Parsed
from counterfoil.schemas.tables import DECLARED_POINTS

Kind = FeedKind | Literal["quarantined", "control"]

LINES_NAMED_MAX: Final = 5
"""Line numbers spelled out in one message: enough to look, short enough to read."""

FAULTS_NAMED_MAX: Final = 10
"""Failed checks spelled out in one message; a model has fewer than twenty."""


def conform(kind: Kind, frame: pl.DataFrame) -> pl.DataFrame:
    """Prove that a frame is exactly the table of its kind, and return it unchanged.

    ``kind`` is a feed kind (its accepted rows), ``quarantined`` or ``control``. Nothing is coerced, dropped or added.
    Raises GATE_PROOF_FAILED naming each check, its column and line numbers, and TypeError for anything but an eager
    frame: pandera checks only the schema of a lazy one.
    """
    if not isinstance(frame, pl.DataFrame):
        raise TypeError(f"a table is proved as an eager polars DataFrame, not as {type(frame).__name__}")
    # Imported here because pandera takes 0.4-2.4 s to import, and most commands prove nothing.
    from pandera.errors import SchemaErrors  # noqa: PLC0415

    from counterfoil.schemas.models import MODELS, Control, Quarantined  # noqa: PLC0415

    model = Quarantined if kind == "quarantined" else Control if kind == "control" else MODELS[kind]
    try:
        model.validate(frame, lazy=True)
    except SchemaErrors as error:
        raise PermanentError(
            Code.GATE_PROOF_FAILED,
            f"table {kind}",
            found=_faults(error.failure_cases, frame),
            expected="every row that passed the rules to hold the model of its table",
            remedy="This is a fault of the program: nothing was changed; report it with the layout's name and version",
        ) from None
    return frame


def _faults(cases: pl.DataFrame, frame: pl.DataFrame) -> str:
    """Failed checks by name, column and line number; never a value."""
    lines = frame["line_no"] if "line_no" in frame.columns else None
    texts = []
    for (context, column, check), part in cases.group_by("schema_context", "column", "check", maintain_order=True):
        # A structural case keeps the name of the column that is missing or too many in `failure_case`, not a value.
        name = column if context == "Column" else ", ".join(part["failure_case"].cast(pl.String).unique().sort())
        rows = part["index"].drop_nulls().head(LINES_NAMED_MAX)
        where = "" if lines is None or rows.is_empty() else f" at line {', '.join(map(str, lines.gather(rows)))}"
        texts.append(f"{name}: {check}{where}")
    more = f" and {len(texts) - FAULTS_NAMED_MAX} more" if len(texts) > FAULTS_NAMED_MAX else ""
    return "; ".join(texts[:FAULTS_NAMED_MAX]) + more


def bound_rows(records: int, feed: Feed, name: str) -> None:
    """Raise ROWS_TOO_MANY for a file of more records than its layout allows; called before they are parsed."""
    if records > feed.limits.rows_max:
        raise PermanentError(
            Code.ROWS_TOO_MANY,
            _where(feed, name),
            found=f"{records:,} records",
            expected=f"at most {feed.limits.rows_max:,}",
            remedy="Ask the partner to split the file, or raise limits.rows_max in a new layout version",
        )


def prove_control(parsed: Parsed, feed: Feed, name: str, *, released: bool = False) -> None:
    """Judge a file as a whole by its control totals and by how much of it could be read.

    Raises, in this order: ROWS_TOO_MANY; CONTROL_TOTAL_WRONG naming each identity that fails with both its sides;
    REJECT_RATE_HIGH; UNREADABLE_AMOUNTS when amounts that cannot be read leave declared points unproved and the layout
    holds such files. Where the layout says ``post_rest``, the implied remainder (declared less computed of the
    ``points_`` rows) stays in the control table and is never posted. A single bad row is never too high a
    rate, unless the layout allows none. Of a file that a person has ``released``, only totals that cannot be excused by
    rows it could not read are judged.
    """
    bound_rows(parsed.records, feed, name)
    unreadable = parsed.quarantined["points"].null_count()
    of_points = pl.col("name").str.starts_with("points_") & ~pl.col("name").str.starts_with(DECLARED_POINTS)
    excused = of_points if unreadable else pl.lit(value=False)
    wrong = parsed.control.filter(~pl.col("holds") & ~excused)
    if wrong.height:
        sides = [f"{row['name']}: declared {row['declared']:,}, found {row['computed']:,}" for row in _first(wrong)]
        raise PermanentError(
            Code.CONTROL_TOTAL_WRONG,
            _where(feed, name),
            found="; ".join(sides),
            expected="every count and total in the file to be that of its records",
            remedy="Nothing of the file was posted; ask the partner to send it again, whole",
        )
    if released:
        return
    _bound_rejects(parsed, feed, name)
    points = parsed.control.filter(of_points)
    if unreadable and points.height and feed.unreadable == "hold":
        remainders = [f"{r['name']} leaves {r['declared'] - r['computed']:,}" for r in _first(points)]
        raise PermanentError(
            Code.UNREADABLE_AMOUNTS,
            _where(feed, name),
            found=f"{unreadable:,} amounts that cannot be read; {'; '.join(remainders)}",
            expected="every amount to be readable where the file declares totals",
            remedy="Ask the partner for a corrected file, or say unreadable: post_rest in a new layout version",
        )


def _first(control: pl.DataFrame) -> list[dict[str, Any]]:
    """The identities to name in a message: a file of many groups may have any number."""
    return control.head(FAULTS_NAMED_MAX).to_dicts()


def _bound_rejects(parsed: Parsed, feed: Feed, name: str) -> None:
    rows, most = parsed.quarantined.height, feed.limits.reject_rate_max
    if rows <= max(most * parsed.records, 1 if most else 0):
        return
    codes = parsed.quarantined.group_by("code").len().sort("len", "code", descending=[True, False])
    counts = ", ".join(f"{code} {count:,}" for code, count in codes.iter_rows())
    raise PermanentError(
        Code.REJECT_RATE_HIGH,
        _where(feed, name),
        found=f"{rows:,} of {parsed.records:,} records cannot be accepted ({counts})",
        expected=f"at most {most:.1%}",
        remedy="Nothing of the file was posted; compare it with the layout, then ask the partner",
    )


def _where(feed: Feed, name: str) -> str:
    return f"{feed.key} {name!r}"
