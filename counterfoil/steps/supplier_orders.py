"""Orders for suppliers: what is paid and must be filled by them, as one file a posting, written once.

Here: the file and where it lies. Not here: which orders (``ledger.voucher_dues``), or sending it.
"""

import csv
import io
from pathlib import Path
from typing import Final

import polars as pl

from counterfoil.files import write_durably
from counterfoil.ledger import voucher_dues
from counterfoil.money import plain_minor
from counterfoil.steps.desk import Desk

COLUMNS: Final = ("po_number", "product_id", "denomination", "currency", "quantity", "type")
"""No person is named: vouchers come back to us."""

_THROUGH: Final = "through"
"""Beside the suppliers' folders: the last posting that was looked at, so that files somebody took away stay away."""


def write_orders(desk: Desk) -> list[Path]:
    """Write the files of postings that have none yet: ``suppliers/<supplier>/orders_<posting>.csv``.

    The same posting makes the same bytes. After a crash before the number behind them is written, and in a home that
    was restored, they are made again under the same names; suppliers know an order by its number.
    """
    folder = desk.settings.home.out_suppliers
    through = folder / _THROUGH
    after = int(through.read_text()) if through.exists() else 0
    with desk.book.reading() as book:
        last = book.last_posting()
        due = voucher_dues.for_suppliers(book, after)
    written = []
    for part in due.partition_by("posting", "supplier", maintain_order=True):
        path = folder / part["supplier"][0] / f"orders_{part['posting'][0]:08d}.csv"
        write_durably(path, _content(part))
        written.append(path)
    if last > after and (written or through.exists()):
        write_durably(through, f"{last}\n".encode())
    return written


def _content(orders: pl.DataFrame) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for ref, product, minor, currency, quantity, kind in orders.select(
        "ref", "product", "denomination", "currency", "quantity", "type"
    ).iter_rows():
        writer.writerow((ref, product, plain_minor(minor, currency), currency, quantity, kind))
    return text.getvalue().encode()
