"""What the book alone can prove: its digests and links, its transfers and dispositions, its working sets."""

from collections.abc import Iterator
from typing import Any

import duckdb
import polars as pl
import pytest

from counterfoil.ledger import audit, derived, verify
from counterfoil.ledger.chart import Rulebook
from counterfoil.ledger.differences import Finding, different_rows
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.store import Book
from counterfoil.ledger.tables import ORDER, TABLES

RECORD = "(1::BIGINT << 31)"


class Own(Lookups):
    """A book that a test may change."""

    def change(self, *statements: str) -> None:
        for statement in statements:
            self._connection.execute(statement)


def nobody(_done: int, _total: int) -> None:
    """Progress for nobody."""


def digests_of(book: Lookups, since: int = 1) -> dict[int, str]:
    postings = verify.postings(book).filter(pl.col("n") >= since)
    return verify.derived_digests(book, postings, verify.counted(book), nobody)


def findings(book: Lookups, rulebook: Rulebook) -> list[Finding]:
    """Everything that the book alone can find."""
    postings = verify.postings(book)
    seals = {n: verify.Seal(f"record {n}", rulebook.hashes) for n in postings["n"]}
    chain = verify.links(postings.to_dicts(), (audit.GENESIS, audit.GENESIS), digests_of(book), seals)
    loose = verify.strangers(verify.counted(book), postings)
    return [*verify.structure(book), *chain, *loose, *derived.contradictions(book, nobody)]


