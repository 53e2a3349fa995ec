"""What the program does to orders of its own accord, each time as a file that it lands and posts: codes are random, and
so are landed, sealed, before anything is booked.

Here: payments that waited for their orders, making codes for paid orders, letting orders lapse and vouchers end, noting
and asking for deliveries, revealing codes to letters. Not here: what is due (``ledger.voucher_dues``), what a step
books (``ledger.voucher_steps``), mail.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final

import polars as pl

from counterfoil.clock import local_date
from counterfoil.codes import new_code
from counterfoil.errors import CounterfoilError, PermanentError
from counterfoil.feed import FeedKind
from counterfoil.files import sha256_bytes
from counterfoil.invariants import require
from counterfoil.ledger import voucher_dues, voucher_letters
from counterfoil.ledger.catalogue import expires
from counterfoil.steps.arrive import land_own
from counterfoil.steps.desk import Desk
from counterfoil.steps.post import Settled, settle

COLUMNS: Final = ("step", "ref", "unit", "code", "sealed", "valid_until", "value_date")

CODES: Final = {"voucher_id": pl.Int64, "code": pl.String, "pin": pl.String}
"""Codes in the clear, for a letter and for nothing else."""


def count_waiting(desk: Desk, day: date) -> Settled:
    """Let payments count that came before the orders they pay; what a crash left landed is posted first."""
    settled = _post(desk, day)
    with desk.book.reading() as book:
        paid = voucher_dues.to_pay(book)
    return both(settled, _landed(desk, "pay", paid.to_dicts(), day))


def issue(desk: Desk, day: date) -> Settled:
    """Make and post the codes of every paid order that has none; what a crash left landed is posted first.

    They live from today on, whichever day is run: what came late would else bring codes that have ended.
    """
    settled = _post(desk, day)
    with desk.book.reading() as book:
        made_on = max(book.programme_day(day), local_date(desk.now(), desk.settings.zone))
        due = voucher_dues.to_make(book).with_columns(valid_until=expires(pl.lit(made_on)))
    if due.is_empty():
        return settled
    vault = desk.vault()
    rows = []
    # A code is drawn, hidden and sealed by itself: no column expression does that.
    for ref, quantity, valid_until in due.select("ref", "quantity", "valid_until").iter_rows():
        for unit in range(1, quantity + 1):
            code = new_code()
            sealed = vault.seal_text(code, _about(ref, unit))
            rows.append(
                {"ref": ref, "unit": unit, "code": vault.conceal(code), "sealed": sealed, "valid_until": valid_until}
            )
    return both(settled, _landed(desk, "issue", rows, day))


def end_day(desk: Desk, day: date) -> Settled:
    """What the end of a day brings: orders that nobody paid in time lapse, vouchers whose last day it was end."""
    settled = count_waiting(desk, day)
    with desk.book.reading() as book:
        lapsing, ending = voucher_dues.to_lapse(book, day), voucher_dues.to_end(book, day)
    settled = both(settled, _landed(desk, "lapse", lapsing.to_dicts(), day))
    return both(settled, _landed(desk, "expire", ending.to_dicts(), day))


def note_delivered(desk: Desk, refs: Iterable[str], day: date) -> Settled:
    """Note that the vouchers of orders have been handed over."""
    return _landed(desk, "deliver", [{"ref": ref} for ref in refs], day)


def send_again(desk: Desk, asked: Mapping[str, int], day: date) -> Settled:
    """Ask for letters that bring the vouchers of orders again; ``asked``: how often that was done before, which makes
    each time another one."""
    return _landed(desk, "resend", [{"ref": ref, "unit": times + 1} for ref, times in asked.items()], day)


def reveal(desk: Desk, voucher_ids: Sequence[int], troubles: list[CounterfoilError]) -> pl.DataFrame:
    """CODES of vouchers, opened by the vault from the files that brought them. To be put into a letter and forgotten.

    A file that cannot be opened is among the troubles, once; its codes are missing, and it stops no other.
    """
    with desk.book.reading() as book:
        wanted = voucher_letters.sources(book, pl.Series(voucher_ids, dtype=pl.Int64))
    found = []
    for part in wanted.partition_by("posting", maintain_order=True):
        try:
            found.append(_revealed(desk, part))
        except PermanentError as error:
            if str(error) not in map(str, troubles):
                troubles.append(error)
    return pl.concat([pl.DataFrame(schema=CODES), *found]).sort("voucher_id")


def _revealed(desk: Desk, wanted: pl.DataFrame) -> pl.DataFrame:
    """CODES of the vouchers that one file brought."""
    record = desk.landing.read_record(wanted["posting"][0])
    feed = desk.reader.feed_from_bytes(desk.landing.verify(record.hashes["layout"]).read_bytes())
    payload = desk.landing.verify(record.payload_sha)
    if feed.kind is FeedKind.VOUCHER_FULFILMENT:
        codes = desk.reader.codes(feed, name=record.name, payload=payload)
    else:
        accepted = desk.reader.read(feed, name=record.name, payload=payload).accepted
        sealed = accepted.join(wanted, left_on="line_no", right_on="line", how="semi")
        vault = desk.vault()
        opened = [
            vault.open_text(text, _about(ref, unit))
            for ref, unit, text in sealed.select("ref", "unit", "sealed").iter_rows()
        ]
        codes = sealed.select("line_no", code=pl.Series(opened, dtype=pl.String), pin=pl.lit(None, pl.String))
    found = wanted.join(codes, left_on="line", right_on="line_no", how="left", maintain_order="left")
    require(found["code"].null_count() == 0, "the file that brought a voucher holds its code")
    return found.select(*CODES)


def _about(ref: str, unit: int) -> str:
    """What a code is sealed as: it opens as this voucher of this order only."""
    return f"voucher {ref}:{unit}"


def _landed(desk: Desk, step: str, rows: Sequence[Mapping[str, object]], day: date) -> Settled:
    """Land rows of one step as a file of the day, and post it; nothing for no rows."""
    if not rows:
        return Settled()
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({"step": step, "value_date": day, **row} for row in rows)
    data = text.getvalue().encode()
    (feed,) = desk.feeds([FeedKind.VOUCHERS])
    land_own(desk, feed, name=f"{feed.feed}_{day:%Y%m%d}_{sha256_bytes(data)[:8]}.csv", data=data)
    return _post(desk, day)


def _post(desk: Desk, day: date) -> Settled:
    """Post the steps that have landed."""
    return settle(desk, [feed.feed for feed in desk.feeds([FeedKind.VOUCHERS])], day, {})


def both(first: Settled, second: Settled) -> Settled:
    """What became of two steps."""
    return Settled([*first.outcomes, *second.outcomes], [*first.postings, *second.postings])
