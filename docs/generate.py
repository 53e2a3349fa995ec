"""Writes the reference pages from the code: message codes, commands, settings, layout and campaign keys.

Here: turning what the program says of itself into Markdown. Not here: anything a person has to explain. ``--check``
writes nothing and fails when a page is out of date.
"""

import argparse
import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import typer.main
from pydantic import BaseModel

from counterfoil.campaigns import CampaignFile
from counterfoil.contract import Contract
from counterfoil.errors import Code
from counterfoil.settings import ProgrammeSettings
from parsers.layout import Layout
from parsers.layout_schema import schema_text
from pipelines.commands.app import app

PAGES: Final = Path(__file__).parent / "reference"
NOTICE: Final = "<!-- Written by `make docs` from the code; edits here are lost. -->"


def cell(text: str) -> str:
    """Text as one Markdown table cell: on one line, bars escaped."""
    return " ".join(text.split()).replace("|", "\\|")


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """A Markdown table, line by line, with an empty line after it."""
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(cell(text) for text in row) + " |"
    yield ""


def errors_page() -> Iterator[str]:
    """Every message code with its meaning, in the order of the journey."""
    yield "# Message codes"
    yield ""
    yield "Every message reads `CODE where: found. Expected …. What to do. Permanent|Transient.` in terminal, log and"
    yield "Dagster alike, and holds no row value, no name and no secret. Each code leads to its entry in the runbook."
    yield ""
    rows = [(f"[`{code}`](../runbook.md#{code.lower()})", code.summary) for code in Code]
    yield from table(("code", "what happened"), rows)


def commands_page() -> Iterator[str]:
    """Every command with its arguments and options, from the Typer application."""
    root = typer.main.get_command(app)
    yield "# Commands"
    yield ""
    yield "Exit status: 0 done, 1 the data has problems, 2 wrong use, 3 try again later."
    yield ""
    yield from command_section("counterfoil", root)


