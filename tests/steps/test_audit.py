"""A home that somebody changed: each change is found, and the first batch, file and row that differ are named."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from counterfoil.errors import Code, UsageError
from counterfoil.files import canonical_json, sha256_file
from counterfoil.ledger import audit as form
from counterfoil.ledger import verify
from counterfoil.ledger.differences import Finding
from counterfoil.ledger.lookups import Lookups
from counterfoil.steps.audit import Proof, audit
from counterfoil.steps.replay import replay
from tests.plugins.homes import MONDAY, Office
from tests.plugins.stores import OldStore

TUESDAY = MONDAY + timedelta(days=1)
REQUESTS, ANSWERS, LAST = "SKYBRIDGE_20261116.txt", "SKYBRIDGE_20261116.HANDBACK.txt", 7
"""Postings 3, 4 and 7 (a calendar file); 1 are rates, 2 opening balances, 5 a calendar, 6 Tuesday's answers."""


@pytest.fixture(scope="module")
def posted(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Two days; to be copied, not changed."""
    office = Office(tmp_path_factory.mktemp("audit") / "home")
    office.begin([("1111111111", 10_000), ("2222222222", 500)])
    office.ask(MONDAY, ("1", 100), ("2", 200), ("3", 300, "2222222222"), ("4", 40))
    office.answer(MONDAY, ("1", 100, "0000"), ("2", 200, "0001"), ("9", 55, "0000"), ("3", 299, "0000"))
    office.book_day(MONDAY)
    office.answer(TUESDAY, ("4", 40, "0099"))
    office.book_day(TUESDAY)
    return office


@pytest.fixture
def home(posted: Office, tmp_path: Path) -> Office:
    """A copy to change."""
    return posted.copied(tmp_path / "home")


def proved(office: Office, **options: object) -> Proof:
    return audit(office.proof_desk(), **options)  # type: ignore[arg-type]


def change(office: Office, *statements: str) -> None:
    """Change the book behind its back."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{office.home / 'book.duckdb'}' AS book")
        for statement in statements:
            connection.execute(statement)


def reseal(office: Office, *, publish: bool) -> None:
    """Compute every digest and head anew from the rows as they are now, as somebody with the program could."""
    desk = office.proof_desk()
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{office.home / 'book.duckdb'}' AS book")
        book = Lookups(connection)
        postings = verify.postings(book)
        digests = verify.derived_digests(book, postings, verify.counted(book), lambda _done, _all: None)
        content = chain = form.GENESIS
        for row in postings.iter_rows(named=True):
            hashes = desk.landing.read_record(row["n"]).hashes
            content = form.content_head(
                content, digests[row["n"]], row["payload_sha"], [hashes[name] for name in sorted(hashes)]
            )
            chain = form.chain_head(chain, content, row["record_sha"])
            connection.execute(
                "UPDATE book.posting SET rows_digest = ?, content_head = ?, chain_head = ? WHERE n = ?",
                [digests[row["n"]], content, chain, row["n"]],
            )
        totals = "SELECT account_id, CAST(sum(amount) AS BIGINT) FROM book.entry GROUP BY account_id"
        connection.execute(f"DELETE FROM book.balance; INSERT INTO book.balance {totals}")
    if publish:
        heads = {"n": LAST, "content_head": content, "chain_head": chain}
        desk.book.head_path.write_text(json.dumps(heads))


