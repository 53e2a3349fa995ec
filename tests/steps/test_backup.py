"""A lost disk, rehearsed: real nights, backed up, gone, restored and gone on with, as if nothing had happened."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from counterfoil.errors import Code, CounterfoilError
from counterfoil.files import sha256_file
from counterfoil.landing.store import LandingStore
from counterfoil.ledger.store import Book
from counterfoil.settings import Home
from counterfoil.steps.backup import Manifest, backup, manifests
from counterfoil.steps.desk import silent
from counterfoil.steps.post import settle
from counterfoil.steps.restore import Restored, require_whole, restore
from tests.plugins.homes import MONDAY, Office

GoesOn = Callable[[Home], None]
TUESDAY, WEDNESDAY = (MONDAY + timedelta(days=days) for days in (1, 2))
CANARY = "a password that no backup holds"


def night(office: Office, day: date) -> None:
    """A day's files and its night."""
    refs = [f"{day:%d}{number}" for number in range(4)]
    if day == MONDAY:
        office.begin()
        (office.home / "counterfoil.yaml").write_text(f"start_date: {MONDAY}\n")
        (office.home / "secrets").mkdir(mode=0o700)
        (office.home / "secrets" / "northstar.password").write_text(CANARY)
    office.ask(day, *((ref, 100) for ref in refs))
    office.answer(day, *((ref, 100, "0000") for ref in refs[:3]), ("unknown", 5, "0000"))
    office.run(day)


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home after Monday's night and after Tuesday's, to be copied."""
    folder = tmp_path_factory.mktemp("nights")
    office = Office(folder / "home")
    for day in (MONDAY, TUESDAY):
        night(office, day)
        shutil.copytree(office.home, folder / f"{day:%A}")
    return folder


@pytest.fixture
def home(nights: Path, tmp_path: Path) -> Home:
    """A home after Monday's night."""
    return Home(shutil.copytree(nights / "Monday", tmp_path / "home"))


@pytest.fixture
def goes_on(nights: Path) -> Callable[[Home], None]:
    """Tuesday comes to a home."""

    def go_on(home: Home) -> None:
        shutil.rmtree(home.root)
        shutil.copytree(nights / "Tuesday", home.root)

    return go_on


@pytest.fixture
def to(tmp_path: Path) -> Path:
    """Where the backups go."""
    return tmp_path / "backups"


@pytest.fixture
def again(tmp_path: Path) -> Home:
    """Where a home is made again."""
    return Home(tmp_path / "again")


@pytest.fixture
def lost(home: Home, to: Path) -> Manifest:
    """The backup after Monday's night of a home that is gone."""
    manifest = saved(home, to)
    shutil.rmtree(home.root)
    return manifest


def book_of(home: Home) -> Book:
    return Book(home.book, home.book_lock, home.book_head)


def saved(home: Home, to: Path) -> Manifest:
    return backup(book_of(home), home, to, at=datetime(2026, 11, 18, 7, tzinfo=UTC), progress=silent)


def restored(source: Path, home: Home, number: int | None = None) -> Restored:
    return restore(source, home, number=number, progress=silent)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def landed(home: Home) -> dict[str, bytes]:
    return {path: data for path, data in content(home.landing).items() if not path.startswith("incoming/")}


