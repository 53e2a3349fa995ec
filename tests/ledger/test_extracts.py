"""Extracts of one week at one partner: what they say of each day, and that a closed day keeps saying it."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from counterfoil.errors import CounterfoilError
from counterfoil.ledger import extracts, figures, open_breaks
from counterfoil.ledger.answers import Work
from counterfoil.ledger.chart import Rulebook
from counterfoil.ledger.compose import compose
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.store import Book
from counterfoil.ledger.writing import Entitled, Writer
from counterfoil.protocols import Marks, Parsed
from counterfoil.reconcile import balance
from counterfoil.reports.facts import OUTCOMES, SCHEMAS, STATES
from counterfoil.schemas.tables import CONTROL, QUARANTINED, empty

MONDAY = date(2026, 11, 16)
TUESDAY, WEDNESDAY, THURSDAY = (MONDAY + timedelta(days=number) for number in (1, 2, 3))
DAYS = (MONDAY, TUESDAY, WEDNESDAY, THURSDAY)

Snapshot = dict[str, list[tuple[Any, ...]]]
Posts = Callable[..., Any]


def request(ref: str, points: int, member: str = "M1000001") -> dict[str, Any]:
    return {"ref": ref, "points": points, "member": member}


def answer(ref: str, points: int, outcome: str = "accepted", **more: Any) -> dict[str, Any]:
    return {"ref": ref, "points": points, "outcome": outcome, **more}


REQUESTS = [
    *(request(ref, points) for ref, points in (("A", 100), ("B", 200), ("C", 300), ("D", 400), ("E", 500), ("F", 600))),
    request("G", 700),
    request("H", -50),
    request("I", 80, "M1000002"),
    request("J", 90, "M1000003"),
    request("K", 60, "M1000004"),
]
ANSWERS = [
    answer("A", 100),
    answer("B", 200, "rejected", reason="0001"),
    answer("C", 300, "held", reason="0099"),
    answer("D", 450),
    answer("E", 497),
    answer("G", 700),
    answer("H", -50),
    answer("I", 80),
    answer("I", 80),
    answer("J", 90),
    answer("J", 90, "rejected", reason="0005"),
    answer("K", 60, member="M1000004", to_account="M1000009"),
    answer("Z", 900),
    answer("Y", 70, "rejected", reason="0005"),
]


@pytest.fixture(scope="module")
def said_daily() -> dict[date, Snapshot]:
    """What the extracts of each day said when that day was the last."""
    return {}


@pytest.fixture(scope="module")
def week(
    make_book: Callable[[], Book], make_feed: Posts, post: Posts, said_daily: dict[date, Snapshot], rulebook: Rulebook
) -> Book:
    """Monday: requests. Tuesday: answers of every kind. Wednesday: later answers, and two requests that were answered
    before. Thursday: an answer to what was overdue. Each day closes."""
    book = make_book()
    requests, handback = make_feed("requests", answer_due_days=1), make_feed("handback", tolerance_points=5)
    calendar = make_feed("calendar", partner="counterfoil")
    with book.writing(purpose="test") as writer:
        post(writer, make_feed("rates", partner="counterfoil"), [{"minor": 50}], MONDAY)
        for day in DAYS:
            if day == MONDAY:
                post(writer, requests, REQUESTS, day)
            if day == TUESDAY:
                post(writer, handback, ANSWERS, day)
            if day == WEDNESDAY:
                late = [answer("G", 300, "reversed"), answer("D", 400), answer("C", 300), answer("A", 100)]
                post(writer, handback, late, day)
                post(writer, requests, [request("Z", 900), request("Y", 70), request("A", 100), request("N", 10)], day)
            if day == THURSDAY:
                post(writer, handback, [answer("F", 600), answer("N", 10, "held")], day)
            status = "missing" if day == MONDAY else "received"
            post(writer, calendar, [{"day": day, "feed": "p_handback", "partner": "p", "status": status}], day)
            said_daily[day] = snapshot(writer, day)
    return book


@pytest.fixture
def book(week: Book) -> Iterator[Lookups]:
    with week.reading() as lookups:
        yield lookups


def snapshot(book: Lookups, day: date) -> Snapshot:
    """Everything a report says of a day."""
    numbers = extracts.postings_of(book, day)["n"]
    return {
        "summary": figures.summary(book, day, "EUR").rows(),
        "rejects": figures.rejects(book, day, []).rows(),
        "clearing": figures.clearing(book, day).rows(),
        "matches": extracts.matches(book, numbers).rows(),
        "stage1": extracts.stage1(book, numbers).rows(),
        "breaks": open_breaks.open_breaks(book, day).rows(),
        "in_transit": open_breaks.in_transit(book, day).rows(),
        "movements": open_breaks.movements(book, day).rows(),
    }


def outcomes(book: Lookups, day: date) -> dict[str, tuple[int, int]]:
    """Count and points by state, without the empty ones."""
    rows = figures.summary(book, day, "EUR").select("state", "count", "points").iter_rows()
    return {state: (count, points) for state, count, points in rows if count or points}


def codes(frame: pl.DataFrame) -> dict[str, int]:
    return dict(frame.group_by("code").len().sort("code").iter_rows())


@pytest.mark.parametrize("day", DAYS)
def test_a_closed_day_keeps_its_figures_whatever_is_posted_later(
    week: Book, book: Lookups, said_daily: dict[date, Snapshot], day: date
) -> None:
    now = snapshot(book, day)
    for name, rows in said_daily[day].items():
        assert now[name] == rows, name


def test_the_summary_follows_each_request_through_its_days(book: Lookups) -> None:
    assert outcomes(book, MONDAY) == {"sent": (11, 3080), "pending": (11, 3080)}
    assert outcomes(book, TUESDAY) == {
        "sent": (11, 3080),
        "confirmed": (6, 1490),
        "rejected": (1, 200),
        "pending": (3, 1090),
        "held": (1, 300),
        "variance": (1, -3),
    }
    assert outcomes(book, WEDNESDAY) == {
        "sent": (8, 3070),
        "confirmed": (3, 2000),
        "rejected": (1, 70),
        "reversed": (1, 300),
        "pending": (3, 700),
    }
    assert outcomes(book, THURSDAY) == {"sent": (3, 700), "confirmed": (1, 600), "pending": (1, 90), "held": (1, 10)}


@pytest.mark.parametrize("day", DAYS)
def test_what_waits_is_the_clearing_account_and_what_was_refused_the_rejects(book: Lookups, day: date) -> None:
    summary = {row["state"]: row for row in figures.summary(book, day, "EUR").to_dicts()}
    clearing = figures.clearing(book, day).filter(pl.col("account") == "in_flight").row(0, named=True)
    rejects = figures.rejects(book, day, [])
    assert clearing["closing"] == summary["pending"]["points"] + summary["held"]["points"]
    assert clearing["closing"] == clearing["opening"] + clearing["points_in"] - clearing["points_out"]
    assert rejects["count"].sum() == summary["rejected"]["count"]
    assert rejects["points"].sum() == summary["rejected"]["points"]
    assert summary["sent"]["minor"] == sum(summary[state]["minor"] for state in OUTCOMES) is not None


def test_money_is_the_rate_of_the_programme_and_none_without_one(book: Lookups) -> None:
    valued = figures.summary(book, TUESDAY, "EUR").filter(pl.col("state").is_in(["sent", "rejected"]))
    assert valued.select("state", "minor").rows() == [("sent", 1540), ("rejected", 100)]
    assert figures.summary(book, TUESDAY, "USD")["minor"].null_count() == len(STATES)


def test_a_summary_that_does_not_add_up_is_refused(book: Lookups) -> None:
    summary = figures.summary(book, TUESDAY, "EUR")
    wrong = summary.with_columns(points=pl.when(pl.col("state") == "held").then(301).otherwise("points"))
    with pytest.raises(CounterfoilError, match="MASS_BALANCE"):
        figures.prove_summary(wrong)


def test_each_answer_is_matched_once_by_one_pass(book: Lookups) -> None:
    numbers = extracts.postings_of(book, TUESDAY)["n"]
    assert extracts.matches(book, numbers).drop("partner").rows() == [
        ("duplicate", 1, 80, 80, 0),
        ("exact", 7, 1390, 1390, 0),
        ("tolerance", 1, 500, 497, 3),
        ("unmatched_theirs", 5, 580, 1600, -1020),
    ]
    accepted = extracts.stage1(book, numbers).filter(pl.col("feed") == "p_handback")["accepted"].sum()
    assert extracts.matches(book, numbers)["count"].sum() == accepted


def test_answers_after_the_end_and_before_the_request_have_passes_of_their_own(book: Lookups) -> None:
    numbers = extracts.postings_of(book, WEDNESDAY)["n"]
    assert extracts.matches(book, numbers).drop("partner").rows() == [
        ("duplicate", 1, 100, 100, 0),
        ("exact", 2, 700, 700, 0),
        ("settled_key", 1, 300, 300, 0),
        ("theirs_first", 2, 970, 970, 0),
    ]


def test_rejects_have_the_partners_words_and_say_what_may_be_sent_again(book: Lookups, make_feed: Posts) -> None:
    feed = make_feed("handback", reason_texts={"0001": "Member not found"}, retryable_reasons=("0005",))
    assert figures.rejects(book, TUESDAY, [feed]).rows() == [("p", "0001", "Member not found", 1, 200, False)]
    assert figures.rejects(book, WEDNESDAY, [feed]).rows() == [("p", "0005", "", 1, 70, True)]


def test_clearing_ages_what_still_waits(book: Lookups) -> None:
    suspense = figures.clearing(book, TUESDAY).filter(pl.col("account") == "suspense")
    assert suspense.rows() == [("suspense", "p", 0, 0, 900, -900, TUESDAY, 0)]
    assert figures.clearing(book, WEDNESDAY).filter(pl.col("account") == "suspense").rows() == [
        ("suspense", "p", -900, 900, 0, 0, None, 0)
    ]
    later = MONDAY + timedelta(days=31)
    in_flight = figures.clearing(book, later).filter(pl.col("account") == "in_flight").row(0, named=True)
    assert (in_flight["oldest"], in_flight["over_30_days"], in_flight["closing"]) == (MONDAY, 1, 100)


def test_breaks_are_listed_as_the_report_wants_them(book: Lookups) -> None:
    found = open_breaks.open_breaks(book, TUESDAY)
    assert codes(found) == {"B03": 2, "B04": 1, "B07": 1, "B09": 1, "B11": 1, "B13": 1}
    named = {(row["code"], row["our_ref"], row["their_ref"]): row for row in found.to_dicts()}
    differs = named["B04", "D", "D"]
    assert (differs["points_ours"], differs["points_theirs"], differs["difference"]) == (400, 450, -50)
    assert (differs["file"], differs["line"], differs["member"], differs["age_days"]) == (
        "p_handback_4",
        5,
        "···001",
        0,
    )
    assert (differs["bucket"], differs["severity"], differs["state"]) == ("0-1", "low", "open")
    assert differs["due"] == TUESDAY + timedelta(days=3)
    unknown = named["B03", None, "Z"]
    assert (unknown["points_ours"], unknown["points_theirs"], unknown["difference"]) == (None, 900, None)
    missing = named["B13", None, f"p_handback:{MONDAY}"]
    assert (missing["file"], missing["line"], missing["feed"]) == ("counterfoil_calendar_3", 2, "p_handback")


def test_an_overdue_request_leads_to_its_own_line_and_keeps_the_id_it_had_in_transit(book: Lookups) -> None:
    waiting = open_breaks.in_transit(book, TUESDAY).filter(pl.col("our_ref") == "F").row(0, named=True)
    overdue = open_breaks.open_breaks(book, WEDNESDAY).filter(pl.col("our_ref") == "F").row(0, named=True)
    assert (waiting["code"], overdue["code"]) == ("B01", "B02")
    assert waiting["break_id"] == overdue["break_id"]
    assert (overdue["file"], overdue["line"]) == (waiting["file"], waiting["line"]) == ("p_requests_2", 7)
    assert (overdue["their_ref"], overdue["points_theirs"], overdue["age_days"]) == (None, None, 2)


def test_what_is_in_transit_has_no_break_of_its_own(book: Lookups) -> None:
    found = open_breaks.in_transit(book, TUESDAY)
    assert found.select("our_ref", "state", "due").rows() == [
        ("C", "held", TUESDAY),
        ("F", "waiting", TUESDAY),
    ]
    assert set(open_breaks.open_breaks(book, TUESDAY)["code"]).isdisjoint(found["code"])


def test_breaks_can_be_asked_for_one_partner(book: Lookups) -> None:
    assert open_breaks.open_breaks(book, TUESDAY, "p").height == 7
    assert open_breaks.open_breaks(book, TUESDAY, "q").is_empty()
    assert open_breaks.in_transit(book, TUESDAY, "q").is_empty()


@pytest.mark.parametrize("day", DAYS)
def test_movements_carry_every_break_from_day_to_day(book: Lookups, day: date) -> None:
    moved = open_breaks.movements(book, day)
    listed = codes(pl.concat([open_breaks.open_breaks(book, day), open_breaks.in_transit(book, day)]))
    assert dict(moved.filter(pl.col("carried") > 0).select("code", "carried").iter_rows()) == listed
    before = dict(open_breaks.movements(book, day - timedelta(days=1)).select("code", "carried").iter_rows())
    brought = moved.with_columns(brought=pl.col("carried") - pl.col("opened") + pl.col("cleared"))
    forward = {code: count for code, count in brought.select("code", "brought").iter_rows() if count}
    assert forward == {code: count for code, count in before.items() if count}


def test_a_posting_shows_the_breaks_it_opened_and_cleared(book: Lookups) -> None:
    numbers = extracts.postings_of(book, WEDNESDAY)["n"]
    assert extracts.break_counts(book, numbers).drop("title").rows() == [
        ("B02", 2, 0), ("B03", 0, 2), ("B04", 0, 1), ("B07", 1, 0), ("B08", 1, 0), ("B09", 1, 0),
    ]  # fmt: skip


def test_balances_are_as_of_a_value_date_and_members_are_mrequest(book: Lookups) -> None:
    monday = extracts.balances(book, MONDAY, "p", each_member=False)
    assert monday.select("kind", "accounts", "balance").rows() == [
        ("in_flight", 1, 3080), ("member", 4, -3030), ("payable", 1, -50), ("suspense", 1, 0),
    ]  # fmt: skip
    each = extracts.balances(book, None, None, each_member=True).filter(pl.col("kind") == "member")
    assert each.select("owner", "balance").rows() == [
        ("···001", -3157), ("···002", -80), ("···003", -90), ("···004", -60),
    ]  # fmt: skip
    assert extracts.balances(book, None, "nobody", each_member=False).is_empty()
    assert extracts.suspense(book, "p") == 0


def test_a_number_too_short_to_hide_is_hidden_whole() -> None:
    shown = pl.DataFrame({"member": ["12345", "123", "", None]}).select(extracts.masked("member"))
    assert shown["member"].to_list() == ["···345", "···", "···", None]


@pytest.mark.parametrize("as_of", [*DAYS, None])
def test_the_trial_balance_is_zero_on_every_day(book: Lookups, rulebook: Rulebook, as_of: date | None) -> None:
    found = extracts.trial_balance(book, as_of, chart=rulebook.chart)
    assert found["debit"].sum() == found["credit"].sum() > 0
    assert ("2450", "Redemption clearing", "in_flight", "p", "points") in found.drop("debit", "credit").rows()


def test_a_trial_balance_that_the_chart_cannot_name_is_refused(book: Lookups, rulebook: Rulebook) -> None:
    accounts = {kind: account for kind, account in rulebook.chart.accounts.items() if kind != "member"}
    with pytest.raises(CounterfoilError, match="RULES_INVALID"):
        extracts.trial_balance(book, None, chart=rulebook.chart.model_copy(update={"accounts": accounts}))


def test_a_file_shows_its_figures_controls_and_quarantine(
    make_book: Callable[[], Book], make_feed: Posts, rulebook: Rulebook
) -> None:
    book = make_book()
    feed = make_feed("requests")
    accepted = pl.DataFrame(
        {"line_no": [2, 3], "ref": ["A", "B"], "member": ["M1", "M1"], "points": [10, -4], "value_date": [MONDAY] * 2}
    )
    bad = pl.DataFrame(
        [(4, "NUL_BYTE", None, b"\0", None), (5, "LINE_LENGTH", None, b"", None)],
        orient="row",
        schema=dict(QUARANTINED),
    )
    control = pl.DataFrame({"name": ["records_header"], "declared": [4], "computed": [4], "holds": [True]})
    parsed = Parsed(
        marks=Marks(MONDAY, "", None, empty=False),
        lines=5,
        envelope_lines=1,
        accepted=accepted,
        quarantined=bad,
        control=empty(CONTROL).vstack(control),
    )
    with book.writing(purpose="test") as writer:
        posted(writer, feed.feed, parsed, rulebook, make_feed)
        numbers = pl.Series("n", [1])
        figures_of = extracts.stage1(writer, numbers).row(0, named=True)
        assert {name: figures_of[name] for name in SCHEMAS["stage1"]} == dict.fromkeys(SCHEMAS["stage1"], 0) | {
            "posting": 1, "feed": feed.feed, "name": "file.txt", "lines": 5, "envelope_lines": 1, "records": 4,
            "accepted": 2, "quarantined": 2, "settled": 2, "points_net": 6, "points_positive": 10,
            "points_negative": -4,
        }  # fmt: skip
        assert extracts.controls(writer, numbers).rows() == [(7, feed.feed, "file.txt", "records_header", 4, 4, True)]
        assert extracts.quarantine(writer, numbers).rows() == [
            (7, feed.feed, "file.txt", "LINE_LENGTH", 1),
            (7, feed.feed, "file.txt", "NUL_BYTE", 1),
        ]
        assert extracts.controls(writer, pl.Series("n", [2])).is_empty()


def posted(writer: Writer, feed: str, parsed: Parsed, rulebook: Rulebook, make_feed: Posts) -> None:
    """Post one file as delivery 7."""
    contract = make_feed("requests")
    work = Work(
        feed=contract, accepted=parsed.accepted, file_id=1, business_date=MONDAY, on_day=MONDAY, unit="points",
        rules=rulebook.rules,
    )  # fmt: skip
    changes = compose(work, writer, identity=str(MONDAY), skipped=[])
    writer.post(
        Entitled(
            n=1, delivery=7, feed=feed, kind="requests", partner="p", name="file.txt", identity=str(MONDAY), epoch="",
            sequence=None, business_date=MONDAY, on_day=MONDAY, payload_sha="0" * 64, run_id="test", actor="test",
            posted_at=datetime(2026, 11, 16, 22, tzinfo=UTC).replace(tzinfo=None), software="test",
        ),
        changes,
        figures=balance.stage_one(parsed, changes.rows["disposition"]),
        controls=parsed.control,
        rules=rulebook.rules,
        rule_hashes=rulebook.hashes,
        seal=lambda: "record",
    )  # fmt: skip
