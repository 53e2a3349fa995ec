"""XML documents: records one after the other, each let go of once it is read.

Here: which elements are records, what they and the rest of the document hold at a path. This is the one shape that
walks its records. Not here: what a parser must refuse (``xml_text``), or what a text means (``values``).
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

import polars as pl
from lxml import etree

from counterfoil.errors import PermanentError
from counterfoil.schemas.gate import bound_rows
from counterfoil.schemas.tables import RAW_BYTES_MAX
from parsers.faults import bound_bytes, broken, empty_file
from parsers.fields import FieldSpec
from parsers.layout import Layout
from parsers.layout_shapes import Encoding, Xml
from parsers.shapes import xml_text
from parsers.shapes.cut import (
    RAW,
    SINGLE,
    Cut,
    Names,
    Places,
    is_plain,
    join_codes,
    strip,
    with_whole,
    without_controls,
)
from parsers.shapes.xml_text import HEAD_BYTES, OPTIONS, Texts, before, declared_otherwise, flat, local, text_at, where

PIECE_BYTES: Final = 64 * 1024
STEP_RECORDS: Final = 10_000
STEP_BYTES: Final = 32 * 1024 * 1024
"""Records held at a time, and bytes of them."""

LOOSE_BYTES_MAX: Final = 64 * 1024 * 1024
"""What is no record stays in memory: an envelope is small, a document of other elements is not this feed's."""
LOOSE_ELEMENTS_MAX: Final = 1_000

_NAMES: Final[Mapping[Encoding, str]] = {"latin-1": "iso-8859-1", "cp1252": "windows-1252"}

Row = tuple[bytes, int, dict[str, str | bool], bool]
"""A record's bytes, cut short, and how many it has; its fields' texts and whether each is single; whether all are there
once."""


