"""A company, its people and its points in a small real book.

Here: one file a call, and what stands afterwards. Not here: what is told, which each test says.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from counterfoil.ledger.derived import contradictions
from counterfoil.ledger.known import known
from counterfoil.ledger.model import Event, State
from counterfoil.ledger.open_breaks import open_breaks
from counterfoil.ledger.outlets import stage_two, unaccounted
from counterfoil.ledger.updates import updates
from counterfoil.ledger.writing import Writer
from counterfoil.settings import ProgrammeSettings
from tests.plugins.books import MakeBook, MakeFeed, MakeJournal, PostRows

MON = date(2026, 11, 16)
TUE, WED = MON + timedelta(days=1), MON + timedelta(days=2)
DUE_DAYS = 10
"""How long points wait for their recipient."""


class Programme:
    """The programme's own feeds and a book; each file is a posting of its own."""

    def __init__(self, writer: Writer, make_feed: MakeFeed, post: PostRows) -> None:
        self.writer, self._make_feed, self._post, self._number = writer, make_feed, post, 0

    def tell(self, kind: str, *rows: dict[str, Any], day: date = MON, sha: str | None = None, **policy: Any) -> int:
        """Post a file; its number."""
        self._number += 1
        options: dict[str, Any] = {"identity": f"{kind} {self._number}", "policy": ProgrammeSettings(**policy)}
        if sha is not None:
            options["payload_sha"] = sha
        changes = {"unclaimed_days": DUE_DAYS} if kind == "bulk_upload" else {}
        feed = self._make_feed(kind, partner="counterfoil", **changes)
        return int(self._post(self.writer, feed, list(rows), day, **options).n)

    def close(self, day: date) -> int:
        return self.tell("calendar", {}, day=day)

    def events(self, n: int) -> list[Event]:
        query = f"SELECT event FROM book.disposition WHERE file_id = {n} ORDER BY line_no"
        return [Event(event) for event in self.writer.frame(query)["event"]]

    def balance(self, kind: str, owner: str | None = None) -> int:
        who = "a.owner IS NULL" if owner is None else f"a.owner = '{owner}'"
        row = self.writer.row(
            f"""SELECT coalesce(sum(b.balance), 0)::BIGINT FROM book.balance b JOIN book.account a USING (account_id)
                WHERE a.kind = '{kind}' AND {who}"""
        )
        return int(row[0]) if row else 0

    def held(self) -> dict[str, int]:
        """What the company's own accounts hold."""
        kinds = ("company", "scheduled", "unclaimed")
        return {kind: self.balance(kind) for kind in kinds if self.balance(kind)}

    def waiting(self) -> list[tuple[str, int, State]]:
        rows = self.writer.frame(
            "SELECT member, remaining, state FROM book.open_item WHERE side = 3 ORDER BY item_id"
        ).rows()
        return [(email, points, State(state)) for email, points, state in rows]

    def breaks(self, day: date = WED) -> list[tuple[str, str | None]]:
        return open_breaks(self.writer, known(self.writer, day)).select("code", "our_ref").sort("code").rows()

    def reasons(self, n: int) -> list[str | None]:
        return self.writer.frame(
            f"""SELECT r.reason FROM book.disposition d LEFT JOIN book.reason r ON r.reason_id = d.reason_id
                WHERE d.file_id = {n} ORDER BY d.line_no"""
        )["reason"].to_list()

    def lots(self) -> list[tuple[int, date]]:
        rows: list[tuple[int, date]] = self.writer.frame(
            "SELECT remaining, expires FROM book.open_lot ORDER BY earned, expires, lot_id"
        ).rows()
        return rows


OpenProgramme = Callable[[], Programme]


@pytest.fixture
def programme(
    make_book: MakeBook, make_feed: MakeFeed, post: PostRows, make_journal: MakeJournal
) -> Iterator[Programme]:
    """Acme is open, has a rate and 1,000 points; whatever a test does, the book must agree with itself afterwards."""
    with make_book().writing(purpose="test") as writer:
        told = Programme(writer, make_feed, post)
        told.tell("rates", {"minor": 50})
        told.tell("companies", {}, {"unit": "department", "code": "Sales"})
        told.tell("recharges", {"ref": "RC-1", "points": 1000})
        yield told
        assert list(contradictions(writer, lambda _done, _all: None)) == []
        last = writer.last_posting()
        updates(writer, 0, last)
        stage = stage_two(writer, from_n=0, to_n=last, crm=[("b", 0, last, True)], journals=[("j", 0, last)])
        assert unaccounted(stage) == 0
        lines = make_journal(writer, 0, last)
        assert lines["debit_minor"].sum() == lines["credit_minor"].sum()


def to(email: str, points: int, **more: Any) -> dict[str, Any]:
    """A row of a bulk upload."""
    return {"email": email, "points": points} | more


def person(member: str, email: str, **more: Any) -> dict[str, Any]:
    """A registration."""
    return {"partner": "acme", "member": member, "email": email, "change": "register"} | more
