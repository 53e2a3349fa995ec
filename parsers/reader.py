"""Reads one file by one layout: envelope, records in blocks, totals, proof.

Here: the order of these steps. Not here: finding the layout (``registry``), opening a shape (``opening``) or judging
totals (the gate).
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from counterfoil.protocols import Marks, Parsed
from counterfoil.schemas.gate import conform
from counterfoil.schemas.tables import QUARANTINED
from counterfoil.vault import Vault, throwaway
from parsers.control import control_table
from parsers.envelope import Envelope, read_envelope
from parsers.layout import Layout
from parsers.opening import open_file
from parsers.records import Split, nothing, plan, split
from parsers.sealed import concealed
from parsers.shapes.cut import Opened


def inspect_file(layout: Layout, name: str, path: Path) -> Marks:
    """What a file says of itself; FILE_EMPTY, FILE_TOO_LARGE, HEADER_MISSING, ENVELOPE_INVALID."""
    return read_envelope(open_file(layout, path, name), layout, name).marks


def read_file(layout: Layout, name: str, path: Path, vault: Callable[[], Vault] = throwaway) -> Parsed:
    """Every record of a file, typed and proved; totals computed and not judged. Codes that are secret are concealed.

    Raises what ``inspect_file`` raises, ROWS_TOO_MANY, CONTROL_TOTAL_WRONG only for amounts beyond 64 bits, and
    GATE_PROOF_FAILED. Texts of the accepted frame refer to the mapped file, which must not shrink while it is in use.
    """
    opened = open_file(layout, path, name)
    envelope = read_envelope(opened, layout, name)
    clear, groups, passed = _records(layout, opened, envelope, name)
    records = concealed(clear, layout, vault)
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


def read_codes(layout: Layout, name: str, path: Path) -> pl.DataFrame:
    """What no table holds, for a letter to whom it is meant for: line_no, code, pin? of the accepted records."""
    opened = open_file(layout, path, name)
    records, _, _ = _records(layout, opened, read_envelope(opened, layout, name), name)
    return records.accepted.select("line_no", "code", "pin")


def _records(layout: Layout, opened: Opened, envelope: Envelope, name: str) -> tuple[Split, list[pl.DataFrame], int]:
    """The records of a file, what its groups say, and how many lines are none."""
    how = plan(layout, envelope, name)
    parts, groups, passed = [nothing(layout)], [], opened.envelope_lines
    for cut in opened.cuts():
        parts += [split(cut, layout, how)] if cut.rows.height else []
        passed += cut.passed
        groups += [] if cut.groups is None else [cut.groups]
    records = Split(pl.concat([part.accepted for part in parts]), pl.concat([part.quarantined for part in parts]))
    return records, groups, passed
