"""The columns of a table as a file has them beside those of its layout.

Here: names compared, and every difference in words that can be sent to the partner. Not here: where the names stand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from parsers.layout_shapes import Table


@dataclass(frozen=True)
class Heading:
    """A line of column names read by a layout.

    ``columns``: the layout's name of each column in the file's own order, None for one that it does not know.
    ``problems``: what keeps the file from being read.
    """

    columns: tuple[str | None, ...]
    problems: tuple[str, ...]


def heading(given: Sequence[str], table: Table) -> Heading:
    """Compare the columns of a file with those of a layout.

    New columns are told by name only where most of the layout's own are there: else the line may be a record.
    """
    known = {spelling: column.name for column in table.columns for spelling in (column.name, *column.also)}
    cells = [cell.strip() for cell in given]
    found = [known.get(cell) for cell in cells]
    here = [name for name in found if name is not None]
    missing = [column.name for column in table.columns if not column.optional and column.name not in here]
    strange = [cell for cell, name in zip(cells, found, strict=True) if name is None]
    problems = [f"{_columns(missing)} missing"] if missing else []
    if strange and table.others == "refuse":
        telling = len(here) * 2 > len(table.columns)
        problems.append(f"{_columns(strange)} new" if telling else f"{len(strange):,} columns that were not agreed")
    twice = sorted({name for name in here if here.count(name) > 1})
    problems += [f"{_columns(twice)} given twice"] if twice else []
    agreed = [column.name for column in table.columns if column.name in here]
    if not problems and table.order == "fixed" and here != agreed:
        problems.append(f"columns in another order: {', '.join(here)}; agreed was {', '.join(agreed)}")
    return Heading(tuple(found), tuple(problems))


def _columns(names: Sequence[str]) -> str:
    return f"column {names[0]!r} is" if len(names) == 1 else f"columns {', '.join(map(repr, names))} are"
