"""A night end to end over a local folder: what is posted, held and refused, and what a second night changes."""

import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from counterfoil.errors import Code
from counterfoil.identity import Verdict
from counterfoil.landing.records import OutcomeState
from tests.plugins.homes import MONDAY, Office

TUESDAY = MONDAY + timedelta(days=1)
WEDNESDAY = MONDAY + timedelta(days=2)

BALANCES = (
    "SELECT kind, owner, balance FROM book.account JOIN book.balance USING (account_id) WHERE balance <> 0 ORDER BY ALL"
)
OPEN_BREAKS = "SELECT code, subject FROM book.open_break WHERE code <> 13 ORDER BY ALL"
OPEN_ITEMS = "SELECT side, ref, state, remaining FROM book.open_item ORDER BY ALL"


def produced(home: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(home)): path.read_bytes() for path in sorted((home / "out").rglob("*")) if path.is_file()
    }


def states(night: object) -> dict[str, str]:
    return {delivery.name: outcome.state for delivery, outcome in night.outcomes}  # type: ignore[attr-defined]


def balances(office: Office) -> dict[tuple[str, str | None], int]:
    return {(kind, owner): balance for kind, owner, balance in office.sql(BALANCES).iter_rows()}


def test_a_night_takes_files_to_the_ledger_the_crm_the_journal_and_the_report(office: Office) -> None:
    office.begin()
    office.ask(MONDAY, ("1001", 100), ("1002", 250))
    office.answer(MONDAY, ("1001", 100, "0000"), ("1002", 250, "0001"))
    night = office.run(MONDAY)
    assert not night.failures
    assert not night.refused
    assert balances(office) == {
        ("issued", None): -100_000,
        ("member", "1111111111"): 99_900,
        ("payable", None): 100,
    }
    assert [written.batch.to_n for written in night.batches] == [5], "the close of the day among them"
    assert night.journal is not None
    assert night.report is not None
    assert night.report.page.read_text().startswith("<!DOCTYPE html>")


def test_a_second_night_posts_nothing_and_writes_the_same_bytes(office: Office) -> None:
    office.begin()
    office.ask(MONDAY, ("1001", 100))
    office.answer(MONDAY, ("1001", 100, "0000"))
    office.run(MONDAY)
    first, heads = produced(office.home), office.heads()
    again = office.run(MONDAY)
    assert not again.postings
    assert not again.batches
    assert produced(office.home) == first
    assert office.heads() == heads


def test_an_answer_before_its_request_ends_in_the_same_state(new_office: Callable[[str], Office]) -> None:
    def play(office: Office, *, turned: bool) -> Office:
        office.begin()
        office.book_day(MONDAY)
        days = (TUESDAY, WEDNESDAY)
        asked, answered = reversed(days) if turned else days
        for day in days:
            if day == asked:
                office.ask(day, ("1", 100), ("2", 200), ("3", 300), ("4", 400), ("5", 500))
            if day == answered:
                office.answer(day, ("1", 100, "0000"), ("2", 200, "0001"), ("3", 299, "0000"), ("4", 400, "0099"))
            office.book_day(day)
        return office

    plain, turned = play(new_office("plain"), turned=False), play(new_office("turned"), turned=True)
    for query in (BALANCES, OPEN_BREAKS, OPEN_ITEMS):
        assert turned.sql(query).rows() == plain.sql(query).rows(), query


def test_the_same_content_again_has_no_effect_and_under_another_name_is_held(office: Office) -> None:
    office.begin()
    office.ask(MONDAY, ("1", 100))
    office.answer(MONDAY, ("1", 100, "0000"))
    office.book_day(MONDAY)
    heads = office.heads()
    office.answer(MONDAY, ("1", 100, "0000"))
    copy = office.home / "inbox/skybridge/incoming"
    (copy / f"SKYBRIDGE_{TUESDAY:%Y%m%d}.HANDBACK.txt").write_bytes(
        (copy / f"SKYBRIDGE_{MONDAY:%Y%m%d}.HANDBACK.txt").read_bytes()
    )
    night = office.run(MONDAY)
    verdicts = {delivery.name: delivery.verdict for delivery in night.delivered}
    assert verdicts == {
        "SKYBRIDGE_20261116.HANDBACK.txt": Verdict.REPLAY,
        "SKYBRIDGE_20261117.HANDBACK.txt": Verdict.RENAMED_REPLAY,
    }
    assert office.heads() == heads
    assert night.exit_status == 1


def test_a_correction_is_held_and_changes_nothing(office: Office) -> None:
    office.begin()
    office.ask(MONDAY, ("1", 100))
    office.answer(MONDAY, ("1", 100, "0000"))
    office.book_day(MONDAY)
    heads = office.heads()
    office.answer(MONDAY, ("1", 100, "0001"))
    night = office.run(MONDAY)
    (correction,) = night.delivered
    assert (correction.verdict, correction.code) == (Verdict.CORRECTION, Code.CORRECTION_HELD)
    assert office.heads() == heads


