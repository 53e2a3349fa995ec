"""The journal of a range: its columns, its money to the unit, and that neither batching nor time changes it."""

from collections.abc import Callable
from datetime import date
from typing import Any

import polars as pl
import pytest

from connectors.gl.journal import LENGTHS_MAX, prove_journal
from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed
from counterfoil.ledger.chart import Rulebook
from counterfoil.ledger.journal import LINE_TEXT_MAX
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.store import Book
from counterfoil.ledger.writing import Posted
from counterfoil.money import value_points_int
from counterfoil.protocols import JOURNAL, Updates

MakeJournal = Callable[..., pl.DataFrame]
Told = tuple[Book, dict[tuple[int, int], Updates], dict[tuple[int, int], pl.DataFrame]]
MON, TUE, WED = (date(2026, 11, day) for day in (16, 17, 18))
LAST = 15
NUMBERED = ("journal_id", "journal_line")


@pytest.fixture(scope="module")
def whole(story: Book, make_journal: MakeJournal) -> pl.DataFrame:
    with story.reading() as read:
        return make_journal(read, 0, LAST)


def signed(lines: pl.DataFrame) -> list[tuple[Any, ...]]:
    """Account, partner, day, money (credit positive) and points, line by line."""
    money = pl.col("credit_minor") - pl.col("debit_minor")
    return list(lines.select("account", "partner", "accounting_date", money, "points").iter_rows())


def test_a_journal_is_what_every_target_can_write(whole: pl.DataFrame) -> None:
    assert dict(whole.schema) == JOURNAL
    assert LENGTHS_MAX["line_text"] == LINE_TEXT_MAX
    prove_journal(whole)
    assert whole["journal_line"].to_list() == list(range(1, whole.height + 1))
    assert whole["event_key"].is_unique().all()
    assert whole.select("journal_id", "entity", "programme", "currency").unique().rows() == [
        ("CF101-00000015", "101", "rewards", "EUR")
    ]


def test_a_hand_back_to_the_minor_unit(story: Book, make_journal: MakeJournal) -> None:
    """101 confirmed and 61 rejected at half a cent, 30 unknown; the partner's points cost 0.7 cents."""
    with story.reading() as read:
        lines = make_journal(read, 3, 4)
    assert signed(lines) == [
        ("1990", "p", MON, -21, -30),
        ("2410", "p", MON, 31, 61),
        ("2420", "p", MON, 92, 131),
        ("2450", "p", MON, -81, -162),
        ("7410", "p", MON, -20, 0),
        ("7990", "", MON, -1, 0),
    ]
    assert lines.row(1, named=True) | {"journal_id": "", "journal_line": 0} == {
        "journal_id": "",
        "journal_line": 0,
        "accounting_date": MON,
        "period": "2026-11",
        "entity": "101",
        "ledger": "main",
        "source": "Counterfoil",
        "category": "Redemptions",
        "account": "2410",
        "account_name": "Points liability",
        "cost_center": "",
        "programme": "rewards",
        "partner": "p",
        "currency": "EUR",
        "debit_minor": 0,
        "credit_minor": 31,
        "points": 61,
        "line_text": "Points, posting 4, p_handback",
        "event_key": "4:2410:20261116:programme/p",
    }


def test_a_rate_that_lands_revalues_the_open_points(story: Book, make_journal: MakeJournal) -> None:
    """From 0.50 to 0.55 cents; issued points are spent and keep their old worth."""
    with story.reading() as read:
        lines = make_journal(read, 5, 6)
        owed = dict(balances(read, 5))
    assert set(lines["category"]) == {"Revaluation"}
    money = {account: gain for account, _, day, gain, points in signed(lines) if (day, points) == (TUE, 0)}
    expected = {
        code: value_points_int(owed[kind], 55, 100) - value_points_int(owed[kind], 50, 100)
        for code, kind in (("2410", "member"), ("2450", "in_flight"))
    }
    assert money == expected | {"7420": -sum(expected.values())}


def test_a_late_answer_is_worth_its_day_and_then_revalued(story: Book, make_journal: MakeJournal) -> None:
    """Posting 12 holds an answer of Monday, when a point was worth 0.50 cents here and 0.70 at the partner."""
    with story.reading() as read:
        lines = make_journal(read, 11, 12)
    on_monday = lines.filter(pl.col("accounting_date") == MON)
    assert signed(on_monday.filter(pl.col("points") != 0)) == [
        ("2420", "p", MON, 28, 40),
        ("2450", "p", MON, -20, -40),
    ]
    revalued = lines.filter(pl.col("category") == "Revaluation")
    assert {(row["account"], row["accounting_date"]) for row in revalued.iter_rows(named=True)} >= {
        ("2450", TUE),
        ("2420", WED),
        ("7420", TUE),
        ("7420", WED),
    }


def test_open_points_are_worth_what_the_rate_says(story: Book, whole: pl.DataFrame) -> None:
    """The tie-out: money of each account of what is owed = its points at the newest rate, rounded once."""
    with story.reading() as read:
        points = dict(balances(read, LAST, partner="p"))
    gained = (pl.col("credit_minor") - pl.col("debit_minor")).sum()
    money = dict(whole.filter(pl.col("partner") == "p").group_by("account").agg(gained).iter_rows())
    for kind, account, minor in (
        ("member", "2410", 55),
        ("in_flight", "2450", 55),
        ("payable", "2420", 71),
        ("suspense", "1990", 71),
    ):
        assert money[account] == value_points_int(points[kind], minor, 100), kind


