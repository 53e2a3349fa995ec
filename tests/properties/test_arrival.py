"""Files that do not disagree end in the same state in whatever order they arrive."""

import os
from itertools import permutations
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.ledger import histories
from counterfoil.ledger.model import Side
from tests.properties.both import MONDAY

EXAMPLES = max(1, int(os.environ.get("COUNTERFOIL_EXAMPLES", "6")) // 6)
TOLERANCE = 3
STANDS = (
    """SELECT i.ref, a.kind, CAST(sum(e.amount) AS BIGINT) AS points FROM book.entry e
       JOIN book.disposition d ON d.file_id = e.file_id AND d.line_no = e.line_no
       JOIN book.item i ON i.item_id = d.item_id JOIN book.account a ON a.account_id = e.account_id
       GROUP BY ALL HAVING sum(e.amount) <> 0""",
    f"""SELECT i.ref, i.kind, i.amount, l.state, CAST(l.remaining AS BIGINT) AS remaining
        FROM book.item i JOIN ({histories.last_events()}) l ON l.item_id = i.item_id
        WHERE i.side = {Side.OURS:d} OR i.item_id IN (SELECT item_id FROM book.open_item)""",
    "SELECT subject, code FROM book.open_break",
)
"""What stands under each reference: balances, requests and answers that wait, breaks."""

Files = list[tuple[str, list[dict[str, Any]]]]

STORIES = {
    "accepted": (50, [("accepted", 50)]),
    "rejected": (50, [("rejected", 50)]),
    "held": (50, [("held", 50)]),
    "more": (50, [("accepted", 80)]),
    "nearly": (50, [("accepted", 52)]),
    "rejected at another figure": (50, [("rejected", 80)]),
    "reversed and no more": (50, [("reversed", 50)]),
    "twice": (50, [("accepted", 50), ("accepted", 50)]),
    "rejected twice": (50, [("rejected", 50), ("rejected", 50)]),
    "more, twice": (50, [("accepted", 80), ("accepted", 80)]),
    "recalled": (-50, [("accepted", -50)]),
    "recall refused": (-50, [("rejected", -50)]),
    "recalled at another figure": (-50, [("accepted", -80)]),
    "never answered": (50, []),
    "nobody asked": (0, [("accepted", 50)]),
    "nobody asked, twice": (0, [("accepted", 50), ("accepted", 50)]),
    "nobody asked, rejected": (0, [("rejected", 50)]),
}
"""What was asked under one reference, and what the partner says of it: answers that do not disagree."""


def files_of(told: list[tuple[str, int]]) -> Files:
    """Two requests files and two hand-back files; ``told`` says of each reference its story and where it lies."""
    files: Files = [("requests", []), ("requests", []), ("handback", []), ("handback", [])]
    for number, (story, place) in enumerate(told):
        points, answers = STORIES[story]
        ref = f"{number:02d}"
        if points:
            asking = files[place % 2], files[(place // 4) % 2]
            for _, rows in asking if place >= 8 and asking[0] is not asking[1] else asking[:1]:
                rows.append({"ref": ref, "points": points, "member": ("M1", "M2")[number % 2]})
        for at, (outcome, said) in enumerate(answers):
            files[2 + (place // 2 + at) % 2][1].append({"ref": ref, "points": said, "outcome": outcome})
    return [one for one in files if one[1]]


def all_orders_end_alike(make_book: Any, make_feed: Any, post: Any, files: Files) -> None:
    """Each order has references of its own and goes on beside the others: in each round every order's next file."""
    orders = list(permutations(files))
    with make_book().writing(purpose="test") as writer:
        for round_ in range(len(files)):
            for kind in ("requests", "handback"):
                rows = [
                    {**row, "ref": f"{number:02d} {row['ref']}"}
                    for number, order in enumerate(orders) if order[round_][0] == kind for row in order[round_][1]
                ]  # fmt: skip
                post(writer, make_feed(kind, tolerance_points=TOLERANCE), rows, MONDAY)
        stands: list[list[Any]] = [[] for _ in orders]
        for query in STANDS:
            for ref, *row in sorted(writer.frame(query).rows(), key=repr):
                stands[int(ref[:2])].append((ref[3:], *row))
    assert stands[0]
    for order, stand in zip(orders, stands, strict=True):
        assert stand == stands[0], [kind for kind, _ in order]


def test_every_story_ends_alike_in_all_orders_of_four_files(make_book: Any, make_feed: Any, post: Any) -> None:
    told = [(story, place) for place in range(16) for story in STORIES]
    all_orders_end_alike(make_book, make_feed, post, files_of(told))


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(told=st.lists(st.tuples(st.sampled_from(sorted(STORIES)), st.integers(0, 15)), min_size=1, max_size=6))
def test_some_stories_end_alike_in_all_orders(
    make_book: Any, make_feed: Any, post: Any, told: list[tuple[str, int]]
) -> None:
    all_orders_end_alike(make_book, make_feed, post, files_of(told))
