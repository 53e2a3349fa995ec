"""``counterfoil tie-out``: how the ledger ties to the general ledger, account by account, lines A to H."""

from datetime import date
from enum import StrEnum
from typing import Annotated

import polars as pl
import typer

from counterfoil.clock import local_date
from counterfoil.ledger import tie_outs
from counterfoil.ledger.known import moment
from counterfoil.money import decimal_texts
from counterfoil.reconcile.tie_out import DIFFERS, LINES
from counterfoil.reports.csv import csv_bytes
from counterfoil.steps.recall import chart_at
from pipelines.commands.common import (
    HomeOption,
    KnownAtOption,
    emit_json,
    emit_rows,
    parse_day,
    parse_instant,
)
from pipelines.wiring import desk_at

AsOfOption = Annotated[str | None, typer.Option("--as-of", help="Extracts of this date or before; now by default.")]


class TieOutFormat(StrEnum):
    """How the tie-out answers."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("tie-out")(tie_out)


def tie_out(
    as_of: AsOfOption = None,
    known_at: KnownAtOption = None,
    home: HomeOption = None,
    output: Annotated[
        TieOutFormat, typer.Option("--format", help="A table, JSON for machines or CSV for a spreadsheet.")
    ] = TieOutFormat.TABLE,
) -> None:
    """The newest statement of each account that the general ledger has stated; exit status 1 where one differs."""
    with desk_at(home) as desk, desk.book.reading() as book:
        then = moment(book, parse_instant("--known-at", known_at, desk.settings.zone) if known_at is not None else None)
        day = parse_day("--as-of", as_of) or local_date(then.at or desk.now(), desk.settings.zone)
        found = tie_outs.tie_out(
            book, chart_at(desk, then), counts=lambda n: f"{n} <= {then.n}", as_of=day, currency=desk.settings.currency
        )
        listed = tie_outs.by_hand(book, found)
    if output is TieOutFormat.JSON:
        emit_json({"accounts": found.to_dicts(), "by_hand": listed.to_dicts()})
    elif output is TieOutFormat.CSV:
        typer.echo(csv_bytes(_in_words(found), [name for _, name, _ in LINES]), nl=False)
    else:
        _show(found, listed, day)
    raise typer.Exit(1 if (found["state"] == DIFFERS).any() else 0)


def _in_words(found: pl.DataFrame) -> pl.DataFrame:
    """Amounts as plain decimal text in major units, under the names of the lines."""
    codes = found["currency"].unique()
    words = {
        name: decimal_texts(pl.col(f"{name}_minor"), pl.col("currency"), codes).cast(pl.String) for _, name, _ in LINES
    }
    return found.select(pl.all().exclude(r"^.*_minor$"), **words).select(
        name.removesuffix("_minor") for name in found.columns
    )


def _show(found: pl.DataFrame, listed: pl.DataFrame, day: date) -> None:
    names = [name for _, name, _ in LINES]
    emit_rows(
        _in_words(found).select("account", "currency", "as_of", *names, "state").iter_rows(),
        ("account", "", "as of", *(f"{letter} {name}" for letter, name, _ in LINES), "state"),
        title=f"Tie-out with the general ledger up to {day}",
        numeric=(False, False, False, *(True for _ in names), False),
    )
    if listed.height:
        amount = decimal_texts(pl.col("minor"), pl.col("currency"), listed["currency"].unique())
        emit_rows(
            listed.select("account", "currency", "as_of", "reference", amount.alias("minor")).iter_rows(),
            ("account", "", "as of", "reference there", "amount"),
            title="Posted there by hand (C)",
            numeric=(False, False, False, False, True),
        )
