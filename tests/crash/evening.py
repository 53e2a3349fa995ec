"""One evening at one partner in eight scenes: what a process that may be killed at any instant is to do.

Here: the files, the scenes, all that a home must hold after them, and what must hold of a book at any time. Not here:
faults (``faults``, ``watch``) or the process that meets them (``zygote``).
"""

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from counterfoil import journey
from counterfoil.clock import fixed_clock
from counterfoil.feed import FeedKind
from counterfoil.files import sha256_bytes, sha256_file
from counterfoil.ledger import histories
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.store import Book
from counterfoil.settings import Home, Settings, load_settings
from counterfoil.steps.close import close_days
from counterfoil.steps.decide import COLUMNS
from counterfoil.steps.desk import Desk
from counterfoil.steps.publish import publish_crm, publish_journal
from pipelines.wiring import open_desk, proof_desk
from tests.plugins.homes import RATES, opening, skybridge_handback, skybridge_requests

DAY: Final = date(2026, 12, 1)
"""From this day on, Skybridge's layouts let a corrected file post by its difference."""

NEXT_DAY: Final = DAY + timedelta(days=1)

SCENES: Final = {
    "rates": ("arrive", "rates"),
    "opening": ("opening",),
    "requests": ("skybridge_requests",),
    "answers": ("skybridge_handback",),
    "correction": ("arrive", "skybridge_handback"),
    "decision": ("arrive", "decisions"),
    "close": ("close",),
    "out": ("crm", "journal"),
}
"""One posting each, but the last; begins with files in an inbox and no book."""

TIMES: Final = {scene: datetime(2026, 12, 2, hour, tzinfo=UTC) for hour, scene in enumerate(SCENES, start=6)}
"""The clock stands still in a scene, so that one in two parts ends in the very bytes of one without a break."""

ROWS: Final = 400
REQUESTS: Final = f"skybridge/outgoing/SKYBRIDGE_{DAY:%Y%m%d}.txt"
HANDBACK: Final = f"skybridge/incoming/SKYBRIDGE_{DAY:%Y%m%d}.HANDBACK.txt"

_NEVER_ALIKE: Final = {"looks", "sqlite_sequence"}
"""Tables of the index that tell how often something was tried."""


def settings(home: Path, scene: str, *, before: timedelta = timedelta()) -> Settings:
    """The settings of a home in a scene, or some time before it."""
    clock = fixed_clock(TIMES[scene] - before)
    return load_settings(home).model_copy(
        update={"clock": clock, "run_id": "evening", "start_date": DAY, "actor": "os:evening"}
    )


def put(home: Path, path: str, content: str) -> None:
    """A partner writes a file, or another one over it."""
    file = home / "inbox" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode())


def look(home: Path, scene: str) -> None:
    """A first look, so long before that whatever is there counts as unchanged."""
    with open_desk(settings(home, scene, before=timedelta(minutes=5))) as desk:
        journey.arrive(desk, "inbox", patient=False)


def _requests() -> list[tuple[str, int]]:
    return [(f"R{number}", 10 + number) for number in range(ROWS)]


def _answers() -> list[tuple[str, int, str]]:
    """All requests but the last three, some refused, some held, and one answer to nobody's request."""
    codes = {0: "0001", 1: "0099"}
    known = [(ref, points, codes.get(points % 7, "0000")) for ref, points in _requests()[:-3]]
    return [*known, ("X9", 5, "0000")]


def _corrected() -> list[tuple[str, int, str]]:
    """The same answers with another amount, another outcome and one left out."""
    kept = [row for row in _answers() if row[0] != "R12"]
    other = {"R3": 14, "R5": 15}
    return [(ref, other.get(ref, points), "0000" if ref == "R4" else code) for ref, points, code in kept]


