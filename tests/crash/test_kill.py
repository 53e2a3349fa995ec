"""kill -9 of ``counterfoil run`` at instants spread over the whole run: run again, and nothing differs.

The end state compared is the content head and every byte that leaves: batches, journals and reports.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.plugins.homes import MONDAY, Office

KILLS = int(os.environ.get("COUNTERFOIL_KILLS", "6"))
NIGHT = datetime(2026, 11, 17, 6, 5, tzinfo=UTC)
COMMAND = [sys.executable, "-c", "from pipelines.commands.app import main; main()", "run", "--date", str(MONDAY)]

AGAIN = """
import sys
from pipelines.commands.app import app
day, *homes = sys.argv[1:]
for home in homes:
    assert app(["run", "--date", day, "--home", home], standalone_mode=False) == 0, home
"""


def environment(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "COUNTERFOIL_HOME": str(home),
        "COUNTERFOIL_NOW": NIGHT.isoformat(),
        "COUNTERFOIL_RUN_ID": "night",
    }


def start(home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(COMMAND, env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(homes: Sequence[Path]) -> None:
    """The run again in each home, one after another in one process: most of a process would be its imports."""
    command = [sys.executable, "-c", AGAIN, str(MONDAY), *map(str, homes)]
    done = subprocess.run(command, env=environment(homes[0]), capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()


def end_state(home: Path) -> dict[str, bytes]:
    """What a home hands out, and its heads; a hidden part that a kill left is nobody's file."""
    left = {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted((home / "out").rglob("[!.]*"))
        if path.is_file()
    }
    heads = json.loads((home / "book.head.json").read_bytes())
    return {**left, "content head": heads["content_head"].encode(), "chain head": heads["chain_head"].encode()}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a day's files in its inbox, all seen long enough ago to be taken."""
    office = Office(tmp_path_factory.mktemp("crash") / "prepared", now=datetime(2026, 11, 17, 6, tzinfo=UTC))
    office.home.mkdir(parents=True)
    (office.home / "counterfoil.yaml").write_text(f"start_date: {MONDAY}\n")
    office.begin()
    rows = [(str(number), 10 + number) for number in range(400)]
    office.ask(MONDAY, *rows)
    answers = [(ref, points, "0001" if points % 7 == 0 else "0000") for ref, points in rows]
    office.answer(MONDAY, *answers, ("unknown", 5, "0000"))
    office.look()
    return office.home


def killed_at(home: Path, delay_s: float) -> bool:
    """Run, kill after a delay; True when the run was still going."""
    process = start(home)
    time.sleep(delay_s)
    alive = process.poll() is None
    if alive:
        process.send_signal(signal.SIGKILL)
    process.communicate()
    return alive


def test_a_killed_run_that_is_run_again_ends_like_a_clean_one(prepared: Path, tmp_path: Path) -> None:
    clean, *homes = (tmp_path / name for name in ("clean", *(f"killed-{number}" for number in range(KILLS))))
    for home in (clean, *homes):
        shutil.copytree(prepared, home)
    began = time.monotonic()
    process = start(clean)
    _, errors = process.communicate(timeout=120)
    lasted = time.monotonic() - began
    assert process.returncode == 0, errors.decode()
    expected = end_state(clean)
    assert any(name.startswith("out/crm") for name in expected)
    assert any("index.html" in name for name in expected)
    with ThreadPoolExecutor(max_workers=2) as pool:
        hits = list(pool.map(killed_at, homes, (lasted * (number + 0.5) / KILLS for number in range(KILLS))))
        list(pool.map(finish, (homes[::2], homes[1::2])))
    assert sum(hits) >= KILLS * 3 // 4, "most kills must hit a running process"
    for home in homes:
        state = end_state(home)
        differing = sorted(name for name in expected.keys() | state.keys() if expected.get(name) != state.get(name))
        assert not differing, f"{home.name}: {differing}"


def test_a_record_without_its_batch_is_posted_first(new_office: Callable[[str], Office]) -> None:
    """The one instant no clock hits: after the posting record is fsynced, before the ledger commits."""

    def play(office: Office, *, crash: bool) -> tuple[int, str, str]:
        office.begin()
        office.ask(MONDAY, ("1", 100))
        office.look()
        if crash:
            script = (
                "import os, sys\n"
                "from counterfoil.landing.store import LandingStore\n"
                "write = LandingStore.write_record\n"
                "def then_die(self, record):\n"
                "    write(self, record)\n"
                "    if record.n == 3: os.kill(os.getpid(), 9)\n"
                "LandingStore.write_record = then_die\n"
                "from pipelines.commands.app import main\n"
                f"sys.argv = ['counterfoil', 'run', '--date', '{MONDAY}']\n"
                "main()\n"
            )
            (office.home / "counterfoil.yaml").write_text(f"start_date: {MONDAY}\n")
            env = environment(office.home) | {"COUNTERFOIL_NOW": office.now.isoformat(), "COUNTERFOIL_RUN_ID": "test"}
            done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, check=False)
            assert done.returncode == -signal.SIGKILL, done.stderr.decode()
            assert (office.home / "landing/postings/00000003.json").exists()
        office.book_day(MONDAY)
        return office.heads()

    # The chain head also seals when each was posted, which differs here.
    assert play(new_office("crashed"), crash=True)[:2] == play(new_office("clean"), crash=False)[:2]
