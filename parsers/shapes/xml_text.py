"""XML read with nothing of it believed: no document type, no entity of its own, no network, bounded depth.

Here: how a parser is made, and what a declared encoding must be. Not here: which elements are records (``xml_file``) or
sheets (``workbook``).
"""

import codecs
import re
from typing import Final, TypedDict

from lxml import etree

HEAD_BYTES: Final = 1024
"""An XML declaration stands first and is much shorter."""

_DECLARED: Final = re.compile(r"""^\ufeff?<\?xml\s[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")


_KINDS: Final = {code: name for name, code in vars(etree.ErrorTypes).items() if isinstance(code, int)}


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


def local(tag: str) -> str:
    """A name without its namespace."""
    return tag.rpartition("}")[2]


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


def where(error: etree.XMLSyntaxError) -> str:
    """Where a document breaks, and how, without its own words."""
    line, column = error.position
    kind = _KINDS.get(getattr(error, "code", 0), "ERR_INTERNAL_ERROR")
    return f"line {line}, column {column}: no well-formed XML ({kind})"
