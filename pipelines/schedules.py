"""Nightly schedules: an intake for every feed, then the day's close after the last cut-off. Not here: arrivals."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from counterfoil.feed import Feed
from counterfoil.ledger.status import day_end
from counterfoil.settings import Settings
from pipelines.jobs import DAY, INTAKE, Intakes

CLOSE_MARGIN = timedelta(minutes=10)
"""Between the last cut-off and the close: the intakes of the night run first."""


def build_schedules(settings: Settings, feeds: Sequence[Feed], intakes: Intakes) -> list[dg.ScheduleDefinition]:
    """``nightly_intake`` right after the last cut-off of a day, ``nightly_close`` a little later."""
    zone = ZoneInfo(settings.zone)
    end, days_back = _latest_end(feeds, zone)

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
                asset_selection=intakes[feed.feed],
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


def _latest_end(feeds: Sequence[Feed], zone: ZoneInfo) -> tuple[datetime, int]:
    """The latest time of day, over a year of summer and winter times, at which a day ends; and how many days later."""
    days = [date(2026, month, 5) for month in range(1, 13)]
    ends = [(day_end(feeds, day).astimezone(zone), day) for day in days]
    end, day = max(ends, key=lambda found: found[0].replace(tzinfo=None) - datetime.combine(found[1], time()))
    return end, (end.date() - day).days


def _cron(moment: datetime) -> str:
    return f"{moment.minute} {moment.hour} * * *"
