"""A real book and its model side by side: each file goes into both, and both must stand the same.

Here: posting a file as the program does it, telling the model, and comparing. Not here: which files come
(``test_machine``, ``test_found``), or the model itself.
"""

import copy
import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Final

import polars as pl
import pytest

from counterfoil import identity
from counterfoil.errors import Code, PermanentError
from counterfoil.feed import FeedKind
from counterfoil.identity import Earlier, Verdict
from counterfoil.ledger import decided, histories
from counterfoil.ledger.model import RECORD_SPAN, State
from counterfoil.ledger.store import Book
from counterfoil.ledger.work import Former
from counterfoil.ledger.writing import Writer
from counterfoil.reconcile.difference import carried
from counterfoil.settings import ProgrammeSettings
from tests.plugins.books import MakeBook, MakeFeed, PostRows, in_shape
from tests.properties import model_life, model_people
from tests.properties.model import Model, Row, Terms
from tests.properties.model_people import Choice, UnfitError

MONDAY: Final = date(2026, 11, 16)
GRACE: Final = 2
ACTIONS: Final = (
    "resolve", "refund", "write_off", "refuse", "identify", "take", "assign", "wait", "match", "decline",
)  # fmt: skip
NAMING: Final = ("identify", "match", "decline")
"""Actions that name requests by their references."""

STATES = {
    State.PENDING: "pending",
    State.HELD: "held",
    State.CONFIRMED: "confirmed",
    State.REJECTED: "rejected",
    State.REVERSED: "reversed",
    State.REFUNDED: "refunded",
    State.WRITTEN_OFF: "written off",
    State.SHORT: "short",
    State.UNIDENTIFIED: "unidentified",
    State.CLOSED: "closed",
    State.WITHDRAWN: "withdrawn",
}
KINDS = {1: "request", 2: "recall", 3: "says accepted", 4: "says rejected", 5: "says held", 6: "says reversed"}

BALANCES = """SELECT a.kind, p.partner, a.owner, b.balance FROM book.balance b JOIN book.account a USING (account_id)
              JOIN book.partner p ON p.partner_id = a.partner_id WHERE b.balance <> 0"""
ITEMS = f"""SELECT i.item_id, i.kind, p.partner, i.ref, i.amount, l.state, CAST(l.remaining AS BIGINT),
                   coalesce(k.confirmed, 0), coalesce(k.reversed, 0)
            FROM book.item i JOIN book.partner p USING (partner_id)
            JOIN ({histories.last_events()}) l ON l.item_id = i.item_id
            LEFT JOIN book.settled_key k ON k.item_id = l.item_id AND k.file_id = l.file_id AND k.line_no = l.line_no
              AND l.step = 2"""
BREAKS = """SELECT o.code, p.partner, o.subject, b.file_id, b.line_no, o.break_id FROM book.open_break o
            JOIN book.partner p ON p.partner_id = o.partner_id JOIN book.break b ON b.break_id = o.break_id
            ORDER BY b.file_id, b.line_no, o.code, o.break_id"""
LIVES = """SELECT b.code, p.partner, b.subject, b.file_id, b.line_no, s.owner, s.until
           FROM book.break_state s JOIN book.open_break o USING (break_id) JOIN book.break b USING (break_id)
           JOIN book.partner p ON p.partner_id = b.partner_id
           QUALIFY row_number() OVER (PARTITION BY s.break_id ORDER BY s.file_id DESC, s.line_no DESC) = 1"""
LOTS = """SELECT p.partner, a.owner, o.earned, o.expires, CAST(sum(o.remaining) AS BIGINT) FROM book.open_lot o
          JOIN book.account a USING (account_id) JOIN book.partner p ON p.partner_id = a.partner_id GROUP BY ALL"""
DECLINED = """SELECT b.code, p.partner, b.subject, b.file_id, b.line_no, d.item_id
              FROM declined d JOIN book.break b USING (break_id) JOIN book.partner p USING (partner_id)"""
USED = """SELECT count(*), count(DISTINCT line_no) FROM book.disposition
          WHERE file_id = (SELECT max(n) FROM book.posting)"""
