"""Goldens: what each layout makes of its samples, written beside them for a person to review.

``python -m parsers.accept [DATA_DIR]`` writes every golden anew and prints the difference. Here: finding samples and
rendering goldens. Not here: comparing them, which the tests do.
"""

import difflib
import json
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

from counterfoil.errors import Code, CounterfoilError, PermanentError
from counterfoil.feed import Feed
from counterfoil.protocols import Parsed
from counterfoil.replies import Reply, Status
from counterfoil.schemas.gate import prove_control
from counterfoil.steps.post import HELD_CODES
from counterfoil.steps.reply import About, written
from counterfoil.vault import KEY_BYTES, Vault, vault
from parsers.registry import LayoutReader

GOLDEN_SUFFIX: Final = ".golden.json"

OUR_FAULTS: Final = {Code.GATE_PROOF_FAILED, Code.POSTING_UNPROVED}


def sample_vault() -> Vault:
    """The vault that samples are read with. Their codes are invented, so that its keys are no secret."""
    return vault(["0" * 2 * KEY_BYTES], "0" * 2 * KEY_BYTES)


def samples(data_dir: Path) -> Iterator[Path]:
    """Every sample of every feed: the files of its ``samples`` folder that are no goldens."""
    for path in sorted(data_dir.glob("partners/*/*/samples/*")):
        if not path.name.endswith(GOLDEN_SUFFIX):
            yield path


def golden_path(sample: Path) -> Path:
    """The golden beside a sample."""
    return sample.with_name(sample.name + GOLDEN_SUFFIX)


def claim_sample(reader: LayoutReader, sample: Path) -> Feed:
    """The layout that claims a sample where its feed expects files; FILE_UNCLAIMED, FILE_AMBIGUOUS."""
    owner = next(feed for feed in reader.feeds() if feed.feed == sample.parent.parent.name)
    place = owner.arrival
    return reader.claim(connection=place.connection, folder=place.folder, name=sample.name, payload=sample)


def render(reader: LayoutReader, sample: Path) -> bytes:
    """A sample's golden: marks, the three tables and the gate's verdict, or the message of a file that is refused; and
    the answer that its partner would get, where it gets one.

    Raises what is our fault and not the file's: that is never accepted.
    """
    feed = claim_sample(reader, sample)
    document: dict[str, object] = {"layout": feed.key}
    parsed, fault = None, ""
    try:
        parsed = reader.read(feed, name=sample.name, payload=sample)
        document |= _tables(parsed)
        prove_control(parsed, feed, sample.name)
        document["verdict"] = "accepted"
    except PermanentError as error:
        if error.code in OUR_FAULTS:
            raise
        document["verdict"], fault = str(error), error.code
    if feed.reply is not None:
        document["reply"] = _reply(reader, feed, feed.reply, sample, parsed, fault)
    text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, default=_plain)
    return (text + "\n").encode()


def _reply(
    reader: LayoutReader, feed: Feed, reply: Reply, sample: Path, parsed: Parsed | None, fault: str
) -> dict[str, object]:
    """The answer to a sample that came first and alone; none for a file on which a person has to decide."""
    clean = parsed is not None and parsed.quarantined.is_empty()
    status = Status.FAILED if fault else Status.ACCEPTED if clean else Status.PARTLY
    day, number = (parsed.marks.business_date, parsed.marks.sequence) if parsed else (None, None)
    about = About(sample.name, day, number, 1, status, fault)
    if fault in HELD_CODES or not reply.wanted(status):
        return {}
    name, data = written(feed, reply, about, parsed, reader)
    return {"name": name, "lines": data.decode(reply.encoding).splitlines()}


def _tables(parsed: Parsed) -> dict[str, object]:
    return {
        "marks": vars(parsed.marks),
        "lines": parsed.lines,
        "envelope_lines": parsed.envelope_lines,
        "accepted": parsed.accepted.to_dicts(),
        "quarantined": parsed.quarantined.to_dicts(),
        "control": parsed.control.to_dicts(),
    }


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"no JSON form for {type(value).__name__}")


def main(arguments: list[str]) -> int:
    """Write the goldens of a data folder (default ``data``) and print what changed."""
    data_dir = Path(arguments[0] if arguments else "data")
    reader = LayoutReader(data_dir, vault=sample_vault)
    count = changed = 0
    for sample in samples(data_dir):
        path, golden = golden_path(sample), render(reader, sample)
        before = path.read_bytes() if path.exists() else b""
        path.write_bytes(golden)
        lines = difflib.unified_diff(
            before.decode().splitlines(keepends=True),
            golden.decode().splitlines(keepends=True),
            fromfile=f"{path} before",
            tofile=f"{path} now",
        )
        sys.stdout.writelines(lines)
        count += 1
        changed += before != golden
    sys.stdout.write(f"{count} goldens, {changed} changed\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CounterfoilError as error:
        sys.exit(str(error))
