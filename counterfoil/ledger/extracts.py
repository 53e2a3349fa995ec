"""What the book says of accounts and postings: balances, the trial balance, a day's postings and their proofs.

Here: reads for people and reports; each takes the open book and answers with one frame. Not here: the day's figures
(``figures``), breaks (``open_breaks``), one reference's story (``story``), or reads that composing needs (``lookups``).
Points are Int64 and credit-positive. A posting's number is the ``file_id`` of its rows.
"""

from datetime import date
from typing import Final

import polars as pl

from counterfoil.errors import Code
from counterfoil.feed import FeedKind
from counterfoil.invariants import require
from counterfoil.ledger.chart import Chart
from counterfoil.ledger.known import Reach
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import RECORD_SPAN, BreakEvent, Disposition, Event, MatchPass, Side, State
from counterfoil.reconcile import breaks
from counterfoil.reconcile.balance import BECAME

SHOWN: Final = 3
"""Letters of a member's number that people see: enough to tell two on one page apart, too few to use."""

MASK: Final = "···"

QUARANTINED: Final = "quarantined:"
"""Parts of the mass balance that break the quarantined rows of a file down by code are named ``quarantined:CODE``."""


_EQUAL: Final = (
    Event.ACCEPTED,
    Event.REJECTED,
    Event.REVERSED,
    Event.RECALL_ACCEPTED,
    Event.RECALL_REJECTED,
    Event.LATE_ACCEPT,
    Event.LATE_REJECT,
)
"""Events whose answer is of the amount that was sent (or, reversed, of the part it names), but for a tolerance."""


def masked(member: str) -> pl.Expr:
    """``···412``: a member's number for people; one too short to hide anything is hidden whole, null stays null."""
    text = pl.col(member)
    shown = pl.when(text.str.len_chars() > SHOWN).then(text.str.slice(-SHOWN)).otherwise(pl.lit(""))
    return pl.when(text.is_not_null()).then(pl.concat_str(pl.lit(MASK), shown)).alias(member)


def balances(book: Lookups, reach: Reach, partner: str | None, *, each_member: bool = False) -> pl.DataFrame:
    """Balances by account: kind, partner, owner String?, unit, accounts, balance; sorted by the first four.

    ``reach`` says which entries count. ``partner`` limits to one partner's accounts (``programme``: the house's).
    Members of a partner are one row that counts them in ``accounts``, or with ``each_member`` one row each with a
    masked ``owner``. Reads the balances and the entries that do not count.
    """
    found = _accounts(book, reach, each_member=each_member)
    if partner is not None:
        found = found.filter(pl.col("partner") == partner)
    ordered = found.sort("kind", "partner", "owner", "unit", nulls_last=True)
    return ordered.select("kind", "partner", masked("owner"), "unit", "accounts", "balance")


def trial_balance(book: Lookups, reach: Reach, *, chart: Chart) -> pl.DataFrame:
    """The trial balance in points: gl, name, kind, partner, unit, debit, credit (one of the two is 0).

    ``reach`` says which entries count. Sorted by gl, kind, partner, unit. Raises RULES_INVALID when the chart lacks a
    kind of account, BOOK_DAMAGED when debits and credits of a unit differ.
    """
    found = _accounts(book, reach, each_member=False)
    stated = found.select(
        "kind",
        "partner",
        "unit",
        *gl_and_name(found, chart),
        debit=(-pl.col("balance")).clip(lower_bound=0),
        credit=pl.col("balance").clip(lower_bound=0),
    )
    totals = stated.group_by("unit").agg(pl.col("debit", "credit").cast(pl.Int128).sum())
    require((totals["debit"] == totals["credit"]).all(), "debits equal credits", code=Code.BOOK_DAMAGED)
    ordered = stated.sort("gl", "kind", "partner", "unit")
    return ordered.select("gl", "name", "kind", "partner", "unit", "debit", "credit")


