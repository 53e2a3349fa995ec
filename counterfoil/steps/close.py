"""The close of a day: one calendar file for each programme day, gapless, saying what came and what did not.

Here: when a day may close and what its file says. Not here: what closing does to the book (``ledger.own_feeds``).
"""

import csv
import io
from datetime import date, timedelta

from counterfoil.errors import Code, PermanentError, TransientError
from counterfoil.feed import Feed, FeedKind
from counterfoil.landing.records import Outcome, OutcomeState
from counterfoil.ledger.status import day_end, expected
from counterfoil.ledger.writing import Posted
from counterfoil.steps.arrive import land_own
from counterfoil.steps.desk import Desk
from counterfoil.steps.post import Settled, settle
from counterfoil.steps.vouchers import end_day

COLUMNS = ("day", "feed", "partner", "status", "files", "name")


def close_days(desk: Desk, through: date) -> list[Posted]:
    """Close every programme day that is still open up to ``through``, in order, and post each close.

    What a crash left is finished first: a close that landed says what was true then, and no other is made beside it.
    Raises DATE_OUTSIDE: permanent for a day before the programme's first, transient while a day has not ended.
    """
    (calendar,) = desk.feeds([FeedKind.CALENDAR])
    postings = settle(desk, [calendar.feed], through, {}).postings
    with desk.book.reading() as book:
        first = book.open_day() or desk.settings.start_date
    if through < desk.settings.start_date:
        raise PermanentError(
            Code.DATE_OUTSIDE,
            str(through),
            found="a day before the programme's first",
            expected=f"{desk.settings.start_date} or later",
            remedy="Set start_date in counterfoil.yaml before the first run",
        )
    _require_over(desk, through)
    for number in range((through - first).days + 1):
        day = first + timedelta(days=number)
        desk.progress(f"closing {day}", number, (through - first).days + 1)
        # Before the calendar, so that what the end of a day brings still counts for it.
        postings += end_day(desk, day).postings
        postings += _close(desk, calendar, day).postings
    return postings


def _require_over(desk: Desk, day: date) -> None:
    end = day_end(desk.feeds(), day)
    if desk.now() < end:
        raise TransientError(
            Code.DATE_OUTSIDE,
            str(day),
            found="the day has not ended",
            expected=f"every feed's cut-off to have passed, at {end.isoformat(timespec='minutes')}",
            remedy="What is shown as posted is posted; run this day again after that to close it",
        )


def _close(desk: Desk, calendar: Feed, day: date) -> Settled:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for feed in desk.feeds():
        status, files, name = _standing(desk, feed, day)
        if status == "rejected" and day < calendar.effective_from:
            status = "held"  # what the calendar's first version calls it
        writer.writerow((day.isoformat(), feed.feed, feed.partner, status, files, name))
    land_own(desk, calendar, name=f"calendar_{day:%Y%m%d}.csv", data=text.getvalue().encode())
    return settle(desk, [calendar.feed], day, {})


def _standing(desk: Desk, feed: Feed, day: date) -> tuple[str, int, str]:
    """What a feed has to show for a day: status, posted files, and the name of one that has no effect."""
    deliveries = desk.index.deliveries(feed=feed.feed, day=day)
    outcomes = desk.index.latest_outcomes(delivery.order for delivery in deliveries)
    posted = [known for known in deliveries if _posted(outcomes.get(known.order))]
    stuck = [known for known in deliveries if not _settled(outcomes.get(known.order))]
    if posted:
        return ("empty" if all(known.empty for known in posted) else "received"), len(posted), ""
    if stuck:
        last = outcomes.get(stuck[-1].order)
        rejected = last is not None and last.state is OutcomeState.REJECTED
        return ("rejected" if rejected else "held"), 0, stuck[-1].name
    due = expected(feed, day) and day >= desk.reader.since(feed)
    return ("missing" if due else "not_due"), 0, ""


def _posted(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.state is OutcomeState.POSTED


def _settled(outcome: Outcome | None) -> bool:
    """Whether nobody has to do anything about a file any more."""
    return outcome is not None and (
        outcome.state in (OutcomeState.POSTED, OutcomeState.REPLAY) or outcome.code == Code.FILE_DISCARDED
    )
