"""``counterfoil demo``: a synthetic business week with planted trouble, served over SFTP and run for real."""

import secrets
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from counterfoil import journey
from counterfoil.clock import fixed_clock
from counterfoil.errors import Code, UsageError
from counterfoil.files import write_durably
from counterfoil.landing.records import Delivery, Outcome
from counterfoil.ledger import extracts
from counterfoil.ledger.model import Event
from counterfoil.ledger.status import day_end
from counterfoil.reconcile import breaks
from counterfoil.settings import INBOX, Home, Settings, load_settings
from counterfoil.steps.desk import Progress
from pipelines.commands.common import Format, FormatOption, emit_json, emit_rows, progress, stdout
from pipelines.demo.found import found
from pipelines.demo.general_ledger import extract
from pipelines.demo.plan import EXPECTATIONS, RECORDS_MIN
from pipelines.demo.scenario import DemoFile, Scenario, build, expected
from pipelines.wiring import open_desk

MARK = "demo"
"""A file in a home that a demo made: only such a home is ever cleared away by the next demo."""

USER = "partner"
QUIET = timedelta(minutes=5)
"""Between two looks at a day's files, by the demo's own clock: longer than any layout asks for."""

LIMITS = {"approval_points": 10**12, "approval_minor": 10**12}
"""A demo has nobody to approve its opening balances."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("demo")(demo)


def demo(
    records: Annotated[int, typer.Option("--records", min=RECORDS_MIN, help="Records of the last hand-backs.")] = 2000,
    home: Annotated[Path, typer.Option("--home", help="Where the demo lives; made anew each time.")] = Path(
        ".counterfoil"
    ),
    output: FormatOption = Format.TABLE,
) -> None:
    """Run a synthetic week: partners' files over SFTP, a reconciled ledger, CRM batches, journals and reports."""
    # Imported here: paramiko takes half a second, and no other verb but sftp-server serves.
    from connectors.sftp_server import EmbeddedServer  # noqa: PLC0415

    began = time.perf_counter()
    place = Home(home.absolute())
    password = _fresh(place)
    with (
        progress() as say,
        EmbeddedServer(
            root=place.root / "server", state=place.root / "server-state", user=USER, password=password
        ) as server,
    ):
        say("making the week's files", 0, 0)
        scenario = build(records)
        _settings_file(place, scenario, server.port, server.host_key_line)
        night = _week(scenario, place, say)
    document = _document(scenario, place, night, seconds=time.perf_counter() - began)
    if output is Format.JSON:
        emit_json(document)
    else:
        _show(document)
    raise typer.Exit(0 if _as_planted(document) else 1)


def _fresh(place: Home) -> str:
    """An empty home with a server's folder and a password; refuses a home that no demo has made."""
    if place.root.exists() and any(place.root.iterdir()) and not (place.root / MARK).exists():
        raise UsageError(
            Code.SETTINGS_INVALID,
            str(place.root),
            found="a home that no demo has made",
            expected="an empty or absent folder, or the home of an earlier demo",
            remedy="Name another one with --home",
        )
    if place.root.exists():
        shutil.rmtree(place.root)
    (place.root / "server").mkdir(parents=True)
    place.secrets.mkdir(mode=0o700)
    write_durably(place.root / MARK, b"Made by counterfoil demo, which clears it away when it runs again.\n")
    password = secrets.token_urlsafe(12)
    (place.secrets / f"{INBOX}.password").touch(mode=0o600)
    (place.secrets / f"{INBOX}.password").write_text(password)
    return password


def _settings_file(place: Home, scenario: Scenario, port: int, host_key: str) -> None:
    server = {"host": "127.0.0.1", "port": port, "user": USER, "root": "/", "host_keys": [host_key.strip()]}
    content = {
        "programme": "Meridian Rewards",
        "entity": "MER1",
        "start_date": scenario.days[0],
        **LIMITS,
        "connections": {INBOX: {"sftp": server}},
    }
    write_durably(place.settings_file, yaml.safe_dump(content, sort_keys=False).encode())


def _week(scenario: Scenario, place: Home, say: Progress) -> journey.Night:
    """Every night of the week, by a clock that stands at each day's end; the last night is returned."""
    server = place.root / "server"
    settings = load_settings(place.root)
    for folder in {file.folder for file in scenario.files}:
        (server / folder).mkdir(parents=True, exist_ok=True)
    night = journey.Night()
    for number, day in enumerate(scenario.days):
        say(f"running {day}", number, len(scenario.days))
        for file in (scenario.opening, scenario.rates, *scenario.files):
            if file.day == day:
                _upload(server, file)
        if day == scenario.days[-1]:
            journals = sorted(place.out_gl.glob("neutral/*/journal.csv"))
            _upload(server, extract(journals, as_of=scenario.days[-2], on=day))
        with open_desk(settings, progress=say) as desk:
            end = day_end(desk.feeds(), day)
        for look in (end - 2 * QUIET, end - QUIET):
            with open_desk(_at(settings, look), progress=say) as desk:
                journey.arrive(desk, INBOX, patient=False)
        with open_desk(_at(settings, end + QUIET), progress=say) as desk:
            night = journey.run(desk, day)
    return night


