"""The outbox is the sum of its records: whenever a writer dies, the same records lead to the same letters."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from counterfoil.errors import Code, PermanentError
from counterfoil.landing.index import ArrivalIndex
from counterfoil.landing.mail_records import LetterState
from counterfoil.landing.outbox import MAIL, Outbox, Result
from counterfoil.landing.store import LandingStore
from counterfoil.protocols import Batch
from tests.plugins.mail import letters

AT = datetime(2026, 11, 20, 6, tzinfo=UTC)
DAY = date(2026, 11, 20)
KEYS = ["points:000001", "points:000002", "points:000003"]

Open = Callable[[], ArrivalIndex]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Another process's view of the same home."""
    return lambda: ArrivalIndex(
        tmp_path / "arrival.db", LandingStore(tmp_path / "landing"), batches=tmp_path / "out" / "crm"
    )


def add(index: ArrivalIndex) -> None:
    """The letters of postings 1 to 5, as a run would add them, again after a crash."""
    batch = index.allot_range(target=MAIL, to_n=5, mapping_sha="m", batch_id=lambda *facts: "b", at=AT)
    if batch is not None:
        index.outbox.add(batch, letters("a@acme.example", "b@acme.example", "c@acme.example"), AT)


def begin(index: ArrivalIndex, keys: list[str]) -> int:
    return index.outbox.begin(keys, postman="smtp", campaigns={}, boot="x", at=AT, run_id="r")


def end(index: ArrivalIndex, number: int, *states: LetterState) -> None:
    results = {key: Result(state, "250 OK", tried=True) for key, state in zip(KEYS, states, strict=False)}
    index.outbox.end(number, results, at=AT, run_id="r")


def resend(index: ArrivalIndex) -> None:
    index.outbox.resend(KEYS[0], due=DAY, actor="os:felix", reason="asked for", at=AT)


ACTS: dict[str, Callable[[ArrivalIndex], object]] = {
    "add": add,
    "begin": lambda index: begin(index, KEYS),
    "end": lambda index: end(index, 2, LetterState.SENT, LetterState.UNSURE, LetterState.WAITING),
    "resend": resend,
    "bounce": lambda index: index.outbox.bounce(b"report", [(KEYS[0], "failed", "5.1.1"), (None, "failed", "")], AT),
}


@pytest.mark.parametrize("dies", [*ACTS, None])
def test_a_writer_that_dies_behind_its_record_has_written_it(
    opened: Open, monkeypatch: pytest.MonkeyPatch, dies: str | None
) -> None:
    class DiedError(Exception):
        pass

    def die(outbox: Outbox, record: object) -> None:
        raise DiedError

    for name, act in ACTS.items():
        with opened() as index:
            if name == dies:
                with monkeypatch.context() as patch:
                    patch.setattr(Outbox, "_apply", die)
                    with pytest.raises(DiedError):
                        act(index)
                # Whoever comes next sees the record; what the writer had still to write it does again.
                index.outbox.unfinished()
                if name in {"add", "bounce"}:
                    act(index)
            else:
                act(index)
    with opened() as index:
        listed = index.outbox.listed()
        states = dict(listed.select("letter_key", "state").iter_rows())
        assert states == {
            KEYS[0]: "bounced",
            KEYS[1]: "unsure",
            KEYS[2]: "waiting",
            "points:000001#2": "waiting",
        }
        assert [one.batch for one in index.ranges(MAIL)] == [Batch(MAIL, "b", "m", 0, 5)]
        assert [one.state for one in index.ranges(MAIL)] == ["written"]
        index.rebuild()
        assert index.outbox.listed().equals(listed)


def test_only_a_letter_that_waits_is_handed_over(opened: Open) -> None:
    with opened() as one, opened() as other:
        add(one)
        number = begin(one, KEYS[:2])
        with pytest.raises(PermanentError) as taken:
            begin(other, KEYS[1:])
        assert taken.value.code is Code.MASS_BALANCE
        assert [sending.keys for sending in other.outbox.unfinished()] == [KEYS[:2]]
        assert [letter.letter_key for letter in other.outbox.due(DAY, after=None, limit=9)] == KEYS[2:]
        with pytest.raises(PermanentError):
            end(one, number, LetterState.SENT)
        end(one, number, LetterState.SENT, LetterState.SENT)
        with pytest.raises(PermanentError):
            end(other, number, LetterState.SENT, LetterState.SENT)
        assert other.outbox.counts() == {LetterState.SENT: 2, LetterState.WAITING: 1}


