"""Reads ``layout.yaml`` into a ``Layout``.

Here: YAML in which every scalar is text until the model gives it a type, so that ``0099`` keeps its zeros and ``no``
stays a word. Not here: what the keys mean (``layout``).
"""

from functools import lru_cache
from typing import Final

import yaml
from pydantic import ValidationError

from counterfoil.errors import Code, PermanentError
from parsers.layout import Layout

PROBLEMS_NAMED_MAX: Final = 5
"""Problems spelled out in one message; mending the first few often mends the rest."""


class _TextLoader(yaml.BaseLoader):
    """Scalars stay text; a key given twice is an error (YAML would keep the last silently)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


@lru_cache(maxsize=64)
def parse_layout(content: bytes, where: str) -> Layout:
    """The layout in a file's bytes; ``where`` names the file. Raises LAYOUT_INVALID naming file and keys.

    Bytes that were parsed lately are not parsed again: a replay meets the same layout in every posting of a feed.
    """
    try:
        # The loader is PyYAML's own BaseLoader, which makes nothing but lists, dicts and texts.
        raw = yaml.load(content, Loader=_TextLoader)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _invalid(where, f"it is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise _invalid(where, "it holds no keys")
    try:
        return Layout.model_validate(raw)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        texts = [
            f"{'.'.join(map(str, problem['loc'])) or 'the layout'}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in problems
        ]
        more = f" and {len(texts) - PROBLEMS_NAMED_MAX} more" if len(texts) > PROBLEMS_NAMED_MAX else ""
        raise _invalid(where, "; ".join(texts[:PROBLEMS_NAMED_MAX]) + more) from None


def _invalid(where: str, found: str) -> PermanentError:
    return PermanentError(
        Code.LAYOUT_INVALID,
        where,
        found=found,
        expected="the keys that the layout reference describes",
        remedy="Correct the file, or put back the version that worked",
    )
