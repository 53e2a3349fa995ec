"""Whatever companies do in whatever order: nobody owes points, nothing is overspent, and every point is somewhere."""

import os
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.errors import Code, PermanentError
from counterfoil.ledger.derived import contradictions
from counterfoil.ledger.model import Event
from tests.plugins.books import MakeBook, MakeFeed, PostRows
from tests.plugins.programme import MON, Programme, person, to

EXAMPLES = int(os.environ.get("COUNTERFOIL_EXAMPLES", "6"))
PEOPLE = ("ada", "bo", "cy")
AMOUNTS = st.integers(1, 60)
WHO = st.sampled_from(PEOPLE).map(lambda name: f"{name}@acme.example")
ROWS = st.lists(
    st.tuples(WHO, AMOUNTS, st.integers(0, 2), st.sampled_from((None, "sales")), st.sampled_from((None, 1))),
    min_size=1, max_size=4,
)  # fmt: skip
BUDGET = st.tuples(st.sampled_from(("create", "top_up", "cut", "close")), st.sampled_from("SA"), AMOUNTS, st.booleans())
STEPS = st.one_of(
    st.tuples(st.just("recharge"), st.integers(-80, 80).filter(bool)),
    st.tuples(st.just("upload"), ROWS),
    st.tuples(st.just("budgets"), st.lists(BUDGET, min_size=1, max_size=3)),
    st.tuples(st.just("register"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("cancel"), st.none()),
    st.tuples(st.just("close"), st.none()),
)


class Model:
    """What must hold after every step, counted by itself."""

    def __init__(self, programme: Programme) -> None:
        self.programme, self.day, self.paid, self.number = programme, MON, 0, 0
        programme.tell("companies", {}, {"unit": "department", "code": "sales"})
        self.recharge(100)

    def do(self, step: str, what: Any) -> None:
        self.number += 1
        try:
            getattr(self, step)(what)
        except PermanentError as error:
            if error.code is not Code.POINTS_SHORT:
                raise

    def recharge(self, points: int) -> None:
        ref = f"R-{self.number if points > 0 else self.number % 5}"
        n = self.programme.tell("recharges", {"ref": ref, "points": points}, day=self.day)
        self.paid += points * (self.programme.events(n) == [Event.RECHARGED])

    def upload(self, rows: list[tuple[str, int, int, str | None, int | None]]) -> None:
        told = [
            to(who, points, send_date=self.day + timedelta(days=days), department=department, expiry_months=months)
            for who, points, days, department, months in rows
        ]
        self.programme.tell("bulk_upload", *told, day=self.day)

    def budgets(self, changes: list[tuple[str, str, int, bool]]) -> None:
        rows = [
            {
                "change": change, "budget": code, "points": 0 if change == "close" else points,
                "department": "sales" if code == "S" else None, "from_day": self.day,
                "until_day": self.day + timedelta(days=1), "limit": "hard" if hard else "warn", "alerts": "50;100",
            }
            for change, code, points, hard in changes
        ]  # fmt: skip
        self.programme.tell("budgets", *rows, day=self.day)

    def register(self, name: str) -> None:
        self.programme.tell("members", person(name.upper(), f"{name}@acme.example"), day=self.day)

    def cancel(self, _none: None) -> None:
        rows = self.programme.writer.frame("SELECT ref, remaining FROM book.open_item WHERE side = 3 AND state = 12")
        for ref, points in rows.rows()[:1]:
            decided = {"action": "cancel", "subject": f"acme:{ref}", "points": points}
            self.programme.tell("decisions", decided, day=self.day)

    def close(self, _none: None) -> None:
        self.programme.close(self.day)
        self.day += timedelta(days=1)

    def holds(self) -> None:
        held = {kind: self.programme.balance(kind) for kind in ("company", "scheduled", "unclaimed", "breakage")}
        budgets = self.programme.writer.frame(
            "SELECT balance FROM book.balance JOIN book.account USING (account_id) WHERE kind = 'budget'"
        )["balance"]
        members = sum(self.programme.balance("member", name.upper()) for name in PEOPLE)
        assert min(*held.values(), *budgets, 0) >= 0, held
        assert sum(held.values()) + sum(budgets) + members == self.paid, held


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, min_size=4, max_size=14))
def test_no_interleaving_overspends_or_loses_points(
    steps: list[tuple[str, Any]], make_book: MakeBook, make_feed: MakeFeed, post: PostRows
) -> None:
    with make_book().writing(purpose="test") as writer:
        model = Model(Programme(writer, make_feed, post))
        for step, what in steps:
            model.do(step, what)
            model.holds()
        assert list(contradictions(writer, lambda _done, _all: None)) == []
