"""How an asset gets at the desk, and our errors in Dagster's terms: a permanent one is never retried.

Here: the resource's protocol and the one way to open it in a step. Not here: the resource itself (``pipelines``).
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from typing import Protocol

import dagster as dg

from counterfoil.errors import CounterfoilError
from counterfoil.steps.desk import Desk


class OpensDesk(Protocol):
    """The resource ``desk``."""

    def open(self, *, run_id: str | None, say: Callable[[str], None]) -> AbstractContextManager[Desk]: ...


@contextmanager
def at_desk(context: dg.AssetExecutionContext, desk: OpensDesk) -> Iterator[Desk]:
    """The desk for one step; every expected error leaves it as a Failure whose text is the error's own."""
    try:
        with desk.open(run_id=context.run.run_id, say=context.log.info) as opened:
            yield opened
    except CounterfoilError as error:
        raise dg.Failure(
            description=str(error),
            metadata={"code": str(error.code), "permanent": error.permanent},
            allow_retries=not error.permanent,
        ) from error


def day_of(context: dg.AssetExecutionContext) -> date:
    """The business date of the partition."""
    return date.fromisoformat(context.partition_key)
