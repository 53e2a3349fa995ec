"""A general ledger for tests: it posts our journal files as they were written, and drops extracts of its balances.

Here: what it holds and the text of its extracts. Not here: what our side makes of one.
"""

from collections.abc import Iterable
from datetime import date

import polars as pl

from counterfoil.landing.records import JOURNALS
from tests.plugins.homes import Office

HEADER = "as_of,account,currency,kind,minor,last_journal,reference\n"
Row = tuple[str, str, str, int, str, str]
"""Kind, account, currency, minor units, last journal, reference."""


class Gl:
    """One general ledger, in which people post by hand as well."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.lines: list[tuple[str, str, date, int]] = []
        self.by_hand: list[tuple[str, str, int]] = []
        self.number = 0

    def journals(self) -> list[str]:
        with self.office.desk() as desk:
            return [one.journal_id for one in desk.index.journals(JOURNALS)]

    def receive(self, *journal_ids: str, times: int = 1) -> None:
        """Post journals, as many times as somebody presses the button."""
        for journal_id in journal_ids:
            file = self.office.home / "out" / "gl" / "neutral" / journal_id / "journal.csv"
            read = pl.read_csv(file, schema_overrides={"account": pl.String, "debit": pl.String, "credit": pl.String})
            minor = [
                pl.col(side).fill_null("0").str.replace(".", "", literal=True).cast(pl.Int64)
                for side in ("credit", "debit")
            ]
            rows = read.select("account", "currency", pl.col("accounting_date").str.to_date(), minor[0] - minor[1])
            self.lines += times * rows.rows()

    def post_by_hand(self, account: str, reference: str, minor: int) -> None:
        self.by_hand.append((account, reference, minor))

    def balances(self, as_of: date) -> dict[str, int]:
        found: dict[str, int] = {}
        for account, _, day, minor in self.lines:
            found[account] = found.get(account, 0) + (minor if day <= as_of else 0)
        for account, _, minor in self.by_hand:
            found[account] = found.get(account, 0) + minor
        return found

    def drop(
        self, as_of: date, last: str = "", *, on: date, off: dict[str, int] | None = None, more: Iterable[Row] = ()
    ) -> None:
        """An extract of every account, made on a day; ``off``: accounts that are so much off; ``more`` rows."""
        told: list[Row] = [
            ("balance", account, "EUR", minor + (off or {}).get(account, 0), last, "")
            for account, minor in sorted(self.balances(as_of).items())
        ]
        told += [("by_hand", account, "EUR", minor, "", reference) for account, reference, minor in self.by_hand]
        self.put([*told, *more], as_of, on)

    def put(self, rows: Iterable[Row], as_of: date, on: date) -> None:
        """An extract of these rows."""
        lines = [
            f"{as_of},{account},{currency},{kind},{minor},{last},{reference}\n"
            for kind, account, currency, minor, last, reference in rows
        ]
        self.number += 1
        self.office.put(f"gl_balances/gl_balances_{on:%Y%m%d}_{self.number}.csv", HEADER + "".join(lines))
