"""What counts: the postings of a programme day as known at one of them, and the entries dated up to a day.

Here: the three dates as values and as SQL conditions. Not here: what is read under them (``figures``, ``open_breaks``,
``extracts``, ``restate``). Conditions name posting numbers and not a subquery, so that the book skips whole blocks of
rows: postings lie in it in their order.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Self

import polars as pl

from counterfoil.feed import FeedKind
from counterfoil.identity import Verdict
from counterfoil.invariants import require
from counterfoil.ledger.lookups import Lookups


@dataclass(frozen=True)
class Moment:
    """A knowledge time: the postings up to ``n`` are those that had been made by then; ``at`` None means now."""

    at: datetime | None
    n: int

    def includes(self, instant: datetime) -> bool:
        """Whether something of that instant was known."""
        return self.at is None or instant <= self.at


def moment(book: Lookups, at: datetime | None) -> Moment:
    """What the book knew at an instant (with an offset), or knows now. Posting times never go back."""
    if at is None:
        return Moment(None, book.last_posting())
    instant = at.astimezone(UTC).replace(tzinfo=None)
    row = book.row("SELECT coalesce(max(n), 0) FROM book.posting WHERE posted_at <= ?", instant)
    return Moment(at, int(row[0]) if row else 0)


@dataclass(frozen=True)
class Known:
    """The end of a programme day, as known at posting ``n``: what counts are postings up to ``n`` that fall on the day
    or before it.

    ``first_later``: the first posting that does not count, None when all do; ``counted_after``: those behind it that
    count all the same, a few: files of the next day come before this one has closed; ``redoing``: decisions and
    corrections on the day or later, which alone can end an item that had just ended.
    """

    day: date
    n: int
    on_the_day: tuple[int, ...]
    first_later: int | None
    counted_after: tuple[int, ...]
    redoing: tuple[int, ...]

    def later(self, posting: str = "file_id") -> str:
        """A condition: the posting with this number does not count."""
        if self.first_later is None:
            return "false"
        return f"({posting} >= {self.first_later} AND NOT {_among(posting, self.counted_after)})"

    def counts(self, posting: str = "file_id") -> str:
        """A condition: the posting with this number counts."""
        if self.first_later is None:
            return "true"
        return f"({posting} < {self.first_later} OR {_among(posting, self.counted_after)})"

    def on_day(self, posting: str = "file_id") -> str:
        """A condition: the posting with this number counts and falls on the day itself."""
        return _among(posting, self.on_the_day)

    def redoes(self, posting: str = "file_id") -> str:
        """A condition: the posting with this number, of the day or later, is a decision or a correction."""
        return _among(posting, self.redoing)

    def on_day_or_later(self, posting: str = "file_id") -> str:
        """A condition: the posting with this number falls on the day itself, or does not count."""
        since = [*self.on_the_day[:1], *([self.first_later] if self.first_later is not None else [])]
        return (
            f"({posting} >= {min(since)} AND ({self.on_day(posting)} OR {self.later(posting)}))" if since else "false"
        )


def known(book: Lookups, day: date, n: int | None = None) -> Known:
    """The end of a day as known at posting ``n``, or now."""
    last = book.last_posting() if n is None else n
    postings = book.frame(
        f"""SELECT n, on_day, verdict = '{Verdict.CORRECTION}' OR kind = '{FeedKind.DECISIONS}' AS redoes
            FROM book.posting ORDER BY n"""
    )
    counted = postings.filter((pl.col("on_day") <= day) & (pl.col("n") <= last))
    later = postings.join(counted, on="n", how="anti")["n"]
    first = int(later.min()) if later.len() else None  # type: ignore[arg-type]
    after = counted.filter(pl.col("n") > first)["n"].to_list() if first is not None else []
    redoing = postings.filter(pl.col("redoes") & ((pl.col("on_day") >= day) | pl.col("n").is_in(later.implode())))["n"]
    return Known(
        day=day,
        n=last,
        on_the_day=tuple(counted.filter(pl.col("on_day") == day)["n"].to_list()),
        first_later=first,
        counted_after=tuple(after),
        redoing=tuple(redoing.to_list()),
    )


@dataclass(frozen=True)
class Reach:
    """Which entries count: of postings up to ``n``, with a value date up to ``as_of`` or an accounting date up to
    ``period_end``; None sets no limit. Value date and period exclude each other."""

    n: int | None = None
    as_of: date | None = None
    period_end: date | None = None

    def __post_init__(self) -> None:
        require(self.as_of is None or self.period_end is None, "entries are asked for by one of their two dates")

    def at(self, n: int) -> Self:
        """The same dates, as known at a posting."""
        return type(self)(n, self.as_of, self.period_end)

    def unknown(self) -> str:
        """A condition on entries: their posting came later."""
        return "false" if self.n is None else f"file_id > {self.n}"

    def beyond(self) -> str:
        """A condition on entries: known, but dated later."""
        return f"NOT ({self.unknown()}) AND NOT ({self.dated()})"

    def dated(self) -> str:
        """A condition on entries: their date, if one is asked for, is not later."""
        if self.as_of is not None:
            return f"value_date <= DATE '{self.as_of}'"
        return "true" if self.period_end is None else f"accounting_date <= DATE '{self.period_end}'"


def _among(posting: str, numbers: tuple[int, ...]) -> str:
    return f"{posting} IN ({', '.join(map(str, numbers))})" if numbers else "false"
