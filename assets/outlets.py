"""What leaves: answers, CRM batches and letters after an intake; calendar, journal, report and statements at a day's
close.

Here: thin callers of the journey with their metadata and checks. Not here: a feed's own chain (``intake``).
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from assets import show
from assets.desk import OpensDesk, at_desk, day_of
from assets.intake import Days
from counterfoil import journey
from counterfoil.feed import Feed
from counterfoil.landing.records import refused
from counterfoil.steps import close, publish, statements

CALENDAR, JOURNAL, REPORT, LETTERS = (
    dg.AssetKey(key)
    for key in (["day", "calendar"], ["gl", "journal"], ["report", "reconciliation"], ["mail", "letters"])
)


def build_crm(target: str, feeds: Sequence[Feed], days: Days) -> dg.AssetsDefinition:
    """``crm/<target>``: a batch of all that changed since the last one. Other feeds are lineage, never waited for."""

    @dg.asset(
        key=dg.AssetKey(["crm", target]),
        deps=[CALENDAR, *(dg.AssetKey(["posted", feed.feed]) for feed in feeds)],
        partitions_def=days,
        group_name="outlets",
        kinds={"csv"},
        description=f"Batches for {target}: what postings changed, once.",
    )
    def crm(context: dg.AssetExecutionContext, desk: dg.ResourceParam[OpensDesk]) -> dg.MaterializeResult[None]:
        with at_desk(context, desk) as opened:
            (wanted,) = (one for one in opened.crm_targets if one.name == target)
            written = publish.publish_crm(opened, wanted)
            rows = [
                (done.batch.batch_id, f"{done.batch.from_n + 1}-{done.batch.to_n}", part.object, part.rows, part.points)
                for done in written
                for part in done.parts
            ]
            return dg.MaterializeResult(
                metadata={
                    "batches": show.table(rows, ("batch", "postings", "object", "rows", "points")),
                    "dagster/partition_row_count": sum(row[3] for row in rows),
                }
            )

    return crm


def build_reply(feed: Feed, days: Days) -> dg.AssetsDefinition:
    """``reply/<feed>``: the answers to the partner's files of which it is certain what became."""

    @dg.asset(
        key=dg.AssetKey(["reply", feed.feed]),
        deps=[dg.AssetKey(["posted", feed.feed])],
        partitions_def=days,
        group_name=feed.partner,
        kinds={"sftp"},
        description=f"Answers to the files of {feed.feed}, in the partner's own layout.",
    )
    def reply(context: dg.AssetExecutionContext, desk: dg.ResourceParam[OpensDesk]) -> dg.MaterializeResult[None]:
        with at_desk(context, desk) as opened:
            rows = [(sent.name, sent.status, sent.folder) for sent in journey.answer(opened, feed.feed)]
            return dg.MaterializeResult(metadata={"answers": show.table(rows, ("file", "status", "folder"))})

    return reply


def build_statement(feed: Feed, days: Days) -> dg.AssetsDefinition:
    """``statement/<feed>``: what the days that closed did to the company's balance and budgets."""

    @dg.asset(
        key=dg.AssetKey(["statement", feed.feed]),
        deps=[CALENDAR],
        partitions_def=days,
        group_name=feed.partner,
        kinds={"sftp"},
        description=f"Statements of {feed.partner}, a file for each closed day that moved its points.",
    )
    def statement(context: dg.AssetExecutionContext, desk: dg.ResourceParam[OpensDesk]) -> dg.MaterializeResult[None]:
        with at_desk(context, desk) as opened:
            rows = [(name,) for name in statements.hand_over(opened, feed)]
            return dg.MaterializeResult(metadata={"statements": show.table(rows, ("file",))})

    return statement


