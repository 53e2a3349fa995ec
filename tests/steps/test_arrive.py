"""Tidying up at the partner's: it never loses a version that was not fetched, and never keeps other files waiting."""

from dataclasses import replace
from datetime import timedelta

from connectors.localdir import LocalSource
from counterfoil import journey
from counterfoil.errors import Code, PermanentError
from counterfoil.protocols import RemoteFile
from counterfoil.steps.desk import Desk
from tests.plugins.homes import MONDAY, Office


class Stubborn(LocalSource):
    """A server that lets nobody move files."""

    def archive(self, file: RemoteFile, folder: str) -> None:
        raise PermanentError(
            Code.REMOTE_REFUSED, folder, found="no right to rename", expected="that right", remedy="Ask for it"
        )


def with_source(desk: Desk, source: LocalSource) -> Desk:
    return replace(desk, open_source=lambda _alias: source)


def test_a_file_that_cannot_be_archived_keeps_no_other_waiting(office: Office) -> None:
    office.answer(MONDAY, ("1", 100, "0000"))
    office.look()
    source = Stubborn(alias="inbox", root=office.home / "inbox")
    with office.desk() as desk:
        first = journey.arrive(with_source(desk, source), "inbox", patient=False)
        assert [trouble.code for trouble in first.troubles] == [Code.REMOTE_REFUSED]
    office.ask(MONDAY, ("1", 100))
    with office.desk() as desk:
        journey.arrive(with_source(desk, source), "inbox", patient=False)
    office.now += timedelta(minutes=5)
    with office.desk() as desk:
        second = journey.arrive(with_source(desk, source), "inbox", patient=False)
        assert [delivery.feed for delivery in second.delivered] == ["skybridge_requests"]
        assert len(desk.index.deliveries(feed="skybridge_handback")) == 1


def test_a_version_that_was_not_fetched_is_never_archived(office: Office) -> None:
    office.answer(MONDAY, ("1", 100, "0000"))
    office.look()
    target = office.home / "inbox/skybridge/incoming" / f"SKYBRIDGE_{MONDAY:%Y%m%d}.HANDBACK.txt"
    newer = target.read_bytes() + b"2026-11-16,5,2,0000\n"

    class Replaced(LocalSource):
        """A partner who puts another version in place between the fetch and the archiving."""

        def stat(self, file: RemoteFile) -> RemoteFile:
            found = super().stat(file)
            target.write_bytes(newer)
            return found

    with office.desk() as desk:
        source = Replaced(alias="inbox", root=office.home / "inbox")
        received = journey.arrive(with_source(desk, source), "inbox", patient=False)
        assert [delivery.size for delivery in received.delivered] == [len(newer) - 20]
    assert target.read_bytes() == newer, "the new version waits where it is"
    assert not list((office.home / "inbox/skybridge/incoming/archive").glob("*"))


def test_a_folder_in_which_nothing_is_due_need_not_be_there(office: Office) -> None:
    root = office.home / "elsewhere"
    (root / "opening").mkdir(parents=True)
    with office.desk() as desk:
        received = journey.arrive(with_source(desk, LocalSource(alias="inbox", root=root)), "inbox", patient=False)
    missing = {trouble.where for trouble in received.troubles if trouble.code is Code.REMOTE_MISSING}
    assert "inbox:skybridge/incoming" in missing, "a hand-back is due each day"
    assert not {"inbox:members", "inbox:decisions", "inbox:approvals"} & missing
