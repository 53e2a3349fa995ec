"""The scorecard of two months, figure by figure, and that a closed day keeps its own."""

from datetime import date, datetime

import polars as pl
import pytest

from counterfoil.feed import Feed
from counterfoil.ledger.known import known, moment
from counterfoil.ledger.model import RECORD_SPAN, TRANSFERS_PER_RECORD
from counterfoil.ledger.open_breaks import open_breaks
from counterfoil.ledger.scorecard import Scorecard, scorecard
from counterfoil.reconcile import scoring
from counterfoil.reconcile.breaks import label
from counterfoil.reconcile.questions import QUESTIONS
from counterfoil.reports.facts import NULLABLE, SCHEMAS
from tests.plugins.partners import NOV_4, OCT_5, OCT_6, OCT_7, TwoMonths

NOV, OCT, SEP, AUG, LAST, BEFORE = (
    "this_month", "1_month_ago", "2_months_ago", "3_months_ago", "last_30_days", "30_days_before",
)  # fmt: skip
NOTHING = (0, 0, None)


def card_of(months: TwoMonths, day: date, *, at: datetime | None = None, feeds: list[Feed] | None = None) -> Scorecard:
    with months.book.reading() as book:
        return scorecard(
            book, months.index, feeds or months.feeds, day=day, moment=moment(book, at), currency="EUR"
        )  # fmt: skip


@pytest.fixture(scope="module")
def card(two_months: TwoMonths) -> Scorecard:
    return card_of(two_months, NOV_4)


def told(card: Scorecard, figure: str, part: str = "", partner: str = "p") -> dict[str, tuple[int | None, ...]]:
    """Numerator, denominator and basis points by window."""
    rows = card.of(partner).figures.filter((pl.col("figure") == figure) & (pl.col("part") == part))
    return {row["window"]: (row["numerator"], row["denominator"], row["basis_points"]) for row in rows.to_dicts()}


def parts(card: Scorecard, figure: str) -> list[str]:
    rows = card.of("p").figures.filter((pl.col("figure") == figure) & (pl.col("part") != ""))
    return rows["part"].unique(maintain_order=True).to_list()


def test_the_windows_are_whole_months_and_thirty_days() -> None:
    assert scoring.windows(date(2027, 1, 31)) == (
        (NOV, date(2027, 1, 1), date(2027, 1, 31)),
        (OCT, date(2026, 12, 1), date(2026, 12, 31)),
        (SEP, date(2026, 11, 1), date(2026, 11, 30)),
        (AUG, date(2026, 10, 1), date(2026, 10, 31)),
        (LAST, date(2027, 1, 2), date(2027, 1, 31)),
        (BEFORE, date(2026, 12, 3), date(2027, 1, 1)),
    )


@pytest.mark.parametrize(
    ("figure", "november", "october", "last", "before"),
    [
        ("files_on_time", (1, 3, 3333), (1, 3, 3333), (1, 5, 2000), (1, 1, 10_000)),
        ("files_late", (1, 3, 3333), (1, 3, 3333), (2, 5, 4000), (0, 1, 0)),
        ("files_refused", (1, 3, 3333), (0, 3, 0), (1, 5, 2000), (0, 1, 0)),
        ("files_missing", (0, 3, 0), (1, 3, 3333), (1, 5, 2000), (0, 1, 0)),
        ("sequence_breaks", (0, 2, 0), (1, 1, 10_000), (1, 3, 3333), NOTHING),
        ("files_repeated", (0, 5, 0), (1, 3, 3333), (1, 7, 1428), (0, 1, 0)),
        ("files_corrected", (1, 5, 2000), (0, 3, 0), (1, 7, 1428), (0, 1, 0)),
        ("files_renamed", (1, 5, 2000), (0, 3, 0), (1, 7, 1428), (0, 1, 0)),
        ("records_repeated", (0, 4, 0), (1, 6, 1666), (1, 8, 1250), (0, 2, 0)),
        ("rejected", (1, 4, 2500), (1, 6, 1666), (1, 8, 1250), (1, 2, 5000)),
        ("matched", (3, 4, 7500), (3, 5, 6000), (4, 7, 5714), (2, 2, 10_000)),
        ("unmatched", (1, 4, 2500), (2, 5, 4000), (3, 7, 4285), (0, 2, 0)),
        ("tolerance_used", (4, 10, 4000), (0, 10, 0), (4, None, None), (0, None, None)),
        ("breaks_open", (7, 4, 17_500), (4, 6, 6666), (7, 8, 8750), (0, 2, 0)),
        ("break_age_median", (29, 7, None), (25, 4, None), (29, 7, None), (None, 0, None)),
        ("break_age_oldest", (30, 7, None), (25, 4, None), (30, 7, None), (None, 0, None)),
        ("points_at_risk", (545, 1540, 3538), (175, 650, 2692), (545, 1540, 3538), (0, 650, 0)),
        ("money_at_risk", (327, 924, 3538), (88, 325, 2707), (327, 924, 3538), (0, 325, 0)),
    ],
)
def test_each_figure_has_its_numerator_and_denominator_in_every_window(
    card: Scorecard,
    figure: str,
    november: tuple[int, ...],
    october: tuple[int, ...],
    last: tuple[int, ...],
    before: tuple[int, ...],
) -> None:
    windows = told(card, figure)
    assert [windows[name] for name in (NOV, OCT, LAST, BEFORE)] == [november, october, last, before]


