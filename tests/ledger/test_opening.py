"""Opening balances: every row finds its account, open requests name what paid them, and there is one opening only."""

from datetime import date
from typing import Any

import pytest

from counterfoil.errors import Code, PermanentError

DAY = date(2026, 11, 16)

BALANCES = """SELECT a.kind, a.owner, b.balance FROM book.account a JOIN book.balance b USING (account_id)
    WHERE b.balance <> 0 ORDER BY ALL"""


def row(**changes: Any) -> dict[str, Any]:
    return {"entry": "balance", "account": "member", "owner": "M1", "points": 100} | changes


def test_every_kind_of_balance_finds_its_account(make_book: Any, make_feed: Any, post: Any) -> None:
    rows = [row(), *(row(account=kind, owner=None) for kind in ("in_flight", "payable", "prepaid", "suspense"))]
    with make_book().writing(purpose="test") as writer:
        post(writer, make_feed("opening"), rows, DAY)
        assert writer.frame(BALANCES).rows() == [
            ("in_flight", None, 100),
            ("issued", None, -500),
            ("member", "M1", 100),
            ("payable", None, 100),
            ("prepaid", None, 100),
            ("suspense", None, 100),
        ]


def test_an_open_request_returns_its_points_to_what_paid_it(make_book: Any, make_feed: Any, post: Any) -> None:
    with make_book().writing(purpose="test") as writer:
        rows = [row(entry="item", ref="1"), row(entry="item", account="issued", owner="M2", ref="2")]
        post(writer, make_feed("opening"), rows, DAY)
        rejected = [{"ref": ref, "points": 100, "outcome": "rejected"} for ref in ("1", "2")]
        post(writer, make_feed("handback"), rejected, DAY)
        assert writer.frame(BALANCES).rows() == [("issued", None, -100), ("member", "M1", 100)]


def test_an_open_request_paid_from_clearing_is_refused(make_book: Any, make_feed: Any, post: Any) -> None:
    with make_book().writing(purpose="test") as writer:
        with pytest.raises(PermanentError) as refused:
            post(writer, make_feed("opening"), [row(entry="item", account="in_flight", ref="1")], DAY)
        assert refused.value.code == Code.ENVELOPE_INVALID
        assert writer.last_posting() == 0


def test_a_second_opening_is_refused(make_book: Any, make_feed: Any, post: Any) -> None:
    with make_book().writing(purpose="test") as writer:
        post(writer, make_feed("opening"), [row()], DAY)
        with pytest.raises(PermanentError) as refused:
            post(writer, make_feed("opening"), [row(points=5)], DAY)
        assert refused.value.code == Code.CORRECTION_HELD
