"""XML read with nothing of it believed: no document type, no entity of its own, no network, bounded depth.

Here: how a parser is made, what an element holds by path, and where that lies in it as text. Not here: which elements
are records (``xml_file``) or sheets (``workbook``).
"""

import codecs
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, TypedDict

from lxml import etree

from counterfoil.protocols import Span
from parsers.fields import FieldSpec
from parsers.shapes.cut import Places

HEAD_BYTES: Final = 1024
"""An XML declaration stands first and is much shorter."""

_DECLARED: Final = re.compile(r"""^\ufeff?<\?xml\s[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")


_KINDS: Final = {code: name for name, code in vars(etree.ErrorTypes).items() if isinstance(code, int)}


_BLANKS: Final = " \t\r\n"
_TOKEN: Final = re.compile(
    rb"<(?P<end>/?)(?P<name>[^\s<>/]+)(?P<attributes>(?:\s+[^<>]*?)?)(?P<empty>/?)>|(?P<text>[^<]+)", re.DOTALL
)
_ATTRIBUTE: Final = re.compile(rb"""([^\s=]+)=("[^"]*"|'[^']*')""")

_NOTHING: Final[Sequence[str | None]] = ("",)

Texts = dict[str, list[str | None]]
"""What an element holds, by path: a text each time that the path occurs, None where there is no text but elements."""


class Options(TypedDict):
    """The settings of every parser; libxml2 itself refuses a depth beyond 256 and texts beyond 10 MB."""

    resolve_entities: bool
    load_dtd: bool
    no_network: bool
    huge_tree: bool
    remove_comments: bool
    remove_pis: bool


OPTIONS: Final[Options] = {
    "resolve_entities": False,
    "load_dtd": False,
    "no_network": True,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}


def local(tag: object) -> str:
    """A name without its namespace."""
    return str(tag).rpartition("}")[2]


def declared_otherwise(head: bytes, encoding: str) -> str | None:
    """The encoding that a document declares, where it is another one than agreed."""
    match = _DECLARED.match(head.decode(encoding, "replace"))
    if match is None:
        return None
    try:
        same = codecs.lookup(match[1]).name == codecs.lookup(encoding).name
    except LookupError:
        same = False
    return None if same else match[1]


def flat(element: etree._Element) -> Texts:
    """What the elements and attributes in an element hold; namespaces and blanks around texts are passed over."""
    texts: Texts = {}
    _add_inner(element, "", texts)
    return texts


def before(record: etree._Element) -> Texts:
    """What a document held when one of its elements began; those behind may not be whole yet."""
    texts: Texts = {}
    above = [*record.iterancestors()]
    names = [local(element.tag) for element in reversed(above[:-1])]
    for element, depth in zip((record, *above), range(len(names), -2, -1), strict=True):
        if element is not record:
            _add_attributes(element, "".join(f"{name}." for name in names[: depth + 1]), texts)
        for done in reversed([*element.itersiblings(preceding=True)]):
            _add(done, "".join(f"{name}." for name in names[:depth]), texts)
    return texts


def _add(element: etree._Element, holder: str, texts: Texts) -> None:
    if not isinstance(element.tag, str):
        texts.setdefault(holder.removesuffix("."), []).append(None)  # an entity that nothing defines
        return
    path = holder + local(element.tag)
    texts.setdefault(path, []).append(None if len(element) else (element.text or "").strip(_BLANKS))
    _add_inner(element, path + ".", texts)


def _add_inner(element: etree._Element, holder: str, texts: Texts) -> None:
    _add_attributes(element, holder, texts)
    for child in element:
        _add(child, holder, texts)


def _add_attributes(element: etree._Element, holder: str, texts: Texts) -> None:
    for name, value in element.items():
        texts.setdefault(f"{holder}@{local(name)}", []).append(str(value).strip(_BLANKS))


def text_at(texts: Texts, path: str) -> tuple[str, bool, bool]:
    """The text at a path, the empty one where there is none; whether it is there once; whether it is single."""
    found = texts.get(path, _NOTHING)
    once, single = len(found) == 1, found[0] is not None
    for holder, bare in _holders(path):
        holders = texts.get(holder, _NOTHING)
        once, single = once and len(holders) == 1, single and not (bare and holders[0])
    return found[0] or "", once, single


@lru_cache(maxsize=1024)
def _holders(path: str) -> tuple[tuple[str, bool], ...]:
    """The paths of the elements around a value, and of each whether it may hold no text; beside attributes it may."""
    names = path.split(".")
    return tuple((".".join(names[:i]), not names[i].startswith("@")) for i in range(1, len(names)))


def places(content: bytes, fields: Mapping[str, FieldSpec]) -> Places:
    """Where the values of an element lie by field, and without a name the names that the fields' paths hold."""
    paths = {name: spec.path for name, spec in fields.items() if spec.path is not None}
    known = {""} | {path.rsplit(".", cut)[0] for path in paths.values() for cut in range(path.count(".") + 1)}
    values: dict[str, Span] = {}
    found: list[tuple[str, Span]] = []
    names: list[str] = []
    for match in _TOKEN.finditer(content):
        if match["text"] is not None:
            values.setdefault(".".join(names[1:]), match.span())
            continue
        name = match["name"].decode("utf-8", "replace").rpartition(":")[2]
        names = names if match["end"] else [*names, name]
        path = ".".join(names[1:])
        found += [("", match.span("name"))] if path in known else []
        for part in _ATTRIBUTE.finditer(content, *match.span("attributes")):
            attribute = f"{path}.@{part[1].decode('utf-8', 'replace').rpartition(':')[2]}".removeprefix(".")
            values.setdefault(attribute, part.span(2))
            found += [("", part.span(1))] if attribute in known else []
        if match["end"] or match["empty"]:
            names = names[:-1]
    return found + [(name, values[path]) for name, path in paths.items() if path in values]


def where(error: etree.XMLSyntaxError) -> str:
    """Where a document breaks, and how, without its own words."""
    line, column = error.position
    kind = _KINDS.get(getattr(error, "code", 0), "ERR_INTERNAL_ERROR")
    return f"line {line}, column {column}: no well-formed XML ({kind})"
