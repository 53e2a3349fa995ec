"""How well a partner keeps its word, as fractions: each the sum of listed rows over what they are a part of.

Here: the months and days that are compared, the lists and the sums. Pure: frames in, frames out. Not here: where the
rows come from (``ledger.scorecard``), or how figures look (``reports``).
"""

from datetime import date, timedelta
from typing import Final, NamedTuple

import polars as pl

from counterfoil.money import value_points
from counterfoil.reconcile.breaks import BUCKETS, OLDEST_BUCKET

MONTHS_BACK: Final = 3
DAYS: Final = 30

THIS_MONTH: Final = "this_month"
LAST_DAYS: Final = "last_30_days"
DAYS_BEFORE: Final = "30_days_before"
MONTHS: Final = (THIS_MONTH, *(f"{back}_month{'s' * (back > 1)}_ago" for back in range(1, MONTHS_BACK + 1)))

FILES: Final = {
    "partner": pl.String,
    "feed": pl.String,
    "day": pl.Date,
    "listed_as": pl.String,
    "state": pl.String,
    "file": pl.String,
    "due_at": pl.String,
    "received_at": pl.String,
    "number_due": pl.Int64,
    "number": pl.Int64,
}
"""Files by programme day. ``listed_as`` expected: one that a contract had due; ``state`` on_time, late, refused (it
came, and nothing of it is in the book) or missing. ``received``: one that came; its verdict. ``numbered``: one that
follows another of its sequence; next or out_of_sequence."""

RECORDS: Final = {
    "partner": pl.String,
    "feed": pl.String,
    "day": pl.Date,
    "posting": pl.Int64,
    "side": pl.String,
    "found": pl.String,
    "became": pl.String,
    "reason": pl.String,
    "count": pl.Int64,
    "points": pl.Int64,
    "tolerated": pl.Int64,
}
"""Records of postings, summed up. ``side`` ours: requests that were sent; theirs: answers. ``found``: the pass by which
an answer found its request (MATCHED), or why it did not (UNMATCHED, REPEATED); ``became``: its disposition. Points are
magnitudes; ``tolerated`` are the differences that were accepted, signs apart."""

BREAKS: Final = {
    "partner": pl.String,
    "as_of": pl.Date,
    "code": pl.String,
    "title": pl.String,
    "bucket": pl.String,
    "age_days": pl.Int64,
    "count": pl.Int64,
    "points": pl.Int64,
    "minor": pl.Int64,
    "charged_minor": pl.Int64,
}
"""Breaks that were open at the end of a day and that the partner must act on, by type and age. ``points`` are at stake,
``minor`` is their value, null without a rate; ``charged_minor`` is what charges are about (B05)."""

FIGURES: Final = {
    "partner": pl.String,
    "figure": pl.String,
    "part": pl.String,
    "label": pl.String,
    "window": pl.String,
    "first": pl.Date,
    "last": pl.Date,
    "unit": pl.String,
    "numerator": pl.Int64,
    "denominator": pl.Int64,
    "basis_points": pl.Int64,
}
"""``part`` is empty for the whole figure, else a reason, a pass, a bucket or a break code: parts add up to the whole.
``label`` says both in words. ``basis_points``: hundredths of a per cent, rounded down; null where there is nothing to
be a part of, and for days."""

MATCHED: Final = ("exact", "date_window", "tolerance", "split", "netted", "settled_key")
UNMATCHED: Final = ("unsettled", "suggested", "ambiguous", "gave_up", "unknown")
"""``unsettled``: it found its request and disagrees with it, or waits for its other parts."""
REPEATED: Final = "repeated"

NO_REASON: Final = "none given"

AGES: Final = (*(name for _, name in BUCKETS), OLDEST_BUCKET)

STANDING: Final = ("breaks_open",)
"""Denominators that are read at the end of a window, and not added up over it."""


class Figure(NamedTuple):
    """One line of the scorecard: ``numerator`` in ``unit``, of the denominator ``of``; ``standing`` ones are read at
    the end of a window, and not added up over it. One with ``parts`` has just those, and no whole of its own."""

    group: str
    name: str
    title: str
    unit: str
    of: str
    standing: bool = False
    parts: tuple[str, ...] = ("",)


