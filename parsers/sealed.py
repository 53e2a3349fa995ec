"""Files full of secrets: opened without touching a disk, their codes concealed before any table holds them.

Here: what a reader does for feeds of ``SECRET_KINDS``. Not here: keys and sealing (``counterfoil.vault``), or where
sealed files lie.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import polars as pl

from counterfoil.feed import SECRET_KINDS
from counterfoil.schemas.tables import QUARANTINED
from counterfoil.vault import FILE, Vault, is_sealed
from parsers.layout import Layout
from parsers.records import Split

_GIVEN: Final = "given"
_HEAD_BYTES: Final = 64


@contextmanager
def in_the_clear(path: Path, layout: Layout, vault: Callable[[], Vault]) -> Iterator[Path]:
    """Where a file can be read meanwhile: where it lies, or, of a sealed one, in memory alone."""
    if layout.kind not in SECRET_KINDS or not _sealed(path):
        yield path
        return
    handle = os.memfd_create("counterfoil", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(handle), "wb") as memory:
            memory.write(vault().open(path.read_bytes(), FILE))
        yield Path(f"/dev/fd/{handle}")
    finally:
        os.close(handle)


def _sealed(path: Path) -> bool:
    with path.open("rb") as file:
        return is_sealed(file.read(_HEAD_BYTES))


def concealed(records: Split, layout: Layout, vault: Callable[[], Vault]) -> Split:
    """Records whose codes are digests and whose PINs are only known to be there; of lines that could not be read
    nothing is kept, since anything in them may be a code."""
    if layout.kind not in SECRET_KINDS:
        return records
    codes = records.accepted["code"]
    # Each code is hashed by itself, under the key: no column expression does that.
    keys = vault()
    hidden = [None if code is None else keys.conceal(code) for code in codes]
    accepted = records.accepted.with_columns(
        code=pl.Series(hidden, dtype=pl.String), pin=pl.when(pl.col("pin").is_not_null()).then(pl.lit(_GIVEN))
    )
    return Split(accepted, records.quarantined.with_columns(raw=pl.lit(b"", QUARANTINED["raw"])))
