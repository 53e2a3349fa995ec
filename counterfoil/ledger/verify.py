"""The chain proved: digests re-derived from the book's own rows, and every link of both heads.

Here: what the chain seals, read in bounded runs of postings. Not here: rows that must agree with each other and the
working sets (``derived``), the landing store (``steps.audit``), or the byte form and the chaining (``audit``).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from counterfoil.ledger import audit
from counterfoil.ledger.differences import NAMED_MAX, Finding, rows_without
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import RECORD_SPAN
from counterfoil.ledger.tables import OPEN_BREAK, OPEN_ITEM, OPEN_LOT, OPEN_VOUCHER, ORDER, TABLES, empty, sealed_tables

RUN_ROWS: Final = 1 << 19
"""Rows of all tables that are read and hashed in one go. A larger posting is read by itself, table by table."""

FIRST_SCHEMA: Final = 1
"""Its rows are sealed in the order in which they lie; later ones in canonical order."""

_SQL_TYPES: Final = {
    pl.Int16: "SMALLINT",
    pl.Int32: "INTEGER",
    pl.Int64: "BIGINT",
    pl.String: "VARCHAR",
    pl.Date: "DATE",
    pl.Datetime: "TIMESTAMP",
}

_WORKING: Final[Mapping[str, Mapping[str, type[pl.DataType]]]] = {
    "open_item": OPEN_ITEM,
    "open_lot": OPEN_LOT,
    "balance": {"account_id": pl.Int32, "balance": pl.Int64},
    "open_voucher": OPEN_VOUCHER,
    "open_break": {name: TABLES["break"][name] for name in OPEN_BREAK},
    "mass_balance": {
        "file_id": pl.Int32,
        "part": pl.String,
        **dict.fromkeys(("records", "net", "positive", "negative"), pl.Int64),
    },
    "posting": {
        **dict.fromkeys(("n", "delivery", "book_schema"), pl.Int32),
        **dict.fromkeys(("feed", "kind", "partner", "name", "identity", "epoch", "payload_sha"), pl.String),
        **dict.fromkeys(("record_sha", "run_id", "actor", "software", "verdict", "sender"), pl.String),
        **dict.fromkeys(("rows_digest", "content_head", "chain_head"), pl.String),
        "sequence": pl.Int64,
        "business_date": pl.Date,
        "on_day": pl.Date,
        "posted_at": pl.Datetime,
    },
    "control": {"file_id": pl.Int32, "control": pl.String, "declared": pl.Int64, "computed": pl.Int64},
}  # fmt: skip

_DATED: Final = {"business_date": "DATE", "on_day": "DATE", "posted_at": "TIMESTAMP"}

_CHAINED: Final = ("n", "book_schema", "payload_sha", "record_sha", "rows_digest", "content_head", "chain_head")

_UNSEALED: Final = {
    "posting": "SELECT n, partner, on_day FROM book.posting",
    "mass_balance": "SELECT file_id AS n, * EXCLUDE (file_id) FROM book.mass_balance",
    "control": "SELECT file_id AS n, * EXCLUDE (file_id) FROM book.control",
    "item_change": f"""SELECT c.file_id AS n, c.* EXCLUDE (file_id) FROM book.item_change c
                       JOIN book.posting p ON p.n = c.file_id WHERE p.book_schema = {FIRST_SCHEMA}""",
}
"""What no digest covers, by table: queries for n and all that the row says."""

Say = Callable[[int, int], None]
"""Told how many rows are done, and how many there are."""


@dataclass(frozen=True)
class Seal:
    """What the landing store knows of a posting that its heads seal: its record's hash, and the hashes in force by
    name."""

    record_sha: str
    rule_hashes: Mapping[str, str]


def structure(book: Lookups) -> list[Finding]:
    """Tables and columns that the book lacks, or that hold something else; nothing more can be proved then."""
    has = book.frame(
        """SELECT table_name, column_name, data_type FROM information_schema.columns
           WHERE table_catalog = 'book' ORDER BY ALL"""
    )
    columns = {(table, column): kind for table, column, kind in has.iter_rows()}
    wanted = [
        (table, name, _SQL_TYPES[kind]) for table, of in {**TABLES, **_WORKING}.items() for name, kind in of.items()
    ]
    other = [
        Finding("book", f"column {name} {columns.get((table, name), 'missing')}", kind, table=table)
        for table, name, kind in wanted
        if columns.get((table, name)) != kind
    ]
    return other or _unreadable(book)


def _unreadable(book: Lookups) -> list[Finding]:
    """Postings that do not say what the chain is made of, or a time that no calendar has."""
    blank = {name: f"{name} IS NULL" for name in _CHAINED}
    dated = {name: f"{name} NOT BETWEEN {kind} '0001-01-01' AND {kind} '9999-12-31'" for name, kind in _DATED.items()}
    counts = ", ".join(f"count(*) FILTER ({bad}) AS {name}" for name, bad in (blank | dated).items())
    found = book.frame(f"SELECT {counts} FROM book.posting").row(0, named=True)
    return [
        Finding("book", f"column {name} blank or of no calendar in {rows:,} rows", "a value in each", table="posting")
        for name, rows in found.items()
        if rows
    ]


def postings(book: Lookups) -> pl.DataFrame:
    """Every column of ``posting``, in order of n."""
    return book.frame("SELECT * FROM book.posting ORDER BY n")


def counted(book: Lookups) -> pl.DataFrame:
    """Rows of each posting by table: table, n Int64? (null: of none), rows Int64, line Int64? (the first)."""
    parts = [
        f"SELECT '{table}' AS \"table\", CAST({_of(table)} AS BIGINT) AS n, count(*) AS rows, "
        f"CAST(min({_first_line(table)}) AS BIGINT) AS line FROM book.{table} GROUP BY 2"
        for table in (*TABLES, "mass_balance", "control")
    ]
    return book.frame(" UNION ALL ".join(parts)).sort("n", "table", nulls_last=True)


def derived_digests(book: Lookups, sealed: pl.DataFrame, rows: pl.DataFrame, say: Say) -> dict[int, str]:
    """The rows digest of each posting, re-derived.

    ``sealed``: n, book_schema of the postings, each once, rising; ``rows`` is ``counted``. Each run of postings reads
    each of its tables once.
    """
    totals = rows.filter(pl.col("table").is_in(list(TABLES))).group_by("n").agg(pl.col("rows").sum())
    ahead = pl.col("rows").cum_sum() - pl.col("rows")
    runs = (
        sealed.select(pl.col("n").cast(pl.Int64), "book_schema")
        .join(totals, on="n", how="left", maintain_order="left")
        .with_columns(pl.col("rows").fill_null(0))
        .with_columns(run=ahead // RUN_ROWS, era=pl.col("book_schema").rle_id())
    )
    everything, done = int(runs["rows"].sum()), 0
    digests: dict[int, str] = {}
    for run in runs.partition_by("era", "run", maintain_order=True):
        digests |= _run_digests(book, run["n"].to_list(), int(run["book_schema"][0]), rows)
        done += int(run["rows"].sum())
        say(done, everything)
    return digests


def rows_of(book: Lookups, table: str, first: int, last: int, schema: int) -> pl.DataFrame:
    """Rows of a range of postings, each posting's in the order they were sealed in: ``of`` (the posting) and the
    columns of TABLES."""
    columns = ", ".join(TABLES[table])
    low, high = (first, last) if _of(table) == "file_id" else (first * RECORD_SPAN, (last + 1) * RECORD_SPAN - 1)
    key = "file_id" if _of(table) == "file_id" else "item_id"
    by_place = schema == FIRST_SCHEMA
    rows = book.frame(
        f"""SELECT CAST({_of(table)} AS BIGINT) AS "of", {columns}{", rowid AS place" if by_place else ""}
            FROM book.{table} WHERE {key} BETWEEN {low} AND {high}"""
    )
    return audit.in_order(rows, ("of", "place") if by_place else ("of", *ORDER[table])).select("of", *TABLES[table])


def links(
    sealed: Sequence[Mapping[str, Any]], before: tuple[str, str], digests: Mapping[int, str], seals: Mapping[int, Seal]
) -> Iterator[Finding]:
    """Postings whose rows or links are not those that were sealed.

    ``sealed`` are rows of ``posting`` in order, ``before`` the heads they follow on. Each is compared with the heads
    that the book states for the one before it, so that one change is told once. A posting whose record is not in the
    landing store, or is another, is passed over: that is a finding of its own.
    """
    for posting in sealed:
        n, heads = posting["n"], (posting["content_head"], posting["chain_head"])
        at = {"posting": n, "file": posting["name"]}
        if digests.get(n) != posting["rows_digest"]:
            yield Finding("chain", "rows with another digest", "the rows that were sealed", **at)
        seal = seals.get(n)
        if seal is not None and seal.record_sha == posting["record_sha"]:
            hashes = [seal.rule_hashes[name] for name in sorted(seal.rule_hashes)]
            content = audit.content_head(before[0], posting["rows_digest"], posting["payload_sha"], hashes)
            if content != heads[0]:
                yield Finding("chain", "another content head", "the one that follows from what is sealed", **at)
            if audit.chain_head(before[1], heads[0], posting["record_sha"]) != heads[1]:
                yield Finding("chain", "another chain head", "the one that follows from what is sealed", **at)
        before = heads


def unsealed(made: Lookups, kept: Lookups, last: int) -> Iterator[Finding]:
    """How a book differs from the same book made again in what no digest covers, up to posting ``last``.

    ``kept`` may still have the first schema.
    """
    later = "SELECT 1 FROM information_schema.tables WHERE table_catalog = 'book' AND table_name = 'item_change'"
    for table, query in _UNSEALED.items():
        if table == "item_change" and kept.row(later) is None:
            continue
        here, there = (book.frame(f"SELECT * FROM ({query}) WHERE n <= {last}") for book in (made, kept))
        apart = pl.concat([rows_without(here, there), rows_without(there, here)])["n"].unique().sort()
        for n in apart.head(NAMED_MAX):
            yield Finding("replay", "other rows beside what is sealed", "the same rows again", posting=n, table=table)


def _run_digests(book: Lookups, numbers: list[int], schema: int, counts: pl.DataFrame) -> dict[int, str]:
    first, last = numbers[0], numbers[-1]
    there = set(counts.filter(pl.col("n").is_between(first, last))["table"])
    tables = {
        table: _table_digests(book, table, numbers, schema) if table in there else [_EMPTY[table]] * len(numbers)
        for table in sealed_tables(schema)
    }
    return {
        n: audit.tables_digest({table: digests[at] for table, digests in tables.items()}, schema)
        for at, n in enumerate(numbers)
    }


def _table_digests(book: Lookups, table: str, numbers: list[int], schema: int) -> list[str]:
    rows = rows_of(book, table, numbers[0], numbers[-1], schema)
    if len(numbers) <= numbers[-1] - numbers[0]:  # a posting is gone and its rows are not
        rows = rows.filter(pl.col("of").is_in(numbers))
    ends = np.searchsorted(rows["of"].to_numpy(), numbers, side="right").tolist()
    return audit.slice_digests(rows.drop("of"), ends)


def _of(table: str) -> str:
    """SQL: the posting that a row belongs to."""
    return f"item_id // {RECORD_SPAN}" if table == "item" else "file_id"


def _first_line(table: str) -> str:
    if table == "item":
        return f"item_id % {RECORD_SPAN}"
    return "line_no" if "line_no" in TABLES.get(table, {}) else "NULL"


_EMPTY: Final = {table: audit.frame_digest(empty(table)) for table in TABLES}


def strangers(rows: pl.DataFrame, postings: pl.DataFrame) -> Iterator[Finding]:
    """Rows of no posting. ``rows`` is ``counted``, ``postings`` has n."""
    known = postings["n"].cast(pl.Int64).implode()
    loose = rows.filter(pl.col("n").is_null() | ~pl.col("n").is_in(known)).head(NAMED_MAX)
    for table, n, count, line in loose.select("table", "n", "rows", "line").iter_rows():
        yield Finding("rows", f"{count} of no posting", "rows of postings alone", posting=n, table=table, line=line)
