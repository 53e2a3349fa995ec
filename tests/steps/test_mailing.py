"""Letters over whole runs: out once, when they are due, through every trouble of a mail server."""

import json
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from counterfoil.errors import Code, UsageError
from counterfoil.letters import LETTERS, message_part
from counterfoil.steps import mailing
from counterfoil.steps.mailing import Mailed, send_mail
from tests.plugins.homes import MONDAY, Office
from tests.plugins.mail import Mailroom, letters, mail_server, settle_in

Tell = Callable[[pl.DataFrame], None]


@pytest.fixture(scope="module")
def day_booked(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """A home with the postings of a day, from which each test begins."""
    office = settle_in(Office(tmp_path_factory.mktemp("mailing") / "home"))
    office.begin()
    office.book_day(MONDAY)
    return office


@pytest.fixture
def booked(day_booked: Office, tmp_path: Path) -> Office:
    """A copy of that home."""
    return day_booked.copied(tmp_path / "home")


def mail(office: Office) -> Mailed:
    with office.desk() as desk:
        return send_mail(desk)


def states(office: Office) -> dict[str, str]:
    with office.desk() as desk:
        listed = desk.index.outbox.listed()
    return dict(zip(listed["letter_key"], listed["state"], strict=True))


def eml(office: Office) -> list[Path]:
    return sorted((office.home / "out/mail").glob("*.eml"))


def codes(mailed: Mailed) -> list[Code]:
    return [trouble.code for trouble in mailed.troubles]


def test_letters_of_postings_lie_in_a_folder_once(booked: Office, tell_of: Tell) -> None:
    tell_of(letters("ada@acme.example", "bob@acme.example"))
    assert mail(booked) == Mailed(written=2, sent=2)
    first, second = eml(booked)
    assert "Person 1 <ada@acme.example>" in first.read_text()
    assert "bob@acme.example" in second.read_text()
    before = [path.read_bytes() for path in eml(booked)]
    booked.now += timedelta(days=1)
    assert mail(booked) == Mailed()
    assert [path.read_bytes() for path in eml(booked)] == before
    assert set(states(booked).values()) == {"sent"}


def test_a_night_hands_letters_over_and_names_what_failed(booked: Office, tell_of: Tell) -> None:
    tell_of(letters("ada@acme.example", "no address"))
    night = booked.run(MONDAY)
    assert (night.mailed.sent, night.mailed.refused) == (1, 1)
    assert [(who, error.code) for who, error in night.failures] == [("mail", Code.MAIL_REFUSED)]
    assert night.exit_status == 1
    assert booked.run(MONDAY).exit_status == 0


def test_a_letter_waits_for_its_day_in_the_programme_zone(booked: Office, tell_of: Tell) -> None:
    day = booked.now.date() + timedelta(days=1)
    tell_of(letters("ada@acme.example", due=day))
    assert mail(booked) == Mailed(written=1)
    assert states(booked) == {"points:000001": "waiting"}
    booked.now = booked.now.replace(hour=23) + timedelta(hours=2)
    assert mail(booked).sent == 1


def test_every_posting_is_asked_once_for_its_letters(booked: Office, tell_of: Tell) -> None:
    everyone = pl.concat([letters("ada@acme.example"), letters("bob@acme.example", kind="register", posting=2)])
    tell_of(everyone.filter(pl.col("posting") == 1))
    assert mail(booked).written == 1
    tell_of(everyone)
    assert mail(booked).written == 0, "the range of posting 2 is told already"
    with booked.desk() as desk:
        ranges = desk.index.ranges("mail")
    assert [(one.batch.from_n, one.state) for one in ranges] == [(0, "written")]


def test_the_outbox_is_made_anew_from_its_records(booked: Office, tell_of: Tell) -> None:
    tell_of(
        pl.concat(
            [
                letters("ada@acme.example", "no address"),
                letters("x@acme.example", kind="alert", due=MONDAY + timedelta(days=90)),
            ]
        )
    )
    mail(booked)
    with booked.desk() as desk:
        desk.index.outbox.resend("points:000001", due=MONDAY, actor="os:felix", reason="she lost it", at=booked.now)
        before = desk.index.outbox.listed()
        ranges = desk.index.ranges("mail")
    for name in ("arrival.db", "arrival.db-wal", "arrival.db-shm"):
        (booked.home / name).unlink(missing_ok=True)
    with booked.desk() as desk:
        assert desk.index.outbox.listed().equals(before)
        assert [one.batch for one in desk.index.ranges("mail")] == [one.batch for one in ranges]
        desk.index.rebuild()
        assert desk.index.outbox.listed().equals(before)
    assert mail(booked) == Mailed(sent=1), "only the letter that was to be sent again"
    assert states(booked)["points:000001#2"] == "sent"


def test_a_server_that_is_down_for_a_day_loses_nothing(booked: Office, tell_of: Tell, mailroom: Mailroom) -> None:
    tell_of(letters("ada@acme.example", "bob@acme.example"))
    with mail_server(mailroom) as port:
        pass
    settle_in(booked, port)
    night = booked.run(MONDAY)
    assert [(who, error.code) for who, error in night.failures] == [("mail", Code.CONNECTION_LOST)]
    assert night.exit_status == 3
    assert set(states(booked).values()) == {"waiting"}
    with mail_server(mailroom, port):
        assert booked.run(MONDAY + timedelta(days=1)).exit_status == 0
    assert mailroom.recipients == ["ada@acme.example", "bob@acme.example"]


def test_what_a_server_puts_off_is_tried_again_and_counted(
    booked: Office, tell_of: Tell, mailroom: Mailroom, mail_port: int
) -> None:
    settle_in(booked, mail_port)
    tell_of(letters("later@acme.example", "ada@acme.example"))
    mailroom.answers = {("RCPT", "later@acme.example"): "450 4.2.0 greylisted"}
    first = mail(booked)
    assert (first.sent, first.deferred, codes(first)) == (1, 1, [Code.MAIL_DEFERRED])
    assert first.troubles[0].exit_status == 3
    mail(booked)
    mailroom.answers = {}
    assert mail(booked).sent == 1
    with booked.desk() as desk:
        listed = desk.index.outbox.listed()
    assert listed["attempts"].to_list() == [3, 1]
    assert sorted(mailroom.recipients) == ["ada@acme.example", "later@acme.example"]


def test_a_letter_in_the_air_is_never_sent_again_by_itself(
    booked: Office, tell_of: Tell, mailroom: Mailroom, mail_port: int
) -> None:
    settle_in(booked, mail_port)
    tell_of(letters("ada@acme.example", "lost@acme.example", "taken@acme.example", "zoe@acme.example"))
    mailroom.drops = {"lost@acme.example": "DATA", "taken@acme.example": "done"}
    first = mail(booked)
    assert (first.sent, first.unsure) == (1, 1)
    assert set(codes(first)) == {Code.CONNECTION_LOST, Code.MAIL_UNSURE}
    second = mail(booked)
    assert (second.sent, second.unsure) == (0, 1)
    mailroom.drops = {}
    third = mail(booked)
    assert (third.sent, third.unsure, codes(third)) == (1, 0, [])
    assert mail(booked) == Mailed()
    assert list(states(booked).values()) == ["sent", "unsure", "unsure", "sent"]
    assert mailroom.recipients == ["ada@acme.example", "taken@acme.example", "zoe@acme.example"]
    key = resend(booked, "points:000002")
    assert key == "points:000002#2"
    assert mail(booked).sent == 1
    assert max(mailroom.ids().values()) == 1
    assert mailroom.ids()[f"<{message_part(key)}@programme.example>"] == 1


def test_a_server_that_refuses_everybody_stops_the_run(
    booked: Office, tell_of: Tell, mailroom: Mailroom, mail_port: int
) -> None:
    settle_in(booked, mail_port)
    people = [f"p{number}@acme.example" for number in range(50)]
    tell_of(letters(*people))
    mailroom.answers = {("RCPT", one): "554 5.7.1 relay denied" for one in people}
    mailed = mail(booked)
    assert mailed.refused == 20
    assert codes(mailed) == [Code.MAIL_REFUSED, Code.MAIL_REFUSED]
    assert list(states(booked).values()).count("waiting") == 30


def test_a_bad_campaign_keeps_its_letters_and_no_other(
    booked: Office, tell_of: Tell, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shutil.copytree(root / "data", tmp_path / "data")
    monkeypatch.setenv("COUNTERFOIL_DATA", str(data))
    spring = (data / "mail/standard.yaml").read_text().replace("campaign: standard", "campaign: spring")
    (data / "mail/spring.yaml").write_text(spring.replace("{{ company }} has sent you", "{{ compani }} has sent you"))
    tell_of(
        pl.concat(
            [
                letters("ada@acme.example", "bob@acme.example").with_columns(campaign=pl.lit("spring")),
                letters("cleo@acme.example", kind="alert"),
            ]
        )
    )
    mailed = mail(booked)
    assert (mailed.sent, codes(mailed)) == (1, [Code.CAMPAIGN_INVALID])
    assert "data/mail/spring.yaml letters.points.text" in str(mailed.troubles[0])
    assert "'compani' is undefined" in str(mailed.troubles[0])
    (data / "mail/spring.yaml").write_text(spring)
    assert mail(booked) == Mailed(sent=2)


def test_a_run_hands_over_no_more_than_its_limit(
    booked: Office, tell_of: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailing, "LETTERS_AT_ONCE", 2)
    settle_in(booked, more=["mail: {letters_a_run: 3}"])
    tell_of(letters(*(f"p{number}@acme.example" for number in range(7))))
    assert [mail(booked).sent for _ in range(4)] == [3, 3, 1, 0]
    records = sorted((booked.home / "landing/mail").glob("*.json"))
    sizes = [len(record["keys"]) for path in records if (record := json.loads(path.read_text()))["what"] == "sending"]
    assert sizes == [2, 1, 2, 1, 1]


def test_a_source_that_breaks_the_contract_writes_nothing(booked: Office, tell_of: Tell) -> None:
    twice = pl.concat([letters("ada@acme.example")] * 2)
    for bad in (
        twice,
        letters("ada@acme.example").with_columns(kind=pl.lit("poem")),
        letters("ada@acme.example").with_columns(link=pl.lit("javascript:alert(1)")),
        letters("ada@acme.example").with_columns(letter_key=pl.lit("points:1#2")),
        letters("ada@acme.example").with_columns(recipient=pl.lit(None, pl.String)),
        letters("ada@acme.example").drop("reference"),
    ):
        tell_of(bad)
        assert codes(mail(booked)) == [Code.MASS_BALANCE]
    assert states(booked) == {}
    assert pl.Schema(LETTERS) == twice.schema


def resend(office: Office, key: str) -> str:
    with office.desk() as desk:
        return desk.index.outbox.resend(key, due=MONDAY, actor="os:felix", reason="asked for", at=office.now)


def test_a_letter_is_resent_as_a_new_one_once_it_has_gone(booked: Office, tell_of: Tell) -> None:
    tell_of(letters("ada@acme.example", "bob@acme.example").with_columns(due=pl.Series([MONDAY, date(2027, 1, 1)])))
    mail(booked)
    assert resend(booked, "points:000001") == "points:000001#2"
    with pytest.raises(UsageError) as unfit:
        resend(booked, "points:000001#2")
    assert unfit.value.code is Code.DECISION_UNFIT
    assert mail(booked).sent == 1
    assert resend(booked, "points:000001#2") == "points:000001#3"
    with pytest.raises(UsageError) as waits:
        resend(booked, "points:000002")
    assert waits.value.code is Code.DECISION_UNFIT
    with pytest.raises(UsageError) as unknown:
        resend(booked, "points:9")
    assert unknown.value.code is Code.NOTHING_FOUND
