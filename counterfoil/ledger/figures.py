"""The figures of a programme day: what was open, what became of it, and how clearing accounts moved.

Here: reads as the book stood at the end of a day, as known at a posting, so that a day that has closed keeps its
figures whatever is posted later. Not here: accounts and postings (``extracts``), breaks (``open_breaks``), what counts
(``known``). The cost is that of the day and of what is open, plus, for a past one, of what was posted since.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from counterfoil.errors import Code
from counterfoil.feed import Feed
from counterfoil.invariants import require
from counterfoil.ledger.histories import ENDS, last_events
from counterfoil.ledger.known import Known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import RECORD_SPAN, BreakCode, MatchPass, Side, State
from counterfoil.money import value_points

OUTCOMES: Final = ("confirmed", "rejected", "reversed", "refunded", "written_off", "pending", "held")
"""What becomes of what was sent; ``sent`` is their sum."""

STATES: Final = ("sent", *OUTCOMES, "variance")

OLD_DAYS: Final = 30
"""An item in a clearing account that is older has outlived every partner's time to answer."""

_ENDS: Final = (State.CONFIRMED, State.REJECTED, State.REVERSED, State.REFUNDED, State.WRITTEN_OFF)
"""Ends that a request which was sent can come to; one that was withdrawn counts as never sent."""

_ONCE: Final = f"({State.CONFIRMED:d}, {State.REJECTED:d})"
"""Ends that come once: between two of them lies another end, a change that opens the item again, or a decision."""


def made_in(item_id: str) -> str:
    """The number of the posting that made an item (a shift: over millions of rows half the time of a division)."""
    return f"({item_id} >> {RECORD_SPAN.bit_length() - 1})"


def made_at(item_id: str) -> str:
    """The line of the file that made an item."""
    return f"({item_id} & {RECORD_SPAN - 1})"


def open_at(at: Known) -> str:
    """A query for the items that were open at the end of a day, both sides.

    item_id, side, state (pending, held or unidentified), partner_id, ref, member, amount (signed), remaining (what is
    in flight, or for theirs booked to suspense), value_date, due_date. Requests that were refused for want of balance
    are not among them: they were never sent. It is today's working set without what later postings touched, plus what
    they touched as it stood before.
    """
    today = f"""SELECT item_id, side, state, partner_id, ref, member, amount, remaining, value_date, due_date
                FROM book.open_item WHERE state <> {State.SHORT:d}"""
    if at.first_later is None:
        return today
    return f"""
        WITH {_touched(at)}
        {today} AND {_untouched(at)}
        UNION ALL
        SELECT i.item_id, i.side, CAST({State.PENDING:d} AS SMALLINT), i.partner_id, i.ref, i.member, i.amount,
               abs(i.amount), i.value_date, i.due_date
        FROM book.item i SEMI JOIN answered USING (item_id)
        UNION ALL
        SELECT i.item_id, i.side, b.state, i.partner_id, i.ref, i.member, i.amount, b.remaining, i.value_date,
               i.due_date
        FROM before b JOIN book.item i ON i.item_id = b.item_id"""


def open_requests(at: Known) -> str:
    """A query for ``item_id`` of our requests that were open at the end of a day: ``open_at`` for counting."""
    today = f"SELECT item_id FROM book.open_item WHERE side = {Side.OURS:d} AND state <> {State.SHORT:d}"
    if at.first_later is None:
        return today
    return f"""
        WITH {_touched(at)}
        {today} AND {_untouched(at)}
        UNION ALL SELECT item_id FROM answered
        UNION ALL
        SELECT b.item_id FROM before b JOIN book.item i ON i.item_id = b.item_id WHERE i.side = {Side.OURS:d}"""


