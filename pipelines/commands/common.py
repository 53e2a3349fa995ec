"""What every verb shares: options, tables for people, JSON for machines, and progress.

Here: presentation helpers. Not here: any fact that is shown.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn
from zoneinfo import ZoneInfo

import polars as pl
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from counterfoil.errors import Code, UsageError
from counterfoil.ledger.known import Reach
from counterfoil.ledger.periods import last_day
from counterfoil.money import decimal_texts
from counterfoil.schemas.rules import FIRST_DAY, LAST_DAY
from counterfoil.steps.desk import Desk
from counterfoil.steps.desk import Progress as Say


class Format(StrEnum):
    """How a reading command answers."""

    TABLE = "table"
    JSON = "json"


HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Home folder; else COUNTERFOIL_HOME, else .counterfoil here.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="A table for people or JSON for machines.")]
PartnerOption = Annotated[str | None, typer.Option("--partner", help="Only this partner.")]
KnownAtOption = Annotated[
    str | None,
    typer.Option("--known-at", help="As it was known then: an instant with its offset, or a date for its end."),
]
PeriodOption = Annotated[
    str | None, typer.Option("--period", help="Entries whose accounting date is not after this month, YYYY-MM.")
]

WIDTH_ELSEWHERE = 140
"""Columns of a table where the output is no terminal that says how wide it is."""

WHOLE_MAX = 20
"""Cells up to this length, names and ids, are never broken over two lines."""

# What is printed is a partner's or an option's as often as ours: brackets and ``:100:`` in it mean themselves.
stdout = Console(width=None if sys.stdout.isatty() else WIDTH_ELSEWHERE, markup=False, emoji=False, highlight=False)
stderr = Console(stderr=True, markup=False, emoji=False, highlight=False)


def parse_day(option: str, text: str | None) -> date | None:
    """A date option as YYYY-MM-DD; DATE_OUTSIDE otherwise."""
    if text is None:
        return None
    try:
        return _within(option, date.fromisoformat(text))
    except ValueError as error:
        _refuse(option, "no date", "a date such as 2026-11-20", error)


def parse_instant(option: str, text: str, zone: str) -> datetime:
    """An option as an instant; a date means the last millisecond of that day in the zone. DATE_OUTSIDE otherwise."""
    expected = "an instant with its offset, such as 2026-11-20T18:00:00+01:00, or a date"
    try:
        if len(text) <= len("2026-11-20"):
            following = _within(option, date.fromisoformat(text)) + timedelta(days=1)
            return datetime.combine(following, time(), ZoneInfo(zone)) - timedelta(milliseconds=1)
        instant = datetime.fromisoformat(text)
        _within(option, instant.date())
    except ValueError as error:
        _refuse(option, "no time", expected, error)
    return instant if instant.tzinfo else _refuse(option, "a time without its offset from UTC", expected)


def parse_reach(as_of: str | None, period: str | None) -> Reach:
    """Which entries count by ``--as-of`` and ``--period``, of which at most one is given; DATE_OUTSIDE otherwise."""
    if as_of is not None and period is not None:
        _refuse("--as-of", "--period beside it", "one of them: value dates, or accounting dates")
    return (
        Reach(as_of=parse_day("--as-of", as_of))
        if period is None
        else Reach(period_end=parse_period("--period", period))
    )


def parse_period(option: str, text: str) -> date:
    """The last day of a month given as YYYY-MM; DATE_OUTSIDE otherwise."""
    try:
        return _within(option, last_day(text))
    except ValueError as error:
        _refuse(option, "no month", "a month such as 2026-11", error)


def require_known(option: str, wanted: Iterable[str | None], known: Iterable[str]) -> None:
    """Raise NOTHING_FOUND, naming those there are, unless each name that an option was given is one of them."""
    names = sorted(set(known))
    unknown = sorted({name for name in wanted if name is not None} - set(names))
    if unknown:
        raise UsageError(
            Code.NOTHING_FOUND,
            option,
            found=f"none named {', '.join(unknown)}",
            expected=f"one of {', '.join(names)}",
            remedy="See counterfoil feeds",
        )


def require_partner(desk: Desk, partner: str | None) -> None:
    """Raise NOTHING_FOUND for a partner that no layout has."""
    require_known("--partner", [partner], (feed.partner for feed in desk.reader.feeds()))


def _within(option: str, day: date) -> date:
    """A day that can be meant: files hold no other, and near the ends of the calendar no day follows."""
    if not FIRST_DAY <= day <= LAST_DAY:
        _refuse(option, f"the year {day.year}", f"a day from {FIRST_DAY} to {LAST_DAY}")
    return day


def _refuse(option: str, found: str, expected: str, cause: ValueError | None = None) -> NoReturn:
    raise UsageError(Code.DATE_OUTSIDE, option, found=found, expected=expected, remedy="Correct it") from cause


def emit_json(value: object) -> None:
    """One JSON document on standard output, keys in a stable order."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def emit_frame(frame: pl.DataFrame, output: Format, *, title: str) -> None:
    """A frame as a table or as a JSON list of objects."""
    if output is Format.JSON:
        emit_json(frame.to_dicts())
        return
    emit_rows(frame.iter_rows(), frame.columns, title=title, numeric=[kind.is_numeric() for kind in frame.dtypes])


def with_money(frame: pl.DataFrame, shown: Sequence[str]) -> pl.DataFrame:
    """The columns that people see; with breaks about money those of money beside them, in major units."""
    codes = frame["currency"].drop_nulls().unique()
    if codes.is_empty():
        return frame.select(shown)
    minor = [name for name in frame.columns if name.endswith("minor")]
    texts = frame.with_columns(decimal_texts(pl.col(name), pl.col("currency"), codes).alias(name) for name in minor)
    named = {name: name.removesuffix("_minor").replace("minor", "money") for name in minor}
    beside = "points" if "points" in shown else "difference"
    at = shown.index(beside) + 1
    return texts.rename(named).select(*shown[:at], *named.values(), "currency", *shown[at:])


def emit_rows(
    rows: Iterable[Sequence[object]], header: Sequence[str], *, title: str, numeric: Sequence[bool] = ()
) -> None:
    """A table for people: numbers to the right, thousands apart; ``none`` when there is no row."""
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown = [[_cell(cell) for cell in row] for row in rows]
    for position, name in enumerate(header):
        right = position < len(numeric) and numeric[position]
        longest = max((len(row[position]) for row in shown), default=0)
        table.add_column(
            name.replace("_", " "),
            justify="right" if right else "left",
            overflow="fold",
            min_width=longest if longest <= WHOLE_MAX else None,
        )
    for row in shown:
        table.add_row(*row)
    stdout.print(table if shown else Text.assemble((title, "bold"), ": none"))


@contextmanager
def progress() -> Iterator[Say]:
    """A progress line on standard error while work goes on; nothing where that is no terminal."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    ) as bar:
        task = bar.add_task("starting", total=None)

        def say(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total or None)

        yield say


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value)
