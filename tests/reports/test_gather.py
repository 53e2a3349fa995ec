"""Two real nights and what their reports are made from: every sum ties, and a closed day keeps its facts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from counterfoil import journey
from counterfoil.errors import CounterfoilError
from counterfoil.landing.outputs import Event
from counterfoil.ledger.known import moment
from counterfoil.ledger.lookups import Lookups
from counterfoil.reports.facts import COVER, SCHEMAS, ReportFacts
from counterfoil.reports.gather import gather
from counterfoil.reports.ties import self_check
from counterfoil.reports.verdict import judge
from counterfoil.steps.desk import Desk
from tests.plugins.homes import HANDBACK_HEADER, MONDAY, Office, skybridge_handback

TUESDAY, WEDNESDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)
HANDBACK = "skybridge/incoming/SKYBRIDGE_{:%Y%m%d}.HANDBACK.txt"


def facts_of(desk: Desk, day: date) -> ReportFacts:
    with desk.book.reading() as book:
        return gathered(desk, book, day)


def gathered(desk: Desk, book: Lookups, day: date, **changes: Any) -> ReportFacts:
    given: dict[str, Any] = {"moment": moment(book, None), "version": 1, "restated": False}
    return gather(
        book,
        desk.index,
        settings=desk.settings,
        feeds=desk.feeds(),
        chart=desk.rulebook.chart,
        day=day,
        **given | changes,
    )


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office(tmp_path_factory.mktemp("office") / "home")


@pytest.fixture(scope="module")
def first_told(office: Office) -> dict[date, ReportFacts]:
    """The facts of each day as they were when it had just closed.

    Monday: four requests, two answered. Tuesday: one more request, later answers, a bad row, strange files.
    """
    told = {}
    office.begin()
    office.ask(MONDAY, ("1001", 100), ("1002", 250), ("1003", 300), ("1004", 400))
    answers = skybridge_handback(MONDAY, [("1001", 100, "0000"), ("1002", 250, "0001")])
    office.put(HANDBACK.format(MONDAY), answers)
    office.run(MONDAY)
    with office.desk() as desk:
        told[MONDAY] = facts_of(desk, MONDAY)
    office.ask(TUESDAY, ("2001", 50))
    office.put(HANDBACK.format(WEDNESDAY), answers)
    office.put("skybridge/incoming/README.txt", "nobody claims this\n")
    rows = ["300,1003,0000", "401,1004,0000", "70,1006,9999", "900,7777,0000"]
    office.put(HANDBACK.format(TUESDAY), HANDBACK_HEADER + "".join(f"{TUESDAY},{row}\n" for row in rows))
    office.run(TUESDAY)
    with office.desk() as desk:
        told[TUESDAY] = facts_of(desk, TUESDAY)
    return told


@pytest.fixture
def desk(office: Office, first_told: dict[date, ReportFacts]) -> Iterator[Desk]:
    with office.desk() as opened:
        yield opened


@contextmanager
def away(path: Path) -> Iterator[None]:
    """While this lasts the file is not there."""
    hidden = path.rename(path.with_suffix(".hidden"))
    try:
        yield
    finally:
        hidden.rename(path)


def same(left: ReportFacts, right: ReportFacts) -> list[str]:
    """Names of the tables that differ."""
    return [name for name in SCHEMAS if not left.table(name).equals(right.table(name))]


@pytest.mark.parametrize("day", [MONDAY, TUESDAY])
def test_every_sum_of_a_day_ties(first_told: dict[date, ReportFacts], day: date) -> None:
    facts = first_told[day]
    assert self_check(facts) == []
    assert judge(facts).state != "fail", judge(facts).reasons
    assert not facts.stage2.is_empty()


def test_a_closed_day_keeps_its_facts_after_later_postings(desk: Desk, first_told: dict[date, ReportFacts]) -> None:
    again = facts_of(desk, MONDAY)
    assert same(again, first_told[MONDAY]) == []
    assert again.cover["posting"] != first_told[MONDAY].cover["posting"]


def test_the_same_posting_gives_the_same_facts(desk: Desk, first_told: dict[date, ReportFacts]) -> None:
    again = facts_of(desk, TUESDAY)
    assert same(again, first_told[TUESDAY]) == []
    assert again.cover == first_told[TUESDAY].cover


def test_the_cover_names_the_posting_and_the_heads(desk: Desk, first_told: dict[date, ReportFacts]) -> None:
    cover = first_told[TUESDAY].cover
    with desk.book.reading() as book:
        heads = desk.book.heads(book)
    assert set(cover) == set(COVER)
    assert (cover["posting"], cover["content_head"], cover["chain_head"]) == (
        str(heads.n),
        heads.content_head,
        heads.chain_head,
    )
    assert (cover["business_date"], cover["version"], cover["restated"]) == ("2026-11-17", "1", "no")
    assert (cover["cut_off"][:12], cover["closed"]) == ("2026-11-18T0", "yes")
    assert facts_of(desk, WEDNESDAY).cover["closed"] == "no"
    assert cover["data_as_of"] == "2026-11-18T06:05:00.000Z"
    with desk.book.reading() as book:
        later = gathered(desk, book, TUESDAY, version=3, restated=True)
    assert later.cover == cover | {"version": "3", "restated": "yes"}


def test_files_are_listed_with_what_became_of_them(first_told: dict[date, ReportFacts]) -> None:
    files = {row["name"]: row for row in first_told[TUESDAY].files.to_dicts()}
    answers = files[f"SKYBRIDGE_{TUESDAY:%Y%m%d}.HANDBACK.txt"]
    assert (answers["state"], answers["lines"], answers["accepted"], answers["quarantined"]) == ("posted", 5, 3, 1)
    strange = files["README.txt"]
    assert (strange["state"], strange["code"], strange["posting"], strange["lines"]) == (
        "held", "FILE_UNCLAIMED", None, 0,
    )  # fmt: skip
    assert {row["feed"] for row in first_told[MONDAY].files.to_dicts()} == {
        "opening", "rates", "calendar", "skybridge_requests", "skybridge_handback",
    }  # fmt: skip


def test_a_copy_under_another_days_name_is_listed_under_that_day(desk: Desk) -> None:
    files = facts_of(desk, WEDNESDAY).files
    assert files.select("verdict", "state", "code").rows() == [("renamed_replay", "held", "RENAMED_REPLAY_HELD")]


def test_quarantined_rows_have_their_codes_in_words(first_told: dict[date, ReportFacts]) -> None:
    found = first_told[TUESDAY].quarantine
    assert found.select("code", "count").rows() == [("OUTCOME_UNKNOWN", 1)]
    assert found["summary"].to_list() == ["an outcome code is not in the layout"]


def test_members_are_masked_and_breaks_tell_transit_apart(first_told: dict[date, ReportFacts]) -> None:
    listed = first_told[TUESDAY].breaks
    assert set(listed["member"].drop_nulls()) == {"···111"}
    assert dict(listed.group_by("code").len().iter_rows()) == {"B01": 1, "B03": 1, "B04": 1, "B09": 1, "B13": 4}
    assert listed.filter(pl.col("code") == "B01")["our_ref"].to_list() == ["2001"]


def test_journals_and_batches_are_those_that_lie_in_the_home(
    office: Office, first_told: dict[date, ReportFacts]
) -> None:
    facts = first_told[TUESDAY]
    out = office.settings().home.out
    for row in facts.journals.to_dicts():
        assert (out / "gl" / row["target"] / row["journal_id"] / row["file"].split(", ")[0]).is_file()
        assert row["debit_minor"] == row["credit_minor"] > 0
    assert set(facts.journals["target"]) == {path.name for path in (out / "gl").iterdir()}
    for row in facts.downstream.to_dicts():
        assert (out / "crm" / row["target"] / row["batch_id"] / "manifest.json").is_file()
    told = facts.stage2.filter((pl.col("side") == "crm") & (pl.col("in_batch") > 0))
    assert set(facts.downstream["batch_id"]) == set(told["batch"])
    assert facts.downstream.filter(pl.col("object") == "TransactionJournal")["rows"].sum() > 0


def test_a_written_batch_without_its_manifest_is_an_error(
    desk: Desk, office: Office, first_told: dict[date, ReportFacts]
) -> None:
    row = first_told[TUESDAY].downstream.row(0, named=True)
    manifest = office.settings().home.out_crm / row["target"] / row["batch_id"] / "manifest.json"
    with away(manifest), pytest.raises(CounterfoilError, match="SIDECAR_DAMAGED"):
        facts_of(desk, TUESDAY)


def test_a_file_that_landed_and_was_not_settled_is_a_failed_feed(office: Office, desk: Desk) -> None:
    thursday = WEDNESDAY + timedelta(days=1)
    office.ask(thursday, ("3001", 10))
    office.now += timedelta(days=2)
    office.look()
    with office.desk() as later:
        journey.arrive(later, "inbox", patient=False)
        facts = facts_of(later, thursday)
        assert facts.files["state"].to_list() == ["waiting"]
        assert facts.failed_feeds.drop("message").rows() == [("skybridge_requests", "WAITING")]
        assert judge(facts).state == "fail"
        later.index.note_event(
            Event(
                cause="run 1",
                kind="run",
                feed="skybridge_requests",
                day=thursday,
                code="BOOK_BUSY",
                message="another process holds the book",
                at=datetime(2026, 11, 20, tzinfo=UTC),
            )
        )
        assert facts_of(later, thursday).failed_feeds.rows() == [
            ("skybridge_requests", "BOOK_BUSY", "another process holds the book")
        ]


def test_an_empty_book_has_no_report(tmp_path: Path) -> None:
    with Office(tmp_path / "home").desk() as empty, pytest.raises(CounterfoilError, match="NOTHING_FOUND"):
        facts_of(empty, MONDAY)


def test_without_a_rate_there_is_no_money(desk: Desk) -> None:
    foreign = replace(desk, settings=desk.settings.model_copy(update={"currency": "USD"}))
    with foreign.book.reading() as book, pytest.raises(CounterfoilError, match="RATE_MISSING"):
        gathered(foreign, book, MONDAY)
