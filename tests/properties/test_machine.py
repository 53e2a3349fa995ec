"""The ledger driven at random beside a small model in plain Python: after every step both stand the same.

Files of two partners in any order of days, the same file again, corrections and their corrections, decisions and their
undoing, closed days, merges, postings that die before their commit, and a process that is killed.
"""

import os
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.properties.both import ACTIONS, MONDAY, Both
from tests.properties.model import Item, Row, Terms

EXAMPLES = int(os.environ.get("COUNTERFOIL_EXAMPLES", "6"))
STEPS = 16
PARTNERS = ("p", "p", "p", "q")
MEMBERS = ("M1", "M2")
REFS = ("a", "b", "c")

partners, refs, points = st.sampled_from(PARTNERS), st.sampled_from(REFS), st.sampled_from((50, 50, 52, 80, -50))
days, ago = st.sampled_from((0, 0, 0, -1, 1)), st.sampled_from((0, 0, 1))
outcomes = st.sampled_from(("accepted", "accepted", "rejected", "held", "reversed"))
asked = st.fixed_dictionaries({"ref": refs, "points": points, "member": st.sampled_from(MEMBERS), "ago": ago})
answered = st.fixed_dictionaries({
    "ref": refs,
    "points": points,
    "outcome": outcomes,
    "member": st.sampled_from((None, None, None, "M1", "S1")),
    "to_account": st.sampled_from((None, None, None, "S1", "M2")),
    "ago": ago,
})  # fmt: skip
balance = st.tuples(
    partners, st.sampled_from(MEMBERS), st.sampled_from((60, 130)), st.sampled_from((None, None, 0, 1, 3))
)
off = st.sampled_from((0, 0, 0, 2, 30))
choice = st.tuples(st.integers(0, 9), st.integers(0, 4), st.sampled_from((True, True, False)), refs)
edit = st.sampled_from(("keep", "keep", "points", "outcome", "drop"))