KEPT = "SELECT item_id, state, remaining FROM book.open_item"
APART = f"({KEPT} EXCEPT ({histories.open_now()})) UNION ALL (({histories.open_now()}) EXCEPT {KEPT})"


OpenBreak = tuple[int, str, str, int, int, str]
"""Code, partner, subject, posting, line and id of an open break."""


class KilledError(Exception):
    """What ends a posting right before its commit."""


@dataclass(eq=False)
class Sent:
    """A file that can be corrected: every version of its records, and where the effects of the newest lie."""

    partner: str
    kind: str
    day: date
    name: str
    versions: list[list[Row]] = field(default_factory=list)
    postings: list[int] = field(default_factory=list)
    accepted: pl.DataFrame | None = None


class Both:
    """The book and the model. Each method is one file, or one accident."""

    def __init__(
        self,
        tools: tuple[MakeBook, MakeFeed, PostRows],
        terms: Iterable[Terms],
        *,
        live_days: int | None = None,
    ) -> None:
        self.make_book, self.make_feed, self.post = tools
        self.book: Book = self.make_book()
        self.stack = ExitStack()
        self.writer: Writer = self.stack.enter_context(self.book.writing(purpose="test"))
        self.model = Model(live_days, GRACE)
        self.policy = ProgrammeSettings(points_live_days=live_days, return_grace_days=GRACE)
        self.terms = {one.partner: one for one in terms}
        self.files: list[Sent] = []
        self.day = MONDAY
        self.rows = 0
        self.tally: Counter[str] = Counter()

    def end(self) -> None:
        self.stack.close()
        shutil.rmtree(self.book.path.parent)

    # Files

    def opening(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Balances and open requests at cut-over."""
        told = _told("opening", rows, self.day)
        self._posted("opening", "counterfoil", told, self.day)
        self.model.begin("counterfoil_opening", self.day)
        self.model.opening(model_life.numbered(told))

    def file(self, kind: str, partner: str, rows: Iterable[Mapping[str, Any]], day: date | None = None) -> Sent:
        """A requests or hand-back file under an identity of its own."""
        sent = Sent(partner, kind, day or self.day, f"{partner}:{kind}:{len(self.files)}")
        told = _told(kind, rows, sent.day)
        n = self._posted(kind, partner, told, sent.day, identity=sent.name)
        self.model.begin(f"{partner}_{kind}", sent.day)
        do = model_life.requests if kind == "requests" else model_life.answers
        numbered = model_life.numbered(told)
        effects = do(self.model, self.terms[partner], numbered)
        self.model.standing[sent.name] = {line: (row, effects[line]) for line, row in numbered}
        self.files.append(sent)
        _keep(sent, told, n)
        return sent

    def correct(self, sent: Sent, rows: Iterable[Mapping[str, Any]]) -> None:
        """Records under an identity that was posted; the newest ones again post nothing."""
        told = _told(sent.kind, rows, sent.day)
        if _verdict(sent, told) is Verdict.REPLAY:
            self.tally["replay"] += 1
            return
        assert sent.accepted is not None
        former = Former(tuple(sent.postings), sent.accepted)
        n = self._posted(sent.kind, sent.partner, told, sent.day, identity=sent.name, corrects=former)
        self.model.begin(f"{sent.partner}_{sent.kind}", sent.day)
        self.model.standing[sent.name] = model_life.correct(
            self.model, self.terms[sent.partner], sent.kind, self.model.standing[sent.name], model_life.numbered(told)
        )
        _keep(sent, told, n)
        self.tally["corrections"] += 1

    def close(self, missing: Iterable[str] = ()) -> None:
        """The day at hand ends."""
        named: list[dict[str, Any]] = [{"day": self.day}]
        named += [{"feed": feed, "partner": feed[0], "status": "missing", "files": 0} for feed in missing]
        told = _told("calendar", named, self.day)
        self._posted("calendar", "counterfoil", told, self.day)
        rows = model_life.numbered(told)
        late = [(line, (row["feed"], row["partner"])) for line, row in rows if row["status"] == "missing"]
        self.model.close(self.day, late)
        self.day += timedelta(days=1)

    def merge(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Members that are one and the same."""
        told = _told("members", rows, self.day)
        self._posted("members", "counterfoil", told, self.day)
        self.model.begin("counterfoil_members", self.day)
        model_people.merge(self.model, model_life.numbered(told))

    # People

    def breaks(self) -> list[OpenBreak]:
        return self.writer.frame(BREAKS).rows()

    def fitting(self, one: OpenBreak, ref: str) -> list[str]:
        """The actions that fit a break as the model has it."""
        on = (*one[:3], (one[3], one[4]))
        return [action for action in ACTIONS if model_people.points_of(self.model, action, on, ref) is not None]

    def decide(self, *choices: tuple[str, OpenBreak, str, int]) -> bool:
        """A decisions file: action, break, reference, and how far the points stated are off. Whether it took effect."""
        rows, told = [], []
        for line, (action, one, ref, off) in enumerate(choices, 2):
            on = (*one[:3], (one[3], one[4]))
            alone = action != "match"  # several answers to one request fit only together
            moves = (
                model_people.points_of(self.model, action, on, ref) if alone else model_people.suspended(self.model, on)
            )
            points = (moves or 0) + off
            named = ref if action in NAMING else None
            owner = ref.upper() if action == "assign" else None
            until = self.day + timedelta(days=2) if action == "wait" else None
            rows.append(
                {"action": action, "subject": one[5], "points": points, "ref": named, "owner": owner, "until": until}
            )
            told.append(Choice(line, action, on, points, named, owner=owner, until=until))
        return self._decided(rows, told)

    def undo(self, n: int, *lines: int, off: int = 0) -> bool:
        """Earlier decisions of one file taken back, by default the first; whether that took effect."""
        self.tally["undo"] += 1
        rows, told = [], []
        for own, line in enumerate(lines or (2,), 2):
            points = self.model.decided[n, line].points + off
            rows.append({"action": "undo", "subject": f"{n}:{line}", "points": points})
            told.append(Choice(own, "undo", None, points, undoes=(n, line)))
        return self._decided(rows, told)

    def _decided(self, rows: list[dict[str, Any]], choices: list[Choice]) -> bool:
        trial = copy.deepcopy(self.model)
        trial.begin("counterfoil_decisions", self.day)
        try:
            model_people.decide(trial, choices)
        except UnfitError:
            fits = False
        else:
            fits = True
        told = _told("decisions", rows, self.day)
        if not fits:
            self.tally["decisions that do not fit"] += 1
            with pytest.raises(PermanentError, match=Code.DECISION_UNFIT):
                self._posted("decisions", "counterfoil", told, self.day)
            return False
        self.tally["decisions that fit"] += 1
        self.tally.update(f"{one.action} that fits" for one in choices)
        self._posted("decisions", "counterfoil", told, self.day)
        self.model = trial
        return True

    # Accidents

    def die(self, partner: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """A posting that ends right before its commit leaves nothing."""

        def seal() -> str:
            raise KilledError

        before = self.rows
        with pytest.raises(KilledError):
            self._posted("handback", partner, _told("handback", rows, self.day), self.day, seal=seal)
        assert self.rows == before

    def kill(self) -> None:
        """The process is killed, and another one opens the book as its files lie."""
        home = self.make_book().path.parent
        shutil.copytree(self.book.path.parent, home, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.lock"))
        self.end()
        path, lock, head = (home / old.name for old in (self.book.path, self.book.lock_path, self.book.head_path))
        self.book = replace(self.book, path=path, lock_path=lock, head_path=head)
        self.stack = ExitStack()
        self.writer = self.stack.enter_context(self.book.writing(purpose="test"))

    # Both

    def prove(self) -> None:
        """Both stand the same, the book agrees with itself, and what waits is on somebody's list."""
        model = self.model
        balances = {
            (kind, partner, owner): points for kind, partner, owner, points in self.writer.frame(BALANCES).rows()
        }
        assert not sum(balances.values())
        _same(balances, {account: points for account, points in model.balances.items() if points})
        items = {divmod(row[0], RECORD_SPAN): (KINDS[row[1]], *row[2:5], STATES[State(row[5])], *row[6:])
                 for row in self.writer.frame(ITEMS).rows()}  # fmt: skip
        _same(items, {
            item.place: (item.kind, item.partner, item.ref, item.amount, item.state, item.kept,
                         *((item.confirmed, item.returned) if item.ours else (0, 0)))
            for item in model.items
        })  # fmt: skip
        breaks = Counter((one.code, one.partner, one.subject) for one in model.open_breaks())
        _same(Counter(one[:3] for one in self.breaks()), breaks)
        _same(
            {(*one[:3], one[3:5]): one[5:] for one in self.writer.frame(LIVES).rows()},
            {(one.code, one.partner, one.subject, one.place): one.life for one in model.open_breaks() if one.lives},
        )
        lots = {(("member", partner, owner), earned, expires): points
                for partner, owner, earned, expires, points in self.writer.frame(LOTS).rows()}  # fmt: skip
        _same(lots, model.lots.held())
        declined = self.writer.frame(DECLINED, declined=decided.declined(self.writer)).rows()
        assert {(*one[:3], one[3:5], divmod(one[5], RECORD_SPAN)) for one in declined} == model.declined()
        assert self.writer.frame(APART).is_empty(), "the working set is what the history of every item says"
        used = self.writer.row(USED)
        assert used in (None, (self.rows, self.rows)), "each accepted record has one disposition"
        listed = {(one.partner, one.subject) for one in model.open_breaks()}
        waiting = {(item.partner, item.ref) for item in model.items if not item.ours and item.is_open}
        assert waiting <= listed, "an answer that waits has an open break"

    def _posted(self, kind: str, partner: str, rows: Sequence[Row], day: date, **more: Any) -> int:
        changes: dict[str, Any] = {}
        if (terms := self.terms.get(partner)) is not None:
            changes = {"tolerance_points": terms.tolerance, "answer_due_days": terms.due_days, "record_key": ("ref",)}
            if kind == "requests":
                changes |= {"source": terms.source, "beyond_balance": "refuse" if terms.covered else "already_gone"}
        on_day = day if kind == "calendar" else self.writer.programme_day(day)
        feed = self.make_feed(kind, partner=partner, **changes)
        posted = self.post(self.writer, feed, rows, day, policy=self.policy, on_day=on_day, **more)
        self.rows = len(rows)
        self.tally[f"{kind} posted"] += 1
        return int(posted.n)


def _same(book: Mapping[Any, Any], model: Mapping[Any, Any]) -> None:
    apart = {key: (book.get(key), model.get(key)) for key in {*book, *model} if book.get(key) != model.get(key)}
    assert not apart, f"(book, model): {apart}"


def _told(kind: str, rows: Iterable[Mapping[str, Any]], day: date) -> list[Row]:
    """Rows with every column but their lines."""
    return [{name: value for name, value in row.items() if name != "line_no"}
            for row in in_shape(FeedKind(kind), rows, day).to_dicts()]  # fmt: skip


def _keep(sent: Sent, rows: list[Row], n: int) -> None:
    new = in_shape(FeedKind(sent.kind), rows, sent.day).with_columns(file_id=pl.lit(n, pl.Int64))
    sent.accepted = new if sent.accepted is None else carried(sent.accepted, new, ("ref",))
    sent.versions.append(rows)
    sent.postings.append(n)


def _verdict(sent: Sent, rows: list[Row]) -> Verdict:
    """What arrival would say of these records under the identity of a file that was posted."""
    earlier = [
        Earlier(number, sent.name, _sha(version), not version, identity.Effect.POSTED)
        for number, version in enumerate(sent.versions)
    ]
    found = identity.verdict(identity=sent.name, payload_sha=_sha(rows), empty=not rows, others=earlier)
    assert found.verdict is (Verdict.REPLAY if rows == sent.versions[-1] else Verdict.CORRECTION)
    return found.verdict


def _sha(rows: Iterable[Row]) -> str:
    return hashlib.sha256(repr(list(rows)).encode()).hexdigest()
