"""How a file differs from its layout as a whole, in words that can be sent to the partner.

Here: fields most of whose values are of another kind than agreed; keys, elements and attributes that most records lack,
or that were not agreed. Not here: columns that are missing or new (``shapes.heading``), which keep a file from being
read, or single records.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, assert_never

import polars as pl

from counterfoil.protocols import Parsed
from counterfoil.schemas.rules import Rule
from parsers.fields import BlankField, CodeField, DateField, FieldSpec, FlagsField, IntegerField, TextField
from parsers.layout import Layout
from parsers.layout_shapes import JsonLines, Xml
from parsers.opening import open_file
from parsers.shapes import json_text
from parsers.shapes.cut import Names
from parsers.shapes.json_document import JsonFile
from parsers.shapes.json_lines import JsonLinesFile
from parsers.shapes.xml_file import XmlFile

CHANGED_FROM: Final = 0.5
"""Share of a file's records from which a field is not a matter of single records any more."""

KNOWN_MAX: Final = 1_000
"""Names counted at a time that were not agreed: a file whose keys are all different must not fill the memory."""

TOLD_MAX: Final = 10
"""Names that were not agreed, spelled out."""

SHOWN_CHARACTERS_MAX: Final = 64
"""Of one of them."""


def drift(parsed: Parsed, layout: Layout, name: str, path: Path) -> list[str]:
    """One sentence for each field, or structure of lines, that more than half of the records do not keep to, and for
    each name that was not agreed."""
    met = _met(layout, name, path)
    missing = _missing(layout, met)
    counts = parsed.quarantined.group_by("code", "field").len().sort("code", "field", nulls_last=True)
    told = pl.col("field").is_in([*missing]).fill_null(value=False)
    most = counts.filter((pl.col("len") > parsed.records * CHANGED_FROM) & ~told)
    other = [_sentence(layout, code, field, count, parsed.records) for code, field, count in most.iter_rows()]
    return [*dict.fromkeys(missing.values()), *_new(layout, met), *other]


def _sentence(layout: Layout, code: str, field: str | None, count: int, records: int) -> str:
    share = _share(count, records)
    if field is None:
        return f"{share}: {Rule[code].summary}"
    spec = layout.fields[field]
    return f"{spec.placed(field)}: {share} hold no {_agreed(spec)} as agreed; {Rule[code].summary}"


def _share(count: int, records: int) -> str:
    return f"{count:,} of {records:,} records"


def _met(layout: Layout, name: str, path: Path) -> Names:
    """The names in all records that could be looked into; none of a shape without names."""
    opened = open_file(layout, path, name)
    match opened:
        case JsonLinesFile() | JsonFile():
            steps = _keys(layout, opened)
        case XmlFile():
            steps = opened.elements()
        case _:
            return Names(0, Counter())
    agreed = {_split(path) for path in _known(layout)}
    records, counts = 0, Counter[tuple[str, str]]()
    for step in steps:
        records += step.records
        counts.update(step.counts)
        if len(counts) > 2 * KNOWN_MAX + len(agreed):
            for rare, _ in counts.most_common()[KNOWN_MAX + len(agreed) :]:
                if rare not in agreed:
                    del counts[rare]
    return Names(records, counts)


def _keys(layout: Layout, opened: JsonLinesFile | JsonFile) -> Iterator[Names]:
    for cut in opened.cuts():
        whole = cut.rows.select((pl.col("line.fault") == 0) & pl.col("line.object") & pl.col("line.once")).to_series()
        yield from json_text.names(cut.raw.filter(whole).cast(pl.String), _known(layout))


def _paths(layout: Layout) -> dict[str, str]:
    """The paths of the fields that have one."""
    return {name: spec.path for name, spec in layout.fields.items() if spec.path is not None}


def _with_holders(paths: Iterable[str]) -> list[str]:
    """Paths and all that lead to them, the shorter first."""
    return sorted({path.rsplit(".", cut)[0] for path in paths for cut in range(path.count(".") + 1)}, key=len)


def _known(layout: Layout) -> list[str]:
    """The paths that were agreed, and all that lead to them."""
    kind = layout.shape.discriminator if isinstance(layout.shape, JsonLines) else None
    return _with_holders([*_paths(layout).values(), *([kind] if kind else [])])


def _split(path: str) -> tuple[str, str]:
    holder, _, name = path.rpartition(".")
    return holder, name


def _missing(layout: Layout, met: Names) -> dict[str, str]:
    """By field, what to say of the names that most records lack although their fields need them."""

    def lack(path: str) -> int:
        return met.records - met.counts[_split(path)]

    said = {}
    for field, path in _paths(layout).items():
        if _needed(layout.fields[field]) and lack(path) > met.records * CHANGED_FROM:
            first = next(step for step in _with_holders([path]) if lack(step) > met.records * CHANGED_FROM)
            said[field] = f"{_kind(layout, first)} is missing: {_share(lack(first), met.records)} are without it"
    return said


def _needed(spec: FieldSpec) -> bool:
    if isinstance(spec, CodeField):
        return spec.unknown == "quarantine" and "" not in spec.codes
    return getattr(spec, "required", False)


def _new(layout: Layout, met: Names) -> list[str]:
    """What to say of names that were not agreed, the commonest first; what lies in one of them goes with it."""
    known = _known(layout)
    agreed, holders = {_split(path) for path in known}, {"", *known}
    new = {name: count for name, count in met.counts.items() if name not in agreed and name[0] in holders}
    told = sorted(new, key=lambda name: (-new[name], name))[:TOLD_MAX]
    said = [
        f"{_kind(layout, '.'.join(filter(None, name)))} was not agreed: {_share(new[name], met.records)} have it"
        for name in told
    ]
    rest = len(new) - len(told)
    least = "at least " if len(new) >= KNOWN_MAX else ""
    return [*said, f"not agreed were also {least}{rest:,} names that are less common"] if rest else said


def _kind(layout: Layout, path: str) -> str:
    """A name and what it is in its shape."""
    kind = "attribute" if "@" in path else "element"
    return f"{kind if isinstance(layout.shape, Xml) else 'key'} {path[:SHOWN_CHARACTERS_MAX]!r}"


def _agreed(spec: FieldSpec) -> str:
    match spec:
        case TextField():
            return f"text {spec.equals!r}" if spec.equals is not None else "text"
        case IntegerField():
            return "whole number" if spec.plain else f"number of {spec.decimals or spec.scale} decimals"
        case DateField():
            return f"date {spec.format}"
        case CodeField():
            return f"code of {', '.join(code or 'blank' for code in spec.codes)}"
        case FlagsField():
            return "flags Y or blank"
        case BlankField():
            return "blanks"
    assert_never(spec)
