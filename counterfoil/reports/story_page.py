"""One story as an HTML page that needs nothing else, in the look of the report.

Here: what the template is given. Not here: the words of the story (``timeline``) or the tables' form (``tables``).
"""

from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from counterfoil.ledger.story import BreakTold, Compared, Item, Story, TieOut
from counterfoil.reconcile.tie_out import LINES
from counterfoil.reports.pages import css_text, environment, font
from counterfoil.reports.tables import (
    NOTHING,
    Cell,
    Column,
    Row,
    Table,
    day,
    grouped,
    instant,
    make_table,
    money,
    ordinal,
    points,
    text,
    words,
)
from counterfoil.reports.timeline import compared, place, settling, timeline

_OPEN: Final = "remarks"
_DONE: Final = "pass"

_AGREES: Final = {True: "agrees", False: "differs", None: "unsaid"}


@dataclass(frozen=True)
class Link:
    """Where a page leads back to, and what it is called there."""

    href: str
    name: str


@dataclass(frozen=True)
class Question:
    """A break that stands open: what it is, why, what would settle it, and what comes near; of an account that differs
    from the general ledger its statement."""

    heading: str
    sentences: tuple[str, ...]
    near: Table | None
    statement: Table | None


def render(story: Story, *, programme: str, back: Link | None = None) -> str:
    """The page of a story. The same story gives the same text on every machine."""
    asked = next((one for one in story.breaks if one.break_id == story.break_id), None)
    standing = [one for one in story.breaks if one.why is not None]
    # The break that was asked for comes first.
    standing.sort(key=lambda one: one is not asked)
    heading = f"{asked.code} {asked.title.lower()}" if asked else f"Reference {story.ref}"
    return environment().get_template("story.html").render(
        programme=programme,
        partners=", ".join(sorted({item.partner for item in story.items} | {one.partner for one in story.breaks})),
        heading=heading,
        subtitle=_subtitle(story, asked),
        stamp=_stamp(story, asked, standing),
        facts=_facts(asked),
        items=_items(story),
        questions=[_question(story, one) for one in standing],
        nodes=timeline(story),
        left_out=story.left_out,
        tables_shown=[table for table in (_ledger(story), _breaks(story), _decisions(story)) if table.rows],
        seals=[_batches(story), _postings(story)],
        back=back,
        grouped=grouped,
        instant=instant,
        font=font(),
        running=css_text(f"{heading} - {story.break_id or programme}"),
    )  # fmt: skip


def _subtitle(story: Story, asked: BreakTold | None) -> str:
    if asked is not None:
        of_item = asked.item_id is not None or asked.theirs_id is not None
        return f"{'Reference' if of_item else 'About'} {asked.subject} at {asked.partner}"
    ours = [item for item in story.items if item.side == "ours"]
    return "; ".join(
        f"{_kind(item)} of {grouped(item.points)} points at {item.partner}" for item in ours or story.items
    )


def _kind(item: Item) -> str:
    return item.kind.replace("_", " ").capitalize()


def _stamp(story: Story, asked: BreakTold | None, standing: list[BreakTold]) -> tuple[str, str]:
    """Words and look of the stamp: the state of the break that was asked for, what is open, or how it all ended."""
    if asked is not None:
        return asked.state, _DONE if asked.state == "cleared" else _OPEN
    if standing:
        return (f"{len(standing)} open breaks" if len(standing) > 1 else "1 open break"), _OPEN
    states = sorted({item.state.replace("_", " ") for item in story.items if item.side == "ours"})
    return ", ".join(states) or "told", _DONE


def _facts(asked: BreakTold | None) -> list[tuple[str, str, str]]:
    """Single facts of the break that was asked for: label, value, look."""
    if asked is None:
        return []
    found = [("Break", asked.break_id, "mono"), ("Owner", asked.owner, ""), ("Opened on", asked.opened_on, "")]
    found += [("Cleared on", asked.cleared_on, "")] if asked.cleared_on else [("Next step", asked.next_step, "")]
    return found + ([("Looked at again on", asked.until, "")] if asked.until else [])


