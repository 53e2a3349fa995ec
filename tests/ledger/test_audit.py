"""The byte form that everything rests on: pinned by golden vectors and by an independent spelling of it."""

import struct
from datetime import date
from hashlib import sha256
from typing import Any

import polars as pl
import pytest

from counterfoil.ledger import audit
from counterfoil.ledger.tables import BOOK_SCHEMA, ORDER, TABLES, empty, sealed_tables

EVERYTHING = pl.DataFrame(
    {
        "small": [1, None, -32768],
        "middle": [2_147_483_647, 0, None],
        "large": [None, -(1 << 62), 7],
        "day": [date(1969, 12, 31), None, date(2026, 11, 21)],
        "text": ["é", None, ""],
    },
    schema={"small": pl.Int16, "middle": pl.Int32, "large": pl.Int64, "day": pl.Date, "text": pl.String},
)
PINNED = {
    "a frame of every type": "4c6777a30461383543214843c0353f9adefed77b1488c20674dc87f0022731c0",
    "no rows": "fe9429325b9fd449bfcd5c0ecfa80f10c31453e585236bb937662d304cb41ef9",
    "an empty posting of schema 1": "7e2f3b1d904587de891658bb1e2ead5c41680c97902dc8d2f748e678f318e3a5",
    "an empty posting of schema 2": "9eef4f126dbda8376ce0a8c8362c009765ff58c117f4ff0efdd628e1c1f7863d",
    "genesis": "1d1b878fed4c2bea3d60156575af7df56d42c9488599d6df93e258c0db6ac457",
    "content head": "73dc971d58b84f681a92ef2a7a5623df21a8b6cdcb1368e06d09003dc0e8e364",
    "chain head": "6db7c1e46249b3611959aa4e8032bbed5c938be43a9246536eb9a4006b7e71b5",
}


def spelled(frame: pl.DataFrame) -> str:
    """The form of the digest, spelled out value by value."""
    told = b""
    kinds: dict[Any, str] = {pl.String: "text", pl.Date: "date"}
    for name, kind in frame.schema.items():
        values = frame[name].to_list()
        told += f"{name}\0{kinds.get(kind, 'int')}\0{len(values)}\0".encode()
        told += bytes(value is not None for value in values)
        if kind == pl.String:
            texts = [(value or "").encode() for value in values]
            told += b"".join(struct.pack("<q", len(text)) for text in texts) + b"".join(texts)
        else:
            epoch = date(1970, 1, 1)
            numbers = [(value - epoch).days if isinstance(value, date) else value or 0 for value in values]
            told += b"".join(struct.pack("<q", number) for number in numbers)
    return sha256(told).hexdigest()


def vectors() -> dict[str, str]:
    nothing = {table: empty(table) for table in TABLES}
    digest = audit.rows_digest(nothing, 2)
    content = audit.content_head(audit.GENESIS, digest, "a" * 64, ["b" * 64, ""])
    return {
        "a frame of every type": audit.frame_digest(EVERYTHING),
        "no rows": audit.frame_digest(EVERYTHING.clear()),
        "an empty posting of schema 1": audit.rows_digest(nothing, 1),
        "an empty posting of schema 2": digest,
        "genesis": audit.GENESIS,
        "content head": content,
        "chain head": audit.chain_head(audit.GENESIS, content, "c" * 64),
    }


def test_the_form_is_pinned() -> None:
    assert vectors() == PINNED


@pytest.mark.parametrize("rows", [EVERYTHING, EVERYTHING.clear(), EVERYTHING.slice(1, 1), EVERYTHING.reverse()])
def test_the_form_is_what_is_documented(rows: pl.DataFrame) -> None:
    assert audit.frame_digest(rows) == spelled(rows)


def test_slices_have_the_digests_of_the_slices() -> None:
    ends = [0, 2, 2, 3]
    parts = [EVERYTHING.slice(start, end - start) for start, end in zip([0, *ends], ends, strict=False)]
    assert audit.slice_digests(EVERYTHING, ends) == [spelled(part) for part in parts]


def test_any_value_type_or_name_changes_the_digest() -> None:
    changed = [
        EVERYTHING.with_columns(small=pl.lit(2, pl.Int16)),
        EVERYTHING.with_columns(text=pl.col("text").fill_null("")),
        EVERYTHING.with_columns(day=pl.col("day").dt.offset_by("1d")),
        EVERYTHING.rename({"small": "little"}),
        EVERYTHING.select(pl.all().exclude("day"), "day"),
        EVERYTHING.reverse(),
        EVERYTHING.with_columns(text=pl.Series(["", "é", None])),
    ]
    assert len({audit.frame_digest(frame) for frame in [EVERYTHING, *changed]}) == len(changed) + 1


def test_canonical_order_does_not_depend_on_how_rows_lie() -> None:
    rows = pl.DataFrame(
        [
            {"line_no": line, "lot_id": lot, "item_id": item, "use": 1, "amount": 10}
            for line in (1, 2)
            for lot in (5, 7)
            for item in (3, None)
        ],
        schema=dict(TABLES["lot_use"]),
    )
    ordered = audit.canonical("lot_use", rows)
    assert ordered.equals(audit.canonical("lot_use", rows.sample(fraction=1, shuffle=True, seed=3)))
    assert ordered["item_id"].to_list() == [3, None] * 4


def test_every_table_has_an_order_and_is_sealed() -> None:
    assert set(ORDER) == set(TABLES) == set(sealed_tables(BOOK_SCHEMA))
    of_vouchers = {"product", "voucher_order", "voucher_payment", "voucher", "voucher_change", "voucher_cancel"}
    assert set(TABLES) - set(sealed_tables(5)) == of_vouchers
    assert set(sealed_tables(5)) - set(sealed_tables(4)) == {
        "person", "company_unit", "budget", "budget_alert", "promise",
    }  # fmt: skip
    assert set(sealed_tables(4)) - set(sealed_tables(3)) == {"charge"}
    assert set(sealed_tables(3)) - set(sealed_tables(2)) == {"gl_statement", "gl_by_hand"}
    assert all(set(keys) <= set(TABLES[table]) for table, keys in ORDER.items())
