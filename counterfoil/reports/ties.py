"""The sums that must agree inside a report: every number on its first page against rows on a later one.

Here: each tie as an equation over the facts. Not here: whether a break of one fails the report (``verdict``).
"""

from typing import Final

import polars as pl

from counterfoil.reconcile.breaks import OF_FILES, at_stake, label, money_at_stake
from counterfoil.reconcile.questions import QUESTIONS
from counterfoil.reconcile.scoring import DUE_STATES, PARTS_ONLY
from counterfoil.reconcile.tie_out import LINES
from counterfoil.reports.facts import DISPOSITIONS, OUTCOMES, ReportFacts

RECORDS: Final = "records"
POINTS: Final = "points"

TIE: Final = {
    "section": pl.String,
    "tie": pl.String,
    "subject": pl.String,
    "unit": pl.String,
    "stated": pl.Int64,
    "summed": pl.Int64,
}
"""One equation: ``unit`` is records, points or a currency (then in minor units); it holds when stated = summed."""

_FROM_FILES: Final = ("lines", "envelope_lines", "records", "accepted", "quarantined")


def ties(facts: ReportFacts) -> pl.DataFrame:
    """Every tie of the report as TIE, sorted as the report shows them."""
    found = [
        *_summary(facts),
        *_files(facts),
        *_balance(facts),
        *_tie_out(facts),
        *_breaks(facts),
        *_money(facts),
        *_scorecard(facts),
    ]
    return pl.concat(found).sort(pl.col("section").cast(pl.Int64), maintain_order=True)


def broken(found: pl.DataFrame) -> pl.DataFrame:
    """Those of ``ties`` that do not hold."""
    return found.filter(pl.col("stated") != pl.col("summed"))


def self_check(facts: ReportFacts) -> list[str]:
    """A sentence for each sum that does not tie; empty when all do."""
    sentences = []
    for tie in broken(ties(facts)).iter_rows(named=True):
        unit = tie["unit"] if tie["unit"] in {RECORDS, POINTS} else f"minor units of {tie['unit']}"
        sums = f"stated {tie['stated']:,}, rows sum to {tie['summed']:,} ({unit})"
        sentences.append(f"Section {tie['section']}, {tie['tie']}, {tie['subject']}: {sums}")
    return sentences


def _tie(
    frame: pl.DataFrame, section: str, tie: str, unit: str | pl.Expr, *, stated: pl.Expr, summed: pl.Expr
) -> pl.DataFrame:
    """TIE rows of one equation; ``frame`` has a column ``subject``."""
    return frame.select(
        section=pl.lit(section),
        tie=pl.lit(tie),
        subject=pl.col("subject").cast(pl.String),
        unit=pl.lit(unit) if isinstance(unit, str) else unit,
        stated=stated.fill_null(0).cast(pl.Int64),
        summed=summed.fill_null(0).cast(pl.Int64),
    ).sort("subject", "unit")


def _beside(stated: pl.DataFrame, summed: pl.DataFrame) -> pl.DataFrame:
    """Both sides by subject; a subject that one side lacks counts as 0 there."""
    return stated.join(summed, on="subject", how="full", coalesce=True)


def _summary(facts: ReportFacts) -> list[pl.DataFrame]:
    """Sent = what became of it; rejected = the rejects by reason; open = what is in flight."""
    summary = facts.summary.rename({"partner": "subject"})
    sent, outcome = pl.col("state") == "sent", pl.col("state").is_in(OUTCOMES)
    waiting = pl.col("state").is_in(("pending", "held"))
    totals = summary.group_by("subject").agg(
        *(pl.col(name).filter(sent).sum().alias(f"sent_{name}") for name in ("count", "points", "minor")),
        *(pl.col(name).filter(outcome).sum().alias(f"outcome_{name}") for name in ("count", "points", "minor")),
        *(pl.col(name).filter(pl.col("state") == "rejected").sum().alias(f"rejected_{name}") for name in (
            "count", "points")),
        waiting=pl.col("points").filter(waiting).sum(),
        valued=pl.col("minor").is_not_null().any(),
    )  # fmt: skip
    rejects = facts.rejects.group_by(subject="partner").agg(pl.col("count", "points").sum())
    in_flight = facts.clearing.filter(pl.col("account") == "in_flight")
    flying = in_flight.group_by(subject="partner").agg(pl.col("closing").sum())
    rejected = _beside(totals, rejects)
    currency, valued = facts.cover["currency"], totals.filter("valued")
    what, reasons = "Sent = the sum of its outcomes", "Rejected = the rejects by reason"
    count, points = pl.col("count"), pl.col("points")
    return [
        _tie(totals, "1", what, RECORDS, stated=pl.col("sent_count"), summed=pl.col("outcome_count")),
        _tie(totals, "1", what, POINTS, stated=pl.col("sent_points"), summed=pl.col("outcome_points")),
        _tie(valued, "1", what, currency, stated=pl.col("sent_minor"), summed=pl.col("outcome_minor")),
        _tie(rejected, "8", reasons, RECORDS, stated=pl.col("rejected_count"), summed=count),
        _tie(rejected, "8", reasons, POINTS, stated=pl.col("rejected_points"), summed=points),
        _tie(
            _beside(totals, flying),
            "10",
            "Pending and held = the clearing account",
            POINTS,
            stated=pl.col("waiting"),
            summed=pl.col("closing"),
        ),
    ]