LINES: Final = (
    Figure("Files", "files_on_time", "On time", "files", "files_expected"),
    Figure("Files", "files_late", "Late", "files", "files_expected"),
    Figure("Files", "files_refused", "Came, and refused", "files", "files_expected"),
    Figure("Files", "files_missing", "Missing", "files", "files_expected"),
    Figure("Files", "sequence_breaks", "Out of sequence", "files", "files_numbered"),
    Figure("Files", "files_repeated", "Sent again unchanged", "files", "files_received"),
    Figure("Files", "files_corrected", "Restated: corrected", "files", "files_received"),
    Figure("Files", "files_renamed", "Restated: renamed replay", "files", "files_received"),
    Figure("Answers", "matched", "Matched", "records", "answers_once"),
    Figure("Answers", "unmatched", "Settled nothing", "records", "answers_once"),
    Figure("Answers", "rejected", "Rejected", "records", "answers"),
    Figure("Answers", "records_repeated", "Given again", "records", "answers"),
    Figure("Answers", "tolerance_used", "Tolerance used", "points", "budget"),
    Figure("Open breaks", "breaks_open", "Breaks", "breaks", "answers", standing=True),
    Figure("Open breaks", "breaks_by_age", "By age in days", "breaks", "breaks_open", standing=True, parts=AGES),
    Figure("Open breaks", "break_age_median", "Age, median", "days", "breaks_open", standing=True),
    Figure("Open breaks", "break_age_oldest", "Age, oldest", "days", "breaks_open", standing=True),
    Figure("Open breaks", "points_at_risk", "Points at stake", "points", "points_sent", standing=True),
    Figure("Open breaks", "money_at_risk", "Their value", "minor", "money_sent", standing=True),
    Figure("Open breaks", "charges_at_risk", "Charges in dispute", "minor", "money_sent", standing=True),
)
"""Every figure, in order. ``break_age_median`` is the lower of the two in the middle; ages are days, not parts."""

DUE_STATES: Final = ("files_on_time", "files_late", "files_refused", "files_missing")
"""What can become of a file that was due: these add up to those expected."""

PARTS_ONLY: Final = tuple(line.name for line in LINES if "" not in line.parts)

OF: Final = {
    "files_expected": "files expected",
    "files_numbered": "files that follow another",
    "files_received": "files received",
    "answers": "answers",
    "answers_once": "answers, repeats apart",
    "budget": "the month's budget",
    "breaks_open": "open breaks",
    "points_sent": "points sent",
    "money_sent": "value of the points sent",
}
"""Denominators in words."""

_LINES: Final = pl.DataFrame(
    [(number, *line, "" in line.parts) for number, line in enumerate(LINES)],
    schema=["line", "group", "figure", "title", "unit", "of", "standing", "parts", "whole"],
    orient="row",
)
_RANKS: Final = {part: rank for rank, part in enumerate((*MATCHED, *UNMATCHED, *AGES), 1)}
"""The order of parts that have one; the others follow their names."""

_KEYS: Final = ("partner", "figure", "part")
_NO_PART: Final = pl.lit("")


class Window(NamedTuple):
    """Programme days that are counted together."""

    name: str
    first: date
    last: date


def windows(day: date) -> tuple[Window, ...]:
    """The month up to a day and the three before it, the last 30 days and the 30 before."""
    months = [Window(THIS_MONTH, day.replace(day=1), day)]
    for name in MONTHS[1:]:
        last = months[-1].first - timedelta(days=1)
        months.append(Window(name, last.replace(day=1), last))
    since = day - timedelta(days=DAYS - 1)
    before = since - timedelta(days=1)
    return (
        *months,
        Window(LAST_DAYS, since, day),
        Window(DAYS_BEFORE, before - timedelta(days=DAYS - 1), before),
    )


