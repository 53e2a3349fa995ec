"""Reads one file by one layout: envelope, records in blocks, totals, proof.

Here: the order of these steps. Not here: finding the layout (``registry``), opening a shape (``opening``) or judging
totals (the gate).
"""

from pathlib import Path

import polars as pl

from counterfoil.protocols import Marks, Parsed
from counterfoil.schemas.gate import conform
from counterfoil.schemas.tables import QUARANTINED
from parsers.control import control_table
from parsers.envelope import read_envelope
from parsers.layout import Layout
from parsers.opening import open_file
from parsers.records import Split, nothing, plan, split


def inspect_file(layout: Layout, name: str, path: Path) -> Marks:
    """What a file says of itself; FILE_EMPTY, FILE_TOO_LARGE, HEADER_MISSING, ENVELOPE_INVALID."""
    return read_envelope(open_file(layout, path, name), layout, name).marks


def read_file(layout: Layout, name: str, path: Path) -> Parsed:
    """Every record of a file, typed and proved; totals computed and not judged.

    Raises what ``inspect_file`` raises, ROWS_TOO_MANY, CONTROL_TOTAL_WRONG only for amounts beyond 64 bits, and
    GATE_PROOF_FAILED. Texts of the accepted frame refer to the mapped file, which must not shrink while it is in use.
    """
    opened = open_file(layout, path, name)
    envelope = read_envelope(opened, layout, name)
    how = plan(layout, envelope, name)
    parts, groups, passed = [nothing(layout)], [], opened.envelope_lines
    for cut in opened.cuts():
        parts += [split(cut, layout, how)] if cut.rows.height else []
        passed += cut.passed
        groups += [] if cut.groups is None else [cut.groups]
    records = Split(pl.concat([part.accepted for part in parts]), pl.concat([part.quarantined for part in parts]))
    lines = passed + records.accepted.height + records.quarantined.height
    control = control_table(layout, envelope, records, groups, lines=lines, name=name)
    return Parsed(
        marks=envelope.marks,
        lines=lines,
        envelope_lines=passed,
        accepted=conform(layout.kind, records.accepted),
        quarantined=conform("quarantined", records.quarantined.select(*QUARANTINED)),
        control=conform("control", control),
    )
