"""The reader of a layout's shape, chosen.

Here: nothing but the choice. Not here: any shape (``shapes``).
"""

from pathlib import Path
from typing import assert_never

from parsers.layout import Layout
from parsers.layout_shapes import Delimited, FixedWidth, Json, JsonLines, Xlsx, Xml
from parsers.shapes.cut import Opened
from parsers.shapes.json_document import JsonFile
from parsers.shapes.json_lines import JsonLinesFile
from parsers.shapes.line_file import LineFile
from parsers.shapes.xlsx import XlsxFile
from parsers.shapes.xml_file import XmlFile


def open_file(layout: Layout, path: Path, name: str) -> Opened:
    """Open a file by its layout's shape; FILE_EMPTY, FILE_TOO_LARGE, HEADER_MISSING, ENVELOPE_INVALID."""
    match layout.shape:
        case FixedWidth() | Delimited():
            return LineFile(layout, layout.shape, path, name)
        case JsonLines():
            return JsonLinesFile(layout, layout.shape, path, name)
        case Json():
            return JsonFile(layout, layout.shape, path, name)
        case Xml():
            return XmlFile(layout, layout.shape, path, name)
        case Xlsx():
            return XlsxFile(layout, layout.shape, path, name)
    assert_never(layout.shape)
