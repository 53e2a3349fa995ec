"""The report's three charts as static SVG with the same bytes on every machine.

Here: what each chart shows and how. Not here: the figures behind them, which stand in tables beside them.

Vega places some things by the width of text, and so by the fonts of the machine. Nothing here depends on it: sizes,
axis extents and label positions are fixed, labels are never dropped or cut, legends are written in HTML. Nothing here
needs an id either (no clipping, no gradients), so charts cannot get into each other's way on one page.
"""

import html
from typing import Any, Final, NamedTuple

import altair as alt
import polars as pl
import vl_convert

from counterfoil.reconcile.breaks import BUCKETS, OLDEST_BUCKET
from counterfoil.reports.facts import IN_TRANSIT, OUTCOMES, ReportFacts

FONT: Final = "Report Sans, Arial, sans-serif"
INK: Final = "#14181d"
RULE: Final = "#d5dade"
NARROW: Final = 480
WIDE: Final = 640
"""Widths of a chart in half a page and in a whole one, so that letters have one size in both."""
ROOM: Final = 84
"""On the right, for the figure at the end of a bar."""
LETTER: Final = 6.6
"""Width of a letter of a label, on the safe side."""
LABEL_LETTERS: Final = 32
"""Partner names and titles are cut to this."""

COLOURS: Final = {
    "confirmed": "#1f5a8a",
    "rejected": "#b3472f",
    "reversed": "#7d5a9b",
    "refunded": "#6f7c88",
    "written_off": "#3d3f45",
    "pending": "#9cc3e0",
    "held": "#e0aa3e",
}
FLOW: Final = "Points sent and what became of them"
PARTNERS: Final = "Outcome by partner, in points"
BREAKS: Final = "Open breaks by type and age in days"

BUCKET_NAMES: Final = (*(name for _, name in BUCKETS), OLDEST_BUCKET)
BUCKET_COLOURS: Final = ("#dbe7f0", "#b7d0e2", "#8db4d0", "#6194ba", "#3b719c", "#21507a", "#102f4d")


class Chart(NamedTuple):
    """One figure: inline SVG (empty when there is nothing to draw), its caption and legend (label, colour)."""

    svg: str
    caption: str
    legend: tuple[tuple[str, str], ...]


def points_flow(facts: ReportFacts) -> Chart:
    """Sent, and what became of it: each bar begins where the one above ends."""
    totals = dict(facts.summary.group_by("state").agg(pl.col("points").sum()).rows())
    if not any(totals.values()):
        return Chart("", FLOW, ())
    steps, reached = [{"label": "sent", "begin": 0, "end": totals.get("sent", 0), "colour": INK}], 0
    for state in OUTCOMES:
        end = reached + totals.get(state, 0)
        steps.append({"label": state.replace("_", " "), "begin": reached, "end": end, "colour": COLOURS[state]})
        reached = end
    for step in steps:
        step["text"] = _grouped(int(str(step["end"])) - int(str(step["begin"])))
        step["edge"] = max(int(str(step["begin"])), int(str(step["end"])))
    order = [str(step["label"]) for step in steps]
    base = alt.Chart(alt.InlineData(values=steps)).encode(y=_labels(order))
    bars = base.mark_bar(aria=False, height=15).encode(
        x=_amounts("begin", ticks=4), x2="end:Q", color=alt.Color("colour:N", scale=None, legend=None)
    )
    texts = base.mark_text(aria=False, align="left", dx=5, fontSize=11, color=INK).encode(x="edge:Q", text="text:N")
    said = ", ".join(f"{step['label']} {step['text']}" for step in steps)
    return Chart(
        _svg(bars + texts, NARROW, order, 24, "Points flow", f"Points by outcome: {said}."),
        FLOW,
        (),
    )


def outcome_by_partner(facts: ReportFacts) -> Chart:
    """One bar a partner, stacked by outcome, in points."""
    rows = facts.summary.filter(pl.col("state").is_in(OUTCOMES) & (pl.col("points") != 0)).sort("partner", "state")
    if rows.is_empty():
        return Chart("", PARTNERS, ())
    values = [
        {
            "label": _cut(row["partner"]),
            "points": row["points"],
            "colour": COLOURS[row["state"]],
            "order": OUTCOMES.index(row["state"]),
        }
        for row in rows.iter_rows(named=True)
    ]
    partners = sorted({str(value["label"]) for value in values})
    bars = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar(aria=False, height=22)
        .encode(
            y=_labels(partners),
            x=_amounts("points", ticks=4, stack="zero"),
            color=alt.Color("colour:N", scale=None, legend=None),
            order="order:Q",
        )
    )
    said = "; ".join(f"{row['partner']} {row['state']} {_grouped(row['points'])}" for row in rows.iter_rows(named=True))
    present = set(rows["state"])
    return Chart(
        _svg(bars, NARROW, partners, 36, "Outcome by partner", f"Points by partner and outcome: {said}."),
        PARTNERS,
        tuple((state.replace("_", " "), COLOURS[state]) for state in OUTCOMES if state in present),
    )


