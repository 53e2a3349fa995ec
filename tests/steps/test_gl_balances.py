"""Extracts of the general ledger as finance drops them: what ties, what breaks, what clears and what is refused."""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from counterfoil.errors import Code
from counterfoil.landing.records import JOURNALS, Journal
from counterfoil.ledger.journal import journal
from counterfoil.ledger.known import known
from counterfoil.ledger.open_breaks import open_breaks
from counterfoil.ledger.tables import BOOK_SCHEMA
from counterfoil.ledger.tie_outs import tie_out
from counterfoil.steps.audit import audit
from counterfoil.steps.desk import Desk
from counterfoil.steps.explain import explain, of_gl
from counterfoil.steps.publish import publish_journal
from counterfoil.steps.replay import replay
from tests.plugins.general_ledger import Gl, Row
from tests.plugins.homes import MONDAY, Office, every_row, skybridge_requests
from tests.plugins.stores import OldStore

DECISIONS_HEADER = "action,subject,ref,points,reason,decided_at,owner,until\n"
TUESDAY, WEDNESDAY, THURSDAY = (MONDAY + timedelta(days=number) for number in (1, 2, 3))


def night(office: Office, day: date) -> None:
    """The night of a day as far as its journal."""
    office.book_day(day)
    with office.desk() as desk:
        publish_journal(desk, day)


