"""Breaks as they stood at the end of a programme day, oldest first, and how their number came about.

Here: reads of breaks and of what is in transit. Not here: what opens or clears one (``reconcile``, ``compose``), what
counts (``known``), or figures that are not breaks (``figures``). A closed day keeps its list, whatever is posted later.
"""

from datetime import date, timedelta
from typing import Final

import polars as pl

from counterfoil.ledger import break_life, break_money
from counterfoil.ledger.extracts import code_and_title, masked
from counterfoil.ledger.figures import made_at, made_in, open_at, open_requests
from counterfoil.ledger.known import Known, known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import BreakCode, BreakEvent, Side, State
from counterfoil.reconcile import breaks

LISTED: Final = (
    "break_id",
    "code",
    "title",
    "severity",
    "partner",
    "our_ref",
    "their_ref",
    "member",
    "points_ours",
    "points_theirs",
    "difference",
    *break_money.AMOUNTS,
    "value_date",
    "opened_on",
    "age_days",
    "bucket",
    "state",
    "owner",
    "next_step",
    "due",
    "file",
    "line",
    "feed",
    "posting",
)
"""Columns of a list of breaks, in order."""

_OF_FILES: Final = ", ".join(str(code.value) for code in breaks.OF_FILES)

_KINDS: Final = pl.DataFrame(
    [(code.value, breaks.label(code), *kind) for code, kind in breaks.KINDS.items()],
    schema={
        "code": pl.Int16,
        "label": pl.String,
        "title": pl.String,
        "owner": pl.String,
        "next_step": pl.String,
        "due_days": pl.Int64,
    },
    orient="row",
)

_STEPS: Final = {event.value: step for event, step in breaks.STEPS.items()}

_BREAK_ID: Final = f"""substr(sha256(concat_ws('|', w.partner_id, w.ref, {BreakCode.IN_TRANSIT:d},
                                              1 + coalesce(e.times, 0))), 1, 16)"""
"""The id that a request in transit will have as a break, as ``Lookups.with_break_ids`` gives it."""

_AMOUNTS: Final = ", ".join(f"m.{name}" for name in break_money.AMOUNTS)

_OURS_ONLY: Final = (BreakCode.IN_TRANSIT, BreakCode.OVERDUE, BreakCode.DUPLICATE_OURS, BreakCode.BALANCE_SHORT)
"""Codes under which the partner has said nothing, unless only it has said how many points."""


def open_breaks(book: Lookups, at: Known, partner: str | None = None, *, wanted: str = "true") -> pl.DataFrame:
    """Breaks opened by the end of a day and not cleared by it, or opened again: LISTED, oldest first.

    What is only in transit is not among them (``in_transit``). ``member`` is masked; difference = ours less theirs
    where both are known, of money as of points; ages count calendar days from value date to the day; ``due`` counts
    from the day it opened. ``file`` and ``line`` lead to the record: for an overdue request its own. For a missing file
    ``their_ref`` names feed and day, and file is the one that found it missing. ``state`` is open, assigned (``owner``
    is then the person) or pending through the day that ``next_step`` names; whoever was asked before keeps one that
    waits. ``wanted`` is a condition on rows of ``break``.
    """
    found = book.frame(
        f"""WITH standing AS (SELECT * FROM ({standing(at)}) WHERE {wanted}), named AS (
                SELECT i.item_id, i.member FROM book.item i WHERE i.item_id IN (
                    SELECT unnest([item_id, theirs_id]) FROM standing)
            ), opening AS MATERIALIZED (  -- few of many records
                SELECT d.file_id, d.line_no, d.event FROM book.disposition d
                SEMI JOIN standing s ON s.file_id = d.file_id AND s.line_no = d.line_no WHERE d.line_no > 0
            )
            SELECT s.break_id, s.code, d.event, p.partner, s.subject, s.item_id IS NOT NULL AS is_ours,
                   coalesce(i.member, t.member) AS member, s.points_ours, s.points_theirs, s.value_date, s.opened_on,
                   CASE WHEN l.until >= DATE '{at.day}' THEN 'pending'
                        WHEN l.owner IS NOT NULL THEN 'assigned' ELSE 'open' END AS state,
                   l.owner AS person, l.until, coalesce(own.name, f.name) AS file, {_AMOUNTS},
                   CASE WHEN s.code IN ({_OF_FILES}) THEN split_part(s.subject, ':', 1)
                        ELSE coalesce(own.feed, f.feed) END AS feed,
                   CAST(coalesce(own.n, f.n) AS BIGINT) AS posting,
                   CASE WHEN own.n IS NOT NULL THEN {made_at("s.item_id")}
                        WHEN s.line_no > 0 THEN CAST(s.line_no AS BIGINT) END AS line
            FROM standing s JOIN book.partner p ON p.partner_id = s.partner_id
            JOIN book.posting f ON f.n = s.file_id
            LEFT JOIN opening d ON d.file_id = s.file_id AND d.line_no = s.line_no
            LEFT JOIN named i ON i.item_id = s.item_id
            LEFT JOIN named t ON t.item_id = s.theirs_id
            LEFT JOIN book.posting own ON s.line_no = 0 AND own.n = {made_in("s.item_id")}
            LEFT JOIN ({break_life.latest(at.counts())}) l ON l.break_id = s.break_id
            LEFT JOIN ({break_money.of_breaks("SELECT * FROM standing", at.counts())}) m ON m.break_id = s.break_id
            ORDER BY coalesce(s.value_date, s.opened_on), s.code, p.partner, s.break_id"""
    )
    only_ours = pl.col("code").is_in([kind.value for kind in _OURS_ONLY]) & pl.col("points_ours").is_not_null()
    described = (
        _of(found, partner)
        .join(_KINDS, on="code", how="left", maintain_order="left")
        .with_columns(
            code="label",
            our_ref=pl.when(pl.col("is_ours") | only_ours).then("subject"),
            their_ref=pl.when(~only_ours).then("subject"),
            owner=pl.coalesce("person", "owner"),
            next_step=pl.when(pl.col("state") == "pending")
            .then(pl.format("Wait until {}", "until"))
            .otherwise(pl.coalesce(pl.col("event").replace_strict(_STEPS, default=None), "next_step")),
            due=pl.col("opened_on") + pl.duration(days="due_days"),
        )
    )
    return _aged(described, at.day)


