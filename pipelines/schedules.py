"""Nightly schedules: an intake for every feed, then the day's close after the last cut-off. Not here: arrivals."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from counterfoil.feed import Feed
from counterfoil.ledger.status import day_end
from counterfoil.settings import Settings
from pipelines.jobs import DAY, INTAKE, intake_keys

CLOSE_MARGIN = timedelta(minutes=10)
"""Between the last cut-off and the close: the intakes of the night run first."""


def build_schedules(settings: Settings, feeds: Sequence[Feed], targets: Sequence[str]) -> list[dg.ScheduleDefinition]:
    """``nightly_intake`` right after the last cut-off of a day, ``nightly_close`` a little later."""
    zone = ZoneInfo(settings.zone)
    end = day_end(feeds, date(2026, 1, 5)).astimezone(zone)
    days_back = (end.date() - date(2026, 1, 5)).days

    def ended(scheduled: datetime) -> str:
        return (scheduled.astimezone(zone).date() - timedelta(days=days_back)).isoformat()

    @dg.schedule(
        name="nightly_intake",
        job_name=INTAKE,
        cron_schedule=_cron(end),
        execution_timezone=settings.zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="One intake a feed, so that no failing feed stops another.",
    )
    def nightly_intake(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        day = ended(context.scheduled_execution_time)
        return [
            dg.RunRequest(
                run_key=f"{feed.feed}:{day}",
                partition_key=day,
                asset_selection=intake_keys(feed.feed, targets),
                tags={"feed": feed.feed, "partner": feed.partner},
            )
            for feed in feeds
        ]

    closing = end + CLOSE_MARGIN

    @dg.schedule(
        name="nightly_close",
        job_name=DAY,
        cron_schedule=_cron(closing),
        execution_timezone=settings.zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Closes the day and reports it, whatever became of the feeds.",
    )
    def nightly_close(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        opened = context.scheduled_execution_time - CLOSE_MARGIN
        return dg.RunRequest(run_key=f"close:{ended(opened)}", partition_key=ended(opened))

    return [nightly_intake, nightly_close]


def _cron(moment: datetime) -> str:
    return f"{moment.minute} {moment.hour} * * *"
