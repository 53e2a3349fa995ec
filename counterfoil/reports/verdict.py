"""Whether a day passes, and the figures of the report's first page.

Here: pure judgements over the facts. Not here: the sums behind them (``ties``), or how they look.
"""

from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from counterfoil.reconcile.breaks import at_stake, heft, money_at_stake
from counterfoil.reconcile.tie_out import DIFFERS, NOT_STATED, TIED
from counterfoil.reports.facts import IN_TRANSIT, UNMATCHED_PASSES, ReportFacts
from counterfoil.reports.ties import broken, ties

SEVERITIES: Final = ("critical", "high", "medium", "low")

STORIES_MAX: Final = 25
"""Breaks whose stories are written: what people can look at in a morning."""

SETTLED_VERDICTS: Final = ("replay",)
"""Verdicts of files that rightly have no posting: the same content is already in the book."""


@dataclass(frozen=True)
class Verdict:
    """``fail``: the figures cannot be relied on, for ``reasons``. ``remarks``: they can, but there is work to do."""

    state: Literal["pass", "remarks", "fail"]
    reasons: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Headline:
    """Single figures of the first page; points of breaks are ``at_stake``, rates are hundredths of a percent."""

    unexplained_rows: int
    unexplained_points: int
    breaks: int
    breaks_points: int
    breaks_money: tuple[tuple[str, int], ...]
    """Minor units at stake by currency; none where no break is about money."""
    in_transit: int
    in_transit_points: int
    quarantined: int
    files: int
    files_outside: int
    accounts_tied: int
    accounts_apart: int
    match_rate_count: int | None
    match_rate_points: int | None


def judge(facts: ReportFacts) -> Verdict:
    """The verdict on a day; the report's banner, ``status`` and the asset's metadata all show this one."""
    reasons, remarks = tuple(_reasons(facts)), tuple(_remarks(facts))
    return Verdict("fail" if reasons else "remarks" if remarks else "pass", reasons, remarks)


def headline(facts: ReportFacts) -> Headline:
    """The figures of the first page that are not in ``summary``."""
    stage1, breaks = facts.stage1, facts.breaks.with_columns(at_stake=at_stake())
    transit = breaks.filter(pl.col("code") == IN_TRANSIT)
    real = breaks.filter(pl.col("code") != IN_TRANSIT)
    money = real.drop_nulls("currency").group_by("currency").agg(minor=money_at_stake().sum()).sort("currency")
    matched = ~pl.col("match_pass").is_in(UNMATCHED_PASSES)
    value = pl.when(pl.col("points_ours") != 0).then("points_ours").otherwise("points_theirs").abs()
    matches = facts.matches.select("count", matched=matched, value=value)
    return Headline(
        unexplained_rows=int(stage1["unexplained_rows"].abs().sum()),
        unexplained_points=int(stage1["unexplained_points"].abs().sum()),
        breaks=real.height,
        breaks_points=int(real["at_stake"].sum()),
        breaks_money=tuple(money.rows()),
        in_transit=transit.height,
        in_transit_points=int(transit["at_stake"].sum()),
        quarantined=int(facts.files.filter(pl.col("posting").is_not_null())["quarantined"].sum()),
        files=facts.files.height,
        files_outside=_outside(facts).height,
        accounts_tied=int((facts.tie_out["state"] == TIED).sum()),
        accounts_apart=int((facts.tie_out["state"] != TIED).sum()),
        match_rate_count=_rate(matches, "count"),
        match_rate_points=_rate(matches, "value"),
    )


def worst_first(breaks: pl.DataFrame) -> pl.DataFrame:
    """Breaks in the order in which people should look: by severity, oldest first; what is in transit comes last."""
    ranks = dict(zip(SEVERITIES, range(len(SEVERITIES)), strict=True))
    rank = pl.col("severity").str.to_lowercase().replace_strict(ranks, default=len(ranks), return_dtype=pl.Int64)
    return breaks.sort(pl.col("code") == IN_TRANSIT, rank, -pl.col("age_days"), -heft(), pl.col("break_id"))


