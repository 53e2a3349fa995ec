"""The one transaction that posts a file: rows in, working sets moved, proofs, digest, record, commit.

Here: writes and the proofs that abort them. Not here: what is written (``compose``) or when (``journey``).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime

import duckdb
import polars as pl

from counterfoil.errors import Code
from counterfoil.invariants import require
from counterfoil.ledger import audit
from counterfoil.ledger.chart import PostingRules
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import LIVE_VOUCHERS, TRANSFERS_PER_RECORD, BreakEvent, Event
from counterfoil.ledger.posting import LEGS_MAX, Changes
from counterfoil.ledger.tables import OPEN_BREAK, OPEN_VOUCHER, TABLES
from counterfoil.reconcile import balance

CHUNK_ROWS = 1 << 19
"""DuckDB gives each chunk of a frame to one thread; a frame in one piece is written by one thread."""

AT_THE_RECORD = (1, 5)
"""Legs that a record's own points arrive at."""


@dataclass(frozen=True)
class Entitled:
    """What a posting says of its file; the columns of ``book.posting`` that are known before it is sealed."""

    n: int
    delivery: int
    feed: str
    kind: str
    partner: str
    name: str
    identity: str
    epoch: str
    sequence: int | None
    business_date: date
    on_day: date
    payload_sha: str
    run_id: str
    actor: str
    posted_at: datetime
    software: str
    verdict: str
    book_schema: int
    sender: str


@dataclass(frozen=True)
class Posted:
    """A committed posting: its number, heads, what it did in rows, and how long each stage took."""

    n: int
    rows_digest: str
    content_head: str
    chain_head: str
    seconds: Mapping[str, float]


