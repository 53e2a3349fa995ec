"""Finding the item an answer speaks of: exact key, members and merges, repeats inside a file, order of rows."""

from datetime import date, timedelta
from typing import Any

import polars as pl

from counterfoil.feed import Tolerance
from counterfoil.ledger.model import Event, ItemKind, MatchPass, Outcome, State
from counterfoil.reconcile import passes
from counterfoil.reconcile.terms import Terms

DAY = date(2026, 11, 18)
NO_ALIASES = pl.DataFrame(schema={"member": pl.String, "survivor": pl.String, "since": pl.Date})
ANSWER = {
    "line_no": pl.Int64,
    "ref": pl.String,
    "member": pl.String,
    "points": pl.Int64,
    "outcome": pl.Int16,
    "reason": pl.String,
    "to_account": pl.String,
    "value_date": pl.Date,
    "money": pl.Int64,
}
ITEM = {
    "ref": pl.String,
    "item_id": pl.Int64,
    "kind": pl.Int16,
    "state": pl.Int16,
    "item_member": pl.String,
    "source_account": pl.Int32,
    "sent": pl.Int64,
    "asked_on": pl.Date,
    "confirmed": pl.Int64,
    "reversed": pl.Int64,
}


def answers(*rows: tuple[str, int, Outcome] | tuple[str, int, Outcome, str]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (number, ref, rest[0] if rest else None, points, outcome, None, None, DAY, None)
            for number, (ref, points, outcome, *rest) in enumerate(rows, start=2)
        ],
        schema=ANSWER,
        orient="row",
    )


def items(*rows: tuple[str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (ref, 100 + number, ItemKind.REQUEST, State.PENDING, f"m{ref}", 7, points, DAY, 0, 0)
            for number, (ref, points) in enumerate(rows)
        ],
        schema=ITEM,
        orient="row",
    )


def aliases(*hops: tuple[str, str, date]) -> pl.DataFrame:
    return pl.DataFrame(list(hops), schema=NO_ALIASES.schema, orient="row")


def decided(given: pl.DataFrame, known: pl.DataFrame, merged: pl.DataFrame = NO_ALIASES, **options: Any) -> list[Event]:
    found, rest = passes.by_reference(given, known, merged, MatchPass.EXACT)
    both = pl.concat([found, passes.unknown(rest).select(found.columns)]).sort("line_no")
    return [
        Event(event) for event in passes.decide(both, Terms(Tolerance(points=options.get("tolerance", 0))))["event"]
    ]


def test_the_exact_key_needs_reference_and_points() -> None:
    given = answers(("a", 5, Outcome.ACCEPTED), ("b", 6, Outcome.ACCEPTED), ("x", 5, Outcome.ACCEPTED))
    assert decided(given, items(("a", 5), ("b", 5))) == [
        Event.ACCEPTED,
        Event.AMOUNT_DIFFERS,
        Event.UNKNOWN_ACCEPTED,
    ]


def test_a_difference_within_the_tolerance_is_accepted_and_beyond_it_is_not() -> None:
    given = answers(("a", 8, Outcome.ACCEPTED), ("b", 7, Outcome.ACCEPTED))
    assert decided(given, items(("a", 10), ("b", 10)), tolerance=2) == [Event.ACCEPTED, Event.AMOUNT_DIFFERS]


def test_another_members_reference_is_not_a_match_unless_the_accounts_were_merged() -> None:
    given = answers(("a", 5, Outcome.ACCEPTED, "survivor"))
    assert decided(given, items(("a", 5))) == [Event.UNKNOWN_ACCEPTED]
    assert decided(given, items(("a", 5)), aliases(("ma", "survivor", DAY))) == [Event.ACCEPTED]


def test_a_merge_counts_from_its_day_on_and_hop_by_hop() -> None:
    given = answers(("a", 5, Outcome.ACCEPTED, "survivor"))
    tomorrow = DAY + timedelta(days=1)
    assert decided(given, items(("a", 5)), aliases(("ma", "survivor", tomorrow))) == [Event.UNKNOWN_ACCEPTED]
    both = [("ma", "mb", DAY), ("mb", "survivor", DAY), ("survivor", "mz", tomorrow)]
    assert decided(given, items(("a", 5)), aliases(*both)) == [Event.ACCEPTED]
    broken = [("ma", "mb", tomorrow), ("mb", "survivor", DAY)]
    assert decided(given, items(("a", 5)), aliases(*broken)) == [Event.UNKNOWN_ACCEPTED]