def told_breaks(breaks: pl.DataFrame) -> pl.Series:
    """break_id of the breaks whose stories are written beside the report: the worst, what is in transit not among
    them."""
    return worst_first(breaks.filter(pl.col("code") != IN_TRANSIT))["break_id"].head(STORIES_MAX)


def _rate(matches: pl.DataFrame, column: str) -> int | None:
    """Hundredths of a percent, rounded down: 100.00 % is never shown for less than all."""
    total = int(matches[column].sum())
    return int(matches.filter("matched")[column].sum()) * 10_000 // total if total else None


def _outside(facts: ReportFacts) -> pl.DataFrame:
    """Files of the day that are not in the book and should be or may have to be."""
    return facts.files.filter(pl.col("posting").is_null() & ~pl.col("verdict").is_in(SETTLED_VERDICTS))


def _reasons(facts: ReportFacts) -> list[str]:
    figures = headline(facts)
    untied = broken(ties(facts)).height
    posted = facts.files.filter(pl.col("posting").is_not_null())["order"]
    wrong = facts.controls.filter(~pl.col("holds") & pl.col("order").is_in(posted.implode())).height
    found = []
    if figures.unexplained_rows or figures.unexplained_points:
        found.append(
            f"Mass balance: {figures.unexplained_rows:,} rows and {figures.unexplained_points:,} points are unexplained"
        )
    if untied:
        found.append(f"{untied:,} sums of this report do not tie; they are listed in section 1")
    if wrong:
        found.append(f"{wrong:,} control totals of posted files do not hold")
    found += [f"Feed {feed['feed']} failed: {feed['code']}" for feed in facts.failed_feeds.iter_rows(named=True)]
    return found


def _remarks(facts: ReportFacts) -> list[str]:
    figures = headline(facts)
    found = []
    outside = _outside(facts)
    if outside.height:
        codes = outside.group_by(pl.col("code").fill_null(pl.col("verdict"))).len().sort("code")
        found.append(f"{_many(outside.height, 'file is', 'files are')} not in the book: {_listed(codes.rows())}")
    if figures.quarantined:
        found.append(f"{_many(figures.quarantined, 'row is', 'rows are')} quarantined")
    if figures.breaks:
        counts = facts.breaks.filter(pl.col("code") != IN_TRANSIT)["severity"].str.to_lowercase().value_counts()
        by_severity = dict(counts.rows())
        order = [name for name in SEVERITIES if name in by_severity] + sorted(set(by_severity) - set(SEVERITIES))
        listed = _listed([(name, by_severity[name]) for name in order])
        found.append(f"{_many(figures.breaks, 'break is', 'breaks are')} open: {listed}")
    states = facts.tie_out["state"]
    apart, silent = int((states == DIFFERS).sum()), int((states == NOT_STATED).sum())
    if apart:
        found.append(f"{_many(apart, 'account differs', 'accounts differ')} from the general ledger")
    if silent:
        found.append(f"{_many(silent, 'account is', 'accounts are')} in no extract of the general ledger")
    suspense = facts.clearing.filter(pl.col("account").str.starts_with("suspense") & (pl.col("closing") != 0))
    found += [
        f"Suspense is not empty: {account['partner']} {account['closing']:,} points"
        for account in suspense.sort("partner").iter_rows(named=True)
    ]
    old = int(facts.clearing["over_30_days"].sum())
    if old:
        found.append(f"{_many(old, 'clearing item is', 'clearing items are')} older than 30 days")
    if facts.cover["closed"] == "no":
        found.append(f"The day is open until {facts.cover['cut_off']}: these are its figures so far")
    if facts.cover["restated"] == "yes":
        found.append(f"Restated: this is version {facts.cover['version']} for the day")
    return found


def _many(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"


def _listed(counts: list[tuple[str, int]]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts)
