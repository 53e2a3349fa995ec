"""Kinds about money: charges at the right price and at others, before our rates tell of a price, and given back.

Here: answers whose points are right, or whose money is looked at in spite of them. Not here: points (``amounts``).
"""

from datetime import date

from bench.labelled import days, prices
from bench.labelled.kind import LENIENT, STRICT, kind
from bench.labelled.kinds.amounts import DECEMBER, RULE_ROWS, TOLERANT_DAYS, tolerance
from bench.labelled.kinds.files import BEFORE_CORRECTED
from bench.labelled.kinds.lives import asked_later
from bench.labelled.stage import AGAIN, CONFLICT, POINTS, Stage
from bench.labelled.truth import NETTED, SPLIT, Answer, Request

NOVEMBER = days.among((11, 19), (11, 20), (11, 23), (11, 24))
BEFORE_WEEKEND = days.among((11, 27))
FIRST_DAY = (days.FIRST,)
IN_DECEMBER = date(2026, 12, 3)

CURRENCY = 10_837
"""What ten thousand of ours are in the money of somewhere else."""


def agreed(s: Stage, day: date) -> int:
    """The price of a day that has one."""
    return prices.price(s.partner.name, day) or 0


def right(s: Stage, points: int, day: date) -> int:
    """What so many points are worth, on a day that has a price."""
    return prices.valued(points, agreed(s, day))


def too_much(s: Stage) -> int:
    """Cents beyond any tolerance, and more than another price or a fee would come to."""
    return s.random.randint(1_000, 9_000)