class XmlFile:
    """An XML document, opened; FILE_EMPTY, FILE_TOO_LARGE, ENVELOPE_INVALID."""

    envelope_lines = 0

    def __init__(self, layout: Layout, shape: Xml, path: Path, name: str) -> None:
        self.layout, self.path, self.name = layout, path, name
        self.names = shape.record.split(".")
        if bound_bytes(path, layout, name) == 0:
            raise empty_file(layout, name, "no bytes")
        self._check_beginning()
        records = self._records()
        first = next(records, None)
        self.empty = first is None
        texts = flat(self.root) if first is None else before(first)
        if not texts.keys() >= {spec.path for spec in layout.envelope.values()}:
            deque(records, maxlen=0)
            texts = flat(self.root)
        self.envelope: Mapping[str, str] = self._envelope(texts)

    def cuts(self) -> Iterator[Cut]:
        """The records in file order, numbered from 1."""
        fields = {name: spec for name, spec in self.layout.fields.items() if spec.joined is None}
        count = 0
        for some in _batches(_row(record, fields) for record in self._records()):
            bound_rows(count + len(some), self.layout, self.name)
            yield self._cut(some, fields, count + 1)
            count += len(some)
        if self._envelope(flat(self.root)) != self.envelope:
            raise self._broken("an envelope that says other things at the end than at the beginning")

    def elements(self) -> Iterator[Names]:
        """The elements and attributes in each record."""
        for record in self._records():
            parts = (path.rpartition(".") for path in flat(record))
            yield Names(1, Counter((holder, name) for holder, _, name in parts))

    def places(self, content: bytes) -> Places:
        """Where the values of a record lie, and the names that the layout knows."""
        return xml_text.places(content, self.layout.fields)

    def _cut(self, some: list[Row], fields: Mapping[str, FieldSpec], first: int) -> Cut:
        raw = pl.Series([content for content, _, _, _ in some], dtype=pl.Binary)
        kinds = {prefix + name: kind for name in fields for prefix, kind in ((RAW, pl.String), (SINGLE, pl.Boolean))}
        rows = pl.DataFrame([row for _, _, row, _ in some], kinds).with_columns(
            pl.int_range(first, first + len(some), dtype=pl.Int64).alias("line_no"),
            pl.Series("line.size", [size for _, size, _, _ in some], pl.Int64),
            pl.lit(0, pl.UInt8).alias("line.fault"),
            pl.Series("line.once", [once for _, _, _, once in some]),
        )
        rows = without_controls(strip(rows, fields), fields)
        return Cut(with_whole(join_codes(rows, self.layout.fields)), raw)

    def _check_beginning(self) -> None:
        """Refuse another encoding than agreed, a document type and another root, before the rest is read."""
        encoding = self.layout.encoding
        with self.path.open("rb") as file:
            head = file.read(PIECE_BYTES)
        other = declared_otherwise(head[:HEAD_BYTES], encoding)
        if other is not None:
            raise self._broken(f"a document that says it is {other[:40]!r} and not {encoding}")
        parser = self._parser("start")
        try:
            # Before a byte of it is parsed: a document type may define anything.
            if "<!DOCTYPE" in head.decode(encoding, "replace"):
                raise self._broken("a document type")
            parser.feed(head)
            _, root = next(parser.read_events(), (None, None))
        except etree.XMLSyntaxError as error:
            raise self._broken(where(error)) from None
        if root is None:
            raise self._broken(f"no element in the first {PIECE_BYTES:,} bytes")
        if local(root.tag) != self.names[0]:
            raise self._broken(f"another root than {self.names[0]!r}")

    def _parser(self, event: Literal["start", "end"], tag: str | None = None) -> etree.XMLPullParser:
        encoding = _NAMES.get(self.layout.encoding, self.layout.encoding)
        return etree.XMLPullParser((event,), tag=tag, encoding=encoding, **OPTIONS)

    def _records(self) -> Iterator[etree._Element]:
        """The records' elements, each as it ends; it is emptied behind that, and taken away when the next one ends."""
        parser = self._parser("end", "{*}" + self.names[-1])
        idle, holder = 0, None
        try:
            with self.path.open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    parser.feed(piece)
                    found = False
                    for _, element in parser.read_events():
                        parent = element.getparent()
                        if parent is None or (parent is not holder and not self._holds_records(parent)):
                            continue
                        found, holder = True, parent
                        self._let_go(element, parent)
                        yield element
                        element.clear(keep_tail=True)
                    idle += 0 if found else len(piece)
                    if idle > LOOSE_BYTES_MAX:
                        raise self._broken(f"more than {LOOSE_BYTES_MAX:,} bytes without a {self.names[-1]!r}")
            self.root = parser.close()
        except etree.XMLSyntaxError as error:
            raise self._broken(where(error)) from None

    def _holds_records(self, element: etree._Element) -> bool:
        """True for an element at the place where records lie; what came before it in places like it is let go."""
        above = [element, *element.iterancestors()]
        if [local(e.tag) for e in reversed(above)] != self.names[:-1]:
            return False
        self.root = above[-1]
        for inner, outer in pairwise(above):
            self._let_go(inner, outer)
        return True

    def _let_go(self, element: etree._Element, parent: etree._Element) -> None:
        """Take away what came before an element and was like it: it is read."""
        for done in list(element.itersiblings(str(element.tag), preceding=True)):
            parent.remove(done)
        if parent.index(element) > LOOSE_ELEMENTS_MAX:
            raise self._broken(f"more than {LOOSE_ELEMENTS_MAX:,} elements besides the records")

    def _envelope(self, texts: Texts) -> dict[str, str]:
        said = {}
        for field, spec in self.layout.envelope.items():
            said[field], once, single = text_at(texts, spec.path or "")
            if not (once and single and is_plain(said[field])):
                raise self._broken(f"{field}, given twice, nested or with a control character")
        return said

    def _broken(self, found: str) -> PermanentError:
        return broken(self.layout, self.name, found, expected=f"one {self.names[0]!r} document as agreed")


def _row(record: etree._Element, fields: Mapping[str, FieldSpec]) -> Row:
    texts = flat(record)
    found = [text_at(texts, spec.path or "") for spec in fields.values()]
    raw = etree.tostring(record, encoding="utf-8", with_tail=False)
    row: dict[str, str | bool] = {}
    for name, (text, _, single) in zip(fields, found, strict=True):
        row[RAW + name], row[SINGLE + name] = text, single
    return raw[:RAW_BYTES_MAX], len(raw), row, all(once for _, once, _ in found)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    some: list[Row] = []
    held = 0
    for row in rows:
        some.append(row)
        held += row[1]
        if len(some) >= STEP_RECORDS or held >= STEP_BYTES:
            yield some
            some, held = [], 0
    if some:
        yield some
