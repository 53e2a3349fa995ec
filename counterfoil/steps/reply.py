"""Answers to partners: each file of a feed that is to be answered gets one file back, once it is certain what became
of it.

Here: which files, what is said of them, and the order of making, putting and recording. Not here: how an answer is
written (``counterfoil.replies``) or put (``connectors``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import PurePosixPath

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed, FeedKind
from counterfoil.files import sha256_bytes
from counterfoil.identity import Verdict
from counterfoil.landing.records import Delivery, Outcome, OutcomeState, ReplySent
from counterfoil.ledger import distributions
from counterfoil.protocols import Parsed, Reader
from counterfoil.replies import ROWS, Reply, Status, content, file_name
from counterfoil.schemas.rules import Rule
from counterfoil.steps.desk import Desk
from counterfoil.steps.post import feed_of, readable


def answer_files(desk: Desk, feed: str) -> list[ReplySent]:
    """Answer all files of a feed that wait for it, in order of arrival; raises what putting raises.

    The answer is made of what landed, so that after a crash it is made again as it was; the same bytes there count as
    put. A file is answered by the layout that claimed it, and one whose layout has no ``reply`` never is.
    """
    if not any(known.reply for known in desk.reader.feeds() if known.feed == feed):
        return []
    answered, refused = [], []
    waiting = desk.index.unanswered(feed)
    outcomes = desk.index.latest_outcomes(delivery.order for delivery, _ in waiting)
    for delivery, k in waiting:
        contract = feed_of(desk, delivery)
        try:
            sent = _answer(desk, delivery, k, outcomes.get(delivery.order), contract)
        except PermanentError as error:
            # What stands in the way of one answer does not keep the others.
            refused.append(error)
            continue
        desk.index.record_reply(sent)
        answered += [sent] if sent.name else []
    if refused:
        raise refused[0]
    return answered


def _answer(desk: Desk, delivery: Delivery, k: int, outcome: Outcome | None, feed: Feed) -> ReplySent:
    """Make and put one answer, where the partner wants one."""
    none = ReplySent(order=delivery.order, k=k, feed=feed.feed, status="", folder="", name="", sha256="", at=desk.now())
    reply = feed.reply
    if reply is None:
        return none
    parsed = readable(desk, delivery)
    results = _results(desk, feed, outcome)
    status = _status(delivery, outcome, parsed, results)
    if not reply.wanted(status):
        return replace(none, status=status)
    about = About(
        name=delivery.name,
        day=delivery.business_date,
        number=delivery.sequence,
        order=delivery.order,
        status=status,
        fault=((outcome or delivery).code or "") if status in (Status.FAILED, Status.WAITS) else "",
        detail=(outcome or delivery).message or "",
        attempt=k,
    )
    name, data = written(feed, reply, about, parsed, desk.reader, results)
    with desk.open_source(delivery.connection) as source:
        source.put(reply.folder, name, data)
    return replace(none, status=status, folder=reply.folder, name=name, sha256=sha256_bytes(data))


@dataclass(frozen=True)
class About:
    """A file as far as its answer speaks of it. ``fault``: the message code of one that failed or waits, else empty."""

    name: str
    day: date | None
    number: int | None
    order: int
    status: Status
    fault: str
    detail: str = ""
    attempt: int = 0


def written(
    feed: Feed, reply: Reply, about: About, parsed: Parsed | None, reader: Reader, results: pl.DataFrame | None = None
) -> tuple[str, bytes]:
    """Name and bytes of an answer. ``parsed``: the file's records, where they could be read; ``results``: what became
    of each, ``distributions.RESULTS``, for kinds whose good records may be refused."""
    good, bad = _told(feed, reply, parsed, reader, results)
    counts = about.status in (Status.ACCEPTED, Status.PARTLY)
    facts = _facts(feed, reply, about, good if counts else good.clear(), bad if counts else bad.clear())
    rows = bad if reply.rows == "rejects" else pl.concat([bad, good]).sort("line")
    silent = about.status is Status.DUPLICATE or reply.row is None
    return file_name(reply, facts, about.status), content(reply, facts, rows.clear() if silent else rows)


def _results(desk: Desk, feed: Feed, outcome: Outcome | None) -> pl.DataFrame | None:
    if feed.kind is not FeedKind.BULK_UPLOAD or outcome is None or outcome.n is None:
        return None
    with desk.book.reading() as book:
        return distributions.results(book, outcome.n)


def _status(delivery: Delivery, outcome: Outcome | None, parsed: Parsed | None, results: pl.DataFrame | None) -> Status:
    if Verdict.REPLAY in (delivery.verdict, outcome and outcome.state):
        return Status.DUPLICATE
    if outcome is not None and outcome.state is OutcomeState.HELD:
        return Status.WAITS
    if outcome is None or outcome.state is not OutcomeState.POSTED or parsed is None:
        return Status.FAILED
    refused = results is not None and results["refused"].any()
    return Status.PARTLY if refused or parsed.quarantined.height else Status.ACCEPTED


def _facts(feed: Feed, reply: Reply, about: About, good: pl.DataFrame, bad: pl.DataFrame) -> dict[str, str]:
    """What is said of a file, as text. ``good`` and ``bad``: its records (ROWS), where they count."""
    path = PurePosixPath(about.name)
    number = about.number
    due = None if number is None else number + (about.status is not Status.FAILED)
    last = feed.identity.wrap_at
    if number is not None and due is not None and last is not None:
        number, due = ((counted - 1) % last + 1 for counted in (number, due))
    return {
        "name": about.name,
        "stem": path.stem,
        "suffix": path.suffix,
        "date": "" if about.day is None else f"{about.day:%Y%m%d}",
        "sequence": "" if number is None else str(number),
        "next": "" if due is None else str(due),
        "order": str(about.order),
        "attempt": str(about.attempt),
        "status": reply.statuses.get(about.status, about.status.value),
        "code": reply.code(about.fault),
        "message": Code[about.fault].summary if about.fault else "",
        "detail": about.detail,
        "records": str(good.height + bad.height),
        "accepted": str(good.height),
        "rejected": str(bad.height),
        "points": str(good["points"].sum()),
        "rejected_points": str(bad["points"].sum()),
    }


def _told(
    feed: Feed, reply: Reply, parsed: Parsed | None, reader: Reader, results: pl.DataFrame | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The records (ROWS) that were taken, and those that were not."""
    if parsed is None:
        return pl.DataFrame(schema=ROWS), pl.DataFrame(schema=ROWS)
    unread = _refused(parsed, reply, reader.places(feed), reader.encoding(feed))
    columns = parsed.accepted.columns
    sources = {"ref": "ref", "member": "email" if feed.kind is FeedKind.BULK_UPLOAD else "member", "points": "points"}
    read = parsed.accepted.select(
        line="line_no",
        **{name: pl.col(source) if source in columns else None for name, source in sources.items()},
        **{name: pl.lit("") for name in ("code", "text", "field", "raw")},
    ).cast(pl.Schema(ROWS))
    if results is None:
        return read.with_columns(code=pl.lit(reply.code(""))), unread
    codes = {code: reply.code(code) for code in results["code"].unique()}
    named = results.with_columns(pl.col("code").replace_strict(codes, return_dtype=pl.String))
    became = read.drop("code", "text").join(named, on="line", how="left", maintain_order="left")
    good, bad = (became.filter(refused).select(*ROWS) for refused in (~pl.col("refused"), pl.col("refused")))
    return good, pl.concat([unread, bad]).sort("line")


def _refused(parsed: Parsed, reply: Reply, places: Mapping[str, str], encoding: str) -> pl.DataFrame:
    meanings = {str(rule): rule.summary for rule in Rule}
    codes = {str(rule): reply.code(rule) for rule in Rule}
    return parsed.quarantined.select(
        line="line_no",
        ref=pl.lit(None),
        member=pl.lit(None),
        points="points",
        code=pl.col("code").replace_strict(codes, return_dtype=pl.String),
        text=pl.col("code").replace_strict(meanings, return_dtype=pl.String),
        field=pl.col("field").replace_strict(dict(places), default="", return_dtype=pl.String),
        raw=pl.Series([line.decode(encoding, "replace") for line in parsed.quarantined["raw"]], dtype=pl.String),
    ).cast(pl.Schema(ROWS))
