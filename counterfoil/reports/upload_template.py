"""The template of a bulk upload: a file that a company fills, with an example and the rules, in its own layout's terms.

Here: its bytes, as CSV or as a workbook. Pure. Not here: reading what comes back (``parsers``), or what becomes of it
(``ledger.distributions``).
"""

import csv
import io
from datetime import UTC, date, datetime
from typing import Final

import xlsxwriter

from counterfoil.feed import Feed
from counterfoil.protocols import Terms
from counterfoil.schemas.kind_rules import EXPIRY_MONTHS_MAX
from counterfoil.schemas.tables import ACCEPTED, NULLABLE

EXAMPLES: Final = (
    {
        "company": "acme", "ref": "NOV-0001", "name": "Ada Lindqvist", "email": "ada@acme.example", "points": "250",
        "country_code": "46", "mobile": "701740605", "citation": "Ten years with us", "department": "sales",
        "send_date": "2026-12-24", "expiry_months": "12", "campaign": "standard",
    },
    {"company": "acme", "ref": "NOV-0002", "name": "Bo Dahl", "email": "bo@acme.example", "points": "100"},
)  # fmt: skip
"""Rows as they are filled in, by our names of the columns. The people are made up."""

RULES: Final = {
    "company": "The company's name with us, in lower case",
    "ref": "Your own reference; each counts once. Without one, a row just like one before it in the file is not paid",
    "name": "The recipient's name, in any script",
    "email": "The address that the recipient is or will be registered with; a person belongs to one company",
    "points": "Whole points from 1 up",
    "country_code": "Of the mobile number, with or without +; needed where there is one",
    "mobile": "Digits, blanks and hyphens, without the country code",
    "citation": "Why; the recipient reads it",
    "department": "Whose budget pays; without one the company's, or its balance",
    "send_date": "The day to send, as 2026-12-24; empty or past: at once. Can be cancelled until then",
    "expiry_months": "Months until the points expire, from the day they reach the recipient, "
    f"1 to {EXPIRY_MONTHS_MAX}; empty: as the programme has it",
    "campaign": "Whose letter goes out; empty: the standard one",
}
"""What each column may hold."""

_MADE: Final = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
"""A fixed creation time, so that the same layout gives the same bytes."""


def headings(feed: Feed, terms: Terms) -> dict[str, str]:
    """The columns of a layout's template: what it calls each of ours that comes from a column, in our order."""
    return {name: terms.columns[name].name for name in ACCEPTED[feed.kind] if name in terms.columns}


def as_csv(feed: Feed, terms: Terms, *, filled: bool) -> bytes:
    """A file with column names alone, or with the example below them."""
    named = headings(feed, terms)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(named.values())
    writer.writerows([[_example(name, row, terms) for name in named] for row in EXAMPLES] if filled else [])
    return text.getvalue().encode()


def as_workbook(feed: Feed, terms: Terms) -> bytes:
    """A workbook: the sheet to fill, one that is filled, and one of rules."""
    named = headings(feed, terms)
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as made:
        made.set_properties({"created": _MADE})
        heading = made.add_format({"bold": True, "bg_color": "#E8EEF4", "border": 1})
        # As text, so that a leading zero stays and no spreadsheet makes a date of a reference.
        plain = made.add_format({"num_format": "@"})
        wrapped = made.add_format({"text_wrap": True, "valign": "top"})
        for title, rows in ((terms.sheet or "Points", ()), ("Example", EXAMPLES)):
            sheet = made.add_worksheet(title)
            sheet.freeze_panes(1, 0)
            sheet.set_column(0, len(named) - 1, 20, plain)
            sheet.write_row(0, 0, list(named.values()), heading)
            for number, row in enumerate(rows, start=1):
                for place, name in enumerate(named):
                    sheet.write_string(number, place, _example(name, row, terms))
        rules = made.add_worksheet("Rules")
        rules.set_column(0, 1, 18, wrapped)
        rules.set_column(2, 2, 90, wrapped)
        rules.write_row(0, 0, ["Column", "Needed", "What it may hold"], heading)
        nullable = NULLABLE[feed.kind]
        for number, (name, title) in enumerate(named.items(), start=1):
            rules.write_row(number, 0, [title, "no" if name in nullable else "yes", RULES[name]])
        for number, rule in enumerate(general_rules(feed), start=len(named) + 2):
            rules.write(number, 0, "The file")
            rules.write(number, 2, rule)
    return out.getvalue()


def general_rules(feed: Feed) -> list[str]:
    """What holds of a file as a whole."""
    return [
        f"At most {feed.limits.rows_max:,} recipients a file.",
        "Its name counts once: what is new comes in a file with another name.",
        "Nothing moves before balance or budget covers all of it; where they do not, it waits and you are told.",
        f"Points of recipients who are not registered wait {feed.unclaimed_days} days for them, then return.",
        "Points that were sent cannot be taken back, and go to no other administrator.",
    ]


def _example(name: str, row: dict[str, str], terms: Terms) -> str:
    text = row.get(name, "")
    if name == "send_date" and text:
        return date.fromisoformat(text).strftime(terms.columns[name].date_format)
    return text
