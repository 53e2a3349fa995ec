"""What a file declares beside what its records add up to.

Here: the identities of a layout, computed, for the file and for each of its groups. Not here: the verdict on them
(``counterfoil.schemas.gate.prove_control``).

Counts are taken over all detail lines, readable or not; sums over readable amounts, accepted and quarantined. A count
or sum by outcome may differ by what quarantined rows of unreadable outcome can explain, a count by sign by those of
unreadable amount.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.schemas.tables import CONTROL
from parsers.envelope import Envelope, Scalar, read_values
from parsers.layout import Layout
from parsers.layout_parts import Proof
from parsers.records import OUTCOME, Split
from parsers.values import FIELD

INT64_MAX: Final = 2**63 - 1


def control_table(
    layout: Layout, envelope: Envelope, records: Split, groups: Sequence[pl.DataFrame], *, lines: int, name: str
) -> pl.DataFrame:
    """One row an identity, as ``tables.CONTROL``; one that each group declares has a row a group, named by its number.

    ``groups`` are those of the cuts. Raises CONTROL_TOTAL_WRONG when amounts add up beyond 64 bits, ENVELOPE_INVALID
    for what a group declares and cannot be read.
    """
    if "points" in records.accepted.columns:
        _bound_sum(records, layout, name)
    of_file = [proof for proof in layout.proofs if not proof.in_group]
    declared = _declared(layout, groups, name) if groups else None
    counted = {"lines": lines, "groups": 0 if declared is None else declared.height}
    rows = [_row(proof, envelope.values, records, counted) for proof in of_file]
    tables = [pl.DataFrame(rows, schema=dict(CONTROL), orient="row")]
    if declared is not None:
        tables += [_group_rows(proof, declared, records) for proof in layout.proofs if proof.in_group]
    return pl.concat(tables)


def _declared(layout: Layout, groups: Sequence[pl.DataFrame], name: str) -> pl.DataFrame:
    """One row a group: group (from 1), first (line number), and ``field.<name>`` of what it declares."""
    lines = layout.lines
    header = lines.group.header if lines and lines.group else ""
    ends = pl.concat(groups).with_columns(group=(pl.col("kind") == header).cast(pl.Int64).cum_sum())
    table = ends.group_by("group", maintain_order=True).agg(first=pl.col("line_no").first())
    for kind in ends["kind"].unique(maintain_order=True):
        specs = {field: spec for field, spec in layout.envelope.items() if spec.line == kind and layout.of_groups(spec)}
        said = read_values(ends.filter(pl.col("kind") == kind), specs, layout, name)
        table = table.join(said.select("group", *(FIELD + field for field in specs)), on="group", how="left")
    return table.sort("group")


def _group_rows(proof: Proof, declared: pl.DataFrame, records: Split) -> pl.DataFrame:
    """An identity beside what the records of each group add up to."""
    wanted = pl.col(FIELD + proof.declared)
    wanted = wanted.abs() if proof.sign < 0 else wanted
    low = high = pl.lit(0, pl.Int64)
    if proof.measure == "add":
        computed = pl.sum_horizontal([pl.col(FIELD + part) for part in proof.parts])
        table = declared.with_columns(computed=computed)
    else:
        table = declared.join(_added_up(proof, declared, records), on="group", how="left")
        low, high = pl.col("low").fill_null(0), pl.col("high").fill_null(0)
        computed = pl.col("computed").fill_null(0)
    return table.select(
        name=pl.format("{} of group {}", pl.lit(proof.name), "group"),
        declared=wanted,
        computed=computed,
        holds=(wanted - computed).is_between(low, high),
    ).cast(pl.Schema(CONTROL))


def _added_up(proof: Proof, declared: pl.DataFrame, records: Split) -> pl.DataFrame:
    """Of each group: computed, and the least and most that rows of unreadable outcome can add to it."""
    bad = records.quarantined
    points = proof.measure == "sum" or proof.sign != 0
    columns = ["line_no", *(["points"] if points else []), *([OUTCOME] if proof.outcome else [])]
    rows = pl.concat([records.accepted.select(columns), bad.select(columns)])
    rows = rows.sort("line_no").join_asof(
        declared.select("group", "first").sort("first"), left_on="line_no", right_on="first"
    )
    worth = _amount(proof).fill_null(0) if proof.measure == "sum" else pl.lit(1, pl.Int64)
    of, unknown = _told(proof)
    return (
        rows.with_columns(worth=worth, of=of, unknown=unknown)
        .group_by("group")
        .agg(
            computed=pl.col("worth").filter("of").sum(),
            low=pl.col("worth").filter("unknown").clip(upper_bound=0).sum(),
            high=pl.col("worth").filter("unknown").clip(lower_bound=0).sum(),
        )
    )


def _row(
    proof: Proof, values: Mapping[str, Scalar], records: Split, counted: Mapping[str, int]
) -> tuple[str, int, int, bool]:
    declared = _whole(values[proof.declared])
    declared = abs(declared) if proof.sign < 0 else declared
    if proof.measure in counted or proof.measure == "add":
        parts = sum(_whole(values[part]) for part in proof.parts)
        computed = counted.get(proof.measure, parts)
        return proof.name, declared, computed, declared == computed
    bad = records.quarantined
    counts = proof.measure == "count"
    of, unknown = _told(proof)
    measure = pl.len() if counts else _amount(proof).sum()
    computed = _item(records.accepted.filter(of), measure) + _item(bad.filter(of), measure)
    doubtful = bad.filter(unknown)
    low, high = (0, doubtful.height) if counts else _range(doubtful.select(_amount(proof)).to_series())
    return proof.name, declared, computed, low <= declared - computed <= high


def _amount(proof: Proof) -> pl.Expr:
    """What a record adds to a sum: debits without their sign."""
    return -pl.col("points") if proof.sign < 0 else pl.col("points")


def _told(proof: Proof) -> tuple[pl.Expr, pl.Expr]:
    """Which records an identity is about, and of which one cannot tell."""
    if proof.outcome is not None:
        return (pl.col(OUTCOME) == proof.outcome).fill_null(value=False), pl.col(OUTCOME).is_null()
    if proof.sign:
        # One whose amount cannot be read adds to a count or not; to a sum it is what remains unread.
        return (_amount(proof) > 0).fill_null(value=False), pl.col("points").is_null()
    return pl.lit(value=True), pl.lit(value=False)


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
