"""Labelled situations, one small seed end to end: no answer settles another's request, and the scorer can say so."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.labelled import command, prices, report, score
from bench.labelled.kinds.amounts import RULE_ROWS
from bench.labelled.run import run
from bench.labelled.score import Ratio, Score
from bench.labelled.seen import Seen
from bench.labelled.situations import CATALOGUE, make_plan
from bench.labelled.stage import MONEY
from bench.labelled.truth import REFUSED, Break, Plan, Situation
from bench.labelled.write import files

SEED = 11
SIZE = 60

Judged = tuple[Plan, Seen]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """A plan with one situation of every kind and partner, and what the book said at its end."""
    plan = make_plan(SEED, size=SIZE, least=1)
    return plan, run(plan, tmp_path_factory.mktemp("labelled"))


def found(judged_: Score, what: str) -> list[tuple[str, int]]:
    return [(finding.kind, finding.number) for finding in judged_.findings if finding.what == what]


def changed(plan: Plan, kind: str, change: Callable[[Situation], None]) -> Plan:
    """The same plan made anew, with another truth for the situations of one kind."""
    again = make_plan(plan.seed, size=SIZE, least=1)
    for situation in again.situations:
        if situation.kind == kind:
            change(situation)
    return again


@pytest.mark.slow
def test_no_request_is_settled_by_an_answer_that_is_not_its_own(judged: Judged) -> None:
    result = score.score(*judged)
    assert not found(result, score.FALSE_MATCH)
    assert result.figures[score.FALSE].of > SIZE
    assert {kind.name for kind in CATALOGUE} == set(result.kinds)
    assert result.figures[score.MATCHED].right > 0.95 * result.figures[score.MATCHED].of
    assert result.figures[score.CODES].right > 0.95 * result.figures[score.CODES].of
    assert result.figures[score.CHARGED].right > 0.95 * result.figures[score.CHARGED].of > 0
    assert result.figures[score.BOOKED_FALSE].right == 0 < result.figures[score.BOOKED_FALSE].of


@pytest.mark.slow
def test_a_swapped_pair_is_two_false_matches(judged: Judged) -> None:
    plan, seen = judged

    def swap(situation: Situation) -> None:
        first, second = situation.settlements
        situation.settlements = [replace(first, answers=second.answers), replace(second, answers=first.answers)]

    right, wrong = score.score(plan, seen), score.score(changed(plan, "neighbours", swap), seen)
    swapped = [("neighbours", 0)] * 4  # two requests of either partner
    assert found(right, score.FALSE_MATCH).count(("neighbours", 0)) == 0
    assert [one for one in found(wrong, score.FALSE_MATCH) if one[0] == "neighbours"] == swapped
    assert wrong.figures[score.FALSE].right == right.figures[score.FALSE].right + len(swapped)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "change", "what"),
    [
        ("rejected", lambda one: one.breaks.clear(), score.MORE_BREAKS),
        ("rejected", lambda one: one.settlements.clear(), score.FALSE_MATCH),
        ("never_answered", lambda one: one.breaks.append(replace(one.breaks[0], codes=(4,))), score.NO_BREAK),
        ("never_answered", lambda one: one.breaks.append(replace(one.breaks.pop(), open=False)), score.BREAK_STANDS),
        ("no_reference", lambda one: one.suggestions.clear(), score.WRONGLY_SHOWN),
        (
            "reversed_in_part",
            lambda one: one.settlements.append(replace(one.settlements.pop(), reversed=1)),
            score.OTHER_STATE,
        ),
        ("not_due_yet", lambda one: one.states.update({one.requests[0].key: "HELD"}), score.OTHER_STATE),
        ("charge_just_beyond", lambda one: one.breaks.clear(), score.MORE_BREAKS),
        (
            "charge_blank",
            lambda one: one.breaks.append(Break((MONEY,), (one.answers[0].key,), open=True)),
            score.NO_BREAK,
        ),
        ("earned", lambda one: one.becomes.update({one.deeds[0].key: REFUSED}), score.BOOKED_WRONGLY),
        ("told_twice", lambda one: one.becomes.clear(), score.NOT_BOOKED),
        ("paid", lambda one: one.left.update({one.deeds[0].member: 1}), score.OTHER_BALANCE),
        (
            "old_price",
            lambda one: one.breaks.append(replace(one.breaks.pop(), change="at 9.99 EUR")),
            "cause price_changed",
        ),
    ],
)
def test_the_scorer_finds_every_kind_of_wrong(
    judged: Judged, kind: str, change: Callable[[Situation], None], what: str
) -> None:
    plan, seen = judged
    assert kind not in {one for one, _ in found(score.score(plan, seen), what)}
    assert kind in {one for one, _ in found(score.score(changed(plan, kind, change), seen), what)}


def test_a_seed_plants_the_same_bytes_again() -> None:
    one, other, another = (files(make_plan(seed, size=SIZE, least=1)) for seed in (SEED, SEED, SEED + 1))
    assert one == other
    assert one != another


@pytest.mark.slow
def test_a_charge_that_a_person_hears_of_and_need_not_is_counted(judged: Judged) -> None:
    plan, seen = judged
    figures = [
        score.score(changed(plan, "fee_charged", change), seen).figures[score.CHARGED]
        for change in (lambda _: None, lambda one: one.breaks.clear())
    ]
    assert figures[0].right - figures[1].right == 2 * RULE_ROWS, "one situation of either partner"
    assert figures[0].of == figures[1].of


def test_what_points_are_worth_is_rounded_half_to_even() -> None:
    assert [prices.valued(points, 45) for points in (10, 30, 11, -10)] == [4, 14, 5, -4]
    days = (prices.BEFORE, prices.WEEKEND, prices.AFTER_WEEKEND, prices.DECEMBER)
    assert [prices.price("meadowlark", day) for day in days] == [None, 90, 65, 71]


def test_intervals_hold_for_none_and_all() -> None:
    assert Ratio(0, 100).interval == pytest.approx((0, 0.0370), abs=1e-4)
    assert Ratio(10, 10).interval == pytest.approx((0.7225, 1), abs=1e-4)
    assert Ratio(30, 60).interval == pytest.approx((0.3774, 0.6226), abs=1e-4)
    assert Ratio(0, 0).interval == (0, 1)


def test_seeds_are_read_as_they_are_said() -> None:
    assert command.seeds("101-103,7") == [101, 102, 103, 7]


def test_truth_and_judgement_know_nothing_of_the_matcher(root: Path) -> None:
    folder = root / "bench" / "labelled"
    for path in folder.rglob("*.py"):
        allowed = ("bench", "counterfoil", "pipelines") if path.stem in {"run", "seen"} else ("bench.labelled",)
        own = [
            name
            for name in imports(path)
            if name.split(".")[0] in {"assets", "bench", "counterfoil", "parsers", "pipelines"}
        ]
        if path.stem != "command":
            assert [name for name in own if not name.startswith(allowed)] == [], path
        assert [name for name in own if name.startswith(("counterfoil.reconcile", "counterfoil.ledger.answers"))] == []


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_the_page_tells_of_every_kind(root: Path) -> None:
    page = (root / "docs" / "explanation" / "matching-quality.md").read_text("utf-8")
    assert [kind.name for kind in CATALOGUE if f"| `{kind.name}` | {kind.title} |" not in page] == []


def test_tables_say_what_was_counted() -> None:
    judged_ = Score(figures={score.FALSE: Ratio(1, 4)}, tells_causes=False)
    judged_.kinds["exact"] = score.KindScore(planted=4, right=3)
    judged_.kinds["exact"].wrong[score.FALSE_MATCH] = 1
    text = report.markdown(judged_, [7], 4)
    assert f"| {score.FALSE} | 1 | 4 | 25.00% | 4.56% to 69.94% |" in text
    assert text.endswith("| 4 | 3 | false match: 1 |")
