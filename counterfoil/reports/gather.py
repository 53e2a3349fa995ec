"""Gathers what a day's report is made from: the book at one posting, the arrival index, and what went out by then.

Here: which read fills which table of ``ReportFacts``. Not here: the reads themselves (``ledger``), or how facts are
judged and shown. Nothing here asks for the time: at the same posting, with the same outputs, facts are the same.
"""

import json
from collections.abc import Sequence
from datetime import UTC, date
from pathlib import Path

import polars as pl

from counterfoil.clock import utc_text
from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed
from counterfoil.landing.index import ArrivalIndex
from counterfoil.landing.outputs import Range
from counterfoil.landing.records import JOURNALS, Journal
from counterfoil.ledger import decided, extracts, figures, open_breaks, outlets, tie_outs
from counterfoil.ledger.chart import Chart
from counterfoil.ledger.journal import journal
from counterfoil.ledger.known import Moment, known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.scorecard import scorecard
from counterfoil.ledger.status import WAITING, day_end, day_files
from counterfoil.reports.facts import KNOWN_AT, SCHEMAS, ReportFacts
from counterfoil.schemas.rules import Rule
from counterfoil.settings import Settings
from counterfoil.steps.desk import SOFTWARE


def gather(
    book: Lookups,
    index: ArrivalIndex,
    *,
    settings: Settings,
    feeds: Sequence[Feed],
    chart: Chart,
    day: date,
    moment: Moment,
    version: int,
    restated: bool,
) -> ReportFacts:
    """The facts of a programme day as they were known at a moment.

    A closed day keeps its figures whatever is posted later, but for what went out since: batches and journals.
    ``feeds`` are the partners' feeds, ``chart`` is the one in force then. Raises NOTHING_FOUND where nothing was
    posted by then, SIDECAR_DAMAGED for a written batch without its manifest, and what ``summary`` and ``journal``
    raise.
    """
    at = known(book, day, moment.n)
    postings = extracts.postings_of(book, day, moment.n)
    numbers = postings["n"]
    files = day_files(book, index, feeds, day, moment)
    ranges = _ranges(index, settings, moment)
    journals = [made for made in index.journals(JOURNALS) if made.to_n <= moment.n and moment.includes(made.made_at)]
    stage2 = _stage2(book, numbers, ranges, journals)
    tied = tie_outs.tie_out(book, chart, counts=at.counts, as_of=day, currency=settings.currency)
    card = scorecard(book, index, feeds, day=day, moment=moment, currency=settings.currency)
    found = {
        "files": files,
        "controls": extracts.controls(book, numbers),
        "stage1": extracts.stage1(book, numbers),
        "stage2": stage2,
        "tie_out": tied,
        "tie_out_by_hand": tie_outs.by_hand(book, tied),
        "summary": figures.summary(book, at, settings.currency),
        "matches": extracts.matches(book, numbers),
        "breaks": pl.concat([open_breaks.open_breaks(book, at), open_breaks.in_transit(book, at)]),
        "movements": open_breaks.movements(book, at),
        "quarantine": _described(extracts.quarantine(book, numbers)),
        "rejects": figures.rejects(book, at, feeds),
        "decisions": decided.told(book, numbers),
        "clearing": figures.clearing(book, at),
        "companies": figures.companies(book, at),
        "owed": figures.owed(book, at),
        "journals": _journals(book, settings, chart, [made for made in journals if made.date == day]),
        "downstream": _downstream(settings, ranges, stage2),
        "failed_feeds": _failed(index, files, day, moment),
        "scorecard": card.figures,
        "scorecard_files": card.files,
        "scorecard_records": card.records,
        "scorecard_breaks": card.breaks,
    }
    tables = {name: _shaped(name, frame) for name, frame in found.items()}
    cover = _cover(book, settings, feeds, day, moment)
    return ReportFacts(cover=cover | {"version": str(version), "restated": "yes" if restated else "no"}, **tables)