def command_section(path: str, command: Any) -> Iterator[str]:
    """One command's help and parameters, then those of the commands below it by name."""
    below: Mapping[str, Any] = getattr(command, "commands", {})
    if not below or command.params:
        yield f"## `{path}`"
        yield ""
        yield from (line.rstrip() for line in (command.help or "").strip().splitlines())
        yield ""
        rows = [parameter_row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
        if rows:
            yield from table(("argument or option", "meaning", "default"), rows)
    for name in sorted(below):
        if not below[name].hidden:
            yield from command_section(f"{path} {name}", below[name])


def parameter_row(parameter: Any) -> tuple[str, str, str]:
    """Spelling, meaning and default of one parameter."""
    if parameter.param_type_name == "argument":
        spelling = f"`{parameter.name.upper()}`"
    else:
        spelling = ", ".join(f"`{text}`" for text in [*parameter.opts, *parameter.secondary_opts])
    return spelling, parameter.help or "", "required" if parameter.required else default_text(parameter.default)


def default_text(value: object) -> str:
    """A default as it would be typed; nothing for what is only known at run time."""
    if value is None or callable(value):
        return ""
    if isinstance(value, Enum):
        return f"`{value.value}`"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{value}`"


def sentences(model: type[BaseModel]) -> dict[str, str]:
    """What stands in a string below each field of a model and its bases.

    Read from the source here, because letting Pydantic do it costs every start of the program 60 ms.
    """
    said: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
            for field, text in pairwise(getattr(definition, "body", [])):
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(text, ast.Expr)
                    and isinstance(text.value, ast.Constant)
                ):
                    said[ast.unparse(field.target)] = str(text.value.value)
    return said


def models_below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and all that are derived from it."""
    yield model
    for derived in model.__subclasses__():
        yield from models_below(derived)


def yaml_sections(file_name: str, model: type[BaseModel]) -> Iterator[str]:
    """A YAML file's model and the models that it uses, each as a section."""
    schema = model.model_json_schema()
    known = {derived.__name__: derived for derived in models_below(Contract)}
    yield from keys_section(file_name, schema, sentences(model))
    for name, part in sorted(schema.get("$defs", {}).items()):
        yield from keys_section(name, part, sentences(known[name]) if name in known else {})


def layout_page() -> Iterator[str]:
    """Every key of a layout file, from the model that reads it."""
    yield "# Layout keys"
    yield ""
    yield "A feed is one folder, `data/partners/<partner>/<feed>/`: its `layout.yaml`, samples and goldens. Unknown"
    yield "keys are errors. [Add a partner](../how-to/add-a-partner.md) shows how to write one."
    yield ""
    yield from yaml_sections("layout.yaml", Layout)


def settings_page() -> Iterator[str]:
    """Every key of the settings file, from the model that reads it."""
    yield "# Settings"
    yield ""
    yield "`counterfoil.yaml` in the home folder. Unknown keys are errors. Secrets are never in it: `.env.example`"
    yield "names the environment variables and files that hold them."
    yield ""
    yield from yaml_sections("counterfoil.yaml", ProgrammeSettings)


def campaign_page() -> Iterator[str]:
    """Every key of a campaign's file, from the model that reads it."""
    yield "# Campaign keys"
    yield ""
    yield "What letters say: one file a campaign, `data/mail/<campaign>.yaml`. Unknown keys are errors."
    yield "[Send letters](../how-to/send-mail.md) shows how to write one."
    yield ""
    yield from yaml_sections("A campaign", CampaignFile)


def keys_section(name: str, part: Mapping[str, Any], said: Mapping[str, str]) -> Iterator[str]:
    """One object of a YAML file, or one list of allowed words."""
    yield f"## {name}"
    yield ""
    yield from (line.rstrip() for line in str(part.get("description", "")).strip().splitlines())
    yield ""
    if "enum" in part:
        yield "One of " + ", ".join(f"`{word}`" for word in part["enum"]) + "."
        yield ""
    required = part.get("required", [])
    rows = [
        (
            f"`{key}`",
            type_text(value),
            "required" if key in required else schema_default(value),
            meaning(said.get(key, ""), value),
        )
        for key, value in part.get("properties", {}).items()
    ]
    if rows:
        yield from table(("key", "value", "default", "meaning"), rows)


def type_text(value: Mapping[str, Any]) -> str:
    """A JSON schema's type in a few words, with links to the objects it names."""
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{word}`" for word in value["enum"])
    for alternatives in ("anyOf", "oneOf"):
        if alternatives in value:
            return " or ".join(type_text(part) for part in value[alternatives] if part.get("type") != "null")
    if value.get("type") == "array":
        parts = value.get("prefixItems") or [value.get("items", {})]
        return "list of " + ", ".join(type_text(part) for part in parts)
    if value.get("type") == "object":
        inner = value.get("additionalProperties") or next(iter(value.get("patternProperties", {}).values()), None)
        return "map to " + type_text(inner) if isinstance(inner, dict) else "map"
    return str(value.get("format") or value.get("type") or "any")


def schema_default(value: Mapping[str, Any]) -> str:
    """A default of the schema, in YAML's spelling where that differs from Python's."""
    default = value.get("default")
    if (not default and not isinstance(default, bool | int)) or isinstance(default, dict):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def meaning(sentence: str, value: Mapping[str, Any]) -> str:
    """The field's own sentence and its bounds."""
    bounds = {"minimum": "≥", "maximum": "≤", "exclusiveMinimum": ">", "exclusiveMaximum": "<", "pattern": "matches"}
    said = ", ".join(f"{sign} `{value[key]}`" for key, sign in bounds.items() if key in value)
    return f"{sentence} ({said})" if sentence and said else sentence or said


def written_files() -> dict[Path, str]:
    """Every file that is made from the code, with its text: the pages, and the schema of layouts for editors."""
    pages = {PAGES / name: render(make()) for name, make in PAGE_MAKERS.items()}
    return pages | {PAGES.parents[1] / "data" / "layout.schema.json": schema_text()}


PAGE_MAKERS: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    "campaign-keys.md": campaign_page,
    "commands.md": commands_page,
    "errors.md": errors_page,
    "layout-keys.md": layout_page,
    "settings.md": settings_page,
}


def render(lines: Iterator[str]) -> str:
    """A page with its notice, no two empty lines in a row, one newline at the end."""
    kept: list[str] = [NOTICE, ""]
    for line in lines:
        if line or kept[-1]:
            kept.append(line)
    return "\n".join(kept).rstrip() + "\n"


def main() -> int:
    """Write the pages, or with ``--check`` name those that differ and return 1."""
    options = argparse.ArgumentParser(description=main.__doc__)
    options.add_argument("--check", action="store_true", help="write nothing; fail when a page is out of date")
    check = options.parse_args().check
    pages = written_files()
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text("utf-8") != text]
    if check:
        for path in stale:
            sys.stderr.write(f"{path.name} is out of date: run `make docs`\n")
        return 1 if stale else 0
    PAGES.mkdir(exist_ok=True)
    for path in stale:
        path.write_text(pages[path], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
