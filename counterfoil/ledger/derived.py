"""What must agree inside the book: transfers, dispositions, reversals, and working sets with the rows they follow from.

Here: one set query a rule, over the whole book. Not here: digests and links (``verify``). A query gives n, line and ids
of the rows that break its rule, never their values.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from counterfoil.feed import FeedKind
from counterfoil.ledger.differences import NAMED_MAX, Finding
from counterfoil.ledger.gl_balances import unexplained
from counterfoil.ledger.histories import open_now, unsigned
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import (
    LIVE_VOUCHERS,
    RECORD_SPAN,
    BreakCode,
    BreakEvent,
    Disposition,
    Event,
    ItemKind,
    Side,
    State,
)
from counterfoil.ledger.tables import OPEN_BREAK, OPEN_ITEM, OPEN_LOT, OPEN_VOUCHER
from counterfoil.ledger.voucher_books import latest
from counterfoil.reconcile.balance import BECAME


@dataclass(frozen=True)
class _Rule:
    """What holds, where, and a query for what breaks it: n, line, row."""

    check: str
    table: str
    found: str
    expected: str
    query: str


def _item(column: str) -> str:
    """SQL: where the record lies that an item was made by."""
    return f"CAST({column} // {RECORD_SPAN} AS BIGINT) AS n, CAST({column} % {RECORD_SPAN} AS BIGINT) AS line"


_ENTRIES: Final = (
    _Rule(
        "transfer",
        "entry",
        "a transfer that does not add up",
        "legs that add up to zero",
        """SELECT file_id AS n, min(line_no) AS line, concat('transfer_id ', transfer_id) AS row FROM book.entry
           GROUP BY file_id, transfer_id HAVING sum(amount) <> 0 OR count(amount) < count(*)""",
    ),
    _Rule(
        "reversal",
        "reversal",
        "an undoing that does not mirror what it undoes",
        "the same legs turned round",
        """WITH legs AS (
               SELECT r.file_id, r.line_no, r.transfer_id, e.account_id, e.amount
               FROM book.reversal r JOIN book.entry e ON e.transfer_id = r.transfer_id
               UNION ALL
               SELECT r.file_id, r.line_no, r.transfer_id, e.account_id, e.amount
               FROM book.reversal r JOIN book.entry e ON e.transfer_id = r.reverses
           ), uneven AS (
               SELECT file_id, min(line_no) AS line, transfer_id FROM legs
               GROUP BY file_id, transfer_id, account_id HAVING sum(amount) <> 0
           )
           SELECT file_id AS n, min(line) AS line, concat('transfer_id ', transfer_id) AS row FROM uneven
           GROUP BY file_id, transfer_id""",
    ),
    _Rule(
        "reversal",
        "reversal",
        "a transfer that is undone twice",
        "one undoing at most",
        """SELECT max(file_id) AS n, max(line_no) AS line, concat('reverses ', reverses) AS row FROM book.reversal
           GROUP BY reverses HAVING count(*) > 1""",
    ),
)

_KINDS: Final = " ".join(f"WHEN {kind.value} THEN '{kind.name.lower()}'" for kind in Disposition)
_FIGURES: Final = ("records", "net", "positive", "negative")

_RECORDS: Final = (
    _Rule(
        "disposition",
        "disposition",
        "a record with more than one disposition",
        "one for each accepted record",
        """SELECT file_id AS n, line_no AS line, '' AS row FROM book.disposition
           GROUP BY file_id, line_no HAVING count(*) > 1""",
    ),
    _Rule(
        "mass_balance",
        "mass_balance",
        "figures that its dispositions do not add up to",
        "the figures of the dispositions",
        f"""WITH made AS (
                SELECT file_id, CASE disposition {_KINDS} END AS part, count(*) AS records,
                       coalesce(sum(points), 0) AS net, coalesce(sum(points) FILTER (WHERE points > 0), 0) AS positive,
                       coalesce(sum(points) FILTER (WHERE points < 0), 0) AS negative
                FROM book.disposition GROUP BY ALL
            ), told AS (
                SELECT file_id, part, sum(records) AS records, sum(net) AS net, sum(positive) AS positive,
                       sum(negative) AS negative
                FROM book.mass_balance WHERE part IN ({", ".join(f"'{part}'" for part in BECAME)}) GROUP BY ALL
            )
            SELECT file_id AS n, CAST(NULL AS BIGINT) AS line, concat('part ', part) AS row
            FROM told FULL JOIN made USING (file_id, part)
            WHERE {" OR ".join(f"coalesce(told.{one}, 0) <> coalesce(made.{one}, 0)" for one in _FIGURES)}""",
    ),
    _Rule(
        "mass_balance",
        "mass_balance",
        "records that are not accounted for",
        "line = envelope + accepted + quarantined, and as many dispositions as accepted records",
        f"""WITH told AS (
                SELECT file_id, {
            ", ".join(
                f"sum(records) FILTER (WHERE part = '{part}') AS {part}"
                for part in ("line", "envelope", "record", "accepted", "quarantined")
            )
        }
                FROM book.mass_balance GROUP BY file_id
            ), made AS (SELECT file_id, count(*) AS became FROM book.disposition GROUP BY file_id)
            SELECT p.n, CAST(NULL AS BIGINT) AS line, '' AS row
            FROM book.posting p LEFT JOIN told t ON t.file_id = p.n LEFT JOIN made m ON m.file_id = p.n
            WHERE t.line IS DISTINCT FROM t.envelope + t.record OR t.record IS DISTINCT FROM t.accepted + t.quarantined
               OR t.accepted IS DISTINCT FROM coalesce(m.became, 0)""",
    ),
    _Rule(
        "mass_balance",
        "mass_balance",
        "figures of the file that do not add up",
        "accepted points = those of the dispositions, and quarantined rows = those of their codes",
        f"""WITH parts AS (
                SELECT file_id, part, sum(records) AS records, sum(net) AS net, sum(positive) AS positive,
                       sum(negative) AS negative FROM book.mass_balance GROUP BY ALL
            ), coded AS (
                SELECT file_id, 'quarantined' AS part, sum(records) AS records, sum(net) AS net,
                       sum(positive) AS positive, sum(negative) AS negative
                FROM parts WHERE part LIKE 'quarantined:%' GROUP BY file_id
            ), became AS (
                SELECT file_id, 'accepted' AS part, count(*) AS records, sum(points) AS net,
                       sum(greatest(points, 0)) AS positive, sum(least(points, 0)) AS negative
                FROM book.disposition GROUP BY file_id
            )
            SELECT w.file_id AS n, CAST(NULL AS BIGINT) AS line, concat('part ', w.part) AS row
            FROM parts w LEFT JOIN (FROM coded UNION ALL FROM became) m ON m.file_id = w.file_id AND m.part = w.part
            WHERE w.part IN ('accepted', 'quarantined')
              AND ({" OR ".join(f"coalesce(m.{one}, 0) IS DISTINCT FROM w.{one}" for one in _FIGURES)})
            UNION ALL  -- lines are counted, and have no points
            SELECT file_id, NULL, concat('part ', part) FROM parts WHERE part IN ('line', 'envelope', 'record')
              AND ({" OR ".join(f"{one} IS DISTINCT FROM 0" for one in _FIGURES[1:])})""",
    ),
    _Rule(
        "posting",
        "posting",
        "another programme day than the one it fell on",
        "its business date, or the first day that was open",
        f"""WITH closed AS (SELECT file_id, max(day) AS day FROM book.closed_day GROUP BY file_id), until AS (
                SELECT p.n, p.kind, p.business_date, p.on_day,
                       max(c.day) OVER (ORDER BY p.n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS day
                FROM book.posting p LEFT JOIN closed c ON c.file_id = p.n
            )
            SELECT n, CAST(NULL AS BIGINT) AS line, '' AS row FROM until
            WHERE on_day IS DISTINCT FROM CASE WHEN kind = '{FeedKind.CALENDAR}' OR day IS NULL THEN business_date
                ELSE greatest(business_date, CAST(day + 1 AS DATE)) END""",
    ),
)

_LOTS: Final = (
    _Rule(
        "open_lot",
        "lot_use",
        "more points used than the lot held, or of no lot",
        "uses of a lot within what it held",
        f"""SELECT {_item("u.lot_id")}, concat('lot_id ', u.lot_id) AS row
            FROM (SELECT lot_id, sum(amount) AS used FROM book.lot_use WHERE lot_id IS NOT NULL GROUP BY lot_id) u
            LEFT JOIN book.lot l ON l.lot_id = u.lot_id WHERE l.lot_id IS NULL OR u.used > l.amount""",
    ),
    _Rule(
        "open_lot",
        "open_lot",
        "lots that hold more than their account",
        "at most the balance of the account",
        """SELECT CAST(NULL AS BIGINT) AS n, CAST(NULL AS BIGINT) AS line, concat('account_id ', l.account_id) AS row
           FROM (SELECT account_id, sum(remaining) AS held FROM book.open_lot GROUP BY account_id) l
           LEFT JOIN book.balance b ON b.account_id = l.account_id WHERE l.held > coalesce(b.balance, 0)""",
    ),
)

_BREAKS: Final = (
    _Rule(
        "open_break",
        "break_event",
        "a break that is opened or cleared twice over",
        "openings and clearings in turn",
        f"""SELECT max(file_id) AS n, max(line_no) AS line, concat('break_id ', break_id) AS row
            FROM book.break_event GROUP BY break_id
            HAVING sum(CASE WHEN event = {BreakEvent.CLEARED:d} THEN -1 ELSE 1 END) NOT IN (0, 1)""",
    ),
)

_STATEMENTS: Final = (
    _Rule(
        "gl_statement",
        "gl_statement",
        "entries by hand that are not those it takes off",
        "line C = the entries that its extract lists",
        """WITH listed AS (
               SELECT file_id, account, currency, sum(minor) AS minor, min(line_no) AS line FROM book.gl_by_hand
               GROUP BY ALL
           )
           SELECT coalesce(s.file_id, l.file_id) AS n, coalesce(s.line_no, l.line) AS line, '' AS row
           FROM book.gl_statement s FULL JOIN listed l
             ON l.file_id = s.file_id AND l.account = s.account AND l.currency = s.currency
           WHERE s.by_hand IS DISTINCT FROM coalesce(l.minor, 0)""",
    ),
    _Rule(
        "gl_statement",
        "break",
        "a difference with the general ledger that no statement shows",
        "a statement whose line H is not 0",
        f"""SELECT b.file_id AS n, b.line_no AS line, concat('break_id ', b.break_id) AS row FROM book.break b
            ANTI JOIN (SELECT s.file_id, s.line_no FROM book.gl_statement s WHERE {unexplained("s")} <> 0) s
              ON s.file_id = b.file_id AND s.line_no = b.line_no
            WHERE b.code = {BreakCode.LEDGER_DIFFERS:d}""",
    ),
)

_CHARGES: Final = (
    _Rule(
        "charge",
        "charge",
        "an expected charge that is not its points at the rate it names",
        "points times the rate, rounded half even",
        """WITH valued AS (
               SELECT c.*, CAST(c.points AS HUGEINT) * r.minor AS product, CAST(r.per_points AS HUGEINT) AS per
               FROM book.charge c LEFT JOIN book.rate r ON r.file_id = c.rate_file AND r.line_no = c.rate_line
               WHERE c.rate_file IS NOT NULL
           ), split AS (
               SELECT *, abs(product) // per AS whole, abs(product) % per AS rest FROM valued
           )
           SELECT CAST(file_id AS BIGINT) AS n, CAST(line_no AS BIGINT) AS line, concat('answer_id ', answer_id) AS row
           FROM split WHERE ours IS DISTINCT FROM sign(product) * (
               whole + CASE WHEN 2 * rest > per OR (2 * rest = per AND whole % 2 = 1) THEN 1 ELSE 0 END)""",
    ),
)

_DIMENSIONS: Final = tuple(
    _Rule(
        table, table, "an id that stands for two things", "one row an id",
        f"""SELECT CAST(max(file_id) AS BIGINT) AS n, CAST(NULL AS BIGINT) AS line, concat('{key} ', {key}) AS row
            FROM book.{table} GROUP BY {key} HAVING count(*) > 1""",
    )
    for table, key in (("partner", "partner_id"), ("account", "account_id"), ("reason", "reason_id"))
)  # fmt: skip

_PROMISES: Final = (
    _Rule(
        "balance",
        "balance",
        "a company that owes points",
        "balances, budgets and promises of 0 and more",
        """SELECT CAST(NULL AS BIGINT) AS n, CAST(NULL AS BIGINT) AS line, concat('account_id ', b.account_id) AS row
           FROM book.balance b JOIN book.account a ON a.account_id = b.account_id
           WHERE a.kind IN ('company', 'budget', 'scheduled', 'unclaimed') AND b.balance < 0""",
    ),
    _Rule(
        "open_item",
        "balance",
        "points kept aside that no promise waits for",
        "scheduled and unclaimed points = those of the promises that wait",
        f"""WITH kept AS (
                SELECT a.partner_id, a.kind, b.balance FROM book.balance b JOIN book.account a USING (account_id)
                WHERE a.kind IN ('scheduled', 'unclaimed')
            ), waiting AS (
                SELECT partner_id, CASE state WHEN {State.SCHEDULED:d} THEN 'scheduled' ELSE 'unclaimed' END AS kind,
                       sum(remaining) AS waits
                FROM book.open_item WHERE side = {Side.PROMISED:d} AND kind = {ItemKind.DISTRIBUTION:d} GROUP BY ALL
            )
            SELECT CAST(NULL AS BIGINT) AS n, CAST(NULL AS BIGINT) AS line, concat('partner_id ', partner_id) AS row
            FROM kept FULL JOIN waiting USING (partner_id, kind)
            WHERE coalesce(balance, 0) <> coalesce(waits, 0)""",
    ),
)

# What migration 0002 told of postings of schema 1, whose digests do not cover it.
_TOLD_SINCE: Final = f"""
    SELECT d.item_id, CAST({State.HELD:d} AS SMALLINT) AS state, {unsigned("i.amount")} AS remaining,
           d.file_id, d.line_no
    FROM book.disposition d JOIN book.item i ON i.item_id = d.item_id
    WHERE d.event = {Event.HELD:d} AND i.side = {Side.OURS:d}
    UNION ALL
    SELECT i.item_id, CAST({State.HELD:d} AS SMALLINT), {unsigned("i.amount")}, k.file_id, k.line_no
    FROM book.settled_key k JOIN book.item h ON h.item_id = k.item_id
    JOIN book.item i ON i.item_id = (CAST(k.file_id AS BIGINT) * {RECORD_SPAN}) + k.line_no
    WHERE k.state = {State.CLOSED:d} AND h.kind = {ItemKind.THEIR_HOLD:d} AND k.line_no > 0 AND i.side = {Side.OURS:d}
    UNION ALL
    SELECT b.theirs_id, CAST({State.UNIDENTIFIED:d} AS SMALLINT), CAST(0 AS BIGINT), b.file_id, b.line_no
    FROM book.break b WHERE b.code = {BreakCode.POINTS_DIFFER:d} AND b.theirs_id // {RECORD_SPAN} < b.file_id"""


def _derived(check: str, columns: tuple[str, ...], place: str, kept: str, derived: str) -> _Rule:
    """A set that is kept beside the rows it follows from. ``kept`` and ``derived`` are queries for its columns, each
    row once; ``place`` gives n, line and row from the first of them."""
    names = ", ".join(columns)
    return _Rule(
        check,
        check,
        "a row that does not follow from what is sealed, or none where one follows",
        "what follows from the sealed rows",
        f"""WITH kept AS ({kept}), derived AS ({derived}), apart AS (
                (SELECT {names} FROM kept EXCEPT ALL SELECT {names} FROM derived)
                UNION ALL (SELECT {names} FROM derived EXCEPT ALL SELECT {names} FROM kept)
            )
            SELECT DISTINCT {place} FROM apart""",
    )


_WORKING_SETS: Final = (
    _derived(
        "balance",
        ("account_id", "balance"),
        "CAST(NULL AS BIGINT) AS n, CAST(NULL AS BIGINT) AS line, concat('account_id ', account_id) AS row",
        "SELECT * FROM book.balance",
        "SELECT account_id, sum(amount) AS balance FROM book.entry GROUP BY account_id",
    ),
    _derived(
        "open_item",
        tuple(OPEN_ITEM),
        f"{_item('item_id')}, concat('item_id ', item_id) AS row",
        "SELECT * FROM book.open_item",
        f"SELECT i.*, d.state, d.remaining FROM ({open_now()}) d JOIN book.item i ON i.item_id = d.item_id",
    ),
    _derived(
        "open_break",
        OPEN_BREAK,
        "CAST(NULL AS BIGINT) AS n, CAST(NULL AS BIGINT) AS line, concat('break_id ', break_id) AS row",
        "SELECT * FROM book.open_break",
        f"""SELECT b.* FROM book.break b WHERE b.break_id IN (
                SELECT break_id FROM book.break_event GROUP BY break_id
                HAVING sum(CASE WHEN event = {BreakEvent.CLEARED:d} THEN -1 ELSE 1 END) > 0)""",
    ),
    _derived(
        "open_lot",
        tuple(OPEN_LOT),
        f"{_item('lot_id')}, concat('lot_id ', lot_id) AS row",
        "SELECT * FROM book.open_lot",
        """SELECT l.lot_id, l.account_id, l.amount - coalesce(u.used, 0) AS remaining, l.earned, l.expires
           FROM book.lot l LEFT JOIN (SELECT lot_id, sum(amount) AS used FROM book.lot_use GROUP BY lot_id) u
             ON u.lot_id = l.lot_id
           WHERE l.amount > coalesce(u.used, 0)""",
    ),
    _derived(
        "open_voucher",
        tuple(OPEN_VOUCHER),
        f"{_item('voucher_id')}, concat('voucher_id ', voucher_id) AS row",
        "SELECT * FROM book.open_voucher",
        f"SELECT * FROM ({latest()}) WHERE state IN ({', '.join(str(state.value) for state in LIVE_VOUCHERS)})",
    ),
    _derived(
        "item_change",
        ("item_id", "state", "remaining", "file_id", "line_no"),
        "CAST(file_id AS BIGINT) AS n, CAST(line_no AS BIGINT) AS line, concat('item_id ', item_id) AS row",
        "SELECT c.* FROM book.item_change c JOIN book.posting p ON p.n = c.file_id WHERE p.book_schema = 1",
        f"SELECT t.* FROM ({_TOLD_SINCE}) t JOIN book.posting p ON p.n = t.file_id WHERE p.book_schema = 1",
    ),
)

RULES: Final = (
    *_ENTRIES, *_RECORDS, *_LOTS, *_BREAKS, *_STATEMENTS, *_CHARGES, *_DIMENSIONS, *_PROMISES, *_WORKING_SETS,
)  # fmt: skip


def contradictions(book: Lookups, say: Callable[[int, int], None]) -> Iterator[Finding]:
    """Everything in the book that does not agree, rule by rule; of each rule the first NAMED_MAX.

    ``say`` is told how many rules are done, and how many there are.
    """
    for number, rule in enumerate(RULES):
        say(number, len(RULES))
        broken = book.frame(f"SELECT n, line, row FROM ({rule.query}) ORDER BY ALL NULLS LAST LIMIT {NAMED_MAX}")
        yield from _named(rule, broken)
    say(len(RULES), len(RULES))


def _named(rule: _Rule, broken: pl.DataFrame) -> Iterator[Finding]:
    for n, line, row in broken.iter_rows():
        yield Finding(
            rule.check, rule.found, rule.expected, posting=n, table=rule.table, line=line or None, row=row or None
        )