def _shaped(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The declared columns of a table, in their order; integers may have been narrower."""
    return frame.select(pl.col(column).cast(kind) for column, kind in SCHEMAS[name].items())


def _cover(book: Lookups, settings: Settings, feeds: Sequence[Feed], day: date, moment: Moment) -> dict[str, str]:
    last = book.row(
        """SELECT n, chain_head, content_head, run_id, posted_at FROM book.posting WHERE n <= ?
           ORDER BY n DESC LIMIT 1""",
        moment.n,
    )
    if last is None:
        raise PermanentError(
            Code.NOTHING_FOUND,
            f"report of {day}",
            found="nothing posted by then" if moment.at else "an empty book",
            expected="at least one posting",
            remedy="Ask for a later time" if moment.at else "Post the day's files first: counterfoil run",
        )
    n, chain_head, content_head, run_id, posted_at = last
    closed = book.row("SELECT 1 FROM book.closed_day WHERE day = ? AND file_id <= ?", day, n)
    return ({KNOWN_AT: utc_text(moment.at)} if moment.at else {}) | {
        "programme": settings.programme,
        "unit": settings.unit,
        "currency": settings.currency,
        "entity": settings.entity,
        "business_date": day.isoformat(),
        "zone": settings.zone,
        "cut_off": utc_text(day_end(feeds, day)),
        "closed": "yes" if closed else "no",
        "posting": str(n),
        "chain_head": chain_head,
        "content_head": content_head,
        "run_id": run_id,
        "data_as_of": utc_text(posted_at.replace(tzinfo=UTC)),
        "software": SOFTWARE,
        "clock": f"calendar days from the value date, {settings.zone}",
    }


def _ranges(index: ArrivalIndex, settings: Settings, moment: Moment) -> list[Range]:
    """Every CRM batch there was of the targets there are mappings for, by target."""
    targets = sorted(path.stem for path in (settings.data / "crm").glob("*.yaml"))
    made = [one for target in targets for one in index.ranges(target)]
    return [one for one in made if one.batch.to_n <= moment.n and moment.includes(one.made_at)]


def _stage2(book: Lookups, numbers: pl.Series, ranges: list[Range], journals: list[Journal]) -> pl.DataFrame:
    """Where each outcome of the day's postings went."""
    first, last = (numbers[0], numbers[-1]) if numbers.len() else (1, 0)
    found = outlets.stage_two(
        book,
        from_n=first - 1,
        to_n=last,
        crm=[(one.batch.batch_id, one.batch.from_n, one.batch.to_n, one.state == "written") for one in ranges],
        journals=[(made.journal_id, made.from_n, made.to_n) for made in journals],
    )
    return found.filter(pl.col("posting").is_in(numbers.cast(pl.Int64).implode()))


def _described(found: pl.DataFrame) -> pl.DataFrame:
    summaries = {rule.value: rule.summary for rule in Rule}
    return found.with_columns(summary=pl.col("code").replace_strict(summaries, default="", return_dtype=pl.String))


def _journals(book: Lookups, settings: Settings, chart: Chart, made: list[Journal]) -> pl.DataFrame:
    """The journals of the day, a row for each currency and each target that has its files."""
    rows = [pl.DataFrame(schema=SCHEMAS["journals"])]
    for one in made:
        lines = journal(
            book,
            one.from_n,
            one.to_n,
            chart=chart,
            programme=settings.programme,
            entity=settings.entity,
            unit=settings.unit,
            currency=settings.currency,
            journal_id=one.journal_id,
        )
        sums = lines.group_by("journal_id", "currency").agg(
            pl.col("debit_minor", "credit_minor", "points").sum(), lines=pl.len()
        )
        files = pl.DataFrame(
            [
                (folder.parent.name, _names(folder))
                for folder in sorted(settings.home.out_gl.glob(f"*/{one.journal_id}"))
            ],
            schema={"target": pl.String, "file": pl.String},
            orient="row",
        )
        rows.append(_shaped("journals", sums.join(files, how="cross").with_columns(accounting_date=pl.lit(one.date))))
    return pl.concat(rows).sort("journal_id", "currency", "target")


def _names(folder: Path) -> str:
    return ", ".join(sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")))


def _downstream(settings: Settings, ranges: list[Range], stage2: pl.DataFrame) -> pl.DataFrame:
    """The CRM batches that hold outcomes of the day, a row for each object."""
    told = set(stage2.filter((pl.col("side") == "crm") & (pl.col("in_batch") > 0))["batch"])
    rows = [
        (
            batch.target,
            batch.batch_id,
            name,
            batch.from_n,
            batch.to_n,
            sums["rows"],
            sums["parts"],
            sums["points"],
            state,
        )
        for batch, state in ((one.batch, one.state) for one in ranges)
        if batch.batch_id in told
        for name, sums in sorted(_totals(settings.home.out_crm / batch.target / batch.batch_id).items())
    ]
    return pl.DataFrame(rows, schema=SCHEMAS["downstream"], orient="row")


def _totals(folder: Path) -> dict[str, dict[str, int]]:
    """Rows, parts and points of each object of a batch, as its manifest states them."""
    manifest = folder / "manifest.json"
    try:
        totals: dict[str, dict[str, int]] = json.loads(manifest.read_bytes())["totals"]
    except (OSError, ValueError, KeyError) as error:
        raise PermanentError(
            Code.SIDECAR_DAMAGED,
            str(manifest),
            found="no batch manifest",
            expected="the totals of a batch that was written",
            remedy="Restore the batch folder from a backup",
        ) from error
    return totals


def _failed(index: ArrivalIndex, files: pl.DataFrame, day: date, moment: Moment) -> pl.DataFrame:
    """Feeds with a file that landed and was neither posted nor refused: their run did not come to its end.

    Code and message are those of the day's last event about the feed; without one the code is WAITING.
    """
    waiting = files.filter((pl.col("state") == WAITING) & (pl.col("feed") != ""))["feed"].unique().sort()
    events = [event for event in index.events(day) if moment.includes(event.at)]
    said = {event.feed: (event.code, event.message) for event in events}
    unknown = ("WAITING", "A file landed and was neither posted nor refused; run the feed again")
    rows = [(feed, *said.get(feed, unknown)) for feed in waiting]
    return pl.DataFrame(rows, schema=SCHEMAS["failed_feeds"], orient="row")
