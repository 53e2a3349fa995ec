"""``counterfoil explain``: one request's or one break's whole story, as text, as JSON or as a page.

Here: the verb and the story's look in a terminal. Not here: the story (``steps.explain``) or its words (``timeline``).
"""

from pathlib import Path
from typing import Annotated

import typer

from counterfoil.files import write_durably
from counterfoil.ledger.story import BreakTold, Story
from counterfoil.money import format_minor
from counterfoil.reconcile.tie_out import LINES
from counterfoil.reports.timeline import compared, place, settling, timeline, words
from counterfoil.steps.explain import explain as explained
from pipelines.commands.common import (
    Format,
    FormatOption,
    HomeOption,
    PartnerOption,
    emit_json,
    emit_rows,
    require_partner,
    stdout,
)
from pipelines.wiring import desk_at


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("explain")(explain)


def explain(
    ref: Annotated[str, typer.Argument(help="A reference, as the partner knows it, or the id of a break.")],
    partner: PartnerOption = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the story to this file, as one page.")] = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """One request's whole story, or one break's: lines, passes, candidates, transfers, decisions, batches and heads.

    For an open break also why it stands: what nearly fits it, and the field that would settle it.
    """
    with desk_at(home) as desk, desk.book.reading() as book:
        require_partner(desk, partner)
        story = explained(desk, book, ref, partner)
        programme = desk.settings.programme
    if html is not None:
        # Imported here: templates and tables are wanted for a page alone.
        from counterfoil.reports.story_page import render  # noqa: PLC0415

        write_durably(html, render(story, programme=programme).encode())
    if output is Format.JSON:
        emit_json(story.as_dict())
    elif html is not None:
        stdout.print(str(html), soft_wrap=True)
    else:
        _tell(story)


def _tell(story: Story) -> None:
    """A story for people, in the order in which it happened."""
    for item in story.items:
        _plain(
            f"{item.ref} {words(item.kind)} ({item.side}) of {item.points:,} points at {item.partner}: "
            f"{words(item.state)}; member {item.member or 'not named'}, due {item.due_date}"
        )
    for one in story.breaks:
        _say_why(one)
    _say_what_happened(story)
    _say_tables(story)


def _say_tables(story: Story) -> None:
    emit_rows(
        [
            (
                f"{record.posting}:{record.line}" if record.line else str(record.posting),
                words(transfer.event),
                transfer.value_date,
                leg.account,
                " ".join(filter(None, (leg.partner, leg.owner))),
                leg.points,
            )
            for record in story.records
            for transfer in record.transfers
            for leg in transfer.legs
        ],
        ("record", "event", "value date", "account", "whose", "points"),
        title="Transfers",
        numeric=(False, False, False, False, False, True),
    )
    emit_rows(
        [
            (one.break_id, one.code, one.title, _amounts(one), one.state, one.owner, one.opened_on, one.cleared_on)
            for one in story.breaks
        ],
        ("break", "code", "title", "charged, expected", "state", "owner", "opened", "cleared"),
        title="Breaks",
    )
    emit_rows(
        [
            (one.decision, one.sender, words(one.action), one.points, one.reason, one.approved_by, one.undone_by)
            for one in story.decisions
        ],
        ("decision", "who", "what", "points", "why", "approved by", "undone by"),
        title="Decisions",
        numeric=(False, False, False, True, False, False, False),
    )
    emit_rows(
        [(one.target, one.batch_id, one.state, ", ".join(map(str, one.postings))) for one in story.batches],
        ("target", "batch", "state", "postings"),
        title="CRM batches",
    )
    emit_rows(
        [(one.posting, one.posted_at, one.actor, one.software, one.chain_head[:16]) for one in story.postings],
        ("posting", "posted at", "actor", "software", "chain head"),
        title="Sealed by",
    )


def _amounts(one: BreakTold) -> str:
    """``11.00, 10.00 EUR``: what a break about money is about; empty for any other."""
    if one.currency is None or one.amount_theirs_minor is None:
        return ""
    ours = "no rate" if one.amount_ours_minor is None else format_minor(one.amount_ours_minor, one.currency)
    return f"{format_minor(one.amount_theirs_minor, one.currency)}, {ours} {one.currency}"


def _say_why(one: BreakTold) -> None:
    """Why a break stands, with the table of what nearly fits it; nothing of one that was cleared."""
    if one.why is None:
        return
    said = (one.why.text, settling(one.why), f"Cause: {one.why.cause}." if one.why.cause else "")
    stdout.print()
    _plain(f"{one.code} {one.title.lower()}, {one.state} since {one.opened_on}: {' '.join(filter(None, said))}")
    if one.tie_out is not None:
        tied = one.tie_out
        emit_rows(
            [(letter, what, format_minor(getattr(tied, name), tied.currency)) for letter, name, what in LINES],
            ("line", "what", tied.currency),
            title=f"Account {tied.account} as of {tied.as_of}",
            numeric=(False, False, True),
        )
    if one.why.near_misses:
        emit_rows(
            [
                (near.ref, near.points, near.value_date, place(near), *map(compared, near.fields))
                for near in one.why.near_misses
            ],
            ("near miss", "points", "value date", "file and line", "reference", "member", "points", "date"),
            title="Near misses",
            numeric=(False, True, False, False, False, False, False, False),
        )


def _say_what_happened(story: Story) -> None:
    stdout.print("\nWhat happened", style="bold")
    for node in timeline(story):
        _plain(f"{node.day}  {node.file}  posting {node.posting}, {node.at}")
        for entry in node.entries:
            points = f", {entry.points:,} points" if entry.points is not None else ""
            where = f"line {entry.line}: " if entry.line is not None else ""
            _plain(f"    {where}{entry.title}{points}")
            if entry.raw is not None:
                _plain(f"        | {entry.raw}")
            for note in entry.notes:
                _plain(f"        {note}")
        for mark in node.marks:
            _plain(f"    * {mark.text}")
    if story.left_out:
        _plain(f"    {story.left_out:,} records in the middle are left out")


def _plain(text: str) -> None:
    """A line, as long as it is."""
    stdout.print(text, soft_wrap=True)
