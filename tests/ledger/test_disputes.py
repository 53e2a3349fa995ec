"""What a partner must act on, with the answer that each break is about."""

import polars as pl
import pytest

from counterfoil.ledger.disputes import DISPUTED, disputed
from counterfoil.ledger.known import known
from counterfoil.ledger.model import BreakCode
from tests.plugins.partners import NOV_2, NOV_3, NOV_4, OCT_5, OCT_6, OCT_7, TwoMonths

DUE = OCT_5.replace(day=8)


@pytest.fixture(scope="module")
def rows(two_months: TwoMonths) -> pl.DataFrame:
    with two_months.book.reading() as book:
        return disputed(book, known(book, NOV_4), "p", two_months.feeds)


def of(rows: pl.DataFrame, code: BreakCode, *columns: str) -> list[tuple[object, ...]]:
    return rows.filter(pl.col("code") == code.value).select(columns).rows()


def test_breaks_stand_by_code_and_oldest_first(rows: pl.DataFrame) -> None:
    assert dict(rows.schema) == {name: kind() for name, kind in DISPUTED.items()}
    assert rows.select("code", "age_days", "at_stake").rows() == [
        (2, 30, 300), (3, 29, 70), (3, 0, 70), (4, 29, 5), (7, 29, 100), (12, 1, 0), (13, 28, 0),
    ]  # fmt: skip


def test_an_overdue_request_shows_what_put_it_off(rows: pl.DataFrame) -> None:
    asked = ("ref", "member", "asked_on", "asked_points", "due", "opened_on")
    assert of(rows, BreakCode.OVERDUE, *asked) == [("C", "M100000001", OCT_5, 300, DUE, NOV_2)]
    said = ("said_on", "said_points", "outcome", "reason", "text", "file", "line")
    assert of(rows, BreakCode.OVERDUE, *said) == [(OCT_6, 300, "held", "99", "put off", "P_3", 5)]


def test_an_unknown_answer_shows_the_member_as_the_partner_wrote_it(rows: pl.DataFrame) -> None:
    shown = ("ref", "member", "asked_points", "said_points", "outcome", "reason", "file", "line")
    assert of(rows, BreakCode.UNKNOWN_THEIRS, *shown) == [
        ("Z", "M900000009", None, 70, "accepted", None, "P_3", 3),
        ("Y", None, None, 70, "rejected", "01", "P_5", 2),
    ]


def test_differing_and_repeated_answers_stand_beside_the_request(rows: pl.DataFrame) -> None:
    shown = ("ref", "asked_points", "said_points", "outcome", "line")
    assert of(rows, BreakCode.POINTS_DIFFER, *shown) == [("D", 50, 45, "accepted", 4)]
    assert of(rows, BreakCode.DUPLICATE_THEIRS, *shown) == [("A", 100, 100, None, 2)]


def test_a_missing_file_is_the_partners_only_where_it_sends_it(rows: pl.DataFrame) -> None:
    shown = ("subject", "ref", "file", "line")
    assert of(rows, BreakCode.SEQUENCE, *shown) == [(f"p_handback:{OCT_7}", None, None, None)]
    assert of(rows, BreakCode.CONTROL_WRONG, *shown) == [(f"p_handback:{NOV_3}", None, None, None)]


def test_a_partner_has_its_own_and_a_day_has_its_own(two_months: TwoMonths) -> None:
    with two_months.book.reading() as book:
        assert disputed(book, known(book, NOV_4), "q", two_months.feeds).is_empty()
        assert disputed(book, known(book, OCT_6), "p", two_months.feeds)["code"].to_list() == [3, 4, 7]


def test_an_answer_without_a_reference_has_none(two_months: TwoMonths) -> None:
    """What stands in its place means nothing to the partner."""
    with two_months.book.writing(purpose="test") as writer:
        writer._connection.execute("BEGIN")
        writer._connection.execute("UPDATE book.item SET ref = '?7:3' WHERE ref = 'Z'")
        found = disputed(writer, known(writer, NOV_4), "p", two_months.feeds)
        writer._connection.execute("ROLLBACK")
    assert of(found, BreakCode.UNKNOWN_THEIRS, "ref", "line") == [(None, 3), ("Y", 2)]