def set_scene(home: Path, scene: str) -> None:
    """Put into the inbox what a scene begins with."""
    match scene:
        case "rates":
            put(home, f"opening/opening_{DAY:%Y%m%d}.csv", opening(DAY, [("1111111111", 1_000_000)]))
            put(home, f"rates/rates_{DAY:%Y%m%d}.csv", RATES)
            put(home, REQUESTS, skybridge_requests(DAY, _requests()))
            put(home, HANDBACK, skybridge_handback(DAY, _answers()))
        case "correction":
            put(home, HANDBACK, skybridge_handback(DAY, _corrected()))
        case "decision":
            with opened(Home(home)) as book:
                unknown = book.frame("SELECT break_id FROM book.open_break WHERE subject = 'X9'").item()
            told = f"refuse,{unknown},,5,agreed by mail,2026-12-02T05:00:00Z,,\n"
            put(home, f"decisions/decisions_{DAY:%Y%m%d}.csv", f"{','.join(COLUMNS[FeedKind.DECISIONS])}\n{told}")
    look(home, scene)


def land_next_day(home: str, scene: str) -> None:
    """Have a file land that no scene posts: the next day's requests."""
    rows = [(f"N{number}", 20 + number) for number in range(20)]
    put(Path(home), f"skybridge/outgoing/SKYBRIDGE_{NEXT_DAY:%Y%m%d}.txt", skybridge_requests(NEXT_DAY, rows))
    look(Path(home), scene)
    play(home, scene, ["arrive"])


def prepare(folder: str, scene: str) -> dict[str, Any]:
    """Play a scene of the clean evening in the home ``clean`` below a folder; scenes come in their order.

    Leaves ``<scene>/`` beside it: a home as the scene finds it. Returns how long the scene lasted and what the home
    holds afterwards.
    """
    home = Path(folder) / "clean"
    home.mkdir(exist_ok=True)
    set_scene(home, scene)
    shutil.copytree(home, home.with_name(scene))
    began = time.monotonic()
    play(str(home), scene)
    lasted = time.monotonic() - began
    prove(str(home))
    return {"lasted": lasted, "state": state(str(home))}


def audited(folder: str) -> list[str]:
    """What an audit finds after the clean evening."""
    from counterfoil.steps.audit import audit  # noqa: PLC0415 - importing it starts the threads of Polars

    return [finding.found for finding in audit(proof_desk(settings(Path(folder) / "clean", "out"))).findings]


def play(home: str, scene: str, steps: Sequence[str] = ()) -> None:
    """What a night does, as far as it concerns a scene, or some steps at its time; the first trouble ends it."""
    with open_desk(settings(Path(home), scene)) as desk:
        for step in steps or SCENES[scene]:
            _take(desk, step)


def _take(desk: Desk, step: str) -> None:
    match step:
        case "arrive":
            for trouble in journey.arrive(desk, "inbox", patient=False).troubles:
                raise trouble
        case "close":
            close_days(desk, DAY)
        case "crm":
            for target in desk.crm_targets:
                publish_crm(desk, target)
        case "journal":
            publish_journal(desk, DAY)
        case feed:
            journey.intake(desk, feed, NEXT_DAY)


# What a home holds


def state(home: str) -> dict[str, str]:
    """The hash of everything that a home keeps, by name: files, rows of the index, rows of the book, its heads."""
    place = Home(Path(home))
    kept = {str(path.relative_to(home)): sha256_file(path) for path in _files(place)}
    kept |= {f"index {table}": sha for table, sha in _indexed(place.arrival_db)}
    with opened(place) as book:
        kept |= {f"book {table}": sha256_bytes(book.frame(query).write_csv().encode()) for table, query in rows(book)}
    # A log that nobody has had a reason to fold in says the same.
    beside = {path.name for path in place.root.glob("book.*")} - {"book.duckdb.wal"}
    return kept | {"beside the book": " ".join(sorted(beside)), "heads": place.book_head.read_text()}


def _files(place: Home) -> Iterator[Path]:
    """Files that stay: not what was being written when a process died."""
    for folder in (place.landing, place.out, place.inbox):
        for path in sorted(folder.rglob("*")):
            hidden = path.name.startswith(".") or (place.landing / "incoming") in path.parents
            if path.is_file() and not hidden:
                yield path


