"""A batch on disk is what Bulk API 2.0 documents, whole, and the same every time."""

import csv
import hashlib
import io
import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.crm.salesforce import SalesforceFiles
from counterfoil.errors import Code, PermanentError
from counterfoil.ledger.updates import TOLD
from counterfoil.protocols import Batch, Updates

JOURNAL = """\
Ext_Event_Key__c,ActivityDate,JournalDate,JournalType.Name,LoyaltyProgramMember:Member.Ext_Member_Number__c,\
ExternalTransactionNumber,Partner_Code__c,Status,Redemption_State__c,Points_Sent__c,Points_Answered__c,Reason_Code__c,\
Ledger_Posting__c
northstar:0001,2026-11-19T12:00:00Z,2026-11-20T12:00:00Z,Redemption,80000000001,00000000000000000001,\
northstar,Processed,confirmed,500,500,#N/A,9
northstar:0002,2026-11-19T12:00:00Z,2026-11-20T12:00:00Z,Redemption,80000000001,00000000000000000001,\
northstar,Cancelled,rejected,500,#N/A,0003,9
northstar:0003,2026-11-19T12:00:00Z,2026-11-20T12:00:00Z,Redemption,80000000001,00000000000000000001,\
northstar,Error,held,500,#N/A,"say ""when"", then wait",9
northstar:0004,2026-11-19T12:00:00Z,2026-11-20T12:00:00Z,Redemption,80000000001,=HYPERLINK(1),\
northstar,Cancelled,reversed,500,0,#N/A,9
skybridge:0005,2026-11-19T12:00:00Z,2026-11-20T12:00:00Z,Redemption,,00000000000000000001,\
skybridge,Cancelled,refunded,500,500,#N/A,9
skybridge:0006,2026-11-19T12:00:00Z,2026-11-20T12:00:00Z,Redemption,80000000001,,\
skybridge,Processed,written_off,-40,500,#N/A,9
"""

BALANCES = """\
Ext_Balance_Key__c,LoyaltyMember.Ext_Member_Number__c,LoyaltyProgramCurrency.Ext_Unit_Code__c,PointsBalance,\
Last_Activity_Date__c,Ledger_Posting__c
member:80000000001:points,80000000001,points,1200,2026-11-20,9
member:80000000002:points,80000000002,points,-40,2026-11-20,9
"""


def test_a_small_batch_is_written_to_the_byte(
    salesforce_mapping: Path, batch: Batch, small_updates: Updates, tmp_path: Path
) -> None:
    target = SalesforceFiles(salesforce_mapping)
    parts = target.write(batch, small_updates, tmp_path / "b0c1")

    journal, balances = parts
    assert (tmp_path / "b0c1" / journal.name).read_text() == JOURNAL
    assert (tmp_path / "b0c1" / balances.name).read_text() == BALANCES
    assert (journal.name, journal.object, journal.rows, journal.points) == (
        "1-TransactionJournal-001.csv",
        "TransactionJournal",
        6,
        2460,
    )
    assert (balances.name, balances.rows, balances.points) == ("2-LoyaltyMemberCurrency-001.csv", 2, 1160)
    assert journal.bytes == len(JOURNAL)
    assert journal.sha256 == hashlib.sha256(JOURNAL.encode()).hexdigest()
    assert sorted(path.name for path in (tmp_path / "b0c1").iterdir()) == [journal.name, balances.name, "manifest.json"]


def test_points_that_reached_their_recipient_are_accruals(
    salesforce_mapping: Path, batch: Batch, small_updates: Updates, tmp_path: Path
) -> None:
    row = ("harbour:H-1", "harbour", "H-1", "M-1", 250, date(2026, 11, 20), 9)
    told = small_updates.distributions.clear().vstack(
        pl.DataFrame([row], schema=small_updates.distributions.schema, orient="row")
    )
    parts = SalesforceFiles(salesforce_mapping).write(batch, replace(small_updates, distributions=told), tmp_path)
    (part,) = [part for part in parts if part.name.startswith("3-")]
    assert (part.object, part.rows, part.points) == ("TransactionJournal", 1, 250)
    assert (tmp_path / part.name).read_text().splitlines()[1] == (
        "harbour:H-1,2026-11-20T12:00:00Z,2026-11-20T12:00:00Z,Accrual,M-1,H-1,harbour,Processed,250,9"
    )