def test_before_the_first_day_there_is_nothing_to_be_a_part_of(card: Scorecard) -> None:
    assert told(card, "files_on_time")[AUG] == NOTHING
    assert told(card, "money_at_risk")[SEP] == (None, None, None), "no rate was in force"
    for line in scoring.LINES:
        assert all(rate is None for _, _, rate in told(card, line.name, partner="q").values())


def test_parts_have_their_own_fractions_and_add_up(card: Scorecard) -> None:
    assert parts(card, "rejected") == ["01", "02"]
    assert [told(card, "rejected", part)[NOV] for part in ("01", "02")] == [(0, 4, 0), (1, 4, 2500)]
    assert parts(card, "matched") == ["exact", "tolerance"]
    assert [told(card, "matched", part)[NOV] for part in ("exact", "tolerance")] == [(2, 4, 5000), (1, 4, 2500)]
    assert [told(card, "unmatched", part)[OCT] for part in ("unsettled", "unknown")] == [(1, 5, 2000), (1, 5, 2000)]
    assert parts(card, "breaks_by_age") == list(scoring.AGES)
    by_age = [told(card, "breaks_by_age", part)[NOV][0] for part in scoring.AGES]
    assert by_age == [2, 0, 0, 5, 0, 0, 0]
    at_risk = {part: told(card, "points_at_risk", part)[NOV][0] for part in parts(card, "points_at_risk")}
    assert at_risk == {"B02": 300, "B03": 140, "B04": 5, "B07": 100, "B12": 0, "B13": 0}
    labels = dict(card.of("p").figures.select("part", "label").unique().rows())
    assert labels["02"] == "02 closed"
    assert labels["B04"] == "B04 Points differ"
    assert labels["8-30"] == "aged 8–30 days"


def test_every_numerator_is_the_sum_of_listed_rows(card: Scorecard) -> None:
    first, last = NOV_4.replace(day=1), NOV_4
    files = card.of("p").files.filter(pl.col("day").is_between(first, last))
    expected = files.filter(pl.col("listed_as") == "expected")
    assert expected.select("file", "state", "due_at", "received_at").rows() == [
        ("P_4", "on_time", "2026-11-02T21:00:00.000Z", "2026-11-02T19:00:00.000Z"),
        ("P_5", "refused", "2026-11-03T21:00:00.000Z", "2026-11-03T19:00:00.000Z"),
        ("P_5", "late", "2026-11-04T21:00:00.000Z", "2026-11-04T22:00:00.000Z"),
    ]
    received = files.filter(pl.col("listed_as") == "received")["state"].sort().to_list()
    assert received == ["correction", "new", "new", "rejected", "renamed_replay"]
    gap = card.of("p").files.filter(pl.col("state") == "out_of_sequence")
    assert gap.select("day", "number_due", "number").rows() == [(OCT_6, 2, 3)]
    records = card.of("p").records.filter(pl.col("day").is_between(first, last) & (pl.col("side") == "theirs"))
    assert records.filter(pl.col("became") == "rejected")["count"].sum() == 1
    assert records["tolerated"].sum() == 4
    assert records["points"].sum() == 1606


