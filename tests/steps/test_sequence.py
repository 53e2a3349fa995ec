"""A gap in a numbered feed: the file behind it waits without effect, and posts by itself once the gap is filled."""

from counterfoil.errors import Code
from counterfoil.landing.records import OutcomeState
from tests.plugins.homes import MONDAY, Office

FEEDS = ["northstar_requests"]
LENGTH = 250
LAST_DIGIT = "{ABCDEFGHI"


def overpunched(points: int, width: int) -> str:
    digits = f"{points:0{width}d}"
    return digits[:-1] + LAST_DIGIT[int(digits[-1])]


def sponsor_file(number: int, *miles: int) -> str:
    """Requests of northstar: a header and one detail for each amount."""
    day = f"{MONDAY:%Y%m%d}"
    header = f"TH{'':6}NSTR{number:06d}{day}120000{len(miles):08d}{overpunched(sum(miles), 13)}"
    details = [
        f"TD{'':15}{line:011d}{number * 100 + line:020d}NSTRSPRING26{'':4}{'':9}{overpunched(amount, 9)}{day}"
        for line, amount in enumerate(miles, start=1)
    ]
    return "".join(f"{record:{LENGTH}}\r\n" for record in (header, *details))


def send(office: Office, number: int, *miles: int) -> None:
    name = f"northstar/outgoing/NSTR{number:04d}"
    office.put(name, sponsor_file(number, *miles))
    office.put(f"{name}.done", b"")


def test_the_file_behind_a_gap_waits_and_then_posts_in_order(office: Office) -> None:
    office.begin()
    send(office, 11, 100, 200)
    office.run(MONDAY, feeds=FEEDS)
    send(office, 13, 400)
    held = office.run(MONDAY, feeds=FEEDS)
    ((delivery, outcome),) = held.refused
    assert (delivery.name, outcome.state, outcome.code) == ("NSTR0013", OutcomeState.HELD, Code.SEQUENCE_GAP)
    assert held.exit_status == 1
    send(office, 12, 50)
    filled = office.run(MONDAY, feeds=FEEDS)
    posted = [delivery.name for delivery, outcome in filled.outcomes if outcome.state is OutcomeState.POSTED]
    assert [name for name in posted if name.startswith("NSTR")] == ["NSTR0012", "NSTR0013"]


def test_a_file_that_is_tried_again_in_a_night_is_told_once(office: Office) -> None:
    office.begin()
    send(office, 11, 100, 200)
    send(office, 13, 400)
    night = office.run(MONDAY, feeds=FEEDS)
    told = [(delivery.name, outcome.code) for delivery, outcome in night.outcomes if delivery.name.startswith("NSTR")]
    assert told == [("NSTR0011", None), ("NSTR0013", Code.SEQUENCE_GAP)]


def test_a_number_used_again_with_other_content_is_held(office: Office) -> None:
    office.begin()
    send(office, 11, 100)
    office.run(MONDAY, feeds=FEEDS)
    heads = office.heads()
    send(office, 11, 999)
    night = office.run(MONDAY, feeds=FEEDS)
    assert [delivery.code for delivery in night.standing] == [Code.CORRECTION_HELD]
    assert night.exit_status == 1
    assert office.heads() == heads


def test_without_its_marker_a_file_is_not_taken(office: Office) -> None:
    office.put("northstar/outgoing/NSTR0011", sponsor_file(11, 100))
    night = office.run(MONDAY, feeds=FEEDS)
    assert [file.name for file in night.waiting] == ["NSTR0011"]
    assert not night.delivered