def _files(facts: ReportFacts) -> list[pl.DataFrame]:
    """Each file's rows, and the same file in the book."""
    files = facts.files.with_columns(subject=pl.col("name"))
    posted = files.filter(pl.col("posting").is_not_null())
    stage1 = facts.stage1.select(
        "posting", *(pl.col(name).alias(f"book_{name}") for name in (*_FROM_FILES, "points_net"))
    )
    both = posted.join(stage1, on="posting", how="full", coalesce=True).with_columns(
        subject=pl.format("posting {}", "posting")
    )
    quarantine = facts.quarantine.group_by("order").agg(listed=pl.col("count").sum())
    listed = files.join(quarantine, on="order", how="full", coalesce=True).with_columns(
        subject=pl.format("file {}", "order")
    )
    return [
        _tie(files, "2", "Lines = envelope + records", RECORDS, stated=pl.col("lines"),
             summed=pl.col("envelope_lines") + pl.col("records")),
        _tie(files, "2", "Records = accepted + quarantined", RECORDS, stated=pl.col("records"),
             summed=pl.col("accepted") + pl.col("quarantined")),
        _tie(listed, "2", "Quarantined = the rows by code", RECORDS, stated=pl.col("quarantined"),
             summed=pl.col("listed")),
        *(
            _tie(both, "2", f"File = book: {name.replace('_', ' ')}", POINTS if name == "points_net" else RECORDS,
                 stated=pl.col(name), summed=pl.col(f"book_{name}"))
            for name in (*_FROM_FILES, "points_net")
        ),
    ]  # fmt: skip


def _balance(facts: ReportFacts) -> list[pl.DataFrame]:
    """Both stages of the mass balance."""
    stage1 = facts.stage1.with_columns(subject=pl.format("posting {}", "posting"))
    stage2 = facts.stage2.with_columns(subject=pl.format("posting {} {} {}", "posting", "event", "side"))
    became = pl.sum_horizontal(*DISPOSITIONS, "unexplained_rows")
    return [
        _tie(stage1, "2", "Accepted = dispositions + unexplained", RECORDS, stated=pl.col("accepted"), summed=became),
        _tie(stage1, "2", "Net = positive + negative", POINTS, stated=pl.col("points_net"),
             summed=pl.col("points_positive") + pl.col("points_negative")),
        _tie(stage2, "2", "Records = in a batch + pending + none", RECORDS, stated=pl.col("records"),
             summed=pl.sum_horizontal("in_batch", "pending", "none")),
    ]  # fmt: skip


def _tie_out(facts: ReportFacts) -> list[pl.DataFrame]:
    """Each statement's own sums, and the entries by hand that it takes off."""
    stated = facts.tie_out.with_columns(subject=pl.format("{} {}", "account", "currency"))
    listed = facts.tie_out_by_hand.group_by("currency", subject=pl.format("{} {}", "account", "currency")).agg(
        listed=pl.col("minor").sum()
    )
    by_hand = stated.join(listed, on=["subject", "currency"], how="full", coalesce=True)
    unit = pl.col("currency")
    a, b, c, d, e, f, g, h = (pl.col(f"{name}_minor") for _, name, _ in LINES)
    return [
        _tie(stated, "3", "Adjusted GL = A + B \N{MINUS SIGN} C", unit, stated=d, summed=a + b - c),
        _tie(stated, "3", "Adjusted ledger = E + F", unit, stated=g, summed=e + f),
        _tie(stated, "3", "Unexplained = D \N{MINUS SIGN} G", unit, stated=h, summed=d - g),
        _tie(by_hand, "3", "Posted by hand = the entries listed", unit, stated=c, summed=pl.col("listed")),
    ]


