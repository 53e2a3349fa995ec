"""Activity beside what was told before and what members hold, against plain Python; whatever the order of lines."""

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.ledger.model import Event
from counterfoil.reconcile.activities import KNOWN, judged, within_balance

MON = date(2026, 11, 16)

ROWS = {
    "line_no": pl.Int64,
    "item_id": pl.Int64,
    "ref": pl.String,
    "member": pl.String,
    "activity": pl.String,
    "points": pl.Int64,
    "value_date": pl.Date,
    "source_account": pl.Int32,
    "stands": pl.Boolean,
}

ACCOUNTS = {"M1": 1, "M2": 2}


@dataclass(frozen=True)
class Done:
    """One record; ``key`` is what no second one may bear. ``stands``: of one before, that it moved points."""

    ref: str | None
    activity: str
    points: int
    member: str
    day: int = 0
    stands: bool = True

    @property
    def key(self) -> tuple[str | None, str, bool]:
        return self.ref, self.activity, self.points < 0

    @property
    def says(self) -> tuple[int, str]:
        return self.points, self.member


def frame(done: list[Done], first_id: int = 1000) -> pl.DataFrame:
    rows = [
        (place + 2, first_id + place, one.ref, one.member, one.activity, one.points, MON + timedelta(days=one.day),
         ACCOUNTS[one.member], one.stands)
        for place, one in enumerate(done)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=ROWS, orient="row")


def events(done: list[Done], before: list[Done]) -> list[Event]:
    """What each record is, one after the other."""
    were = {one.key: one for one in reversed(before)}
    here: dict[Any, list[Done]] = defaultdict(list)
    for one in done:
        here[one.key].append(one)
    first: set[Any] = set()
    found = []
    for one in done:
        event = Event.ACCRUED if one.activity == "accrual" else Event.REDEEMED
        if one.ref is not None:
            was = were.get(one.key)
            if len({other.says for other in here[one.key]}) > 1 or (was is not None and was.says != one.says):
                event = Event.CONFLICT
            elif was is not None or one.key in first:
                event = Event.ACTIVITY_KNOWN
            first.add(one.key)
        found.append(event)
    return [
        Event.CONFLICT
        if one.points < 0
        and event in (Event.ACCRUED, Event.REDEEMED)
        and one.ref is not None
        and (original := _original(one, done, found, were)) is not None
        and not (original.stands and -one.points <= original.points and original.member == one.member)
        else event
        for one, event in zip(done, found, strict=True)
    ]


def _original(one: Done, done: list[Done], found: list[Event], were: dict[Any, Done]) -> Done | None:
    key = (one.ref, one.activity, False)
    here = [other for other, event in zip(done, found, strict=True) if other.key == key and event != Event.CONFLICT]
    return were.get(key) or next((replace(other, stands=True) for other in here), None)


RECORDS = st.lists(
    st.builds(
        Done,
        ref=st.sampled_from(["a", "b", None]),
        activity=st.sampled_from(["accrual", "redemption"]),
        points=st.integers(-3, 4).filter(bool),
        member=st.sampled_from(["M1", "M2"]),
        day=st.integers(0, 1),
        stands=st.booleans(),
    ),
    max_size=8,
)


def known(before: list[Done]) -> pl.DataFrame:
    return frame(before, first_id=1).select(pl.col(name).cast(kind) for name, kind in KNOWN.items())


@given(RECORDS, RECORDS)
def test_each_record_is_what_plain_python_says(done: list[Done], before: list[Done]) -> None:
    found = judged(frame(done), known(before))
    assert [Event(event) for event in found["event"]] == events(done, before)
    own = found.filter(pl.col("about_id") == pl.col("item_id"))
    assert own.filter(~pl.col("event").is_in([Event.ACCRUED.value, Event.REDEEMED.value])).is_empty()


def paid(done: list[Done], holds: dict[str, int]) -> pl.DataFrame:
    rows = judged(frame(done), known([]))
    balances = pl.DataFrame(
        {"source_account": list(ACCOUNTS.values()), "balance": [holds[member] for member in ACCOUNTS]},
        schema={"source_account": pl.Int32, "balance": pl.Int64},
    )
    return within_balance(rows, balances)


def total(rows: pl.DataFrame) -> int:
    return int(rows["points"].sum())


@given(RECORDS, st.integers(0, 6), st.integers(0, 6))
def test_no_account_pays_what_it_has_not(done: list[Done], first: int, second: int) -> None:
    holds = {"M1": first, "M2": second}
    found = paid(done, holds)
    for member, held in holds.items():
        own = found.filter(pl.col("member") == member).sort("value_date", "line_no")
        gained = total(own.filter(pl.col("event") == Event.ACCRUED.value))
        spent = total(own.filter(pl.col("event") == Event.REDEEMED.value))
        takes_back = own.filter((pl.col("points") < 0) & (pl.col("event") == Event.ACCRUED.value)).height > 0
        assert held + gained - spent >= 0 or takes_back
        beyond = own.filter(pl.col("event") == Event.REDEEMED_BEYOND.value)
        assert beyond.filter(pl.col("points") < 0).is_empty()
        given_back = own.filter((pl.col("event") == Event.REDEEMED.value) & (pl.col("points") < 0))
        assert not set(given_back["about_id"]) & set(beyond["item_id"]), "nothing is given back that was not paid"
        if held + gained >= total(own.filter((pl.col("activity") == "redemption") & (pl.col("points") > 0))):
            later_gains = own.filter((pl.col("event") == Event.ACCRUED.value) & (pl.col("value_date") > MON)).height
            assert beyond.is_empty() or later_gains or takes_back


@given(RECORDS.filter(lambda done: len(done) > 1), st.randoms(use_true_random=False))
def test_the_order_of_lines_changes_nothing(done: list[Done], chance: Any) -> None:
    told = [Done(f"{place}", one.activity, one.points, one.member, one.day) for place, one in enumerate(done)]
    shuffled = chance.sample(told, len(told))
    holds = {"M1": 3, "M2": 0}
    ends = [paid(lines, holds).sort("ref").select("ref", "event", "short") for lines in (told, shuffled)]
    assert ends[0].equals(ends[1])