def _items(story: Story) -> Table:
    rows = [
        {
            "record": f"{item.posting}:{item.line}",
            "whose": item.side,
            "kind": item.kind,
            "state": item.state,
            "member": item.member,
            "points": item.points,
            "value_date": item.value_date,
            "due_date": item.due_date if item.side == "ours" else None,
        }
        for item in story.items
    ]
    keys = ("record", "whose", "kind", "state", "member", "points", "value_date", "due_date")
    frame = pl.DataFrame(rows, schema={key: pl.Int64 if key == "points" else pl.String for key in keys})
    return make_table("Requests and answers", frame, [
        text("Record", "record"), text("Whose", "whose"), words("What", "kind"), words("State", "state"),
        text("Member", "member"), points("Points", "points", total=False), day("Value date", "value_date"),
        day("Answer due", "due_date"),
    ], note="A record is named by its posting and line.")  # fmt: skip


def _question(story: Story, one: BreakTold) -> Question:
    why = one.why
    if why is None:
        return Question(one.code, (), None, None)
    sentences = (why.text, settling(why), f"Cause: {why.cause}." if why.cause else "")
    return Question(
        heading=f"{one.code} {one.title.lower()}, {one.state} since {one.opened_on}",
        sentences=tuple(sentence for sentence in sentences if sentence),
        near=_near(story, one) if why.near_misses else None,
        statement=_statement(one.tie_out) if one.tie_out is not None else None,
    )


def _statement(tied: TieOut) -> Table:
    """Lines A to H."""
    rows = [{"line": letter, "what": what, "minor": getattr(tied, name)} for letter, name, what in LINES]
    return make_table(
        f"Account {tied.account} in {tied.currency} as of {tied.as_of}",
        pl.DataFrame(rows),
        [text("Line", "line"), text("", "what"), money(f"{tied.currency}", "minor", currency=tied.currency)],
        note="A credit is positive.",
    )


def _near(story: Story, one: BreakTold) -> Table:
    """The item that stands alone, and below it field by field what nearly fits it."""
    alone = next((item for item in story.items if item.item_id == (one.theirs_id or one.item_id)), None)
    lead = [] if alone is None else [Row(tuple(_lead(alone)), lead=True)]
    misses = one.why.near_misses if one.why else ()
    rows = [
        Row((
            Cell((f"{near.side}, {near.posting}:{near.line}", place(near)), "file"),
            *(_compared(field, value) for field, value in zip(
                near.fields, (near.ref, near.member, near.points, near.value_date), strict=True)),
        ))
        for near in misses
    ]  # fmt: skip
    labels = (("What", ""), ("Reference", ""), ("Member", ""), ("Points", "n"), ("Value date", "d"))
    return Table(
        caption="Near misses",
        note="Open items that agree in all but one or two fields, the best first. A field that differs would settle it "
        "if it agreed.",
        headings=tuple(Cell((label,), css) for label, css in labels),
        rows=(*lead, *rows),
        totals=None,
        more=0,
        csv="",
        css="near",
    )


def _lead(alone: Item) -> list[Cell]:
    ref = "not named" if alone.ref.startswith("?") else alone.ref
    values = (ref, alone.member or "not named", grouped(alone.points), alone.value_date)
    looks = ("", "", "n", "d")
    return [Cell((f"{alone.side}, {alone.posting}:{alone.line}", "stands alone"), "file")] + [
        Cell((value,), css) for value, css in zip(values, looks, strict=True)
    ]


def _compared(field: Compared, value: object) -> Cell:
    look = {"points": "n ", "date": "d "}.get(field.field, "") + _AGREES[field.agrees]
    shown = grouped(value) if isinstance(value, int) else str(value or NOTHING)
    return Cell((shown, compared(field)), look)


def _ledger(story: Story) -> Table:
    rows = [
        {
            "record": f"{record.posting}:{record.line}" if record.line else str(record.posting),
            "event": f"{transfer.event}, taken back by {transfer.undone_by}" if transfer.undone_by else transfer.event,
            "value_date": transfer.value_date,
            "accounting_date": transfer.accounting_date,
            "account": leg.account,
            "owner": " ".join(filter(None, (leg.partner, leg.owner))),
            "debit": -leg.points if leg.points < 0 else None,
            "credit": leg.points if leg.points > 0 else None,
        }
        for record in story.records
        for transfer in record.transfers
        for leg in transfer.legs
    ]
    names = {"debit": pl.Int64, "credit": pl.Int64}
    keys = ("record", "event", "value_date", "accounting_date", "account", "owner", "debit", "credit")
    frame = pl.DataFrame(rows, schema={key: names.get(key, pl.String) for key in keys})
    return make_table("In the ledger", frame, [
        text("Record", "record"), words("Event", "event"), day("Value date", "value_date"),
        day("Counts for", "accounting_date"), words("Account", "account"), text("Whose", "owner"),
        points("Debit", "debit"), points("Credit", "credit"),
    ], note="Every leg of every transfer.")  # fmt: skip


