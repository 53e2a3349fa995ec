"""Answers to partners: each file of a feed that is to be answered gets one file back, once it is certain what became
of it.

Here: which files, what is said of them, and the order of making, putting and recording. Not here: how an answer is
written (``counterfoil.replies``) or put (``connectors``).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed
from counterfoil.files import sha256_bytes
from counterfoil.identity import Verdict
from counterfoil.landing.records import Delivery, Outcome, OutcomeState, ReplySent
from counterfoil.protocols import Parsed
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
    for delivery, k in desk.index.unanswered(feed):
        contract = feed_of(desk, delivery)
        outcome = desk.index.latest_outcomes([delivery.order]).get(delivery.order)
        try:
            sent = _answer(desk, delivery, k, outcome, contract)
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
    status = _status(delivery, outcome, parsed)
    if not reply.wanted(status):
        return replace(none, status=status)
    taken = status in (Status.ACCEPTED, Status.PARTLY)
    facts = _facts(delivery, outcome, feed, reply, status, parsed if taken else None)
    name = file_name(reply, facts, status)
    data = content(reply, facts, _rows(desk, delivery, feed, reply, parsed))
    with desk.open_source(delivery.connection) as source:
        source.put(reply.folder, name, data)
    return replace(none, status=status, folder=reply.folder, name=name, sha256=sha256_bytes(data))


def _status(delivery: Delivery, outcome: Outcome | None, parsed: Parsed | None) -> Status:
    if Verdict.REPLAY in (delivery.verdict, outcome and outcome.state):
        return Status.DUPLICATE
    if outcome is None or outcome.state is not OutcomeState.POSTED or parsed is None:
        return Status.FAILED
    return Status.ACCEPTED if parsed.quarantined.is_empty() else Status.PARTLY


def _facts(
    delivery: Delivery, outcome: Outcome | None, feed: Feed, reply: Reply, status: Status, taken: Parsed | None
) -> dict[str, str]:
    """What is said of a file, as text. ``taken``: its records, where they count."""
    path = PurePosixPath(delivery.name)
    fault = (outcome or delivery).code if status is Status.FAILED else None
    good, bad = (taken.accepted, taken.quarantined) if taken else (pl.DataFrame(), pl.DataFrame())
    number = delivery.sequence
    due = None if number is None else number + (status is not Status.FAILED)
    if due is not None and feed.identity.wrap_at is not None:
        number, due = ((n - 1) % feed.identity.wrap_at + 1 for n in (number or 1, due))
    return {
        "name": delivery.name,
        "stem": path.stem,
        "suffix": path.suffix,
        "date": "" if delivery.business_date is None else f"{delivery.business_date:%Y%m%d}",
        "sequence": "" if number is None else str(number),
        "next": "" if due is None else str(due),
        "order": str(delivery.order),
        "status": reply.statuses.get(status, status.value),
        "code": reply.code(fault or ""),
        "message": Code(fault).summary if fault else "",
        "records": str(good.height + bad.height),
        "accepted": str(good.height),
        "rejected": str(bad.height),
        "points": str(_sum(good)),
        "rejected_points": str(_sum(bad)),
    }


def _sum(rows: pl.DataFrame) -> int:
    return int(rows["points"].sum()) if "points" in rows.columns else 0


def _rows(desk: Desk, delivery: Delivery, feed: Feed, reply: Reply, parsed: Parsed | None) -> pl.DataFrame:
    """The records to tell of, by line: those that could not be taken, and the others where the partner wants them."""
    if parsed is None or reply.row is None:
        return pl.DataFrame(schema=ROWS)
    bad = _refused(parsed, reply, desk.reader.places(feed), _encoding(desk, delivery, feed, parsed))
    if reply.rows == "rejects":
        return bad
    good = parsed.accepted.select(
        line="line_no",
        **{name: pl.col(name) if name in parsed.accepted.columns else None for name in ("ref", "member", "points")},
        code=pl.lit(reply.code("")),
        **{name: pl.lit("") for name in ("text", "field", "raw")},
    )
    return pl.concat([bad, good.cast(pl.Schema(ROWS))]).sort("line")


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


def _encoding(desk: Desk, delivery: Delivery, feed: Feed, parsed: Parsed) -> str:
    """The encoding of a file's lines, as the reader knows it of the first that is to be told."""
    lines = parsed.quarantined["line_no"].head(1).to_list()
    payload = desk.landing.path(delivery.payload_sha)
    known = desk.reader.lines(feed, name=delivery.name, payload=payload, numbers=lines) if lines else {}
    return next((line.encoding for line in known.values()), "utf-8")
