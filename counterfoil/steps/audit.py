"""The audit: book, chain and landing store proved against each other; a change named by batch, file and row.

Here: what needs both stores, the order of the checks, and finding the row. Not here: what the book alone can prove
(``ledger.verify``, ``ledger.derived``). Reads only: whatever it finds, it changes nothing.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from counterfoil.errors import Code, PermanentError, UsageError
from counterfoil.ledger import derived, verify
from counterfoil.ledger.audit import GENESIS
from counterfoil.ledger.differences import NAMED_MAX, Finding, different_rows
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.store import Book, Heads
from counterfoil.ledger.tables import BOOK_SCHEMA, sealed_tables
from counterfoil.ledger.writing import Posted
from counterfoil.settings import Home
from counterfoil.steps.desk import ProofDesk
from counterfoil.steps.landed import Records, hurt, records_from
from counterfoil.steps.replay import fold, published

HEAD_DIGITS_MIN: Final = 16
"""Digits by which a head kept outside may be named: as many as reports and tables print."""

_SAME: Final = (
    "feed",
    "kind",
    "name",
    "identity",
    "epoch",
    "sequence",
    "business_date",
    "payload_sha",
    "run_id",
    "actor",
    "software",
    "verdict",
    "book_schema",
    "sender",
)
"""What a posting record and the book's row of the posting both say, under one name."""

_REWRITTEN: Final = ("chain", "head")
"""Checks that find changed rows without telling which."""