def in_transit(book: Lookups, at: Known, partner: str | None = None) -> pl.DataFrame:
    """Requests that await an answer and have no break of their own, as B01: LISTED, oldest first.

    Nobody has to act on them, so they are no breaks; one that turns overdue keeps its ``break_id``. ``opened_on`` is
    the programme day it was sent, ``due`` the last day for its answer, ``state`` waiting or held.
    """
    found = book.frame(
        f"""WITH waiting AS (
                SELECT * FROM ({open_at(at)}) WHERE side = {Side.OURS:d} AND {_unanswered(at)}
            ), overdue AS (
                SELECT partner_id, subject, item_id, break_id, {at.later()} AS later
                FROM book.break WHERE code = {BreakCode.OVERDUE:d}
            ), earlier AS (
                SELECT partner_id, subject, count(*) AS times FROM overdue WHERE NOT later GROUP BY ALL
            )
            SELECT coalesce(o.break_id, {_BREAK_ID}) AS break_id, p.partner, w.ref AS subject, w.member,
                   w.amount AS points_ours, w.value_date, f.on_day AS opened_on, w.due_date AS due,
                   CASE WHEN w.state = {State.HELD:d} THEN 'held' ELSE 'waiting' END AS state, f.name AS file,
                   {made_at("w.item_id")} AS line, f.feed, CAST(f.n AS BIGINT) AS posting
            FROM waiting w JOIN book.partner p ON p.partner_id = w.partner_id
            JOIN book.posting f ON f.n = {made_in("w.item_id")}
            LEFT JOIN overdue o ON o.later AND o.item_id = w.item_id
            LEFT JOIN earlier e ON e.partner_id = w.partner_id AND e.subject = w.ref
            ORDER BY w.value_date, w.item_id"""
    )
    kind = breaks.KINDS[BreakCode.IN_TRANSIT]
    described = found.with_columns(
        code=pl.lit(breaks.label(BreakCode.IN_TRANSIT)),
        title=pl.lit(kind.title),
        owner=pl.lit(kind.owner),
        next_step=pl.lit(kind.next_step),
        our_ref="subject",
        their_ref=pl.lit(None, pl.String),
        points_theirs=pl.lit(None, pl.Int64),
        **{name: pl.lit(None, kind) for name, kind in break_money.AMOUNTS.items()},
    )
    return _aged(_of(described, partner), at.day)


