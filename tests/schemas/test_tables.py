"""The plain schemas and the Pandera models say the same, and only the models cost an import."""

import subprocess
import sys

import polars as pl
import pytest

from counterfoil.feed import FeedKind
from counterfoil.schemas import model_parts, models, tables

EVERY: list[type[model_parts.Table]] = [*models.MODELS.values(), models.Quarantined, models.Control]


@pytest.mark.parametrize("kind", FeedKind)
def test_models_are_the_tables(kind: FeedKind) -> None:
    columns = models.MODELS[kind].to_schema().columns
    assert list(columns) == list(tables.ACCEPTED[kind])
    assert {name for name, column in columns.items() if column.nullable} == tables.NULLABLE[kind]
    frame = tables.empty(tables.ACCEPTED[kind])
    assert models.MODELS[kind].validate(frame).schema == frame.schema
    for (table, column), values in tables.CLOSED_SETS.items():
        if table is kind:
            (check,) = [c for c in columns[column].checks if c.name == "isin"]
            assert tuple(check.statistics["allowed_values"]) == values


def test_quarantine_and_control() -> None:
    pairs: list[tuple[type[model_parts.Table], tables.Columns]] = [
        (models.Quarantined, tables.QUARANTINED),
        (models.Control, tables.CONTROL),
    ]
    for model, columns in pairs:
        frame = tables.empty(columns)
        assert model.validate(frame).schema == frame.schema
        assert list(model.to_schema().columns) == list(columns)


def test_every_check_is_bounded() -> None:
    """An unbounded check keeps a row for each failing cell: 1.4 GB for a million."""
    checks = [check for model in EVERY for column in model.to_schema().columns.values() for check in column.checks]
    assert len(checks) > 30
    assert {check.n_failure_cases for check in checks} == {model_parts.CASES_MAX}


def test_models_are_strict() -> None:
    for model in EVERY:
        schema = model.to_schema()
        assert (schema.strict, schema.ordered, schema.coerce, schema.drop_invalid_rows) == (True, True, False, False)
        assert not any(column.coerce for column in schema.columns.values())
        assert not any(check.element_wise for column in schema.columns.values() for check in column.checks)


@pytest.mark.parametrize("module", ["counterfoil.schemas.gate", "counterfoil.schemas.rules", "parsers.registry"])
def test_importing_is_cheap_until_something_is_proved(module: str) -> None:
    code = f"import sys, {module}; sys.exit('pandera' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_empty_frames_have_the_types() -> None:
    assert tables.empty(tables.QUARANTINED).schema == pl.Schema(
        {"line_no": pl.Int64, "code": pl.String, "field": pl.String, "raw": pl.Binary, "points": pl.Int64}
    )
