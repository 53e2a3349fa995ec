"""Every sample of every feed: claimed by exactly its own layout, and read as its golden says."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import FeedKind
from parsers.accept import claim_sample, golden_path, main, render, samples
from parsers.registry import LayoutReader

DATA = Path(__file__).resolve().parents[2] / "data"
SAMPLES = list(samples(DATA))


def test_every_feed_has_a_sample(reader: LayoutReader) -> None:
    assert {path.parent.parent.name for path in SAMPLES} == {feed.feed for feed in reader.feeds()}
    shipped = LayoutReader(DATA / "contracts")
    assert {feed.kind for feed in (*reader.feeds(), *shipped.feeds())} == set(FeedKind)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.parent.name}/{path.name}")
def test_sample(sample: Path, reader: LayoutReader, golden: Callable[[Path, bytes], None]) -> None:
    assert claim_sample(reader, sample).feed == sample.parent.parent.name
    golden(golden_path(sample), render(reader, sample))


def test_no_golden_is_left_over() -> None:
    goldens = set(DATA.glob("partners/*/*/samples/*.golden.json"))
    assert goldens == {golden_path(sample) for sample in SAMPLES}


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    """A data folder with one feed, whose sample nobody has accepted yet."""
    source = DATA / "partners/skybridge/skybridge_handback"
    feed = tmp_path / "partners/skybridge/skybridge_handback"
    (feed / "samples").mkdir(parents=True)
    (feed / "layout.yaml").write_bytes((source / "layout.yaml").read_bytes())
    name = "SKYBRIDGE_20261119.HANDBACK.txt"
    (feed / "samples" / name).write_bytes((source / "samples" / name).read_bytes())
    return tmp_path


def test_accept_writes_goldens_and_shows_the_difference(own_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(own_data)]) == 0
    assert "1 goldens, 1 changed" in capsys.readouterr().out
    (golden,) = own_data.glob("**/*.golden.json")
    written = golden.read_bytes()
    assert main([str(own_data)]) == 0
    assert capsys.readouterr().out == "1 goldens, 0 changed\n"
    golden.write_bytes(written.replace(b"rejected", b"accepted", 1))
    main([str(own_data)])
    assert '+      "outcome": "rejected",' in capsys.readouterr().out
    assert golden.read_bytes() == written


def test_a_sample_that_nobody_claims_is_not_accepted(own_data: Path) -> None:
    (sample,) = samples(own_data)
    sample.rename(sample.with_name("HANDBACK.txt"))
    with pytest.raises(PermanentError) as failure:
        main([str(own_data)])
    assert failure.value.code == Code.FILE_UNCLAIMED
    command = [sys.executable, "-m", "parsers.accept", str(own_data)]
    told = subprocess.run(command, cwd=DATA.parent, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert told.stderr.startswith("FILE_UNCLAIMED "), "a message, not where in the program it arose"
