"""The two jobs: one feed's intake, and a day's close. Both run in one process; the book's lock keeps runs apart."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.outlets import CALENDAR, JOURNAL, REPORT
from counterfoil.feed import Feed

INTAKE, DAY = "intake", "day"


def intake_keys(feed: str, targets: Sequence[str]) -> list[dg.AssetKey]:
    """What one run of ``intake`` makes: a feed's chain, then the CRM batches."""
    chain = [dg.AssetKey([step, feed]) for step in ("received", "parsed", "reconciled", "posted")]
    return [*chain, *(dg.AssetKey(["crm", target]) for target in targets)]


def build_jobs(feeds: Sequence[Feed], targets: Sequence[str]) -> list[Any]:
    """``intake`` (a run asks for the keys of one feed) and ``day``; Dagster does not export their type."""
    keys = {key: None for feed in feeds for key in intake_keys(feed.feed, targets)}
    crm = [dg.AssetKey(["crm", target]) for target in targets]
    return [
        dg.define_asset_job(
            INTAKE,
            selection=dg.AssetSelection.assets(*keys),
            executor_def=dg.in_process_executor,
            description="One feed, one day: receive, parse, reconcile and post, then the CRM batches.",
        ),
        dg.define_asset_job(
            DAY,
            selection=dg.AssetSelection.assets(CALENDAR, JOURNAL, REPORT, *crm),
            executor_def=dg.in_process_executor,
            description="The close of a day: calendar, remaining CRM batches, journal, report.",
        ),
    ]
