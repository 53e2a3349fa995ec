"""The audit chain: one digest for the rows of a posting, and the two heads that seal every posting so far.

Here: the canonical byte form and the chaining. Not here: reading rows back from the book, or where heads are published.
The form is our own and pinned by golden vectors, because library buffers are not canonical.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import numpy as np
import polars as pl

from counterfoil.ledger.tables import ORDER, sealed_tables

GENESIS = sha256(b"counterfoil book v1").hexdigest()
"""The head of a book with no posting."""

_TYPES = {pl.Int16: "int", pl.Int32: "int", pl.Int64: "int", pl.Date: "date", pl.String: "text"}


def frame_digest(frame: pl.DataFrame) -> str:
    """SHA-256 over a frame, column by column in schema order.

    Per column: name, type (int, date, text), row count, validity bytes (1 or 0 a row), then little-endian int64 values
    (dates as days since 1970, nulls as 0) or int64 byte lengths and the UTF-8 bytes. Rows must be in canonical order.
    """
    return slice_digests(frame, [frame.height])[0]


def slice_digests(frame: pl.DataFrame, ends: Sequence[int]) -> list[str]:
    """``frame_digest`` of consecutive slices of a frame, of which each ends before the row that ``ends`` says.

    Each column is turned to bytes once for all of them, so that ten thousand small postings cost little more than one
    large one.
    """
    digests = [sha256() for _ in ends]
    slices = list(zip([0, *ends], ends, strict=False))
    for column in frame.iter_columns():
        kind = _TYPES[column.dtype.base_type()]
        if frame.is_empty():  # as most tables of a posting are
            for digest in digests:
                digest.update(f"{column.name}\0{kind}\x000\0".encode())
            continue
        valid = _validity(column)
        text = column.fill_null("") if kind == "text" else None
        numbers = _little(column.to_physical() if text is None else text.str.len_bytes())
        for digest, (start, end) in zip(digests, slices, strict=True):
            digest.update(f"{column.name}\0{kind}\0{end - start}\0".encode())
            digest.update(valid[start:end])
            digest.update(numbers[start:end])
        if text is None:
            continue
        joined = memoryview("".join(text.str.join("").to_list()).encode())
        at = np.concatenate(([0], np.cumsum(numbers, dtype=np.int64)))[[0, *ends]].tolist()
        for digest, start, end in zip(digests, at, at[1:], strict=False):
            digest.update(joined[start:end])
    try:
        return [digest.hexdigest() for digest in digests]
    except ValueError as error:  # what OpenSSL says where it has no room for a copy
        raise MemoryError from error


def _validity(column: pl.Series) -> memoryview:
    if column.null_count() == 0:  # nearly always, and then no row need be looked at
        return np.ones(column.len(), dtype=np.uint8).data
    return np.ascontiguousarray(column.is_not_null().to_numpy(), dtype=np.uint8).data


def _little(values: pl.Series) -> memoryview:
    whole = values if values.null_count() == 0 else values.fill_null(0)
    return np.ascontiguousarray(whole.to_numpy(), dtype="<i8").data


def canonical(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """One posting's rows of a table in canonical order."""
    return in_order(rows, ORDER[table])


def in_order(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Rows in the order of these columns; as a rule they lie so, which costs far less to see than a sort."""
    if rows.height < 2:
        return rows
    rises = pl.lit(value=True)
    for key in reversed(keys):
        before = pl.col(key).shift(1)
        rises = (pl.col(key) > before) | ((pl.col(key) == before) & rises)
    if rows.select(rises.slice(1).all(ignore_nulls=False)).item():
        return rows
    return rows.sort(*keys, nulls_last=True, maintain_order=True)


def rows_digest(rows: Mapping[str, pl.DataFrame], schema: int) -> str:
    """One digest for every row a posting adds: SHA-256 over the names and frame digests of the tables that its schema
    seals, in the order of the model; ``rows`` in canonical order."""
    return tables_digest({name: frame_digest(rows[name]) for name in sealed_tables(schema)}, schema)


def tables_digest(tables: Mapping[str, str], schema: int) -> str:
    """``rows_digest`` from the frame digests of the tables."""
    digest = sha256()
    for name in sealed_tables(schema):
        digest.update(f"{name}\0{tables[name]}\0".encode())
    return digest.hexdigest()


def content_head(previous: str, rows: str, payload_sha: str, rule_hashes: Iterable[str]) -> str:
    """What the book holds: equal for a clean run and for one that was killed and resumed."""
    return _seal(previous, rows, payload_sha, *rule_hashes)


def chain_head(previous: str, content: str, record_sha: str) -> str:
    """Who posted it, when and with what: seals the content head and the posting record."""
    return _seal(previous, content, record_sha)


def _seal(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()
