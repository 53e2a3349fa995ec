"""What parsing costs, shape by shape: this program's reader beside Polars' own on the same bytes.

Here: one file of the same records in each shape, read by both in processes of their own, for seconds and peak memory.
Polars is asked for columns of texts and nothing else: no totals, codes or dates, no bad record told from a good one. It
reads no XML; libxml2's events alone stand in for it there. Not here: posting and outputs (``run``).
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
import xlsxwriter
import yaml
from lxml import etree

from bench.run import bind, positive, say
from parsers.layout import Layout
from parsers.layout_file import parse_layout
from parsers.reader import read_file

RECORDS: Final = 200_000
WORKBOOK_ROWS: Final = 1_000_000
"""A sheet has 1,048,576 rows."""
NAMES: Final = ("ref", "member", "points", "outcome", "day")
WIDTHS: Final = (12, 10, 9, 1, 8)

SHAPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "fixed_width": {"record_length": sum(WIDTHS)},
    "delimited": {"delimiter": ",", "quote": '"', "columns": [{"name": name} for name in NAMES]},
    "json_lines": {},
    "json": {"records": "answers"},
    "xml": {"record": "all.one"},
    "xlsx": {"sheet": "S", "columns": [{"name": name} for name in NAMES]},
}


@dataclass(frozen=True)
class Side:
    """The least seconds of several turns, and the peak memory of the process in MiB."""

    seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Case:
    """One shape: its file, and both sides."""

    records: int
    mb: float
    ours: Side
    theirs: Side

    @property
    def ratio(self) -> float:
        return self.ours.seconds / self.theirs.seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench shapes", description=__doc__)
    parser.add_argument("--records", type=positive, default=RECORDS)
    parser.add_argument("--turns", type=positive, default=3)
    parser.add_argument("--only", choices=tuple(SHAPES))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    parser.add_argument("--side", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.read is not None:
        print(json.dumps(asdict(_read(given.only, Path(given.read), given.side, given.turns))))
        return 0
    bind(2)
    with tempfile.TemporaryDirectory(prefix="counterfoil-bench-", dir=given.work) as root:
        wanted = (given.only,) if given.only else tuple(SHAPES)
        cases = {shape: measured(Path(root) / shape, shape, given.records, given.turns) for shape in wanted}
    print(json.dumps({s: asdict(c) for s, c in cases.items()}, indent=2) if given.format == "json" else table(cases))
    return 0


def measured(path: Path, shape: str, records: int, turns: int) -> Case:
    """Write a file and let both sides read it."""
    say(shape)
    rows = made(min(records, WORKBOOK_ROWS) if shape == "xlsx" else records)
    WRITERS[shape](path, rows)
    sides = {}
    for side in ("ours", "theirs"):
        command = [sys.executable, "-m", "bench", "shapes", "--only", shape, "--read", str(path), "--side", side]
        run = subprocess.run([*command, "--turns", str(turns)], check=True, capture_output=True)
        sides[side] = Side(**json.loads(run.stdout))
    return Case(rows.height, path.stat().st_size / 1e6, sides["ours"], sides["theirs"])


def table(cases: Mapping[str, Case]) -> str:
    """The result for people."""
    heads = ("records", "MB", "ours s", "rows/s", "MiB", "Polars s", "MiB", "ratio")
    lines = [" " * 12 + "".join(f"{head:>10}" for head in heads)]
    for shape, case in cases.items():
        ours, theirs = case.ours, case.theirs
        lines.append(
            f"{shape:12}{case.records:10,}{case.mb:10.1f}{ours.seconds:10.2f}{case.records / ours.seconds:10,.0f}"
            f"{ours.peak_mib:10.0f}{theirs.seconds:10.2f}{theirs.peak_mib:10.0f}{case.ratio:10.1f}"
        )
    return "\n".join([*lines, "", "For XML libxml2's events stand in for Polars. Only the ratios are claims."])


def made(count: int) -> pl.DataFrame:
    """So many answers, every fortieth of them a refusal."""
    number = pl.int_range(count, dtype=pl.Int64, eager=True).cast(pl.String)
    return pl.select(
        ref=pl.format("R{}", number.str.zfill(11)),
        member=number.str.zfill(10),
        points=(number.cast(pl.Int64) % 9_000 + 100).cast(pl.String),
        outcome=pl.when(number.cast(pl.Int64) % 40 == 0).then(pl.lit("R")).otherwise(pl.lit("A")),
        day=pl.lit("20261119"),
    )


# Files


def _lines(path: Path, text: pl.Expr, rows: pl.DataFrame, around: tuple[str, str] = ("", "")) -> None:
    body = "\n".join(rows.select(text).to_series())
    path.write_text(f"{around[0]}{body}\n{around[1]}")


def _write_fixed(path: Path, rows: pl.DataFrame) -> None:
    cells = [pl.col(name).str.pad_end(width) for name, width in zip(NAMES, WIDTHS, strict=True)]
    cells[2] = pl.col("points").str.zfill(WIDTHS[2])
    _lines(path, pl.concat_str(cells), rows)


def _objects() -> pl.Expr:
    """The rows as JSON objects, points as numbers."""
    quoted = dict.fromkeys(NAMES, '"') | {"points": ""}
    cells = [piece for name in NAMES for piece in (f'"{name}":{quoted[name]}', name, f"{quoted[name]},")]
    texts = [pl.col(piece) if piece in NAMES else pl.lit(piece) for piece in cells]
    return pl.concat_str(pl.lit("{"), *texts[:-1], pl.lit('"}'))


def _write_json(path: Path, rows: pl.DataFrame) -> None:
    body = ",\n".join(rows.select(_objects()).to_series())
    path.write_text(f'{{"answers":[{body}]}}')


def _write_xml(path: Path, rows: pl.DataFrame) -> None:
    cells = "".join(f"<{name}>{{}}</{name}>" for name in NAMES)
    _lines(path, pl.format(f"<one>{cells}</one>", *NAMES), rows, ("<all>\n", "</all>\n"))


def _write_workbook(path: Path, rows: pl.DataFrame) -> None:
    with xlsxwriter.Workbook(path, {"constant_memory": True}) as book:
        sheet = book.add_worksheet("S")
        sheet.write_row(0, 0, NAMES)
        for i, (ref, member, points, outcome, day) in enumerate(rows.iter_rows(), 1):
            sheet.write_row(i, 0, (ref, member, int(points), outcome, day))


WRITERS: Final[Mapping[str, Callable[[Path, pl.DataFrame], None]]] = {
    "fixed_width": _write_fixed,
    "delimited": lambda path, rows: rows.write_csv(path),
    "json_lines": lambda path, rows: _lines(path, _objects(), rows),
    "json": _write_json,
    "xml": _write_xml,
    "xlsx": _write_workbook,
}

# Reading


def layout(shape: str) -> Layout:
    """How this program reads the file of a shape."""
    starts = [1 + sum(WIDTHS[:i]) for i in range(len(NAMES))]
    places: dict[str, dict[str, object]] = {name: {"path": name} for name in NAMES}
    if shape == "fixed_width":
        places = {n: {"from": s, "length": w} for n, s, w in zip(NAMES, starts, WIDTHS, strict=True)}
    elif shape in ("delimited", "xlsx"):
        places = {name: {"column": name} for name in NAMES}
    kinds: dict[str, dict[str, object]] = {
        "ref": {"type": "text"},
        "member": {"type": "text"},
        "points": {"type": "points"},
        "outcome": {"type": "code", "codes": {"A": "accepted", "R": "rejected"}, "unknown": "quarantine"},
        "day": {"type": "date", "format": "YYYYMMDD"},
    }
    document = {
        "feed": "bench_shape", "partner": "bench", "kind": "handback", "version": "1", "effective_from": "2020-01-01",
        "arrival": {"folder": "x", "ready": "stable"}, "identity": {"by": "content"}, "recognise": {"name": ".*"},
        "shape": {"type": shape, **SHAPES[shape]}, "fields": {name: places[name] | kinds[name] for name in NAMES},
        "record": {"ref": "ref", "member": "member", "points": "points", "outcome": "outcome", "value_date": "day"},
    }  # fmt: skip
    return parse_layout(yaml.safe_dump(document).encode(), "bench")


def _theirs(shape: str, path: Path) -> object:
    """The texts by Polars' own reader."""
    texts = dict.fromkeys(NAMES, pl.String)
    match shape:
        case "fixed_width":
            line = pl.read_csv(path, has_header=False, separator="\x01", quote_char=None, new_columns=["line"])
            starts = [sum(WIDTHS[:i]) for i in range(len(NAMES))]
            cut = zip(NAMES, starts, WIDTHS, strict=True)
            return line.select(pl.col("line").str.slice(start, width).alias(name) for name, start, width in cut)
        case "delimited":
            return pl.read_csv(path, schema=texts)
        case "json_lines":
            return pl.read_ndjson(path, schema=texts | {"points": pl.Int64})
        case "json":
            return pl.read_json(path).explode("answers").unnest("answers")
        case "xlsx":
            return pl.read_excel(path, sheet_name="S", schema_overrides=texts, engine="calamine")
    for _, element in etree.iterparse(path, tag="one"):
        element.clear()
    return None


def _read(shape: str, path: Path, side: str, turns: int) -> Side:
    ours = layout(shape)
    least = float("inf")
    for _ in range(turns):
        began = time.perf_counter()
        if side == "theirs":
            _theirs(shape, path)
        elif not read_file(ours, path.name, path).quarantined.is_empty():
            raise RuntimeError(f"the {shape} file was not read whole")
        least = min(least, time.perf_counter() - began)
    # Kilobytes, but bytes on macOS.
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return Side(least, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


if __name__ == "__main__":
    sys.exit(main())
