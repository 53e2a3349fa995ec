"""Reads that posting asks of the book: the last of a sequence, what a person has decided today, rates in force."""

from datetime import date, timedelta

import pytest

from tests.plugins.books import MON, MakeBook, MakeFeed, PostRows


@pytest.mark.parametrize(
    ("restart", "day", "epoch", "last"),
    [
        ("never", date(2027, 1, 2), "NSTR", 13),
        ("never", MON, "OTHR", None),
        ("yearly", date(2026, 12, 31), "NSTR", 13),
        ("yearly", date(2027, 1, 2), "NSTR", 0),
        ("yearly", date(2027, 1, 2), "OTHR", None),
        ("daily", MON, "NSTR", 12),
        ("daily", MON + timedelta(days=2), "NSTR", 0),
    ],
)
def test_the_last_posted_of_a_sequence(
    make_book: MakeBook, make_feed: MakeFeed, post: PostRows, restart: str, day: date, epoch: str, last: int | None
) -> None:
    feed = make_feed("requests", source="issued")
    with make_book().writing(purpose="test") as writer:
        assert writer.last_sequence(feed.feed, epoch, restart, day) is None
        for sequence, on in ((11, MON), (12, MON), (13, MON + timedelta(days=1))):
            post(writer, feed, [], on, epoch="NSTR", sequence=sequence)
        assert writer.last_sequence(feed.feed, epoch, restart, day) == last
        assert writer.last_sequence("another", epoch, restart, day) is None


def test_a_file_for_a_closed_day_falls_on_the_first_day_still_open(
    make_book: MakeBook, make_feed: MakeFeed, post: PostRows
) -> None:
    with make_book().writing(purpose="test") as writer:
        assert writer.programme_day(MON) == MON
        post(writer, make_feed("calendar", partner="counterfoil"), [{"day": MON}], MON)
        assert writer.programme_day(MON) == MON + timedelta(days=1)
        assert writer.programme_day(MON + timedelta(days=5)) == MON + timedelta(days=5)
