"""Files whose lines are of several kinds: details in groups with headers and trailers, addenda, lines to pass over.

Here: telling lines apart by how they begin, and giving each detail what the lines around it say. Not here: how a line
is cut, or the totals that groups declare (``control``).
"""

import polars as pl

from parsers.faults import broken
from parsers.fields import FieldSpec
from parsers.layout import Layout
from parsers.layout_shapes import Delimited, FixedWidth, LineEnd
from parsers.shapes import delimited, fixed_width
from parsers.shapes.cut import RAW, Cut, strip
from parsers.text import Text

KIND = "line.kind"
"""The prefix of a line, null for one of no declared kind."""


class Sorter:
    """Sorts the lines of one file, block by block; it remembers the group that a block leaves open."""

    def __init__(self, layout: Layout, shape: FixedWidth | Delimited, name: str) -> None:
        self.layout, self.shape, self.name = layout, shape, name
        group = shape.group
        self.header = group.header if group else None
        self.trailer = group.trailer if group else None
        self.open = False
        self.said: dict[str, str | None] = dict.fromkeys(name for name, _ in self._of(self.header))

    def sort(self, text: Text, cut: Cut, line_end: LineEnd) -> Cut:
        """The details of a block, with what their group's header and their addenda say; the rest is counted.

        An addenda line that follows no detail, or a second one, stays as a record of no declared kind.
        """
        rows = cut.rows.with_columns(self._kinds(text))
        if isinstance(self.shape, Delimited):
            rows = rows.with_columns(self._numbered(text, self.shape, line_end))
        groups = self._groups(rows, text, line_end)
        rows = self._with_group(rows)
        rows, kept = self._with_addenda(rows)
        rows, raw = rows.filter(kept), cut.raw.filter(kept)
        own = [(name, spec.line) for name, spec in self.layout.fields.items() if spec.line in self.shape.details]
        rows = rows.with_columns(
            # Only details have a number of columns to keep to.
            pl.col("line.columns") | ~pl.col("line.type"),
            *(pl.when(pl.col(KIND) == kind).then(pl.col(RAW + name)).alias(RAW + name) for name, kind in own),
        )
        return Cut(rows.drop(KIND), raw, cut.rows.height - rows.height, groups)

    def close(self) -> None:
        """Raise ENVELOPE_INVALID when the last group of the file has no trailer."""
        if self.trailer is not None and self.open:
            raise broken(self.layout, self.name, f"no {self.trailer!r} line after the last group")

    def _of(self, prefix: str | None) -> list[tuple[str, FieldSpec]]:
        """The fields of records that lie in lines of a kind."""
        return [(name, spec) for name, spec in self.layout.fields.items() if prefix and spec.line == prefix]

    def _kinds(self, text: Text) -> pl.Expr:
        line = pl.lit(text.clean.binary()).bin
        kind = pl.lit(None, pl.String)
        for prefix in (*self.shape.details, *self.shape.between):
            kind = pl.when(line.starts_with(prefix.encode())).then(pl.lit(prefix)).otherwise(kind)
        return kind.alias(KIND)

    def _numbered(self, text: Text, shape: Delimited, line_end: LineEnd) -> list[pl.Series]:
        """The texts of the fields in group headers and addenda, whose columns go by number."""
        specs = dict(self._of(self.header)) | dict(self._of(shape.addenda))
        return self._cells(text, shape, specs, line_end)

    def _cells(self, text: Text, shape: Delimited, specs: dict[str, FieldSpec], line_end: LineEnd) -> list[pl.Series]:
        if not specs:
            return []
        places = {name: int(spec.column or "1") - 1 for name, spec in specs.items()}
        cells = delimited.cells(text, shape, max(places.values()) + 1, line_end)
        return strip(cells.select(delimited.named({**places})), specs).get_columns()

    def _with_group(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Give every line what the header of its group says, and prove that headers, details and trailers alternate."""
        if self.header is None:
            return rows
        kind = pl.col(KIND)
        steps = (
            (kind == self.header).cast(pl.Int64) - (kind == self.trailer).cast(pl.Int64)
            if self.trailer
            else (kind == self.header).cast(pl.Int64)
        )
        depth = steps.fill_null(0).cum_sum() + int(self.open)
        detail = kind.is_in(list(self.shape.details)).fill_null(value=False)
        wrong = (detail & (depth < 1)) | ((depth > 1) | (depth < 0) if self.trailer else pl.lit(value=False))
        where = rows.select(depth=depth, wrong=wrong, line="line_no")
        if where["wrong"].any():
            raise broken(self.layout, self.name, f"line {where.filter('wrong')['line'][0]} not inside one group")
        self.open = bool(where["depth"][-1] > 0)
        for name in self.said:
            text = pl.when(kind == self.header).then(pl.col(RAW + name)).forward_fill()
            rows = rows.with_columns(text.fill_null(pl.lit(self.said[name], pl.String)).alias(RAW + name))
            self.said[name] = rows[RAW + name][-1]
        return rows

    def _with_addenda(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Give every detail the texts of its addenda; also which lines stay as records."""
        kind = pl.col(KIND)
        passed = kind.is_in([p for p in self.shape.between if p != self.shape.addenda]).fill_null(value=False)
        if self.shape.addenda is None:
            return rows, rows.select(~passed).to_series()
        addenda = (kind == self.shape.addenda).fill_null(value=False)
        detail = kind.is_in(list(self.shape.details)).fill_null(value=False)
        after = (addenda & detail.shift(1, fill_value=False)).alias("after")
        before = (detail & addenda.shift(-1, fill_value=False)).alias("before")
        rows = rows.with_columns(
            pl.when(before).then(pl.col(RAW + name).shift(-1)).when(detail).then(pl.lit("")).alias(RAW + name)
            for name, _ in self._of(self.shape.addenda)
        )
        kept = rows.select(~passed & ~after).to_series()
        return rows, kept

    def _groups(self, rows: pl.DataFrame, text: Text, line_end: LineEnd) -> pl.DataFrame | None:
        """What headers and trailers of groups declare. One of another structure breaks the file."""
        if self.header is None:
            return None
        specs = {name: spec for name, spec in self.layout.envelope.items() if self.layout.of_groups(spec)}
        if isinstance(self.shape, Delimited):
            texts = self._cells(text, self.shape, specs, line_end)
        else:
            cut = fixed_width.cut(text, self.shape, specs)
            texts = [cut[RAW + name] for name in specs]
        ends = [self.header] if self.trailer is None else [self.header, self.trailer]
        lines = rows.select("line_no", "line.fault", kind=KIND).with_columns(texts)
        lines = lines.filter(pl.col("kind").is_in(ends))
        unread = lines.filter(pl.col("line.fault") != 0)["line_no"]
        if unread.len():
            raise broken(self.layout, self.name, f"line {unread[0]}, of a group, that cannot be read")
        return lines.drop("line.fault")
