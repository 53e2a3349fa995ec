"""Oracle Fusion General Ledger: a journal as the FBDI file ``GlInterface.csv`` in a zip.

Here: Oracle's columns and the mapping file that fills them. Not here: the journal's own checks, or the upload.
"""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Final, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from connectors.gl.journal import amount_text, blank_if_empty, prove_journal
from connectors.mapping import load_mapping
from counterfoil.contract import Contract
from counterfoil.errors import Code, PermanentError
from counterfoil.files import write_durably

SEGMENTS_MAX: Final = 30
ZIP_NAME: Final = "GlInterface.zip"
CSV_NAME: Final = "GlInterface.csv"
ORACLE_DATE: Final = "%Y/%m/%d"

ZIP_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest instant a zip can hold: the archive must not depend on when it was made."""

COLUMNS: Final = (
    "Status Code",
    "Ledger ID",
    "Effective Date of Transaction",
    "Journal Source",
    "Journal Category",
    "Currency Code",
    "Journal Entry Creation Date",
    "Actual Flag",
    *(f"Segment{number}" for number in range(1, SEGMENTS_MAX + 1)),
    "Entered Debit Amount",
    "Entered Credit Amount",
    "Converted Debit Amount",
    "Converted Credit Amount",
    "REFERENCE1 (Batch Name)",
    "REFERENCE2 (Batch Description)",
    "REFERENCE3",
    "REFERENCE4 (Journal Entry Name)",
    "REFERENCE5 (Journal Entry Description)",
    "REFERENCE6 (Journal Entry Reference)",
    "REFERENCE7 (Journal Entry Reversal flag)",
    "REFERENCE8 (Journal Entry Reversal Period)",
    "REFERENCE9 (Journal Reversal Method)",
    "REFERENCE10 (Journal Entry Line Description)",
    *(f"Reference column {number}" for number in range(1, 11)),
    "Statistical Amount",
    "Currency Conversion Type",
    "Currency Conversion Date",
    "Currency Conversion Rate",
    "Interface Group Identifier",
)
"""The template's columns up to the group identifier, in order (1 to 52: Oracle's Data Mapping Guide for GL_INTERFACE;
53 to 67: the template as public loaders write it). The file itself has no header line."""

Origin = Literal["entity", "ledger", "source", "category", "account", "cost_center", "programme", "partner"]


class Cell(Contract):
    """One value: a journal column or a constant, optionally translated; ``empty`` stands for an empty value.

    With ``codes`` every value that occurs must be listed (an empty one only where ``empty`` is not given).
    """

    source: Origin | None = Field(default=None, alias="from")
    constant: str | None = None
    codes: dict[str, str] = Field(default_factory=dict)
    empty: str = ""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.source is None) == (self.constant is None):
            raise ValueError("give either 'from' or 'constant'")
        if self.source is None and (self.codes or self.empty):
            raise ValueError("'codes' and 'empty' need 'from'")
        return self


class OracleMapping(Contract):
    """``data/gl/oracle_fbdi.yaml``: ledger, source, category and the segments of the account, in order."""

    target: Literal["oracle_fbdi"]
    ledger_id: Cell
    journal_source: Cell
    journal_category: Cell
    segments: tuple[Cell, ...] = Field(min_length=1, max_length=SEGMENTS_MAX)


class OracleFbdi:
    """A ``counterfoil.protocols.JournalTarget``: ``GlInterface.zip``, ready for "Load Interface File for Import".

    Memo lines (points only) are left out: the interface takes money. Dates are YYYY/MM/DD, the creation date is the
    accounting date, amounts have ``.`` and no grouping, and the side a line does not use is blank. The group identifier
    is a number made of the journal id, so that an import can be asked for exactly this journal.
    """

    def __init__(self, mapping_path: Path) -> None:
        """Read the mapping; raises RULES_INVALID."""
        self._mapping, _ = load_mapping(mapping_path, OracleMapping)
        self.name: str = self._mapping.target

    def write(self, journal: pl.DataFrame, folder: Path) -> tuple[Path, ...]:
        """Write the zip; a journal without a line of money writes nothing.

        Raises MASS_BALANCE or RULES_INVALID before anything is written.
        """
        prove_journal(journal)
        money = journal.filter((pl.col("debit_minor") > 0) | (pl.col("credit_minor") > 0))
        if money.is_empty():
            return ()
        content = _zipped(_lines(money.sort("journal_id", "journal_line"), self._mapping))
        path = folder / ZIP_NAME
        write_durably(path, content)
        return (path,)


def _lines(journal: pl.DataFrame, mapping: OracleMapping) -> bytes:
    """The CSV: one line a journal line, every column of ``COLUMNS``, no header."""
    filled = {
        "Status Code": pl.lit("NEW"),
        "Ledger ID": _cell("ledger_id", mapping.ledger_id, journal),
        "Effective Date of Transaction": pl.col("accounting_date").dt.strftime(ORACLE_DATE),
        "Journal Source": _cell("journal_source", mapping.journal_source, journal),
        "Journal Category": _cell("journal_category", mapping.journal_category, journal),
        "Currency Code": pl.col("currency"),
        "Journal Entry Creation Date": pl.col("accounting_date").dt.strftime(ORACLE_DATE),
        "Actual Flag": pl.lit("A"),
        "Entered Debit Amount": amount_text(journal, "debit_minor"),
        "Entered Credit Amount": amount_text(journal, "credit_minor"),
        "REFERENCE1 (Batch Name)": pl.concat_str("source", pl.lit(" "), "journal_id"),
        "REFERENCE4 (Journal Entry Name)": pl.col("journal_id"),
        "REFERENCE6 (Journal Entry Reference)": pl.col("journal_id"),
        "REFERENCE10 (Journal Entry Line Description)": blank_if_empty("line_text"),
        "Interface Group Identifier": _group_identifier(journal),
    }
    for number, segment in enumerate(mapping.segments, start=1):
        filled[f"Segment{number}"] = _cell(f"segment {number}", segment, journal)
    blank = pl.lit(None, dtype=pl.String)
    buffer = io.BytesIO()
    journal.select(filled.get(name, blank).alias(name) for name in COLUMNS).write_csv(buffer, include_header=False)
    return buffer.getvalue()


def _cell(where: str, cell: Cell, journal: pl.DataFrame) -> pl.Expr:
    if cell.source is None:
        return pl.lit(cell.constant, dtype=pl.String)
    value = pl.col(cell.source)
    if cell.codes:
        known = cell.codes.keys() | ({""} if cell.empty else set())
        unknown = set(journal[cell.source].unique().to_list()) - known
        if unknown:
            raise PermanentError(
                Code.RULES_INVALID,
                f"mapping oracle_fbdi {where}",
                found=f"no code for {', '.join(sorted(map(repr, unknown)))}",
                expected=f"a code for every {cell.source} of the journal",
                remedy="Add the missing codes to the mapping file",
            )
        value = value.replace_strict(cell.codes, default=None, return_dtype=pl.String)
    given = pl.when(pl.col(cell.source) != "").then(value)
    return given.fill_null(cell.empty) if cell.empty else given


def _group_identifier(journal: pl.DataFrame) -> pl.Expr:
    """Fifteen digits of the journal id's SHA-256: GROUP_ID is NUMBER(18), and our ids are text."""
    ids = journal["journal_id"].unique().to_list()
    digits = {name: f"{int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10**15:015d}" for name in ids}
    return pl.col("journal_id").replace_strict(digits, return_dtype=pl.String)


def _zipped(lines: bytes) -> bytes:
    """A zip with the same bytes everywhere: fixed date and mode, and stored, since deflate differs between builds."""
    member = zipfile.ZipInfo(CSV_NAME, ZIP_EPOCH)
    member.compress_type = zipfile.ZIP_STORED
    member.create_system = 3
    member.external_attr = 0o644 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, lines)
    return buffer.getvalue()
