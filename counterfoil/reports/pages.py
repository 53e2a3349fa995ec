"""What every page needs: the templates, the typeface inside the page, and text that may stand in a style sheet.

Here: the one environment that renders. Not here: any page (``html``, ``story_page``).
"""

import base64
import re
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE: Final = Path(__file__).parent


@cache
def environment() -> Environment:
    """The templates; what is not given is an error, and what is given is escaped."""
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        auto_reload=False,
    )


@cache
def font() -> str:
    """The typeface as base64."""
    return base64.b64encode((HERE / "fonts" / "inter-latin.woff2").read_bytes()).decode()


def css_text(text: str) -> str:
    """Text that may stand in a CSS string: everything else than letters, digits and a few signs is dropped."""
    return re.sub(r"[^\w .,-]", "", text, flags=re.ASCII)