def breaks_by_age(facts: ReportFacts) -> Chart:
    """One bar a break code, stacked by age; the number at its end is the count."""
    counted = facts.breaks.group_by("code", "title", "bucket").agg(rows=pl.len()).sort("code", "bucket")
    counted = counted.filter(pl.col("code") != IN_TRANSIT)
    if counted.is_empty():
        return Chart("", BREAKS, ())
    names = {row[0]: _cut(f"{row[0]} {row[1]}") for row in counted.select("code", "title").unique().sort("code").rows()}
    values = [
        {
            "label": names[row["code"]],
            "rows": row["rows"],
            "colour": BUCKET_COLOURS[BUCKET_NAMES.index(row["bucket"])],
            "order": BUCKET_NAMES.index(row["bucket"]),
        }
        for row in counted.iter_rows(named=True)
    ]
    totals = counted.group_by("code").agg(pl.col("rows").sum()).sort("code")
    ends = [{"label": names[code], "rows": rows, "text": _grouped(rows)} for code, rows in totals.rows()]
    codes = list(names.values())
    y = _labels(codes)
    bars = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar(aria=False, height=15)
        .encode(
            y=y,
            x=_amounts("rows", ticks=6, stack="zero"),
            color=alt.Color("colour:N", scale=None, legend=None),
            order="order:Q",
        )
    )
    texts = alt.Chart(alt.InlineData(values=ends)).mark_text(aria=False, align="left", dx=5, fontSize=11, color=INK)
    texts = texts.encode(y=y, x="rows:Q", text="text:N")
    said = "; ".join(f"{names[code]} {_grouped(rows)}" for code, rows in totals.rows())
    return Chart(
        _svg(bars + texts, WIDE, codes, 24, "Breaks by age", f"Open breaks by type: {said}."),
        BREAKS,
        tuple(zip((name.replace("-", "–") for name in BUCKET_NAMES), BUCKET_COLOURS, strict=True)),
    )


def _labels(order: list[str]) -> alt.Y:
    """The axis of names: fixed width, every label shown whole."""
    axis = alt.Axis(
        title=None, ticks=False, domain=False, labelPadding=8, labelLimit=0, labelOverlap=False,
        minExtent=_margin(order), maxExtent=_margin(order),
    )  # fmt: skip
    return alt.Y("label:N", sort=order, scale=alt.Scale(domain=order, paddingInner=0.2), axis=axis)


def _margin(labels: list[str]) -> int:
    """Room for the labels on the left, by their letters and not by a font of this machine."""
    return 16 + int(LETTER * max(map(len, labels)))


def _amounts(field: str, *, ticks: int, **options: Any) -> alt.X:
    """The axis of figures, in short form (10M): the exact ones stand in the tables."""
    axis = alt.Axis(
        title=None, labelExpr="datum.value == 0 ? '0' : format(datum.value, '~s')", tickCount=ticks, labelOverlap=False,
        labelFlush=False, domain=False, ticks=False, gridColor=RULE, minExtent=20, maxExtent=20,
    )  # fmt: skip
    return alt.X(f"{field}:Q", axis=axis, scale=alt.Scale(nice=True, zero=True), **options)


def _svg(
    chart: alt.Chart | alt.LayerChart, width: int, labels: list[str], step: int, title: str, description: str
) -> str:
    """Inline SVG that scales with its place on the page, with a title and description for those who cannot see it.

    One bar a label, ``step`` apart.
    """
    margin, height = _margin(labels), len(labels) * step
    spec = (
        chart.properties(
            width=width - margin - ROOM,
            height=height,
            autosize=alt.AutoSizeParams(type="none"),
            padding={"left": margin, "top": 4, "right": ROOM, "bottom": 24},
            background="transparent",
        )
        .configure(font=FONT, aria=False)
        .configure_axis(labelFontSize=11, labelColor=INK)
        .configure_view(stroke=None)
        .to_dict()
    )
    _, _, inner = vl_convert.vegalite_to_svg(spec).partition(">")
    heading = f"<title>{html.escape(title)}</title><desc>{html.escape(description)}</desc>"
    label, box = html.escape(description), f"0 0 {width} {height + 28}"
    return f'<svg class="chart w{width}" role="img" viewBox="{box}" aria-label="{label}">{heading}{inner}'


def _cut(name: str) -> str:
    return name if len(name) <= LABEL_LETTERS else f"{name[: LABEL_LETTERS - 1]}…"


def _grouped(number: int) -> str:
    return f"{number:,}".replace("-", "\N{MINUS SIGN}")
