"""``counterfoil replay``: the book made again from the landing store alone, compared head by head."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from counterfoil.steps import replay as steps
from pipelines.commands.audit import show_findings
from pipelines.commands.common import Format, FormatOption, HomeOption, emit_json, progress, stdout
from pipelines.wiring import existing, proof_desk


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("replay")(replay)


def replay(
    into: Annotated[Path, typer.Option("--into", help="An empty or new folder for the book.")],
    through: Annotated[int | None, typer.Option("--through", help="The last posting; all by default.")] = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make the book again from landed files, in posting order, and compare both heads after each. The home stays as it
    is; a replay that was stopped goes on."""
    with progress() as say:
        desk = proof_desk(existing(home), progress=say)
        done = steps.replay(desk, into.expanduser().absolute(), through=through)
    if output is Format.JSON:
        emit_json(as_json(done))
    else:
        _show(done)
    raise typer.Exit(1 if done.difference else 0)


def as_json(done: steps.Replayed) -> dict[str, object]:
    """A replay for machines, by stable keys."""
    return {
        "verdict": verdict(done),
        **asdict(done.heads),
        "against": done.against,
        "compared": done.compared,
        "difference": done.difference.fields() if done.difference else None,
    }


def verdict(done: steps.Replayed) -> str:
    """``equal``, ``differs``, or ``not compared`` where no head of the home could be read."""
    if done.difference:
        return "differs"
    return "equal" if done.compared else "not compared"


def _show(done: steps.Replayed) -> None:
    if done.difference:
        show_findings((done.difference,), "The first difference")
    stdout.print(
        f"{done.heads.n:,} postings made again, {done.compared:,} compared with the {done.against}; {verdict(done)}.",
        soft_wrap=True,
    )
    stdout.print(f"content head {done.heads.content_head}", soft_wrap=True)
    stdout.print(f"chain head   {done.heads.chain_head}", soft_wrap=True)
