"""Expiry and merges in whole nights: files in, days closed, reports made, and the book proved afterwards."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from counterfoil.errors import UsageError
from counterfoil.steps.audit import audit
from counterfoil.steps.replay import replay
from pipelines.commands.app import app
from tests.plugins.homes import MONDAY, Office

TUESDAY, WEDNESDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)
ADA, BOB = "1111111111", "2222222222"
OPENING = "entry,account,owner,partner,ref,points,value_date,expires\n"


def begin(office: Office) -> None:
    """Ada's points expire on Tuesday but for a hundred, Bob's never."""
    rows = [(ADA, 900, TUESDAY), (ADA, 100, ""), (BOB, 50, "")]
    lines = "".join(f"balance,member,{who},skybridge,,{points},{MONDAY},{last}\n" for who, points, last in rows)
    office.begin()
    office.put(f"opening/opening_{MONDAY:%Y%m%d}.csv", OPENING + lines)


def member_balances(office: Office) -> dict[str, int]:
    rows = office.sql(
        """SELECT coalesce(owner, kind), balance FROM book.balance JOIN book.account USING (account_id)
           WHERE kind IN ('member', 'breakage') AND balance <> 0 ORDER BY ALL"""
    ).rows()
    return dict(rows)


def test_points_expire_by_the_close_of_their_day_and_members_merge(office: Office, tmp_path: Path) -> None:
    begin(office)
    office.ask(MONDAY, ("A1", 100), ("A2", 500), ("A3", 350))
    office.book_day(MONDAY)
    office.answer(TUESDAY, ("A1", 100, "0001"), ("A2", 500, "0000"))
    office.book_day(TUESDAY)
    assert member_balances(office) == {ADA: 50, BOB: 50, "breakage": 100}
    merge = f"partner,member,survivor,value_date\nskybridge,{ADA},{BOB},{WEDNESDAY}\n"
    office.put(f"members/members_{WEDNESDAY:%Y%m%d}.csv", merge)
    office.answer(WEDNESDAY, ("A3", 350, "0001"))
    night = office.run(WEDNESDAY)
    assert (night.failures, night.report is not None) == ([], True)
    assert member_balances(office) == {BOB: 450, "breakage": 100}
    lots = office.sql("SELECT remaining, expires FROM book.open_lot").rows()
    assert lots == [(300, WEDNESDAY + timedelta(days=30))], "what expired lives on for the grace"
    assert list(audit(office.proof_desk()).findings) == []
    assert replay(office.proof_desk(), tmp_path / "again").difference is None


def test_the_first_version_of_the_opening_still_reads(office: Office) -> None:
    office.begin([(ADA, 70)])
    office.book_day(MONDAY)
    assert member_balances(office) == {ADA: 70}
    assert office.sql("SELECT * FROM book.lot").is_empty()


def test_the_command_shows_what_expires_and_takes_no_other_day(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(office)
    office.book_day(MONDAY)
    monkeypatch.setenv("COUNTERFOIL_NOW", f"{TUESDAY}T08:00:00Z")
    asked = ["balances", "--by-expiry", "--members", "--home", str(office.home), "--format", "json"]
    answered = CliRunner().invoke(app, asked)
    assert [(row["owner"], row["expires"], row["points"]) for row in json.loads(answered.stdout)] == [
        ("···111", "≤ 30 days", 900),
        ("···111", "never", 100),
        ("···222", "never", 50),
    ]
    refused = CliRunner().invoke(app, [*asked, "--as-of", str(MONDAY)])
    assert isinstance(refused.exception, UsageError)
