"""Statements for companies: what each closed day did to a company's balance and budgets, put where its answers lie.

Here: which days, and that each is put once. Not here: what a statement says (``ledger.company_extracts``).
"""

from datetime import date, timedelta
from typing import Final

from counterfoil.feed import Feed
from counterfoil.files import write_durably
from counterfoil.ledger import company_extracts
from counterfoil.reports.csv import csv_bytes
from counterfoil.steps.desk import Desk

_THROUGH: Final = "through"
"""A file in a feed's folder: the last day that was handed over, whether or not it moved anything."""


def hand_over(desk: Desk, feed: Feed) -> list[str]:
    """Put a file for every closed day that moved points of the feed's company and was not handed over: their names;
    none for a feed without ``statement``.

    The first time, days count from the layout's ``effective_from`` on. No posting counts for a closed day, so that
    after a crash the same bytes are made, which count as put. Raises what putting raises; the day is tried again then.
    """
    statement = feed.statement
    if statement is None:
        return []
    through = desk.settings.home.out_statements / feed.feed / _THROUGH
    since = date.fromisoformat(through.read_text().strip()) + timedelta(1) if through.exists() else feed.effective_from
    with desk.book.reading() as book:
        closed = (book.open_day() or since) - timedelta(1)
        if closed < since:
            return []
        rows = company_extracts.statement(book, feed.partner, since=since, until=closed)
    put = []
    for (day,), moved in rows.sort("date", maintain_order=True).group_by("date", maintain_order=True):
        name = statement.name.format(date=f"{day:%Y%m%d}")
        with desk.open_source(feed.arrival.connection) as source:
            source.put(statement.folder, name, csv_bytes(moved))
        write_durably(through, f"{day}\n".encode())
        put.append(name)
    write_durably(through, f"{closed}\n".encode())
    return put