@dataclass(frozen=True)
class Proof:
    """What was looked at, and every difference found, the first batch first.

    Postings from ``since`` on had their digests and links re-derived, with ``rows`` rows, ``entries`` of them entries,
    and their ``payloads`` (files, layouts, rules, settings) hashed. ``heads`` are the book's. ``strays`` are files in
    the landing store that the program did not write, by their path in it: no difference, since nothing reads them.
    """

    since: int
    postings: int
    rows: int
    entries: int
    payloads: int
    heads: Heads
    findings: tuple[Finding, ...]
    strays: tuple[str, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether nothing differs."""
        return not self.findings


def audit(desk: ProofDesk, *, since: int | date = 1, head: str | None = None) -> Proof:
    """Prove everything that can be proved; ``since`` a posting, or a day of the programme's zone, limits the chain and
    the payloads to postings made from then on.

    ``head`` is a content or chain head, or its first HEAD_DIGITS_MIN digits or more, that was kept outside: one of the
    book's postings must have it. The book is held against postings, not against readers, until it is proved; payloads
    are hashed afterwards. Raises NOTHING_FOUND where nothing was ever posted, and BOOK_DAMAGED for a file that is no
    book.
    """
    if not desk.book.path.exists():
        return _without_book(desk)
    with desk.book.reading() as book:
        findings = verify.structure(book)
        if findings:
            return _unprovable(findings)
        postings = verify.postings(book)
        start = _start(postings, since, head, desk.settings.zone)
        _require_any(postings, start, head)
        records, findings = records_from(desk.landing, start, postings["n"].to_list())
        counted = verify.counted(book)
        findings += _gaps(postings, desk.landing.last_n())
        findings += _as_recorded(postings, records, _partners(desk, records))
        findings += verify.strangers(counted, postings)
        chain, digests = _chain(desk, book, postings, counted, start, records)
        findings += [*chain, *_published(desk.book, postings)]
        findings += derived.contradictions(book, partial(desk.progress, "rows and working sets"))
        if any(finding.check in _REWRITTEN for finding in findings):
            findings += _traced(desk, book, postings, digests)
        findings += _kept_outside(postings, head)  # not traced: a slip in one digit must not cost a replay
        heads = desk.book.heads(book)
    payloads, damaged = hurt(desk, records, start)
    findings += damaged
    sealed = counted.filter(pl.col("n") >= start)
    return Proof(
        since=start,
        postings=int((postings["n"] >= start).sum()),
        rows=int(sealed.filter(pl.col("table").is_in(sealed_tables(BOOK_SCHEMA)))["rows"].sum()),
        entries=int(sealed.filter(pl.col("table") == "entry")["rows"].sum()),
        payloads=payloads,
        heads=heads,
        findings=tuple(sorted(findings, key=_place)),
        strays=tuple(desk.landing.strays()),
    )


def _start(postings: pl.DataFrame, since: int | date, head: str | None, zone: str) -> int:
    """The first posting whose link is proved again: a head kept outside proves the chain from itself on."""
    if isinstance(since, date):
        midnight = datetime.combine(since, time(), ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None)
        numbers = postings.filter(pl.col("posted_at") >= midnight)["n"]
        first = numbers.min()
        start = first if isinstance(first, int) else postings.height + 1
    else:
        start = since
    known = _with_head(postings, head)
    return min(start, known + 1) if known else start


def _require_any(postings: pl.DataFrame, start: int, head: str | None) -> None:
    last = max([0, *postings["n"]])
    if head is None and start > max(last, 1):
        raise UsageError(
            Code.NOTHING_FOUND,
            "since",
            found="no posting from then on, so nothing would be proved",
            expected=f"a posting up to {last}, or a day on which one was made",
            remedy="Name an earlier one",
        )


def _with_head(postings: pl.DataFrame, head: str | None) -> int | None:
    """The posting that a head kept outside belongs to, as the book states it."""
    if head is None:
        return None
    if len(head) < HEAD_DIGITS_MIN:
        raise UsageError(
            Code.NOTHING_FOUND,
            "head",
            found=f"{len(head)} digits",
            expected=f"a head, or at least its first {HEAD_DIGITS_MIN} digits",
            remedy="Copy it whole from the report or the run",
        )
    begins = pl.col("content_head").str.starts_with(head.lower()) | pl.col("chain_head").str.starts_with(head.lower())
    known = postings.filter(begins)["n"].to_list()
    return known[0] if known else None


def _gaps(postings: pl.DataFrame, recorded: int) -> Iterator[Finding]:
    """Numbers from 1 on that the book has no posting for, or more than one."""
    numbers = postings["n"]
    last = max([0, *numbers])
    for n in islice(_missing(numbers.unique().sort().to_list(), max(last, recorded)), NAMED_MAX):
        why = "; after a crash the next run posts it" if n > last else ""
        yield Finding("posting", "none in the book", f"the posting recorded under this number{why}", posting=n)
    for n in numbers.filter(numbers.is_duplicated() | (numbers < 1)).unique().sort().head(NAMED_MAX):
        yield Finding("posting", "a number out of turn", "each posting once, from 1 on", posting=n)


def _missing(numbers: Sequence[int], last: int) -> Iterator[int]:
    """The numbers from 1 to ``last`` that are not among these, which rise."""
    before = 0
    for number in [*(one for one in numbers if 0 < one <= last), last + 1]:
        yield from range(before + 1, number)
        before = number


def _partners(desk: ProofDesk, records: Records) -> Mapping[str, str]:
    """The partner that each layout in force names, by the layout's hash; one that is hurt is told as a payload."""
    partners = {}
    for sha in {record.hashes["layout"] for record, _ in records.values()}:
        with suppress(PermanentError):
            partners[sha] = desk.reader.feed_from_bytes(desk.landing.verify(sha).read_bytes()).partner
    return partners


def _as_recorded(postings: pl.DataFrame, records: Records, partners: Mapping[str, str]) -> Iterator[Finding]:
    """What the book says of a posting beside what its record, and the layout that this names, says."""
    for row in postings.iter_rows(named=True):
        record, sha = records.get(row["n"], (None, ""))
        if record is None:
            continue
        at = {"posting": row["n"], "file": record.name}
        if sha != row["record_sha"]:
            yield Finding("record", "a posting record with another hash", "the record that the chain seals", **at)
            continue
        said = {name: getattr(record, name) for name in _SAME}
        said |= {"delivery": record.order, "posted_at": record.posted_at.replace(tzinfo=None)}
        if row["book_schema"] == verify.FIRST_SCHEMA and row["verdict"] == "":
            del said["verdict"]  # the first schema did not keep it
        said["partner"] = partners.get(record.hashes["layout"], row["partner"])
        other = sorted(name for name, value in said.items() if row[name] != value)
        if other:
            told = f"another {', '.join(other)}"
            yield Finding("posting", told, "what the posting record says", table="posting", **at)


def _chain(
    desk: ProofDesk,
    book: Lookups,
    postings: pl.DataFrame,
    counted: pl.DataFrame,
    start: int,
    records: Records,
) -> tuple[list[Finding], dict[int, str]]:
    chosen = postings.filter(pl.col("n") >= start).unique("n", keep="first", maintain_order=True)
    digests = verify.derived_digests(book, chosen, counted, partial(desk.progress, "chain, rows"))
    before = postings.filter(pl.col("n") < start).tail(1).select("content_head", "chain_head").rows()
    seals = {n: verify.Seal(sha, record.hashes) for n, (record, sha) in records.items()}
    found = verify.links(chosen.to_dicts(), before[0] if before else (GENESIS, GENESIS), digests, seals)
    return list(found), digests


def _published(place: Book, postings: pl.DataFrame) -> Iterator[Finding]:
    """The heads beside the book must be those of its last posting."""
    if postings.is_empty() and not place.head_path.exists():
        return
    heads = published(place)
    if heads is None:
        yield Finding(
            "head_file", "no published head that can be read", "the heads of the last posting", file=_file(place)
        )
        return
    known = {0: (GENESIS, GENESIS)} | {
        n: (content, chain) for n, content, chain in postings.select("n", "content_head", "chain_head").iter_rows()
    }
    last = max(known)
    if heads.n not in known:
        yield Finding("head_file", f"postings up to {last}", "the published posting", heads.n, _file(place))
    elif known[heads.n] != (heads.content_head, heads.chain_head):
        yield Finding("head", "other heads than were published", "the published heads", heads.n, _file(place))
    elif heads.n != last:
        expected = f"posting {last}, the last; after a crash the next run publishes it"
        yield Finding("head_file", f"posting {heads.n} published", expected, heads.n, _file(place))


def _kept_outside(postings: pl.DataFrame, head: str | None) -> Iterator[Finding]:
    if head is not None and _with_head(postings, head) is None:
        yield Finding(
            "head",
            "no posting with the head that was kept outside",
            "the head of a posting: compare its digits with the report, run or backup that told it; if they are right, "
            "counterfoil replay names the first posting that is another",
        )


def _traced(desk: ProofDesk, book: Lookups, postings: pl.DataFrame, digests: Mapping[int, str]) -> Iterator[Finding]:
    """The first posting whose rows are not what the landing store makes of its file, and those rows.

    A digest tells the batch alone, so the book is made again, aside, up to the first posting that differs.
    """
    sealed = dict(postings.select("n", "rows_digest").iter_rows())
    expected = sealed | dict(digests)

    def judge(posted: Posted, name: str) -> Finding | None:
        if expected.get(posted.n, posted.rows_digest) == posted.rows_digest:
            return None
        return Finding("row", "", "what the landing store makes of the file", posting=posted.n, file=name)

    with tempfile.TemporaryDirectory(prefix="counterfoil-") as folder:
        place = Home(Path(folder))
        made = Book(place.book, place.book_lock, place.book_head)
        with made.writing(purpose="audit") as again:
            differs = fold(desk, again, max(sealed, default=0), judge)
            if differs is not None and differs.check == "row":
                yield from _different(again, book, differs)
            elif differs is not None:
                yield differs


def _different(again: Lookups, book: Lookups, at: Finding) -> Iterator[Finding]:
    """The rows of one posting in which the book differs from the book made again."""
    n = at.posting or 0
    schema, *_ = again.row("SELECT book_schema FROM book.posting WHERE n = ?", n) or (verify.FIRST_SCHEMA,)
    for table in sealed_tables(schema):
        expected, found = (verify.rows_of(one, table, n, n, schema).drop("of") for one in (again, book))
        if expected.equals(found):
            continue
        rows = different_rows(table, expected, found)
        for what, line, row in rows.head(NAMED_MAX).iter_rows():
            yield Finding("row", what, at.expected, n, at.file, table, line or None, row)
        if rows.is_empty():
            yield Finding("row", "the same rows in another order", at.expected, n, at.file, table)


def _place(finding: Finding) -> tuple[int, int]:
    """The first batch first; of one batch the rows that differ before what follows from them."""
    return (finding.posting if finding.posting is not None else 1 << 62, finding.check != "row")


def _file(place: Book) -> str:
    return place.head_path.name


def _without_book(desk: ProofDesk) -> Proof:
    recorded = desk.landing.last_n()
    if recorded == 0:
        raise UsageError(
            Code.NOTHING_FOUND,
            str(desk.settings.home.root),
            found="no posting",
            expected="a home that has posted",
            remedy="Name that home with --home",
        )
    return _unprovable([Finding("book", "no book", f"one of {recorded} postings", file=desk.book.path.name)])


def _unprovable(findings: Sequence[Finding]) -> Proof:
    return Proof(1, 0, 0, 0, 0, Heads(0, GENESIS, GENESIS), tuple(findings))