@pytest.fixture(scope="module")
def copied(story: Book, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy of STORY's book, open to be changed behind its back."""
    path = tmp_path_factory.mktemp("own") / "book.duckdb"
    path.write_bytes(story.path.read_bytes())
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS book")
        yield connection


@pytest.fixture
def own(copied: duckdb.DuckDBPyConnection) -> Iterator[Own]:
    """The copy as it was posted, whatever a test before has changed."""
    copied.execute("BEGIN")
    yield Own(copied)
    copied.execute("ROLLBACK")


def test_a_book_as_it_was_posted_is_proved(story: Book, rulebook: Rulebook) -> None:
    with story.reading() as book:
        assert findings(book, rulebook) == []
        assert len(digests_of(book)) == book.last_posting()


@pytest.mark.parametrize("rows", [1, 7, 1 << 30])
def test_how_postings_are_read_together_changes_no_digest(
    story: Book, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "RUN_ROWS", rows)
    with story.reading() as book:
        sealed = dict(verify.postings(book).select("n", "rows_digest").iter_rows())
        assert digests_of(book) == sealed
        assert digests_of(book, since=5) == {n: digest for n, digest in sealed.items() if n >= 5}


def test_progress_counts_every_row_once(story: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "RUN_ROWS", 10)
    told: list[tuple[int, int]] = []
    with story.reading() as book:
        rows = verify.counted(book)
        verify.derived_digests(book, verify.postings(book), rows, lambda *done: told.append(done))
    everything = rows.filter(pl.col("table").is_in(list(TABLES)))["rows"].sum()
    assert told[-1] == (everything, everything)
    assert told == sorted(set(told))
    assert len(told) > 5


CHANGES: list[tuple[str, str, set[tuple[str, int | None]]]] = [
    (
        "an amount, unbalanced",
        "UPDATE book.entry SET amount = amount + 1 WHERE file_id = 3 AND line_no = 2 AND leg = 1",
        {("chain", 3), ("transfer", 3), ("balance", None)},
    ),
    (
        "an amount, balanced",
        "UPDATE book.entry SET amount = amount * 2 WHERE file_id = 3 AND line_no = 2",
        {("chain", 3), ("balance", None)},
    ),
    (
        "two accounts change places",
        "UPDATE book.entry SET account_id = account_id + 1 WHERE file_id = 3 AND line_no = 2 AND leg = 0",
        {("chain", 3), ("balance", None)},
    ),
    ("a partner's name", "UPDATE book.partner SET partner = 'other' WHERE partner = 'q'", {("chain", 9)}),
    ("an account's owner", "UPDATE book.account SET owner = 'M9' WHERE owner = 'M2'", {("chain", 2)}),
    ("a reason", "UPDATE book.reason SET reason = '0' WHERE reason = '07'", {("chain", 4)}),
    ("a member", "UPDATE book.member SET member = 'M9' WHERE member = 'M2'", {("chain", 3)}),
    ("a rate", "UPDATE book.rate SET minor = minor + 1 WHERE file_id = 6", {("chain", 6)}),
    ("a closed day", "UPDATE book.closed_day SET status = 'missing' WHERE file_id = 5", {("chain", 5)}),
    ("a disposition", "UPDATE book.disposition SET event = 13 WHERE file_id = 7 AND line_no = 3", {("chain", 7)}),
    (
        "a disposition that is gone",
        "DELETE FROM book.disposition WHERE file_id = 7 AND line_no = 3",
        {("chain", 7), ("mass_balance", 7)},
    ),
    (
        "a disposition told twice",
        "INSERT INTO book.disposition SELECT * FROM book.disposition WHERE file_id = 7 AND line_no = 3",
        {("chain", 7), ("mass_balance", 7), ("disposition", 7)},
    ),
    (
        "a row of no posting",
        "INSERT INTO book.entry SELECT * REPLACE (99 AS file_id) FROM book.entry WHERE file_id = 3 AND line_no = 2",
        {("rows", 99), ("balance", None)},
    ),
    (
        "a row of no file",
        "INSERT INTO book.rate SELECT * REPLACE (NULL AS file_id) FROM book.rate WHERE file_id = 6",
        {("rows", None)},
    ),
    (
        "an item of no posting",
        f"INSERT INTO book.item SELECT * REPLACE (item_id + 90 * {RECORD} AS item_id) FROM book.item WHERE ref = 'O1'",
        {("rows", 92), ("open_item", 92)},
    ),
    (
        "an amount without an opposite",
        f"UPDATE book.item SET amount = {-(1 << 63)} WHERE ref = 'O1'",
        {("chain", 2)},
    ),
    (
        "an item that no record can have made",
        f"UPDATE book.item SET item_id = {-(1 << 63)} WHERE ref = 'O1'",
        {("chain", 2), ("rows", -(1 << 32))},
    ),
    ("a settled key", "UPDATE book.settled_key SET reason_id = 2 WHERE file_id = 4 AND line_no = 3", {("chain", 4)}),
    ("a break", "UPDATE book.break SET points_ours = 1 WHERE code = 3 AND file_id = 4", {("chain", 4)}),
    (
        "the day of a break",
        "UPDATE book.break_event SET on_day = on_day + 1 WHERE event = 9 AND file_id = 8",
        {("chain", 8)},
    ),
    ("a digest", "UPDATE book.posting SET rows_digest = rows_digest[2:] WHERE n = 6", {("chain", 6)}),
    ("a content head", "UPDATE book.posting SET content_head = 'x' WHERE n = 6", {("chain", 6), ("chain", 7)}),
    ("a chain head", "UPDATE book.posting SET chain_head = 'x' WHERE n = 6", {("chain", 6), ("chain", 7)}),
    ("a programme day", "UPDATE book.posting SET on_day = on_day + 1 WHERE n = 8", {("posting", 8)}),
    (
        "a figure of the mass balance",
        "UPDATE book.mass_balance SET net = net + 1 WHERE file_id = 4 AND part = 'settled'",
        {("mass_balance", 4)},
    ),
    (
        "lines that nobody accounts for",
        "UPDATE book.mass_balance SET records = records + 1 WHERE file_id = 4 AND part = 'line'",
        {("mass_balance", 4)},
    ),
    (
        "a balance",
        "UPDATE book.balance SET balance = balance + 1 WHERE account_id = 3",
        {("balance", None)},
    ),
    ("a balance that is gone", "DELETE FROM book.balance WHERE account_id = 3", {("balance", None)}),
    ("a balance of nobody", "INSERT INTO book.balance VALUES (999, 0)", {("balance", None)}),
    ("what an item keeps", "UPDATE book.open_item SET remaining = 1 WHERE ref = 'R4' AND side = 1", {("open_item", 3)}),
    ("the state of an item", "UPDATE book.open_item SET state = 2 WHERE ref = 'R4' AND side = 1", {("open_item", 3)}),
    (
        "the member of an item",
        "UPDATE book.open_item SET member = 'M1' WHERE ref = 'R4' AND side = 1",
        {("open_item", 3)},
    ),
    ("an open item that is gone", "DELETE FROM book.open_item WHERE ref = 'R4' AND side = 1", {("open_item", 3)}),
    (
        "an item that is open twice",
        "INSERT INTO book.open_item SELECT * FROM book.open_item WHERE ref = 'R4' AND side = 1",
        {("open_item", 3)},
    ),
    (
        "an ended item that is open again",
        """INSERT INTO book.open_item SELECT item_id, side, kind, 1, partner_id, ref, member, source_account, amount,
           amount, value_date, due_date FROM book.item WHERE ref = 'O1'""",
        {("open_item", 2)},
    ),
    ("an open break that is gone", "DELETE FROM book.open_break WHERE code = 4", {("open_break", None)}),
    ("whose break it is", "UPDATE book.open_break SET partner_id = 1 WHERE partner_id = 2", {("open_break", None)}),
    (
        "a voucher that nobody brought",
        "INSERT INTO book.open_voucher VALUES (7, NULL, 20, NULL, 3)",
        {("open_voucher", 0)},
    ),
    ("a lot that nobody earned", "INSERT INTO book.open_lot VALUES (7, 3, 5, NULL, NULL)", {("open_lot", 0)}),
]


@pytest.mark.parametrize(("statement", "expected"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES])
def test_a_change_is_found_at_its_place(
    own: Own, rulebook: Rulebook, statement: str, expected: set[tuple[str, int | None]]
) -> None:
    own.change(statement)
    found = findings(own, rulebook)
    assert expected <= {(one.check, one.posting) for one in found}
    assert {one.posting for one in found} <= {posting for _, posting in expected} | {None}


def test_an_item_that_is_changed_names_its_line(own: Own, rulebook: Rulebook) -> None:
    own.change("UPDATE book.open_item SET remaining = 1 WHERE ref = 'R4' AND side = 1")
    (found,) = findings(own, rulebook)
    assert (found.table, found.posting, found.line, found.row) == ("open_item", 3, 5, f"item_id {3 * (1 << 31) + 5}")


def test_a_lot_holds_what_its_uses_leave_and_no_more_than_its_account(own: Own, rulebook: Rulebook) -> None:
    earned = "INSERT INTO book.lot VALUES (8, {account}, 40, DATE '2026-11-16', NULL, 2, 2)"
    account = "(SELECT account_id FROM book.account WHERE owner = '{owner}')"
    statements = [
        earned.format(account=account.format(owner="M1")),
        f"INSERT INTO book.lot_use VALUES (8, {account.format(owner='M1')}, NULL, 1, 15, 3, 2)",
    ]
    own.change(*statements)
    assert ("open_lot", 0) in {(one.check, one.posting) for one in findings(own, rulebook)}
    opened = f"INSERT INTO book.open_lot VALUES (8, {account.format(owner='M1')}, 25, DATE '2026-11-16', NULL)"
    own.change(opened)
    assert not any(one.check == "open_lot" for one in findings(own, rulebook))
    own.change("UPDATE book.balance SET balance = 24 WHERE account_id = (SELECT account_id FROM book.open_lot)")
    assert "lots that hold more than their account" in {one.found for one in findings(own, rulebook)}
    own.change("UPDATE book.lot_use SET amount = 41", "DELETE FROM book.open_lot")
    assert "more points used than the lot held, or of no lot" in {one.found for one in findings(own, rulebook)}


def test_an_undoing_mirrors_what_it_undoes_once(own: Own, rulebook: Rulebook) -> None:
    legs = """INSERT INTO book.entry SELECT transfer_id + {more}, leg, account_id, -amount, 80, value_date,
                  accounting_date, 15, line_no FROM book.entry WHERE file_id = 3 AND line_no = 2"""
    undoing = (
        "INSERT INTO book.reversal SELECT DISTINCT transfer_id + {more}, transfer_id, 15, 2 FROM book.entry WHERE "
    )
    undoing += "file_id = 3 AND line_no = 2"
    own.change(legs.format(more=1 << 40), undoing.format(more=1 << 40))
    assert not any(one.check == "reversal" for one in findings(own, rulebook))
    own.change(legs.format(more=1 << 41), undoing.format(more=1 << 41))
    assert [one.found for one in findings(own, rulebook) if one.check == "reversal"] == [
        "a transfer that is undone twice"
    ]
    own.change(f"UPDATE book.entry SET account_id = account_id + 1 WHERE transfer_id > {1 << 41} AND leg = 0")
    assert "an undoing that does not mirror what it undoes" in {one.found for one in findings(own, rulebook)}


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("DROP TABLE book.lot", "lot"),
        ("ALTER TABLE book.entry DROP COLUMN event", "entry"),
        ("ALTER TABLE book.entry ALTER amount TYPE VARCHAR", "entry"),
        ("ALTER TABLE book.posting DROP COLUMN record_sha", "posting"),
        ("DROP TABLE book.balance", "balance"),
    ],
)
def test_a_table_that_is_not_as_it_was_made_is_told_first(own: Own, statement: str, table: str) -> None:
    own.change(statement)
    assert {one.table for one in verify.structure(own)} == {table}