def _at(settings: Settings, instant: datetime) -> Settings:
    return settings.model_copy(update={"clock": fixed_clock(instant.astimezone(UTC)), "run_id": "demo"})


def _upload(server: Path, file: DemoFile) -> None:
    """A partner's upload: the file, then its marker where one is due."""
    target = server / file.folder / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(file.data)
    if file.marker and file.complete:
        target.with_name(f"{target.name}.done").touch()


def _document(scenario: Scenario, place: Home, night: journey.Night, *, seconds: float) -> dict[str, object]:
    """What the demo did, with stable keys."""
    with open_desk(load_settings(place.root)) as desk, desk.book.reading() as book:
        reported = found(book, desk.index, night.waiting)
        states = dict(
            book.frame("SELECT event, count(*) FROM book.disposition GROUP BY event ORDER BY event").iter_rows()
        )
        codes = book.frame("SELECT code, count(*) AS n FROM book.break GROUP BY code ORDER BY code")
        figures = extracts.stage1(book, book.frame("SELECT n FROM book.posting ORDER BY n")["n"])
        total = book.row("SELECT CAST(sum(amount) AS BIGINT) FROM book.entry")
        deliveries = desk.index.deliveries()
        outcomes = desk.index.latest_outcomes(one.order for one in deliveries)
        batches = [
            {"target": target.name, "batch": known.batch.batch_id, "from": known.batch.from_n, "to": known.batch.to_n}
            for target in desk.crm_targets
            for known in desk.index.ranges(target.name)
        ]
    return {
        "records": scenario.records,
        "confirmed": states.get(Event.ACCEPTED.value, 0) + states.get(Event.RECALL_ACCEPTED.value, 0),
        "rejected": states.get(Event.REJECTED.value, 0) + states.get(Event.RECALL_REJECTED.value, 0),
        "breaks": {breaks.label(code): count for code, count in codes.iter_rows()},
        "files": dict(sorted(Counter(_state(outcomes, one) for one in deliveries).items())),
        "quarantined_rows": int(figures["quarantined"].sum()),
        "mass_balance": {
            "unexplained_rows": int(figures["unexplained_rows"].abs().sum()),
            "unexplained_points": int(figures["unexplained_points"].abs().sum()),
        },
        "ledger_sum": int(total[0]) if total else 0,
        "planted": expected(scenario),
        "found": reported,
        "crm_batches": batches,
        "journal": night.journal.journal_id if night.journal else None,
        "report": str(night.report.page) if night.report else None,
        "seconds": round(seconds, 2),
    }


def _state(outcomes: Mapping[int, Outcome], delivery: Delivery) -> str:
    """What became of a delivery, in one word: its outcome, or its verdict where it was never to be posted."""
    outcome = outcomes.get(delivery.order)
    return str(outcome.state if outcome else delivery.verdict)


def _as_planted(document: Mapping[str, Any]) -> bool:
    return document["planted"] == document["found"] and not any(document["mass_balance"].values())


def _show(document: Mapping[str, Any]) -> None:
    rows = [
        (kind.replace("_", " "), planted, document["found"][kind], EXPECTATIONS[kind])
        for kind, planted in document["planted"].items()
    ]
    emit_rows(
        rows,
        ("planted", "times", "found", "what must be reported"),
        title="Planted and found",
        numeric=(False, True, True),
    )
    emit_rows(document["files"].items(), ("files", "number"), title="Files", numeric=(False, True))
    emit_rows(document["breaks"].items(), ("break", "number"), title="Breaks", numeric=(False, True))
    balance = document["mass_balance"]
    stdout.print(
        f"{document['records']:,} records in the last hand-backs; {document['confirmed']:,} confirmed and "
        f"{document['rejected']:,} rejected in the week; {document['quarantined_rows']} rows quarantined."
    )
    stdout.print(
        f"Unexplained: {balance['unexplained_rows']} rows, {balance['unexplained_points']} points. "
        f"All entries add up to {document['ledger_sum']}. {document['seconds']} s."
    )
    verdict = (
        "Everything planted was found" if _as_planted(document) else "What was found differs from what was planted"
    )
    stdout.print(f"{verdict}.", style="bold")
    stdout.print(f"Report: {document['report']}", soft_wrap=True)
