"""Two runs at once, readers beside a run, a lock whose holder dies: every effect once, nobody sees half of one."""

import json
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from counterfoil.errors import Code
from tests.crash.asking import FIGURES, Answer, Evening, Zygotes
from tests.crash.evening import SCENES

RACES = 2
"""Races in each scene."""

SOON_S = 0.2
"""From asking both to their start."""


def both(zygotes: Zygotes, home: str, scene: str, *runs: tuple[str, ...]) -> list[Answer]:
    """Two processes that begin at about one instant; the second up to 50 ms later."""
    begin = time.monotonic() + SOON_S
    late = [0.0, zygotes.chance.random() * 0.05]

    def run(number: int) -> Answer:
        return zygotes.ask("race", home=home, scene=scene, steps=runs[number], at=begin + late[number])

    return zygotes.spread([0, 1], run)


def refused(answers: list[Answer]) -> list[Any]:
    """What was said that is neither success nor a reason to try again."""
    return [answer for answer in answers if "result" not in answer and answer.get("error", {}).get("permanent", True)]


@pytest.mark.parametrize("scene", ["rates", "answers", "correction", "close", "out"])
def test_two_runs_of_one_partition(zygotes: Zygotes, evening: Evening, tmp_path: Path, scene: str) -> None:
    for number in range(RACES):
        home = str(tmp_path / f"home-{number}")
        zygotes.result("copy", source=evening.begins(scene), home=home)
        answers = both(zygotes, home, scene, SCENES[scene], SCENES[scene])
        assert refused(answers) == []
        assert any("result" in answer for answer in answers)
        (left,) = zygotes.result("recover", homes=[(home, scene, ())])
        FIGURES["races of two runs over one partition"] += 1
        assert evening.differs(scene, left["state"]) == []


def test_two_runs_of_different_partitions(zygotes: Zygotes, evening: Evening, tmp_path: Path) -> None:
    begins, scene = str(tmp_path / "begins"), "answers"
    steps = ["skybridge_handback", "skybridge_requests"]
    zygotes.result("land_next_day", source=evening.begins(scene), home=begins, scene=scene)

    def in_order(order: list[str]) -> Any:
        return zygotes.result("in_order", source=begins, home=str(tmp_path / order[0]), scene=scene, steps=order)

    one, other = zygotes.spread([steps, steps[::-1]], in_order)
    assert one["state"] != other["state"]
    for number in range(2 * RACES):
        home = str(tmp_path / f"home-{number}")
        zygotes.result("copy", source=begins, home=home)
        answers = both(zygotes, home, scene, (steps[0],), (steps[1],))
        assert [answer for answer in answers if "result" not in answer] == []
        (left,) = zygotes.result("recover", homes=[(home, scene, steps)])
        FIGURES["races of two runs over different partitions"] += 1
        assert left["state"] in (one["state"], other["state"])


def test_readers_see_whole_postings_only(zygotes: Zygotes, evening: Evening, tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    zygotes.result("copy", source=evening.begins("opening"), home=home)
    steps = ["opening", "skybridge_requests", "skybridge_handback"]
    acts = [("read", {"through": 4}), ("race", {"scene": "answers", "steps": steps, "at": time.monotonic() + SOON_S})]
    read, posted = zygotes.spread(acts, lambda act: zygotes.ask(act[0], home=home, **act[1]))
    assert posted.get("result", posted) is None
    assert "result" in read, read
    assert {4} < set(read["result"]) <= {1, 2, 3, 4}, "from before the last posting until after it"
    FIGURES["readings beside postings"] += len(read["result"])


@pytest.fixture
def held(zygotes: Zygotes, evening: Evening, tmp_path: Path) -> Any:
    """A home whose book's lock somebody holds for some seconds, until he is killed; and how he ends."""
    home, source = tmp_path / "home", evening.begins("answers")
    # The home is a copy, with the lock of whoever wrote the original.
    before = {"", (Path(source) / "book.lock").read_text()}
    with ThreadPoolExecutor(max_workers=1) as pool:
        holder = pool.submit(zygotes.ask, "hold", 4.0, source=source, home=str(home))
        while not (home / "book.lock").exists() or (home / "book.lock").read_text() in before:
            assert not holder.done(), holder.result()
            time.sleep(0.01)
        yield home, holder


def test_a_waiter_past_its_deadline_names_the_holder(zygotes: Zygotes, held: tuple[Path, Future[Answer]]) -> None:
    home, holder = held
    told = json.loads((home / "book.lock").read_text())
    answer = zygotes.ask("take", home=str(home), wait_s=0.2)
    assert answer["error"]["code"] == Code.BOOK_BUSY
    assert not answer["error"]["permanent"]
    assert str(told["pid"]) in answer["error"]["text"]
    assert "post skybridge_handback" in answer["error"]["text"]
    assert holder.result()["signal"] == signal.SIGKILL


def test_the_lock_of_a_killed_holder_is_free_at_once(zygotes: Zygotes, held: tuple[Path, Future[Answer]]) -> None:
    home, holder = held
    assert zygotes.ask("take", home=str(home), wait_s=60).get("result", "not taken") is None
    assert holder.result()["signal"] == signal.SIGKILL