def balances(read: Lookups, upto: int, *, partner: str | None = None) -> list[tuple[str, int]]:
    """Points by kind of account, from the entries."""
    only = f"AND p.partner = '{partner}'" if partner else ""
    return list(
        read.frame(
            f"""SELECT a.kind, CAST(sum(e.amount) AS BIGINT) FROM book.entry e
                JOIN book.account a ON a.account_id = e.account_id JOIN book.partner p ON p.partner_id = a.partner_id
                WHERE e.file_id <= {upto} {only} GROUP BY a.kind"""
        ).iter_rows()
    )


def test_points_of_every_account_are_journalled(story: Book, whole: pl.DataFrame, rulebook: Rulebook) -> None:
    with story.reading() as read:
        points = {rulebook.chart.accounts[kind].gl: total for kind, total in balances(read, LAST)}
    journalled = dict(whole.group_by("account").agg(pl.col("points").sum()).iter_rows())
    assert {account: journalled.get(account, 0) for account in points} == points


def test_batching_changes_no_line(story: Book, whole: pl.DataFrame, make_journal: MakeJournal) -> None:
    with story.reading() as read:
        for cut in range(1, LAST):
            parts = pl.concat([make_journal(read, 0, cut), make_journal(read, cut, LAST)])
            assert parts.drop(NUMBERED).equals(whole.drop(NUMBERED)), cut


def test_later_postings_change_nothing(told: Told, make_journal: MakeJournal) -> None:
    book, _, then = told
    with book.reading() as read:
        for (low, high), expected in then.items():
            assert make_journal(read, low, high).equals(expected), (low, high)


def test_debits_equal_credits_in_each_posting(whole: pl.DataFrame) -> None:
    posting = pl.col("event_key").str.split(":").list.first()
    sides = whole.group_by(posting, "accounting_date").agg(pl.col("debit_minor", "credit_minor").sum())
    assert sides.height > 10
    assert sides["debit_minor"].equals(sides["credit_minor"], check_names=False)


def test_points_without_a_rate_stop_the_journal_until_one_lands(
    make_book: Callable[[], Book],
    make_feed: Callable[..., Feed],
    post: Callable[..., Posted],
    make_journal: MakeJournal,
) -> None:
    book, landed = make_book(), make_feed("rates", partner="counterfoil")
    with book.writing(purpose="test") as writer:
        post(writer, make_feed("requests"), [{"ref": "R1", "points": 10}], MON)
        for low, high, currency in ((0, 1, "EUR"), (0, 1, "USD")):
            with pytest.raises(PermanentError) as raised:
                make_journal(writer, low, high, currency=currency)
            assert raised.value.code is Code.RATE_MISSING
            assert "basis programme" in raised.value.found
            assert str(MON) in raised.value.found
        post(writer, landed, [{"minor": 50, "effective_from": MON}], TUE)
        with pytest.raises(PermanentError):
            make_journal(writer, 0, 2, currency="USD")
        assert signed(make_journal(writer, 0, 2)) == [("2410", "p", MON, -5, -10), ("2450", "p", MON, 5, 10)]


def test_a_kind_that_the_chart_lacks_is_named(story: Book, rulebook: Rulebook, make_journal: MakeJournal) -> None:
    accounts = {kind: known for kind, known in rulebook.chart.accounts.items() if kind != "suspense"}
    with story.reading() as read, pytest.raises(PermanentError) as raised:
        make_journal(read, 0, LAST, chart=rulebook.chart.model_copy(update={"accounts": accounts}))
    assert raised.value.code is Code.RULES_INVALID
    assert "suspense" in raised.value.found


def test_kinds_that_share_a_gl_account_share_its_lines(
    story: Book, rulebook: Rulebook, make_journal: MakeJournal
) -> None:
    shared = rulebook.chart.accounts["in_flight"].model_copy(update={"gl": "2410", "name": "Points liability"})
    chart = rulebook.chart.model_copy(update={"accounts": rulebook.chart.accounts | {"in_flight": shared}})
    with story.reading() as read:
        lines = make_journal(read, 2, 3, chart=chart)
    assert lines.is_empty()


def test_a_gl_account_does_not_mix_what_is_owed_with_what_is_spent(
    story: Book, rulebook: Rulebook, make_journal: MakeJournal
) -> None:
    """A new rate revalues the one and not the other, so their money could not be told apart."""
    mixed = rulebook.chart.accounts["issued"].model_copy(update={"gl": "2410"})
    chart = rulebook.chart.model_copy(update={"accounts": rulebook.chart.accounts | {"issued": mixed}})
    with story.reading() as read, pytest.raises(PermanentError) as raised:
        make_journal(read, 0, LAST, chart=chart)
    assert raised.value.code is Code.RULES_INVALID
    assert "2410" in raised.value.found


def test_nothing_posted_is_an_empty_journal(make_book: Callable[[], Book], make_journal: MakeJournal) -> None:
    with make_book().reading() as read:
        lines = make_journal(read, 0, 0)
    assert lines.is_empty()
    assert dict(lines.schema) == JOURNAL