def everything(folder: Path) -> dict[str, tuple[str, int]]:
    """Each file with its hash and time."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)): (sha256_file(path), path.stat().st_mtime_ns) for path in files}


def place(finding: Finding) -> tuple[str, int | None, str | None, str | None, int | None]:
    return finding.check, finding.posting, finding.file, finding.table, finding.line


# Nothing was changed


def test_a_home_as_it_was_left_is_proved_and_left_alone(home: Office) -> None:
    before = everything(home.home)
    proof = proved(home)
    assert proof.findings == ()
    assert proof.proved
    n, content, chain = home.heads()
    assert (proof.heads.n, proof.heads.content_head, proof.heads.chain_head) == (n, content, chain)
    assert (proof.since, proof.postings, n) == (1, LAST, LAST)
    assert proof.entries == home.sql("SELECT count(*) FROM book.entry").item()
    assert proof.rows > proof.entries
    assert proof.payloads > LAST
    assert everything(home.home) == before


def test_the_store_of_schema_1_is_proved(old_store: OldStore, new_office: Callable[[str], Office]) -> None:
    office = Office(old_store(1).root)
    proof = proved(office)
    assert proof.findings == ()
    assert proof.heads.content_head == "c1279c50b36e92b29abf12ea185c189dd517429fa269f785dfbb4dab80267758"
    assert proof.postings == 26
    change(office, "UPDATE book.item_change SET remaining = remaining + 1, state = 1")
    assert {finding.check for finding in proved(office).findings} == {"item_change", "open_item"}


@pytest.mark.parametrize(("since", "first", "postings"), [(4, 4, 4), (TUESDAY, 6, 2)])
def test_since_a_posting_or_a_day_proves_the_chain_from_there(
    home: Office, since: int | date, first: int, postings: int
) -> None:
    # What was posted in Monday's night was posted on Tuesday morning.
    day = since + timedelta(days=1) if since == TUESDAY and isinstance(since, date) else since
    proof = proved(home, since=day)
    assert proof.proved
    assert (proof.since, proof.postings) == (first, postings)
    assert proof.payloads < proved(home).payloads


# Rows

ROWS = [
    ("an amount", "UPDATE book.entry SET amount = amount + 1 WHERE file_id = 3 AND line_no = 3 AND leg = 1",
     ("changed", 3, REQUESTS, "entry", 3)),
    ("an amount, balanced", "UPDATE book.entry SET amount = amount * 2 WHERE file_id = 3 AND line_no = 3",
     ("changed", 3, REQUESTS, "entry", 3)),
    ("a row that is gone", "DELETE FROM book.disposition WHERE file_id = 4 AND line_no = 3",
     ("missing", 4, ANSWERS, "disposition", 3)),
    ("a row that came",
     "INSERT INTO book.settled_key SELECT * REPLACE (4 AS line_no) FROM book.settled_key WHERE month > 0 LIMIT 1",
     ("added", 4, ANSWERS, "settled_key", 4)),
    ("a partner", "UPDATE book.partner SET partner = 'skyline' WHERE partner = 'skybridge'",
     ("changed", 2, "opening_20261116.csv", "partner", None)),
    ("an account's owner", "UPDATE book.account SET owner = '3333333333' WHERE owner = '2222222222'",
     ("changed", 2, "opening_20261116.csv", "account", None)),
    ("a reason", "UPDATE book.reason SET reason = '0002' WHERE reason = '0001'",
     ("changed", 4, ANSWERS, "reason", None)),
    ("an amount without an opposite", f"UPDATE book.item SET amount = {-(1 << 63)} WHERE ref = '4'",
     ("changed", 3, REQUESTS, "item", 5)),
    ("an item's reference", "UPDATE book.item SET ref = '5' WHERE ref = '4'", ("changed", 3, REQUESTS, "item", 5)),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "expected"), [case[1:] for case in ROWS], ids=[case[0] for case in ROWS])
def test_a_changed_row_is_named(home: Office, statement: str, expected: tuple[str, int, str, str, int | None]) -> None:
    change(home, statement)
    proof = proved(home)
    first = proof.findings[0]
    assert (first.found, first.posting, first.file, first.table, first.line) == expected
    assert first.check == "row"
    assert ("chain", expected[1]) in {(finding.check, finding.posting) for finding in proof.findings}
    words = " ".join(str(value) for finding in proof.findings for value in finding.fields().values())
    assert not any(secret in words for secret in ("1111111111", "2222222222", "3333333333", "skyline"))


def test_rows_before_since_are_left_to_earlier_proofs_but_working_sets_are_not(home: Office) -> None:
    change(home, "UPDATE book.reason SET reason = '0002' WHERE reason = '0001'")
    assert proved(home, since=5).proved
    change(home, "UPDATE book.entry SET amount = amount * 2 WHERE file_id = 3 AND line_no = 3")
    assert {finding.check for finding in proved(home, since=5).findings} == {"balance"}


def test_where_the_landing_store_cannot_be_replayed_the_batch_is_named(home: Office) -> None:
    change(home, "UPDATE book.reason SET reason = '0002' WHERE reason = '0001'")
    desk = home.proof_desk()
    desk.landing.path(desk.landing.read_record(2).payload_sha).unlink()
    found = [(one.check, one.posting, one.file) for one in proved(home).findings]
    opening = "opening_20261116.csv"
    assert found == [("replay", 2, opening), ("payload", 2, opening), ("chain", 4, ANSWERS)]


@pytest.mark.parametrize(
    ("statement", "check", "n"),
    [
        ("UPDATE book.balance SET balance = balance - 1 WHERE balance > 0", "balance", None),
        ("UPDATE book.open_item SET remaining = 0 WHERE ref = '3' AND side = 1", "open_item", 3),
        ("DELETE FROM book.open_break WHERE code = 4", "open_break", None),
    ],
)
def test_a_working_set_that_was_edited_is_found(home: Office, statement: str, check: str, n: int | None) -> None:
    change(home, statement)
    assert {(finding.check, finding.posting) for finding in proved(home).findings} == {(check, n)}


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE book.lot",
        "ALTER TABLE book.posting DROP COLUMN sender",
        "UPDATE book.posting SET business_date = DATE '294000-01-01' WHERE n = 3",
    ],
)
def test_a_book_that_cannot_be_read_is_told_so(home: Office, statement: str) -> None:
    change(home, statement)
    assert {finding.check for finding in proved(home).findings} == {"book"}


def test_a_posting_that_says_something_else_than_its_record_is_found(home: Office) -> None:
    change(home, "UPDATE book.posting SET actor = 'os:nobody', business_date = business_date - 1 WHERE n = 3")
    found = [(*place(finding)[:4], finding.found) for finding in proved(home).findings]
    assert ("posting", 3, REQUESTS, "posting", "another actor, business_date") in found


# The landing store


def test_a_payload_byte_is_found(home: Office) -> None:
    desk = home.proof_desk()
    path = desk.landing.path(desk.landing.read_record(3).payload_sha)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    (found,) = proved(home).findings
    assert place(found) == ("payload", 3, REQUESTS, None, None)


@pytest.mark.parametrize("what", ["layout", "rules", "chart", "settings"])
def test_what_was_in_force_must_still_be_there(home: Office, what: str) -> None:
    desk = home.proof_desk()
    desk.landing.path(desk.landing.read_record(4).hashes[what]).unlink()
    (found,) = proved(home).findings
    assert found.check == "payload"
    assert "no such payload" in found.found
    assert found.posting is not None
    assert found.posting <= 4


def test_a_held_files_bytes_are_proved_too(home: Office) -> None:
    home.answer(TUESDAY, ("4", 40, "0001"))
    home.look()
    home.look()
    desk = home.proof_desk()
    held = max(desk.landing.deliveries(), key=lambda delivery: delivery.order)
    desk.landing.path(held.payload_sha).unlink()
    (found,) = proved(home).findings
    assert place(found) == ("payload", None, "SKYBRIDGE_20261117.HANDBACK.txt", None, None)


def test_a_posting_record_that_was_edited_is_found(home: Office) -> None:
    path = home.home / "landing/postings/00000003.json"
    path.write_bytes(path.read_bytes().replace(b'"run_id": "test"', b'"run_id": "tess"'))
    (found,) = proved(home).findings
    assert place(found) == ("record", 3, REQUESTS, None, None)


@pytest.mark.parametrize("content", [b"{}", None])
def test_a_posting_record_that_cannot_be_read_is_found(home: Office, content: bytes | None) -> None:
    path = home.home / "landing/postings/00000003.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    (found,) = proved(home).findings
    assert (found.check, found.posting) == ("record", 3)


@pytest.mark.parametrize(
    ("name", "content", "place_found"),
    [
        ("deliveries/00000003.json", b"{", ("sidecar", None, "deliveries/00000003.json")),
        ("outcomes/00000003-1.json", b"[]", ("sidecar", None, "outcomes/00000003-1.json")),
        ("deliveries/00000003.json", None, None),
    ],
)
def test_a_sidecar_that_is_hurt_is_found(
    home: Office, name: str, content: bytes | None, place_found: tuple[str, int | None, str] | None
) -> None:
    path = home.home / "landing" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    found = [place(finding)[:3] for finding in proved(home).findings]
    delivered = [record for record in home.proof_desk().landing.records_after(0) if record.order == 3]
    gone = [("sidecar", record.n, record.name) for record in delivered] if name.startswith("deliveries") else []
    assert found == gone + ([place_found] if place_found else [])


def test_a_sidecar_that_claims_another_identity_is_found(home: Office) -> None:
    record = home.proof_desk().landing.read_record(3)
    for path in (f"deliveries/{record.order:08d}.json", "postings/00000003.json"):
        file = home.home / "landing" / path
        kept = file.read_bytes()
        other = json.loads(kept) | {"identity": "2026-11-15"}
        file.write_bytes(canonical_json(other))
        assert ("sidecar", 3, "another identity") in {
            (one.check, one.posting, one.found) for one in proved(home).findings
        }
        file.write_bytes(kept)
    assert proved(home).proved


def test_a_file_that_is_none_of_ours_is_told_and_is_no_difference(home: Office) -> None:
    strays = (
        "deliveries/notes.json",
        "notes.txt",
        "outcomes/00000001.json",
        "payloads/00/letter",
        "postings/9.json",
        "postings/notes.json",
        "postings/00000003.json~",
    )
    for stray in strays:
        (home.home / "landing" / stray).parent.mkdir(exist_ok=True)
        (home.home / "landing" / stray).write_text("not ours")
    proof = proved(home)
    assert sorted(proof.strays) == sorted(strays)
    assert proof.findings == ()
    assert proof.proved


# The tail


def cut(office: Office) -> None:
    """Take the last posting out of the book, with all its rows."""
    tables = ("disposition", "closed_day", "break", "break_event", "mass_balance", "control")
    change(office, *(f"DELETE FROM book.{table} WHERE file_id = {LAST}" for table in tables))
    change(
        office,
        f"DELETE FROM book.posting WHERE n = {LAST}",
        "DELETE FROM book.open_break WHERE break_id NOT IN (SELECT break_id FROM book.break)",
    )


def publish_last(office: Office) -> None:
    n, content, chain = office.sql("SELECT n, content_head, chain_head FROM book.posting ORDER BY n DESC LIMIT 1").row(
        0
    )
    heads = {"n": n, "content_head": content, "chain_head": chain}
    (office.home / "book.head.json").write_text(json.dumps(heads))


def test_a_tail_that_was_cut_off_is_found(home: Office) -> None:
    _, _, chain = home.heads()
    cut(home)
    found = {(finding.check, finding.posting) for finding in proved(home).findings}
    assert found == {("posting", LAST), ("head_file", LAST)}
    publish_last(home)
    assert {(finding.check, finding.posting) for finding in proved(home).findings} == {("posting", LAST)}
    (home.home / f"landing/postings/{LAST:08d}.json").unlink()
    assert {(finding.check, finding.posting) for finding in proved(home).findings} == {("sidecar", LAST)}
    for folder in ("deliveries", "outcomes"):
        last = max((home.home / "landing" / folder).iterdir())
        last.unlink()
    assert proved(home).proved, "nothing in the home tells of it any more"
    (found_outside,) = proved(home, head=chain).findings
    assert found_outside.check == "head"


def test_a_record_that_a_crash_left_without_its_batch_is_told(home: Office) -> None:
    cut(home)
    publish_last(home)
    (found,) = proved(home).findings
    assert "after a crash the next run posts it" in found.expected
    home.book_day(TUESDAY)
    assert proved(home).proved


def test_a_posting_missing_in_the_middle_is_found(home: Office) -> None:
    change(home, "DELETE FROM book.posting WHERE n = 4")
    found = {(finding.check, finding.posting) for finding in proved(home).findings}
    assert {("posting", 4), ("rows", 4), ("chain", 5)} <= found


# The whole chain, and the heads


def test_a_chain_that_was_rewritten_is_caught_by_the_published_head_and_its_row_named(home: Office) -> None:
    change(home, "UPDATE book.entry SET amount = amount * 2 WHERE file_id = 3 AND line_no = 3")
    reseal(home, publish=False)
    first, *others = proved(home).findings
    assert (first.check, first.found, *place(first)[1:]) == ("row", "changed", 3, REQUESTS, "entry", 3)
    assert {(finding.check, finding.posting) for finding in others} >= {("head", LAST)}
    assert not any(finding.check == "chain" for finding in others)


def test_with_the_head_file_rewritten_too_a_head_kept_outside_or_a_replay_catches_it(
    home: Office, tmp_path: Path
) -> None:
    _, content, chain = home.heads()
    change(home, "UPDATE book.reason SET reason = '0002' WHERE reason = '0001'")
    reseal(home, publish=True)
    assert proved(home).proved, "a chain that agrees with itself and with its head"
    for head in (content, chain[:16].upper()):
        (found,) = proved(home, head=head).findings
        assert (found.check, found.posting) == ("head", None)
        assert "counterfoil replay" in found.expected
    made_again = replay(home.proof_desk(), tmp_path / "again")
    assert made_again.difference is not None
    assert (made_again.difference.posting, made_again.difference.file) == (4, ANSWERS)


def test_a_head_kept_outside_proves_the_chain_from_itself_on(home: Office) -> None:
    heads = home.sql("SELECT n, content_head, chain_head FROM book.posting ORDER BY n")
    assert proved(home, head=heads["content_head"][LAST - 1], since=LAST + 1).proved
    assert proved(home, head=heads["chain_head"][2][:20], since=LAST).since == 4
    change(home, "UPDATE book.reason SET reason = '0002' WHERE reason = '0001'")
    assert not proved(home, head=heads["chain_head"][2], since=LAST).proved
    assert proved(home, head=heads["chain_head"][4], since=LAST).proved


def test_a_head_that_no_posting_has_costs_no_replay(home: Office) -> None:
    _, _, chain = home.heads()
    slip = chain[:-1] + ("0" if chain[-1] != "0" else "1")
    done: list[str] = []
    desk = replace(home.proof_desk(), progress=lambda what, _done, _all: done.append(what))
    proof = audit(desk, head=slip)
    assert [finding.check for finding in proof.findings] == ["head"]
    assert (proof.since, proof.postings, proof.heads.chain_head) == (1, LAST, chain), "all else is proved as ever"
    assert "landed files" in done
    assert "replaying" not in done


def test_a_head_that_is_too_short_to_mean_one_is_refused(home: Office) -> None:
    with pytest.raises(UsageError) as told:
        proved(home, head="abcdef")
    assert told.value.code is Code.NOTHING_FOUND


@pytest.mark.parametrize("content", [None, "", "[]", '{"n": 7}', '{"n": 7, "content_head": "x", "chain_head": "y"}'])
def test_a_head_file_that_is_gone_or_says_something_else_is_found(home: Office, content: str | None) -> None:
    path = home.home / "book.head.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    (found,) = proved(home).findings
    assert (found.file, found.check) == ("book.head.json", "head" if content and '"y"' in content else "head_file")


def test_a_head_that_runs_behind_or_ahead_is_found(home: Office) -> None:
    (row,) = home.sql("SELECT n, content_head, chain_head FROM book.posting WHERE n = 5").rows(named=True)
    path = home.home / "book.head.json"
    for n, expected in ((5, "posting 7"), (9, "the published posting")):
        path.write_text(json.dumps({**row, "n": n}))
        (found,) = proved(home).findings
        assert (found.check, found.posting) == ("head_file", n)
        assert expected in found.expected


def test_no_book_is_found_and_no_home_is_refused(home: Office, new_office: Callable[[str], Office]) -> None:
    (home.home / "book.duckdb").unlink()
    (found,) = proved(home).findings
    assert (found.check, found.file) == ("book", "book.duckdb")
    assert not (home.home / "book.duckdb").exists()
    empty = new_office("empty")
    with pytest.raises(UsageError) as told:
        proved(empty)
    assert told.value.code is Code.NOTHING_FOUND
    assert not empty.home.exists()


FORGED = f"""INSERT INTO book.posting SELECT * REPLACE ({LAST + 1} AS n, 'forged' AS identity) FROM book.posting
             WHERE n = {LAST}"""


def test_a_posting_that_nobody_recorded_is_found(home: Office, tmp_path: Path) -> None:
    change(
        home,
        FORGED,
        f"""INSERT INTO book.entry SELECT * REPLACE ({LAST + 1} AS file_id, transfer_id + 1000000 AS transfer_id)
            FROM book.entry WHERE file_id = 3""",
    )
    reseal_forged(home)
    assert ("record", LAST + 1) in {(one.check, one.posting) for one in proved(home).findings}
    made = replay(home.proof_desk(), tmp_path / "again")
    assert made.difference is not None
    assert (made.difference.posting, made.difference.found) == (LAST + 1, "no posting record")


def reseal_forged(office: Office) -> None:
    """Make the head file and the balances follow the forged posting."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{office.home / 'book.duckdb'}' AS book")
        totals = "SELECT account_id, CAST(sum(amount) AS BIGINT) FROM book.entry GROUP BY account_id"
        connection.execute(f"DELETE FROM book.balance; INSERT INTO book.balance {totals}")
        query = "SELECT n, content_head, chain_head FROM book.posting ORDER BY n DESC LIMIT 1"
        heads = dict(zip(("n", "content_head", "chain_head"), connection.execute(query).fetchone() or (), strict=True))
    office.proof_desk().book.head_path.write_text(json.dumps(heads))


