"""The one clock. Nothing else in the program asks the operating system for the time of day.

Here: the current instant in UTC and its conversions. Not here: business dates (``identity``) or time-outs.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator

Clock = Callable[[], datetime]


def _known_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("is no time zone of the IANA list, such as Europe/Berlin") from error
    return zone


Zone = Annotated[str, AfterValidator(_known_zone)]
"""The name of a time zone in a settings file or layout."""


def system_clock() -> datetime:
    """The present instant, UTC, to the millisecond (what every store keeps)."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def fixed_clock(instant: datetime) -> Clock:
    """A clock that stands still, for repeatable runs and tests."""
    return lambda: instant


def local_date(instant: datetime, zone: str) -> date:
    """The calendar day of an instant in an IANA zone."""
    return instant.astimezone(ZoneInfo(zone)).date()


def utc_text(instant: datetime) -> str:
    """``2026-11-20T22:15:00.000Z``: the one spelling of an instant in sidecars and reports."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"