def test_a_disk_is_lost_and_the_next_night_is_that_of_an_untouched_twin(
    home: Home, goes_on: GoesOn, to: Path, nights: Path, tmp_path: Path
) -> None:
    first = saved(home, to)
    goes_on(home)
    second = saved(home, to)
    assert (first.number, second.number) == (1, 2)
    assert second.heads == book_of(home).published()
    before = landed(home)
    shutil.move(home.inbox, tmp_path / "partner")
    shutil.rmtree(home.root)

    assert restored(to, home) == Restored(second, own_settings=False)
    assert landed(home) == before
    assert home.settings_file.read_text() == f"start_date: {MONDAY}\n"
    assert not any(home.root.glob("restoring*"))
    # The partner's server still shows the files of before: they are known, and not taken twice.
    shutil.move(tmp_path / "partner", home.inbox)
    office, twin = (Office(place, datetime(2026, 11, 18, 7, tzinfo=UTC)) for place in (home.root, tmp_path / "twin"))
    shutil.copytree(nights / "Tuesday", twin.home)
    for one in (office, twin):
        night(one, WEDNESDAY)
    assert office.heads() == twin.heads()
    assert office.heads()[0] > second.n > first.n
    outputs, expected = content(home.out), content(twin.home / "out")
    gone = expected.keys() - outputs.keys()
    assert outputs == {path: data for path, data in expected.items() if path not in gone}
    assert f"reports/{WEDNESDAY}/v1/index.html" in outputs
    assert {path.split("/")[0] for path in gone} == {"gl", "reports"}, "journals and reports of before are not kept"
    assert not any(str(WEDNESDAY) in path for path in gone)
    assert saved(home, to).number == 3


def test_a_second_backup_copies_only_what_is_new(home: Home, goes_on: GoesOn, to: Path) -> None:
    first = saved(home, to)
    before = {path: (to / path).stat().st_ino for path in content(to) if path.startswith(("landing/", "out/"))}
    again = saved(home, to)
    assert (again.new_files, again.heads) == (2, first.heads), "the book and the settings alone"
    goes_on(home)
    third = saved(home, to)
    assert {path: (to / path).stat().st_ino for path in before} == before
    assert third.files == first.files + third.new_files - 2
    assert third.new_bytes < third.bytes
    assert manifests(to) == [2, 3]
    assert sorted(path.name for path in to.iterdir() if path.is_file()) == [
        "backup-00000002.json", "backup-00000003.json", "backup.lock", "book-00000002.duckdb", "book-00000003.duckdb",
        "counterfoil-00000002.yaml", "counterfoil-00000003.yaml", "files-00000002.sha256", "files-00000003.sha256",
    ]  # fmt: skip


