"""The neutral journal as a CSV file: what every general ledger that takes mapped CSV can load.

Here: its file form. Not here: its columns and checks (``connectors.gl.journal``).
"""

import io
from pathlib import Path

import polars as pl

from connectors.gl.journal import amount_text, blank_if_empty, prove_journal
from counterfoil.files import write_durably


class NeutralCsv:
    """A ``counterfoil.protocols.JournalTarget``: ``journal.csv``, UTF-8, LF, with a header line.

    Columns: journal_id, journal_line, accounting_date (ISO), period, entity, ledger, source, category, account,
    account_name, cost_center, programme, partner, currency, debit, credit (decimal text, the other side blank), points
    (memo, credit positive), line_text, event_key, control_total (the debits of the line's journal and currency).
    """

    name = "neutral"

    def write(self, journal: pl.DataFrame, folder: Path) -> tuple[Path, ...]:
        """Write the file; raises MASS_BALANCE or RULES_INVALID before anything is written."""
        prove_journal(journal)
        per_journal = pl.col("debit_minor").sum().over("journal_id", "currency")
        ordered = journal.sort("journal_id", "journal_line").with_columns(control_minor=per_journal)
        text = ("journal_id", "period", "entity", "ledger", "source", "category", "account", "account_name")
        table = ordered.select(
            blank_if_empty("journal_id"),
            "journal_line",
            "accounting_date",
            *map(blank_if_empty, text[1:]),
            *map(blank_if_empty, ("cost_center", "programme", "partner", "currency")),
            debit=amount_text(ordered, "debit_minor"),
            credit=amount_text(ordered, "credit_minor"),
            points="points",
            line_text=blank_if_empty("line_text"),
            event_key=blank_if_empty("event_key"),
            control_total=amount_text(ordered, "control_minor"),
        )
        buffer = io.BytesIO()
        table.write_csv(buffer, date_format="%Y-%m-%d")
        path = folder / "journal.csv"
        write_durably(path, buffer.getvalue())
        return (path,)
