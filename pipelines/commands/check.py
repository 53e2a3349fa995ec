"""``counterfoil check``: read and gate one file, say what is wrong with it line by line, and touch nothing."""

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from counterfoil.errors import Code, PermanentError, UsageError
from counterfoil.feed import Feed
from counterfoil.protocols import Parsed, Reader
from counterfoil.schemas.gate import prove_control
from counterfoil.schemas.rules import Rule
from counterfoil.settings import load_settings
from parsers.registry import LayoutReader
from pipelines.commands.common import Format, FormatOption, HomeOption, emit_frame, emit_json, stderr, stdout

LINES_SHOWN = 20
"""Lines named for each code; the JSON form has them all."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("check")(check)


def check(
    file: Annotated[Path, typer.Argument(help="The file to read.", exists=True, dir_okay=False)],
    layout: Annotated[str | None, typer.Option("--layout", help="Its feed, where the name does not tell.")] = None,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Parse and gate one file; print rejects by line and code. Changes nothing."""
    reader = LayoutReader(load_settings(home).data)
    feed = _feed(reader, file, layout)
    parsed = reader.read(feed, name=file.name, payload=file)
    verdict = _verdict(parsed, feed, file.name)
    if output is Format.JSON:
        emit_json(_document(feed, parsed, verdict))
    else:
        _show(feed, parsed, verdict)
    raise typer.Exit(0 if verdict is None and parsed.quarantined.is_empty() else 1)


def _feed(reader: Reader, file: Path, layout: str | None) -> Feed:
    fitting = [
        feed
        for feed in reader.feeds()
        if (layout is None and _takes(reader, feed, file.name)) or layout in (feed.feed, feed.key)
    ]
    if len(fitting) == 1:
        return fitting[0]
    raise UsageError(
        Code.FILE_AMBIGUOUS if fitting else Code.FILE_UNCLAIMED,
        ascii(file.name),
        found=f"{len(fitting)} layouts that fit: {', '.join(feed.feed for feed in fitting) or 'none'}",
        expected="exactly one",
        remedy=f"Name one with --layout: {', '.join(sorted(feed.feed for feed in reader.feeds()))}",
    )


def _takes(reader: Reader, feed: Feed, name: str) -> bool:
    place = feed.arrival
    fitting = reader.candidates(connection=place.connection, folder=place.folder, name=name)
    return any(known.feed == feed.feed for known in fitting)


def _verdict(parsed: Parsed, feed: Feed, name: str) -> PermanentError | None:
    try:
        prove_control(parsed, feed, name)
    except PermanentError as error:
        return error
    return None


def _codes(parsed: Parsed) -> pl.DataFrame:
    lines = pl.col("line_no").sort()
    return (
        parsed.quarantined.group_by("code", "field")
        .agg(rows=pl.len(), lines=lines.head(LINES_SHOWN).cast(pl.String).str.join(", "))
        .sort("code", "field")
        .with_columns(meaning=pl.col("code").replace_strict({str(rule): rule.summary for rule in Rule}))
    )


def _document(feed: Feed, parsed: Parsed, verdict: PermanentError | None) -> dict[str, object]:
    return {
        "layout": feed.key,
        "lines": parsed.lines,
        "envelope_lines": parsed.envelope_lines,
        "records": parsed.records,
        "accepted": parsed.accepted.height,
        "quarantined": parsed.quarantined.select("line_no", "code", "field").to_dicts(),
        "control": parsed.control.to_dicts(),
        "code": verdict.code if verdict else None,
        "message": str(verdict) if verdict else None,
    }


def _show(feed: Feed, parsed: Parsed, verdict: PermanentError | None) -> None:
    stdout.print(
        f"{feed.key}: {parsed.lines:,} lines, {parsed.records:,} records, "
        f"{parsed.accepted.height:,} accepted, {parsed.quarantined.height:,} quarantined"
    )
    emit_frame(parsed.control, Format.TABLE, title="Control totals")
    emit_frame(_codes(parsed), Format.TABLE, title="Quarantined rows")
    if verdict is not None:
        stderr.print(str(verdict), style="red", soft_wrap=True, highlight=False, markup=False)