def figures(
    compared: tuple[Window, ...],
    *,
    files: pl.DataFrame,
    records: pl.DataFrame,
    breaks: pl.DataFrame,
    rates: pl.DataFrame,
    budgets: pl.DataFrame,
    reasons: pl.DataFrame,
) -> pl.DataFrame:
    """FIGURES of the lists FILES, RECORDS and BREAKS, every line in every window for every partner of ``budgets``.

    ``rates``: last (the end of a window), minor, per_points: the rate in force then, null without one. ``budgets``:
    partner, budget: the points that a month may tolerate, null where nothing limits them. ``reasons``: partner, part,
    text: reason codes in words, where there are any.
    """
    over = pl.DataFrame(compared, schema={"window": pl.String, "first": pl.Date, "last": pl.Date}, orient="row")
    told = _with_wholes(pl.concat([*_of_files(files), *_of_records(records), *_of_breaks(breaks)]))
    asked = _labelled(_asked(told, budgets), breaks, reasons).join(over.with_row_index("place"), how="cross")
    numerators = _summed(told.join(_LINES, on="figure"), over, _KEYS)
    denominators = _denominators(files, records, breaks, over, rates, budgets)
    valued = (pl.col("unit") != "minor") | pl.col("rated")
    days = pl.col("unit") == "days"
    return (
        asked.join(numerators, on=[*_KEYS, "window"], how="left")
        .join(denominators, on=["partner", "of", "window"], how="left")
        .join(rates.select("last", rated=pl.col("minor").is_not_null()), on="last", how="left")
        .join(_ages(breaks), on=["partner", "figure", "last"], how="left")
        .with_columns(
            numerator=pl.when(days).then("age").when(valued).then(pl.col("amount").fill_null(0)),
            denominator=pl.when(pl.col("of") == "budget").then("base").when(valued).then(pl.col("base").fill_null(0)),
        )
        .with_columns(
            basis_points=pl.when(~days & (pl.col("denominator") > 0)).then(
                pl.col("numerator") * 10_000 // pl.col("denominator")
            )
        )
        .sort("partner", "line", "rank", "part", "place")
        .select(pl.col(name).cast(kind) for name, kind in FIGURES.items())
    )


def _asked(told: pl.DataFrame, budgets: pl.DataFrame) -> pl.DataFrame:
    """partner, figure, part of every figure there is to tell, with ``rank`` and the columns of its line."""
    always = budgets.select("partner").join(_LINES.select("figure", part="parts").explode("part"), how="cross")
    parts = pl.concat([always, told.select(_KEYS)]).unique().join(_LINES.drop("parts"), on="figure")
    rank = pl.col("part").replace_strict(_RANKS, default=None, return_dtype=pl.Int64).fill_null(0)
    return parts.filter((pl.col("part") != "") | pl.col("whole")).with_columns(rank=rank)


def _labelled(asked: pl.DataFrame, breaks: pl.DataFrame, reasons: pl.DataFrame) -> pl.DataFrame:
    """Add ``label``: a whole by its title, a part by its code, and what the code means."""
    titles = breaks.select(part="code", code_title="title").unique()
    part = pl.col("part")
    meaning = pl.when(pl.col("figure") == "rejected").then("text").otherwise("code_title").fill_null("")
    coded = pl.concat_str(part, pl.lit(" "), meaning).str.strip_chars_end()
    return (
        asked.join(titles, on="part", how="left")
        .join(reasons, on=["partner", "part"], how="left")
        .with_columns(
            label=pl.when(part == "")
            .then("title")
            .when(pl.col("figure").is_in(["matched", "unmatched"]))
            .then(part.str.replace_all("_", " "))
            .when(pl.col("figure") == "breaks_by_age")
            .then(pl.concat_str(pl.lit("aged "), part.str.replace("-", "–"), pl.lit(" days")))
            .otherwise(coded)
        )
    )


def _of_files(files: pl.DataFrame) -> list[pl.DataFrame]:
    restated = {"replay": "files_repeated", "correction": "files_corrected", "renamed_replay": "files_renamed"}
    sent_again = files.filter((pl.col("listed_as") == "received") & pl.col("state").is_in(list(restated)))
    return [
        _counted(files.filter(pl.col("listed_as") == "expected"), pl.concat_str(pl.lit("files_"), "state")),
        _counted(sent_again, pl.col("state").replace_strict(restated, return_dtype=pl.String)),
        _counted(files.filter(pl.col("state") == "out_of_sequence"), pl.lit("sequence_breaks")),
    ]


def _of_records(records: pl.DataFrame) -> list[pl.DataFrame]:
    theirs = records.filter(pl.col("side") == "theirs")
    amount, reason = pl.col("count"), pl.col("reason").fill_null(NO_REASON)
    return [
        _counted(theirs.filter(pl.col("found") == REPEATED), pl.lit("records_repeated"), amount),
        _counted(theirs.filter(pl.col("became") == "rejected"), pl.lit("rejected"), amount, reason),
        _counted(theirs.filter(pl.col("found").is_in(MATCHED)), pl.lit("matched"), amount, pl.col("found")),
        _counted(theirs.filter(pl.col("found").is_in(UNMATCHED)), pl.lit("unmatched"), amount, pl.col("found")),
        _counted(theirs.filter(pl.col("tolerated") != 0), pl.lit("tolerance_used"), pl.col("tolerated")),
    ]