def test_the_list_of_a_backup_is_one_that_sha256sum_reads(home: Home, to: Path) -> None:
    made = saved(home, to)
    checked = subprocess.run(["sha256sum", "--quiet", "-c", "files-00000001.sha256"], cwd=to, capture_output=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    listed = [line.split("  ")[1] for line in (to / "files-00000001.sha256").read_text().splitlines()]
    assert (made.files, made.bytes) == (len(listed), sum((to / path).stat().st_size for path in listed))
    assert {f"landing/{path}" for path in landed(home)} <= set(listed)


def test_no_secret_leaves_the_home(home: Home, to: Path) -> None:
    saved(home, to)
    assert all(CANARY.encode() not in data for data in content(to).values())


def test_progress_is_told_in_bytes(home: Home, to: Path) -> None:
    told: list[tuple[str, int, int]] = []
    at = datetime(2026, 11, 18, tzinfo=UTC)
    made = backup(book_of(home), home, to, at=at, progress=lambda *said: told.append(said))
    book = [said for said in told if said[0] == "copying the book"]
    files = [said for said in told if said[0] != "copying the book"]
    assert book[-1][1:] == (home.book.stat().st_size, home.book.stat().st_size)
    assert files[-1][1] == files[-1][2] < made.bytes


def test_a_backup_waits_for_the_writer(home: Home, to: Path) -> None:
    began, go_on = threading.Event(), threading.Event()

    def write() -> None:
        with book_of(home).writing(purpose="a long posting"):
            began.set()
            go_on.wait(30)

    writer = threading.Thread(target=write)
    writer.start()
    assert began.wait(30)
    made: list[Manifest] = []
    saver = threading.Thread(target=lambda: made.append(saved(home, to)))
    saver.start()
    saver.join(0.5)
    assert not made
    go_on.set()
    for thread in (writer, saver):
        thread.join(30)
    assert made[0].heads == book_of(home).published()


def test_a_posting_that_crashed_before_its_commit_is_made_after_the_restore(
    home: Home, goes_on: GoesOn, to: Path, nights: Path
) -> None:
    """The landing store may be ahead of the book, in a backup as at home."""
    goes_on(home)
    for name in ("book.duckdb", "book.head.json"):
        shutil.copy2(nights / "Monday" / name, home.root / name)
    assert saved(home, to).heads == book_of(Home(nights / "Monday")).published()
    shutil.rmtree(home.root)
    restored(to, home)
    office = Office(home.root, datetime(2026, 11, 18, 7, tzinfo=UTC))
    with office.desk() as desk:
        settle(desk, [], TUESDAY, {})
    assert book_of(home).published() == book_of(Home(nights / "Tuesday")).published()


# What is refused


def refused(action: Callable[[], object]) -> CounterfoilError:
    with pytest.raises(CounterfoilError) as told:
        action()
    return told.value


def test_a_folder_that_is_no_place_for_a_backup_is_refused(home: Home, tmp_path: Path) -> None:
    somebody = tmp_path / "somebody"
    somebody.mkdir()
    (somebody / "letter.txt").touch()
    for place in (home.root, home.root / "backups", somebody, somebody / "letter.txt", somebody / "letter.txt" / "to"):
        error = refused(partial(saved, home, place))
        assert (error.code, error.exit_status) == (Code.FOLDER_TAKEN, 2)
    assert [path.name for path in somebody.iterdir()] == ["letter.txt"]
    assert not (home.root / "backups").exists()


def test_backups_of_another_history_are_not_mixed_with(home: Home, to: Path, nights: Path) -> None:
    saved(Home(nights / "Tuesday"), to)
    before = content(to)
    assert refused(partial(saved, home, to)).code is Code.FOLDER_TAKEN
    after = content(to)
    assert {path: after[path] for path in before} == before


def test_a_home_without_a_book_is_refused(tmp_path: Path, to: Path) -> None:
    error = refused(partial(saved, Home(tmp_path / "nowhere"), to))
    assert (error.code, error.exit_status) == (Code.NOTHING_FOUND, 2)


@pytest.mark.parametrize(
    ("kind", "kept", "damage", "code"),
    [
        ("payloads", True, "cut", Code.PAYLOAD_DAMAGED),
        ("payloads", False, "changed", Code.PAYLOAD_DAMAGED),
        ("payloads", True, "gone", Code.PAYLOAD_DAMAGED),
        ("payloads", False, "gone", Code.PAYLOAD_DAMAGED),
        ("outcomes", True, "gone", Code.SIDECAR_DAMAGED),
        ("postings", False, "gone", Code.SIDECAR_DAMAGED),
    ],
)
def test_a_damaged_home_is_told_of_and_the_backup_before_stays(
    home: Home, goes_on: GoesOn, to: Path, again: Home, kind: str, kept: bool, damage: str, code: Code
) -> None:
    first = saved(home, to)
    goes_on(home)
    among = [path for path in (home.landing / kind).rglob("*") if path.is_file()]
    path = min(path for path in among if (to / path.relative_to(home.root)).exists() is kept)
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(data[:-1] + (b"?" if damage == "changed" else b""))
    error = refused(partial(saved, home, to))
    assert (error.code, error.where, error.exit_status) == (code, str(path), 1)
    assert restored(to, again).manifest == first


def test_a_first_backup_misses_what_a_delivery_or_a_posting_names(home: Home, to: Path) -> None:
    landing = LandingStore(home.landing)
    delivery, record = next(landing.deliveries()), landing.read_record(1)
    for sha in (delivery.payload_sha, *(record.hashes[name] for name in ("layout", "rules", "chart"))):
        path = landing.path(sha)
        data = path.read_bytes()
        path.unlink()
        error = refused(partial(saved, home, to))
        assert (error.code, error.where) == (Code.PAYLOAD_DAMAGED, str(path))
        path.write_bytes(data)
    assert saved(home, to).number == 1


def test_what_was_cleared_away_from_the_outputs_stays_in_the_backup(home: Home, to: Path, again: Home) -> None:
    first = saved(home, to)
    batches = content(home.out_crm)
    assert batches
    shutil.rmtree(home.out)
    second = saved(home, to)
    assert (second.files, second.bytes) == (first.files, first.bytes)
    restored(to, again)
    assert content(again.out_crm) == batches


def test_a_copy_that_was_cut_short_in_the_backup_is_copied_again(home: Home, to: Path, again: Home) -> None:
    saved(home, to)
    record = to / "landing" / "postings" / "00000001.json"
    record.write_bytes(record.read_bytes()[:-5])
    assert refused(partial(restored, to, again)).code is Code.BACKUP_DAMAGED
    saved(home, to)
    restored(to, again)


# Restoring


def flip(path: Path) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a byte of a payload": lambda to: flip(
        max((to / "landing" / "payloads").rglob("*"), key=lambda path: path.is_file())
    ),
    "a missing record": lambda to: (to / "landing" / "postings" / "00000003.json").unlink(),
    "a byte of a batch": lambda to: flip(next((to / "out").rglob("manifest.json"))),
    "a truncated book": lambda to: (to / "book-00000001.duckdb").write_bytes(
        (to / "book-00000001.duckdb").read_bytes()[:-4096]
    ),
    "a missing book": lambda to: (to / "book-00000001.duckdb").unlink(),
    "a byte of the settings": lambda to: flip(to / "counterfoil-00000001.yaml"),
    "a byte of the list": lambda to: flip(to / "files-00000001.sha256"),
    "a missing list": lambda to: (to / "files-00000001.sha256").unlink(),
    "a byte of the manifest": lambda to: (to / "backup-00000001.json").write_text("{"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.usefixtures("lost")
def test_a_damaged_backup_is_told_of_before_anything_is_placed(to: Path, again: Home, damage: str) -> None:
    DAMAGE[damage](to)
    error = refused(partial(restored, to, again))
    assert (error.code, error.exit_status) == (Code.BACKUP_DAMAGED, 1)
    assert {path.name for path in again.root.glob("*")} <= {"book.lock"}


def reseal(to: Path, change: Callable[[list[str]], list[str]], **facts: object) -> None:
    """Change the list of a backup, and the manifest to match: what a fault of the program could write."""
    listing, manifest = to / "files-00000001.sha256", to / "backup-00000001.json"
    listing.write_text("".join(f"{line}\n" for line in change(listing.read_text().splitlines())))
    known = json.loads(manifest.read_bytes())
    manifest.write_text(json.dumps(known | {"inventory_sha": sha256_file(listing)} | facts))


@pytest.mark.parametrize("fault", ["no record", "no book", "a path that leads out", "other heads"])
@pytest.mark.usefixtures("lost")
def test_a_backup_that_does_not_hold_together_is_not_restored(to: Path, again: Home, fault: str) -> None:
    if fault == "other heads":
        reseal(to, lambda lines: lines, chain_head="0" * 64)
    elif fault == "a path that leads out":
        reseal(to, lambda lines: [*lines, f"{'0' * 64}  landing/../../out"])
    else:
        gone = {"no record": "landing/postings/00000002.json", "no book": "book-00000001.duckdb"}[fault]
        reseal(to, lambda lines: [line for line in lines if not line.endswith(gone)])
    assert refused(partial(restored, to, again)).code is Code.BACKUP_DAMAGED
    assert {path.name for path in again.root.glob("*")} <= {"book.lock"}


def test_the_backup_before_can_be_restored(home: Home, goes_on: GoesOn, to: Path, again: Home) -> None:
    first = saved(home, to)
    goes_on(home)
    saved(home, to)
    flip(to / "book-00000002.duckdb")
    assert refused(partial(restored, to, again)).code is Code.BACKUP_DAMAGED
    assert restored(to, again, 1).manifest == first
    assert book_of(again).inspect()[0] == first.heads
    assert not (again.landing / "postings" / f"{first.n + 1:08d}.json").exists()


def test_a_home_in_use_is_not_restored_into(home: Home, to: Path, tmp_path: Path) -> None:
    saved(home, to)
    home.book_lock.unlink()
    before = content(home.root)
    error = refused(partial(restored, to, home))
    assert (error.code, error.exit_status) == (Code.FOLDER_TAKEN, 2)
    home.book_lock.unlink()
    assert content(home.root) == before
    for name in ("landing/deliveries/00000001.json", "arrival.db", "out/crm/x", "book.head.json", "book.duckdb"):
        used = tmp_path / name.replace("/", "-")
        (used / name).parent.mkdir(parents=True, exist_ok=True)
        (used / name).write_text("somebody's")
        assert refused(partial(restored, to, Home(used))).code is Code.FOLDER_TAKEN


def test_what_happened_before_the_rest_was_lost_keeps_a_restore_away(home: Home, to: Path) -> None:
    saved(home, to)
    for kept in (home.book, home.book_head, home.arrival_db, home.landing):
        part = home.root.with_name(f"with-{kept.name}")
        part.mkdir()
        (shutil.copytree if kept.is_dir() else shutil.copy2)(kept, part / kept.name)
        error = refused(partial(restored, to, Home(part)))
        assert (error.code, error.found) == (Code.FOLDER_TAKEN, f"{kept.name} in it")


def test_a_home_that_was_merely_looked_at_is_restored_into(home: Home, to: Path, again: Home) -> None:
    manifest = saved(home, to)
    again.root.mkdir()
    looker = Office(again.root)
    looker.look()
    assert looker.sql("SELECT * FROM book.posting").is_empty()
    for folder in (again.landing / "incoming", again.out_crm):
        folder.mkdir(parents=True)
    assert again.book.exists()
    assert again.arrival_db.exists()
    assert restored(to, again).manifest == manifest
    assert looker.heads() == (manifest.n, manifest.content_head, manifest.chain_head)
    with looker.desk() as desk:
        assert [one.order for one in desk.index.deliveries()] == [one.order for one in desk.landing.deliveries()] != []


@pytest.mark.usefixtures("lost")
def test_settings_and_secrets_that_are_there_stay(to: Path, again: Home) -> None:
    again.secrets.mkdir(parents=True)
    (again.secrets / "x.key").write_text("kept")
    again.landing.mkdir()
    again.settings_file.write_text("programme: moved\n")
    assert restored(to, again).own_settings
    assert again.settings_file.read_text() == "programme: moved\n"
    assert (again.secrets / "x.key").read_text() == "kept"


def test_a_half_restored_home_is_finished_from_the_same_backup_only(
    home: Home, goes_on: GoesOn, to: Path, again: Home
) -> None:
    first = saved(home, to)
    goes_on(home)
    second = saved(home, to)
    restored(to, again, 1)
    (again.root / "restoring").mkdir()
    again.book.replace(again.root / "restoring" / "book.duckdb")
    (again.root / "restoring.json").write_bytes((to / "backup-00000001.json").read_bytes())
    assert refused(partial(restored, to, again)).code is Code.FOLDER_TAKEN
    assert refused(partial(require_whole, again)).code is Code.FOLDER_TAKEN, "nothing else runs there meanwhile"
    assert restored(to, again, 1).manifest == first != second
    require_whole(again)
    assert book_of(again).inspect()[0] == first.heads
    assert not any(again.root.glob("restoring*"))


@pytest.mark.usefixtures("lost")
@pytest.mark.parametrize("wanted", [None, 2])
def test_what_is_no_backup_is_not_found(to: Path, again: Home, tmp_path: Path, wanted: int | None) -> None:
    error = refused(partial(restored, to if wanted else tmp_path / "nowhere", again, wanted))
    assert (error.code, error.exit_status) == (Code.NOTHING_FOUND, 2)
    assert not again.root.exists()


# Kills

KILLER = """
import json, os, shutil, signal, sys, traceback
from datetime import UTC, datetime
from pathlib import Path
from counterfoil.ledger.store import Book
from counterfoil.settings import Home
from counterfoil.steps.backup import backup, manifests
from counterfoil.steps.restore import restore

what, every = sys.argv[1], int(sys.argv[2])
root, to, again = (Path(argument) for argument in sys.argv[3:])
home = Home(root)
book = Book(home.book, home.book_lock, home.book_head)
CALLS = {"backup": ("open", "fsync", "replace", "unlink"), "restore": ("replace", "rmdir")}[what]

def child(action):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0
    return False

def until(instant, action):
    left = [instant]
    def tick():
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
    def around(call):
        def counted(*given, **named):
            tick()
            result = call(*given, **named)
            tick()
            return result
        return counted
    for name in CALLS:
        setattr(os, name, around(getattr(os, name)))
    action()

def silent(*_):
    pass

def back_up():
    backup(book, home, to, at=datetime(2026, 11, 18, tzinfo=UTC), progress=silent)

def bring_back():
    restore(to, Home(again), number=None, progress=silent)

def check():
    bring_back()
    made = Home(again)
    heads, _ = Book(made.book, made.book_lock, made.book_head).inspect()
    print(heads.n, flush=True)
    left = sorted(path.name for path in again.iterdir())
    assert left == ["book.duckdb", "book.head.json", "book.lock", "counterfoil.yaml", "landing", "out"], left

kept = to.with_name("kept")
if what == "backup":
    shutil.copytree(to, kept)
def as_before():
    shutil.rmtree(again, ignore_errors=True)
    if what == "backup":
        shutil.rmtree(to)
        shutil.copytree(kept, to)

instant, step, close = 0, every, 3
action = {"backup": back_up, "restore": bring_back}[what]
while step:
    if not child(lambda: until(instant, action)):
        # Past the end: the last stretch again in small steps, for there the new backup takes the place of the old.
        instant, step = instant - step + close, close if step > close else 0
        as_before()
        continue
    assert not child(check)
    if what == "backup":
        assert not child(back_up), "and the next backup is made"
        kept_now = [f"{number:08d}" for number in manifests(to)]
        names = [path.name for path in to.iterdir() if path.is_file() and path.name != "backup.lock"]
        assert len(kept_now) == 2 and len(names) == 8, names
        assert all(name.split("-")[1][:8] in kept_now for name in names), names
    as_before()
    instant += step
"""


def killed(what: str, home: Path, to: Path, every: int) -> list[int]:
    """The posting that each restore after a kill ended at."""
    command = [sys.executable, "-c", KILLER, what, str(every), str(home), str(to), str(to.with_name("again"))]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return [int(line) for line in run.stdout.split()]


@pytest.mark.slow
def test_a_killed_backup_leaves_the_one_before(home: Home, goes_on: GoesOn, to: Path) -> None:
    first, _ = saved(home, to), saved(home, to)
    goes_on(home)
    ended = killed("backup", home.root, to, every=17)
    assert len(ended) >= 12
    assert set(ended) == {first.n, book_of(home).published().n}
    assert ended == sorted(ended)


@pytest.mark.slow
def test_a_killed_restore_is_done_again(home: Home, to: Path) -> None:
    first = saved(home, to)
    ended = killed("restore", home.root, to, every=1)
    assert len(ended) >= 12
    assert set(ended) == {first.n}