def bounce(index: ArrivalIndex, key: str) -> None:
    index.outbox.bounce(key.encode(), [(key, "failed", "5.1.1")], AT)


def test_a_report_that_comes_before_the_end_of_its_sending_is_what_became_of_the_letter(opened: Open) -> None:
    with opened() as one, opened() as other:
        add(one)
        number = begin(one, KEYS)
        for key in KEYS:
            bounce(other, key)
        assert [sending.keys for sending in other.outbox.unfinished()] == [KEYS], "whoever dies now leaves it to others"
        end(one, number, LetterState.SENT, LetterState.UNSURE, LetterState.WAITING)
        listed = one.outbox.listed().select("letter_key", "state", "answer")
        assert listed.rows() == [
            (KEYS[0], "bounced", "5.1.1"), (KEYS[1], "bounced", "5.1.1"), (KEYS[2], "waiting", "250 OK"),
        ]  # fmt: skip
        assert one.outbox.unfinished() == []
        number = begin(one, KEYS[2:])
        one.outbox.end(number, {KEYS[2]: Result(LetterState.SENT, tried=True)}, at=AT, run_id="r")
        assert one.outbox.counts() == {LetterState.BOUNCED: 2, LetterState.SENT: 1}, "that report was of an earlier try"
        listed = one.outbox.listed()
        one.rebuild()
        assert one.outbox.listed().equals(listed)


def test_a_report_that_names_an_address_alone_fits_the_letter_that_is_leaving(opened: Open) -> None:
    with opened() as index:
        add(index)
        assert index.outbox.sent_to("a@acme.example") is None
        number = begin(index, KEYS[:1])
        assert index.outbox.sent_to("a@acme.example") == KEYS[0]
        end(index, number, LetterState.UNSURE)
        assert index.outbox.sent_to("a@acme.example") == KEYS[0]
        resend(index)
        number = begin(index, [f"{KEYS[0]}#2"])
        index.outbox.end(number, {f"{KEYS[0]}#2": Result(LetterState.SENT, tried=True)}, at=AT, run_id="r")
        resend(index)
        begin(index, [f"{KEYS[0]}#3"])
        assert index.outbox.sent_to("a@acme.example") == f"{KEYS[0]}#2", "rather one that has surely gone"


def test_a_letter_that_has_not_left_cannot_come_back(opened: Open) -> None:
    with opened() as index:
        add(index)
        bounce(index, KEYS[0])
        assert index.outbox.counts() == {LetterState.WAITING: 3}


def test_letters_are_walked_by_their_days(opened: Open) -> None:
    with opened() as index:
        add(index)
        later = letters("z@acme.example", kind="alert", due=date(2026, 11, 21))
        index.outbox.add(Batch(MAIL, "c", "m", 5, 6), later, AT)
        assert index.outbox.due(date(2026, 11, 15), after=None, limit=9) == []
        first = index.outbox.due(date(2026, 11, 21), after=None, limit=2)
        second = index.outbox.due(date(2026, 11, 21), after=first[-1], limit=9)
        assert [letter.letter_key for letter in (*first, *second)] == [*KEYS, "alert:000001"]
        assert index.outbox.due(date(2026, 11, 21), after=second[-1], limit=9) == []


def test_a_key_that_is_known_stays_the_letter_that_it_was(opened: Open) -> None:
    with opened() as index:
        add(index)
        index.outbox.add(Batch(MAIL, "c", "m", 5, 6), letters("else@acme.example"), AT)
        assert index.outbox.listed()["recipient"].to_list() == ["a@acme.example", "b@acme.example", "c@acme.example"]


def test_of_a_letter_with_vouchers_the_last_copy_counts(opened: Open) -> None:
    with opened() as index:
        of_order = letters("a@acme.example", kind="voucher").with_columns(reference=pl.lit("PO-1"))
        index.outbox.add(Batch(MAIL, "c", "m", 0, 1), of_order, AT)
        key = "voucher:000001"
        assert index.outbox.newest(["PO-1"]) == {key: "waiting"}
        for number in range(2, 12):
            sending = begin(index, [key])
            index.outbox.end(sending, {key: Result(LetterState.SENT, tried=True)}, at=AT, run_id="r")
            key = index.outbox.resend(key, due=DAY, actor="os:felix", reason="asked for", at=AT)
            assert key == f"voucher:000001#{number}"
            assert index.outbox.newest(["PO-1", "PO-2"]) == {"voucher:000001": "waiting"}
        assert index.outbox.newest(["PO-2"]) == {}