def test_equal_answers_in_one_file_settle_once() -> None:
    given = answers(("a", 5, Outcome.ACCEPTED), ("a", 5, Outcome.ACCEPTED), ("a", 5, Outcome.ACCEPTED))
    assert decided(given, items(("a", 5))) == [Event.ACCEPTED, Event.DUPLICATE_ANSWER, Event.DUPLICATE_ANSWER]


def test_disagreeing_answers_in_one_file_settle_nothing() -> None:
    given = answers(("a", 5, Outcome.ACCEPTED), ("a", 5, Outcome.REJECTED), ("b", 5, Outcome.ACCEPTED))
    assert decided(given, items(("a", 5), ("b", 5))) == [Event.CONFLICT, Event.CONFLICT, Event.ACCEPTED]


def test_unknown_references_repeat_like_known_ones() -> None:
    given = answers(("x", 5, Outcome.ACCEPTED), ("x", 5, Outcome.ACCEPTED), ("y", 1, Outcome.HELD))
    assert decided(given, items()) == [Event.UNKNOWN_ACCEPTED, Event.DUPLICATE_ANSWER, Event.UNKNOWN_OTHER]


def test_the_order_of_rows_does_not_matter() -> None:
    given = answers(
        ("a", 5, Outcome.ACCEPTED), ("b", 5, Outcome.REJECTED), ("c", 9, Outcome.ACCEPTED), ("b", 5, Outcome.ACCEPTED)
    )
    known = items(("a", 5), ("b", 5), ("c", 5))
    by_ref = sorted(zip(given["ref"], decided(given, known), strict=True))
    turned = given.reverse().with_columns(line_no=given["line_no"])
    assert sorted(zip(turned["ref"], decided(turned, known), strict=True)) == by_ref


REQUEST = {
    "line_no": pl.Int64,
    "ref": pl.String,
    "member": pl.String,
    "points": pl.Int64,
    "value_date": pl.Date,
    "source_account": pl.Int32,
}


def requests(*rows: tuple[str, int, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [(number, ref, f"m{account}", points, DAY, account) for number, (ref, points, account) in enumerate(rows, 2)],
        schema=REQUEST,
        orient="row",
    )


def known_refs(*refs: str) -> pl.DataFrame:
    return pl.DataFrame({"ref": list(refs), "item_id": [1] * len(refs)}, schema={"ref": pl.String, "item_id": pl.Int64})


def test_a_known_or_repeated_reference_is_a_duplicate_and_a_negative_amount_a_recall() -> None:
    asked = passes.new_requests(requests(("a", 5, 1), ("b", 5, 1), ("b", 5, 1), ("c", -5, 1)), known_refs("a"))
    assert asked["event"].to_list() == [
        Event.DUPLICATE_REQUEST,
        Event.REQUEST,
        Event.DUPLICATE_REQUEST,
        Event.RECALL,
    ]


def test_rows_that_differ_under_one_reference_are_all_refused() -> None:
    asked = passes.new_requests(requests(("a", 5, 1), ("a", 6, 1)), known_refs())
    assert asked["event"].to_list() == [Event.DUPLICATE_REQUEST, Event.DUPLICATE_REQUEST]


def test_a_source_pays_until_it_is_short_whatever_the_order_of_lines() -> None:
    balances = pl.DataFrame({"source_account": [1, 2], "balance": [10, 100]}).cast({"source_account": pl.Int32})
    rows = [("a", 6, 1), ("b", 6, 1), ("c", 1, 1), ("d", 100, 2)]
    for order in (rows, rows[::-1]):
        asked = passes.within_balance(passes.new_requests(requests(*order), known_refs()), balances)
        short = asked.filter(pl.col("event") == Event.BALANCE_SHORT)["ref"].sort().to_list()
        assert short == ["b", "c"]