def _of_breaks(breaks: pl.DataFrame) -> list[pl.DataFrame]:
    dated = breaks.rename({"as_of": "day"})
    return [
        _counted(dated, pl.lit("breaks_open"), pl.col("count")),
        _counted(dated, pl.lit("breaks_by_age"), pl.col("count"), pl.col("bucket")),
        _counted(dated, pl.lit("points_at_risk"), pl.col("points"), pl.col("code")),
        _counted(dated, pl.lit("money_at_risk"), pl.col("minor").fill_null(0)),
        _counted(dated, pl.lit("charges_at_risk"), pl.col("charged_minor")),
    ]


def _counted(
    rows: pl.DataFrame, figure: pl.Expr, amount: pl.Expr | None = None, part: pl.Expr = _NO_PART
) -> pl.DataFrame:
    """partner, figure, part, day, amount; by default each row is one."""
    one = pl.lit(1, pl.Int64) if amount is None else amount
    return rows.select("partner", "day", figure=figure, part=part, amount=one).group_by(*_KEYS, "day").agg(
        pl.col("amount").sum()
    )  # fmt: skip


def _with_wholes(told: pl.DataFrame) -> pl.DataFrame:
    parts = told.filter(pl.col("part") != "")
    return pl.concat([told, parts.with_columns(part=_NO_PART)])


def _summed(told: pl.DataFrame, over: pl.DataFrame, keys: tuple[str, ...]) -> pl.DataFrame:
    """``amount`` by keys and window: of the window's days, or where ``standing`` of its last day alone."""
    day = pl.col("day")
    counts = pl.when("standing").then(day == pl.col("last")).otherwise(day.is_between("first", "last"))
    return told.join(over, how="cross").filter(counts).group_by(*keys, "window").agg(pl.col("amount").sum())


def _denominators(
    files: pl.DataFrame,
    records: pl.DataFrame,
    breaks: pl.DataFrame,
    over: pl.DataFrame,
    rates: pl.DataFrame,
    budgets: pl.DataFrame,
) -> pl.DataFrame:
    """partner, of, window, base."""
    theirs, ours = (records.filter(pl.col("side") == side) for side in ("theirs", "ours"))
    told = pl.concat(
        [
            _counted(files, pl.concat_str(pl.lit("files_"), "listed_as")),
            _counted(theirs, pl.lit("answers"), pl.col("count")),
            _counted(theirs.filter(pl.col("found") != REPEATED), pl.lit("answers_once"), pl.col("count")),
            _counted(ours, pl.lit("points_sent"), pl.col("points")),
            _counted(breaks.rename({"as_of": "day"}), pl.lit("breaks_open"), pl.col("count")),
        ]
    ).select("partner", "day", "amount", of="figure", standing=pl.col("figure").is_in(STANDING))
    summed = _summed(told, over, ("partner", "of")).rename({"amount": "base"})
    sent = summed.filter(pl.col("of") == "points_sent").join(over, on="window").join(rates, on="last")
    worth = value_points(pl.col("base"), pl.col("minor"), pl.col("per_points"))
    money = sent.filter(pl.col("minor").is_not_null()).with_columns(of=pl.lit("money_sent"), base=worth)
    by_month = budgets.join(over.filter(pl.col("window").is_in(MONTHS)), how="cross")
    budget = by_month.select("partner", "window", of=pl.lit("budget"), base="budget")
    return pl.concat([part.select("partner", "of", "window", pl.col("base").cast(pl.Int64))
                      for part in (summed, money, budget)])  # fmt: skip


def _ages(breaks: pl.DataFrame) -> pl.DataFrame:
    """partner, last, figure, age: the median age of open breaks, the lower of two in the middle, and the oldest."""
    group = ["partner", "last"]
    ranked = (
        breaks.rename({"as_of": "last"})
        .sort(*group, "age_days")
        .with_columns(reached=pl.col("count").cum_sum().over(group), all=pl.col("count").sum().over(group))
    )
    middle = pl.col("reached") >= (pl.col("all") + 1) // 2
    found = ranked.group_by(group).agg(
        break_age_median=pl.col("age_days").filter(middle).min(), break_age_oldest=pl.col("age_days").max()
    )
    return found.unpivot(index=group, variable_name="figure", value_name="age")
