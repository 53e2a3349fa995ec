"""Damaged files: every sample of every layout, mutated at random, is read or refused, never anything else.

``python -m bench fuzz --seconds 60 --seed 1`` prints how many were read and refused, the slowest, and what broke.
Here: mutations and the loop. Not here: what a reader should make of any one file (``tests/parsers``).
"""

import argparse
import io
import random
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from counterfoil.errors import Code, CounterfoilError
from counterfoil.schemas.gate import prove_control
from parsers.accept import OUR_FAULTS, claim_sample, samples
from parsers.registry import LayoutReader

DATA: Final = Path(__file__).parents[1] / "data"
FOLDERS: Final = (DATA, DATA / "contracts")

_OURS: Final = OUR_FAULTS | {Code.LAYOUT_INVALID}
"""Codes that say that we are wrong and not the file."""

SLOW_S: Final = 5.0
"""A sample is a few hundred bytes: reading one for longer means that it hangs."""

_INSIDE: Final = 0.8
"""Share of the changes to a zip that are made to what it holds."""

_SPICE: Final = (
    *(bytes([byte]) for byte in b"\0\r\n\x1a\xc3\"',|{}[]<>&-"),
    b"\r\n", b"\xff\xfe", b"\xef\xbb\xbf", b"\xf0\x9f\x98\x80", b"%%", b"<!DOCTYPE x>", b"\\u0000", b"1e999",
    b"9" * 40, b" " * 300, b"\\ud800", b"NaN", b'{"a":1,"a":2}', b"[" * 2000, b"<a>" * 300, b"&a;", b"<f>1</f>",
)  # fmt: skip


@dataclass
class Found:
    """What came of the files read so far."""

    files: int = 0
    read: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


def mutated(content: bytes, chance: random.Random) -> bytes:
    """One to four random changes: bytes flipped, cut out, doubled, swapped, or something odd put in."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((1, 2, 10, 80, 400)))
        match chance.randrange(6):
            case 0:
                data[at:at] = chance.choice(_SPICE)
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = data[at:end] * chance.choice((1, 2, 50))
            case 3:
                data[at:end] = bytes(chance.randrange(256) for _ in range(end - at))
            case 4:
                data[at:end] = data[at:end][::-1]
            case _:
                del data[at:]
    return bytes(data)


def mutated_inside(content: bytes, chance: random.Random) -> bytes:
    """A zip with one of its parts changed: what a change to the zip itself never reaches."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as parts, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as changed:
        names = parts.namelist()
        chosen = chance.choice([name for name in names if name.startswith("xl/")] or names)
        for name in dict.fromkeys(names):
            part = parts.read(name)
            changed.writestr(name, mutated(part, chance) if name == chosen else part)
    return target.getvalue()


def _damaged(content: bytes, chance: random.Random) -> bytes:
    inside = content.startswith(b"PK") and chance.random() < _INSIDE
    try:
        return mutated_inside(content, chance) if inside else mutated(content, chance)
    except (zipfile.BadZipFile, ValueError, OSError, zlib.error, NotImplementedError):
        return mutated(content, chance)  # a zip that was damaged before


def try_one(reader: LayoutReader, sample: Path, content: bytes, folder: Path, found: Found) -> None:
    """Read one file by the layout of a sample, and note what came of it."""
    path = folder / "payload"
    path.unlink(missing_ok=True)  # a file that is mapped must not shrink
    path.write_bytes(content)
    feed = claim_sample(reader, sample)
    began = time.perf_counter()
    try:
        prove_control(reader.read(feed, name=sample.name, payload=path), feed, sample.name)
        found.read += 1
    except CounterfoilError as error:
        found.refused[error.code] += 1
        if error.code in _OURS:
            found.broken.append(f"{sample.name}: {error}")
    except Exception as error:  # noqa: BLE001  # whatever else there is, it is what is looked for
        found.broken.append(f"{sample.name}: {type(error).__name__}: {error}")
    found.slowest_s = max(found.slowest_s, time.perf_counter() - began)
    found.files += 1


def corpus() -> list[tuple[LayoutReader, Path]]:
    """Every sample with its reader."""
    return [(reader, sample) for folder in FOLDERS for reader in [LayoutReader(folder)] for sample in samples(folder)]


def fuzz(seed: int, go_on: Callable[[Found], bool]) -> Found:
    """Mutate and read sample after sample while ``go_on``; a mutated file that was read is mutated further at times."""
    chance, found, known = random.Random(seed), Found(), corpus()  # noqa: S311
    contents = {sample: [sample.read_bytes()] for _, sample in known}
    with tempfile.TemporaryDirectory() as folder:
        while go_on(found):
            for reader, sample in known:
                content = _damaged(chance.choice(contents[sample]), chance)
                before = found.read
                try_one(reader, sample, content, Path(folder), found)
                if found.read > before and len(contents[sample]) < 50:
                    contents[sample].append(content)
    return found


def main(arguments: Sequence[str]) -> int:
    """Fuzz for a time; 1 when anything broke."""
    options = argparse.ArgumentParser(prog="python -m bench fuzz", description=__doc__)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args(arguments)
    end = time.monotonic() + chosen.seconds
    found = fuzz(chosen.seed, lambda _: time.monotonic() < end)
    print(
        f"{found.files:,} files of {len(corpus())} samples: {found.read:,} read, {found.files - found.read:,} refused"
    )
    print(", ".join(f"{code} {count:,}" for code, count in found.refused.most_common()))
    print(f"slowest {found.slowest_s:.2f} s; {len(found.broken)} broke the program")
    print("\n".join(found.broken[:20]))
    return 1 if found.broken or found.slowest_s > SLOW_S else 0