def gl_and_name(found: pl.DataFrame, chart: Chart) -> tuple[pl.Expr, pl.Expr]:
    """``gl`` and ``name`` of ``kind`` by a chart; RULES_INVALID when it lacks a kind of ``found``."""
    require(set(found["kind"]) <= set(chart.accounts), "the chart has every kind of account", code=Code.RULES_INVALID)
    codes = {kind: account.gl for kind, account in chart.accounts.items()}
    names = {kind: account.name for kind, account in chart.accounts.items()}
    kind = pl.col("kind")
    return (
        kind.replace_strict(codes, return_dtype=pl.String).alias("gl"),
        kind.replace_strict(names, return_dtype=pl.String).alias("name"),
    )


def sums(reach: Reach) -> str:
    """A query for what accounts hold of the entries that count: account_id, balance. It is today's balance less the
    entries that do not count, so that it costs what came later, not history."""
    return f"""
        SELECT account_id, sum(balance) AS balance FROM (
            SELECT account_id, balance FROM book.balance
            UNION ALL SELECT account_id, -sum(amount) FROM book.entry WHERE {reach.unknown()} GROUP BY account_id
            UNION ALL SELECT account_id, -sum(amount) FROM book.entry WHERE {reach.beyond()} GROUP BY account_id
        ) GROUP BY account_id"""


def _accounts(book: Lookups, reach: Reach, *, each_member: bool) -> pl.DataFrame:
    """Accounts with an entry that was known: kind, partner, owner?, unit, accounts, balance.

    Without ``each_member`` all members of a partner are one row. An account whose balance was zero then, and that has
    moved since, may have had no entry yet: only for those the entries of before are looked through.
    """
    return book.frame(
        f"""WITH stood AS ({sums(reach)}), doubtful AS (
                SELECT account_id FROM ({sums(Reach(reach.n))}) WHERE balance = 0
                  AND account_id IN (SELECT account_id FROM book.entry WHERE {reach.unknown()})
            ), unborn AS (
                SELECT account_id FROM doubtful
                EXCEPT SELECT account_id FROM book.entry SEMI JOIN doubtful USING (account_id)
                WHERE NOT ({reach.unknown()})
            )
            SELECT a.kind, p.partner, {"a.owner" if each_member else "CAST(NULL AS VARCHAR)"} AS owner, a.unit,
                   count(*) AS accounts, CAST(sum(s.balance) AS BIGINT) AS balance
            FROM stood s JOIN book.account a ON a.account_id = s.account_id
            JOIN book.partner p ON p.partner_id = a.partner_id
            WHERE s.account_id NOT IN (SELECT account_id FROM unborn) GROUP BY 1, 2, 3, 4"""
    )


def postings_of(book: Lookups, day: date, n: int | None = None) -> pl.DataFrame:
    """Postings that fall on a programme day, by number; of those up to ``n`` where it is given.

    n, delivery, feed, kind, partner, name, identity, business_date, on_day, payload_sha, run_id, posted_at (UTC).
    """
    known = "true" if n is None else f"n <= {n}"
    return book.frame(
        f"""SELECT n, delivery, feed, kind, partner, name, identity, business_date, on_day, payload_sha, run_id,
                   posted_at
            FROM book.posting WHERE on_day = DATE '{day}' AND {known} ORDER BY n"""
    )


def stage1(book: Lookups, numbers: pl.Series) -> pl.DataFrame:
    """Stage 1 of the mass balance, a row a posting, by number.

    posting, feed, name, lines, envelope_lines, records, accepted, quarantined, one column a disposition,
    unexplained_rows, points_net, points_positive, points_negative, unexplained_points. Points are those of the
    accepted rows; what is unexplained adds up magnitudes, so that two faults cannot hide each other.
    """

    def figure(part: str, column: str = "records") -> pl.Expr:
        return pl.col(column).filter(pl.col("part") == part).sum()

    def became(column: str) -> pl.Expr:
        return pl.col(column).filter(pl.col("part").is_in(BECAME)).sum()

    return (
        _figures(book, numbers)
        .group_by("posting", "feed", "name")
        .agg(
            lines=figure("line"),
            envelope_lines=figure("envelope"),
            records=figure("record"),
            accepted=figure("accepted"),
            quarantined=figure("quarantined"),
            **{name: figure(name) for name in BECAME},
            unexplained_rows=(figure("line") - figure("envelope") - figure("record")).abs()
            + (figure("record") - figure("accepted") - figure("quarantined")).abs()
            + (figure("accepted") - became("records")).abs(),
            points_net=figure("accepted", "net"),
            points_positive=figure("accepted", "positive"),
            points_negative=figure("accepted", "negative"),
            unexplained_points=pl.sum_horizontal(
                *((figure("accepted", column) - became(column)).abs() for column in ("net", "positive", "negative"))
            ),
        )
        .sort("posting")
    )


