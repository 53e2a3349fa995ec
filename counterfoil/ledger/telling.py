"""Stories put together: of one reference, or of several breaks at once.

Here: which part stands where in a story. Not here: reading the parts (``story_parts``), finding what belongs to a story
(``story_scope``), or the raw lines, which lie in the landing store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl

from counterfoil.landing.outputs import Range
from counterfoil.ledger import decided, story_parts, story_scope, tie_outs, whys
from counterfoil.ledger.known import Known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode, Event
from counterfoil.ledger.story import (
    Batched,
    BreakTold,
    Candidate,
    Decided,
    End,
    Item,
    Sealed,
    Step,
    Story,
    TieOut,
    Told,
    Transfer,
    Why,
)
from counterfoil.ledger.story_parts import Place
from counterfoil.ledger.story_scope import Scope
from counterfoil.reconcile.breaks import KINDS, STEPS

_OF_THE_READ: Final = {
    "code_no", "partner_id", "opened_event", "opened_pass", "charged_points", "rated_on", "rate_minor", "rate_per",
}  # fmt: skip
"""Columns of ``story_parts.breaks`` that say why a break stands, and no more."""


def of_reference(
    book: Lookups,
    at: Known,
    ref: str,
    partner: str | None,
    *,
    ranges: Sequence[Range],
) -> Story:
    """The story of a reference, at one partner or at all, as it stood at the end of a day; members are masked.

    ``ranges`` are the CRM batches to look among. Raises NOTHING_FOUND.
    """
    (story,) = _told(book, at, story_scope.of_reference(book, at, ref, partner), ranges)
    return story


def of_breaks(
    book: Lookups,
    at: Known,
    break_ids: Sequence[str],
    *,
    ranges: Sequence[Range],
) -> list[Story]:
    """The stories of breaks, in their order, each read in the same few queries; an id that no break has is left out."""
    return _told(book, at, story_scope.of_breaks(book, at, break_ids), ranges)


def with_causes(story: Story, causes: Mapping[str, str]) -> Story:
    """The story with the causes of its open breaks, by id, as far as they are known."""
    return replace(story, breaks=tuple(_caused(one, causes.get(one.break_id)) for one in story.breaks))


def _caused(one: BreakTold, cause: str | None) -> BreakTold:
    return one if one.why is None else replace(one, why=replace(one.why, cause=cause))


@dataclass(frozen=True, eq=False)
class _Parts:
    """What all the stories are made of, by the ids of items and breaks and by place."""

    items: Mapping[int, dict[str, Any]]
    ends: Mapping[int, tuple[End, ...]]
    records: Mapping[Place, dict[str, Any]]
    candidates: Mapping[Place, tuple[Candidate, ...]]
    transfers: Mapping[Place, tuple[Transfer, ...]]
    breaks: Mapping[str, dict[str, Any]]
    lives: Mapping[str, tuple[Step, ...]]
    whys: Mapping[str, Why]
    tie_outs: Mapping[str, TieOut]
    decisions: Mapping[str, Decided]
    postings: Mapping[int, dict[str, Any]]


def _told(book: Lookups, at: Known, scope: Scope, ranges: Sequence[Range]) -> list[Story]:
    parts = _parts(book, at, scope)
    item_ids, break_ids, lines = (
        {key[0]: rows for key, rows in frame.partition_by("story", as_dict=True, maintain_order=True).items()}
        for frame in (scope.items, scope.breaks, scope.lines)
    )
    left_out = dict(scope.left_out.iter_rows())
    return [
        _story(
            row,
            parts,
            items=item_ids[story]["item_id"].to_list() if (story := row["story"]) in item_ids else [],
            breaks=break_ids[story]["break_id"].to_list() if story in break_ids else [],
            lines=lines[story].select("file_id", "line_no", "own").rows() if story in lines else [],
            ranges=ranges,
            left_out=left_out.get(story, 0),
        )
        for row in scope.stories.to_dicts()
    ]


def _parts(book: Lookups, at: Known, scope: Scope) -> _Parts:
    item_ids, break_ids = scope.items.select("item_id").unique(), scope.breaks.select("break_id").unique()
    lines = scope.lines.select("file_id", "line_no").unique(maintain_order=True)
    own = scope.lines.filter("own").select("file_id", "line_no").unique(maintain_order=True)
    breaks, lives = story_parts.breaks(book, at, break_ids), story_parts.lives(book, at, break_ids)
    standing = [break_id for break_id, life in lives.items() if not _is_cleared(life)]
    records = story_parts.records(book, lines)
    stepped = pl.Series([step.posting for life in lives.values() for step in life], dtype=pl.Int32)
    deciding = records.filter("decides")["posting"].unique()
    decisions = decided.told(book, deciding).to_dicts() if deciding.len() else []
    return _Parts(
        items={row["item_id"]: row for row in story_parts.items(book, at, item_ids).to_dicts()},
        ends=story_parts.ends(book, at, item_ids),
        records={(row["posting"], row["line"] or 0): row for row in records.to_dicts()},
        candidates=story_parts.candidates(book, lines),
        transfers=story_parts.transfers(book, at, own),
        breaks={row["break_id"]: row for row in breaks.to_dicts()},
        lives=lives,
        whys=whys.whys(book, at, breaks.filter(pl.col("break_id").is_in(standing))),
        tie_outs=tie_outs.of_breaks(book, break_ids),
        decisions={row["decision"]: Decided(**row) for row in decisions},
        postings=story_parts.sealed(book, pl.concat([lines["file_id"], stepped]).unique()),
    )


def _is_cleared(life: Sequence[Step]) -> bool:
    return bool(life) and life[-1].event == "cleared"


def _story(
    row: Mapping[str, Any],
    parts: _Parts,
    *,
    items: Sequence[int],
    breaks: Sequence[str],
    lines: Sequence[tuple[int, int, bool]],
    ranges: Sequence[Range],
    left_out: int,
) -> Story:
    own = {(posting, line) for posting, line, is_own in lines if is_own}
    names = [_name(place) for place in sorted(own)]
    bearing = [item for item_id in items if (item := parts.items[item_id])["ref"] == row["ref"]]
    told_breaks = sorted(
        (_break(parts, break_id) for break_id in breaks), key=lambda one: (one.opened_by, one.line or 0, one.code)
    )
    steps = {step.posting for one in told_breaks for step in one.life}
    numbers = sorted({posting for posting, _, _ in lines} | steps)
    return Story(
        ref=row["ref"],
        break_id=row["break_id"],
        items=tuple(Item(**parts.items[item_id], ends=parts.ends.get(item_id, ())) for item_id in items),
        records=tuple(
            _record(parts, (posting, line), names if is_own else None, bearing) for posting, line, is_own in lines
        ),
        left_out=left_out,
        breaks=tuple(told_breaks),
        decisions=tuple(_decided(parts.decisions[name], names) for name in names if name in parts.decisions),
        batches=tuple(batch for known in ranges if (batch := _batched(known, numbers)).postings),
        postings=tuple(Sealed(**parts.postings[n]) for n in numbers),
    )


def _record(parts: _Parts, place: Place, names: Sequence[str] | None, bearing: Sequence[Mapping[str, Any]]) -> Told:
    """A record of the story. ``names``: all that belong to it, None where this one only considered an item of it;
    ``bearing``: items under the story's reference."""
    row = parts.records[place]
    found = parts.candidates.get(place, ())
    also = [] if names is None else _same_reference(row, found, bearing)
    transfers = [] if names is None else parts.transfers.get(place, ())
    kept = {name: value for name, value in row.items() if name not in {"partner", "record_id", "decides"}}
    return Told(
        **kept,
        raw=None,
        own=names is not None,
        candidates=(*found, *also),
        # A file can take back many records at one line, or at none.
        transfers=tuple(one for one in transfers if one.undoes is None or one.undoes in (names or ())),
    )


