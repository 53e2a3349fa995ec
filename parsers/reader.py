"""Reads one file by one layout: envelope, records in blocks, totals, proof.

Here: the order of these steps. Not here: finding the layout (``registry``) or judging totals (the gate).
"""

from pathlib import Path

import polars as pl

from counterfoil.protocols import Marks, Parsed
from counterfoil.schemas.gate import bound_rows, conform
from counterfoil.schemas.tables import QUARANTINED
from parsers.control import control_table
from parsers.envelope import Envelope, read_envelope
from parsers.layout import Layout
from parsers.layout_parts import FixedWidth
from parsers.lines import Payload, blocks, open_payload
from parsers.records import Split, nothing, plan, split
from parsers.shapes import field_boundaries
from parsers.text import read_text


def inspect_file(layout: Layout, name: str, path: Path) -> Marks:
    """What a file says of itself; FILE_EMPTY, FILE_TOO_LARGE, HEADER_MISSING, ENVELOPE_INVALID."""
    return read_envelope(open_payload(path, layout, name), layout, name).marks


def read_file(layout: Layout, name: str, path: Path) -> Parsed:
    """Every record of a file, typed and proved; totals computed and not judged.

    Raises what ``inspect_file`` raises, ROWS_TOO_MANY, CONTROL_TOTAL_WRONG only for amounts beyond 64 bits, and
    GATE_PROOF_FAILED. Texts of the accepted frame refer to the mapped file, which must not shrink while it is in use.
    """
    payload = open_payload(path, layout, name)
    envelope = read_envelope(payload, layout, name)
    records = _records(payload, envelope, layout, name)
    control = control_table(layout, envelope, records, name)
    lines = layout.envelope_lines + records.accepted.height + records.quarantined.height
    return Parsed(
        marks=envelope.marks,
        lines=lines,
        envelope_lines=layout.envelope_lines,
        accepted=conform(layout.kind, records.accepted),
        quarantined=conform("quarantined", records.quarantined.select(*QUARANTINED)),
        control=conform("control", control),
    )


def _records(payload: Payload, envelope: Envelope, layout: Layout, name: str) -> Split:
    """All records in file order. Line numbers go on after the header lines."""
    how = plan(layout, envelope.marks.business_date)
    record_length = layout.shape.record_length if isinstance(layout.shape, FixedWidth) else None
    boundaries = field_boundaries(layout)
    first_no = layout.envelope_lines - len(layout.shape.trailers) + 1
    parts = [nothing(layout)]
    count = 0
    for block in blocks(payload, envelope.details_start, envelope.details_end, first_no):
        count += len(block.sizes)
        bound_rows(count, layout, name)
        text = read_text(block, layout.encoding, record_length, boundaries)
        parts.append(split(text, layout, how, envelope.columns, payload.line_end))
    return Split(
        pl.concat([part.accepted for part in parts]),
        pl.concat([part.quarantined for part in parts]),
    )