def _touched(at: Known) -> str:
    """Tables of the items that later postings touched and that were there before: ``answered``, the many requests that
    simply got their answer, so that they had been pending; ``retold``, those whose history has more to it, which is
    all of them that are open today; and ``before``, how those stood that were open (item_id, state, remaining).

    An item that had ended before ends again by an answer that matched its settled key, or by ``redoes``: so nobody
    looks through all the settled keys of history.
    """
    made = f"NOT {at.later(made_in('item_id'))}"
    last = last_events("SELECT * FROM book.item SEMI JOIN retold USING (item_id)", at.counts())
    return f"""
        touched AS MATERIALIZED (
            SELECT item_id, state IN {_ONCE} AND NOT {at.redoes()} AS plain FROM book.settled_key
            WHERE {at.later()} AND {made}
            UNION ALL
            SELECT item_id, false FROM book.item_change WHERE {at.later()} AND {made}
        ), retold AS MATERIALIZED (
            SELECT item_id FROM touched WHERE NOT plain
            UNION
            SELECT item_id FROM book.disposition
            WHERE {at.later()} AND match_pass = {MatchPass.SETTLED_KEY:d} AND {made}
            UNION
            SELECT item_id FROM book.item_change SEMI JOIN touched USING (item_id) WHERE {at.counts()}
            UNION
            SELECT item_id FROM book.break SEMI JOIN touched USING (item_id) WHERE code = {BreakCode.BALANCE_SHORT:d}
        ), answered AS (
            SELECT item_id FROM touched ANTI JOIN retold USING (item_id)
        ), before AS (
            SELECT item_id, state, remaining FROM ({last}) WHERE state NOT IN ({ENDS}, {State.SHORT:d})
        )"""


def _untouched(at: Known) -> str:
    """A condition on ``open_item``: it was there, and no later posting touched it."""
    return f"NOT {at.later(made_in('item_id'))} AND item_id NOT IN (SELECT item_id FROM retold)"


def summary(book: Lookups, at: Known, currency: str) -> pl.DataFrame:
    """What was sent and what became of it: partner, state, count, points, minor?; every state for every partner.

    The population is each request that was open when the day began, was sent during it or changed its state in it;
    ``count`` puts it under the state it ended the day in. Points are magnitudes as sent (a recall counts as points
    moved); of a request reversed in part, the part counts as reversed and the rest as confirmed. ``variance`` stands
    apart: how many were confirmed with another amount, and by how much more or less. ``minor``: at the programme's
    rate in force, null without one; parts are rounded so that they add up. Proved by ``prove_summary``.
    """
    partners = book.frame(
        f"""SELECT p.partner_id, p.partner FROM book.partner p JOIN book.account a ON a.partner_id = p.partner_id
            WHERE a.kind = 'in_flight' AND {at.counts("a.file_id")} ORDER BY p.partner"""
    )
    parts = pl.concat([_waiting(book, at), _ended(book, at)])
    every = partners.join(pl.DataFrame({"state": STATES}).with_row_index("place"), how="cross")
    found = (
        every.join(parts.group_by("partner_id", "state").agg(pl.col("count", "points").sum()),
                   on=["partner_id", "state"], how="left")
        .sort("partner", "place")
        .select("partner", "state", pl.col("count", "points").fill_null(0))
    )  # fmt: skip
    prove_summary(found)
    return _valued(found, _rate(book, at, currency))


def prove_summary(found: pl.DataFrame) -> None:
    """Raise MASS_BALANCE unless, per partner, what was sent is the sum of what became of it, in count and points."""
    for column in ("count", "points"):
        sums = found.group_by("partner").agg(
            sent=pl.col(column).filter(pl.col("state") == "sent").sum(),
            became=pl.col(column).filter(pl.col("state").is_in(OUTCOMES)).sum(),
        )
        require((sums["sent"] == sums["became"]).all(), f"{column} sent = what became of them", code=Code.MASS_BALANCE)


def _waiting(book: Lookups, at: Known) -> pl.DataFrame:
    """Requests still open: partner_id, state, count, points; each also counts as sent."""
    found = book.frame(
        f"""SELECT partner_id, CASE WHEN state = {State.HELD:d} THEN 'held' ELSE 'pending' END AS state,
                   count(*) AS count, CAST(sum(remaining) AS BIGINT) AS points
            FROM ({open_at(at)}) WHERE side = {Side.OURS:d} GROUP BY ALL"""
    )
    return pl.concat([found, found.with_columns(state=pl.lit("sent"))])


