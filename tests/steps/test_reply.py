"""Answers to partners over whole nights: what is answered, once, with which words, and after which troubles."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from counterfoil import journey
from counterfoil.errors import Code
from counterfoil.landing.records import ReplySent
from tests.plugins.homes import MONDAY, RATES, Office

FOLDER = "adriatic/incoming"
ACKS = "inbox/adriatic/acks"


def batch(number: int, lines: list[str], points: int | None = None) -> str:
    total = sum(int(line.split(",")[3]) for line in lines if line.split(",")[3].lstrip("-").isdecimal())
    made_on = f"{MONDAY}T18:30:00+01:00"
    body = "".join(f"{line}\n" for line in lines)
    return f"FH,1.0,{made_on}\nBH,1,{MONDAY}\n{body}BT,{len(lines)},{total if points is None else points}\nFT,1\n"


@pytest.fixture
def office(new_office: Callable[[str], Office], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A home whose data folder has the contract of a partner that wants answers."""
    data = tmp_path / "data"
    shutil.copytree(root / "data", data)
    shutil.copytree(data / "contracts" / "partners" / "adriatic", data / "partners" / "adriatic")
    monkeypatch.setenv("COUNTERFOIL_DATA", str(data))
    office = new_office("home")
    office.begin()
    office.put(f"rates/rates_{MONDAY:%Y%m%d}.csv", RATES + "adriatic,EUR,60,100,2026-11-01\n")
    return office


def send(office: Office, number: int, lines: list[str], points: int | None = None) -> None:
    office.put(f"{FOLDER}/Adriatic_{number:07d}_Rewards.csv", batch(number, lines, points))


def acks(office: Office) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((office.home / ACKS).glob("*"))}


def replies(office: Office) -> list[ReplySent]:
    with office.desk() as desk:
        return desk.index.replies()


BAD = "L,,M-2,50,Done,,"
BAD_ROW = "E,4,499,reference (column reference),a required value is blank\n"


def ack(number: int, status: str, code: str = "", rows: str = "", good: int = 0, bad: int = 0, due: int = 0) -> str:
    name = f"Adriatic_{number:07d}_Rewards.csv"
    return f"FH,1.0,{name},{status},{code}\n{rows}FT,{good},{bad},{due or number + 1}\n"


def test_each_file_is_answered_once_with_what_became_of_it(office: Office) -> None:
    send(office, 1, ["L,TR-1,M-1,100,Done,,", BAD])
    send(office, 2, ["L,TR-3,M-1,100,Done,,"], points=99)
    night = office.run(MONDAY)
    assert [sent.status for sent in night.replies] == ["partly", "failed"]
    told = {
        "Adriatic_0000001_Rewards_ack.csv": ack(1, "AcceptedWithErrors", rows=BAD_ROW, good=1, bad=1),
        "Adriatic_0000002_Rewards_ack.csv": ack(2, "Rejected", "301", due=2),
    }
    assert acks(office) == told
    assert office.run(MONDAY + timedelta(days=1)).replies == []
    assert acks(office) == told


def test_a_file_on_whom_somebody_must_decide_is_answered_after_the_decision(office: Office) -> None:
    send(office, 1, ["L,TR-1,M-1,100,Done,,"])
    send(office, 3, ["L,TR-3,M-1,100,Done,,"])
    assert [sent.name for sent in office.run(MONDAY).replies] == ["Adriatic_0000001_Rewards_ack.csv"]
    send(office, 2, ["L,TR-2,M-1,100,Done,,"])
    night = office.run(MONDAY + timedelta(days=1))
    assert [sent.name[:16] for sent in night.replies] == ["Adriatic_0000003", "Adriatic_0000002"]


def test_what_was_refused_on_arrival_and_what_came_twice_is_answered_too(office: Office) -> None:
    send(office, 1, ["L,TR-1,M-1,100,Done,,"])
    office.put(f"{FOLDER}/Adriatic_0000002_Rewards.csv", "FH,1.0,nonsense\nFT,0\n")
    office.run(MONDAY)
    assert acks(office)["Adriatic_0000002_Rewards_ack.csv"].startswith(
        "FH,1.0,Adriatic_0000002_Rewards.csv,Rejected,302"
    )
    (office.home / ACKS / "Adriatic_0000001_Rewards_ack.csv").rename(office.home / "taken.csv")
    send(office, 1, ["L,TR-1,M-1,100,Done,,"])
    night = office.run(MONDAY + timedelta(days=1))
    assert [sent.status for sent in night.replies] == ["duplicate"]
    assert acks(office)["Adriatic_0000001_Rewards_ack.csv"] == ack(1, "Duplicate")


def test_an_answer_that_cannot_be_put_waits_and_stops_nothing(office: Office) -> None:
    send(office, 1, ["L,TR-1,M-1,100,Done,,"])
    send(office, 2, ["L,TR-2,M-1,100,Done,,"])
    office.put("adriatic/acks/Adriatic_0000001_Rewards_ack.csv", "somebody else's")
    night = office.run(MONDAY)
    assert Code.REMOTE_REFUSED in [error.code for _, error in night.failures]
    assert night.report is not None
    assert [sent.name for sent in replies(office)] == ["Adriatic_0000002_Rewards_ack.csv"]
    (office.home / ACKS / "Adriatic_0000001_Rewards_ack.csv").unlink()
    assert [sent.status for sent in office.run(MONDAY + timedelta(days=1)).replies] == ["accepted"]


def test_a_crash_between_putting_and_recording_answers_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    send(office, 1, ["L,TR-1,M-1,100,Done,,"])

    class DeadError(Exception):
        pass

    def dies(*_: object) -> None:
        raise DeadError

    with monkeypatch.context() as patch:
        patch.setattr("counterfoil.landing.index.ArrivalIndex.record_reply", dies)
        with pytest.raises(DeadError):
            office.run(MONDAY)
    told = acks(office)
    assert len(told) == 1
    assert len(office.run(MONDAY + timedelta(days=1)).replies) == 1
    assert acks(office) == told


def test_the_index_can_be_lost(office: Office) -> None:
    send(office, 1, ["L,TR-1,M-1,100,Done,,"])
    office.run(MONDAY)
    sent = replies(office)
    with office.desk() as desk:
        desk.index.rebuild()
    for file in office.home.glob("arrival.db*"):
        file.unlink()
    assert replies(office) == sent
    assert office.run(MONDAY + timedelta(days=1)).replies == []


def test_an_unrecorded_answer_whose_record_is_there_is_adopted(office: Office) -> None:
    send(office, 1, ["L,TR-1,M-1,100,Done,,"])
    office.run(MONDAY)
    with office.desk() as desk:
        desk.index._db.execute("DELETE FROM replies")
        assert journey.answer(desk, "adriatic_handback") == []
        assert len(desk.index.replies()) == 1
