"""The two jobs: one feed's intake, and a day's close. Both run in one process; the book's lock keeps runs apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.outlets import CALENDAR, JOURNAL, LETTERS, REPORT
from counterfoil.feed import Feed

INTAKE, DAY = "intake", "day"

Intakes = Mapping[str, Sequence[dg.AssetKey]]
"""The assets of each feed's intake."""


def intake_keys(feeds: Sequence[Feed], targets: Sequence[str]) -> Intakes:
    """What one run of ``intake`` makes, by feed: its chain, the answers to its partner, CRM batches and letters."""
    crm = [dg.AssetKey(["crm", target]) for target in targets]
    return {
        feed.feed: [
            *(dg.AssetKey([step, feed.feed]) for step in ("received", "parsed", "reconciled", "posted")),
            *([dg.AssetKey(["reply", feed.feed])] if feed.reply else []),
            *crm,
            LETTERS,
        ]
        for feed in feeds
    }


def build_jobs(intakes: Intakes, targets: Sequence[str], stated: Sequence[str]) -> list[Any]:
    """``intake`` (a run asks for the keys of one feed) and ``day``; Dagster does not export their type. ``stated``:
    feeds whose company gets statements."""
    keys = {key: None for of_feed in intakes.values() for key in of_feed}
    crm = [dg.AssetKey(["crm", target]) for target in targets]
    statements = [dg.AssetKey(["statement", feed]) for feed in stated]
    return [
        dg.define_asset_job(
            INTAKE,
            selection=dg.AssetSelection.assets(*keys),
            executor_def=dg.in_process_executor,
            description="One feed, one day: receive, parse, reconcile, post, answer; CRM batches and letters.",
        ),
        dg.define_asset_job(
            DAY,
            selection=dg.AssetSelection.assets(CALENDAR, JOURNAL, REPORT, LETTERS, *crm, *statements),
            executor_def=dg.in_process_executor,
            description="The close of a day: calendar, remaining CRM batches and letters, journal, report, statements.",
        ),
    ]
