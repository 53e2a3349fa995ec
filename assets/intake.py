"""One feed's chain, in the order of the journey: received → parsed → reconciled and posted.

Here: the assets of a feed as thin callers of the journey, with their metadata and checks. Not here: what the steps do,
or jobs and schedules. The chain of one feed and day is one run in one process.
"""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import polars as pl

from assets import show
from assets.desk import OpensDesk, at_desk, day_of
from counterfoil import journey
from counterfoil.feed import Feed, FeedKind
from counterfoil.landing.records import Delivery, refused
from counterfoil.ledger import extracts, tie_outs
from counterfoil.steps import staging
from counterfoil.steps.desk import Desk
from counterfoil.steps.post import Settled, readable, waiting

Days = dg.PartitionsDefinition[str]


def build_intake(feed: Feed, days: Days) -> list[dg.AssetsDefinition]:
    """The assets of one feed: ``received/<feed>``, ``parsed/<feed>``, ``reconciled/<feed>`` with ``posted/<feed>``."""
    return [_received(feed, days), _parsed(feed, days), _posted(feed, days)]


def _key(step: str, feed: Feed) -> dg.AssetKey:
    return dg.AssetKey([step, feed.feed])


def _received(feed: Feed, days: Days) -> dg.AssetsDefinition:
    @dg.asset(
        key=_key("received", feed),
        partitions_def=days,
        group_name=feed.partner,
        kinds={"sftp"},
        description=f"Files of {feed.feed} as they landed, byte for byte, each with its verdict.",
    )
    def received(context: dg.AssetExecutionContext, desk: dg.ResourceParam[OpensDesk]) -> dg.MaterializeResult[None]:
        with at_desk(context, desk) as opened:
            got = journey.arrive(opened, feed.arrival.connection, patient=True)
            return dg.MaterializeResult(
                metadata={
                    "files": _files(opened, feed, day_of(context)),
                    "not ready yet": len(got.waiting),
                    "could not be taken": show.table([(str(trouble),) for trouble in got.troubles], ("message",)),
                }
            )

    return received


def _parsed(feed: Feed, days: Days) -> dg.AssetsDefinition:
    @dg.asset(
        key=_key("parsed", feed),
        deps=[_key("received", feed)],
        partitions_def=days,
        group_name=feed.partner,
        kinds={"polars"},
        description=f"Records of {feed.feed}: accepted, quarantined with a code and a line, and control totals.",
    )
    def parsed(context: dg.AssetExecutionContext, desk: dg.ResourceParam[OpensDesk]) -> dg.MaterializeResult[None]:
        with at_desk(context, desk) as opened:
            rows = []
            for delivery in waiting(opened, feed.feed, day_of(context)):
                known = readable(opened, delivery)
                if known is None:
                    continue
                staging.stage(opened, delivery, known)
                codes = known.quarantined.group_by("code").len().sort("code").iter_rows()
                quarantined = ", ".join(f"{code} {count}" for code, count in codes)
                rows.append((delivery.name, known.lines, known.accepted.height, quarantined or "none"))
            accepted = sum(row[2] for row in rows)
            return dg.MaterializeResult(
                metadata={
                    "dagster/partition_row_count": accepted,
                    "files": show.table(rows, ("file", "lines", "accepted", "quarantined")),
                }
            )

    return parsed