def _indexed(path: Path) -> Iterator[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as index:
        tables = index.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        for (table,) in tables:
            if table not in _NEVER_ALIKE:
                kept = sorted(map(repr, index.execute(f"SELECT * FROM {table}")))
                yield table, sha256_bytes("\n".join(kept).encode())


def rows(book: Lookups) -> list[tuple[str, str]]:
    """Every table of the book with a query for its rows in one order."""
    tables = book.frame("SELECT table_name FROM duckdb_tables() WHERE database_name = 'book' ORDER BY 1").to_series()
    return [(table, f"SELECT * FROM book.{table} ORDER BY ALL") for table in tables]


@contextmanager
def opened(place: Home) -> Iterator[Lookups]:
    """The book as it is; nothing is made or migrated."""
    with book_of(place.root).as_it_is() as book:
        yield book


def book_of(home: Path) -> Book:
    """A home's book."""
    place = Home(home)
    return Book(place.book, place.book_lock, place.book_head)


# What must hold at any time

NOTHING: Final = {
    "all balances together are zero": "SELECT 1 FROM book.balance HAVING sum(balance) <> 0",
    "each transfer sums to zero": "SELECT 1 FROM book.entry GROUP BY transfer_id HAVING sum(amount) <> 0",
    "balances are those of the entries": """
        SELECT 1 FROM (SELECT account_id, sum(amount) AS booked FROM book.entry GROUP BY account_id) e
        FULL JOIN book.balance b USING (account_id) WHERE e.booked IS DISTINCT FROM b.balance""",
    "each accepted record has one disposition": """
        SELECT 1 FROM book.disposition GROUP BY file_id, line_no HAVING count(*) > 1""",
    "what is open is what the history of every item says": f"""
        (SELECT item_id, state, remaining FROM book.open_item EXCEPT ({histories.open_now()}))
        UNION ALL (({histories.open_now()}) EXCEPT SELECT item_id, state, remaining FROM book.open_item)""",
    "postings have no gap": "SELECT 1 FROM book.posting HAVING count(*) <> coalesce(max(n), 0)",
    "each file is posted once": "SELECT 1 FROM book.posting GROUP BY payload_sha, feed HAVING count(*) > 1",
    "no row without its posting": """
        SELECT 1 FROM (SELECT file_id FROM book.entry UNION ALL SELECT file_id FROM book.disposition
                       UNION ALL SELECT file_id FROM book.mass_balance)
        WHERE file_id NOT IN (SELECT n FROM book.posting)""",
}


def prove(home: str) -> int:
    """What holds of a home whatever happened to it: the book opens and is whole, nothing in it was not landed before.

    Returns the number of postings that the book holds.
    """
    place = Home(Path(home))
    if not place.book.exists():
        assert not place.book_head.exists(), "heads of no book"
        return 0
    with opened(place) as book:
        broken = [what for what, query in NOTHING.items() if not book.frame(query).is_empty()]
        assert broken == []
        n = book.last_posting()
        records = dict(book.frame("SELECT n, record_sha FROM book.posting").iter_rows())
        heads = dict(book.frame("SELECT n, chain_head FROM book.posting").iter_rows())
    landed = {int(path.stem): sha256_file(path) for path in (place.landing / "postings").glob("[!.]*.json")}
    assert {number: landed.get(number) for number in records} == records, "each posting was recorded before"
    assert len(landed) - n in (0, 1), "at most one record waits for its posting"
    published = json.loads(place.book_head.read_bytes()) if place.book_head.exists() else {"n": 0}
    assert published["n"] == 0 or heads[published["n"]] == published["chain_head"], "heads of this book"
    for payload in (place.landing / "payloads").glob("??/*"):
        assert sha256_file(payload) == payload.name, "bytes under another hash than theirs"
    return n
