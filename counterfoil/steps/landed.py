"""What the landing store holds, proved: records and sidecars that agree, and every payload by its hash.

Here: reading all of it and telling what is hurt. Not here: what it must say of the book (``audit``).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from counterfoil.errors import PermanentError
from counterfoil.landing.records import Delivery, Outcome, PostingRecord, read_record_file
from counterfoil.landing.store import LandingStore
from counterfoil.ledger.differences import NAMED_MAX, Finding
from counterfoil.steps.desk import ProofDesk

Sidecar = TypeVar("Sidecar", Delivery, Outcome)

Records = dict[int, tuple[PostingRecord, str]]
"""Posting records by number, each with the hash of its bytes."""

_SAID_TWICE = ("payload_sha", "feed", "name", "identity", "business_date", "sequence", "epoch", "sender")
"""What a delivery's sidecar and the record of its posting both say."""

_WITHOUT_SETTINGS = 1
"""Records of this schema name their settings by hash; their bytes were not kept."""


def records_from(landing: LandingStore, start: int, posted: Sequence[int]) -> tuple[Records, list[Finding]]:
    """The posting records from a number on, and those that cannot be read, or that are missing of what was posted."""
    records: Records = {}
    findings = []
    there = {n for n in landing.record_numbers() if n >= max(start, 1)}
    missing = sorted({n for n in posted if n >= start} - there)
    for n in sorted(there | set(missing[:NAMED_MAX])):
        try:
            records[n] = landing.read_record(n), landing.record_sha(n)
        except PermanentError as error:
            findings.append(Finding("record", error.found, error.expected, posting=n))
    if len(missing) > NAMED_MAX:
        told = f"{len(missing) - NAMED_MAX:,} more postings without a record"
        findings.append(Finding("record", told, "a record of each posting", posting=missing[NAMED_MAX]))
    return records, findings


def hurt(desk: ProofDesk, records: Records, start: int) -> tuple[int, list[Finding]]:
    """Sidecars and payloads that are missing, changed or disagree; with how many payloads were hashed.

    Those of postings before ``start`` are passed over.
    """
    landing = desk.landing
    deliveries, findings = _sidecars(Delivery, landing.records("deliveries"))
    outcomes, unread = _sidecars(Outcome, landing.records("outcomes"))
    findings += [*unread, *_disagreeing(records, {one.order: one for one in deliveries}, outcomes, landing.last_n())]
    first_order = min((record.order for record, _ in records.values()), default=0) if start > 1 else 0
    named: dict[str, tuple[int | None, str]] = {
        sha: (None, one.name) for one in deliveries if one.order >= first_order for sha in one.kept
    }
    named |= {sha: (n, name) for sha, n, name in _named(landing, records)}
    for done, (sha, (n, name)) in enumerate(named.items()):
        desk.progress("landed files", done, len(named))
        try:
            landing.verify(sha)
        except PermanentError as error:
            findings.append(Finding("payload", f"{error.where}: {error.found}", error.expected, posting=n, file=name))
    desk.progress("landed files", len(named), len(named))
    return len(named), findings


def _sidecars(kind: type[Sidecar], paths: Sequence[Path]) -> tuple[list[Sidecar], list[Finding]]:
    read, findings = [], []
    for path in paths:
        try:
            read.append(read_record_file(kind, path))
        except PermanentError as error:
            findings.append(Finding("sidecar", error.found, error.expected, file=f"{path.parent.name}/{path.name}"))
    return read, findings


def _disagreeing(
    records: Records, deliveries: Mapping[int, Delivery], outcomes: list[Outcome], last: int
) -> Iterator[Finding]:
    for n, (record, _) in records.items():
        delivery = deliveries.get(record.order)
        if delivery is None:
            yield Finding("sidecar", "no delivery", "the delivery that was posted", posting=n, file=record.name)
        elif other := [name for name in _SAID_TWICE if getattr(delivery, name) != getattr(record, name)]:
            told = f"another {', '.join(other)}"
            yield Finding("sidecar", told, "what the posting record says", posting=n, file=record.name)
    for outcome in outcomes:
        if outcome.n is None:
            continue
        posted = records.get(outcome.n)
        if outcome.n > last or (posted is not None and posted[0].order != outcome.order):
            told = f"delivery {outcome.order} posted under this number"
            yield Finding("sidecar", told, "the posting record that says so", posting=outcome.n)


def _named(landing: LandingStore, records: Records) -> Iterator[tuple[str, int, str]]:
    """Every hash that a record names, with its posting and file; what several name, by the first of them last."""
    for n, (record, _) in reversed(records.items()):
        for what, sha in record.hashes.items():
            unkept = what == "settings" and record.book_schema <= _WITHOUT_SETTINGS and not landing.path(sha).exists()
            if sha and not unkept:
                yield sha, n, record.name
        yield record.payload_sha, n, record.name
