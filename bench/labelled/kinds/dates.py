"""Kinds about dates: answers inside and outside the days a partner has, over weekends, a holiday and a month's end.

Here: answers that are right but for their date. Not here: files that come on another day than theirs (``files``).
"""

from bench.labelled import days
from bench.labelled.days import working
from bench.labelled.kind import LENIENT, STRICT, kind
from bench.labelled.stage import DATE, POINTS, Stage
from bench.labelled.truth import DATE_WINDOW, EARLY_DAYS, LATE_DAYS

FRIDAYS = days.among((11, 20), (11, 27))
MONDAYS = days.among((11, 23), (11, 30))
BEFORE_HOLIDAY = days.among((11, 19), (11, 20), (11, 23), (11, 24), (11, 25))
BEFORE_MONTH_END = days.among((11, 24), (11, 25), (11, 27))


def answered(s: Stage, number: int) -> None:
    """The answer dates so many working days after the request, and settles it if a layout allows that."""
    request, dated = s.ask(), s.after(number)
    answer = s.answer(request, on=max(dated, request.file_day), dated=dated)
    if -EARLY_DAYS <= number <= LATE_DAYS:
        s.confirms(request, answer, by=(DATE_WINDOW,))
    else:
        s.breaks(DATE, answer, request, causes=("date_shifted",))


@kind(partners=LENIENT, rate=800, on=days.anchors(1))
def next_day(s: Stage) -> None:
    """Processed on the next working day."""
    answered(s, 1)


@kind(partners=LENIENT, rate=20, on=FRIDAYS)
def over_weekend(s: Stage) -> None:
    """Asked on a Friday, processed on the last working day allowed, a week later or more."""
    answered(s, LATE_DAYS)


@kind(partners=LENIENT, rate=10, on=BEFORE_HOLIDAY)
def late_edge_over_holiday(s: Stage) -> None:
    """Processed on the last day allowed, which is only inside because a holiday does not count."""
    answered(s, LATE_DAYS)


@kind(partners=LENIENT, rate=10, on=MONDAYS)
def early_edge(s: Stage) -> None:
    """Dated one working day before the request, over a weekend."""
    answered(s, -EARLY_DAYS)


@kind(partners=LENIENT, rate=20, on=BEFORE_MONTH_END)
def over_month_end(s: Stage) -> None:
    """Asked in one month and processed in the next, inside the window."""
    answered(s, LATE_DAYS)


@kind(partners=LENIENT, rate=10, on=days.anchors(LATE_DAYS + 1))
def late_outside(s: Stage) -> None:
    """Processed one working day after the last one allowed."""
    answered(s, LATE_DAYS + 1)


@kind(partners=LENIENT, rate=5, on=days.anchors(before=4))
def early_outside(s: Stage) -> None:
    """Dated two working days before the request."""
    answered(s, -EARLY_DAYS - 1)


@kind(partners=LENIENT, rate=5, on=days.among((11, 20), (11, 23)))
def over_month_end_outside(s: Stage) -> None:
    """Asked in one month and processed in the next, outside the window."""
    answered(s, LATE_DAYS + 1)


@kind(partners=LENIENT, rate=3, on=days.anchors(LATE_DAYS + 1))
def late_and_off(s: Stage) -> None:
    """Outside the window, and short within the tolerance."""
    request, day = s.ask(s.points(1_000, 4_000)), s.after(LATE_DAYS + 1)
    s.breaks((DATE, POINTS), s.answer(request, points=request.points - 1, on=day, dated=day), request)


@kind(partners=STRICT, rate=300, on=days.anchors(before=3))
def any_date(s: Stage) -> None:
    """Another date than the request's, from a partner whose dates are not compared."""
    request = s.ask()
    s.confirms(request, s.answer(request, dated=working(s.day, s.random.choice([-3, -1, 1, 2, 3]))))