def test_a_book_whose_records_are_all_gone_is_not_proved(home: Office) -> None:
    (home.home / "landing").rename(home.home / "elsewhere")
    assert [one.posting for one in proved(home).findings if one.check == "record"] == list(range(1, LAST + 1))


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("UPDATE book.posting SET partner = 'northstar' WHERE n = 4", "posting"),
        ("UPDATE book.mass_balance SET net = net + 7 WHERE part = 'accepted' AND file_id = 4", "mass_balance"),
        (
            "UPDATE book.mass_balance SET positive = positive + 7 WHERE part = 'accepted' AND file_id = 4",
            "mass_balance",
        ),
        ("UPDATE book.mass_balance SET net = NULL WHERE part = 'accepted' AND file_id = 4", "mass_balance"),
        ("UPDATE book.mass_balance SET net = 7 WHERE part = 'record' AND file_id = 4", "mass_balance"),
        ("INSERT INTO book.mass_balance VALUES (4, 'quarantined:ENCODING', 1, 0, 0, 0)", "mass_balance"),
    ],
)
def test_figures_that_no_digest_covers_must_add_up(home: Office, statement: str, check: str) -> None:
    change(home, statement)
    assert (check, 4) in {(one.check, one.posting) for one in proved(home).findings}


@pytest.mark.parametrize("column", ["n", "book_schema", "payload_sha", "rows_digest", "content_head", "chain_head"])
def test_a_blank_in_the_chain_is_told_and_no_crash(home: Office, column: str) -> None:
    change(home, f"UPDATE book.posting SET {column} = NULL WHERE n = {LAST}")
    (finding,) = proved(home).findings
    assert (finding.check, finding.table) == ("book", "posting")


