"""What leaves: CRM batches, journals and the day's report, each once for its postings and always the same bytes.

Here: which postings go into what, and where the files lie. Not here: what they say (``ledger``, ``reports``) or their
formats (``connectors``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path

import polars as pl

from counterfoil.errors import Code
from counterfoil.files import canonical_json, sha256_bytes, write_durably
from counterfoil.invariants import require
from counterfoil.landing.records import JOURNALS, Journal
from counterfoil.ledger import outlets
from counterfoil.ledger.journal import journal, journal_id
from counterfoil.ledger.known import known, moment
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.story import Story
from counterfoil.ledger.updates import updates
from counterfoil.protocols import Batch, BatchPart, CrmTarget
from counterfoil.steps.desk import SOFTWARE, Desk
from counterfoil.steps.explain import explain_breaks
from counterfoil.steps.recall import chart_at


@dataclass(frozen=True)
class WrittenBatch:
    """A CRM batch and the parts it was written in."""

    batch: Batch
    parts: tuple[BatchPart, ...]


@dataclass(frozen=True)
class WrittenReport:
    """A day's report: its version, the posting it was made at, and its page."""

    day: date
    version: int
    posting: int
    page: Path


def publish_crm(desk: Desk, target: CrmTarget) -> list[WrittenBatch]:
    """Write what every posting since the last batch changed; a range without changes waits for the next batch."""
    mapping_sha = sha256_bytes(target.mapping_bytes())
    written: list[WrittenBatch] = []
    with desk.book.reading() as book:
        to_n = book.last_posting()
        ranges = desk.index.ranges(target.name)
        done = max((known.batch.to_n for known in ranges if known.state == "written"), default=0)
        changed = updates(book, done, to_n)
        while changed.height:
            batch = desk.index.allot_range(
                target=target.name, to_n=to_n, mapping_sha=mapping_sha, batch_id=batch_id, at=desk.now()
            )
            if batch is None:
                return written
            desk.progress(f"writing {target.name} batch {batch.batch_id}", len(written), 0)
            if (batch.from_n, batch.to_n) != (done, to_n):
                changed = updates(book, batch.from_n, batch.to_n)
            parts = target.write(batch, changed, desk.settings.home.out_crm / target.name / batch.batch_id)
            desk.index.mark_range_written(batch)
            written.append(WrittenBatch(batch, parts))
            done = batch.to_n
            changed = updates(book, done, to_n)
    return written


def batch_id(target: str, mapping_sha: str, from_n: int, to_n: int) -> str:
    """A batch's name: the head of the hash of what it is a function of."""
    return sha256(f"{target}\n{mapping_sha}\n{from_n}\n{to_n}".encode()).hexdigest()[:16]


def publish_journal(desk: Desk, day: date) -> Journal | None:
    """Write the journal of every posting since the last one, for each target; None when there is nothing to journal.

    Without new postings the last journal is written again, byte for byte.
    """
    with desk.book.reading() as book:
        to_n = book.last_posting()
        known = desk.index.journals(JOURNALS)
        last = known[-1] if known else None
        if last is not None:
            # Again, byte for byte: a crash may have left it claimed and not written.
            _write_journal(desk, _journal(desk, book, last.journal_id, last.from_n, last.to_n), last)
            if last.to_n >= to_n:
                return last
        from_n = last.to_n if last else 0
        name = journal_id(desk.settings.entity, to_n)
        lines = _journal(desk, book, name, from_n, to_n)
    if lines.is_empty():
        return None
    claimed = Journal(
        journal_id=name,
        target=JOURNALS,
        date=day,
        from_n=from_n,
        to_n=to_n,
        sha256=sha256_bytes(lines.write_csv().encode()),
        made_at=desk.now(),
    )
    note = desk.index.claim_journal(claimed)
    _write_journal(desk, lines, note)
    return note


def _journal(desk: Desk, book: Lookups, name: str, from_n: int, to_n: int) -> pl.DataFrame:
    settings = desk.settings
    return journal(
        book,
        from_n,
        to_n,
        chart=desk.rulebook.chart,
        programme=settings.programme,
        entity=settings.entity,
        unit=settings.unit,
        currency=settings.currency,
        journal_id=name,
    )


def _write_journal(desk: Desk, lines: pl.DataFrame, note: Journal) -> None:
    for target in desk.journal_targets:
        desk.progress(f"writing journal {note.journal_id} for {target.name}", 0, 0)
        target.write(lines, desk.settings.home.out_gl / target.name / note.journal_id)


def publish_report(desk: Desk, day: date, known_at: datetime | None = None) -> WrittenReport:
    """Write the day's report as of the last posting, or as of the last one that was made by ``known_at``.

    Made again from the same facts it is the same version with the same bytes; when anything in it has changed since,
    it is the next version, marked restated. One that shows what was known restates nothing, and is a version of its
    own. Raises MASS_BALANCE when an outcome is accounted for nowhere, NOTHING_FOUND where nothing was posted by then.
    """
    # Imported here: the charts' library takes more than a second, and only this step draws.
    from counterfoil.reports import csv, gather, html  # noqa: PLC0415
    from counterfoil.reports.verdict import told_breaks  # noqa: PLC0415

    with desk.book.reading() as book:
        then = moment(book, known_at)
        facts = gather.gather(
            book,
            desk.index,
            settings=desk.settings,
            feeds=desk.feeds(),
            chart=chart_at(desk, then),
            day=day,
            moment=then,
            version=0,
            restated=False,
        )
        told = explain_breaks(desk, book, known(book, day, then.n), then, told_breaks(facts.breaks).to_list())
    stories = _story_pages(told, facts.cover)
    # The bytes also depend on files without a posting and on what has left since: all of it decides the version.
    tables = csv.tables(facts)
    hashes = {name: sha256_bytes(data) for name, data in {**tables, **stories}.items()}
    inputs = sha256_bytes(canonical_json([SOFTWARE, desk.settings.settings_sha, hashes]))
    version = desk.index.report_version(day=day, n=then.n, inputs_sha=inputs, at=desk.now())
    restates = version.version > 1 and known_at is None
    named = {"version": str(version.version), "restated": "yes" if restates else "no"}
    facts = replace(facts, cover={**facts.cover, **named})
    unaccounted = outlets.unaccounted(facts.stage2)
    require(unaccounted == 0, f"stage 2 of the mass balance leaves {unaccounted} outcomes", code=Code.MASS_BALANCE)
    folder = desk.settings.home.out_reports / day.isoformat() / f"v{version.version}"
    desk.progress(f"writing the report of {day}", 0, 0)
    for name, data in {**tables, **stories, **csv.cover(facts)}.items():
        write_durably(folder / name, data)
    page = html.render(facts).encode()
    write_durably(folder / "index.html", page)
    desk.index.note_report(
        version, sha=sha256_bytes(page), path=str((folder / "index.html").relative_to(desk.settings.home.root))
    )
    return WrittenReport(day, version.version, then.n, folder / "index.html")


def _story_pages(told: Sequence[Story], cover: Mapping[str, str]) -> dict[str, bytes]:
    """A page for each story, by its name below the report's folder. They name no version, so they are part of what
    decides it."""
    from counterfoil.reports import sections, story_page  # noqa: PLC0415

    back = story_page.Link("../index.html#s7", f"Break list of {cover['business_date']}")
    return {
        sections.STORY.format(story.break_id): story_page.render(
            story, programme=cover["programme"], back=back
        ).encode()
        for story in told
    }
