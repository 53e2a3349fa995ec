"""``counterfoil mail``: letters to people, to look at before they go, to send, to follow and to send again.

Here: from options to steps, and what people see. Not here: sending (``steps.mailing``) or reports (``steps.bounce``).
"""

from pathlib import Path
from typing import Annotated, Final

import typer

from counterfoil.campaigns import STANDARD, load_campaign
from counterfoil.clock import local_date
from counterfoil.errors import Code, UsageError
from counterfoil.files import write_durably
from counterfoil.landing.mail_records import LetterState
from counterfoil.letters import LetterKind
from counterfoil.masking import masked_address
from counterfoil.reports import letter_page
from counterfoil.settings import load_settings
from counterfoil.steps.bounce import record_bounces
from counterfoil.steps.mailing import Mailed, send_mail
from pipelines.commands.common import (
    Format,
    FormatOption,
    HomeOption,
    emit_frame,
    emit_json,
    emit_rows,
    progress,
    stderr,
    stdout,
)
from pipelines.commands.decide import ReasonOption
from pipelines.wiring import desk_at

SHOWN: Final = ("letter_key", "kind", "campaign", "company", "recipient", "due", "state", "attempts", "answer")
"""Columns that people see; machines get all."""


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="Letters to people: look at them, send them, follow them, send one again.")
    for name, verb in (
        ("preview", preview),
        ("send", send),
        ("list", show_letters),
        ("resend", resend),
        ("bounces", bounces),
    ):
        group.command(name)(verb)
    app.add_typer(group, name="mail")


def preview(
    campaign: Annotated[str, typer.Option("--campaign", help="The campaign, as its file in data/mail is called.")] = (
        STANDARD
    ),
    kind: Annotated[LetterKind | None, typer.Option("--kind", help="Only this kind of letter.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The file to write; else letters-<campaign>.html here.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Write a campaign's letters, filled in for a person who does not exist, as a page for the browser."""
    settings = load_settings(home)
    page = letter_page.render(
        load_campaign(settings.data, campaign), [kind] if kind else list(LetterKind), programme=settings.programme
    )
    path = (out or Path(f"letters-{campaign}.html")).absolute()
    write_durably(path, page.encode())
    stdout.print(f"Preview: {path}", soft_wrap=True)


def send(home: HomeOption = None, output: FormatOption = Format.TABLE) -> None:
    """Hand over the letters that are due, as every run does. Exit status 3: those that are left wait for the next."""
    with progress() as say, desk_at(home, progress=say) as desk:
        mailed = send_mail(desk)
    if output is Format.JSON:
        emit_json(summary(mailed))
    else:
        show(mailed)
        for trouble in mailed.troubles:
            stderr.print(str(trouble), style="red", soft_wrap=True)
    statuses = {trouble.exit_status for trouble in mailed.troubles}
    raise typer.Exit(1 if 1 in statuses else max(statuses, default=0))


def show_letters(
    state: Annotated[LetterState | None, typer.Option("--state", help="Only letters that stand there.")] = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """The outbox: each letter, where it stands and what was answered, its address masked."""
    with desk_at(home) as desk:
        listed = desk.index.outbox.listed(state).with_columns(masked_address("recipient"))
    emit_frame(listed if output is Format.JSON else listed.select(SHOWN), output, title="Letters")


def resend(
    letter: Annotated[str, typer.Argument(help="The letter's key; see counterfoil mail list.")],
    reason: ReasonOption,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Send a letter again, as a new one with a key of its own: the next run hands it over."""
    if not reason.strip():
        raise UsageError(
            Code.DECISION_UNFIT,
            "--reason",
            found="nothing",
            expected="why it goes again",
            remedy="Say it in a few words",
        )
    with desk_at(home) as desk:
        due = local_date(desk.now(), desk.settings.zone)
        actor, now = desk.settings.actor, desk.now()
        key = desk.index.outbox.resend(letter, due=due, actor=actor, reason=reason, at=now)
    if output is Format.JSON:
        emit_json({"letter_key": key, "resends": letter, "due": due, "actor": actor, "reason": reason})
        return
    stdout.print(f"{key} waits for the next run, or for counterfoil mail send")


def bounces(
    place: Annotated[Path, typer.Argument(help="A report of a mail server as a file, or a folder of them.")],
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Record reports of letters that were not delivered (RFC 3464), each once. the files stay where they are.

    Exit status 1: some file is no such report, or fits no letter.
    """
    with desk_at(home) as desk:
        told = record_bounces(desk, place)
    if output is Format.JSON:
        emit_json([vars(one) for one in told])
    else:
        rows = [(one.file, one.reports, one.failed, ", ".join(one.letters)) for one in told]
        emit_rows(rows, ("file", "reports", "failed", "letters"), title="Reports", numeric=(False, True, True))
    if any(not one.reports or len(one.letters) < one.reports for one in told):
        raise typer.Exit(1)


def summary(mailed: Mailed) -> dict[str, object]:
    """What a run did about letters, with stable keys."""
    return {
        "new": mailed.written,
        "sent": mailed.sent,
        "refused": mailed.refused,
        "deferred": mailed.deferred,
        "unsure": mailed.unsure,
        "failures": [{"code": str(error.code), "message": str(error)} for error in mailed.troubles],
    }


def show(mailed: Mailed) -> None:
    """What a run did about letters, for people; nothing where it did nothing."""
    counts = {name: getattr(mailed, name) for name in ("sent", "refused", "deferred", "unsure")}
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    if mailed.written or said:
        stdout.print(f"Letters: {mailed.written:,} new, {said or 'none sent'}")
