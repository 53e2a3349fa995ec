"""Stories with the lines behind them: what the book tells of a reference or a break, and each record as it was sent.

Here: what is explained, and fetching the lines from the landing store. Not here: the story itself (``ledger.telling``),
what of a line is hidden (``masking``), or how a story is shown (``reports``).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

import polars as pl

from counterfoil.errors import PermanentError
from counterfoil.feed import Feed
from counterfoil.landing.outputs import Range
from counterfoil.landing.records import JOURNALS
from counterfoil.ledger import break_causes, gl_causes, telling
from counterfoil.ledger.known import Known, Moment, known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.story import Story, Told
from counterfoil.masking import masked_line
from counterfoil.reconcile.cause import Cause
from counterfoil.steps.desk import Desk

_BREAK_ID: Final = re.compile(r"[0-9a-f]{16}")


def explain(desk: Desk, book: Lookups, subject: str, partner: str | None) -> Story:
    """The story of a break by its id, or else of a reference, at one partner or at all, as it is known now.

    Raises NOTHING_FOUND.
    """
    now = known(book, date.max)
    ranges = _ranges(desk, Moment(None, now.n))
    of_break = telling.of_breaks(book, now, [subject], ranges=ranges) if _BREAK_ID.fullmatch(subject) else []
    told = [story for story in of_break if partner in {None, *(one.partner for one in story.breaks)}]
    stories = _with_lines(desk, told or [telling.of_reference(book, now, subject, partner, ranges=ranges)])
    (story,) = _with_causes(desk, book, now, stories)
    return story


def _with_causes(desk: Desk, book: Lookups, at: Known, stories: Sequence[Story]) -> list[Story]:
    """The stories with the smallest change that would clear each break that stands open."""
    open_ones = sorted({one.break_id for story in stories for one in story.breaks if one.why is not None})
    if not open_ones:
        return list(stories)
    told = break_causes.of_breaks(book, at, among=open_ones, feeds=desk.feeds(), of_gl=of_gl(desk, book, at))
    found = told.filter(pl.col("cause") != Cause.NONE.value)
    causes = dict(found.select("break_id", "change").iter_rows())
    return [telling.with_causes(story, causes) for story in stories]


def of_gl(desk: Desk, book: Lookups, at: Known) -> pl.DataFrame:
    """Why accounts differ from the general ledger: ``gl_causes.of_breaks`` by our journals and today's chart."""
    made = [one for one in desk.index.journals(JOURNALS) if one.to_n <= at.n]
    return gl_causes.of_breaks(book, at, journals=made, policy=desk.settings, chart=desk.rulebook.chart)


def explain_breaks(desk: Desk, book: Lookups, at: Known, moment: Moment, break_ids: Sequence[str]) -> list[Story]:
    """The stories of breaks as they stood at the end of a day, as known at a moment, in their order."""
    stories = _with_lines(desk, telling.of_breaks(book, at, break_ids, ranges=_ranges(desk, moment)))
    return _with_causes(desk, book, at, stories)


def _ranges(desk: Desk, moment: Moment) -> list[Range]:
    """The CRM batches that there were."""
    made = [one for target in desk.crm_targets for one in desk.index.ranges(target.name)]
    return [one for one in made if one.batch.to_n <= moment.n and moment.includes(one.made_at)]


def _with_lines(desk: Desk, stories: Sequence[Story]) -> list[Story]:
    """The stories with the line of each record, masked; each file is gone through once."""
    wanted: dict[int, set[int]] = {}
    for record in (record for story in stories for record in story.records):
        if record.line is not None:
            wanted.setdefault(record.posting, set()).add(record.line)
    layouts: dict[str, Feed] = {}
    lines = {posting: _lines(desk, posting, numbers, layouts) for posting, numbers in sorted(wanted.items())}
    return [replace(story, records=tuple(_with_line(record, lines) for record in story.records)) for story in stories]


def _with_line(record: Told, lines: Mapping[int, Mapping[int, str]]) -> Told:
    raw = None if record.line is None else lines[record.posting].get(record.line)
    return record if raw is None else replace(record, raw=raw)


def _lines(desk: Desk, posting: int, numbers: Iterable[int], layouts: dict[str, Feed]) -> dict[int, str]:
    """Lines of a posted file by number, by the layout it was posted with; none where its bytes are gone or damaged,
    which ``audit verify`` tells."""
    record = desk.landing.read_record(posting)
    payload, layout = desk.landing.path(record.payload_sha), record.hashes["layout"]
    if not payload.exists():
        return {}
    try:
        if layout not in layouts:
            layouts[layout] = desk.reader.feed_from_bytes(desk.landing.verify(layout).read_bytes())
        found = desk.reader.lines(layouts[layout], name=record.name, payload=payload, numbers=numbers)
    except PermanentError:
        return {}
    return {number: masked_line(line) for number, line in found.items()}
