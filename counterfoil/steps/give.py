"""Points given by hand: one row in the file that any other would come in, landed and posted at once.

Here: writing that file. Not here: what becomes of it (``ledger.distributions``).
"""

import csv
import io
from collections.abc import Mapping
from typing import Final

from counterfoil.clock import local_date, utc_text
from counterfoil.errors import Code, UsageError
from counterfoil.feed import FeedKind
from counterfoil.files import sha256_bytes
from counterfoil.landing.records import Delivery, Outcome
from counterfoil.steps.arrive import land_own
from counterfoil.steps.desk import Desk
from counterfoil.steps.post import settle

FEED: Final = "points"
"""The programme's own feed of points from companies to their people."""


def give(desk: Desk, row: Mapping[str, object]) -> tuple[Delivery, Outcome | None]:
    """Send points to one person: ``row`` by the columns of the feed ``points``, what it leaves out is blank.

    Raises NOTHING_FOUND where the programme has no such feed.
    """
    feed = next((one for one in desk.feeds([FeedKind.BULK_UPLOAD]) if one.feed == FEED), None)
    if feed is None:
        raise UsageError(
            Code.NOTHING_FOUND,
            FEED,
            found="no feed of this name",
            expected="the programme's own feed of points",
            remedy="Put its layout back, or send a file of the company's own feed",
        )
    titles = [term.name for term in desk.reader.terms(feed).columns.values()]
    text = io.StringIO()
    writer = csv.DictWriter(text, titles, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerow(dict(row))
    data = text.getvalue().encode()
    day = local_date(desk.now(), desk.settings.zone)
    # The same gift again is another gift, so that its name holds the time.
    mark = sha256_bytes(data + utc_text(desk.now()).encode())[:12]
    delivery = land_own(desk, feed, name=f"{FEED}_{day:%Y%m%d}_{mark}.csv", data=data)
    outcomes = settle(desk, [feed.feed], delivery.business_date or day, {}).outcomes
    return delivery, next((outcome for one, outcome in outcomes if one.order == delivery.order), None)