def beyond(s: Stage, points: int, day: date) -> int:
    """One cent more than a charge may be off."""
    if not s.lenient:
        return 1
    return max(prices.MONEY_TOLERANCE, right(s, points, day) * prices.MONEY_BASIS_POINTS // 10_000) + 1


def overcharged(s: Stage, request: Request, *, on: date | None = None) -> Answer:
    """The request's answer, with too much charged for it."""
    return s.answer(request, over=too_much(s), on=on)


@kind(partners=LENIENT, rate=15)
def charge_within(s: Stage) -> None:
    """Charged more or less than the points are worth, within the tolerance or at its edge."""
    request = s.ask()
    most = beyond(s, request.points, request.dated) - 1
    s.confirms(request, s.answer(request, over=s.random.choice([-most, -1, 1, most])))


@kind(rate=15)
def charge_just_beyond(s: Stage) -> None:
    """Charged one cent more, or less, than is tolerated."""
    request = s.ask()
    answer = s.answer(request, over=s.random.choice([-1, 1]) * beyond(s, request.points, request.dated))
    s.confirms(request, answer)
    s.overcharges(answer)


@kind(rate=15)
def charge_blank(s: Stage) -> None:
    """Accepted, and no charge is stated."""
    request = s.ask()
    s.confirms(request, s.answer(request, charged=False))


@kind(rate=5)
def charge_of_nothing(s: Stage) -> None:
    """Accepted, and charged nothing for it."""
    request = s.ask()
    answer = s.answer(request, charge=0)
    s.confirms(request, answer)
    s.overcharges(answer)


@kind(rate=3, on=DECEMBER)
def old_price(s: Stage) -> None:
    """Several answers charged at the price that was in force until the day before, or longer."""
    before, now = agreed(s, prices.AFTER_WEEKEND), agreed(s, s.day)
    told = f"priced at 0.{before} EUR per {prices.PER} points at {s.partner.name} instead of 0.{now}"
    for _ in range(RULE_ROWS):
        request = s.ask()
        answer = s.answer(request, charge=prices.valued(request.points, before))
        s.confirms(request, answer)
        s.overcharges(answer, "price_changed", change=told)


@kind(rate=10, on=days.among((11, 30)))
def old_price_for_old_day(s: Stage) -> None:
    """Answered when the new price is in force, and charged at that of the day it was processed."""
    request = s.ask()
    s.confirms(request, s.answer(request, on=s.after(1)))


@kind(rate=3)
def other_currency(s: Stage) -> None:
    """Several answers charged in the money of another country."""
    for _ in range(RULE_ROWS):
        request = s.ask(s.points(1_000, 5_000))
        answer = s.answer(
            request, charge=prices.valued(request.points, agreed(s, s.day) * CURRENCY, prices.PER * 10_000)
        )
        s.confirms(request, answer)
        s.overcharges(answer, "price_changed")


@kind(rate=3)
def fee_charged(s: Stage) -> None:
    """Several answers of a day charged the same fee beside the price."""
    fee = s.random.randint(300, 900)
    for _ in range(RULE_ROWS):
        request = s.ask()
        answer = s.answer(request, over=fee)
        s.confirms(request, answer)
        s.overcharges(answer, "money_off", change=f"plus {fee // 100}.{fee % 100:02d} EUR")


@kind(partners=LENIENT, rate=5, on=TOLERANT_DAYS)
def charged_for_what_was_asked(s: Stage) -> None:
    """Short within the tolerance of points, and charged for all that was asked for."""
    request = s.ask(s.points(1_500, 4_000))
    off = tolerance(request)
    answer = s.answer(request, points=request.points - off, charge=right(s, request.points, s.day))
    s.source.tolerated[s.day.month] += off
    s.confirms(request, answer)
    s.overcharges(answer)


@kind(rate=5)
def charged_and_points_off(s: Stage) -> None:
    """Points beyond any tolerance, and too much charged for them: the points are asked about, the money not yet."""
    request = s.ask()
    answer = s.answer(request, points=request.points + tolerance(request) + 1, over=too_much(s))
    s.breaks(POINTS, answer, request, causes=("points_off",))


@kind(rate=5)
def charged_though_rejected(s: Stage) -> None:
    """Rejected, with a charge that nobody asks for."""
    request = s.ask()
    s.rejects(request, s.answer(request, outcome="rejected", charge=right(s, request.points, s.day) + too_much(s)))


@kind(rate=5)
def charges_disagree(s: Stage) -> None:
    """Accepted twice in one file, at two prices."""
    request = s.ask()
    first, second = s.answer(request), s.answer(request, over=too_much(s))
    s.breaks(CONFLICT, first, request, others=[second], causes=("conflict",))


@kind(rate=5, on=days.anchors(2))
def answered_again_at_other_price(s: Stage) -> None:
    """The same answer again on the next day, at another price."""
    request = s.ask()
    s.confirms(request, s.answer(request))
    s.breaks(AGAIN, s.answer(request, over=too_much(s), on=s.after(1)), causes=("answered_again",))


@kind(rate=5, on=days.anchors(2))
def overcharged_before_request(s: Stage) -> None:
    """Answered on the day before the request comes, and charged too much."""
    request = asked_later(s)
    answer = overcharged(s, request, on=s.day)
    s.unknown(answer, open_=False)
    s.confirms(request, answer)
    s.overcharges(answer)


# Parts and sums


@kind(partners=LENIENT, rate=5)
def part_overcharged(s: Stage) -> None:
    """Answered in two parts on one day, for one of which too much is charged."""
    amounts = s.parts(2)
    request = s.ask(sum(amounts))
    first, second = s.answer(request, points=amounts[0]), s.answer(request, points=amounts[1], over=too_much(s))
    s.confirms(request, first, second, by=(SPLIT,))
    s.overcharges(second)


@kind(partners=LENIENT, rate=5, on=days.anchors(2))
def waiting_part_overcharged(s: Stage) -> None:
    """Answered in two parts on two days, for the first of which too much is charged."""
    amounts = s.parts(2)
    request = s.ask(sum(amounts))
    first = s.answer(request, points=amounts[0], over=too_much(s))
    second = s.answer(request, points=amounts[1], on=s.after(1))
    s.breaks(POINTS, first, request, open_=False)
    s.confirms(request, first, second, by=(SPLIT,))
    s.overcharges(first)


@kind(partners=LENIENT, rate=5)
def net_overcharged(s: Stage) -> None:
    """Two requests answered as one, and too much charged for them."""
    member = s.member()
    requests = [s.ask(points, member=member) for points in s.parts(2)]
    answer = s.net(requests, over=too_much(s))
    for request in requests:
        s.confirms(request, answer, by=(NETTED,), points=request.points)
    s.overcharges(answer)


# Our own rates


@kind(rate=10, on=BEFORE_WEEKEND)
def rate_comes_late(s: Stage) -> None:
    """Charged at the price of the weekend, of which our rates tell two days later, and settle it."""
    request = s.ask()
    answer = s.answer(request, on=s.after(1), dated=prices.WEEKEND)
    s.confirms(request, answer)
    s.overcharges(answer, open_=False)


@kind(rate=5, on=BEFORE_WEEKEND)
def rate_comes_late_and_off(s: Stage) -> None:
    """The same, and too much is charged even so."""
    request = s.ask()
    answer = s.answer(request, on=s.after(1), dated=prices.WEEKEND, over=too_much(s))
    s.confirms(request, answer)
    s.overcharges(answer)


@kind(rate=5, on=BEFORE_WEEKEND)
def rate_comes_late_for_less(s: Stage) -> None:
    """Charged on the weekend as on other days, before our rates tell of its price: that opens nothing any more."""
    request = s.ask()
    charge = right(s, request.points, s.day)
    s.confirms(request, s.answer(request, on=s.after(1), dated=prices.WEEKEND, charge=charge))


def charged_before_any_rate(s: Stage) -> Answer:
    """Dated the day before the first price that our rates tell of in time."""
    request = s.ask()
    answer = s.answer(request, dated=prices.BEFORE, charge=right(s, request.points, s.day))
    s.confirms(request, answer)
    return answer


@kind(partners=LENIENT, rate=5, on=FIRST_DAY)
def rate_never_comes(s: Stage) -> None:
    """Charged for a day for which we have no rate."""
    s.overcharges(charged_before_any_rate(s), "rate_missing", change=f"in force from {prices.BEFORE}")


@kind(partners=STRICT, rate=5, on=FIRST_DAY)
def first_rate_comes_late(s: Stage) -> None:
    """Charged for a day for which our rate lands two weeks later, and settles it."""
    s.overcharges(charged_before_any_rate(s), open_=False)


# Given back


@kind(rate=5, on=NOVEMBER)
def refunded_at_price_of_then(s: Stage) -> None:
    """Accepted in one month and taken back in the next, at the price of the acceptance."""
    request = s.ask()
    accepted = s.answer(request)
    reversal = s.answer(request, outcome="reversed", on=IN_DECEMBER, dated=IN_DECEMBER, charge=accepted.charge)
    s.reverses(request, accepted, reversal, points=request.points, reversed_=request.points)


@kind(rate=5, on=NOVEMBER)
def refunded_at_new_price(s: Stage) -> None:
    """Accepted in one month and taken back in the next, at the price of that."""
    request = s.ask()
    accepted = s.answer(request)
    reversal = s.answer(request, outcome="reversed", on=IN_DECEMBER, dated=IN_DECEMBER)
    s.reverses(request, accepted, reversal, points=request.points, reversed_=request.points)
    s.overcharges(reversal)


def refunded(s: Stage, points: int, accepted: Answer, request: Request, charge: int | None) -> Answer:
    """So many points of a request that too much was charged for are taken back on the next day."""
    charged = charge is not None
    reversal = s.answer(request, outcome="reversed", points=points, on=s.after(1), charge=charge, charged=charged)
    s.reverses(request, accepted, reversal, points=request.points, reversed_=points)
    return reversal


@kind(rate=5, on=days.anchors(2))
def overcharged_and_refunded(s: Stage) -> None:
    """Charged too much, and all of it given back."""
    request = s.ask()
    accepted = overcharged(s, request)
    s.overcharges(accepted, open_=False)
    refunded(s, request.points, accepted, request, accepted.charge)


@kind(rate=5, on=days.anchors(2))
def overcharged_and_refunded_less(s: Stage) -> None:
    """Charged too much, and only what the points are worth given back."""
    request = s.ask()
    accepted = overcharged(s, request)
    s.overcharges(accepted, open_=False)
    s.overcharges(refunded(s, request.points, accepted, request, right(s, request.points, s.day)))


@kind(rate=5, on=days.anchors(2))
def overcharged_and_refunded_in_part(s: Stage) -> None:
    """Charged too much, and for half of the points as much given back as was charged for them."""
    request = s.ask(2 * s.points(100, 2_000))
    accepted = overcharged(s, request)
    s.overcharges(accepted)
    half = prices.valued(request.points // 2, accepted.charge or 0, request.points)
    refunded(s, request.points // 2, accepted, request, half)


@kind(rate=5, on=days.anchors(2))
def overcharged_and_taken_back(s: Stage) -> None:
    """Charged too much, and taken back without a word on money."""
    request = s.ask()
    accepted = overcharged(s, request)
    s.overcharges(accepted)
    refunded(s, request.points, accepted, request, None)


@kind(partners=LENIENT, rate=5, on=BEFORE_CORRECTED)
def corrected_charge(s: Stage) -> None:
    """Charged too much in a file that a corrected one puts right."""
    request = s.ask()
    wrong = overcharged(s, request, on=days.CORRECTED)
    s.overcharges(wrong, open_=False)
    s.confirms(request, s.answer(request, on=days.CORRECTED, version=2))