def _ended(book: Lookups, at: Known) -> pl.DataFrame:
    """Requests whose state changed to an end: partner_id, state, count, points, with ``sent`` and ``variance``."""
    found = book.frame(
        f"""WITH last AS ({_ends(at)}
            ), split AS (
                SELECT i.partner_id, l.state, abs(i.amount) AS sent, abs(l.confirmed) AS answered,
                       CASE WHEN l.state <> {State.REVERSED:d} THEN 0
                            WHEN l.reversed >= abs(l.confirmed) THEN abs(i.amount)
                            ELSE least(l.reversed, abs(i.amount)) END AS undone
                FROM last l JOIN book.item i ON i.item_id = l.item_id WHERE i.side = {Side.OURS:d}
            )
            SELECT partner_id, state, count(*) AS count, CAST(sum(sent) AS BIGINT) AS sent,
                   CAST(sum(undone) AS BIGINT) AS undone,
                   count(*) FILTER (WHERE answered <> sent AND state IN ({State.CONFIRMED:d}, {State.REVERSED:d}))
                       AS varied,
                   CAST(coalesce(sum(answered - sent)
                       FILTER (WHERE state IN ({State.CONFIRMED:d}, {State.REVERSED:d})), 0) AS BIGINT) AS variance
            FROM split GROUP BY partner_id, state"""
    )
    reversed_ = found.filter(pl.col("state") == State.REVERSED.value)
    names = {state.value: state.name.lower() for state in _ENDS}
    own = pl.when(pl.col("state") == State.REVERSED.value).then("undone").otherwise("sent")
    kinds = [
        found.select("partner_id", pl.col("state").replace_strict(names, return_dtype=pl.String), "count", points=own),
        reversed_.select(
            "partner_id", state=pl.lit("confirmed"), count=pl.lit(0), points=pl.col("sent") - pl.col("undone")
        ),
        found.select("partner_id", "count", state=pl.lit("sent"), points="sent"),
        found.select("partner_id", state=pl.lit("variance"), count="varied", points="variance"),
    ]
    return pl.concat([kind.select("partner_id", "state", pl.col("count", "points").cast(pl.Int64)) for kind in kinds])


def _ends(at: Known) -> str:
    """A query for the ends of a day that still stood when it was over: columns of ``settled_key``.

    Only a request that had ended before, was opened again or decided on can end twice on one day, so just those are
    looked at for their last event.
    """
    ends = ", ".join(f"{state:d}" for state in _ENDS)
    return f"""
        WITH ended AS (
            SELECT *, 2 AS step FROM book.settled_key WHERE {at.on_day()} AND state <> {State.CLOSED:d}
        ), reopened AS (
            SELECT item_id, file_id, line_no FROM book.item_change WHERE {at.on_day()}
        ), again AS (
            SELECT item_id FROM ended WHERE state NOT IN {_ONCE} OR {at.redoes()} UNION SELECT item_id FROM reopened
        ), told AS (
            SELECT * FROM ended SEMI JOIN again USING (item_id)
            UNION ALL BY NAME SELECT *, 1 AS step FROM reopened
        )
        SELECT * EXCLUDE (step) FROM ended ANTI JOIN again USING (item_id)
        UNION ALL
        SELECT * EXCLUDE (step, place) FROM (
            SELECT *, row_number() OVER (PARTITION BY item_id ORDER BY file_id DESC, step DESC, line_no DESC) AS place
            FROM told
        ) WHERE place = 1 AND state IN ({ends})"""


