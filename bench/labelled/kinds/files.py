"""Kinds about whole files: one that comes two days late, one whose total is wrong, one that is corrected.

Here: what stands in the odd Saturdays' files. Not here: when which bytes arrive (``write``).
"""

from bench.labelled import days
from bench.labelled.kind import LENIENT, ONCE, STRICT, kind
from bench.labelled.stage import CONTROL, MISSING, POINTS, REJECT, Stage

BEFORE_DAMAGED = days.among((11, 20))
BEFORE_LATE = days.among((11, 27))
BEFORE_CORRECTED = days.among((12, 4))


@kind(rate=20, on=BEFORE_LATE)
def in_late_file(s: Stage) -> None:
    """Answered in a file that comes two days late."""
    request = s.ask()
    s.confirms(request, s.answer(request, on=days.LATE))


@kind(rate=ONCE, on=BEFORE_LATE)
def late_file(s: Stage) -> None:
    """The late file itself: missing when its day closes."""
    s.file_breaks(MISSING, s.partner.feeds[1], days.LATE)


@kind(partners=STRICT, rate=20, on=BEFORE_DAMAGED)
def in_damaged_file(s: Stage) -> None:
    """Answered in a file whose total is wrong, and again in the right one two days later."""
    request = s.ask()
    s.confirms(request, s.answer(request, on=days.DAMAGED))


@kind(partners=STRICT, rate=ONCE, on=BEFORE_DAMAGED)
def damaged_file(s: Stage) -> None:
    """The damaged file itself."""
    s.file_breaks(CONTROL, s.partner.feeds[1], days.DAMAGED)
    s.file_breaks(MISSING, s.partner.feeds[1], days.DAMAGED, optional=True)


@kind(rate=20, on=BEFORE_CORRECTED)
def in_corrected_file(s: Stage) -> None:
    """In a file that is corrected on the next day, and unchanged in both."""
    request = s.ask()
    s.confirms(request, s.answer(request, on=days.CORRECTED))
    s.informs(s.answer(request, on=days.CORRECTED, version=2))


@kind(partners=LENIENT, rate=5, on=BEFORE_CORRECTED)
def corrected_amount(s: Stage) -> None:
    """A wrong amount that the corrected file puts right."""
    request = s.ask()
    wrong = s.answer(request, on=days.CORRECTED, points=request.points * 2)
    s.breaks(POINTS, wrong, request, open_=False)
    s.confirms(request, s.answer(request, on=days.CORRECTED, version=2))


@kind(partners=LENIENT, rate=5, on=BEFORE_CORRECTED)
def corrected_outcome(s: Stage) -> None:
    """A rejection that the corrected file turns into an acceptance."""
    request = s.ask()
    s.breaks(REJECT, s.answer(request, on=days.CORRECTED, outcome="rejected"), open_=False)
    s.confirms(request, s.answer(request, on=days.CORRECTED, version=2))


@kind(partners=LENIENT, rate=5, on=BEFORE_CORRECTED)
def corrected_in(s: Stage) -> None:
    """An answer that only the corrected file has."""
    request = s.ask()
    s.confirms(request, s.answer(request, on=days.CORRECTED, version=2))


@kind(partners=LENIENT, rate=5, on=BEFORE_CORRECTED)
def corrected_out(s: Stage) -> None:
    """An answer that the corrected file no longer has."""
    request = s.ask()
    s.informs(s.answer(request, on=days.CORRECTED))


@kind(partners=STRICT, rate=5, on=BEFORE_CORRECTED)
def correction_held(s: Stage) -> None:
    """A rejection in place of an acceptance, in a corrected file that waits for a person."""
    request = s.ask()
    s.confirms(request, s.answer(request, on=days.CORRECTED))
    s.informs(s.answer(request, on=days.CORRECTED, version=2, outcome="rejected"))
