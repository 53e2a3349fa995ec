"""Random days at one partner in which everything happens: late files, corrections, decisions and their undoing.

Here: a player of such days, for tests that compare what was known then with what is said of it later. Not here: any
expectation.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed, FeedKind
from counterfoil.ledger.chart import Chart
from counterfoil.ledger.work import Former
from counterfoil.ledger.writing import Writer
from tests.ledger.weeks import MONDAY, answer, request
from tests.plugins.books import in_shape

REFS = "abcdef"
KINDS = ("requests", "requests", "handback", "handback", "handback", "late", "correction", "decision", "decision",
         "undo", "close", "close")  # fmt: skip


def dawn(number: int) -> datetime:
    """When the posting of this number was made: an hour after the one before."""
    return datetime(2026, 11, 16, 6, tzinfo=UTC).replace(tzinfo=None) + timedelta(hours=number)


@dataclass
class Player:
    """Posts random files; each goes in whole or, where the book refuses it, not at all."""

    writer: Writer
    chance: random.Random
    make_feed: Callable[..., Feed]
    post: Callable[..., Any]
    day: date = MONDAY
    sent: list[tuple[int, Feed, pl.DataFrame, date]] = field(default_factory=list)

    def play(self, files: int) -> Iterator[int]:
        """Post some files; gives the number of each posting right after it."""
        for _ in range(files):
            if self._one(self.chance.choice(KINDS)):
                yield self.writer.last_posting()

    def _one(self, kind: str) -> bool:
        match kind:
            case "close":
                done = self._post(self.make_feed("calendar", partner="counterfoil"), [{"day": self.day}], self.day)
                self.day += timedelta(days=1)
                return done
            case "late":
                return self._file("handback", max(MONDAY, self.day - timedelta(days=self.chance.randint(1, 2))))
            case "correction":
                return self._correct()
            case "decision":
                return self._decide()
            case "undo":
                return self._undo()
            case _:
                return self._file(kind, self.day)

    def _file(self, kind: str, day: date) -> bool:
        feed = self.make_feed(kind, tolerance_points=3, answer_due_days=1, record_key=("ref",))
        rows = in_shape(FeedKind(kind), self._rows(kind), day)
        done = self._post(feed, rows, day)
        if done:
            n = self.writer.last_posting()
            self.sent.append((n, feed, rows.with_columns(file_id=pl.lit(n, pl.Int64)), day))
        return done

    def _rows(self, kind: str) -> list[dict[str, Any]]:
        chance = self.chance
        refs = chance.sample(REFS, chance.randint(1, len(REFS)))
        if kind == "requests":
            return [request(ref, chance.choice((50, 80, -50)), chance.choice(("M1", "M2"))) for ref in refs]
        said = ("accepted", "accepted", "rejected", "held", "reversed")
        return [
            answer(ref, chance.choice((50, 50, 80, -50, 52)), chance.choice(said), reason=chance.choice((None, "1")))
            for ref in refs
        ]

    def _correct(self) -> bool:
        if not self.sent:
            return False
        n, feed, old, day = self.sent.pop(self.chance.randrange(len(self.sent)))
        keep = [self.chance.random() < 0.7 for _ in range(old.height)]
        change = [self.chance.random() < 0.5 for _ in range(old.height)]
        new = old.drop("file_id").with_columns(
            points=pl.when(pl.Series(change)).then(pl.col("points") + 30).otherwise("points")
        )
        return self._post(feed, new.filter(pl.Series(keep)), day, corrects=Former((n,), old))

    def _decide(self) -> bool:
        found = self.writer.frame(
            """SELECT b.break_id, coalesce(abs(i.amount), 0) AS ours, coalesce(t.amount, 0) AS theirs
               FROM book.open_break b LEFT JOIN book.open_item i ON i.item_id = b.item_id
               LEFT JOIN book.open_item t ON t.item_id = b.theirs_id ORDER BY b.break_id"""
        ).rows()
        if not found:
            return False
        subject, ours, theirs = self.chance.choice(found)
        tries = [("resolve", 0), *((action, ours) for action in ("refund", "write_off") if ours)]
        tries += [(action, theirs) for action in ("take", "refuse", "identify") if theirs]
        self.chance.shuffle(tries)
        return any(self._decided(action, subject, points) for action, points in tries)

    def _undo(self) -> bool:
        made = self.writer.frame("SELECT file_id, line_no, points FROM book.decision ORDER BY ALL").rows()
        if not made:
            return False
        file_id, line_no, points = self.chance.choice(made)
        return self._decided("undo", f"{file_id}:{line_no}", points)

    def _decided(self, action: str, subject: str, points: int) -> bool:
        row = {"action": action, "subject": subject, "ref": "a", "points": points}
        return self._post(self.make_feed("decisions", partner="counterfoil"), [row], self.day)

    def _post(self, feed: Feed, rows: Any, day: date, **more: Any) -> bool:
        at = dawn(self.writer.last_posting() + 1)
        try:
            self.post(self.writer, feed, rows, day, on_day=max(day, self.day), posted_at=at, **more)
        except PermanentError as error:
            if error.code is not Code.DECISION_UNFIT:
                raise
            return False
        return True


def with_other_accounts(chart: Chart) -> Chart:
    """The next version of a chart: what is in flight and what is in suspense stand under other GL accounts."""
    moved = {"in_flight": "2990", "suspense": "2450"}
    accounts = {
        kind: known.model_copy(update={"gl": moved.get(kind, known.gl)}) for kind, known in chart.accounts.items()
    }
    return chart.model_copy(update={"version": chart.version + 1, "accounts": accounts})