def test_two_empty_days_are_two_new_files(office: Office) -> None:
    office.begin()
    for day in (MONDAY, TUESDAY):
        office.answer(day)
        night = office.run(day)
        assert states(night)[f"SKYBRIDGE_{day:%Y%m%d}.HANDBACK.txt"] == OutcomeState.POSTED
    closed = "SELECT day, status FROM book.closed_day WHERE feed = 'skybridge_handback' ORDER BY day"
    assert office.sql(closed).rows() == [(MONDAY, "empty"), (TUESDAY, "empty")]


def test_a_file_nobody_claims_is_kept_and_named(office: Office) -> None:
    office.begin()
    office.put("skybridge/incoming/readme.txt", "hello")
    night = office.run(MONDAY)
    (stray,) = (delivery for delivery in night.delivered if delivery.feed is None)
    assert (stray.verdict, stray.code) == (Verdict.HELD, Code.FILE_UNCLAIMED)
    assert night.exit_status == 1
    assert (office.home / "inbox/skybridge/incoming/readme.txt").exists()


def test_a_file_is_taken_once_a_layout_claims_it(
    office: Office, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shutil.copytree(root / "data", tmp_path / "data", ignore=shutil.ignore_patterns("contracts"))
    monkeypatch.setenv("COUNTERFOIL_DATA", str(data))
    away = (data / "partners/skybridge/skybridge_handback").rename(tmp_path / "away")
    office.begin()
    office.ask(MONDAY, ("1", 100))
    office.answer(MONDAY, ("1", 100, "0000"))
    office.run(MONDAY)
    office.run(MONDAY)
    away.rename(data / "partners/skybridge/skybridge_handback")
    (taken,) = office.run(MONDAY).delivered
    assert (taken.feed, taken.verdict) == ("skybridge_handback", Verdict.NEW)
    assert office.run(MONDAY).delivered == []
    assert office.sql("SELECT confirmed FROM book.settled_key").rows() == [(100,)]


def test_overdue_requests_and_missing_files_open_breaks_when_days_close(office: Office) -> None:
    office.begin()
    office.ask(MONDAY, ("1", 100))
    for number in range(5):
        office.book_day(MONDAY + timedelta(days=number))
    assert office.sql(OPEN_BREAKS).rows() == [(2, "1")]
    office.answer(MONDAY + timedelta(days=5), ("1", 100, "0000"))
    office.book_day(MONDAY + timedelta(days=5))
    assert office.sql(OPEN_BREAKS).rows() == []
    steps = "SELECT event, on_day FROM book.break_event WHERE code = 2 ORDER BY event"
    assert office.sql(steps).rows() == [(1, date(2026, 11, 20)), (9, date(2026, 11, 21))]


def test_no_file_is_missing_from_before_its_feed_began(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shutil.copytree(office.settings().data, tmp_path / "data")
    layout = data / "partners/skybridge/skybridge_handback/layout.yaml"
    layout.write_text(layout.read_text().replace("effective_from: 2020-01-01", f"effective_from: {WEDNESDAY}"))
    monkeypatch.setenv("COUNTERFOIL_DATA", str(data))
    office.begin()
    office.book_day(WEDNESDAY)
    closed = "SELECT day, status FROM book.closed_day WHERE feed = 'skybridge_handback' ORDER BY day"
    assert office.sql(closed).rows() == [(MONDAY, "not_due"), (TUESDAY, "not_due"), (WEDNESDAY, "missing")]
    missing = "SELECT subject FROM book.open_break WHERE code = 13 AND subject LIKE 'skybridge_handback%'"
    assert office.sql(missing).rows() == [(f"skybridge_handback:{WEDNESDAY}",)]


def test_a_request_beyond_the_balance_posts_nothing_and_opens_b16(office: Office) -> None:
    office.begin(balances=[("1111111111", 150)])
    office.ask(MONDAY, ("1", 100), ("2", 100))
    office.book_day(MONDAY)
    assert balances(office)["member", "1111111111"] == 50
    assert office.sql(OPEN_BREAKS).rows() == [(16, "2")]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", Code.FILE_EMPTY),
        (b"something,else\n1,2\n", Code.HEADER_MISSING),
    ],
)
def test_a_file_that_cannot_be_read_at_all_posts_nothing(office: Office, content: bytes, code: Code) -> None:
    office.begin()
    office.put("skybridge/incoming/SKYBRIDGE_20261116.HANDBACK.txt", content)
    night = office.run(MONDAY)
    (bad,) = (delivery for delivery in night.delivered if delivery.name.endswith("HANDBACK.txt"))
    assert bad.code == code
    assert night.exit_status == 1
    assert office.sql("SELECT count(*) FROM book.posting WHERE feed = 'skybridge_handback'").item() == 0


def test_one_failing_feed_stops_no_other(office: Office) -> None:
    office.begin()
    office.ask(MONDAY, ("1", 100))
    rows = [(str(number), 100, "7777") for number in range(50)]
    office.answer(MONDAY, *rows)
    night = office.run(MONDAY)
    assert [(outcome.state, outcome.code) for _, outcome in night.refused] == [
        (OutcomeState.HELD, Code.REJECT_RATE_HIGH)
    ]
    assert states(night)["SKYBRIDGE_20261116.txt"] == OutcomeState.POSTED
    assert night.report is not None