def _posted(feed: Feed, days: Days) -> dg.AssetsDefinition:
    reconciled_key, posted_key = _key("reconciled", feed), _key("posted", feed)

    @dg.multi_asset(
        name=f"posted_{feed.feed}",
        specs=[
            dg.AssetSpec(
                reconciled_key,
                deps=[_key("parsed", feed)],
                partitions_def=days,
                group_name=feed.partner,
                kinds={"polars"},
                description=f"What each record of {feed.feed} turned out to be: dispositions and breaks.",
            ),
            dg.AssetSpec(
                posted_key,
                deps=[_key("parsed", feed)],
                partitions_def=days,
                group_name=feed.partner,
                kinds={"duckdb"},
                description=f"{feed.feed} in the ledger: one transaction a file.",
            ),
        ],
        check_specs=[
            dg.AssetCheckSpec(
                "every_file_accepted",
                asset=posted_key,
                blocking=True,
                description="No file of the day is rejected or held.",
            ),
            dg.AssetCheckSpec(
                "mass_balance",
                asset=posted_key,
                blocking=True,
                description="Lines, records and points of every posting are accounted for.",
            ),
            _warning(feed, posted_key),
        ],
    )
    def posted(
        context: dg.AssetExecutionContext, desk: dg.ResourceParam[OpensDesk]
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        day = day_of(context)
        with at_desk(context, desk) as opened:
            parsed = {
                delivery.order: known
                for delivery in waiting(opened, feed.feed, day)
                if (known := staging.staged(opened, delivery)) is not None
            }
            settled = journey.intake(opened, feed.feed, day, parsed=parsed)
            yield from _results(opened, feed, day, settled, reconciled_key, posted_key)

    return posted


def _warning(feed: Feed, posted: dg.AssetKey) -> dg.AssetCheckSpec:
    """What people should look at and what stops nothing."""
    if feed.kind is FeedKind.GL_BALANCES:
        return dg.AssetCheckSpec("gl_ties", asset=posted, description="Every account ties to the general ledger.")
    return dg.AssetCheckSpec("suspense_empty", asset=posted, description="Nothing waits in suspense.")


def _results(
    desk: Desk, feed: Feed, day: date, settled: Settled, reconciled: dg.AssetKey, posted: dg.AssetKey
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """What the posting transaction proved, shown; a run that posts nothing shows the day's earlier postings."""
    known = desk.index.deliveries(feed=feed.feed, day=day)
    outcomes = desk.index.latest_outcomes(one.order for one in known)
    postings = [outcome.n for outcome in outcomes.values() if outcome.n] + [one.n for one in settled.postings]
    with desk.book.reading() as book:
        numbers = pl.Series("n", sorted(set(postings)), dtype=pl.Int32)
        balance = extracts.stage1(book, numbers)
        matches = extracts.matches(book, numbers)
        breaks = extracts.break_counts(book, numbers)
        suspense = extracts.suspense(book, feed.partner)
        apart = tie_outs.apart(book, numbers)
        heads = desk.book.heads(book)
    bad = refused(known, outcomes)
    unexplained = sum(int(balance[name].abs().sum()) for name in ("unexplained_rows", "unexplained_points"))
    yield dg.MaterializeResult(
        asset_key=reconciled, metadata={"matches": show.frame(matches), "breaks opened": show.frame(breaks)}
    )
    yield dg.MaterializeResult(
        asset_key=posted,
        metadata={
            "files": show.deliveries(known, outcomes),
            "mass balance": show.turned(balance, heading="name"),
            "postings of this run": len(settled.postings),
            "dagster/partition_row_count": int(balance["accepted"].sum()),
            "content head": heads.content_head,
            "chain head": heads.chain_head,
        },
    )
    yield dg.AssetCheckResult(
        asset_key=posted,
        check_name="every_file_accepted",
        passed=not bad,
        metadata={"refused": show.deliveries(bad, outcomes)},
    )
    yield dg.AssetCheckResult(
        asset_key=posted,
        check_name="mass_balance",
        passed=unexplained == 0,
        metadata={"unexplained": unexplained, "balance": show.turned(balance, heading="name")},
    )
    yield dg.AssetCheckResult(
        asset_key=posted,
        check_name=_warning(feed, posted).name,
        passed=not apart if feed.kind is FeedKind.GL_BALANCES else suspense == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"accounts": ", ".join(apart) or "none"}
        if feed.kind is FeedKind.GL_BALANCES
        else {"points in suspense": suspense},
    )


def _files(desk: Desk, feed: Feed, day: date) -> dg.MetadataValue:
    known: list[Delivery] = desk.index.deliveries(feed=feed.feed, day=day)
    return show.deliveries(known, desk.index.latest_outcomes(one.order for one in known))