def test_of_many_rows_ten_are_named(own: Own, rulebook: Rulebook) -> None:
    own.change("INSERT INTO book.balance SELECT 1000 + range, 0 FROM range(25)")
    assert len(findings(own, rulebook)) == 10


FOUR = pl.DataFrame(
    {"transfer_id": [4, 4, 8, 8], "leg": [0, 1, 0, 1], "amount": [-5, 5, -7, 7], "line_no": [1, 1, 2, 2]},
    schema_overrides={"leg": pl.Int16},
)


def entries(frame: pl.DataFrame) -> pl.DataFrame:
    missing = [pl.lit(None).cast(kind).alias(name) for name, kind in TABLES["entry"].items() if name not in frame]
    return frame.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in TABLES["entry"].items())


def test_rows_that_differ_are_named_by_their_ids() -> None:
    changed = FOUR.with_columns(amount=pl.when(pl.col("transfer_id") == 8).then(1).otherwise("amount"))
    added = pl.concat([FOUR.slice(1), FOUR.slice(1, 1)])
    assert different_rows("entry", entries(FOUR), entries(changed)).rows() == [
        ("changed", 2, "transfer_id 8, leg 0"),
        ("changed", 2, "transfer_id 8, leg 1"),
    ]
    assert different_rows("entry", entries(FOUR), entries(added)).rows() == [
        ("missing", 1, "transfer_id 4, leg 0"),
        ("added", 1, "transfer_id 4, leg 1"),
    ]
    assert different_rows("entry", entries(FOUR), entries(FOUR.reverse())).is_empty()


def test_ids_of_rows_hold_no_text_of_a_file(story: Book) -> None:
    with story.reading() as book:
        for table in ORDER:
            rows = verify.rows_of(book, table, 1, book.last_posting(), 2).drop("of")
            named: list[Any] = different_rows(table, rows, rows.clear())["row"].to_list()
            assert len(named) == rows.height
            assert not any("M1" in (name or "") for name in named)
