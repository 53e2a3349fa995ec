"""What a file declares beside what its records add up to.

Here: the identities of a layout, computed. Not here: the verdict on them (``counterfoil.schemas.gate.prove_control``).

Counts are taken over all detail lines, readable or not; sums over readable amounts, accepted and quarantined. A count
or sum by outcome may differ by what quarantined rows of unreadable outcome can explain.
"""

from typing import Final

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.schemas.tables import CONTROL
from parsers.envelope import Envelope, Scalar
from parsers.layout import Layout
from parsers.layout_parts import Proof
from parsers.records import OUTCOME, Split

INT64_MAX: Final = 2**63 - 1


def control_table(layout: Layout, envelope: Envelope, records: Split, name: str) -> pl.DataFrame:
    """One row an identity, as ``tables.CONTROL``. Raises CONTROL_TOTAL_WRONG when amounts add up beyond 64 bits."""
    if "points" in records.accepted.columns:
        _bound_sum(records, layout, name)
    rows = [_row(proof, envelope.values, records) for proof in layout.proofs]
    return pl.DataFrame(rows, schema=dict(CONTROL), orient="row")


def _row(proof: Proof, values: dict[str, Scalar], records: Split) -> tuple[str, int, int, bool]:
    declared = _whole(values[proof.declared])
    if proof.measure == "add":
        computed = sum(_whole(values[part]) for part in proof.parts)
        return proof.name, declared, computed, declared == computed
    bad = records.quarantined
    measure = pl.len() if proof.measure == "count" else pl.col("points").sum()
    if proof.outcome is None:
        computed = _item(records.accepted, measure) + _item(bad, measure)
        return proof.name, declared, computed, declared == computed
    of = pl.col(OUTCOME) == proof.outcome
    computed = _item(records.accepted.filter(of), measure) + _item(bad.filter(of), measure)
    unknown = bad.filter(pl.col(OUTCOME).is_null())
    low, high = (0, unknown.height) if proof.measure == "count" else _range(unknown["points"])
    return proof.name, declared, computed, low <= declared - computed <= high


def _range(points: pl.Series) -> tuple[int, int]:
    """The least and the most that any choice of these amounts can add up to."""
    return int(points.clip(upper_bound=0).sum()), int(points.clip(lower_bound=0).sum())


def _whole(value: Scalar) -> int:
    if not isinstance(value, int):
        raise TypeError("a layout's identities refer to required numbers")
    return value


def _item(rows: pl.DataFrame, measure: pl.Expr) -> int:
    return int(rows.select(measure).item())


def _bound_sum(records: Split, layout: Layout, name: str) -> None:
    """Refuse a file whose gross amount is beyond 64 bits: sums anywhere downstream would wrap silently."""
    gross = pl.col("points").abs().cast(pl.Int128).sum()
    total = _item(records.accepted, gross) + _item(records.quarantined, gross)
    if total > INT64_MAX:
        raise PermanentError(
            Code.CONTROL_TOTAL_WRONG,
            f"{layout.key} {name!r}",
            found="points that add up beyond 64 bits",
            expected="amounts that a programme can have issued",
            remedy="Nothing of the file was posted; ask the partner to send it again",
        )