@pytest.fixture(scope="module")
def two_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of two closed days, each with its journal; a request that counts for Monday came on Tuesday."""
    office = Office(tmp_path_factory.mktemp("two-days") / "home")
    office.begin()
    office.ask(MONDAY, ("R1", 1000), ("R2", 2500), ("R3", 300))
    office.answer(MONDAY, ("R1", 1000, "0000"))
    night(office, MONDAY)
    office.put(f"skybridge/outgoing/SKYBRIDGE_{TUESDAY:%Y%m%d}.txt", skybridge_requests(MONDAY, [("R4", 700)]))
    office.answer(TUESDAY, ("R2", 2500, "0000"), ("R3", 300, "0001"))
    night(office, TUESDAY)
    return office.home


@pytest.fixture
def gl(two_days: Path, office: Office) -> Gl:
    """The general ledger beside a copy of that home; it has posted nothing yet."""
    shutil.copytree(two_days, office.home)
    office.now = datetime(2026, 11, 18, 6, 30, tzinfo=UTC)
    return Gl(office)


def journal_of(desk: Desk, one: Journal) -> pl.DataFrame:
    """The lines of a journal: account, currency, day, minor."""
    named = desk.settings
    with desk.book.reading() as book:
        made = journal(
            book,
            one.from_n,
            one.to_n,
            chart=desk.rulebook.chart,
            programme=named.programme,
            entity=named.entity,
            unit=named.unit,
            currency=named.currency,
            journal_id=one.journal_id,
        )
    return made.select("account", "currency", "accounting_date", pl.col("credit_minor") - pl.col("debit_minor"))


def statements(office: Office, as_of: date = THURSDAY) -> dict[str, dict[str, object]]:
    with office.desk() as desk, desk.book.reading() as book:
        found = tie_out(book, desk.rulebook.chart, counts=lambda _: "true", as_of=as_of, currency="EUR")
    return {row["account"]: row for row in found.to_dicts()}


def standing(office: Office, day: date) -> list[tuple[str, str]]:
    with office.desk() as desk, desk.book.reading() as book:
        found = open_breaks(book, known(book, day)).filter(pl.col("code") == "B15")
    return found.select("break_id", "their_ref").rows()


def causes(office: Office) -> list[tuple[str, str]]:
    with office.desk() as desk, desk.book.reading() as book:
        return of_gl(desk, book, known(book, date.max)).sort("change").select("cause", "change").rows()


def opened(office: Office) -> list[tuple[str, bool]]:
    """Every B15 there was: what it is about, and whether it is open."""
    return office.sql(
        """SELECT b.subject, o.break_id IS NOT NULL FROM book.break b
           LEFT JOIN book.open_break o ON o.break_id = b.break_id WHERE b.code = 15 ORDER BY b.file_id, b.line_no"""
    ).rows()


def refusal_of(office: Office) -> str:
    """The message of the one extract."""
    with office.desk() as desk:
        (one,) = [known for known in desk.index.deliveries() if known.feed == "gl_balances"]
        return desk.index.latest_outcomes([one.order])[one.order].message or ""


@pytest.mark.parametrize("posted", [0, 1, 2])
def test_every_account_ties_whatever_is_posted_and_nothing_moves(office: Office, gl: Gl, posted: int) -> None:
    names = gl.journals()
    gl.receive(*names[:posted])
    gl.post_by_hand("2410", "GL-1", -77)
    before = every_row(office.home / "book.duckdb")["balance"]
    gl.drop(TUESDAY, names[posted - 1] if posted else "", on=WEDNESDAY)
    office.book_day(WEDNESDAY)
    told = statements(office)
    by_hand = {"2410": -77}
    states = {account: row["state"] for account, row in told.items()}
    # What no journal has touched yet is in no extract of that general ledger.
    assert states == {account: "tied" if account in gl.balances(TUESDAY) else "not stated" for account in states}
    assert all(row["by_hand_minor"] == by_hand.get(account, 0) for account, row in told.items() if row["as_of"])
    not_posted = {account: row["not_posted_minor"] for account, row in told.items() if row["as_of"]}
    assert any(not_posted.values()) == (posted < 2)
    assert every_row(office.home / "book.duckdb")["balance"] == before
    assert opened(office) == []


def test_what_came_after_the_cut_off_is_told_apart(office: Office, gl: Gl) -> None:
    """R4 came on Tuesday and counts for Monday: the journal that the GL has posted for Monday does not hold it."""
    first, second = gl.journals()
    names = ("per_gl", "not_posted", "per_ledger", "after_cut_off", "unexplained")
    gl.receive(first)
    gl.drop(MONDAY, first, on=WEDNESDAY)
    office.book_day(WEDNESDAY)
    clearing = statements(office)["2450"]
    assert [clearing[f"{name}_minor"] for name in names] == [1400, 0, 1750, -350, 0]
    gl.receive(second)
    gl.drop(MONDAY, second, on=THURSDAY)
    office.book_day(THURSDAY)
    clearing = statements(office)["2450"]
    assert [clearing[f"{name}_minor"] for name in names] == [1750, 0, 1750, 0, 0]


def test_a_difference_goes_on_until_an_extract_ties(office: Office, gl: Gl) -> None:
    first, second = gl.journals()
    gl.receive(first, second)
    gl.drop(TUESDAY, second, on=WEDNESDAY, off={"2410": 123_456})
    office.book_day(WEDNESDAY)
    (one,) = standing(office, WEDNESDAY)
    assert one[1] == "2410:EUR:2026-11-17"
    with office.desk() as desk, desk.book.reading() as book:
        listed = open_breaks(book, known(book, WEDNESDAY)).filter(pl.col("code") == "B15").to_dicts()[0]
    assert (listed["partner"], listed["owner"], listed["severity"]) == ("programme", "finance", "critical")
    assert (listed["points_ours"], listed["points_theirs"]) == (None, None)
    gl.drop(WEDNESDAY, second, on=THURSDAY, off={"2410": 123_456})
    office.book_day(THURSDAY)
    assert standing(office, THURSDAY) == [one]
    friday, monday = THURSDAY + timedelta(days=1), THURSDAY + timedelta(days=4)
    gl.drop(THURSDAY, second, on=friday, off={"2410": 9})
    office.book_day(friday)
    assert [about for _, about in standing(office, friday)] == ["2410:EUR:2026-11-17", "2410:EUR:2026-11-19"]
    gl.drop(WEDNESDAY, second, on=monday)
    office.book_day(monday)
    assert [about for _, about in standing(office, monday)] == ["2410:EUR:2026-11-19"]
    gl.drop(friday, second, on=monday + timedelta(days=1))
    office.book_day(monday + timedelta(days=1))
    assert standing(office, monday + timedelta(days=1)) == []
    assert standing(office, WEDNESDAY) == [one]


def test_the_same_day_extracted_again_takes_the_place_of_the_first(office: Office, gl: Gl) -> None:
    first, second = gl.journals()
    gl.receive(first, second)
    for off in (5, 7):
        gl.drop(TUESDAY, second, on=WEDNESDAY, off={"2420": off})
        office.book_day(WEDNESDAY)
    assert opened(office) == [("2420:EUR:2026-11-17", False), ("2420:EUR:2026-11-17", True)]


@pytest.mark.parametrize(
    ("posts", "last", "expected", "words"),
    [
        ([1], 1, "journal_missing", "not in the general ledger"),
        ([0, 0, 1], 1, "journal_twice", "twice"),
        ([0, 1], 0, "journal_early", "does not name it"),
    ],
)
def test_the_journal_that_is_the_difference_is_named(
    office: Office, gl: Gl, posts: list[int], last: int, expected: str, words: str
) -> None:
    names = gl.journals()
    gl.receive(*(names[number] for number in posts))
    gl.drop(TUESDAY, names[last], on=WEDNESDAY)
    office.book_day(WEDNESDAY)
    found = causes(office)
    assert {cause for cause, _ in found} == {expected}
    wrong = names[1] if expected == "journal_early" else names[0]
    assert all(wrong in change and words in change for _, change in found)
    assert len(found) == len(opened(office)) > 3


def test_accounts_and_currencies_that_we_do_not_journal(office: Office, gl: Gl) -> None:
    gl.receive(*gl.journals())
    more: list[Row] = [("balance", "9999", "EUR", 12, "", ""), ("balance", "2410", "USD", -7, "", "")]
    gl.drop(TUESDAY, gl.journals()[-1], on=WEDNESDAY, more=more)
    office.book_day(WEDNESDAY)
    assert [about for about, _ in opened(office)] == ["9999:EUR:2026-11-17", "2410:USD:2026-11-17"]
    assert [cause for cause, _ in causes(office)] == ["not_journalled", "not_journalled"]
    assert statements(office)["9999"]["name"] is None


REFUSED: dict[str, tuple[list[Row], str]] = {
    "nothing": ([], "no balance"),
    "an account twice": (
        [("balance", "2410", "EUR", 1, "", ""), ("balance", "2410", "EUR", 1, "", "")],
        "stated twice",
    ),
    "a reference twice": (
        [("balance", "2410", "EUR", 1, "", ""), *2 * [("by_hand", "2410", "EUR", 1, "", "GL-1")]],
        "stated twice",
    ),
    "an entry alone": (
        [("balance", "2410", "EUR", 1, "", ""), ("by_hand", "2410", "USD", 1, "", "GL-1")],
        "without a balance",
    ),
    "a journal to come": ([("balance", "2410", "EUR", 1, "CFE100000099", "")], "not made"),
    "another entity": ([("balance", "2410", "EUR", 1, "CFE200000001", "")], "not made"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_extract_that_is_not_whole_is_refused_whole(office: Office, gl: Gl, case: str) -> None:
    rows, words = REFUSED[case]
    last = office.heads()[0]
    gl.put(rows, TUESDAY, WEDNESDAY)
    office.book_day(TUESDAY)
    office.book_day(WEDNESDAY)
    assert refusal_of(office).startswith("ENVELOPE_INVALID gl_balances v1")
    assert words in refusal_of(office)
    assert office.sql("SELECT count(*) FROM book.gl_statement").rows() == [(0,)]
    assert office.heads()[0] == last + 1  # the close of the day


def test_two_days_in_one_extract_are_refused(office: Office, gl: Gl) -> None:
    gl.put([("balance", "2410", "EUR", 1, "", "")], MONDAY, WEDNESDAY)
    (file,) = (office.home / "inbox" / "gl_balances").iterdir()
    file.write_text(file.read_text() + f"{TUESDAY},2420,EUR,balance,1,,\n")
    office.book_day(WEDNESDAY)
    assert "line 3" in refusal_of(office)
    assert "another day than the rows before" in refusal_of(office)


def test_a_day_that_has_not_come_and_an_extract_of_long_ago(office: Office, gl: Gl) -> None:
    gl.put([("balance", "2410", "EUR", 1, "", "")], date(2027, 1, 1), WEDNESDAY)
    office.book_day(WEDNESDAY)
    assert "a day that has not come" in refusal_of(office)
    gl.put([("balance", "2410", "EUR", 1, "", "")], MONDAY, date(2026, 10, 1))
    office.book_day(THURSDAY)
    with office.desk() as desk:
        last = desk.index.deliveries()[-2]
    assert last.code == Code.BUSINESS_DATE_FAR


def test_audit_replay_and_story_hold_for_an_extract(office: Office, gl: Gl, tmp_path: Path) -> None:
    first, second = gl.journals()
    gl.receive(first, second)
    gl.post_by_hand("2420", "GL-1", 5)
    gl.drop(TUESDAY, second, on=WEDNESDAY, off={"2410": 300})
    office.book_day(WEDNESDAY)
    assert audit(office.proof_desk()).proved
    made = replay(office.proof_desk(), tmp_path / "again")
    assert made.difference is None
    assert every_row(tmp_path / "again" / "book.duckdb") == every_row(office.home / "book.duckdb")
    ((break_id, _),) = standing(office, WEDNESDAY)
    with office.desk() as desk, desk.book.reading() as book:
        story = explain(desk, book, break_id, None)
    (told,) = story.breaks
    assert told.tie_out is not None
    assert (told.tie_out.account, told.tie_out.unexplained) == ("2410", 300)
    assert story.records[0].event == "gl_stated"
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{office.home / 'book.duckdb'}' AS book")
        connection.execute("UPDATE book.gl_statement SET per_gl = per_gl - 300 WHERE account = '2410'")
    named = [(finding.check, finding.table, finding.line) for finding in audit(office.proof_desk()).findings]
    assert ("row", "gl_statement", 2) in named
    assert ("gl_statement", "break", 2) in named


def test_a_person_can_close_a_difference_with_a_reason(office: Office, gl: Gl) -> None:
    gl.receive(*gl.journals())
    gl.drop(TUESDAY, gl.journals()[-1], on=WEDNESDAY, off={"2420": 1})
    office.book_day(WEDNESDAY)
    ((break_id, _),) = standing(office, WEDNESDAY)
    decision = f"resolve,{break_id},,0,a cent that the year-end takes,{WEDNESDAY}T10:00:00Z,,\n"
    office.put("decisions/decisions_20261119_a.csv", DECISIONS_HEADER + decision)
    office.book_day(THURSDAY)
    assert opened(office) == [("2420:EUR:2026-11-17", False)]


def test_beyond_what_one_person_may_decide_a_second_one_must_approve_it(office: Office, gl: Gl) -> None:
    (office.home / "counterfoil.yaml").write_text(f"start_date: {MONDAY}\napproval_minor: 99\n")
    gl.receive(*gl.journals())
    gl.drop(TUESDAY, gl.journals()[-1], on=WEDNESDAY, off={"2420": 100})
    office.book_day(WEDNESDAY)
    ((break_id, _),) = standing(office, WEDNESDAY)
    decision = f"resolve,{break_id},,0,a euro that the year-end takes,{WEDNESDAY}T10:00:00Z,,\n"
    office.put("decisions/decisions_20261119_a.csv", DECISIONS_HEADER + decision)
    office.book_day(THURSDAY)
    assert opened(office) == [("2420:EUR:2026-11-17", True)]
    with office.desk() as desk:
        (held,) = desk.index.held("decisions")
        outcomes = desk.index.latest_outcomes([held.order])
    assert outcomes[held.order].code == Code.APPROVAL_NEEDED


def test_a_home_of_the_schema_before_goes_on_with_extracts(old_store: OldStore, tmp_path: Path) -> None:
    office = Office(old_store(2).root, now=datetime(2026, 11, 24, 6, 30, tzinfo=UTC))
    before = replay(office.proof_desk(), tmp_path / "before")
    assert (before.difference, before.compared) == (None, 20)
    gl = Gl(office)
    with office.desk() as desk:
        for one in desk.index.journals(JOURNALS):
            lines = journal_of(desk, one)
            gl.lines += lines.rows()
    gl.drop(date(2026, 11, 23), gl.journals()[-1], on=date(2026, 11, 24), off={"2450": -3})
    office.book_day(date(2026, 11, 24))
    assert opened(office) == [("2450:EUR:2026-11-23", True)]
    assert {row["unexplained_minor"] for row in statements(office, date(2026, 11, 24)).values()} == {0, -3}
    assert audit(office.proof_desk()).proved
    schemas = office.sql("SELECT book_schema, count(*) FROM book.posting GROUP BY 1 ORDER BY 1").rows()
    assert schemas == [(2, 20), (BOOK_SCHEMA, 2)]
    again = replay(office.proof_desk(), tmp_path / "again")
    assert (again.difference, again.compared) == (None, 22)
