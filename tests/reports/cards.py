"""The scorecards of the realistic day: four months at two partners, of which the last day is the one of the report.

Here: made-up files, answers and breaks of before, and the day's own. Not here: the rest of the day (``conftest``).
"""

from collections.abc import Mapping
from datetime import date, timedelta

import polars as pl

from counterfoil.reconcile.breaks import bucket, label
from counterfoil.reconcile.questions import QUESTIONS
from counterfoil.reconcile.scoring import BREAKS, FILES, RECORDS, figures, windows

PARTNERS = ("northstar", "skybridge")
_FOUND = {
    "settled": ("exact", "settled"), "settled_group": ("split", "settled_group"), "rejected": ("exact", "rejected"),
    "reversed": ("settled_key", "reversed"), "held": ("exact", "held"), "open_theirs": ("unknown", "open_theirs"),
    "duplicate": ("repeated", "duplicate"), "information": ("settled_key", "information"),
}  # fmt: skip


def cards(day: date, listed: pl.DataFrame, stage1: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    """The report's four tables of scorecards, for its list of breaks and its postings."""
    days = [windows(day)[3].first + timedelta(days=number) for number in range((day - windows(day)[3].first).days + 1)]
    lists = {"files": _files(days), "records": _records(days, stage1), "breaks": _breaks(day, listed)}
    ends = sorted({window.last for window in windows(day)})
    reasons = [("northstar", "5", "closed account"), ("skybridge", "0001", "member not found")]
    told = figures(
        windows(day),
        **lists,
        rates=pl.DataFrame({"last": ends, "minor": [800] * len(ends), "per_points": [1000] * len(ends)}),
        budgets=pl.DataFrame({"partner": PARTNERS, "budget": [None, 2_000]}, schema_overrides={"budget": pl.Int64}),
        reasons=pl.DataFrame(reasons, schema=["partner", "part", "text"], orient="row"),
    )
    return {"scorecard": told, **{f"scorecard_{name}": frame for name, frame in lists.items()}}


def _files(days: list[date]) -> pl.DataFrame:
    """A file a day: now and then late or missing; northstar's are numbered, and one went astray."""
    rows = []
    for number, day in enumerate(days):
        for partner in PARTNERS:
            state = "late" if number % (9 if partner == "northstar" else 6) == 0 else "on_time"
            state = "missing" if partner == "skybridge" and number % 31 == 30 else state
            base = {"partner": partner, "feed": f"{partner}_handback", "day": day}
            name = "" if state == "missing" else f"{partner.upper()}_{day:%Y%m%d}"
            came = f"{day}T22:{number % 60:02d}:00.000Z" if name else None
            rows.append(
                base | {"listed_as": "expected", "state": state, "file": name, "due_at": f"{day}T22:30:00.000Z",
                        "received_at": came}
            )  # fmt: skip
            if name:
                verdict = "correction" if number % 40 == 7 else "replay" if number % 25 == 3 else "new"
                rows.append(base | {"listed_as": "received", "state": verdict, "file": name, "received_at": came})
            if partner == "northstar" and number:
                lost = number == 50
                rows.append(
                    base | {"listed_as": "numbered", "state": "out_of_sequence" if lost else "next", "file": name,
                            "number_due": number, "number": number + lost}
                )  # fmt: skip
    return pl.DataFrame([dict.fromkeys(FILES) | row for row in rows], schema=FILES, orient="row")


def _records(days: list[date], stage1: pl.DataFrame) -> pl.DataFrame:
    """A thousand answers a day, and on the last the day's own."""
    rows = []
    for number, day in enumerate(days[:-1]):
        for place, partner in enumerate(PARTNERS):
            rejected, reason = 18 + number % (7 + place * 5), ("5", "0001")[place]
            told = (
                ("ours", "sent", "settled", None, 1000, 600_000, 0),
                ("theirs", "exact", "settled", None, 970 - rejected, 570_000, 0),
                ("theirs", "exact", "rejected", reason, rejected, 12_000, 0),
                ("theirs", "tolerance", "settled", None, 20, 9_000, 14 + place * 30),
                ("theirs", "unknown", "open_theirs", None, number % 5, 900, 0),
                ("theirs", "repeated", "duplicate", None, number % 3, 700, 0),
            )
            base = (partner, f"{partner}_handback", day, -number)
            rows += [(*base, *one) for one in told if one[4]]
    for posting in stage1.filter(pl.col("feed").str.ends_with("_handback")).to_dicts():
        base = (posting["feed"].split("_")[0], posting["feed"], days[-1], posting["posting"])
        rows += [
            (*base, "theirs", found, became, "5" if became == "rejected" else None, posting[name], 0, 0)
            for name, (found, became) in _FOUND.items()
            if posting[name]
        ]
    return pl.DataFrame(rows, schema=RECORDS, orient="row")


def _breaks(day: date, listed: pl.DataFrame) -> pl.DataFrame:
    """Those of the day's list that a partner must act on; at the ends of the months before, some of them."""
    asked = listed.filter(pl.col("code").is_in([label(code) for code in QUESTIONS])).with_columns(
        points=pl.when(pl.col("difference").abs() > 0)
        .then(pl.col("difference").abs())
        .otherwise(pl.max_horizontal(pl.col("points_ours").abs(), pl.col("points_theirs").abs(), pl.lit(0)))
    )
    found = []
    for number, end in enumerate(sorted({window.last for window in windows(day)}, reverse=True)):
        kept = asked.with_row_index().filter(pl.col("index") % (number * 2 + 1) == 0)
        found.append(
            kept.group_by("partner", "code", "title", "age_days")
            .agg(count=pl.len(), points=pl.col("points").sum())
            .with_columns(
                as_of=pl.lit(end), bucket=bucket(pl.col("age_days")), minor=pl.col("points") * 8 // 10, charged_minor=0
            )
            .sort("partner", "code", "age_days")
        )
    return pl.concat(found).select(pl.col(name).cast(kind) for name, kind in BREAKS.items())