def quarantine(book: Lookups, numbers: pl.Series) -> pl.DataFrame:
    """Quarantined rows of postings by code: order, feed, name, code, count; sorted by order and code."""
    parts = _figures(book, numbers).filter(pl.col("part").str.starts_with(QUARANTINED) & (pl.col("records") > 0))
    return parts.select(
        "order", "feed", "name", code=pl.col("part").str.strip_prefix(QUARANTINED), count="records"
    ).sort("order", "code")


def controls(book: Lookups, numbers: pl.Series) -> pl.DataFrame:
    """Control totals of postings: order, feed, name, control, declared, computed, holds; sorted by order and control.

    A posted file's total that does not hold was excused by its layout: amounts that cannot be read were left out.
    """
    return book.frame(
        """SELECT CAST(p.delivery AS BIGINT) AS "order", p.feed, p.name, c.control, c.declared, c.computed,
                  c.declared = c.computed AS holds
           FROM book.control c JOIN wanted w ON w.n = c.file_id JOIN book.posting p ON p.n = w.n
           ORDER BY p.delivery, c.control""",
        wanted=_wanted(numbers),
    )


def matches(book: Lookups, numbers: pl.Series) -> pl.DataFrame:
    """How the answers of postings met our requests: partner, match_pass, count, points_ours, points_theirs, difference.

    Each answer counts once: ``exact``, ``tolerance`` (exact, but for an amount within the layout's tolerance),
    ``reference`` (held by the partner, with another amount), ``settled_key`` (our request had ended: a reversal, a late
    answer), ``duplicate`` (said before) or ``unmatched_theirs`` (kept open as theirs). ``theirs_first`` counts requests
    of these postings whose answer had come before them. Points keep their sign; ours are those sent, for a reversal
    those reversed; difference = ours less theirs. Sorted by partner and pass.
    """
    equal = ", ".join(f"{event:d}" for event in _EQUAL)
    return book.frame(
        f"""WITH said AS (
                SELECT d.file_id, d.line_no, d.disposition, d.event, d.match_pass, d.item_id, d.points
                FROM book.disposition d WHERE d.file_id IN (
                    SELECT p.n FROM book.posting p SEMI JOIN wanted USING (n) WHERE p.kind = '{FeedKind.HANDBACK}')
            ), varied AS (  -- more than one move: what left the clearing account is what was sent
                SELECT e.file_id, e.line_no, -sum(e.amount) AS sent FROM book.entry e
                JOIN book.account a ON a.account_id = e.account_id AND a.kind = 'in_flight'
                WHERE e.transfer_id IN (SELECT v.transfer_id FROM book.entry v JOIN wanted w ON w.n = v.file_id
                                        WHERE v.event = {Event.ACCEPTED:d} AND v.leg > 1)
                GROUP BY e.file_id, e.line_no
            ), other AS (
                SELECT i.item_id, i.amount FROM book.item i WHERE i.side = {Side.OURS:d} AND i.item_id IN (
                    SELECT item_id FROM said WHERE event NOT IN ({equal}) AND item_id IS NOT NULL)
            ), named AS (
                SELECT s.file_id, s.points AS theirs,
                       CASE WHEN s.event IN ({equal}) THEN coalesce(v.sent, s.points) ELSE coalesce(o.amount, 0) END
                           AS ours,
                       CASE WHEN s.disposition = {Disposition.OPEN_THEIRS:d} THEN 'unmatched_theirs'
                            WHEN s.disposition = {Disposition.DUPLICATE:d} THEN 'duplicate'
                            WHEN s.match_pass = {MatchPass.SETTLED_KEY:d} THEN 'settled_key'
                            WHEN v.sent IS NOT NULL THEN 'tolerance'
                            WHEN ours <> theirs THEN 'reference' ELSE 'exact' END AS match_pass
                FROM said s LEFT JOIN varied v ON v.file_id = s.file_id AND v.line_no = s.line_no
                LEFT JOIN other o ON o.item_id = s.item_id
                UNION ALL
                SELECT k.file_id, answer.amount, request.amount, 'theirs_first'
                FROM book.settled_key k JOIN wanted w ON w.n = k.file_id
                JOIN book.item answer ON answer.item_id = k.item_id
                JOIN book.item request ON request.item_id = CAST(k.file_id AS BIGINT) * {RECORD_SPAN} + k.line_no
                WHERE k.state = {State.CLOSED:d} AND request.side = {Side.OURS:d}
            ), summed AS (
                SELECT file_id, match_pass, count(*) AS count, sum(ours) AS ours, sum(theirs) AS theirs
                FROM named GROUP BY file_id, match_pass
            )
            SELECT p.partner, s.match_pass, CAST(sum(s.count) AS BIGINT) AS count,
                   CAST(sum(s.ours) AS BIGINT) AS points_ours, CAST(sum(s.theirs) AS BIGINT) AS points_theirs,
                   CAST(sum(s.ours) - sum(s.theirs) AS BIGINT) AS difference
            FROM summed s JOIN book.posting p ON p.n = s.file_id
            GROUP BY p.partner, s.match_pass ORDER BY p.partner, s.match_pass""",
        wanted=_wanted(numbers),
    )


