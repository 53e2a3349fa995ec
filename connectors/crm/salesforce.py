"""Salesforce Loyalty Management: a batch of updates as Bulk API 2.0 ingest files in a folder.

Here: columns, parts and the manifest. Not here: delivery to an org, or which updates belong to a batch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from connectors.crm.mapping import CANONICAL, KEY, FieldColumn, ObjectMapping, SalesforceMapping
from connectors.crm.parts import WrittenPart, write_parts
from connectors.mapping import load_mapping
from counterfoil.errors import Code, PermanentError
from counterfoil.files import canonical_json, ensure_folder, write_durably
from counterfoil.invariants import require
from counterfoil.limits import CRM_PART_BYTES_MAX
from counterfoil.protocols import Batch, BatchPart, Updates

MANIFEST: Final = "manifest.json"
NULL: Final = "#N/A"
"""This cell sets a field to null, an empty one leaves it (developer.salesforce.com, Valid CSV Record Rows)."""

NOON: Final = "T12:00:00Z"
"""A value date has no time of day; noon UTC keeps its calendar day from UTC-12 to UTC+11."""


class SalesforceFiles:
    """A ``counterfoil.protocols.CrmTarget`` that writes files for Bulk API 2.0 upserts.

    The folder is complete when ``manifest.json`` is there. File names carry the order of loading: redemptions before
    balances. Cells are written as they are stored, formulas included; a stored text that is itself ``#N/A`` cannot be
    told from null in this format.
    """

    def __init__(self, mapping_path: Path, *, part_bytes_max: int = CRM_PART_BYTES_MAX) -> None:
        """Read the mapping; raises RULES_INVALID."""
        self._mapping, self._mapping_bytes = load_mapping(mapping_path, SalesforceMapping)
        self._part_bytes_max = part_bytes_max
        self.name: str = self._mapping.target

    def mapping_bytes(self) -> bytes:
        """The mapping file as it was read."""
        return self._mapping_bytes

    def write(self, batch: Batch, updates: Updates, folder: Path) -> tuple[BatchPart, ...]:
        """Write the parts and then the manifest; an object without updates has no part.

        Raises MASS_BALANCE when a key occurs twice or is out of order, RULES_INVALID when a status has no code in the
        mapping or a frame has other columns than ``Updates`` declares, DISK_FULL.
        """
        frames = {
            "redemptions": updates.redemptions,
            "balances": updates.balances,
            "distributions": updates.distributions,
        }
        for name, frame in frames.items():
            _prove(name, frame)
        ensure_folder(folder)
        manifest = folder / MANIFEST
        manifest.unlink(missing_ok=True)
        parts: list[BatchPart] = []
        for order, mapped in enumerate(self._mapping.objects, start=1):
            parts += self._write_object(order, mapped, frames[mapped.updates], folder)
        _remove_others(folder, parts)
        write_durably(manifest, canonical_json(_manifest(batch, self._mapping, parts)))
        return tuple(parts)

    def _write_object(self, order: int, mapped: ObjectMapping, frame: pl.DataFrame, folder: Path) -> list[BatchPart]:
        written = write_parts(
            frame,
            columns=[_cell(column, frame) for column in mapped.columns],
            stem=f"{order}-{mapped.object}",
            folder=folder,
            bytes_max=self._part_bytes_max,
        )
        return [_batch_part(mapped, part, frame[mapped.points]) for part in written]


def _batch_part(mapped: ObjectMapping, part: WrittenPart, points: pl.Series) -> BatchPart:
    # Int128: balances of millions of members may leave Int64, and Polars would wrap without a word.
    total = points.slice(part.first_row, part.rows).cast(pl.Int128).sum()
    return BatchPart(
        object=mapped.object, name=part.name, rows=part.rows, points=int(total), bytes=part.bytes, sha256=part.sha256
    )


def _prove(name: str, frame: pl.DataFrame) -> None:
    """Columns as declared; keys rise strictly, which also proves that none occurs twice."""
    if dict(frame.schema) != CANONICAL[name]:
        raise PermanentError(
            Code.RULES_INVALID,
            f"updates {name}",
            found=f"the columns {', '.join(frame.columns)}",
            expected=f"{', '.join(CANONICAL[name])} with their declared types",
            remedy="Report this: the ledger handed over another table than it declares",
        )
    keys = frame[KEY]
    require(keys.null_count() == 0, f"every row of {name} has a key", code=Code.MASS_BALANCE)
    rising = (keys.shift(1) < keys).slice(1).all()
    require(rising, f"each key of {name} occurs once, in order", code=Code.MASS_BALANCE)


def _cell(column: FieldColumn, frame: pl.DataFrame) -> pl.Expr:
    """The CSV cell of one field."""
    if column.source is None:
        return pl.lit(column.constant, dtype=pl.String).alias(column.field)
    cell = pl.col(column.source)
    if column.codes:
        cell = _translate(column, column.codes, frame[column.source])
    elif column.rendering == "instant":
        cell = cell.dt.strftime("%Y-%m-%d") + NOON
    elif frame.schema[column.source] == pl.String:
        # An empty text would be written as "" and null as nothing; both leave the field alone, so both look alike.
        cell = pl.when(cell != "").then(cell)
    if column.when_null == "clear":
        cell = cell.cast(pl.String).fill_null(NULL)
    return cell.alias(column.field)


def _translate(column: FieldColumn, codes: Mapping[str, str], values: pl.Series) -> pl.Expr:
    unknown = sorted(set(values.drop_nulls().unique().to_list()) - codes.keys())
    if unknown:
        raise PermanentError(
            Code.RULES_INVALID,
            f"mapping of {column.field}",
            found=f"{len(unknown)} values of {column.source} without a code",
            expected=f"codes for all of them; there are codes for {', '.join(sorted(codes))}",
            remedy="Add the missing codes to the mapping file",
        )
    return pl.col(values.name).replace_strict(codes, default=None, return_dtype=pl.String)


def _remove_others(folder: Path, parts: list[BatchPart]) -> None:
    """Drop what an interrupted or older writing of the same batch left behind: only listed parts may be loaded."""
    listed = {part.name for part in parts}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".csv" and path.name not in listed:
            path.unlink()


def _manifest(batch: Batch, mapping: SalesforceMapping, parts: list[BatchPart]) -> dict[str, object]:
    """What a loader needs for ``POST /jobs/ingest`` of each part, and the totals to check afterwards."""
    objects = {mapped.object: mapped for mapped in mapping.objects}
    return {
        "target": batch.target,
        "batch_id": batch.batch_id,
        "mapping_sha": batch.mapping_sha,
        "from_n": batch.from_n,
        "to_n": batch.to_n,
        "parts": [
            {
                "name": part.name,
                "object": part.object,
                "operation": objects[part.object].operation,
                "externalIdFieldName": objects[part.object].external_id,
                "contentType": "CSV",
                "columnDelimiter": "COMMA",
                "lineEnding": "LF",
                "rows": part.rows,
                "points": part.points,
                "bytes": part.bytes,
                "sha256": part.sha256,
            }
            for part in parts
        ],
        "totals": {
            name: {
                "parts": sum(part.object == name for part in parts),
                "rows": sum(part.rows for part in parts if part.object == name),
                "points": sum(part.points for part in parts if part.object == name),
                "bytes": sum(part.bytes for part in parts if part.object == name),
            }
            for name in sorted({part.object for part in parts})
        },
    }
