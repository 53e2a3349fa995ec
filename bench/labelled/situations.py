"""The catalogue of kinds, and the plan of a seed: so many situations of each, at realistic rates.

Here: which kinds there are, and how many of each are planted. Not here: any one of them (``kinds``), nor anything that
the product says about them: nothing below this module imports the product.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from bench.labelled.kind import ONCE, REST, Kind
from bench.labelled.kinds import activity, amounts, charges, dates, files, lives, nets, parts, references
from bench.labelled.stage import Source, Stage
from bench.labelled.truth import PARTNERS, Partner, Plan, Situation

CATALOGUE: Final[Sequence[Kind]] = tuple(
    kind
    for module in (amounts, charges, dates, parts, nets, references, lives, activity, files)
    for kind in vars(module).values()
    if isinstance(kind, Kind)
)

SIZE: Final = 4_000
"""Requests of one partner, about."""

LEAST: Final = 2
"""Situations of each kind and partner, however rare it is."""


def make_plan(seed: int, *, size: int = SIZE, least: int = LEAST) -> Plan:
    """Everything that one seed plants, always the same."""
    source = Source(seed)
    situations: list[Situation] = []
    for partner in PARTNERS:
        made = [one for kind in _of(partner) if kind.rate >= 0 for one in _planted(source, kind, partner, size, least)]
        (rest,) = (kind for kind in _of(partner) if kind.rate == REST)
        left = max(size - sum(len(one.requests) for one in made), least)
        made += [_plant(source, rest, partner, number) for number in range(left)]
        made += [_plant(source, kind, partner, 0) for kind in _of(partner) if kind.rate == ONCE]
        situations += made
    return Plan(seed, situations, source.merges, _balances(source, situations))


def _of(partner: Partner) -> Iterator[Kind]:
    return (kind for kind in CATALOGUE if partner in kind.partners)


def _planted(source: Source, kind: Kind, partner: Partner, size: int, least: int) -> Iterator[Situation]:
    for number in range(max(least, kind.rate * size // 10_000)):
        yield _plant(source, kind, partner, number)


def _plant(source: Source, kind: Kind, partner: Partner, number: int) -> Situation:
    stage = Stage(source, kind.name, partner, number=number, day=source.random.choice(kind.days))
    kind.plant(stage)
    return stage.done()


def _balances(source: Source, situations: Sequence[Situation]) -> dict[tuple[str, str], int]:
    """Each member holds at first twice what is asked for, the poor ones nothing, and who does something at a partner
    what the situation says."""
    balances: dict[tuple[str, str], int] = {}
    for request in (request for situation in situations for request in situation.requests):
        owner = (request.partner.name, request.member)
        balances[owner] = balances.get(owner, 0) + 2 * max(request.points, 1)
    for situation in situations:
        balances |= {(situation.partner.name, member): points for member, points in situation.holds.items()}
    return {owner: points for owner, points in balances.items() if points and owner[1] not in source.poor}