def _rate(book: Lookups, at: Known, currency: str) -> tuple[int, int] | None:
    """The programme's rate in force at the end of a day: minor units and the points they are for."""
    row = book.row(
        f"""SELECT minor, per_points FROM book.rate
            WHERE basis = 'programme' AND currency = ? AND effective_from <= ? AND {at.counts()}
            ORDER BY effective_from DESC, file_id DESC, line_no DESC LIMIT 1""",
        currency,
        at.day,
    )
    return (int(row[0]), int(row[1])) if row else None


def _valued(found: pl.DataFrame, rate: tuple[int, int] | None) -> pl.DataFrame:
    """Add ``minor``: outcomes as steps of the rounded running total, so that they add up to what was sent."""
    if rate is None:
        return found.with_columns(minor=pl.lit(None, pl.Int64))
    outcome = pl.col("state").is_in(OUTCOMES)
    running = pl.when(outcome).then("points").otherwise(0).cum_sum().over("partner")
    reached = found.with_columns(running=running).with_columns(minor=value_points(pl.col("running"), *rate))
    step = pl.col("minor") - pl.col("minor").shift(1, fill_value=0).over("partner")
    alone = value_points(pl.col("points"), *rate)
    return reached.with_columns(minor=pl.when(outcome).then(step).otherwise(alone)).drop("running")


def rejects(book: Lookups, at: Known, feeds: Sequence[Feed]) -> pl.DataFrame:
    """Requests that were rejected on a day, by reason: partner, reason, text, count, points, retryable.

    Points are magnitudes as sent. Texts and whether the same request may be sent again are what the partner's feeds
    declare; a reason that they do not list has an empty text, an answer without a reason an empty reason. Breaks down
    ``rejected`` of ``summary``; sorted by partner and reason.
    """
    found = book.frame(
        f"""WITH ends AS (
                SELECT item_id, reason_id, file_id, line_no FROM ({_ends(at)}) WHERE state = {State.REJECTED:d}
            ), before AS (  -- the answer came before its request and ended it there and then
                SELECT k.file_id, k.line_no, d.reason_id
                FROM book.settled_key k JOIN book.disposition d ON d.item_id = k.item_id
                    AND d.file_id = {made_in("k.item_id")}
                WHERE {at.on_day("k.file_id")} AND k.state = {State.CLOSED:d} AND k.line_no > 0
            )
            SELECT p.partner, coalesce(r.reason, '') AS reason, count(*) AS count,
                   CAST(sum(abs(i.amount)) AS BIGINT) AS points
            FROM ends e JOIN book.item i ON i.item_id = e.item_id
            JOIN book.partner p ON p.partner_id = i.partner_id
            LEFT JOIN before b ON b.file_id = e.file_id AND b.line_no = e.line_no
            LEFT JOIN book.reason r ON r.reason_id = coalesce(e.reason_id, b.reason_id)
            GROUP BY ALL ORDER BY ALL"""
    )
    return reasons_in_words(found, feeds).select("partner", "reason", "text", "count", "points", "retryable")


def reasons_in_words(found: pl.DataFrame, feeds: Sequence[Feed]) -> pl.DataFrame:
    """Add to ``partner, reason`` what the partner's feeds say of it: text (empty where nothing), retryable."""
    said = {
        (feed.partner, reason): (feed.reason_texts.get(reason, ""), reason in feed.retryable_reasons)
        for feed in sorted(feeds, key=lambda feed: feed.feed)
        for reason in (*feed.reason_texts, *feed.retryable_reasons)
    }
    words = [_in_words(partner, reason, said) for partner, reason in found.select("partner", "reason").iter_rows()]
    described = pl.DataFrame(words, schema={"text": pl.String, "retryable": pl.Boolean}, orient="row")
    return found.hstack(described)


def _in_words(partner: str, reason: str, said: Mapping[tuple[str, str], tuple[str, bool]]) -> tuple[str, bool]:
    """The words of a reason, or of each of several that stand with commas between them; retryable when all are."""
    parts = [reason] if (partner, reason) in said else reason.split(",")
    known = [said.get((partner, part), ("", False)) for part in parts]
    return "; ".join(text for text, _ in known if text), all(retryable for _, retryable in known)


