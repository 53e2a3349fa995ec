"""``counterfoil company``: what a company owns: its statement and budgets. Read only."""

from typing import Annotated

import polars as pl
import typer

from counterfoil.ledger import company_extracts
from counterfoil.reports.csv import csv_bytes
from pipelines.commands.common import Format, FormatOption, HomeOption, emit_frame, parse_day, require_known
from pipelines.commands.points import CompanyOption, OneCompanyOption
from pipelines.wiring import desk_at


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="What a company owns: its statement and budgets.")
    group.command("statement")(statement)
    group.command("budgets")(budgets)
    app.add_typer(group, name="company")


def statement(
    company: CompanyOption,
    since: Annotated[str | None, typer.Option("--from", help="The first day; from the beginning by default.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="The last day; to now by default.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV for a spreadsheet.")] = False,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Everything that changed a company's balance and budgets, each row with the balance before and after it."""
    with desk_at(home) as desk, desk.book.reading() as book:
        require_known("--company", [company], book.partners()["partner"])
        frame = company_extracts.statement(
            book, company, since=parse_day("--from", since), until=parse_day("--to", until)
        )
    if as_csv:
        typer.echo(csv_bytes(frame), nl=False)
        return
    emit_frame(frame if output is Format.JSON else _shown(frame), output, title=f"Statement of {company}")


def budgets(company: OneCompanyOption = None, home: HomeOption = None, output: FormatOption = Format.TABLE) -> None:
    """Budgets: what each was given, what is used of it and what is left."""
    with desk_at(home) as desk, desk.book.reading() as book:
        frame = company_extracts.budget_list(book, company)
    emit_frame(frame, output, title="Budgets")


def _shown(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("event").str.replace_all("_", " "))
