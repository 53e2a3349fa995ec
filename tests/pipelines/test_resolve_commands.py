"""Deciding on breaks by the command: every action, one or a whole cause, rehearsed, and refused where it is wrong."""

import hashlib
import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from counterfoil.errors import CounterfoilError
from pipelines.commands.app import app
from pipelines.demo import northstar
from tests.plugins.homes import MONDAY, Office, every_row

UNKNOWN, OTHER = "9000000001", "9000000002"
"""References under which northstar answers and we never asked."""
ASKED = "7000001"
MEMBER, SECOND = "80000000005", "80000000010"


@pytest.fixture(scope="module")
def monday(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after a night: an answer for two requests, one with the wrong points, and two that name a member."""
    office = Office(tmp_path_factory.mktemp("monday") / "home")
    office.home.mkdir()
    (office.home / "counterfoil.yaml").write_text(f"start_date: {MONDAY}\napproval_points: 200\n")
    office.begin([("1111111111", 150)])
    office.ask(MONDAY, ("A", 10), ("B", 20), ("C", 40), ("D", 60))
    office.answer(MONDAY, ("X", 30, "0000"), ("C", 39, "0000"), ("D", 59, "0000"))
    asked = pl.DataFrame({"ref": [ASKED], "member": [MEMBER], "points": [50], "sent": [MONDAY]})
    office.put("northstar/outgoing/NSTR0011", northstar.request_file(asked, MONDAY, 11))
    office.put("northstar/outgoing/NSTR0011.done", "")
    answered = pl.DataFrame(
        {"ref": [UNKNOWN, OTHER], "member": [MEMBER, SECOND], "points": [50, 70], "sent": [MONDAY] * 2}
    ).with_columns(says=pl.lit(""), merge_to=pl.lit(" " * 11))
    office.put("northstar/incoming/NSTR0011", northstar.handback_file(answered, MONDAY, 11, declared_off=0))
    office.book_day(MONDAY)
    return office.home


@pytest.fixture
def office(monday: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    shutil.copytree(monday, tmp_path / "home")
    office = Office(tmp_path / "home")
    monkeypatch.setenv("COUNTERFOIL_HOME", str(office.home))
    return office


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--format", "json"])


def resolve(*arguments: str) -> Any:
    result = invoke("resolve", *arguments, "--reason", "agreed")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def exit_status(result: Result) -> int:
    return result.exception.exit_status if isinstance(result.exception, CounterfoilError) else result.exit_code


def breaks() -> dict[str, dict[str, Any]]:
    """Open breaks by their reference."""
    listed = json.loads(invoke("breaks").stdout)
    return {row["our_ref"] or row["their_ref"]: row for row in listed}


def standing(office: Office) -> tuple[Any, ...]:
    """Heads, every row of the book, and every file of the home but the book's own and its lock."""
    files = {
        str(path.relative_to(office.home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(office.home.rglob("*"))
        if path.is_file() and not path.name.startswith(("book.duckdb", "book.lock", "arrival.db"))
    }
    (book,) = office.home.rglob("book.duckdb")
    return office.heads(), every_row(book), files


def test_an_answer_is_matched_with_two_requests(office: Office) -> None:
    done = resolve(breaks()["X"]["break_id"], "--action", "match", "--ref", "A B")
    assert (done["outcome"], done["points"]) == ("posted", 30)
    assert "X" not in breaks()
    listed = json.loads(invoke("decisions").stdout)
    assert [(row["action"], row["points"]) for row in listed] == [("match", 30)]


def test_a_break_is_assigned_and_postponed(office: Office) -> None:
    name = breaks()["C"]["break_id"]
    resolve(name, "--action", "assign", "--owner", "A. Example")
    assert [breaks()["C"][key] for key in ("state", "owner")] == ["assigned", "A. Example"]
    with office.desk() as desk:
        today = desk.now().date()
    until = max(today, MONDAY) + timedelta(days=10_000)
    resolve(name, "--action", "wait", "--until", str(until))
    assert [breaks()["C"][key] for key in ("state", "owner", "next_step")] == [
        "pending", "A. Example", f"Wait until {until}",
    ]  # fmt: skip
    assert breaks()["D"]["state"] == "open"


def test_the_only_suggestion_is_accepted(office: Office) -> None:
    name = breaks()[UNKNOWN]["break_id"]
    listed = json.loads(invoke("suggestions", "--partner", "northstar").stdout)
    assert listed == [
        {
            "break_id": name,
            "partner": "northstar",
            "our_ref": ASKED,
            "points": 50,
            "days": 0,
            "agreed": "member, points, date",
            "only": True,
        }
    ]
    assert json.loads(invoke("suggestions", "--partner", "skybridge").stdout) == []
    assert ASKED in CliRunner().invoke(app, ["suggestions"]).stdout
    assert resolve(name, "--accept")["points"] == 50
    assert UNKNOWN not in breaks()


def test_a_declined_suggestion_is_neither_listed_nor_accepted(office: Office) -> None:
    name = breaks()[UNKNOWN]["break_id"]
    resolve(name, "--action", "decline", "--ref", ASKED)
    assert json.loads(invoke("suggestions").stdout) == []
    assert exit_status(invoke("resolve", name, "--accept", "--reason", "r")) == 2


def test_a_rehearsal_shows_what_the_decision_then_does_and_leaves_nothing(office: Office) -> None:
    name = breaks()["X"]["break_id"]
    arguments = (name, "--action", "match", "--ref", "A B")
    before = standing(office)
    would = resolve(*arguments, "--dry-run")
    assert standing(office) == before
    assert (would["dry_run"], would["decisions"], would["points"], would["why_not"]) == (True, 1, 30, None)
    assert would["booked"] == [
        {"kind": "in_flight", "partner": "skybridge", "points": -30},
        {"kind": "suspense", "partner": "skybridge", "points": 30},
    ]
    shown = ("break_id", "code", "ref", "becomes")
    assert [tuple(row[key] for key in shown) for row in would["breaks"]] == [(name, "B03", "X", "cleared")]
    moved = ("ref", "side", "points", "was", "becomes")
    assert [tuple(row[key] for key in moved) for row in would["items"]] == [
        ("A", "ours", 10, "pending", "confirmed"),
        ("B", "ours", 20, "pending", "confirmed"),
        ("X", "theirs", 30, "unidentified", "closed"),
    ]
    assert (would["second_person"], would["unfit"]) == ([], [])
    assert would["limits"] == {"points": 200, "minor": 1_000_000, "currency": "EUR"}
    resolve(*arguments)
    n = office.heads()[0]
    assert n == before[0][0] + 1
    booked = office.sql(
        f"""SELECT a.kind, p.partner, CAST(sum(e.amount) AS BIGINT) AS points FROM book.entry e
            JOIN book.account a USING (account_id) JOIN book.partner p USING (partner_id)
            WHERE e.file_id = {n} GROUP BY ALL ORDER BY ALL"""
    )
    assert booked.to_dicts() == would["booked"]


def test_an_undoing_is_rehearsed_like_any_decision(office: Office) -> None:
    resolve(breaks()["X"]["break_id"], "--action", "match", "--ref", "A B")
    before = standing(office)
    undoing = ("undo", f"{before[0][0]}:2", "--reason", "r")
    would = json.loads(invoke(*undoing, "--dry-run").stdout)
    assert standing(office) == before
    assert (would["decisions"], would["points"], would["why_not"]) == (1, 30, None)
    assert [(row["kind"], row["points"]) for row in would["booked"]] == [("in_flight", 30), ("suspense", -30)]
    assert [(row["ref"], row["becomes"]) for row in would["breaks"]] == [("X", "opened")]
    assert invoke(*undoing).exit_code == 0
    again = invoke(*undoing, "--dry-run")
    assert (again.exit_code, "DECISION_UNFIT" in json.loads(again.stdout)["why_not"]) == (1, True)


def test_a_rehearsal_first_finishes_what_a_crash_left_half_done(office: Office, tmp_path: Path) -> None:
    (book,) = office.home.rglob("book.duckdb")
    shutil.copytree(book.parent, tmp_path / "before")
    resolve(breaks()["C"]["break_id"], "--action", "take")
    heads = office.heads()
    shutil.copytree(tmp_path / "before", book.parent, dirs_exist_ok=True)
    would = resolve(breaks()["D"]["break_id"], "--action", "take", "--dry-run")
    assert [row["ref"] for row in would["breaks"]] == ["D"]
    assert office.heads() == heads


def test_a_rehearsal_says_that_a_second_person_is_needed(office: Office) -> None:
    (office.home / "counterfoil.yaml").write_text(f"start_date: {MONDAY}\napproval_points: 39\n")
    name = breaks()["C"]["break_id"]
    assert resolve(name, "--action", "refund", "--dry-run")["second_person"] == ["refund"]
    shown = CliRunner().invoke(app, ["resolve", name, "--action", "refund", "--reason", "r", "--dry-run"])
    assert "refund" in shown.stdout
    assert "member" in shown.stdout


def test_a_rehearsal_says_why_a_decision_does_not_fit(office: Office) -> None:
    before = standing(office)
    name = breaks()["X"]["break_id"]
    result = invoke("resolve", name, "--action", "match", "--ref", "A", "--reason", "r", "--dry-run")
    assert result.exit_code == 1
    would = json.loads(result.stdout)
    assert "add up" in would["why_not"]
    assert [(row["break_id"], row["code"]) for row in would["unfit"]] == [(name, "B03")]
    assert "add up" in would["unfit"][0]["why"]
    assert (would["booked"], would["breaks"], would["items"]) == ([], [], [])
    assert standing(office) == before


def test_a_rehearsal_names_the_breaks_that_do_not_fit(office: Office) -> None:
    known = breaks()
    names = [known["C"]["break_id"], known["X"]["break_id"], "0" * 16]
    before = standing(office)
    result = invoke("resolve", *names, "--action", "refund", "--reason", "r", "--dry-run")
    assert result.exit_code == 1
    unfit = {row["break_id"]: (row["code"], row["why"]) for row in json.loads(result.stdout)["unfit"]}
    assert set(unfit) == set(names[1:])
    assert unfit["0" * 16] == (None, "no open break")
    assert unfit[names[1]][0] == "B03"
    assert "waits for its answer" in unfit[names[1]][1]
    shown = CliRunner().invoke(app, ["resolve", *names, "--action", "refund", "--reason", "r", "--dry-run"])
    assert "no open break" in shown.stdout
    assert standing(office) == before


def test_a_rehearsal_shows_what_becomes_of_a_break_that_stays_open(office: Office) -> None:
    name = breaks()["C"]["break_id"]
    (row,) = resolve(name, "--action", "assign", "--owner", "A. Example", "--dry-run")["breaks"]
    assert (row["break_id"], row["becomes"], row["owner"]) == (name, "assigned", "A. Example")
    assert breaks()["C"]["state"] == "open"


def test_several_answers_are_matched_with_the_one_request_they_make_up(office: Office) -> None:
    day = MONDAY + timedelta(days=1)
    office.ask(day, ("E", 20))
    office.answer(day, ("Y", 8, "0000"), ("Z", 12, "0000"))
    office.book_day(day)
    names = [breaks()[ref]["break_id"] for ref in ("Y", "Z")]
    assert exit_status(invoke("resolve", names[0], "--action", "match", "--ref", "E", "--reason", "r")) == 2
    done = resolve(*names, "--action", "match", "--ref", "E")
    assert (done["outcome"], done["points"]) == ("posted", 20)
    assert {"Y", "Z"}.isdisjoint(breaks())
    named = [f"{done['posting']}:{line}" for line in (2, 3)]
    alone = invoke("undo", named[0], "--reason", "r")
    assert (alone.exit_code, json.loads(alone.stdout)["code"]) == (1, "DECISION_UNFIT")
    together = json.loads(invoke("undo", *named, "--reason", "r").stdout)
    assert (together["outcome"], together["points"]) == ("posted", 20)
    assert {"Y", "Z"} <= set(breaks())


@pytest.mark.parametrize(
    ("ref", "arguments"),
    [
        ("X", ["--action", "match", "--ref", "A"]),
        ("X", ["--action", "match", "--ref", "A A"]),
        ("X", ["--action", "match", "--ref", "A C"]),
        ("X", ["--action", "match", "--ref", f"A {ASKED}"]),
        ("X", ["--action", "match"]),
        ("X", ["--action", "identify"]),
        ("X", ["--action", "decline"]),
        ("X", ["--accept"]),
        ("C", ["--action", "match", "--ref", "A B"]),
        ("C", ["--action", "assign"]),
        ("C", ["--action", "assign", "--owner", " "]),
        ("C", ["--action", "wait"]),
        ("C", ["--action", "wait", "--until", "2020-01-01"]),
        ("C", ["--action", "wait", "--until", "soon"]),
        ("C", ["--action", "forget"]),
        (None, ["--action", "assign", "--owner", "A. Example"]),
        (None, ["--action", "match", "--ref", "A B"]),
    ],
)
def test_what_does_not_fit_is_wrong_use_and_changes_nothing(
    office: Office, ref: str | None, arguments: list[str]
) -> None:
    name = breaks()[ref]["break_id"] if ref else "0" * 16
    before = standing(office)
    result = invoke("resolve", name, *arguments, "--reason", "r")
    assert exit_status(result) == 2
    assert standing(office) == before


def test_every_break_of_a_cause_is_decided_in_one_file(office: Office) -> None:
    bulk = ("--cause", "points_off", "--partner", "skybridge", "--action", "take")
    before = standing(office)
    would = resolve(*bulk, "--dry-run")
    assert standing(office) == before
    assert (would["decisions"], would["points"]) == (2, 39 + 59)
    assert {row["ref"] for row in would["breaks"]} == {"C", "D"}
    assert sum(row["points"] for row in would["booked"]) == 0
    assert resolve(*bulk)["outcome"] == "posted"
    assert {"C", "D"}.isdisjoint(breaks())
    assert [row["action"] for row in json.loads(invoke("decisions").stdout)] == ["take", "take"]
    assert exit_status(invoke("resolve", *bulk, "--reason", "r")) == 2, "none is left"


@pytest.mark.parametrize("arguments", [["--action", "identify"], ["--accept"]])
def test_answers_of_one_cause_are_each_identified_with_their_own_request(office: Office, arguments: list[str]) -> None:
    assert resolve("--cause", "no_reference", *arguments)["points"] == 50
    assert UNKNOWN not in breaks()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["0" * 16, "--cause", "points_off"],
        ["0" * 16, "--partner", "skybridge"],
        ["--cause", "points_off", "--action", "match", "--ref", "A B"],
        ["--cause", "points_off", "--action", "refuse"],
        ["--cause", "points_off", "--accept"],
        ["--cause", "points_off", "--partner", "northstar"],
        ["--cause", "bad weather"],
    ],
)
def test_a_cause_that_is_decided_on_in_a_wrong_way_changes_nothing(office: Office, arguments: list[str]) -> None:
    before = standing(office)
    assert exit_status(invoke("resolve", *arguments, "--reason", "r")) == 2
    assert standing(office) == before