CLEARING: Final = ("in_flight", "suspense")
"""Accounts that should return to zero."""

COMPANIES: Final = ("company", "budget", "scheduled", "unclaimed")
"""Accounts of what companies own and have promised."""

OWED: Final = ("member", "reserved", "payable")
"""Accounts of what is owed to members, put aside for orders, and owed to partners and suppliers."""


def clearing(book: Lookups, at: Known) -> pl.DataFrame:
    """How clearing accounts moved: account, partner, opening, points_in, points_out, closing, oldest?, over_30_days.

    ``in_flight`` holds requests without an answer, ``suspense`` answers without a request; both should return to zero.
    Movements are those of the day's postings, credits in and debits out, and closing = opening + in - out. ``oldest``
    and ``over_30_days`` are of what still waits there, from value dates. Sorted by account and partner.
    """
    return _accounts(book, at, CLEARING)


def companies(book: Lookups, at: Known) -> pl.DataFrame:
    """The same of what companies own and have promised; all budgets of a company are one row."""
    return _accounts(book, at, COMPANIES)


def owed(book: Lookups, at: Known) -> pl.DataFrame:
    """The same of what is owed; all members of a partner are one row, and nothing counts as waiting."""
    return _accounts(book, at, OWED).select("account", "partner", "opening", "points_in", "points_out", "closing")


def _accounts(book: Lookups, at: Known, kinds: Sequence[str]) -> pl.DataFrame:
    named = ", ".join(f"'{kind}'" for kind in kinds)
    moved = book.frame(
        f"""WITH chosen AS (
                SELECT account_id, kind, partner_id FROM book.account a
                WHERE kind IN ({named}) AND {at.counts("a.file_id")}
            ), moves AS (
                SELECT account_id, {at.later()} AS later, amount FROM book.entry WHERE {at.on_day_or_later()}
            ), sums AS (
                SELECT account_id, sum(amount) FILTER (WHERE later) AS after,
                       sum(amount) FILTER (WHERE NOT later AND amount > 0) AS into,
                       sum(-amount) FILTER (WHERE NOT later AND amount < 0) AS out_of
                FROM moves GROUP BY account_id
            )
            SELECT a.kind AS account, a.partner_id, p.partner,
                   CAST(sum(coalesce(s.into, 0)) AS BIGINT) AS points_in,
                   CAST(sum(coalesce(s.out_of, 0)) AS BIGINT) AS points_out,
                   CAST(sum(coalesce(b.balance, 0) - coalesce(s.after, 0)) AS BIGINT) AS closing
            FROM chosen a JOIN book.partner p ON p.partner_id = a.partner_id
            LEFT JOIN book.balance b ON b.account_id = a.account_id
            LEFT JOIN sums s ON s.account_id = a.account_id
            GROUP BY ALL ORDER BY a.kind, p.partner"""
    )
    waiting = book.frame(
        f"""SELECT CASE WHEN side = {Side.OURS:d} THEN 'in_flight' WHEN side = {Side.THEIRS:d} THEN 'suspense'
                        WHEN state = {State.SCHEDULED:d} THEN 'scheduled' ELSE 'unclaimed' END AS account, partner_id,
                   min(value_date) AS oldest, count(*) FILTER (WHERE DATE '{at.day}' - value_date > {OLD_DAYS})
                       AS over_30_days
            FROM ({open_at(at)}) WHERE remaining <> 0 GROUP BY ALL"""
    )
    return (
        moved.join(waiting, on=["account", "partner_id"], how="left", maintain_order="left")
        .select(
            "account",
            "partner",
            "points_in",
            "points_out",
            "closing",
            "oldest",
            pl.col("over_30_days").fill_null(0),
            opening=pl.col("closing") - pl.col("points_in") + pl.col("points_out"),
        )
        .select("account", "partner", "opening", "points_in", "points_out", "closing", "oldest", "over_30_days")
    )
