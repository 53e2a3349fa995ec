"""Reads of the open book that composing needs: small frames, limited to a partner and to what is open or named.

Here: SQL that answers one question each. Not here: reports and extracts (``extracts``), writes (``writing``).
"""

from datetime import date
from typing import Any

import duckdb
import polars as pl

from counterfoil.ledger.model import (
    RECORD_SPAN,
    TRANSFERS_PER_RECORD,
    Action,
    BreakCode,
    ItemKind,
    MatchPass,
    MatchRole,
    Side,
    State,
)
from counterfoil.ledger.periods import locked_after
from counterfoil.ledger.tables import OPEN_ITEM
from counterfoil.reconcile import breaks

_OPEN = ", ".join(OPEN_ITEM)


class Lookups:
    """One open connection to the book."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def row(self, query: str, *values: object) -> tuple[Any, ...] | None:
        """The first row of a query, or None."""
        row: tuple[Any, ...] | None = self._connection.execute(query, list(values)).fetchone()
        return row

    def frame(self, query: str, **frames: pl.DataFrame) -> pl.DataFrame:
        """A query's rows; ``frames`` can be named in it as tables."""
        for name, frame in frames.items():
            self._connection.register(name, frame)
        try:
            return self._connection.sql(query).pl()
        finally:
            for name in frames:
                self._connection.unregister(name)

    def last_posting(self) -> int:
        """The number of the last posting, 0 for an empty book."""
        return self.last_id("posting", "n")

    def open_day(self) -> date | None:
        """The first programme day that is not closed, or None before any was."""
        row = self.row("SELECT CAST(max(day) + 1 AS DATE) FROM book.closed_day")
        day: date | None = row[0] if row else None
        return day

    def programme_day(self, business_date: date) -> date:
        """The programme day on which a file counts: its business date, or the first day still open."""
        open_day = self.open_day()
        return max(business_date, open_day) if open_day else business_date

    def feeds_posted_for(self, day: date) -> list[str]:
        """The feeds of which a file of this business date was posted."""
        query = f"SELECT DISTINCT feed FROM book.posting WHERE business_date = DATE '{day}' ORDER BY feed"
        return self.frame(query)["feed"].to_list()

    def postings_of(self, feed: str, identity: str) -> list[int]:
        """The postings of one identity of a feed, oldest first."""
        query = "SELECT n FROM book.posting WHERE feed = ? AND identity = ? ORDER BY n"
        return [int(n) for (n,) in self._connection.execute(query, [feed, identity]).fetchall()]

    def last_sequence(self, feed: str, epoch: str, restart: str, day: date) -> int | None:
        """What ``identity.sequence_gap`` asks for: the highest number posted in the scope of a file of ``day``; 0 at a
        restart, None before the feed's first file."""
        scope = {"yearly": "year(business_date) = year(?)", "daily": "business_date = ?"}.get(restart, "true")
        row = self.row(
            f"""SELECT max(sequence), max(sequence) FILTER (WHERE {scope}) FROM book.posting
                WHERE feed = ? AND epoch = ?""",
            *([] if scope == "true" else [day]),
            feed,
            epoch,
        )
        in_epoch, in_scope = row or (None, None)
        if in_scope is not None:
            return int(in_scope)
        return None if in_epoch is None else 0

    def locked_periods(self) -> frozenset[str]:
        """Accounting periods that are locked."""
        return locked_after(
            self.frame(
                f"""SELECT subject, action FROM book.decision WHERE action IN ({Action.LOCK:d}, {Action.REOPEN:d})
                    ORDER BY file_id, line_no"""
            )
        )

    def programme_rate(self, currency: str, day: date) -> tuple[int, int] | None:
        """The programme's rate in force on a day: minor units and the points they are for."""
        row = self.row(
            """SELECT minor, per_points FROM book.rate
               WHERE basis = 'programme' AND currency = ? AND effective_from <= ?
               ORDER BY effective_from DESC, file_id DESC, line_no DESC LIMIT 1""",
            currency,
            day,
        )
        return (int(row[0]), int(row[1])) if row else None

    def rates_before(self, sender: str, day: date, currency: str) -> pl.DataFrame:
        """The newest rates by basis, without those that a sender posted on a programme day: basis, minor,
        per_points."""
        return self.frame(
            f"""SELECT basis, minor, per_points FROM (
                    SELECT r.*, row_number() OVER (PARTITION BY r.basis ORDER BY r.effective_from DESC, r.file_id DESC,
                                                   r.line_no DESC) AS place
                    FROM book.rate r JOIN book.posting p ON p.n = r.file_id
                    WHERE r.currency = '{currency}'
                      AND NOT EXISTS (SELECT 1 FROM who w WHERE w.sender = p.sender AND w.day = p.on_day)
                ) WHERE place = 1 ORDER BY basis""",
            who=pl.DataFrame({"sender": [sender], "day": [day]}),
        )

    def balances_by_kind(self) -> pl.DataFrame:
        """Points by kind of account and partner: kind, partner, points."""
        return self.frame(
            """SELECT a.kind, p.partner, CAST(sum(b.balance) AS BIGINT) AS points FROM book.balance b
               JOIN book.account a ON a.account_id = b.account_id JOIN book.partner p ON p.partner_id = a.partner_id
               GROUP BY ALL ORDER BY ALL"""
        )

    def permits(self) -> pl.DataFrame:
        """What people decided about whole files: subject (the payload's hash), action, sender, n, points; oldest
        first."""
        of_files = ", ".join(str(action.value) for action in (Action.RELEASE, Action.DISCARD, Action.APPROVE))
        return self.frame(
            f"""SELECT d.subject, d.action, p.sender, p.n, d.points FROM book.decision d
                JOIN book.posting p ON p.n = d.file_id WHERE d.action IN ({of_files}) ORDER BY d.file_id, d.line_no"""
        )

    def decided(self, sender: str, day: date) -> pl.DataFrame:
        """What a person has moved by decisions on a programme day: action, points, minor (gross)."""
        return self.frame(
            """SELECT d.action, CAST(sum(abs(d.points)) AS BIGINT) AS points,
                      CAST(coalesce(sum(d.minor), 0) AS BIGINT) AS minor
               FROM book.decision d JOIN book.posting p ON p.n = d.file_id JOIN who w ON w.sender = p.sender
               WHERE p.on_day = w.day GROUP BY d.action""",
            who=pl.DataFrame({"sender": [sender], "day": [day]}),
        )

    def has_posted(self, kind: str) -> bool:
        """Whether any file of a kind was posted."""
        return self.row("SELECT 1 FROM book.posting WHERE kind = ? LIMIT 1", kind) is not None

    def last_payload(self, kind: str) -> str:
        """The payload hash of the last posting of a kind, or an empty text."""
        row = self.row("SELECT payload_sha FROM book.posting WHERE kind = ? ORDER BY n DESC LIMIT 1", kind)
        return str(row[0]) if row else ""

    def partners(self) -> pl.DataFrame:
        """Columns of ``partner``."""
        return self.frame("SELECT * FROM book.partner")

    def partner_accounts(self, partner_id: int) -> pl.DataFrame:
        """Accounts of a partner that belong to nobody: kind, account_id."""
        return self.frame(
            f"SELECT kind, account_id FROM book.account WHERE partner_id = {partner_id} AND owner IS NULL"
        )

    def member_accounts(self, partner_id: int, owners: pl.Series) -> pl.DataFrame:
        """Accounts of members by number: owner, account_id, balance."""
        return self.frame(
            f"""SELECT a.owner, a.account_id, CAST(coalesce(b.balance, 0) AS BIGINT) AS balance
                FROM wanted JOIN book.account a ON a.owner = wanted.owner
                LEFT JOIN book.balance b ON b.account_id = a.account_id
                WHERE a.partner_id = {partner_id} AND a.kind = 'member' ORDER BY a.account_id""",
            wanted=pl.DataFrame({"owner": owners}),
        )

    def balance_of(self, account_id: int) -> int:
        """What an account holds; 0 for one without entries."""
        row = self.row("SELECT CAST(balance AS BIGINT) FROM book.balance WHERE account_id = ?", account_id)
        return int(row[0]) if row else 0

    def reasons(self, partner_id: int) -> pl.DataFrame:
        """Reason codes of a partner: reason, reason_id."""
        return self.frame(f"SELECT reason, reason_id FROM book.reason WHERE partner_id = {partner_id}")

    def last_id(self, table: str, column: str) -> int:
        """The largest number in a column, 0 when there is none."""
        row = self.row(f"SELECT coalesce(max({column}), 0) FROM book.{table}")
        return int(row[0]) if row else 0

    def open_items(self, partner_id: int, side: Side) -> pl.DataFrame:
        """Open items of one side that the other may answer, columns OPEN_ITEM."""
        return self.frame(
            f"""SELECT {_OPEN} FROM book.open_item
                WHERE partner_id = {partner_id} AND side = {side:d} AND kind <> {ItemKind.THEIR_ACTIVITY:d}"""
        )

    def named_items(self, partner_id: int, refs: pl.Series, members: pl.Series) -> pl.DataFrame:
        """Our open items that answers name by reference, the member being the same or not said, in any order: row (of
        the answers), item_id, kind, state, source_account, sent, asked_on. To read all open items and match them
        outside takes three times as long."""
        return self.frame(
            f"""SELECT a.row, o.item_id, o.kind, o.state, o.source_account, o.amount AS sent,
                       o.value_date AS asked_on
                FROM named a JOIN book.open_item o ON o.ref = a.ref
                WHERE o.partner_id = {partner_id} AND o.side = {Side.OURS:d}
                  AND (a.member IS NULL OR a.member = o.member)""",
            named=pl.DataFrame({"ref": refs, "member": members}).with_row_index("row"),
        )

    def awaiting(self, partner_id: int, refs: pl.Series) -> pl.DataFrame:
        """Our open items among references, as candidates for answers: ref, item_member and ``passes.ITEM_COLUMNS``."""
        return self.frame(
            f"""SELECT o.ref, o.member AS item_member, o.item_id, o.kind, o.state, o.source_account, o.amount AS sent,
                       o.value_date AS asked_on
                FROM wanted w JOIN book.open_item o ON o.ref = w.ref
                WHERE o.partner_id = {partner_id} AND o.side = {Side.OURS:d} ORDER BY o.item_id""",
            wanted=pl.DataFrame({"ref": refs}),
        ).with_columns(confirmed=pl.lit(0, pl.Int64), reversed=pl.lit(0, pl.Int64))

    def settled_items(self, partner_id: int, refs: pl.Series, since: date) -> pl.DataFrame:
        """Our ended items among references, since a month: ref, item_id, kind, state, item_member, source_account,
        sent, asked_on, confirmed, reversed. The newest settled key of an item counts."""
        return self.frame(
            f"""WITH named AS (
                    SELECT i.* FROM book.item i JOIN wanted w ON w.ref = i.ref
                    WHERE i.partner_id = {partner_id} AND i.side = {Side.OURS:d}
                ), ended AS (
                    SELECT n.*, k.state, k.confirmed, k.reversed,
                           row_number() OVER (PARTITION BY n.item_id ORDER BY k.file_id DESC, k.line_no DESC) AS age
                    FROM named n JOIN book.settled_key k ON k.item_id = n.item_id
                    ANTI JOIN book.open_item o ON o.item_id = n.item_id
                    WHERE k.month >= {since.year * 100 + since.month}
                )
                SELECT ref, item_id, kind, state, member AS item_member, source_account, amount AS sent,
                       value_date AS asked_on, confirmed, reversed
                FROM ended WHERE age = 1 AND state <> {State.WITHDRAWN:d} ORDER BY item_id""",
            wanted=pl.DataFrame({"ref": refs}),
        )

    def requests_of(self, partner_id: int, members: pl.Series) -> pl.DataFrame:
        """Requests of ours that await an answer, by their members: item_id, ref, member, amount, value_date."""
        return self.frame(
            f"""SELECT o.item_id, o.ref, o.member, o.amount, o.value_date
                FROM (SELECT DISTINCT member FROM wanted) w JOIN book.open_item o ON o.member = w.member
                WHERE o.partner_id = {partner_id} AND o.side = {Side.OURS:d} AND o.kind = {ItemKind.REQUEST:d}
                  AND o.state IN ({State.PENDING:d}, {State.HELD:d}) ORDER BY o.item_id""",
            wanted=pl.DataFrame({"member": members}, schema={"member": pl.String}),
        )

    def netted(self, partner_id: int, refs: pl.Series) -> pl.DataFrame:
        """Answers among references that settled several requests, and were not taken back: ref, netted (points)."""
        return self.frame(
            f"""SELECT i.ref, max(i.amount) AS netted FROM book.item i JOIN wanted w ON w.ref = i.ref
                WHERE i.partner_id = {partner_id} AND i.side = {Side.THEIRS:d} AND EXISTS (
                    SELECT 1 FROM book.match m WHERE m.match_pass = {MatchPass.NETTED:d} AND m.role = {MatchRole.PART:d}
                      AND i.item_id = CAST(m.file_id AS BIGINT) * {RECORD_SPAN} + m.line_no)
                  AND NOT EXISTS (
                    SELECT 1 FROM book.reversal r WHERE r.reverses // {TRANSFERS_PER_RECORD} = i.item_id)
                GROUP BY i.ref""",
            wanted=pl.DataFrame({"ref": refs}, schema={"ref": pl.String}),
        )

    def rivals(self, partner_id: int, tolerated: pl.DataFrame) -> pl.DataFrame:
        """Of answers that are a little off (line_no, item_id, points), those whose member has another open request
        with exactly their points: line_no."""
        return self.frame(
            f"""SELECT DISTINCT t.line_no FROM tolerated t JOIN book.open_item i ON i.item_id = t.item_id
                JOIN book.open_item o ON o.member = i.member AND o.amount = t.points AND o.item_id <> i.item_id
                WHERE o.partner_id = {partner_id} AND o.side = {Side.OURS:d}
                  AND o.state IN ({State.PENDING:d}, {State.HELD:d})""",
            tolerated=tolerated.select("line_no", "item_id", "points"),
        )

    def refs(self, items: pl.Series) -> pl.DataFrame:
        """References of items: item_id, ref."""
        return self.frame(
            "SELECT item_id, ref FROM book.item SEMI JOIN wanted USING (item_id) ORDER BY item_id",
            wanted=pl.DataFrame({"item_id": items}, schema={"item_id": pl.Int64}),
        )

    def tolerated(self, partner: str, day: date) -> int:
        """Points of difference that answers of a partner were off and settled all the same, signs apart, in the month
        of a programme day; what was taken back since does not count."""
        row = self.row(
            f"""SELECT CAST(coalesce(sum(abs(m.difference)), 0) AS BIGINT)
                FROM book.match m JOIN book.posting p ON p.n = m.file_id
                WHERE m.match_pass = {MatchPass.TOLERANCE:d} AND p.partner = ?
                  AND p.on_day BETWEEN date_trunc('month', CAST(? AS DATE)) AND last_day(CAST(? AS DATE))
                  AND NOT EXISTS (
                      SELECT 1 FROM book.reversal r WHERE r.reverses // {TRANSFERS_PER_RECORD} =
                          CAST(m.file_id AS BIGINT) * {RECORD_SPAN} + m.line_no)""",
            partner,
            day,
            day,
        )
        return int(row[0]) if row else 0

    def aliases(self, partner_id: int) -> pl.DataFrame:
        """Merged accounts, each with what stands for it from a day on, one hop a row: member, survivor, since."""
        return self.frame(
            f"""SELECT member, min(survivor) AS survivor, min(since) AS since FROM book.alias
                WHERE partner_id = {partner_id} GROUP BY member ORDER BY member"""
        )

    def known_members(self, partner_id: int, members: pl.Series) -> pl.Series:
        """Those of the accounts that are members of ours."""
        return self.frame(
            f"""SELECT DISTINCT w.member FROM wanted w JOIN book.member m ON m.member = w.member
                WHERE m.partner_id = {partner_id} ORDER BY 1""",
            wanted=pl.DataFrame({"member": members}),
        )["member"]

    def clearable_breaks(self, partner_id: int) -> pl.DataFrame:
        """Open breaks that a later answer or request can close: break_id, code, subject, item_id, theirs_id."""
        codes = ", ".join(str(code.value) for code in breaks.CLEARABLE if code not in breaks.OF_FILES)
        return self.frame(
            f"""SELECT break_id, code, subject, item_id, theirs_id FROM book.open_break
                WHERE partner_id = {partner_id} AND code IN ({codes}) ORDER BY break_id"""
        )

    def late_rejections(self, partner_id: int) -> pl.DataFrame:
        """Open B11 of rejections that came after their request had ended: break_id, code, subject, item_id,
        theirs_id."""
        return self.frame(
            f"""SELECT b.break_id, b.code, b.subject, b.item_id, b.theirs_id FROM book.open_break b
                JOIN book.open_item t ON t.item_id = b.theirs_id AND t.kind = {ItemKind.THEIR_REJECT:d}
                WHERE b.partner_id = {partner_id} AND b.code = {BreakCode.CONFLICT:d} AND b.item_id IS NOT NULL
                ORDER BY b.break_id"""
        )

    def file_breaks(self) -> pl.DataFrame:
        """Open breaks about whole files: break_id, code, subject."""
        codes = ", ".join(str(code.value) for code in breaks.OF_FILES)
        return self.frame(
            f"SELECT break_id, code, subject FROM book.open_break WHERE code IN ({codes}) ORDER BY break_id"
        )

    def overdue(self, day: date) -> pl.DataFrame:
        """Our open items that nobody has answered by the end of the day they were due, and that have no B02 yet.

        item_id, partner_id, ref, amount, value_date. One that was answered in a way that settles nothing has its break
        already.
        """
        answered = ", ".join(str(code.value) for code in breaks.ANSWERED)
        return self.frame(
            f"""SELECT o.item_id, o.partner_id, o.ref, o.amount, o.value_date FROM book.open_item o
                WHERE o.side = {Side.OURS:d} AND o.state IN ({State.PENDING:d}, {State.HELD:d})
                  AND o.due_date < DATE '{day}'
                  AND NOT EXISTS (SELECT 1 FROM book.open_break b
                                  WHERE b.item_id = o.item_id AND b.code IN ({answered}))
                ORDER BY o.item_id"""
        )

    def with_break_ids(self, opening: pl.DataFrame) -> pl.DataFrame:
        """Add break_id and occurrence to breaks about to open.

        The id is the head of SHA-256 over partner, subject, family and occurrence; the occurrence counts earlier
        breaks of the same subject and family.
        """
        if opening.is_empty():
            return opening.with_columns(occurrence=pl.lit(0, pl.Int32), break_id=pl.lit("", pl.String))
        in_transit, overdue = BreakCode.IN_TRANSIT.value, BreakCode.OVERDUE.value
        family = f"CASE WHEN {{0}}.code = {overdue} THEN {in_transit} ELSE {{0}}.code END"
        return self.frame(
            f"""WITH counted AS (
                    SELECT o.*, {family.format("o")} AS family,
                           row_number() OVER (PARTITION BY o.partner_id, o.subject, {family.format("o")}
                                              ORDER BY o.line_no, o.item_id, o.theirs_id) AS here
                    FROM opening o
                ), before AS (
                    SELECT b.partner_id, b.subject, {family.format("b")} AS family, count(*) AS earlier
                    FROM book.break b SEMI JOIN opening o ON o.subject = b.subject GROUP BY ALL
                )
                SELECT c.* EXCLUDE (family, here), CAST(c.here + coalesce(e.earlier, 0) AS INTEGER) AS occurrence,
                       substr(sha256(concat_ws('|', c.partner_id, c.subject, c.family,
                                               c.here + coalesce(e.earlier, 0))), 1, 16) AS break_id
                FROM counted c LEFT JOIN before e
                  ON e.partner_id IS NOT DISTINCT FROM c.partner_id AND e.subject = c.subject AND e.family = c.family
                ORDER BY c.line_no, c.code, break_id""",
            opening=opening,
        )