def break_counts(book: Lookups, numbers: pl.Series) -> pl.DataFrame:
    """Breaks that postings opened, anew or again, and cleared: code, title, opened, cleared; sorted by code."""
    found = book.frame(
        f"""SELECT e.code, count(*) FILTER (WHERE e.event <> {BreakEvent.CLEARED:d}) AS opened,
                   count(*) FILTER (WHERE e.event = {BreakEvent.CLEARED:d}) AS cleared
            FROM book.break_event e JOIN wanted w ON w.n = e.file_id GROUP BY e.code ORDER BY e.code""",
        wanted=_wanted(numbers),
    )
    return found.select(*code_and_title(), "opened", "cleared")


def code_and_title() -> tuple[pl.Expr, pl.Expr]:
    """``code`` (``B04``) and ``title`` from a column ``code`` of small integers."""
    return (
        pl.col("code").replace_strict(
            {code.value: breaks.label(code) for code in breaks.KINDS}, return_dtype=pl.String
        ),
        pl.col("code")
        .replace_strict({code.value: kind.title for code, kind in breaks.KINDS.items()}, return_dtype=pl.String)
        .alias("title"),
    )


def suspense(book: Lookups, partner: str) -> int:
    """Points that stand in a partner's suspense account now."""
    row = book.row(
        """SELECT CAST(coalesce(sum(b.balance), 0) AS BIGINT)
           FROM book.balance b JOIN book.account a ON a.account_id = b.account_id
           JOIN book.partner p ON p.partner_id = a.partner_id WHERE a.kind = 'suspense' AND p.partner = ?""",
        partner,
    )
    return int(row[0]) if row else 0


def _wanted(numbers: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"n": numbers.cast(pl.Int32).unique().sort()})


def _figures(book: Lookups, numbers: pl.Series) -> pl.DataFrame:
    return book.frame(
        """SELECT CAST(p.n AS BIGINT) AS posting, CAST(p.delivery AS BIGINT) AS "order", p.feed, p.name, m.part,
                  m.records, m.net, m.positive, m.negative
           FROM book.mass_balance m JOIN wanted w ON w.n = m.file_id JOIN book.posting p ON p.n = w.n""",
        wanted=_wanted(numbers),
    )