class Writer(Lookups):
    """The book, open for writing under the exclusive lock."""

    def post(
        self,
        entitled: Entitled,
        stages: Sequence[Callable[[], Changes]],
        *,
        figures: Callable[[pl.DataFrame], pl.DataFrame],
        controls: pl.DataFrame,
        rules: PostingRules,
        rule_hashes: Mapping[str, str],
        seal: Callable[[], str],
    ) -> Posted:
        """Post one file in one transaction.

        ``stages`` compose what it does, each on the book as the one before it left it: a correction first undoes and
        then does anew. ``figures`` makes the mass balance of the file from all its dispositions, ``controls`` are its
        control totals. ``seal`` fsyncs the posting record and returns its hash; it runs after the proofs and right
        before the commit, so that a record without its batch can only mean a crash in between. Raises POSTING_UNPROVED
        and leaves the book untouched when a proof fails.
        """
        seconds: dict[str, float] = {}
        # Hashing and DuckDB both let other threads run, so the digest is made beside the writes.
        with ThreadPoolExecutor(max_workers=1) as beside, self._transaction(seconds):
            *earlier, last = stages
            undone = [self._applied(stage(), seconds) for stage in earlier]
            with _timed(seconds, "compose"):
                changes = last()
            rows = _merged([*undone, changes], entitled.book_schema)
            digest = beside.submit(audit.rows_digest, rows, entitled.book_schema)
            self._applied(changes, seconds)
            with _timed(seconds, "write"):
                self._insert({"item_change": rows["item_change"]})
                balanced = figures(rows["disposition"])
                self._keep(entitled.n, balanced, controls)
            with _timed(seconds, "prove"):
                self._prove(entitled.n, rows, balanced, rules)
            with _timed(seconds, "digest"):
                rows_digest = digest.result()
            content, chain = self._seal(entitled, rows_digest, rule_hashes, seal)
        return Posted(entitled.n, rows_digest, content, chain, seconds)

    def _applied(self, changes: Changes, seconds: dict[str, float]) -> Changes:
        """Write what one stage changes, but for ``item_change``: of two stages only the last one's tells."""
        with _timed(seconds, "write"):
            self._insert({table: frame for table, frame in changes.rows.items() if table != "item_change"})
            self._move(changes)
        return changes

    @contextmanager
    def _transaction(self, seconds: dict[str, float]) -> Iterator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
            with _timed(seconds, "commit"):
                self._connection.execute("COMMIT")
        except BaseException:
            # A commit that fails has rolled back by itself.
            with suppress(duckdb.Error):
                self._connection.execute("ROLLBACK")
            raise

    def _insert(self, rows: Mapping[str, pl.DataFrame]) -> None:
        for table, frame in rows.items():
            if frame.height:
                self._append(table, frame)

    def _append(self, table: str, frame: pl.DataFrame) -> None:
        parts = [frame.slice(at, CHUNK_ROWS) for at in range(0, frame.height, CHUNK_ROWS)]
        self._connection.register("stage", pl.concat(parts, rechunk=False))
        names = ", ".join(frame.columns)
        self._connection.execute(f"INSERT INTO book.{table} ({names}) SELECT {names} FROM stage")
        self._connection.unregister("stage")

    def _move(self, changes: Changes) -> None:
        """Bring the working sets in step with the rows just added."""
        require(changes.closed["item_id"].n_unique() == changes.closed.height, "an item closes once in a file")
        self._delete("open_item", "item_id", changes.closed["item_id"])
        restated = changes.rows["item_change"]
        if restated.height:
            self._stage(
                "UPDATE book.open_item AS o SET state = stage.state, remaining = stage.remaining "
                "FROM stage WHERE o.item_id = stage.item_id",
                restated,
            )
        if changes.opened.height:
            self._append("open_item", changes.opened)
        self._move_breaks(changes)
        self._move_lots(changes)
        self._move_vouchers(changes.rows["voucher_change"])
        self._balance(changes.rows["entry"])

    def _move_breaks(self, changes: Changes) -> None:
        events = changes.rows["break_event"]
        opened, cleared = changes.rows["break"], events.filter(pl.col("event") == BreakEvent.CLEARED.value)["break_id"]
        if opened.height:
            self._append("open_break", opened.select(OPEN_BREAK))
        again = events.filter(pl.col("event") == BreakEvent.REOPENED.value).select("break_id")
        if again.height:
            columns = ", ".join(OPEN_BREAK)
            returned = self._stage(
                f"INSERT INTO book.open_break ({columns}) "
                f"SELECT {columns} FROM book.break SEMI JOIN stage USING (break_id)",
                again,
            )
            require(returned == again.height, "a break that opens again was there")
        self._delete("open_break", "break_id", cleared)

    def _move_lots(self, changes: Changes) -> None:
        drawn = changes.drawn_lots
        if drawn.height:
            moved = self._stage(
                "UPDATE book.open_lot AS o SET remaining = stage.remaining FROM stage WHERE o.lot_id = stage.lot_id",
                drawn,
            )
            require(moved == drawn.height, "a lot that is drawn on was open")
            self._delete("open_lot", "lot_id", drawn.filter(pl.col("remaining") == 0)["lot_id"])
        if changes.opened_lots.height:
            self._append("open_lot", changes.opened_lots)

    def _move_vouchers(self, changed: pl.DataFrame) -> None:
        if changed.is_empty():
            return
        last = changed.sort("line_no").unique("voucher_id", keep="last", maintain_order=True)
        self._stage("DELETE FROM book.open_voucher WHERE voucher_id IN (SELECT voucher_id FROM stage)", last)
        live = last.filter(pl.col("state").is_in([state.value for state in LIVE_VOUCHERS]))
        if live.height:
            self._append("open_voucher", live.select(*OPEN_VOUCHER))

    def _delete(self, table: str, key: str, values: pl.Series) -> None:
        if values.is_empty():
            return
        deleted = self._stage(
            f"DELETE FROM book.{table} WHERE {key} IN (SELECT {key} FROM stage)", pl.DataFrame({key: values})
        )
        require(deleted == values.len(), f"what leaves {table} was in it")

    def _balance(self, entries: pl.DataFrame) -> None:
        if entries.is_empty():
            return
        delta = entries.group_by("account_id").agg(pl.col("amount").sum()).sort("account_id")
        self._stage(
            "UPDATE book.balance AS b SET balance = b.balance + stage.amount FROM stage "
            "WHERE b.account_id = stage.account_id",
            delta,
        )
        self._stage(
            "INSERT INTO book.balance SELECT account_id, amount FROM stage s "
            "WHERE NOT EXISTS (SELECT 1 FROM book.balance b WHERE b.account_id = s.account_id)",
            delta,
        )

    def _keep(self, n: int, figures: pl.DataFrame, controls: pl.DataFrame) -> None:
        file_id = pl.lit(n, pl.Int32).alias("file_id")
        self._append("mass_balance", figures.with_columns(file_id))
        if controls.height:
            self._append("control", controls.select(file_id, "declared", "computed", control="name"))

    def _stage(self, statement: str, frame: pl.DataFrame) -> int:
        """Run a statement over ``stage``; returns the rows it changed."""
        self._connection.register("stage", frame)
        row = self._connection.execute(statement).fetchone()
        self._connection.unregister("stage")
        return int(row[0]) if row else 0

    def _prove(self, n: int, rows: Mapping[str, pl.DataFrame], figures: pl.DataFrame, rules: PostingRules) -> None:
        unexplained = balance.unexplained(figures)
        require(not any(unexplained.values()), f"the mass balance: {unexplained}", code=Code.MASS_BALANCE)
        accepted = int(figures.filter(pl.col("part") == "accepted")["records"][0])
        lines = _ordered(self.frame(f"SELECT line_no FROM book.disposition WHERE file_id = {n}"), "line_no")
        require(lines.height == accepted and _rising(lines["line_no"]), "each accepted record has one disposition")
        self._none(
            f"SELECT 1 FROM book.entry WHERE file_id = {n} AND (account_id IS NULL OR amount IS NULL)",
            "each entry has account and amount",
        )
        booked = self._prove_transfers(n, rows["entry"].height)
        self._prove_booked(n, booked, rules)
        if rows["reversal"].height:
            self._prove_reversals(n)
        if rows["lot"].height or rows["lot_use"].height:
            self._prove_lots()
        self._none("SELECT 1 FROM book.balance HAVING sum(balance) <> 0", "all balances together are zero")
        self._none(f"SELECT 1 FROM book.posting WHERE n >= {n}", "postings are gapless and written once")

    def _prove_transfers(self, n: int, expected: int) -> pl.DataFrame:
        """Prove the entries as the book holds them: each transfer sums to zero, each leg is there once.

        Returns what each event books at its records themselves: event, records, points. Read back and looked at in
        one pass, which takes a fifth of grouping two million transfers.
        """
        leg = pl.col("transfer_id") * LEGS_MAX + pl.col("leg")
        entries = self.frame(
            f"SELECT transfer_id, leg, amount, event FROM book.entry WHERE file_id = {n}"
        ).with_columns(key=leg)
        entries = _ordered(entries, "key")
        require(entries.height == expected and _rising(entries["key"]), "each leg is written once")
        last = (pl.col("transfer_id") != pl.col("transfer_id").shift(-1)).fill_null(value=True)
        totals = entries.select(total=pl.col("amount").cum_sum().filter(last)).to_series()
        require(not (totals != 0).any(), "each transfer sums to zero")
        own = pl.col("transfer_id") % TRANSFERS_PER_RECORD == 0
        return (
            entries.filter(own)
            .group_by("event")
            .agg(
                records=last.sum().cast(pl.Int64),
                points=pl.col("amount").filter(pl.col("leg").is_in(AT_THE_RECORD)).abs().sum(),
            )
        )

    def _prove_booked(self, n: int, booked: pl.DataFrame, rules: PostingRules) -> None:
        """Dispositions = entries: what each event books at the record itself is the sum of its records' points."""
        booking = ", ".join(str(event.value) for event in Event if rules.moves(event))
        self._none(
            f"""WITH said AS (
                    SELECT event, count(*) AS records, CAST(sum(abs(points)) AS BIGINT) AS points
                    FROM book.disposition WHERE file_id = {n} AND event IN ({booking}) AND points <> 0 GROUP BY event
                )
                SELECT 1 FROM said FULL JOIN stage AS booked USING (event)
                WHERE said.records IS DISTINCT FROM booked.records OR said.points IS DISTINCT FROM booked.points""",
            "each event books its records' points",
            booked,
        )

    def _prove_reversals(self, n: int) -> None:
        """What undoes a transfer mirrors it leg by leg, and no transfer is undone twice."""
        self._none(
            f"""WITH pairs AS (SELECT transfer_id, reverses FROM book.reversal WHERE file_id = {n}), legs AS (
                    SELECT p.transfer_id, e.account_id, e.amount
                    FROM pairs p JOIN book.entry e ON e.transfer_id IN (p.transfer_id, p.reverses)
                )
                SELECT 1 FROM legs GROUP BY transfer_id, account_id HAVING sum(amount) <> 0""",
            "each undoing mirrors what it undoes",
        )
        self._none(
            f"""SELECT 1 FROM book.reversal WHERE reverses IN (SELECT reverses FROM book.reversal WHERE file_id = {n})
                GROUP BY reverses HAVING count(*) > 1""",
            "no transfer is undone twice",
        )

    def _prove_lots(self) -> None:
        """Lots hold no more than the balance of their account, and none is empty."""
        self._none(
            """SELECT 1 FROM (SELECT account_id, sum(remaining) AS held, min(remaining) AS least FROM book.open_lot
                              GROUP BY account_id) l LEFT JOIN book.balance b ON b.account_id = l.account_id
               WHERE l.least <= 0 OR l.held > coalesce(b.balance, 0)""",
            "lots hold no more than the balance",
        )

    def _none(self, query: str, what: str, stage: pl.DataFrame | None = None) -> None:
        found = self.frame(f"SELECT count(*) AS rows FROM ({query})", **({} if stage is None else {"stage": stage}))
        require(found["rows"].to_list() == [0], what)

    def _seal(
        self, entitled: Entitled, rows_digest: str, rule_hashes: Mapping[str, str], seal: Callable[[], str]
    ) -> tuple[str, str]:
        last = self.row("SELECT content_head, chain_head FROM book.posting ORDER BY n DESC LIMIT 1")
        content_before, chain_before = last or (audit.GENESIS, audit.GENESIS)
        content = audit.content_head(
            content_before, rows_digest, entitled.payload_sha, (rule_hashes[name] for name in sorted(rule_hashes))
        )
        record_sha = seal()
        chain = audit.chain_head(chain_before, content, record_sha)
        values = {
            **vars(entitled),
            "record_sha": record_sha,
            "rows_digest": rows_digest,
            "content_head": content,
            "chain_head": chain,
        }
        marks = ", ".join("?" for _ in values)
        self._connection.execute(
            f"INSERT INTO book.posting ({', '.join(values)}) VALUES ({marks})", list(values.values())
        )
        return content, chain


def _merged(parts: Sequence[Changes], schema: int) -> dict[str, pl.DataFrame]:
    """The rows of all stages by table; in canonical order since schema 2."""
    rows = {table: pl.concat([part.rows[table] for part in parts]) for table in TABLES}
    rows["item_change"] = rows["item_change"].unique("item_id", keep="last", maintain_order=True)
    return {table: audit.canonical(table, frame) if schema > 1 else frame for table, frame in rows.items()}


def _ordered(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Rows in order of a column; DuckDB gives them back as they were written, so as a rule they are."""
    return rows if rows[key].is_sorted() else rows.sort(key)


def _rising(key: pl.Series) -> bool:
    return bool((key > key.shift(1)).slice(1).all())


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start
