"""JSON objects as texts cut into raw field texts by path.

Here: what each object holds at a path. Numbers stay as they are written and never become floats; an object that names a
key twice is told from one that is none. Not here: where objects lie in a file (``json_lines``, ``json_document``).
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter, methodcaller
from types import NoneType
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from counterfoil.protocols import Span
from parsers.fields import FieldSpec
from parsers.shapes.cut import RAW, SINGLE, Names, Places, strip, without_controls

STEP_RECORDS: Final = 10_000
"""Objects held at a time: each takes about ten times the room of its text."""

BLANKS: Final = " \t\r\n"
"""What may stand around a value."""

FILLED: Final = re.compile(rb"[^ \t\r\n]")

_LONE_SURROGATE: Final = r"(?i)\\ud[89a-f][0-9a-f]{2}"
_ESCAPED: Final = r"(?i)\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}"
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)

Objects = NDArray[np.object_]


class KeyTwiceError(ValueError):
    """An object names a key twice."""


@dataclass(frozen=True, eq=False)
class Scanned:
    """One object a text, the empty one where there is none; and which of the texts are JSON, are one object, and say
    each key once."""

    objects: Objects
    parsed: NDArray[np.bool_]
    whole: NDArray[np.bool_]
    once: NDArray[np.bool_]


def decoder() -> json.JSONDecoder:
    """Reads JSON as the standard has it: every number as its text; no NaN, no key twice."""
    return json.JSONDecoder(object_pairs_hook=_unique, parse_float=str, parse_int=str, parse_constant=_refuse)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise KeyTwiceError
    return found


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def cut(texts: pl.Series, specs: Mapping[str, FieldSpec]) -> pl.DataFrame:
    """One row a text: ``raw.<field>`` and ``single.<field>``, line.parsed, line.object, line.once and line.plain."""
    parts = [_cut(texts.slice(first, STEP_RECORDS), specs) for first in range(0, texts.len(), STEP_RECORDS)]
    return without_controls(strip(pl.concat(parts), specs), specs)


def _cut(texts: pl.Series, specs: Mapping[str, FieldSpec]) -> pl.DataFrame:
    stripped = texts.str.strip_chars(BLANKS)
    lone = stripped.str.replace_all(_ESCAPED, "").str.contains(_LONE_SURROGATE)
    scanned = scan(stripped.set(lone, "").to_list())
    columns: dict[str, pl.Series] = {}
    for name, spec in specs.items():
        columns[RAW + name], nested = texts_at(scanned.objects, (spec.path or "").split("."))
        columns[SINGLE + name] = pl.Series(~nested)
    shape = {
        "line.parsed": scanned.parsed | lone.to_numpy(),
        "line.object": scanned.whole,
        "line.once": scanned.once,
    }
    return pl.DataFrame(columns | {name: pl.Series(values) for name, values in shape.items()})


def scan(texts: Sequence[str]) -> Scanned:
    """The objects of some texts without blanks around them. Only a text that is none takes a step of Python."""
    found: list[tuple[Any, int]] = []
    twice: list[int] = []
    rest = map(decoder().raw_decode, texts)
    while len(found) < len(texts):
        try:
            found.extend(rest)
        except (ValueError, RecursionError) as error:
            if isinstance(error, KeyTwiceError):
                twice.append(len(found))
            found.append((None, -1))
    objects = _array(list(map(itemgetter(0), found)))
    ends = np.fromiter(map(itemgetter(1), found), np.int64, len(found))
    once = np.ones(len(texts), np.bool_)
    once[twice] = False
    parsed = (ends == np.fromiter(map(len, texts), np.int64, len(texts))) | ~once
    whole = _are(objects, dict) & parsed
    objects[~whole] = {}
    return Scanned(objects, parsed, whole | ~once, once)


def texts_at(objects: Objects, path: Sequence[str]) -> tuple[pl.Series, NDArray[np.bool_]]:
    """What objects hold at a path, the empty text for nothing and null; and where it is nested deeper or less."""
    nested = np.zeros(len(objects), np.bool_)
    for name in path[:-1]:
        objects, other = _inside(objects, name)
        nested |= other
    values = list(map(methodcaller("get", path[-1]), objects))
    if set(map(type, values)) <= {str, NoneType}:
        return pl.Series(values, dtype=pl.String).fill_null(""), nested
    array = _array(values)
    deeper = _are(array, dict) | _are(array, list)
    array[deeper] = ""
    flags = _are(array, bool)
    array[flags] = np.where(array[flags].astype(np.bool_), "true", "false")
    return pl.Series(array.tolist(), dtype=pl.String).fill_null(""), nested | deeper


def names(texts: pl.Series, paths: Iterable[str]) -> Iterator[Names]:
    """Step by step, the keys of some objects: those at the top, and in the objects that the paths lead through."""
    holders = sorted({path.rpartition(".")[0] for path in paths} | {""})
    for first in range(0, texts.len(), STEP_RECORDS):
        scanned = scan(texts.slice(first, STEP_RECORDS).str.strip_chars(BLANKS).to_list())
        found: Counter[tuple[str, str]] = Counter()
        for holder in holders:
            inner = scanned.objects
            for name in holder.split(".") if holder else ():
                inner, _ = _inside(inner, name)
            counts = Counter(chain.from_iterable(inner))
            found.update({(holder, key): count for key, count in counts.items()})
        yield Names(int(np.count_nonzero(scanned.whole & scanned.once)), found)


def _inside(objects: Objects, name: str) -> tuple[Objects, NDArray[np.bool_]]:
    """The objects that objects hold under a name, the empty one where there is none; and where something else is."""
    held = _array(list(map(methodcaller("get", name), objects)))
    inner = _are(held, dict)
    other = ~inner & ~_are(held, NoneType)
    held[~inner] = {}
    return held, other


def _array(values: list[Any]) -> Objects:
    """Values as they are; numpy would make more dimensions of lists."""
    return np.fromiter(values, np.object_, len(values))


def _are(values: Objects, kind: type) -> NDArray[np.bool_]:
    return np.fromiter(map(kind.__instancecheck__, values), np.bool_, len(values))


def array_at(content: bytes, path: str) -> int | None:
    """Behind the bracket that opens the array at a path, which is looked for in objects only."""
    names, last = [""], b""
    for match in _TOKEN.finditer(content):
        token = match[0]
        if token == b"[" and ".".join(names[1:]) == path:
            return match.end()
        names, last = _step(names, last, token), token
    return None


def places(content: bytes, fields: Mapping[str, FieldSpec]) -> Places:
    """Where the values of an object lie by field, and without a name the keys that the fields' paths hold."""
    keys, values = _spans(content)
    paths = {name: spec.path for name, spec in fields.items() if spec.path is not None}
    known = {path.rsplit(".", cut)[0] for path in paths.values() for cut in range(path.count(".") + 1)}
    return [("", keys[path]) for path in known if path in keys] + [
        (name, values[path]) for name, path in paths.items() if path in values
    ]


def _spans(content: bytes) -> tuple[dict[str, Span], dict[str, Span]]:
    """Where keys and values lie, both by path."""
    keys: dict[str, Span] = {}
    values: dict[str, Span] = {}
    names, last = [""], (0, 0)
    for match in _TOKEN.finditer(content):
        token = match[0]
        names = _step(names, content[slice(*last)], token)
        if token == b":":
            keys[".".join(names[1:])] = last
        elif token not in b"{}[],":
            last = match.span()
            values.setdefault(".".join(names[1:]), last)
    return keys, values


def _step(names: list[str], last: bytes, token: bytes) -> list[str]:
    """The names on the way to what comes behind a token; ``last`` is the one before it."""
    match token:
        case b":":
            return [*names[:-1], last[1:-1].decode("utf-8", "replace")]
        case b",":
            return [*names[:-1], ""]
        case b"{" | b"[":
            return [*names, ""]
        case b"}" | b"]":
            return names[: max(1, len(names) - 1)]
    return names