def test_breaks_of_the_scorecard_are_those_of_the_list_that_the_partner_must_act_on(
    two_months: TwoMonths, card: Scorecard
) -> None:
    with two_months.book.reading() as book:
        listed = open_breaks(book, known(book, NOV_4), "p")
    asked = listed.filter(
        pl.col("code").is_in([label(code) for code in QUESTIONS])
        & (~pl.col("code").is_in(["B12", "B13"]) | (pl.col("feed") == "p_handback"))
    )
    assert set(listed["code"]) - set(asked["code"]) == {"B09"}, "a rejection is ours to act on"
    assert listed.filter(pl.col("feed") == "p_requests").height > 0, "a missing file of ours is ours"
    today = card.of("p").breaks.filter(pl.col("as_of") == NOV_4)
    assert today["count"].sum() == asked.height
    counts = dict(today.group_by("code").agg(pl.col("count").sum()).iter_rows())
    assert counts == dict(asked.group_by("code").agg(pl.len()).iter_rows())


def test_a_closed_day_keeps_its_scorecard_whatever_comes_later(two_months: TwoMonths) -> None:
    now = card_of(two_months, OCT_7)
    for name in ("figures", "files", "records", "breaks"):
        before, after = getattr(two_months.then, name), getattr(now, name)
        assert before.height > 0, name
        assert before.equals(after), name


def test_a_day_known_earlier_lacks_what_came_since(two_months: TwoMonths) -> None:
    then = card_of(two_months, NOV_4, at=datetime.fromisoformat("2026-10-06T23:30:00+00:00"))
    assert told(then, "files_missing")[OCT] == (0, 2, 0)
    assert told(then, "files_on_time")[NOV] == NOTHING
    assert told(then, "breaks_open")[OCT] == (3, 6, 5000)


def test_a_budget_counts_only_where_every_feed_has_one(two_months: TwoMonths) -> None:
    requests, handback, silent = two_months.feeds
    assert told(card_of(two_months, NOV_4), "tolerance_used", partner="q")[NOV] == (0, None, None)
    both = [requests, handback, silent.model_copy(update={"partner": "p"})]
    assert told(card_of(two_months, NOV_4, feeds=both), "tolerance_used")[NOV] == (4, None, None)


def test_what_was_taken_back_is_not_tolerated(two_months: TwoMonths) -> None:
    with two_months.book.writing(purpose="test") as writer:
        n, line_no = writer.frame("SELECT file_id, line_no FROM book.match").row(0)
        transfer = (n * RECORD_SPAN + line_no) * TRANSFERS_PER_RECORD
        writer._connection.execute("BEGIN")
        writer._connection.execute("INSERT INTO book.reversal VALUES (0, ?, ?, 2)", [transfer, n])
        now = moment(writer, None)
        card = scorecard(writer, two_months.index, two_months.feeds, day=NOV_4, moment=now, currency="EUR")
        writer._connection.execute("ROLLBACK")
    assert told(card, "tolerance_used")[NOV] == (0, 10, 0)


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("scorecard", scoring.FIGURES),
        ("scorecard_files", scoring.FILES),
        ("scorecard_records", scoring.RECORDS),
        ("scorecard_breaks", scoring.BREAKS),
    ],
)
def test_the_report_takes_the_tables_as_they_are(
    card: Scorecard, table: str, columns: dict[str, type[pl.DataType]]
) -> None:
    assert SCHEMAS[table] == {name: kind() for name, kind in columns.items()}
    frame = getattr(card, {"scorecard": "figures"}.get(table, table.removeprefix("scorecard_")))
    assert frame.drop(NULLABLE[table]).null_count().sum_horizontal().sum() == 0


def test_an_empty_book_gives_a_card_of_nothing(two_months: TwoMonths, make_book: object) -> None:
    assert callable(make_book)
    with make_book().reading() as book:
        empty = scorecard(
            book, two_months.index, two_months.feeds, day=OCT_5, moment=moment(book, None), currency="EUR"
        )  # fmt: skip
    assert empty.partners == ["p", "q"]
    assert empty.records.is_empty()
    assert told(empty, "matched")[NOV] == NOTHING