def build_mail(feeds: Sequence[Feed], days: Days) -> dg.AssetsDefinition:
    """``mail/letters``: what people are told by letter. A mail server that is away fails a check and never a run: the
    letters wait, and what else a run does needs no server."""

    @dg.asset(
        key=LETTERS,
        deps=[CALENDAR, *(dg.AssetKey(["posted", feed.feed]) for feed in feeds)],
        partitions_def=days,
        group_name="outlets",
        kinds={"email"},
        description="The letters that are due, each handed over at most once.",
        check_specs=[
            dg.AssetCheckSpec(
                "letters_answered",
                asset=LETTERS,
                description="No letter was refused, put off or left without an answer.",
            )
        ],
    )
    def letters(
        context: dg.AssetExecutionContext, desk: dg.ResourceParam[OpensDesk]
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        with at_desk(context, desk) as opened:
            mailed = journey.mail(opened)
            counts = opened.index.outbox.counts()
            yield dg.MaterializeResult(
                metadata={
                    "new": mailed.written,
                    "sent": mailed.sent,
                    "outbox": show.table(sorted(counts.items()), ("state", "letters")),
                }
            )
            yield dg.AssetCheckResult(
                check_name="letters_answered",
                passed=not mailed.troubles,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"troubles": show.table([(str(trouble),) for trouble in mailed.troubles], ("what to do",))},
            )

    return letters


def build_day(feeds: Sequence[Feed], targets: Sequence[str], days: Days) -> list[dg.AssetsDefinition]:
    """The assets of a day's close. They wait for no feed: what failed is named in the report."""
    return [_calendar(days), _journal(days), _report(feeds, targets, days)]


def _calendar(days: Days) -> dg.AssetsDefinition:
    @dg.asset(
        key=CALENDAR,
        partitions_def=days,
        group_name="day",
        kinds={"duckdb"},
        description="The close of the day: what came and what did not, and what became overdue.",
    )
    def calendar(context: dg.AssetExecutionContext, desk: dg.ResourceParam[OpensDesk]) -> dg.MaterializeResult[None]:
        with at_desk(context, desk) as opened:
            postings = close.close_days(opened, day_of(context))
            return dg.MaterializeResult(metadata={"days closed now": len(postings)})

    return calendar


def _journal(days: Days) -> dg.AssetsDefinition:
    @dg.asset(
        key=JOURNAL,
        deps=[CALENDAR],
        partitions_def=days,
        group_name="day",
        kinds={"csv"},
        description="The general-ledger journal of every posting since the last one.",
    )
    def gl_journal(context: dg.AssetExecutionContext, desk: dg.ResourceParam[OpensDesk]) -> dg.MaterializeResult[None]:
        with at_desk(context, desk) as opened:
            note = publish.publish_journal(opened, day_of(context))
            return dg.MaterializeResult(
                metadata={
                    "journal": note.journal_id if note else "nothing to journal",
                    "postings": f"{note.from_n + 1}-{note.to_n}" if note else "",
                }
            )

    return gl_journal


def _report(feeds: Sequence[Feed], targets: Sequence[str], days: Days) -> dg.AssetsDefinition:
    @dg.asset(
        key=REPORT,
        deps=[
            JOURNAL,
            *(dg.AssetKey(["crm", target]) for target in targets),
            *(dg.AssetKey(["posted", feed.feed]) for feed in feeds),
        ],
        partitions_def=days,
        group_name="day",
        kinds={"html"},
        description="The reconciliation report of the day, as a page and as CSV files.",
        check_specs=[
            dg.AssetCheckSpec(
                "every_feed_settled", asset=REPORT, description="No feed of the day is missing, held or rejected."
            )
        ],
    )
    def report(
        context: dg.AssetExecutionContext, desk: dg.ResourceParam[OpensDesk]
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        day = day_of(context)
        with at_desk(context, desk) as opened:
            written = publish.publish_report(opened, day)
            known = opened.index.deliveries(day=day)
            outcomes = opened.index.latest_outcomes(one.order for one in known)
            bad = refused(known, outcomes)
            with opened.book.reading() as book:
                heads = opened.book.heads(book)
            yield dg.MaterializeResult(
                metadata={
                    "report": show.link(written.page),
                    "version": written.version,
                    "made at posting": written.posting,
                    "content head": heads.content_head,
                    "chain head": heads.chain_head,
                }
            )
            yield dg.AssetCheckResult(
                check_name="every_feed_settled",
                passed=not bad,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"files": show.deliveries(bad, outcomes)},
            )

    return report
