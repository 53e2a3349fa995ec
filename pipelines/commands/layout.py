"""``counterfoil layout``: what an author of layouts needs: contracts to begin from, a new folder, the schema.

Here: listing, copying and printing. Not here: trying a layout on a file, which ``check`` does.
"""

import re
import sys
from datetime import date
from pathlib import Path
from typing import Annotated, Final

import polars as pl
import typer

from counterfoil.clock import local_date
from counterfoil.errors import Code, UsageError
from counterfoil.files import write_once
from counterfoil.settings import load_settings
from parsers.layout import Layout
from parsers.layout_schema import schema_text
from parsers.registry import LayoutReader
from pipelines.commands.common import Format, FormatOption, HomeOption, emit_frame, stdout

CONTRACTS: Final = "contracts"
"""The folder of the data folder in which contracts to begin from lie, built like the data folder itself."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="Layouts of partners' files: contracts to begin from, a new folder, the schema.")
    group.command("list")(show_contracts)
    group.command("new")(new)
    group.command("schema")(schema)
    app.add_typer(group, name="layout")


def show_contracts(home: HomeOption = None, output: FormatOption = Format.TABLE) -> None:
    """The contracts to begin from, and the feeds in force: what each is made of."""
    data = load_settings(home).data
    rows = [
        _row(layout, in_force)
        for in_force in (False, True)
        for layout in LayoutReader(_folder(data, in_force)).layouts()
    ]
    emit_frame(pl.DataFrame(rows, orient="row"), output, title="Layouts")


def new(
    partner: Annotated[str, typer.Argument(help="The partner, in lower case letters, digits and _.")],
    feed: Annotated[str, typer.Argument(help="The feed, by custom <partner>_<what it is>.")],
    like: Annotated[str, typer.Option("--like", help="The contract or feed whose layout to begin from.")],
    into: Annotated[
        Path | None, typer.Option("--data", help="The data folder to add it to; else the one in force.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Begin a feed's folder: a layout like another one, to be changed, and a place for samples."""
    settings = load_settings(home)
    for word in (partner, feed):
        if _NAME.fullmatch(word) is None:
            raise _refused(
                ascii(word), "a name of other characters", "lower case letters, digits and _", "Choose another"
            )
    model, content = _layout_like(settings.data, like)
    folder = (into or settings.data) / "partners" / partner / feed
    path = folder / "layout.yaml"
    today = local_date(settings.clock(), settings.zone)
    try:
        write_once(path, _renamed(content, model, partner, feed, today))
    except FileExistsError:
        raise _refused(
            str(path), "a layout that is there already", "a new feed", "Change it, or add the next version beside it"
        ) from None
    (folder / "samples").mkdir(exist_ok=True)
    stdout.print(f"Wrote {path}", soft_wrap=True)
    stdout.print("Next: change it to what the partner's document says, beginning with recognise.name, which is still")
    stdout.print(f"{model.feed}'s, and effective_from, before which no file is taken and none is due: {today}.")
    stdout.print("Put a made-up file under samples/, then")
    stdout.print(f"  counterfoil check FILE --layout {path}", soft_wrap=True)


def schema() -> None:
    """Print the JSON Schema of layout files, for editors."""
    sys.stdout.write(schema_text())


def _folder(data: Path, in_force: bool) -> Path:
    return data if in_force else data / CONTRACTS


def _row(layout: Layout, in_force: bool) -> dict[str, object]:
    return {
        "layout": layout.feed,
        "of": "feed in force" if in_force else "contract",
        "kind": layout.kind.value,
        "shape": layout.shape.type,
        "encoding": layout.encoding,
        "identity": layout.identity.by,
        "fields": len(layout.fields),
        "totals": len(layout.proofs),
    }


def _layout_like(data: Path, like: str) -> tuple[Layout, bytes]:
    """The newest layout of a contract or feed, and its file."""
    for in_force in (False, True):
        reader = LayoutReader(_folder(data, in_force))
        for layout in reader.layouts():
            if layout.feed == like:
                return layout, reader.layout_bytes(layout)
    raise _refused(
        ascii(like), "no contract and no feed of this name", "one to begin from", "See: counterfoil layout list"
    )


def _renamed(content: bytes, model: Layout, partner: str, feed: str, today: date) -> bytes:
    """A layout under another name, as a first version from today on. Comments stay: they say what to look up."""
    text = content.decode().replace(f"{model.partner}/", f"{partner}/")
    for key, value in {"feed": feed, "partner": partner, "version": "1", "effective_from": today.isoformat()}.items():
        text = re.sub(rf"(?m)^{key}:.*$", f"{key}: {value}", text, count=1)
    editor = "# yaml-language-server: $schema=../../../layout.schema.json\n"
    begun = f"# Begun from {model.feed}: every line below is to be read against the partner's own document.\n"
    return (editor + begun + text).encode()


def _refused(where: str, found: str, expected: str, remedy: str) -> UsageError:
    return UsageError(Code.NOTHING_FOUND, where, found=found, expected=expected, remedy=remedy)