def _breaks(facts: ReportFacts) -> list[pl.DataFrame]:
    """Breaks by code against the list, and their money; differences of matches; clearing accounts."""
    listed = facts.breaks.group_by(subject="code").agg(rows=pl.len())
    carried = facts.movements.group_by(subject="code").agg(pl.col("carried").sum())
    matches = facts.matches.with_columns(subject=pl.format("{} {}", "partner", "match_pass"))
    accounts = [
        frame.with_columns(subject=pl.format("{} {}", "account", "partner"))
        for frame in (facts.clearing, facts.companies, facts.owed)
    ]
    moved = pl.col("opening") + pl.col("points_in") - pl.col("points_out")
    ours, theirs = pl.col("points_ours"), pl.col("points_theirs")
    charged = facts.breaks.filter(pl.col("amount_difference_minor").is_not_null()).rename({"break_id": "subject"})
    return [
        _tie(matches, "5", "Difference = ours \N{MINUS SIGN} theirs", POINTS, stated=pl.col("difference"),
             summed=ours - theirs),
        _tie(_beside(carried, listed), "6", "Breaks carried forward = the break list", RECORDS,
             stated=pl.col("carried"), summed=pl.col("rows")),
        _tie(charged, "7", "Difference in money = ours \N{MINUS SIGN} theirs", pl.col("currency"),
             stated=pl.col("amount_difference_minor"),
             summed=pl.col("amount_ours_minor") - pl.col("amount_theirs_minor")),
        *(_tie(frame, "10", "Closing = opening + in \N{MINUS SIGN} out", POINTS, stated=pl.col("closing"), summed=moved)
          for frame in accounts),
    ]  # fmt: skip


def _money(facts: ReportFacts) -> list[pl.DataFrame]:
    """Debits and credits, each currency for itself."""
    journals = facts.journals.with_columns(subject=pl.format("{} {}", "journal_id", "target"))
    debit, credit = pl.col("debit_minor"), pl.col("credit_minor")
    return [_tie(journals, "11", "Debits = credits", pl.col("currency"), stated=debit, summed=credit)]


def _scorecard(facts: ReportFacts) -> list[pl.DataFrame]:
    """Parts and their whole; the day's answers in the book; breaks that a partner must act on, in the break list."""
    figures = facts.scorecard.with_columns(subject=pl.format("{} {}", "partner", "window"))
    due = figures.filter(pl.col("figure").is_in(DUE_STATES)).group_by("subject").agg(
        stated=pl.col("denominator").first(), summed=pl.col("numerator").sum()
    )  # fmt: skip
    part = pl.col("part") != ""
    in_parts = figures.filter(part.any().over("figure") & ~pl.col("figure").is_in(PARTS_ONLY)).group_by(
        "unit", subject=pl.format("{} {}", "figure", "subject")
    ).agg(stated=pl.col("numerator").filter(~part).sum(), summed=pl.col("numerator").filter(part).sum())  # fmt: skip
    answers = facts.scorecard_records.filter(pl.col("side") == "theirs").group_by("posting").agg(pl.col("count").sum())
    booked = facts.stage1.join(answers, on="posting").with_columns(subject=pl.format("posting {}", "posting"))
    listed = _must_act(facts.breaks.with_columns(at_stake=at_stake(), money=money_at_stake()))
    listed = listed.join(facts.scorecard.select("partner").unique(), on="partner", how="semi")
    today = facts.scorecard_breaks.filter(pl.col("as_of").dt.to_string() == facts.cover["business_date"])
    both = _beside(
        _must_act(today).group_by(subject="partner").agg(pl.col("count", "points", "charged_minor").sum()),
        listed.group_by(subject="partner").agg(pl.col("at_stake", "money").sum(), rows=pl.len()),
    )
    charged, currency = both.filter((pl.col("charged_minor") > 0) | (pl.col("money") > 0)), facts.cover["currency"]
    stated, summed = pl.col("stated"), pl.col("summed")
    open_ones = "Open breaks that a partner must act on = the break list, but for files"
    units = pl.when(pl.col("unit") == "points").then(pl.lit(POINTS)).otherwise(pl.lit(RECORDS))
    return [
        _tie(due, "14", "Files expected = on time + late + refused + missing", RECORDS, stated=stated, summed=summed),
        _tie(in_parts, "14", "Figure = its parts", units, stated=stated, summed=summed),
        _tie(booked, "14", "Answers = accepted records of the book", RECORDS, stated=pl.col("count"),
             summed=pl.col("accepted")),
        _tie(both, "14", open_ones, RECORDS, stated=pl.col("count"), summed=pl.col("rows")),
        _tie(both, "14", open_ones, POINTS, stated=pl.col("points"), summed=pl.col("at_stake")),
        _tie(charged, "14", open_ones, currency, stated=pl.col("charged_minor"), summed=pl.col("money")),
    ]  # fmt: skip


def _must_act(breaks: pl.DataFrame) -> pl.DataFrame:
    """Breaks that a partner must act on, but for those of files: some of these are ours."""
    codes = [label(code) for code in QUESTIONS if code not in OF_FILES]
    return breaks.filter(pl.col("code").is_in(codes))
