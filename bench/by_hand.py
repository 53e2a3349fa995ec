"""Accepted rows posted into a real book as the program does it, without a file that they were read from.

Here: the one way in which measurements and tests post rows. Not here: whose rows they are.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import polars as pl

from counterfoil.feed import Feed
from counterfoil.ledger.chart import Rulebook
from counterfoil.ledger.compose import stages
from counterfoil.ledger.tables import BOOK_SCHEMA
from counterfoil.ledger.work import Former, Work
from counterfoil.ledger.writing import Entitled, Posted, Writer
from counterfoil.protocols import Marks, Parsed
from counterfoil.reconcile import balance
from counterfoil.schemas.tables import CONTROL, QUARANTINED, empty
from counterfoil.settings import ProgrammeSettings

_ORDINARY = ProgrammeSettings()


def read_whole(accepted: pl.DataFrame, day: date) -> Parsed:
    """A file of a header and these rows, all of them good."""
    return Parsed(
        marks=Marks(day, "", None, empty=accepted.is_empty()),
        lines=accepted.height + 1,
        envelope_lines=1,
        accepted=accepted,
        quarantined=empty(QUARANTINED),
        control=empty(CONTROL),
    )


def post(
    writer: Writer,
    feed: Feed,
    accepted: pl.DataFrame,
    day: date,
    rulebook: Rulebook,
    *,
    by: str = "bench",
    policy: ProgrammeSettings = _ORDINARY,
    corrects: Former | None = None,
    seal: Callable[[], str] | None = None,
    **titles: Any,
) -> Posted:
    """Post accepted rows as the next file of a feed.

    ``by`` whoever did it; ``corrects`` what it takes the place of; ``seal`` what is done before the commit; ``titles``
    other columns of its posting.
    """
    n = writer.last_posting() + 1
    entitled = Entitled(
        n=n,
        delivery=n,
        feed=feed.feed,
        kind=feed.kind.value,
        partner=feed.partner,
        name=f"{feed.feed}_{n}",
        identity=f"{day}",
        epoch="",
        sequence=None,
        business_date=day,
        on_day=day,
        payload_sha=f"{n:064d}",
        run_id=by,
        actor=by,
        posted_at=datetime(2026, 11, 20, 12, tzinfo=UTC).replace(tzinfo=None),
        software=by,
        verdict="correction" if corrects else "new",
        book_schema=BOOK_SCHEMA,
        sender=by,
    )
    told = replace(entitled, **titles)
    work = Work(
        feed=feed,
        accepted=accepted,
        file_id=n,
        business_date=day,
        on_day=told.on_day,
        policy=policy,
        rules=rulebook.rules,
        chart=rulebook.chart,
        schema=told.book_schema,
        sender=by,
        payload_sha=told.payload_sha,
        former=corrects,
    )
    parsed = read_whole(accepted, day)
    return writer.post(
        told,
        stages(work, writer, identity=told.identity, skipped=[]),
        figures=partial(balance.stage_one, parsed),
        controls=parsed.control,
        rules=rulebook.rules,
        rule_hashes=rulebook.hashes,
        seal=seal or (lambda: f"record {n}"),
    )
