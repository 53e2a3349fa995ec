"""The desk as a Dagster resource: opened for one step, closed with it. Not here: how a desk is built (``wiring``)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from counterfoil.settings import Settings
from counterfoil.steps.desk import Desk
from pipelines.wiring import open_desk


@dataclass(frozen=True)
class DeskOpener:
    """Opens the desk of an installation (``assets.desk.OpensDesk``); ``settings`` are read at each opening."""

    settings: Callable[[], Settings]

    @contextmanager
    def open(self, *, run_id: str | None, say: Callable[[str], None]) -> Iterator[Desk]:
        """The desk, its progress told to ``say``, its run id Dagster's own."""
        settings = self.settings()
        if run_id is not None:
            settings = settings.model_copy(update={"run_id": run_id})

        def progress(what: str, _done: int, _total: int) -> None:
            say(what)

        with open_desk(settings, progress=progress) as desk:
            yield desk
