"""The Dagster code location: every asset, job, schedule and sensor, assembled by one factory.

Here: assembly only. Not here: any asset or job itself. Layouts are loaded here, so a bad one fails the location, naming
its file and key.
"""

from collections.abc import Callable

import dagster as dg

from assets.intake import build_intake
from assets.outlets import build_crm, build_day, build_mail, build_reply, build_statement
from counterfoil.journey import OWN_FIRST
from counterfoil.settings import Settings, load_settings
from counterfoil.steps.desk import PARTNER_KINDS, in_order
from parsers.registry import LayoutReader
from pipelines.jobs import build_jobs, intake_keys
from pipelines.partitions import business_dates
from pipelines.resources import DeskOpener
from pipelines.schedules import build_schedules
from pipelines.sensors import build_sensors

CRM_TARGETS = ("salesforce",)


def build_definitions(*, settings: Callable[[], Settings] = load_settings) -> dg.Definitions:
    """Assemble the code location; tests pass settings, production passes nothing."""
    now = settings()
    everything = LayoutReader(now.data).feeds()
    feeds, own = in_order(everything, PARTNER_KINDS), in_order(everything, OWN_FIRST)
    days, intakes = business_dates(now), intake_keys([*own, *feeds], CRM_TARGETS)
    return dg.Definitions(
        assets=[
            *(asset for feed in [*own, *feeds] for asset in build_intake(feed, days)),
            *(build_reply(feed, days) for feed in [*own, *feeds] if feed.reply),
            *(build_statement(feed, days) for feed in feeds if feed.statement),
            *(build_crm(target, feeds, days) for target in CRM_TARGETS),
            build_mail([*own, *feeds], days),
            *build_day(feeds, CRM_TARGETS, days),
        ],
        jobs=build_jobs(intakes, CRM_TARGETS, [feed.feed for feed in feeds if feed.statement]),
        schedules=build_schedules(now, feeds, intakes),
        sensors=build_sensors(now, [*own, *feeds], intakes),
        resources={"desk": DeskOpener(settings)},
    )


defs = build_definitions()
