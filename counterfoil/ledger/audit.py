"""The audit chain: one digest for the rows of a posting, and the two heads that seal every posting so far.

Here: the canonical byte form and the chaining. Not here: reading rows back from the book, or where heads are published.
The form is our own and pinned by golden vectors, because library buffers are not canonical.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256

import numpy as np
import polars as pl

from counterfoil.ledger.model import ORDER, sealed_tables

GENESIS = sha256(b"counterfoil book v1").hexdigest()
"""The head of a book with no posting."""

_TYPES = {pl.Int16: "int", pl.Int32: "int", pl.Int64: "int", pl.Date: "date", pl.String: "text"}


def frame_digest(frame: pl.DataFrame) -> str:
    """SHA-256 over a frame, column by column in schema order.

    Per column: name, type (int, date, text), row count, validity bytes (1 or 0 a row), then little-endian int64 values
    (dates as days since 1970, nulls as 0) or int64 byte lengths and the UTF-8 bytes. Rows must be in canonical order.
    """
    digest = sha256()
    for column in frame.iter_columns():
        kind = _TYPES[column.dtype.base_type()]
        digest.update(f"{column.name}\0{kind}\0{column.len()}\0".encode())
        digest.update(np.ascontiguousarray(column.is_not_null().to_numpy(), dtype=np.uint8).data)
        if kind == "text":
            text = column.fill_null("")
            digest.update(_little(text.str.len_bytes().cast(pl.Int64)))
            digest.update("".join(text.str.join("").to_list()).encode())
        else:
            digest.update(_little(column.to_physical().cast(pl.Int64).fill_null(0)))
    return digest.hexdigest()


def _little(values: pl.Series) -> memoryview:
    return np.ascontiguousarray(values.to_numpy(), dtype="<i8").data


def canonical(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """One posting's rows of a table in canonical order; as a rule they lie so, which costs far less to see than a
    sort."""
    keys = ORDER[table]
    rises = pl.lit(value=True)
    for key in reversed(keys):
        before = pl.col(key).shift(1)
        rises = (pl.col(key) > before) | ((pl.col(key) == before) & rises)
    if rows.select(rises.slice(1).all(ignore_nulls=False)).item():
        return rows
    return rows.sort(*keys, nulls_last=True)


def rows_digest(rows: Mapping[str, pl.DataFrame], schema: int) -> str:
    """One digest for every row a posting adds: SHA-256 over the names and frame digests of the tables that its schema
    seals, in the order of the model; ``rows`` in canonical order."""
    digest = sha256()
    for name in sealed_tables(schema):
        digest.update(f"{name}\0{frame_digest(rows[name])}\0".encode())
    return digest.hexdigest()


def content_head(previous: str, rows: str, payload_sha: str, rule_hashes: Iterable[str]) -> str:
    """What the book holds: equal for a clean run and for one that was killed and resumed."""
    return _seal(previous, rows, payload_sha, *rule_hashes)


def chain_head(previous: str, content: str, record_sha: str) -> str:
    """Who posted it, when and with what: seals the content head and the posting record."""
    return _seal(previous, content, record_sha)


def _seal(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()