def _same_reference(
    row: Mapping[str, Any], found: Sequence[Candidate], bearing: Sequence[Mapping[str, Any]]
) -> list[Candidate]:
    """Items that bore the reference at that partner when the record was posted, and of which no more is kept."""
    known = {one.item_id for one in found} | {row["item_id"], row["record_id"]}
    kept = ("item_id", "side", "ref", "points", "value_date", "posting", "line")
    return [
        Candidate(**{name: item[name] for name in kept}, role="same_reference", agreed=None, difference=None, days=None)
        for item in bearing
        if item["partner"] == row["partner"] and item["item_id"] < row["record_id"] and item["item_id"] not in known
    ]


def _break(parts: _Parts, break_id: str) -> BreakTold:
    row, life = parts.breaks[break_id], parts.lives[break_id]
    kind, opened_event = KINDS[BreakCode(row["code_no"])], row["opened_event"]
    people = [step for step in life if step.event in {"assigned", "pending", "open"}]
    cleared = life[-1] if _is_cleared(life) else None
    state = "cleared" if cleared else people[-1].event if people else "open"
    owners = [step.owner for step in people if step.owner]
    kept = {name: value for name, value in row.items() if name not in _OF_THE_READ}
    return BreakTold(
        **kept,
        state=state,
        owner=owners[-1] if owners else kind.owner,
        until=people[-1].until if state == "pending" else None,
        next_step=STEPS.get(Event(opened_event), kind.next_step) if opened_event else kind.next_step,
        cleared_on=cleared.on_day if cleared else None,
        cleared_by=cleared.posting if cleared else None,
        life=life,
        why=parts.whys.get(break_id),
        tie_out=parts.tie_outs.get(break_id),
    )


def _decided(decision: Decided, names: Sequence[str]) -> Decided:
    """A decision; one that takes it back later than the story reaches is not known yet."""
    return decision if decision.undone_by in names else replace(decision, undone_by=None)


def _batched(known: Range, numbers: Sequence[int]) -> Batched:
    batch = known.batch
    covered = tuple(n for n in numbers if batch.from_n < n <= batch.to_n)
    return Batched(batch.target, batch.batch_id, known.state, covered)


def _name(place: Place) -> str:
    posting, line = place
    return f"{posting}:{line}" if line else str(posting)