def test_the_manifest_says_how_to_load_each_part_and_what_to_expect(
    salesforce_mapping: Path, batch: Batch, small_updates: Updates, tmp_path: Path
) -> None:
    parts = SalesforceFiles(salesforce_mapping).write(batch, small_updates, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert {key: manifest[key] for key in ("target", "batch_id", "mapping_sha", "from_n", "to_n")} == {
        "target": "salesforce",
        "batch_id": "b0c1",
        "mapping_sha": "5e" * 32,
        "from_n": 4,
        "to_n": 9,
    }
    assert manifest["parts"][0] == {
        "name": parts[0].name,
        "object": "TransactionJournal",
        "operation": "upsert",
        "externalIdFieldName": "Ext_Event_Key__c",
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
        "rows": 6,
        "points": 2460,
        "bytes": parts[0].bytes,
        "sha256": parts[0].sha256,
    }
    assert manifest["totals"]["LoyaltyMemberCurrency"] == {
        "parts": 1,
        "rows": 2,
        "points": 1160,
        "bytes": parts[1].bytes,
    }


def test_writing_again_gives_the_same_bytes_and_clears_what_does_not_belong(
    salesforce_mapping: Path, batch: Batch, small_updates: Updates, tmp_path: Path
) -> None:
    target = SalesforceFiles(salesforce_mapping)
    target.write(batch, small_updates, tmp_path)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "1-TransactionJournal-002.csv").write_text("left by a writing with a smaller limit\n")
    target.write(batch, small_updates, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


def test_an_object_without_updates_has_no_part(
    salesforce_mapping: Path, batch: Batch, make_updates: Any, tmp_path: Path
) -> None:
    updates = make_updates([], [{"event_key": "member:1"}])
    parts = SalesforceFiles(salesforce_mapping).write(batch, updates, tmp_path)
    assert [part.object for part in parts] == ["LoyaltyMemberCurrency"]


@pytest.mark.parametrize("keys", [["a", "a"], ["b", "a"]])
def test_a_key_twice_or_out_of_order_is_refused_and_no_manifest_appears(
    keys: list[str], salesforce_mapping: Path, batch: Batch, make_updates: Any, tmp_path: Path
) -> None:
    updates = make_updates([{"event_key": key} for key in keys], [])
    with pytest.raises(PermanentError) as caught:
        SalesforceFiles(salesforce_mapping).write(batch, updates, tmp_path)
    assert caught.value.code is Code.MASS_BALANCE
    assert not (tmp_path / "manifest.json").exists()


def test_a_status_without_a_code_is_refused_and_the_folder_stays_incomplete(
    salesforce_mapping: Path, batch: Batch, small_updates: Updates, make_updates: Any, tmp_path: Path
) -> None:
    target = SalesforceFiles(salesforce_mapping)
    target.write(batch, small_updates, tmp_path)
    with pytest.raises(PermanentError, match="1 values of status without a code") as caught:
        target.write(batch, make_updates([{"event_key": "k", "status": "vanished"}], []), tmp_path)
    assert caught.value.code is Code.RULES_INVALID
    assert not (tmp_path / "manifest.json").exists()


def test_other_columns_than_declared_are_refused(
    salesforce_mapping: Path, batch: Batch, small_updates: Updates, tmp_path: Path
) -> None:
    wrong = replace(small_updates, redemptions=small_updates.redemptions.drop("reason"))
    with pytest.raises(PermanentError, match="updates redemptions"):
        SalesforceFiles(salesforce_mapping).write(batch, wrong, tmp_path)


def test_a_row_larger_than_a_part_is_refused(
    salesforce_mapping: Path, batch: Batch, make_updates: Any, tmp_path: Path
) -> None:
    updates = make_updates([{"event_key": "a"}, {"event_key": "b", "reason": "x" * 2000}], [])
    with pytest.raises(PermanentError, match="row 2 of a batch"):
        SalesforceFiles(salesforce_mapping, part_bytes_max=1000).write(batch, updates, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_sums_beyond_64_bits_do_not_wrap(
    salesforce_mapping: Path, batch: Batch, make_updates: Any, tmp_path: Path
) -> None:
    huge = 2**63 - 1
    updates = make_updates([], [{"event_key": "a", "balance": huge}, {"event_key": "b", "balance": huge}])
    (part,) = SalesforceFiles(salesforce_mapping).write(batch, updates, tmp_path)
    assert part.points == 2 * huge


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12) | st.sampled_from(
    ["=1+1", "a,b", 'q"q', "two\nlines", "cr\rcr", " spaced ", "Ærø €", "#N/A"]
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reasons=st.lists(st.none() | TEXTS, min_size=1, max_size=40), limit=st.integers(520, 2500))
def test_parts_put_together_are_the_whole(
    reasons: list[str | None],
    limit: int,
    salesforce_mapping: Path,
    batch: Batch,
    make_updates: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    rows = [{"event_key": f"k{n:04d}", "reason": reason, "points": n} for n, reason in enumerate(reasons)]
    updates = make_updates(rows, [])
    whole_folder, split_folder = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("split")
    (whole,) = SalesforceFiles(salesforce_mapping).write(batch, updates, whole_folder)
    parts = SalesforceFiles(salesforce_mapping, part_bytes_max=limit).write(batch, updates, split_folder)

    content = [(split_folder / part.name).read_bytes() for part in parts]
    header = JOURNAL.split("\n", 1)[0].encode() + b"\n"
    assert all(part.startswith(header) and len(part) <= limit for part in content)
    joined = header + b"".join(part.removeprefix(header) for part in content)
    assert joined == (whole_folder / whole.name).read_bytes()
    assert sum(part.rows for part in parts) == len(rows)
    assert sum(part.points for part in parts) == sum(range(len(rows)))
    read = list(csv.DictReader(io.StringIO(joined.decode(), newline="")))
    assert [row["Reason_Code__c"] for row in read] == [reason or "#N/A" for reason in reasons]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("target: salesforce", "target: salesforce\ncolour: red", "colour"),
        ("from: reason,", "from: raison,", "no such column in redemptions: raison"),
        ("{field: Redemption_State__c, from: status}", "{field: Status, from: status}", "a field is filled twice"),
        ("external_id: Ext_Event_Key__c", "external_id: Partner_Code__c", "the external id must be one of the columns"),
        ("from: member}", "from: member, constant: x}", "give either 'from' or 'constant'"),
        ("from: ref}", "from: ref, as: instant}", "'as: instant' needs a date"),
        ("points: points", "points: partner", "must name a column of whole numbers"),
        ("target: salesforce", "target: [", "it is not valid YAML"),
    ],
)
def test_a_faulty_mapping_is_refused_with_its_fault(
    old: str, new: str, says: str, salesforce_mapping: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "salesforce.yaml"
    changed.write_text(salesforce_mapping.read_text().replace(old, new))
    with pytest.raises(PermanentError, match=says) as caught:
        SalesforceFiles(changed)
    assert caught.value.code is Code.RULES_INVALID


def test_the_mapping_bytes_are_those_of_the_file(salesforce_mapping: Path) -> None:
    assert SalesforceFiles(salesforce_mapping).mapping_bytes() == salesforce_mapping.read_bytes()
    with pytest.raises(PermanentError, match="cannot be read"):
        SalesforceFiles(salesforce_mapping / "absent.yaml")


def test_no_state_of_a_redemption_becomes_pending(salesforce_mapping: Path) -> None:
    states = [state.name.lower() for state in TOLD]
    mapped = SalesforceFiles(salesforce_mapping)._mapping.objects[0]
    status = next(column for column in mapped.columns if column.field == "Status")
    assert sorted(status.codes) == sorted(states)
    assert "Pending" not in status.codes.values()
    assert set(pl.Series(list(status.codes.values()))) <= {"Processed", "Cancelled", "Error"}