def _breaks(story: Story) -> Table:
    rows = [
        {
            "break_id": one.break_id,
            "type": f"{one.code} {one.title.lower()}",
            "state": one.state,
            "owner": one.owner,
            "points_ours": one.points_ours,
            "points_theirs": one.points_theirs,
            "amount_ours": one.amount_ours_minor,
            "amount_theirs": one.amount_theirs_minor,
            "currency": one.currency,
            "opened": one.opened_on,
            "cleared": one.cleared_on,
            "by": next((_by(one, step.line, step.decision) for step in one.life[-1:] if one.cleared_on), None),
        }
        for one in story.breaks
    ]
    whole = dict.fromkeys(("points_ours", "points_theirs", "amount_ours", "amount_theirs"), pl.Int64)
    keys = ("break_id", "type", "state", "owner", *whole, "currency", "opened", "cleared", "by")
    frame = pl.DataFrame(rows, schema={key: whole.get(key, pl.String) for key in keys})
    amounts = [
        money("Amount, ours", "amount_ours", currency="currency"),
        money("Amount, theirs", "amount_theirs", currency="currency"), text("Currency", "currency"),
    ] if any(one.currency for one in story.breaks) else []  # fmt: skip
    return make_table("Breaks", frame, [
        Column("Break", ("break_id",), "hash"), text("Type", "type"), words("State, owner", "state", "owner"),
        points("Points, ours", "points_ours", total=False), points("Points, theirs", "points_theirs", total=False),
        *amounts, day("Opened", "opened"), day("Cleared", "cleared"), text("By", "by"),
    ])  # fmt: skip


def _by(one: BreakTold, line: int | None, decision: str | None) -> str:
    if decision is not None:
        return f"decision {decision}"
    return f"{one.cleared_by}:{line}" if line is not None else f"posting {one.cleared_by}"


def _decisions(story: Story) -> Table:
    keys = ("decision", "undone_by", "decided_at", "sender", "action", "subject", "points", "reason", "approved_by")
    rows = [{key: getattr(one, key) for key in keys} for one in story.decisions]
    frame = pl.DataFrame(rows, schema={key: pl.Int64 if key == "points" else pl.String for key in keys})
    return make_table("Decisions", frame, [
        text("Decision, undone by", "decision", "undone_by"), day("When", "decided_at"), text("Who", "sender"),
        words("What", "action"), Column("About", ("subject",), "hash"), points("Points", "points", total=False),
        text("Why", "reason"), text("Approved by", "approved_by"),
    ])  # fmt: skip


def _batches(story: Story) -> Table:
    rows: list[dict[str, Any]] = [
        {"target": one.target, "batch": one.batch_id, "state": one.state, "of": ", ".join(map(str, one.postings))}
        for one in story.batches
    ]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(("target", "batch", "state", "of"), pl.String))
    return make_table("CRM batches", frame, [
        text("Target", "target"), Column("Batch", ("batch",), "hash"), words("State", "state"),
        text("Of postings", "of"),
    ], note="Batches whose range holds postings of this story.")  # fmt: skip


def _postings(story: Story) -> Table:
    keys = ("posting", "posted_at", "actor", "software", "content_head", "chain_head")
    rows = [{key: getattr(one, key) for key in keys} for one in story.postings]
    frame = pl.DataFrame(rows, schema={key: pl.Int64 if key == "posting" else pl.String for key in keys})
    return make_table("Sealed by", frame, [
        ordinal("Posting", "posting"), day("Posted at", "posted_at"), text("Actor", "actor"),
        text("Software", "software"), Column("Content head", ("content_head",), "hash"),
        Column("Chain head", ("chain_head",), "hash"),
    ], note="The audit batches of these files; counterfoil audit verify proves them.")  # fmt: skip
