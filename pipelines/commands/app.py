"""The ``counterfoil`` command: its verbs and how it ends. Exit status: 0 done, 1 data problems, 2 wrong use, 3 later.

Here: the application and error handling. Not here: any verb, which has a module of its own.
"""

import sys

import typer
from rich.console import Console

from counterfoil.errors import CounterfoilError
from pipelines.commands import (
    audit,
    backup,
    check,
    company,
    decide,
    demo,
    explain,
    layout,
    look,
    mail,
    points,
    replay,
    report,
    resolve,
    restate,
    run,
    scorecard,
    serve,
    tie_out,
    vouchers,
)

app = typer.Typer(
    name="counterfoil",
    help="Reconciles reward-programme files with a double-entry ledger.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
for module in (
    demo,
    run,
    check,
    layout,
    resolve,
    decide,
    points,
    company,
    look,
    explain,
    scorecard,
    tie_out,
    report,
    mail,
    restate,
    audit,
    replay,
    backup,
    serve,
    vouchers,
):
    module.register(app)


def main() -> None:
    """Run the command; an expected error is one line on standard error and its own exit status."""
    try:
        app()
    except CounterfoilError as error:
        console = Console(stderr=True, markup=False, emoji=False, highlight=False)
        console.print(str(error), style="red", soft_wrap=True)
        sys.exit(error.exit_status)
