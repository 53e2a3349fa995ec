"""``counterfoil audit verify``: the book, its chain and the landing store, proved against each other."""

from dataclasses import asdict
from datetime import date
from typing import Annotated

import typer

from counterfoil.ledger.differences import NAMED_MAX, Finding
from counterfoil.steps.audit import Proof, audit
from pipelines.commands.common import (
    Format,
    FormatOption,
    HomeOption,
    emit_json,
    emit_rows,
    parse_day,
    progress,
    stdout,
)
from pipelines.wiring import existing, proof_desk

SHOWN = ("posting", "file", "table", "line", "row", "check", "found", "expected")
"""Columns of a list of differences, in order."""


def register(app: typer.Typer) -> None:
    """Add the group and its verb."""
    group = typer.Typer(help="Prove the ledger.", no_args_is_help=True)
    group.command("verify")(verify)
    group.callback()(_group)
    app.add_typer(group, name="audit")


def _group() -> None:
    """Prove the ledger."""


def verify(
    since: Annotated[
        str | None, typer.Option("--since", help="A posting, or the day from which on chain and payloads are proved.")
    ] = None,
    head: Annotated[
        str | None, typer.Option("--head", help="A head kept outside the home: it must be in the chain.")
    ] = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Re-derive every digest, head, balance and open item, hash each payload, and name what differs. Writes nothing."""
    with progress() as say:
        proof = audit(proof_desk(existing(home), progress=say), since=_since(since), head=head)
    if output is Format.JSON:
        emit_json(as_json(proof))
    else:
        _show(proof)
    raise typer.Exit(0 if proof.proved else 1)


def as_json(proof: Proof) -> dict[str, object]:
    """A proof for machines, by stable keys."""
    facts = {name: value for name, value in asdict(proof).items() if name not in ("heads", "findings")}
    return {
        "verdict": verdict(proof),
        **facts,
        **asdict(proof.heads),
        "findings": [finding.fields() for finding in proof.findings],
    }


def show_findings(findings: tuple[Finding, ...], title: str) -> None:
    """Differences for people, the first batch first."""
    rows = [[finding.fields()[name] for name in SHOWN] for finding in findings]
    emit_rows(rows, SHOWN, title=title)


def verdict(proof: Proof) -> str:
    """``proved`` or ``differs``."""
    return "proved" if proof.proved else "differs"


def _since(text: str | None) -> int | date:
    if text is None:
        return 1
    return int(text) if text.isascii() and text.isdigit() else parse_day("--since", text) or 1


def _show(proof: Proof) -> None:
    if proof.findings:
        show_findings(proof.findings, "Differences")
    for path in proof.strays[:NAMED_MAX]:
        stdout.print(
            f"Warning: landing/{path} is no file of this program, and nothing reads it. Move it out of the home.",
            soft_wrap=True,
        )
    if len(proof.strays) > NAMED_MAX:
        stdout.print(f"… and {len(proof.strays) - NAMED_MAX:,} more such files.")
    begun = f" from posting {proof.since}" if proof.since > 1 else ""
    stdout.print(
        f"{proof.postings:,} postings{begun}, {proof.rows:,} rows, {proof.entries:,} entries, "
        f"{proof.payloads:,} payloads; {verdict(proof)}.",
        soft_wrap=True,
    )
    stdout.print(f"Posting {proof.heads.n}, chain head {proof.heads.chain_head}", soft_wrap=True)
