"""What was in force at a knowledge time, as the posting records name it, and what came of it since.

Here: the chart of accounts of then, and of two times. Not here: what the book knew (``ledger.known``), adding up
changes (``ledger.restate``), or posting again from a record (``record``).
"""

from counterfoil.ledger import restate
from counterfoil.ledger.chart import Chart, Rulebook
from counterfoil.ledger.known import Moment, Reach
from counterfoil.ledger.lookups import Lookups
from counterfoil.steps.desk import Desk


def chart_at(desk: Desk, moment: Moment) -> Chart:
    """The chart that the last posting of a moment was made under; today's for now, and before the first posting.

    Raises SIDECAR_DAMAGED or PAYLOAD_DAMAGED when the record, or what it names, is not in the landing store as written.
    """
    if moment.at is None or moment.n == 0:
        return desk.rulebook.chart
    hashes = desk.landing.read_record(moment.n).hashes
    return Rulebook(*(desk.landing.verify(hashes[name]).read_bytes() for name in ("rules", "chart"))).chart


def restated(desk: Desk, book: Lookups, since: Moment, until: Moment, reach: Reach) -> restate.Restated:
    """What changed between two moments in the figures that ``reach`` dates; raises what ``restate`` and ``chart_at``
    raise."""
    before, after = chart_at(desk, since), chart_at(desk, until)
    same = since.n == 0 or _chart_sha(desk, since.n) == _chart_sha(desk, until.n)
    first = until.n if same else _first_under_chart(desk, since.n, until.n)
    charts = restate.ChartChange(after if same else before, after, first)
    return restate.restate(book, since.n, until.n, reach=reach, charts=charts)


def _first_under_chart(desk: Desk, from_n: int, to_n: int) -> int:
    """The first of the postings after ``from_n`` from which on the chart of posting ``to_n`` was in force."""
    n = to_n
    while n - 1 > from_n and _chart_sha(desk, n - 1) == _chart_sha(desk, to_n):
        n -= 1
    return n


def _chart_sha(desk: Desk, n: int) -> str:
    return desk.landing.read_record(n).hashes["chart"]
