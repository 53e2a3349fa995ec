"""Parsed files between two steps: content-addressed, immutable, and deletable at any time.

Here: one folder a payload and layout. Not here: parsing, which makes the same tables again when a folder is gone.
"""

import json
import os
import shutil
from dataclasses import asdict
from datetime import date
from pathlib import Path
from uuid import uuid4

import polars as pl

from counterfoil.files import canonical_json, sync_folder, write_durably
from counterfoil.landing.records import Delivery
from counterfoil.protocols import Marks, Parsed
from counterfoil.steps.desk import SOFTWARE, Desk

TABLES = ("accepted", "quarantined", "control")
FACTS = "facts.json"


def stage(desk: Desk, delivery: Delivery, parsed: Parsed) -> None:
    """Keep a parsed delivery for the next step; what this software staged already stays."""
    folder = _folder(desk, delivery)
    if staged(desk, delivery) is not None:
        return
    shutil.rmtree(folder, ignore_errors=True)
    part = folder.with_name(f"{folder.name}.{uuid4().hex}.part")
    part.mkdir(parents=True)
    for name in TABLES:
        frame: pl.DataFrame = getattr(parsed, name)
        with (part / f"{name}.parquet").open("wb") as file:
            frame.write_parquet(file, compression="lz4")
            file.flush()
            os.fsync(file.fileno())
    marks = {**asdict(parsed.marks), "business_date": _text(parsed.marks.business_date)}
    facts = {
        "marks": marks,
        "lines": parsed.lines,
        "envelope_lines": parsed.envelope_lines,
        "software": SOFTWARE,
    }
    write_durably(part / FACTS, canonical_json(facts))
    try:
        part.replace(folder)
    except OSError:
        if not folder.exists():
            raise
        shutil.rmtree(part)  # another process staged the same tables first
    sync_folder(folder.parent)


def staged(desk: Desk, delivery: Delivery) -> Parsed | None:
    """A delivery as this software staged it, or None: another version may read the same bytes otherwise."""
    folder = _folder(desk, delivery)
    if not folder.exists():
        return None
    facts = json.loads((folder / FACTS).read_bytes())
    if facts["software"] != SOFTWARE:
        return None
    day = facts["marks"]["business_date"]
    return Parsed(
        marks=Marks(**{**facts["marks"], "business_date": date.fromisoformat(day) if day else None}),
        lines=facts["lines"],
        envelope_lines=facts["envelope_lines"],
        **{name: pl.read_parquet(folder / f"{name}.parquet") for name in TABLES},
    )


def _folder(desk: Desk, delivery: Delivery) -> Path:
    return desk.settings.home.staging / delivery.payload_sha / (delivery.layout_sha or "none")


def _text(day: date | None) -> str | None:
    return day.isoformat() if day else None
