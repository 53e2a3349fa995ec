"""The scorecard's small multiples: one row a partner, one panel a figure, one bar a month.

Here: what the panels show and where their marks lie. Not here: the figures, which stand in tables below, or the other
charts (``charts``), whose rules for the same bytes everywhere hold here too: every mark has its place in pixels.
"""

import html
from typing import Any, Final, NamedTuple

import altair as alt
import polars as pl
import vl_convert

from counterfoil.reconcile.scoring import MONTHS
from counterfoil.reports.charts import FONT, INK, LETTER, RULE, WIDE, Chart
from counterfoil.reports.facts import ReportFacts
from counterfoil.reports.scorecard import NONE
from counterfoil.reports.tables import grouped, percent

CAPTION: Final = "Trend by month; less is better in every panel"
THIS, BEFORE, MUTED = "#1f5a8a", "#9cc3e0", "#56616c"


class Panel(NamedTuple):
    """One column of panels: the figure it shows, and its heading."""

    figure: str
    heading: str


PANELS: Final = (
    Panel("files_late", "Files late"),
    Panel("files_missing", "Files missing"),
    Panel("unmatched", "Unsettled"),
    Panel("rejected", "Rejected"),
    Panel("break_age_median", "Break age, days"),
    Panel("points_at_risk", "Points at stake"),
)
"""Trouble only, on a scale from nothing: what is nearly always 100 % would hide it."""

HEAD, ROW, BARS, FOOT = 22, 84, 36, 14
"""Heights: the headings, a partner's row, its tallest bar and the months below."""
BAR, STEP, GAP = 15, 19, 10
PARTNER_LETTERS: Final = 14


def partner_trends(facts: ReportFacts) -> Chart:
    """Six figures of each partner over four months, the last darker; each column of panels has one scale."""
    shown = facts.scorecard.filter(
        pl.col("figure").is_in([panel.figure for panel in PANELS])
        & (pl.col("part") == "")
        & pl.col("window").is_in(MONTHS)
    )
    if shown.is_empty():
        return Chart("", CAPTION, ())
    partners = shown["partner"].unique().sort().to_list()
    cells = {(row["partner"], row["figure"], row["window"]): row for row in shown.iter_rows(named=True)}
    left = 12 + int(LETTER * min(PARTNER_LETTERS, max(map(len, partners))))
    width = (WIDE - left) // len(PANELS)
    height = HEAD + ROW * len(partners)
    marks = _Marks(height)
    said = []
    for column, panel in enumerate(PANELS):
        x = left + column * width
        marks.text(x, 11, panel.heading, INK)
        most = max((_size(row) for key, row in cells.items() if key[1] == panel.figure), default=0)
        for place, partner in enumerate(partners):
            months = [cells[partner, panel.figure, window] for window in reversed(MONTHS)]
            _panel(marks, x, HEAD + place * ROW, months, most)
            said.append(f"{partner} {panel.heading.lower()} {', '.join(_said(row) for row in months)}")
    for place, partner in enumerate(partners):
        cut = partner if len(partner) <= PARTNER_LETTERS else f"{partner[: PARTNER_LETTERS - 1]}…"
        marks.text(0, HEAD + place * ROW + ROW - FOOT - 10, cut, INK)
    legend = (("this month", THIS), ("the three months before", BEFORE))
    return Chart(marks.svg("Partner trends", f"By partner, oldest month first: {'; '.join(said)}."), CAPTION, legend)


def _panel(marks: "_Marks", x: int, top: int, months: list[dict[str, Any]], most: int) -> None:
    """Four bars on a base line, the months below, and above them what this month comes to."""
    base = top + ROW - FOOT - 6
    for place, row in enumerate(months):
        tall = BARS * _size(row) // most if most else 0
        last = place == len(months) - 1
        begin = x + place * STEP
        if _size(row):
            marks.bar(begin, begin + BAR, base - max(tall, 1), base, THIS if last else BEFORE)
        marks.text(begin + 1, base + 9, f"{row['last']:%m}", MUTED, size=9)
    marks.bar(x, x + STEP * len(months) - (STEP - BAR), base, base + 1, RULE)
    marks.text(x, top + 8, _said(months[-1]), INK)


def _size(row: dict[str, Any]) -> int:
    """What a bar is as tall as: the rate, or for days and points the amount itself."""
    own = row["numerator"] if row["unit"] in {"days", "points"} else row["basis_points"]
    return int(own or 0)


def _said(row: dict[str, Any]) -> str:
    if row["unit"] in {"days", "points"}:
        return NONE if row["numerator"] is None else grouped(row["numerator"])
    return NONE if row["basis_points"] is None else percent(row["basis_points"])


class _Marks:
    """Rectangles and texts in pixels from the top left corner."""

    def __init__(self, height: int) -> None:
        self._height = height
        self._bars: list[dict[str, Any]] = []
        self._texts: list[dict[str, Any]] = []

    def bar(self, left: int, right: int, top: int, bottom: int, colour: str) -> None:
        self._bars.append({"x": left, "x2": right, "y": top, "y2": bottom, "colour": colour})

    def text(self, x: int, y: int, text: str, colour: str, *, size: int = 11) -> None:
        self._texts.append({"x": x, "y": y, "text": text, "colour": colour, "size": size})

    def svg(self, title: str, description: str) -> str:
        """Inline SVG that scales with its place on the page, with what it shows in words."""

        def place(field: str) -> dict[str, Any]:
            return {"field": field, "type": "quantitative", "scale": None}

        colour = alt.Color("colour:N", scale=None, legend=None)
        bars = alt.Chart(alt.InlineData(values=self._bars)).mark_rect(aria=False).encode(
            x=alt.X(**place("x"), axis=None), x2="x2", y=alt.Y(**place("y"), axis=None), y2="y2", color=colour
        )  # fmt: skip
        texts = alt.Chart(alt.InlineData(values=self._texts)).mark_text(aria=False, align="left").encode(
            x=alt.X(**place("x"), axis=None), y=alt.Y(**place("y"), axis=None), text="text:N", color=colour,
            size=alt.Size("size:Q", scale=None, legend=None),
        )  # fmt: skip
        spec = (
            (bars + texts)
            .properties(
                width=WIDE,
                height=self._height,
                autosize=alt.AutoSizeParams(type="none"),
                padding=0,
                background="transparent",
            )
            .configure(font=FONT, aria=False)
            .configure_view(stroke=None)
            .to_dict()
        )
        _, _, inner = vl_convert.vegalite_to_svg(spec).partition(">")
        label, box = html.escape(description), f"0 0 {WIDE} {self._height}"
        heading = f"<title>{html.escape(title)}</title><desc>{label}</desc>"
        return f'<svg class="chart w{WIDE}" role="img" viewBox="{box}" aria-label="{label}">{heading}{inner}'