def movements(book: Lookups, at: Known) -> pl.DataFrame:
    """How the number of breaks moved on a day: code, title, opened, cleared, carried; B01 in transit among them.

    A break that was cleared and opened again counts as opened. ``carried`` goes forward to the next day, so it counts
    ``open_breaks`` and ``in_transit``; brought forward = carried - opened + cleared. Sorted by code; a code without
    any is left out.
    """
    before = known(book, at.day - timedelta(days=1), at.n)
    found = book.frame(
        f"""WITH now AS (SELECT item_id FROM ({open_requests(at)}) WHERE {_unanswered(at)}), eve AS (
                SELECT item_id FROM ({open_requests(before)}) WHERE {_unanswered(before)}
            ), maybe_back AS ({_maybe_back(at)}), transit AS (
                SELECT (SELECT count(*) FROM now) AS now, (SELECT count(*) FROM eve) AS before,
                       (SELECT count(*) FROM now WHERE {at.on_day(made_in("item_id"))})
                       + (SELECT count(*) FROM maybe_back SEMI JOIN now USING (item_id))
                       - (SELECT count(*) FROM eve SEMI JOIN (SELECT * FROM maybe_back SEMI JOIN now USING (item_id))
                          USING (item_id)) AS fresh
            ), told AS (
                SELECT code, count(*) FILTER (WHERE event <> {BreakEvent.CLEARED:d}) AS opened,
                       count(*) FILTER (WHERE event = {BreakEvent.CLEARED:d}) AS cleared, 0 AS carried
                FROM book.break_event WHERE {at.on_day()} GROUP BY code
                UNION ALL SELECT code, 0, 0, count(*) FROM ({standing(at)}) GROUP BY code
                UNION ALL SELECT {BreakCode.IN_TRANSIT:d}, fresh, before + fresh - now, now FROM transit
            )
            SELECT code, CAST(sum(opened) AS BIGINT) AS opened, CAST(sum(cleared) AS BIGINT) AS cleared,
                   CAST(sum(carried) AS BIGINT) AS carried
            FROM told GROUP BY code HAVING sum(opened) + sum(cleared) + sum(carried) > 0 ORDER BY code"""
    )
    return found.select(*code_and_title(), "opened", "cleared", "carried")


def _maybe_back(at: Known) -> str:
    """A query for requests of earlier days that may have come to be in transit again on a day: those it opened again,
    and those whose own break it cleared."""
    answered = ", ".join(f"{code:d}" for code in breaks.ANSWERED)
    return f"""
        SELECT item_id FROM book.item_change WHERE {at.on_day()} AND NOT {at.on_day(made_in("item_id"))}
        UNION
        SELECT b.item_id FROM book.break_event e JOIN book.break b ON b.break_id = e.break_id
        WHERE {at.on_day("e.file_id")} AND e.event = {BreakEvent.CLEARED:d} AND e.code IN ({answered})
          AND b.item_id IS NOT NULL AND NOT {at.on_day(made_in("b.item_id"))}"""


def standing(at: Known) -> str:
    """A query for the rows of ``break`` that were open at the end of a day: those open now that later postings did not
    touch, plus those they touched whose last event before was no clearing. In one posting clearing comes last."""
    return f"""SELECT * FROM book.break WHERE break_id IN (
                   SELECT break_id FROM book.open_break
                   EXCEPT SELECT break_id FROM book.break_event WHERE {at.later()}
                   UNION ALL
                   SELECT break_id FROM book.break_event
                   WHERE {at.counts()} AND break_id IN (SELECT break_id FROM book.break_event WHERE {at.later()})
                   GROUP BY break_id
                   HAVING max(CAST(file_id AS BIGINT) * 10 + event) % 10 <> {BreakEvent.CLEARED:d})"""


def _unanswered(at: Known) -> str:
    """A condition on ``item_id``: at the end of a day it has no break that says more than that it waits."""
    answered = ", ".join(f"{code:d}" for code in breaks.ANSWERED)
    return f"""item_id NOT IN (SELECT item_id FROM ({standing(at)})
                               WHERE code IN ({answered}) AND item_id IS NOT NULL)"""


def _of(found: pl.DataFrame, partner: str | None) -> pl.DataFrame:
    return found if partner is None else found.filter(pl.col("partner") == partner)


def _aged(found: pl.DataFrame, day: date) -> pl.DataFrame:
    """LISTED: what is missing of it follows from the dates and points that are there."""
    ours, theirs, age = pl.col("points_ours"), pl.col("points_theirs"), pl.col("age_days")
    since = pl.coalesce("value_date", "opened_on")
    return (
        found.with_columns(age_days=(pl.lit(day) - since).dt.total_days().clip(lower_bound=0))
        .with_columns(
            masked("member"),
            difference=ours - theirs,
            bucket=breaks.bucket(age),
            severity=breaks.severity(breaks.heft(), age),
        )
        .select(LISTED)
    )
