"""What decisions would do, shown and not done: ``--dry-run`` of the verbs that decide on breaks.

Here: the option, and a rehearsal for people and machines. Not here: rehearsing (``steps.rehearse``), or the rows of a
decisions file (``resolve``, ``decide``).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import polars as pl
import typer

from counterfoil.money import format_minor
from counterfoil.settings import ProgrammeSettings
from counterfoil.steps.desk import Desk
from counterfoil.steps.rehearse import Rehearsed, rehearsed
from pipelines.commands.common import Format, emit_frame, emit_json, stdout

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what it would do, and do nothing.")]

NOTHING_UNFIT: Final = pl.DataFrame()


def show_rehearsed(
    desk: Desk,
    told: Sequence[Mapping[str, Any]],
    *,
    reason: str,
    output: Format,
    minor: int = 0,
    unfit: pl.DataFrame = NOTHING_UNFIT,
) -> None:
    """Rehearse the rows of a decisions file. ``minor``: what breaks about charges come to; ``unfit``: those that a
    decision does not fit. Exits with 1 where the file would be refused."""
    would = rehearsed(desk, told, reason=reason)
    points = sum(int(row["points"]) for row in told)
    settings = desk.settings
    if output is Format.JSON:
        emit_json(
            {
                "dry_run": True,
                "decisions": len(told),
                "points": points,
                "minor": minor,
                "booked": would.booked.to_dicts(),
                "breaks": would.breaks.to_dicts(),
                "items": would.items.to_dicts(),
                "second_person": list(would.second_person),
                "limits": {
                    "points": settings.approval_points,
                    "minor": settings.approval_minor,
                    "currency": settings.currency,
                },
                "unfit": unfit.to_dicts(),
                "why_not": would.why_not,
            }
        )
    elif would.why_not is not None:
        if unfit.height:
            emit_frame(unfit, output, title="Do not fit")
        _say(would.why_not)
    else:
        emit_frame(would.booked, output, title="Would book")
        emit_frame(would.items, output, title="Requests and answers that would change")
        emit_frame(would.breaks, output, title="Breaks that would change")
        _say(_summary(would, len(told), points, minor, settings))
    if would.why_not is not None:
        raise typer.Exit(1)


def _summary(would: Rehearsed, decisions: int, points: int, minor: int, settings: ProgrammeSettings) -> str:
    """How much it is, and who must approve what one person may not decide alone of one cause on one programme day."""
    currency = settings.currency
    who = f"yes: {', '.join(would.second_person)}" if would.second_person else "no"
    about = f" and {format_minor(minor, currency)} {currency}" if minor else ""
    many = f"{decisions} decision{'s' if decisions > 1 else ''}, {points:,} points{about}"
    money = f"{format_minor(settings.approval_minor, currency)} {currency}"
    return (
        f"{many}. A second person must approve: {who} (beyond {settings.approval_points:,} points or {money} of one "
        "person, action and day). Nothing was done."
    )


def _say(text: str) -> None:
    stdout.print(text, soft_wrap=True)
