"""Letters as people handle them: a page to look at, what stands where, sending one again, what came back."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from counterfoil.errors import Code, CounterfoilError
from counterfoil.letters import message_part
from pipelines.commands.app import app
from tests.plugins.homes import MONDAY, Office
from tests.plugins.mail import Mailroom, bounce, letters, mail_server, settle_in

Tell = Callable[[pl.DataFrame], None]


@pytest.fixture(scope="module")
def day_booked(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """A home with the postings of a day."""
    office = settle_in(Office(tmp_path_factory.mktemp("mail") / "home"))
    office.begin()
    office.book_day(MONDAY)
    return office


@pytest.fixture
def office(day_booked: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A copy of it, in which commands run."""
    office = day_booked.copied(tmp_path / "home")
    monkeypatch.setenv("COUNTERFOIL_HOME", str(office.home))
    monkeypatch.setenv("COUNTERFOIL_NOW", "2026-11-17T08:00:00Z")
    return office


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["mail", *map(str, arguments)])


def answer(*arguments: object, status: int = 0) -> Any:
    result = run(*arguments, "--format", "json")
    assert result.exit_code == status, result.output or result.exception
    return json.loads(result.stdout)


def identity(key: str) -> str:
    return f"<{message_part(key)}@counterfoil.invalid>"


def test_a_preview_is_a_page_that_loads_nothing_and_tells_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = run("preview")
    assert shown.exit_code == 0
    page = tmp_path / "letters-standard.html"
    assert [path.name for path in tmp_path.iterdir()] == [page.name], "a look makes no home"
    assert str(page) in shown.stdout.replace("\n", "")
    text = page.read_text()
    assert text.count("<section id=") == 4
    assert text.count("<iframe sandbox=") == 8
    assert "1,250 points for you" in text
    assert not re.search(r'(?:src|href)="https?:', text), "links stay inside the frames, escaped"
    one = tmp_path / "one.html"
    assert run("preview", "--kind", "voucher", "--out", one).exit_code == 0
    assert one.read_text().count("<section id=") == 1


def test_a_preview_of_no_campaign_says_which_file_is_missing(office: Office) -> None:
    missing = run("preview", "--campaign", "spring").exception
    assert isinstance(missing, CounterfoilError)
    assert missing.code is Code.CAMPAIGN_INVALID
    assert "data/mail/spring.yaml" in str(missing)


def test_the_outbox_is_listed_with_addresses_masked(office: Office, tell_of: Tell) -> None:
    tell_of(letters("ada.lovelace@acme.example", "bob@acme.example", "nonsense"))
    sent = answer("send", status=1)
    assert (sent["new"], sent["sent"], sent["refused"]) == (3, 2, 1)
    assert [failure["code"] for failure in sent["failures"]] == ["MAIL_REFUSED"]
    rows = answer("list")
    assert [row["recipient"] for row in rows] == ["a···@acme.example", "···@acme.example", "···"]
    assert [row["state"] for row in rows] == ["sent", "sent", "refused"]
    assert [row["answer"] for row in rows][2] == "no valid address"
    assert [row["letter_key"] for row in answer("list", "--state", "refused")] == ["points:000003"]
    table = run("list")
    assert "points:000001" in table.stdout
    assert "lovelace" not in table.stdout
    assert "none" in run("list", "--state", "bounced").stdout


def test_sending_tells_people_what_became_of_it(office: Office, tell_of: Tell, mailroom: Mailroom) -> None:
    tell_of(letters("ada@acme.example"))
    with mail_server(mailroom) as port:
        pass
    settle_in(office, port)
    down = run("send")
    assert down.exit_code == 3
    assert "1 new, none sent" in down.stdout
    assert "CONNECTION_LOST" in down.stderr
    with mail_server(mailroom, port):
        up = run("send")
    assert (up.exit_code, up.stdout.strip()) == (0, "Letters: 0 new, 1 sent")


def test_a_letter_is_sent_again_by_whom_and_why(office: Office, tell_of: Tell) -> None:
    tell_of(letters("ada@acme.example"))
    answer("send")
    asked = answer("resend", "points:000001", "--reason", "she deleted it")
    assert asked["letter_key"] == "points:000001#2"
    assert answer("send")["sent"] == 1
    again = answer("list")[1]
    assert (again["resends"], again["reason"], again["actor"][:3]) == ("points:000001", "she deleted it", "os:")
    assert len(list((office.home / "out/mail").glob("*.eml"))) == 2
    shown = run("resend", "points:000001", "--reason", "once more")
    assert "points:000001#3 waits" in shown.stdout
    for arguments in (("points:000001", "--reason", " "), ("points:7", "--reason", "x")):
        assert isinstance(run("resend", *arguments).exception, CounterfoilError)


def test_what_came_back_is_recorded_once(office: Office, tell_of: Tell, tmp_path: Path) -> None:
    tell_of(letters("gone@acme.example", "slow@acme.example", "other@acme.example"))
    answer("send")
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "1.eml").write_bytes(bounce(identity("points:000001"), "gone@acme.example"))
    (reports / "2.eml").write_bytes(bounce("", "slow@acme.example", action="delayed", status="4.4.7", returned=""))
    (reports / "3.eml").write_bytes(bounce("", "other@acme.example", status="5.2.2", returned=""))
    told_ = answer("bounces", reports)
    assert [one["letters"] for one in told_] == [["points:000001"], ["points:000002"], ["points:000003"]]
    assert [one["failed"] for one in told_] == [1, 0, 1]
    states = {row["letter_key"]: (row["state"], row["answer"]) for row in answer("list")}
    assert states["points:000001"] == ("bounced", "5.1.1")
    assert states["points:000002"][0] == "sent"
    assert states["points:000003"] == ("bounced", "5.2.2")
    records = len(list((office.home / "landing/mail").glob("*.json")))
    assert answer("bounces", reports) == told_, "the same reports again say the same, and record nothing"
    assert len(list((office.home / "landing/mail").glob("*.json"))) == records
    with office.desk() as desk:
        desk.index.rebuild()
    assert {row["letter_key"]: (row["state"], row["answer"]) for row in answer("list")} == states


def test_what_is_no_report_or_fits_no_letter_is_told(office: Office, tmp_path: Path) -> None:
    (tmp_path / "holiday.eml").write_bytes(b"Subject: away\r\n\r\nBack on Monday\r\n")
    (one,) = answer("bounces", tmp_path / "holiday.eml", status=1)
    assert (one["reports"], one["letters"]) == (0, [])
    (tmp_path / "foreign.eml").write_bytes(bounce("<x@elsewhere.example>", "nobody@elsewhere.example"))
    (other,) = answer("bounces", tmp_path / "foreign.eml", status=1)
    assert (other["reports"], other["letters"]) == (1, [])
    missing = run("bounces", tmp_path / "nowhere").exception
    assert isinstance(missing, CounterfoilError)
    assert missing.code is Code.NOTHING_FOUND
