"""Identity, business dates, verdicts and gaps, mostly by property."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import Feed
from counterfoil.identity import (
    POSTING_VERDICTS,
    Earlier,
    Effect,
    Judgement,
    Verdict,
    business_date,
    counted_on,
    far,
    identity_text,
    judgement_message,
    sequence_gap,
    verdict,
)
from counterfoil.protocols import Marks

DAY = date(2026, 11, 20)
SHA = "a" * 64

IDENTITIES = st.sampled_from(["A", "B", "C"])
PAYLOADS = st.sampled_from(["p", "q", "r"])
EARLIER = st.builds(
    Earlier,
    order=st.integers(1, 50),
    identity=IDENTITIES,
    payload_sha=PAYLOADS,
    empty=st.booleans(),
    effect=st.sampled_from(Effect),
)
OTHERS = st.lists(EARLIER, max_size=6, unique_by=lambda earlier: earlier.order)


def make_feed(
    by: Literal["sequence", "date", "arrival", "content"] = "sequence",
    restart: Literal["never", "yearly", "daily", "wrap"] = "never",
    **more: Any,
) -> Feed:
    return Feed.model_validate(
        {
            "feed": "northstar_requests",
            "partner": "northstar",
            "kind": "requests",
            "version": 1,
            "effective_from": "2026-01-01",
            "arrival": {"folder": "out", "ready": "marker"},
            "identity": {"by": by, "restart": restart},
        }
        | more
    )


def marks(sequence: int | None = None, day: date | None = None, epoch: str = "NSTR") -> Marks:
    return Marks(business_date=day, epoch=epoch, sequence=sequence, empty=False)


def one(effect: Effect, identity: str = "A", payload: str = "p", *, empty: bool = False, order: int = 7) -> Earlier:
    return Earlier(order=order, identity=identity, payload_sha=payload, empty=empty, effect=effect)


def judge(others: list[Earlier], identity: str = "A", payload: str = "p", *, empty: bool = False) -> Judgement:
    return verdict(identity=identity, payload_sha=payload, empty=empty, others=others)


# Identity


def test_identities_read_as_declared() -> None:
    assert identity_text(make_feed(), marks(11), name="a.txt", payload_sha=SHA, day=DAY) == "NSTR:000011"
    assert (
        identity_text(make_feed(restart="yearly"), marks(11), name="a.txt", payload_sha=SHA, day=DAY)
        == "NSTR:2026:000011"
    )
    assert (
        identity_text(make_feed(restart="daily"), marks(11), name="a.txt", payload_sha=SHA, day=DAY)
        == "NSTR:2026-11-20:000011"
    )
    assert identity_text(make_feed("date"), marks(), name="a.txt", payload_sha=SHA, day=DAY) == "2026-11-20"
    assert identity_text(make_feed("content"), marks(), name="a.txt", payload_sha=SHA, day=DAY) == f"sha256:{SHA}"


def test_a_sequence_that_the_file_does_not_state() -> None:
    with pytest.raises(PermanentError) as caught:
        identity_text(make_feed(), marks(), name="a.txt", payload_sha=SHA, day=DAY)
    assert caught.value.code == Code.ENVELOPE_INVALID


SCOPED = st.tuples(st.text(max_size=5), st.integers(0, 10**8), st.dates(date(2025, 1, 1), date(2027, 12, 31)))


@given(SCOPED, SCOPED, st.sampled_from(["never", "yearly", "daily"]))
def test_two_files_share_an_identity_only_if_epoch_scope_and_sequence_are_equal(
    one: tuple[str, int, date], two: tuple[str, int, date], restart: Literal["never", "yearly", "daily"]
) -> None:
    feed = make_feed(restart=restart)

    def parts(epoch: str, sequence: int, day: date) -> tuple[object, ...]:
        return (epoch, sequence, {"never": None, "yearly": day.year, "daily": day}[restart])

    texts = [
        identity_text(feed, marks(sequence, epoch=epoch), name="a.txt", payload_sha=SHA, day=day)
        for epoch, sequence, day in (one, two)
    ]
    assert (texts[0] == texts[1]) == (parts(*one) == parts(*two))


# Business date


def test_what_the_file_says_comes_first() -> None:
    assert business_date(marks(day=DAY), make_feed(), datetime(2027, 5, 5, tzinfo=UTC)) == DAY


@pytest.mark.parametrize(
    ("received", "zone", "grace", "day"),
    [
        ("2026-11-20T23:30:00Z", "UTC", 0, date(2026, 11, 20)),
        ("2026-11-21T00:30:00Z", "UTC", 60, date(2026, 11, 20)),
        ("2026-11-21T01:00:00Z", "UTC", 60, date(2026, 11, 21)),
        ("2026-11-20T15:30:00Z", "Asia/Tokyo", 0, date(2026, 11, 21)),
        ("2026-11-20T04:30:00Z", "America/New_York", 0, date(2026, 11, 19)),
        # The night the clocks go back in Berlin: 02:30 happens twice, and an hour's grace is an hour.
        ("2026-10-24T22:30:00Z", "Europe/Berlin", 60, date(2026, 10, 24)),
        ("2026-10-25T01:30:00Z", "Europe/Berlin", 240, date(2026, 10, 24)),
        ("2028-02-29T12:00:00Z", "UTC", 0, date(2028, 2, 29)),
    ],
)
def test_arrival_less_grace_in_the_feeds_zone(received: str, zone: str, grace: int, day: date) -> None:
    feed = make_feed(zone=zone, grace_minutes=grace)
    assert business_date(marks(), feed, datetime.fromisoformat(received)) == day


@given(st.integers(-400, 400))
def test_seven_days_either_way_are_believed(days: int) -> None:
    received = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert far(DAY + timedelta(days=days), received, "UTC") == (abs(days) > 7)


def test_far_counts_days_where_the_partner_is() -> None:
    received = datetime(2026, 11, 20, 23, tzinfo=UTC)
    assert far(date(2026, 11, 28), received, "UTC")
    assert not far(date(2026, 11, 28), received, "Asia/Tokyo")


# Verdicts


def test_the_first_of_its_kind_is_new() -> None:
    assert judge([]) == Judgement(Verdict.NEW)
    assert judge([one(Effect.POSTED, "B", "q")]) == Judgement(Verdict.NEW)


@pytest.mark.parametrize("effect", [Effect.POSTED, Effect.WAITING, Effect.HELD])
def test_the_same_again_is_a_replay(effect: Effect) -> None:
    assert judge([one(effect)]) == Judgement(Verdict.REPLAY, None, 7)


def test_the_same_again_after_a_rejection_is_another_try() -> None:
    assert judge([one(Effect.NONE)]) == Judgement(Verdict.REPLACEMENT, None, 7)


def test_other_content_after_a_posting_is_a_correction() -> None:
    assert judge([one(Effect.POSTED, payload="q")]) == Judgement(Verdict.CORRECTION, Code.CORRECTION_HELD, 7)


@pytest.mark.parametrize("effect", [Effect.NONE, Effect.HELD, Effect.WAITING])
def test_other_content_after_no_effect_is_a_replacement(effect: Effect) -> None:
    assert judge([one(effect, payload="q")]) == Judgement(Verdict.REPLACEMENT, None, 7)


@pytest.mark.parametrize("effect", [Effect.POSTED, Effect.WAITING])
def test_the_same_content_under_another_identity_is_a_renamed_replay(effect: Effect) -> None:
    assert judge([one(effect, "B")]) == Judgement(Verdict.RENAMED_REPLAY, Code.RENAMED_REPLAY_HELD, 7)


@pytest.mark.parametrize("effect", [Effect.NONE, Effect.HELD])
def test_content_that_had_no_effect_may_come_under_its_right_identity(effect: Effect) -> None:
    assert judge([one(effect, "B")]) == Judgement(Verdict.NEW)


def test_empty_days_look_alike_and_are_all_new() -> None:
    assert judge([one(Effect.POSTED, "B", empty=True)], empty=True) == Judgement(Verdict.NEW)
    assert judge([one(Effect.POSTED, "A", empty=True)], empty=True).verdict == Verdict.REPLAY


def test_a_renamed_replay_is_held_even_where_it_would_replace() -> None:
    others = [one(Effect.NONE, "A", "q", order=1), one(Effect.POSTED, "B", "p", order=2)]
    assert judge(others).verdict == Verdict.RENAMED_REPLAY


@given(OTHERS, IDENTITIES, PAYLOADS, st.booleans(), st.randoms())
def test_the_order_of_the_others_does_not_matter(
    others: list[Earlier], identity: str, payload: str, empty: bool, random: Any
) -> None:
    shuffled = random.sample(others, len(others))
    assert judge(others, identity, payload, empty=empty) == judge(shuffled, identity, payload, empty=empty)


@given(OTHERS, IDENTITIES, PAYLOADS, st.booleans())
def test_a_verdict_names_the_delivery_it_rests_on(
    others: list[Earlier], identity: str, payload: str, empty: bool
) -> None:
    judgement = judge(others, identity, payload, empty=empty)
    assert (judgement.other is None) == (judgement.verdict == Verdict.NEW)
    held = judgement.verdict in {Verdict.CORRECTION, Verdict.RENAMED_REPLAY}
    assert (judgement.code is not None) == held
    assert (judgement_message("f", identity, judgement) is not None) == held


ARRIVALS = st.lists(
    st.tuples(IDENTITIES, PAYLOADS, st.sampled_from([Effect.POSTED, Effect.NONE, Effect.HELD, Effect.WAITING])),
    max_size=12,
)


@given(ARRIVALS, st.sets(PAYLOADS))
def test_whatever_arrives_nothing_posts_twice(arrivals: list[tuple[str, str, Effect]], empties: set[str]) -> None:
    """An arrival meets its fate if its verdict lets it; else it has no effect or is held."""
    story: list[Earlier] = []
    for order, (identity, payload, fate) in enumerate(arrivals, start=1):
        found = judge(story, identity, payload, empty=payload in empties).verdict
        effect = fate if found in POSTING_VERDICTS else {Verdict.REPLAY: Effect.NONE}.get(found, Effect.HELD)
        story.append(one(effect, identity, payload, empty=payload in empties, order=order))
    posted = [earlier for earlier in story if earlier.effect == Effect.POSTED]
    identities = [earlier.identity for earlier in posted]
    contents = [earlier.payload_sha for earlier in posted if not earlier.empty]
    assert len(identities) == len(set(identities))
    assert len(contents) == len(set(contents))


@given(st.lists(st.tuples(IDENTITIES, PAYLOADS), min_size=1, max_size=8))
def test_delivering_everything_again_posts_nothing(arrivals: list[tuple[str, str]]) -> None:
    story: list[Earlier] = []
    for order, (identity, payload) in enumerate(arrivals * 2, start=1):
        found = judge(story, identity, payload).verdict
        if order > len(arrivals):
            assert found not in POSTING_VERDICTS
        effect = {Verdict.NEW: Effect.POSTED, Verdict.REPLAY: Effect.NONE}.get(found, Effect.HELD)
        story.append(one(effect, identity, payload, order=order))


def test_held_messages_have_the_form_of_every_message() -> None:
    message = judgement_message("skybridge", "2026-11-20", judge([one(Effect.POSTED, payload="q")]))
    assert message is not None
    assert message.startswith("CORRECTION_HELD skybridge 2026-11-20: other content than delivery 7")
    assert message.endswith("Permanent: a retry cannot help.")


# Gaps


@pytest.mark.parametrize(
    ("sequence", "last", "gap"),
    [
        (11, None, None),
        (12, 11, None),
        (13, 11, (12, 13)),
        (11, 11, (12, 11)),
        (9, 11, (12, 9)),
        (1, 0, None),
        (2, 0, (1, 2)),
    ],
)
def test_a_file_is_the_next_one_or_there_is_a_gap(sequence: int, last: int | None, gap: tuple[int, int] | None) -> None:
    assert sequence_gap(make_feed(), marks(sequence), last) == gap


def test_feeds_without_a_sequence_have_no_gaps() -> None:
    assert sequence_gap(make_feed("date"), marks(5), 1) is None
    assert sequence_gap(make_feed("content"), marks(), 1) is None


@given(st.integers(2, 500), st.lists(st.integers(-3, 3), max_size=40))
def test_a_wrapping_sequence_counts_on(last: int, steps: list[int]) -> None:
    feed = make_feed(identity={"by": "sequence", "restart": "wrap", "wrap_at": last})
    true, highest = 1, None
    for step in steps:
        true = max(1, true + (step if abs(step) <= (last - 1) // 2 else 1))
        said = Marks(business_date=DAY, epoch="E", sequence=(true - 1) % last + 1, empty=False)
        counted = counted_on(feed, said, highest)
        if highest is None or abs(true - highest) * 2 < last:
            assert counted.sequence == true
        highest = max(highest or 0, counted.sequence or 0)


@pytest.mark.parametrize("number", [0, 100])
def test_a_number_that_a_wrapping_sequence_has_not_is_refused(number: int) -> None:
    feed = make_feed(identity={"by": "sequence", "restart": "wrap", "wrap_at": 99})
    with pytest.raises(PermanentError) as failure:
        counted_on(feed, Marks(business_date=DAY, epoch="E", sequence=number, empty=False), 98)
    assert failure.value.code is Code.ENVELOPE_INVALID


def test_wrap_at_goes_with_wrap() -> None:
    for identity in ({"by": "sequence", "restart": "wrap"}, {"by": "sequence", "wrap_at": 9}):
        with pytest.raises(ValueError, match="wrap_at goes with"):
            make_feed(identity=identity)


def test_a_fixed_name_goes_by_its_day_of_arrival() -> None:
    feed = make_feed(by="arrival")
    marks = Marks(business_date=None, epoch="", sequence=None, empty=False)
    assert identity_text(feed, marks, name="a.txt", payload_sha=SHA, day=DAY) == "2026-11-20"
