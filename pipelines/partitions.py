"""The one partitioning of everything: the business date, a day a key. Not here: which day a file counts for."""

from datetime import date, timedelta
from typing import Final

import dagster as dg

from counterfoil.clock import local_date
from counterfoil.settings import Settings

DAYS_AHEAD: Final = 1
"""Partners east of us send tomorrow's file today; later days never become a key."""


def business_dates(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Days from the programme's first to tomorrow, in the programme's zone.

    ``end_offset=2``: Dagster's own last key is yesterday, and one unknown key would fail a whole sensor tick.
    """
    return dg.DailyPartitionsDefinition(
        start_date=settings.start_date.isoformat(), timezone=settings.zone, end_offset=1 + DAYS_AHEAD
    )


def is_key(settings: Settings, day: date) -> bool:
    """Whether a day has a partition now."""
    today = local_date(settings.clock(), settings.zone)
    return settings.start_date <= day <= today + timedelta(days=DAYS_AHEAD)
