"""``counterfoil check``: read and gate one file, say what is wrong with it line by line, and touch nothing."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import polars as pl
import typer

from counterfoil.errors import Code, PermanentError, UsageError
from counterfoil.landing.unpack import Inside, Parts, unpack
from counterfoil.protocols import Parsed
from counterfoil.schemas.gate import prove_control
from counterfoil.schemas.rules import Rule
from counterfoil.settings import Settings, load_settings
from parsers.drift import drift
from parsers.layout import Layout
from parsers.layout_file import parse_layout
from parsers.registry import LayoutReader
from pipelines.commands.check_beside import look_around
from pipelines.commands.common import Format, FormatOption, HomeOption, emit_frame, emit_json, stderr, stdout
from pipelines.wiring import pgp

LINES_SHOWN = 20
"""Lines named for each code; the JSON form has them all."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("check")(check)


def check(
    file: Annotated[Path, typer.Argument(help="The file to read.", exists=True, dir_okay=False)],
    layout: Annotated[
        str | None, typer.Option("--layout", help="Its feed, where the name does not tell, or a layout file.")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", help="How many of the first records to show as read.", min=0)] = 5,
    unwrapped: Annotated[
        bool, typer.Option("--unwrapped", help="The file is what lies inside its layout's wrappers, as a sample is.")
    ] = False,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Parse and gate one file: its first records as read, its totals with both sides, its rejects by line and field.

    What its layout says lies beside it is held against it, where it lies there. Changes nothing.
    """
    settings = load_settings(home)
    reader = LayoutReader(settings.data)
    feed = _layout(reader, file, layout)
    around = look_around(feed, file, inside=unwrapped and bool(feed.wrappers))
    with around.told_first(), _opened(settings, feed, file, unwrapped=unwrapped) as (name, payload):
        if layout is None:
            feed = _claiming(reader, feed, name, payload)
        parsed = reader.read(feed, name=name, payload=payload)
        around.count(parsed, feed, name)
        verdict = around.fault or _verdict(parsed, feed, name)
        told = drift(parsed, feed, name, payload)
        if output is Format.JSON:
            emit_json(_document(feed, parsed, verdict, rows) | around.document() | {"drift": told})
        else:
            _show(reader, feed, parsed, rows)
            around.show()
            _tell(told, verdict)
        raise typer.Exit(0 if verdict is None and parsed.quarantined.is_empty() else 1)


@contextmanager
def _opened(settings: Settings, feed: Layout, file: Path, *, unwrapped: bool) -> Iterator[tuple[str, Path]]:
    """A file without its wrappers: its name, and where its bytes lie meanwhile."""
    if unwrapped or not feed.wrappers:
        yield file.name, file
        return
    with tempfile.TemporaryDirectory() as folder:
        parts = Parts(lambda: Path(folder) / uuid4().hex)
        fitting = [
            inside
            for inside in unpack(file, file.name, feed, parts, pgp(settings)).files
            if re.fullmatch(feed.recognise.name, inside.name)
        ]
        only = _only(fitting, feed, file)
        yield only.name, only.path


def _only(fitting: list[Inside], feed: Layout, file: Path) -> Inside:
    if len(fitting) == 1:
        return fitting[0]
    raise UsageError(
        Code.FILE_AMBIGUOUS if fitting else Code.FILE_UNCLAIMED,
        ascii(file.name),
        found=f"{len(fitting)} members that {feed.key} takes: {', '.join(one.name for one in fitting) or 'none'}",
        expected="exactly one",
        remedy="Unpack the archive, and check each member with --unwrapped",
    )


def _layout(reader: LayoutReader, file: Path, layout: str | None) -> Layout:
    """The layout that is named, lies in the named file, or claims the file by its name."""
    if layout is not None and layout.endswith((".yaml", ".yml")):
        return parse_layout(_layout_bytes(Path(layout)), layout)
    fitting = [
        feed
        for feed in reader.layouts()
        if (layout is None and _takes(reader, feed, file.name)) or layout in (feed.feed, feed.key)
    ]
    if len(fitting) == 1:
        return fitting[0]
    raise UsageError(
        Code.FILE_AMBIGUOUS if fitting else Code.FILE_UNCLAIMED,
        ascii(file.name),
        found=f"{len(fitting)} layouts that fit: {', '.join(feed.feed for feed in fitting) or 'none'}",
        expected="exactly one",
        remedy=f"Name one with --layout: {', '.join(sorted(feed.feed for feed in reader.feeds()))}, or a layout file",
    )


def _layout_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            Code.NOTHING_FOUND,
            ascii(str(path)),
            found=error.strerror or "nothing that can be read",
            expected="a layout file",
            remedy="Give the path of a layout.yaml, or the name of a feed",
        ) from None


def _takes(reader: LayoutReader, feed: Layout, name: str) -> bool:
    at = feed.arrival
    fitting = reader.candidates(connection=at.connection, folder=at.folder, name=name)
    archive = feed.archive_name is not None and re.fullmatch(feed.archive_name, name) is not None
    return archive or any(known.feed == feed.feed for known in fitting)


def _claiming(reader: LayoutReader, feed: Layout, name: str, payload: Path) -> Layout:
    """The layout that would claim the file where its feed expects it: the version of its day; FILE_UNCLAIMED."""
    at = feed.arrival
    claiming = reader.claim(connection=at.connection, folder=at.folder, name=name, payload=payload)
    return parse_layout(reader.layout_bytes(claiming), claiming.key)


def _verdict(parsed: Parsed, feed: Layout, name: str) -> PermanentError | None:
    try:
        prove_control(parsed, feed, name)
    except PermanentError as error:
        return error
    return None


def _rejects(parsed: Parsed, feed: Layout, reader: LayoutReader) -> pl.DataFrame:
    """Quarantined rows by code and field, with the place of the field in the file."""
    lines = pl.col("line_no").sort()
    return (
        parsed.quarantined.group_by("code", "field")
        .agg(rows=pl.len(), lines=lines.head(LINES_SHOWN).cast(pl.String).str.join(", "))
        .sort("code", "field")
        .with_columns(
            field=pl.col("field").replace_strict(
                dict(reader.places(feed)), default="the whole line", return_dtype=pl.String
            ),
            meaning=pl.col("code").replace_strict({str(rule): rule.summary for rule in Rule}),
        )
    )


def _document(feed: Layout, parsed: Parsed, verdict: PermanentError | None, rows: int) -> dict[str, object]:
    return {
        "layout": feed.key,
        "lines": parsed.lines,
        "envelope_lines": parsed.envelope_lines,
        "records": parsed.records,
        "accepted": parsed.accepted.height,
        "first": parsed.accepted.head(rows).to_dicts(),
        "quarantined": parsed.quarantined.select("line_no", "code", "field").to_dicts(),
        "control": parsed.control.to_dicts(),
        "code": verdict.code if verdict else None,
        "message": str(verdict) if verdict else None,
    }


def _show(reader: LayoutReader, feed: Layout, parsed: Parsed, rows: int) -> None:
    stdout.print(
        f"{feed.key}: {parsed.lines:,} lines, {parsed.records:,} records, "
        f"{parsed.accepted.height:,} accepted, {parsed.quarantined.height:,} quarantined"
    )
    if rows:
        first = parsed.accepted.head(rows)
        emit_frame(first, Format.TABLE, title=f"First {first.height:,} records as read")
    emit_frame(parsed.control, Format.TABLE, title="Control totals")
    emit_frame(_rejects(parsed, feed, reader), Format.TABLE, title="Quarantined rows")


def _tell(told: list[str], verdict: PermanentError | None) -> None:
    """What can be sent to the partner as it is, and the verdict."""
    for sentence in told:
        stdout.print(f"For the partner: {sentence}.")
    if verdict is not None:
        stderr.print(str(verdict), style="red", soft_wrap=True)