class Machine(RuleBasedStateMachine):
    """Each rule is one file, or one accident."""

    tools: Any
    done: ClassVar[Counter[str]] = Counter()

    @initialize(
        balances=st.lists(balance, max_size=4),
        item=st.booleans(),
        covered=st.booleans(),
        issued=st.booleans(),
        tolerance=st.sampled_from((0, 2)),
        live_days=st.sampled_from((None, None, 1)),
    )
    def begin(
        self, balances: list[Any], *, item: bool, covered: bool, issued: bool, tolerance: int, live_days: int | None
    ) -> None:
        terms = [
            Terms("p", covered=covered, tolerance=tolerance),
            Terms("q", source="issued" if issued else "member"),
        ]
        self.both = Both(self.tools, terms, live_days=live_days)
        self.closed = 0
        rows: list[dict[str, Any]] = [
            {"partner": partner, "owner": owner, "points": points,
             "expires": None if lives is None else MONDAY + timedelta(days=lives)}
            for partner, owner, points, lives in balances
        ]  # fmt: skip
        if item:
            rows.append({"partner": "p", "owner": "M1", "entry": "item", "ref": "c", "points": 50})
        if rows:
            self.both.opening(rows)

    def teardown(self) -> None:
        if hasattr(self, "both"):
            self.both.end()
            self.done.update(self.both.tally, sequences=1)

    @invariant()
    def both_stand_the_same(self) -> None:
        self.both.prove()
        self.done["steps"] += 1

    @rule(partner=partners, rows=st.lists(asked, min_size=1, max_size=3), days=days)
    def requests(self, partner: str, rows: list[Row], days: int) -> None:
        self._file("requests", partner, rows, days)

    @rule(partner=partners, rows=st.lists(answered, min_size=1, max_size=3), days=days)
    def answers(self, partner: str, rows: list[Row], days: int) -> None:
        self._file("handback", partner, rows, days)

    @precondition(lambda self: any(item.ours for item in self.both.model.items))
    @rule(named=st.lists(st.tuples(st.integers(0, 9), outcomes, off), min_size=1, max_size=3))
    def answers_to_requests(self, named: list[tuple[int, str, int]]) -> None:
        """Answers that speak of requests there are, at the first one's partner."""
        asked = [item for item in self.both.model.items if item.ours]
        picked = [(asked[pick % len(asked)], outcome, off) for pick, outcome, off in named]
        partner = picked[0][0].partner
        rows = [{"ref": item.ref, "points": item.amount + off, "outcome": outcome, "ago": 0}
                for item, outcome, off in picked if item.partner == partner]  # fmt: skip
        self._file("handback", partner, rows, 0)

    @precondition(lambda self: self.both.files)
    @rule(pick=st.integers(0, 9), edits=st.lists(edit, min_size=4, max_size=4), added=st.none() | refs)
    def correct(self, pick: int, edits: list[str], added: str | None) -> None:
        """Other records under an identity that was posted."""
        sent = self.both.files[pick % len(self.both.files)]
        rows = [_edited(row, how) for row, how in zip(sent.versions[-1], edits, strict=False) if how != "drop"]
        if added is not None:
            rows.append({"ref": added, "points": 50})
        self.both.correct(sent, rows)

    @precondition(lambda self: any(len(sent.versions) > 1 for sent in self.both.files))
    @rule(pick=st.integers(0, 9), version=st.integers(0, 3))
    def again(self, pick: int, version: int) -> None:
        """A file that came before: the newest version of it does nothing, an older one is a correction back to it."""
        corrected = [sent for sent in self.both.files if len(sent.versions) > 1]
        sent = corrected[pick % len(corrected)]
        self.both.correct(sent, sent.versions[version % len(sent.versions)])

    @precondition(lambda self: self.both.writer.last_posting() > self.closed)
    @rule(days=st.sampled_from((1, 1, 3)), missing=st.lists(st.sampled_from(("p_handback", "q_requests")), max_size=1))
    def close(self, days: int, missing: list[str]) -> None:
        for _ in range(days):
            self.both.close(missing)
        self.closed = self.both.writer.last_posting()

    @precondition(lambda self: self.both.tally["members posted"] < 3)
    @rule(pairs=st.lists(st.tuples(partners, *[st.sampled_from((*MEMBERS, "S1"))] * 2), min_size=1, max_size=2))
    def merge(self, pairs: list[tuple[str, str, str]]) -> None:
        self.both.merge(dict(zip(("partner", "member", "survivor"), pair, strict=True)) for pair in pairs)

    @precondition(lambda self: self.both.model.open_breaks())
    @rule(choices=st.lists(choice, min_size=1, max_size=2))
    def decide(self, choices: list[tuple[int, int, bool, str]]) -> None:
        """Breaks that are open decided on, by an action that fits or by any, and with the points it moves or not."""
        breaks = self.both.breaks()
        made = []
        for pick, which, fits, ref in choices:
            one = breaks[pick % len(breaks)]
            able = (fits and self.both.fitting(one, ref)) or ACTIONS
            made.append((able[which % len(able)], one, ref, 0 if fits else which // 4))
        self.both.decide(*made)

    @precondition(lambda self: self._waiting())
    @rule(
        picks=st.lists(st.integers(0, 9), min_size=1, max_size=3),
        cut=st.sampled_from((0, 0, 20)),
        off=st.sampled_from((0, 0, 0, 5)),
        action=st.sampled_from(("match", "match", "decline")),
        back=st.booleans(),
    )
    def decide_on_strange(self, picks: list[int], cut: int, off: int, action: str, *, back: bool) -> None:
        """Answers that nobody knows, a person who says which requests they are for, or not for, and perhaps takes that
        back: one for the sum of several, or two for one that is ``cut``; ``off`` so many points, nothing fits."""
        waiting = self._waiting()
        first = waiting[picks[0] % len(waiting)]
        beside = [item for item in waiting if item.partner == first.partner]
        several = {item.ref: item.amount for item in (first, *(beside[pick % len(beside)] for pick in picks[1:]))}
        told = [(" ".join(several), sum(several.values()) + off)]
        if cut:
            told = [(first.ref, cut), (first.ref, first.amount - cut + off)]
        n = self.both.model.n + 1
        rows = [{"ref": f"{n}-{place}", "points": points, "ago": 0} for place, (_, points) in enumerate(told)]
        self._file("handback", first.partner, rows, 0)
        self.both.prove()
        breaks = [one for one in self.both.breaks() if one[3] == n]
        fits = self.both.decide(*((action, one, refs, 0) for one, (refs, _) in zip(breaks, told, strict=True)))
        if fits and back:
            self.both.prove()
            self.both.undo(n + 1, *range(2, len(told) + 2))

    def _waiting(self) -> list[Item]:
        return [item for item in self.both.model.items if item.kind == "request" and item.unanswered]

    @precondition(lambda self: self.both.model.decided)
    @rule(pick=st.integers(0, 9), off=st.sampled_from((0, 0, 0, 1)), together=st.booleans())
    def undo(self, pick: int, off: int, *, together: bool) -> None:
        """Any earlier decision, whether it can still be undone or not, alone or with all of its file."""
        places = sorted(self.both.model.decided)
        n, line = places[pick % len(places)]
        lines = [at for of, at in places if of == n] if together else [line]
        self.both.undo(n, *lines, off=off)

    @rule(partner=partners, named=st.lists(refs, max_size=3, unique=True))
    def accident(self, partner: str, named: list[str]) -> None:
        """A posting that dies before its commit, or a process that is killed between two."""
        if named:
            self.both.die(partner, ({"ref": ref, "points": 50} for ref in named))
        else:
            self.both.kill()

    def _file(self, kind: str, partner: str, rows: Sequence[Row], days: int) -> None:
        day = max(MONDAY, self.both.day + timedelta(days=days))
        dated = [{**row, "value_date": day - timedelta(days=row["ago"])} for row in rows]
        self.both.file(kind, partner, [{name: of for name, of in row.items() if name != "ago"} for row in dated], day)


def _edited(row: Row, how: str) -> Row:
    if how == "points":
        return {**row, "points": {50: 80, 80: 52, 52: 50}.get(row["points"], 50)}
    if how == "outcome" and "outcome" in row:
        turn = {"accepted": "rejected", "rejected": "held", "held": "accepted"}
        return {**row, "outcome": turn.get(row["outcome"], "accepted")}
    return row


@pytest.fixture
def machine(make_book: Any, make_feed: Any, post: Any) -> type[Machine]:
    return type("Bound", (Machine,), {"tools": (make_book, make_feed, post)})


def test_the_ledger_is_what_the_model_says_after_every_step(machine: type[Machine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