def test_numbers_and_names_out_of_all_bounds_are_told_soon(home: Office) -> None:
    change(home, f"UPDATE book.posting SET n = 2000000000 WHERE n = {LAST}",
           "UPDATE book.entry SET amount = 9223372036854775807 WHERE file_id = 3")  # fmt: skip
    (home.home / "landing/postings/notes.json").write_text("hello")
    (home.home / "landing/postings/99999999.json").write_text("hello")
    found = proved(home).findings
    assert {"posting", "record"} <= {one.check for one in found}
    assert len(found) < 100


def test_a_payload_that_is_a_folder_is_damaged(home: Office) -> None:
    payload = next((home.home / "landing/payloads").glob("??/*"))
    payload.unlink()
    payload.mkdir()
    assert "payload" in {one.check for one in proved(home).findings}


def test_nothing_is_called_proved_where_nothing_was_posted_since(home: Office) -> None:
    for since in (LAST + 1, 9_999, date(2027, 1, 1)):
        with pytest.raises(UsageError, match="nothing would be proved"):
            proved(home, since=since)


def test_progress_is_told_for_each_part(home: Office) -> None:
    told: list[tuple[str, int, int]] = []
    audit(replace(home.proof_desk(), progress=lambda *said: told.append(said)))
    assert {what for what, _, _ in told} == {"chain, rows", "rows and working sets", "landed files"}
    last = pl.DataFrame(told, schema=["what", "done", "all"], orient="row").group_by("what").agg(pl.all().last())
    assert (last["done"] == last["all"]).all()
