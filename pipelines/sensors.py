"""The arrival sensors, one a connection: a file that is ready starts its feed's intake.

Here: which runs a look asks for. Not here: looking (``counterfoil.steps.arrive``) or the run. There is no cursor: what
was seen is in the arrival index, so nothing is lost with Dagster's own storage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import dagster as dg

from assets.desk import OpensDesk
from counterfoil.clock import local_date
from counterfoil.errors import CounterfoilError
from counterfoil.feed import Feed
from counterfoil.landing.outputs import Event
from counterfoil.limits import RUN_TRIES_MAX
from counterfoil.protocols import RemoteFile
from counterfoil.settings import Settings
from counterfoil.steps.arrive import Sight, look
from counterfoil.steps.desk import Desk
from pipelines.jobs import INTAKE, Intakes
from pipelines.partitions import is_key

LOOK_EVERY_S = 30
RUN_WITHOUT_VERDICT = "RUN_WITHOUT_VERDICT"


@dataclass(frozen=True)
class Wanted:
    """One intake to ask for, and the file it is asked for."""

    feed: str
    day: date
    file: RemoteFile
    attempt: int

    @property
    def run_key(self) -> str:
        """Remembered by Dagster for ever, so it changes with the file's version and with each attempt."""
        file = self.file
        return f"{self.feed}:{file.folder}/{file.name}:{file.size}:{file.mtime_ns}:{self.attempt}"


def build_sensors(settings: Settings, feeds: Sequence[Feed], intakes: Intakes) -> list[dg.SensorDefinition]:
    """A sensor for each connection that a layout names."""
    aliases = sorted({feed.arrival.connection for feed in feeds})
    return [_sensor(alias, settings, intakes) for alias in aliases]


def _sensor(connection: str, settings: Settings, intakes: Intakes) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"arrivals_{connection}",
        job_name=INTAKE,
        minimum_interval_seconds=LOOK_EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Looks at {connection} and starts an intake for each file that is ready.",
    )
    def arrivals(
        context: dg.SensorEvaluationContext, desk: dg.ResourceParam[OpensDesk]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        with desk.open(run_id=None, say=context.log.info) as opened:
            try:
                wanted = wanted_runs(opened, connection, settings)
            except CounterfoilError as error:
                return dg.SkipReason(str(error))
            for one in wanted:
                _count_attempt(context, opened, connection, one)
            return [_request(one, intakes) for one in wanted]

    return arrivals


def wanted_runs(desk: Desk, connection: str, settings: Settings) -> list[Wanted]:
    """One intake for each feed and day that has a file ready, in order of name.

    The day is the one in the file's name, else today in the feed's zone; a day that has no partition is looked at
    today, where posting finds and holds the file.
    """
    troubles: list[CounterfoilError] = []
    with desk.open_source(connection) as source:
        ready = [sight for sight in look(desk, source, connection, troubles) if sight.ready]
    for trouble in troubles:
        desk.progress(str(trouble), 0, 0)
    wanted: dict[tuple[str, date], Wanted] = {}
    for sight in ready:
        if sight.attempts >= RUN_TRIES_MAX:
            continue  # left to a person and to the nightly run; it must not hide the files behind it
        feed = sight.feed or _neighbour(desk, connection, sight)
        day = desk.reader.named_day(feed, name=sight.file.name)
        if day is None or not is_key(settings, day):
            day = local_date(desk.now(), settings.zone)
        wanted.setdefault((feed.feed, day), Wanted(feed.feed, day, sight.file, sight.attempts))
    return list(wanted.values())


def _neighbour(desk: Desk, connection: str, sight: Sight) -> Feed:
    """Any feed of the folder: its intake lands the file that nobody claims, for a person to see."""
    return next(
        feed
        for feed in desk.reader.feeds()
        if (feed.arrival.connection, feed.arrival.folder) == (connection, sight.file.folder)
    )


def _count_attempt(context: dg.SensorEvaluationContext, desk: Desk, connection: str, wanted: Wanted) -> None:
    """When the last run for the file ended and it still waits, that was an attempt; after the last one people hear."""
    filters = dg.RunsFilter(tags={"dagster/run_key": wanted.run_key})
    runs = context.instance.get_runs(filters=filters, limit=1)
    if not runs or not runs[0].is_finished:
        return
    attempts = desk.index.note_failure(connection, wanted.file, RUN_WITHOUT_VERDICT)
    context.log.warning(f"A run ended without a verdict on a file of {wanted.feed}; attempt {attempts} ended")
    if attempts >= RUN_TRIES_MAX:
        message = f"{wanted.feed}: {attempts} runs ended without a verdict on a file; it is left to a person"
        event = Event(wanted.run_key, "arrival", wanted.feed, wanted.day, RUN_WITHOUT_VERDICT, message, desk.now())
        if desk.index.note_event(event):
            context.log.error(message)


def _request(wanted: Wanted, intakes: Intakes) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=wanted.run_key,
        partition_key=wanted.day.isoformat(),
        asset_selection=intakes[wanted.feed],
        tags={"feed": wanted.feed},
    )
