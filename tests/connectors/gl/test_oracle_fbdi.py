"""The Oracle file has Oracle's columns in Oracle's order, and the same bytes each time."""

import csv
import io
import zipfile
from pathlib import Path

import polars as pl
import pytest

from connectors.gl.oracle_fbdi import COLUMNS, OracleFbdi
from counterfoil.errors import Code, PermanentError


@pytest.fixture(scope="session")
def oracle_mapping(root: Path) -> Path:
    return root / "data/gl/oracle_fbdi.yaml"


def rows(path: Path) -> list[dict[str, str]]:
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["GlInterface.csv"]
        text = archive.read("GlInterface.csv").decode()
    return [dict(zip(COLUMNS, row, strict=True)) for row in csv.reader(io.StringIO(text))]


def test_the_columns_stand_where_the_interface_reads_them() -> None:
    """Positions as in Oracle's mapping guide; the first is 1."""
    positions = {name: number for number, name in enumerate(COLUMNS, start=1)}
    assert positions["Status Code"] == 1
    assert positions["Actual Flag"] == 8
    assert (positions["Segment1"], positions["Segment30"]) == (9, 38)
    assert (positions["Entered Debit Amount"], positions["Entered Credit Amount"]) == (39, 40)
    assert positions["REFERENCE1 (Batch Name)"] == 43
    assert positions["REFERENCE10 (Journal Entry Line Description)"] == 52
    assert positions["Interface Group Identifier"] == 67 == len(COLUMNS)


def test_lines_are_filled_as_the_interface_wants_them(
    oracle_mapping: Path, journal: pl.DataFrame, tmp_path: Path
) -> None:
    (path,) = OracleFbdi(oracle_mapping).write(journal, tmp_path)
    assert path.name == "GlInterface.zip"
    debit, credit, *yen = rows(path)
    assert {name: value for name, value in debit.items() if value} == {
        "Status Code": "NEW",
        "Ledger ID": "300000001234567",
        "Effective Date of Transaction": "2026/11/20",
        "Journal Source": "Counterfoil",
        "Journal Category": "Redemptions",
        "Currency Code": "EUR",
        "Journal Entry Creation Date": "2026/11/20",
        "Actual Flag": "A",
        "Segment1": "101",
        "Segment2": "2410",
        "Segment3": "R-17",
        "Segment4": "rewards",
        "Segment5": "northstar",
        "Entered Debit Amount": "12345.05",
        "REFERENCE1 (Batch Name)": "Counterfoil RW-20261120-1",
        "REFERENCE4 (Journal Entry Name)": "RW-20261120-1",
        "REFERENCE6 (Journal Entry Reference)": "RW-20261120-1",
        "REFERENCE10 (Journal Entry Line Description)": "Confirmed, northstar",
        "Interface Group Identifier": debit["Interface Group Identifier"],
    }
    assert len(debit["Interface Group Identifier"]) == 15
    assert debit["Interface Group Identifier"].isdigit()
    assert (credit["Entered Debit Amount"], credit["Entered Credit Amount"]) == ("", "12345.05")
    assert credit["Segment3"] == "000"
    assert [(line["Entered Debit Amount"], line["Entered Credit Amount"]) for line in yen] == [("700", ""), ("", "700")]


def test_the_archive_has_the_same_bytes_whenever_and_in_whatever_order(
    oracle_mapping: Path, journal: pl.DataFrame, tmp_path: Path
) -> None:
    (first,) = OracleFbdi(oracle_mapping).write(journal, tmp_path / "a")
    (second,) = OracleFbdi(oracle_mapping).write(journal.reverse(), tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        (member,) = archive.infolist()
    assert member.date_time == (1980, 1, 1, 0, 0, 0)
    assert member.compress_type == zipfile.ZIP_STORED


def test_a_journal_of_memo_lines_alone_writes_nothing(
    oracle_mapping: Path, journal: pl.DataFrame, tmp_path: Path
) -> None:
    memo = journal.filter(pl.col("journal_line") == 3)
    assert OracleFbdi(oracle_mapping).write(memo, tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


def test_an_unbalanced_journal_writes_nothing(oracle_mapping: Path, journal: pl.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(PermanentError) as caught:
        OracleFbdi(oracle_mapping).write(journal.filter(pl.col("journal_line") != 2), tmp_path)
    assert caught.value.code is Code.MASS_BALANCE
    assert list(tmp_path.iterdir()) == []


def test_codes_translate_and_a_missing_one_is_named(
    oracle_mapping: Path, journal: pl.DataFrame, tmp_path: Path
) -> None:
    mapping = tmp_path / "oracle.yaml"
    text = oracle_mapping.read_text().replace("{from: partner,", '{from: partner, codes: {northstar: "71"},')
    mapping.write_text(text)
    (path,) = OracleFbdi(mapping).write(journal, tmp_path)
    assert {line["Segment5"] for line in rows(path)} == {"71"}
    mapping.write_text(text.replace("northstar:", "skybridge:"))
    with pytest.raises(PermanentError, match="no code for 'northstar'"):
        OracleFbdi(mapping).write(journal, tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("{from: entity}", "{from: entity, constant: x}", "give either 'from' or 'constant'"),
        ("{from: entity}", "{from: colour}", "segments.0.from"),
        ('{constant: "300000001234567"}', "{constant: x, empty: y}", "need 'from'"),
        ("  - {from: entity}\n", "  - {from: entity}\n" * 31, "segments"),
    ],
)
def test_a_faulty_mapping_is_refused(old: str, new: str, says: str, oracle_mapping: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "oracle.yaml"
    mapping.write_text(oracle_mapping.read_text().replace(old, new))
    with pytest.raises(PermanentError, match=says) as caught:
        OracleFbdi(mapping)
    assert caught.value.code is Code.RULES_INVALID
