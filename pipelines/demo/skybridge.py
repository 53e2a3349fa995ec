"""Skybridge's side of the demo: stories as an Ascenda-style pair of delimited files, and rows that cannot be read.

Here: bytes by the columns of the layouts ``skybridge_requests`` and ``skybridge_handback``. Not here: what the stories
are (``plan``, ``story``) or when files arrive (``scenario``).
"""

import io
from collections.abc import Mapping
from datetime import date
from typing import Final

import polars as pl

from pipelines.demo.plan import THURSDAY, UNREADABLE
from pipelines.demo.story import Numbers

NUMBERS: Final = Numbers(
    stream=2, references=5_000_000_000, unknown_references=5_900_000_000, members=1_000_000_000, step=50
)

FIRST_NAMES: Final = (
    "Ada", "Amal", "Bao", "Chidi", "Dilan", "Elif", "Farid", "Gita", "Hana", "Ines", "Jonas", "Kofi", "Lea", "Mei",
    "Noor", "Olga", "Paulo", "Quinn", "Ravi", "Saša", "Tomás", "Uma", "Vera", "Wade", "Yara", "Zoë",
)  # fmt: skip
LAST_NAMES: Final = (
    "Acker", "Birch", "Corey", "Dube", "Elster", "Fjord", "Grau", "Holm", "Ito", "Jarre", "Kranz", "Lund", "Mbeki",
    "Núñez", "Okafor", "Prat", "Qux", "Rosen", "Sato", "Thorn", "Ueda", "Voss", "Winter", "Young", "Zander",
)  # fmt: skip


def file_name(day: date, *, back: bool) -> str:
    """``SKYBRIDGE_20261120.txt`` out, ``SKYBRIDGE_20261120.HANDBACK.txt`` back."""
    return f"SKYBRIDGE_{day:%Y%m%d}{'.HANDBACK' if back else ''}.txt"


def request_file(rows: pl.DataFrame) -> bytes:
    """One day's requests. ``rows``: ref, member, points, sent."""
    first, last = (pl.Series(names) for names in (FIRST_NAMES, LAST_NAMES))
    # A member's name hangs on the number alone, so it is the same every day.
    name = rows["member"].cast(pl.Int64) * 7919 % (len(first) * len(last))
    table = rows.select(
        pl.int_range(1, pl.len() + 1).alias("index"),
        pl.col("member").alias("Member ID"),
        first.gather(name % len(first)).alias("Member first name"),
        last.gather(name // len(first)).alias("Member last name"),
        pl.col("sent").alias("Transfer date"),
        pl.col("points").alias("Amount"),
        pl.col("ref").alias("Reference number"),
        pl.lit("CFLY").alias("Partner code"),
    )
    return _file(table)


def handback_file(rows: pl.DataFrame, day: date) -> bytes:
    """One day's answers; a header alone when there are none. ``rows``: ref, points, sent, says."""
    table = rows.select(
        pl.min_horizontal("sent", pl.lit(day)).alias("Transfer date"),
        pl.col("points").alias("Amount"),
        pl.col("ref").alias("Reference number"),
        pl.col("says").alias("Outcome code"),
    )
    return _file(table)


def unreadable_rows(waiting: pl.DataFrame) -> Mapping[str, bytes]:
    """One row of each kind in UNREADABLE, answering the first requests of ``waiting`` (ref, points)."""
    answered = waiting.head(len(UNREADABLE)).select("ref", "points").rows()
    spoilt = {
        "undecodable_row": b"%(day)b,%(points)b,%(ref)b,0000\xff\xfe",
        "amount_not_a_number": b"%(day)b,1O0,%(ref)b,0000",
        "impossible_date": b"2026-02-30,%(points)b,%(ref)b,0000",
        "unknown_outcome": b"%(day)b,%(points)b,%(ref)b,0042",
    }
    day = THURSDAY.isoformat().encode()
    return {
        kind: form % {b"day": day, b"ref": ref.encode(), b"points": str(points).encode()} + b"\n"
        for (kind, form), (ref, points) in zip(spoilt.items(), answered, strict=True)
    }


def _file(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_csv(buffer)
    return buffer.getvalue()
