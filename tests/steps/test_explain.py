"""The whole story over a real home: lines as sent, what people decided and took back, what a correction changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest

from counterfoil.ledger.known import known, moment
from counterfoil.ledger.story import Story
from counterfoil.steps.decide import decide
from counterfoil.steps.desk import Desk
from counterfoil.steps.explain import explain, explain_breaks
from tests.plugins.homes import MONDAY, Office

CORRECTED = date(2026, 12, 1)
"""From this day on, Skybridge's layouts let a correction post by its difference."""

FEEDS = ["skybridge_requests", "skybridge_handback"]


def told(office: Office, subject: str, partner: str | None = None) -> Story:
    with office.desk() as desk, desk.book.reading() as book:
        return explain(desk, book, subject, partner)


@contextmanager
def later(office: Office) -> Iterator[Desk]:
    office.now += timedelta(minutes=1)
    with office.desk() as desk:
        yield desk


def break_of(office: Office, subject: str) -> str:
    return str(office.sql(f"SELECT break_id FROM book.break WHERE subject = '{subject}'").item())


@pytest.fixture(scope="module")
def posted(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """A request that was answered with fewer points; to be copied, not changed."""
    office = Office(tmp_path_factory.mktemp("explain") / "home")
    office.begin()
    office.ask(MONDAY, ("R-100001", 400), ("R-100002", 70))
    office.answer(MONDAY, ("R-100001", 350, "0000"), ("R-100002", 70, "0000"))
    office.run(MONDAY, feeds=FEEDS)
    return office


@pytest.fixture
def disputed(posted: Office, tmp_path: Path) -> Office:
    return posted.copied(tmp_path / "disputed")


def test_each_record_bears_its_line_masked(disputed: Office) -> None:
    records = told(disputed, "R-100001").records
    assert [record.raw for record in records] == [
        "1,·······111,···,····ple,·026-11-16,400,R-···001,··nk1",
        "·026-11-16,350,R-···001,·000",
    ]


@pytest.mark.parametrize("left", [None, b"", b"another header\n"])
def test_lines_that_are_gone_or_damaged_are_left_out(disputed: Office, left: bytes | None) -> None:
    sha = told(disputed, "R-100001").records[0].payload_sha
    with disputed.desk() as desk:
        payload = desk.landing.path(sha)
    payload.unlink()
    if left is not None:
        payload.write_bytes(left)
    assert [record.raw is None for record in told(disputed, "R-100001").records] == [True, False]


def test_a_decision_is_told_with_who_and_why_and_what_undid_it(disputed: Office) -> None:
    break_id = break_of(disputed, "R-100001")
    with later(disputed) as desk:
        decide(desk, action="take", subject=break_id, points=350, reason="Agreed by mail")
    taken = told(disputed, "R-100001")
    (decision,) = taken.decisions
    assert (decision.action, decision.reason, decision.points, decision.undone_by) == (
        "take", "Agreed by mail", 350, None,
    )  # fmt: skip
    assert decision.sender.startswith("os:")
    (differs,) = taken.breaks
    assert (differs.state, differs.life[-1].event, differs.life[-1].decision) == (
        "cleared",
        "cleared",
        decision.decision,
    )
    with later(disputed) as desk:
        decide(desk, action="undo", subject=decision.decision, points=350, reason="Wrong break")
    undone = told(disputed, "R-100001")
    assert [(one.action, one.undone_by) for one in undone.decisions] == [
        ("take", undone.decisions[1].decision),
        ("undo", None),
    ]
    (again,) = undone.breaks
    assert (again.state, [step.event for step in again.life]) == ("open", ["opened", "cleared", "reopened"])
    assert again.life[-1].decision == undone.decisions[1].decision
    transfers = {transfer.event: transfer for record in undone.records for transfer in record.transfers}
    assert transfers["taken"].undone_by == undone.decisions[1].decision
    assert transfers["undone"].undoes == decision.decision
    assert {sum(leg.points for leg in transfer.legs) for transfer in transfers.values()} == {0}


def test_a_story_knows_nothing_of_what_came_later(disputed: Office) -> None:
    break_id = break_of(disputed, "R-100001")
    with later(disputed) as desk, desk.book.reading() as book:
        then = moment(book, None)
        before = explain_breaks(desk, book, known(book, MONDAY, then.n), then, [break_id])
    with later(disputed) as desk:
        decide(desk, action="take", subject=break_id, points=350, reason="Agreed by mail")
    with later(disputed) as desk, desk.book.reading() as book:
        assert explain_breaks(desk, book, known(book, MONDAY, then.n), then, [break_id]) == before
    assert told(disputed, break_id) != before[0]


def test_a_break_is_explained_by_its_id_and_only_at_its_partner(disputed: Office) -> None:
    break_id = break_of(disputed, "R-100001")
    story = told(disputed, break_id, "skybridge")
    assert (story.break_id, story.ref, len(story.records)) == (break_id, "R-100001", 2)
    assert story.batches
    with pytest.raises(Exception, match="NOTHING_FOUND"):
        told(disputed, break_id, "northstar")


def test_a_correction_is_told_with_what_it_took_back(office: Office) -> None:
    office.begin()
    office.ask(CORRECTED, ("R1", 100), ("R2", 200))
    office.answer(CORRECTED, ("R1", 100, "0000"), ("R2", 200, "0000"))
    office.run(CORRECTED, feeds=FEEDS)
    office.now += timedelta(hours=1)
    office.answer(CORRECTED, ("R1", 100, "0001"))
    office.run(CORRECTED, feeds=FEEDS)
    changed = told(office, "R1")
    assert [(record.event, record.correction) for record in changed.records] == [
        ("request", False),
        ("accepted", False),
        ("rejected", True),
    ]
    accepted, rejected = changed.records[1:]
    assert [transfer.undone_by for transfer in accepted.transfers] == [f"{rejected.posting}:{rejected.line}"]
    assert [(transfer.event, transfer.undoes) for transfer in rejected.transfers] == [
        ("rejected", None),
        ("undone", f"{accepted.posting}:{accepted.line}"),
    ]
    gone = told(office, "R2").records[-1]
    assert (gone.line, gone.event, gone.raw, gone.disposition) == (None, "undone", None, None)
    assert [transfer.undoes for transfer in gone.transfers] == ["4:3"]
