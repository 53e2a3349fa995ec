"""The JSON Schema of layout files, which editors complete and check by.

Here: the schema as text. Not here: checks that a schema cannot express (``layout_checks``).
"""

import json

from parsers.layout import Layout


def schema_text() -> str:
    """The schema, indented, keys in the models' order."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A layout: how one version of one feed's files is recognised and read",
    } | {key: value for key, value in Layout.model_json_schema().items() if key != "title"}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
