"""The sections of a report and the tables in each, numbered as finance expects them.

Here: which facts stand where, under which words. Not here: the form of a table (``tables``) or HTML (``html``).
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from counterfoil.reconcile.breaks import BUCKETS, OLDEST_BUCKET, at_stake, money_at_stake
from counterfoil.reconcile.tie_out import LINES
from counterfoil.reports import scorecard
from counterfoil.reports.facts import DISPOSITIONS, STATES, ReportFacts
from counterfoil.reports.tables import (
    Column,
    Table,
    count,
    day,
    make_table,
    money,
    ordinal,
    points,
    text,
    words,
)
from counterfoil.reports.ties import POINTS, RECORDS, ties
from counterfoil.reports.verdict import told_breaks, worst_first

STORY: Final = "stories/{}.html"
"""Where the story of a break lies, from the report's page."""


@dataclass(frozen=True)
class Section:
    """One numbered section; ``wide`` ones are printed on landscape sheets."""

    number: str
    title: str
    note: str
    tables: tuple[Table, ...]
    wide: bool = False


def sections(facts: ReportFacts) -> tuple[Section, ...]:
    """Sections 2 and on; 0 and 1, the first page, are the template's own."""
    return (
        Section("2", "File control", "Every file of the day, and where each of its records went.", _files(facts),
                wide=True),
        Section("3", "Balance proof", "Each account as the general ledger states it, beside our journals: H must be 0.",
                _balances(facts), wide=True),
        Section("5", "Match summary", "What was sent, what became of it, and how answers found it.", _matches(facts)),
        Section("6", "Breaks by type and age", _bases(facts), _breaks(facts)),
        Section("7", "Break list", "Most severe first, oldest first within a severity; in transit last.",
                (_break_list(facts),), wide=True),
        Section("8", "Rejects", "What the partner refused; the points went back to where they came from.",
                (_rejects(facts),)),
        Section("9", "Decisions", "What people decided on the day: who, why, and who approved it.",
                (_decisions(facts),), wide=True),
        Section("10", "Suspense and clearing", "Clearing returns to zero for each request; what stays is open.",
                (_clearing(facts), *_companies(facts), _owed(facts))),
        Section("11", "Journals", "Money, each currency for itself; points are a memo quantity.", (_journals(facts),)),
        Section("12", "Downstream", "What was handed to the CRM. Each batch follows from its postings alone.",
                (_downstream(facts),)),
        Section("14", "Partner scorecard", scorecard.NOTE, scorecard.tables(facts), wide=True),
    )  # fmt: skip


def outcome_table(facts: ReportFacts) -> Table:
    """The first page's figures: each state over all partners."""
    summed = facts.summary.group_by("state").agg(
        pl.col("count", "points").sum(),
        minor=pl.when(pl.col("minor").is_not_null().any()).then(pl.col("minor").sum()),
    )
    order = pl.DataFrame({"state": STATES})
    ordered = order.join(summed, on="state", how="left").with_columns(pl.col("count", "points").fill_null(0))
    return make_table(
        "Requests of the day and what became of them",
        ordered,
        [words("State", "state"), count("Requests", "count", total=False), points("Points", "points", total=False),
         money(f"Money, {facts.cover['currency']}", "minor", currency=facts.cover["currency"])],
        note="Sent = confirmed + rejected + reversed + refunded + written off + pending + held; variance stands apart. "
        "By partner in section 5.",
        lead=pl.col("state") == "sent",
    )  # fmt: skip


def tie_tables(facts: ReportFacts) -> tuple[Table, ...]:
    """How often each sum was tried and what it came to; records, points and each currency apart."""
    found = ties(facts)
    units = [RECORDS, POINTS, *sorted(set(found["unit"]) - {RECORDS, POINTS})]
    return tuple(_tie_table(found.filter(pl.col("unit") == unit), unit) for unit in units)


def _tie_table(found: pl.DataFrame, unit: str) -> Table:
    summed = found.group_by("section", "tie", maintain_order=True).agg(
        checks=pl.len(),
        stated=pl.col("stated").sum(),
        summed=pl.col("summed").sum(),
        broken=(pl.col("stated") != pl.col("summed")).sum(),
    )

    def figure(label: str, key: str) -> Column:
        if unit in {RECORDS, POINTS}:
            return count(label, key, total=False)
        return money(label, key, currency=unit)

    return make_table(
        f"Ties in {unit}",
        summed,
        [text("Section", "section"), text("What must agree", "tie"), count("Checks", "checks"),
         figure("Stated", "stated"), figure("Rows sum to", "summed"), count("Not tied", "broken")],
        csv="ties.csv",
    )  # fmt: skip


def _files(facts: ReportFacts) -> tuple[Table, ...]:
    disposition = [count(name.replace("_", " ").capitalize(), name) for name in DISPOSITIONS]
    return (
        make_table("2.1 Files", facts.files, [
            ordinal("No.", "order"), text("File, identity", "name", "identity"), text("Feed", "feed"),
            day("Business day, received", "business_date", "received_at"), count("Lines", "lines"),
            count("Envelope", "envelope_lines"),
            count("Records", "records"), count("Accepted", "accepted"), count("Quarantined", "quarantined"),
            points("Points, net", "points_net", total=False), words("Verdict, state", "verdict", "state"),
            ordinal("Posting", "posting"), Column("SHA-256", ("payload_sha",), "hash"),
        ], note="Lines = envelope + records; records = accepted + quarantined.", csv="files.csv", css="dense"),
        make_table("2.2 Files with a message", facts.files.filter(pl.col("message").is_not_null()), [
            ordinal("No.", "order"), text("File", "name"), text("Code", "code"), text("Message", "message"),
        ], csv="files.csv"),
        make_table("2.3 Control totals", facts.controls, [
            ordinal("No.", "order"), text("File", "name"), text("Total", "control"),
            count("Declared", "declared", total=False), count("Computed", "computed", total=False),
            Column("Holds", ("holds",), "truth"),
        ], note="As the partner declares them in the file, beside what its records hold.", csv="controls.csv"),
        make_table("2.4 Mass balance, stage 1, in records", facts.stage1, [
            ordinal("Posting", "posting"), text("File", "name"), count("Accepted", "accepted"), *disposition,
            count("Unexplained", "unexplained_rows"),
        ], note="Each accepted record has exactly one disposition.", csv="stage1.csv", css="dense"),
        make_table("2.5 Mass balance, stage 1, in points", facts.stage1, [
            ordinal("Posting", "posting"), text("File", "name"), points("Positive", "points_positive"),
            points("Negative", "points_negative"), points("Net", "points_net"),
            points("Unexplained", "unexplained_points"),
        ], csv="stage1.csv"),
        make_table("2.6 Mass balance, stage 2", facts.stage2, [
            ordinal("Posting", "posting"), text("Feed", "feed"), words("Event", "event"), text("Side", "side"),
            count("Records", "records"), count("In a batch", "in_batch"), count("Pending", "pending"),
            count("None", "none"), text("Because", "cause"), Column("Batch", ("batch",), "hash"),
        ], note="Every outcome is on its way to the CRM and to the journal, or there is a reason why not.",
            csv="stage2.csv"),
        make_table("2.7 Quarantined rows by code", facts.quarantine, [
            ordinal("No.", "order"), text("File", "name"), text("Code", "code"), text("Meaning", "summary"),
            count("Rows", "count"),
        ], csv="quarantine.csv"),
        make_table("2.8 Feeds that failed", facts.failed_feeds, [
            text("Feed", "feed"), text("Code", "code"), text("Message", "message"),
        ], csv="failed_feeds.csv"),
    )  # fmt: skip


def _balances(facts: ReportFacts) -> tuple[Table, ...]:
    lines = [
        money(f"{letter} {short}", f"{name}_minor", currency="currency")
        for (letter, name, _), short in zip(LINES, (
            "Per GL", "Not yet posted", "By hand", "Adjusted GL", "Per ledger", "After cut-off", "Adjusted ledger",
            "Unexplained",
        ), strict=True)
    ]  # fmt: skip
    return (
        make_table("3.1 Tie-out with the general ledger", facts.tie_out, [
            text("Account", "account", "name"), text("Currency", "currency"), day("As of", "as_of"), *lines,
            words("State", "state"), Column("Break", ("break_id",), "hash"),
            Column("File, line", ("file", "line"), "file"),
        ], note="D = A + B \N{MINUS SIGN} C, G = E + F, H = D \N{MINUS SIGN} G; a credit is positive. The newest "
            "extract of each account counts.", csv="tie_out.csv", css="dense"),
        make_table("3.2 Journals posted by hand in the general ledger", facts.tie_out_by_hand, [
            text("Account", "account"), text("Currency", "currency"), day("As of", "as_of"),
            text("Reference there", "reference"), money("Amount", "minor", currency="currency"),
        ], csv="tie_out_by_hand.csv"),
    )  # fmt: skip


def _matches(facts: ReportFacts) -> tuple[Table, ...]:
    currency = facts.cover["currency"]
    order = pl.col("state").replace_strict(dict(zip(STATES, range(len(STATES)), strict=True)), return_dtype=pl.Int64)
    return (
        make_table("5.1 Outcome by partner", facts.summary.sort("partner", order), [
            text("Partner", "partner"), words("State", "state"), count("Requests", "count", total=False),
            points("Points", "points", total=False), money(f"Money, {currency}", "minor", currency=currency),
        ], note="Sent is the sum of the states below it, without variance.", csv="summary.csv",
            lead=pl.col("state") == "sent"),
        make_table("5.2 Matches by pass", facts.matches, [
            text("Partner", "partner"), words("Pass", "match_pass"), count("Answers", "count"),
            points("Points, ours", "points_ours"), points("Points, theirs", "points_theirs"),
            points("Difference", "difference"),
        ], csv="matches.csv"),
    )  # fmt: skip


def _bases(facts: ReportFacts) -> str:
    return (
        f"Ages are {facts.cover['clock']}. Points at stake: the difference or, where there is none, the points of the "
        "item; never netted. Money at stake: the difference or, without a rate, the charge. In transit is not a break."
    )


def _breaks(facts: ReportFacts) -> tuple[Table, ...]:
    names = [*(name for _, name in BUCKETS), OLDEST_BUCKET]
    staked = facts.breaks.with_columns(at_stake=at_stake(), one=pl.lit(1))
    in_bucket = {name: pl.col("bucket") == name for name in names}

    def by_age(measure: pl.Expr) -> pl.DataFrame:
        columns = {name: measure.filter(here).sum().cast(pl.Int64) for name, here in in_bucket.items()}
        return staked.group_by("code", "title").agg(**columns, total=measure.sum().cast(pl.Int64)).sort("code")

    moved = facts.movements.select(
        "code", "title", brought=pl.col("carried") - pl.col("opened") + pl.col("cleared"), opened="opened",
        cleared="cleared", carried="carried",
    )  # fmt: skip
    labels = [(name, name.replace("-", "–")) for name in names]
    return (
        make_table("6.1 Count by type and age in days", by_age(pl.col("one")), [
            text("Type", "code"), text("", "title"), *(count(label, name) for name, label in labels),
            count("All", "total"),
        ], csv="breaks.csv"),
        make_table("6.2 Points at stake by type and age in days", by_age(pl.col("at_stake")), [
            text("Type", "code"), text("", "title"), *(points(label, name) for name, label in labels),
            points("All", "total"),
        ], csv="breaks.csv"),
        make_table("6.3 Movement since the last report", moved, [
            text("Type", "code"), text("", "title"), count("Brought forward", "brought"), count("Opened", "opened"),
            count("Cleared", "cleared"), count("Carried forward", "carried"),
        ], note="Brought forward + opened − cleared = carried forward, which is the break list.",
            csv="movements.csv"),
        *_money_by_age(staked, in_bucket, labels),
    )  # fmt: skip


def _money_by_age(
    staked: pl.DataFrame, in_bucket: dict[str, pl.Expr], labels: list[tuple[str, str]]
) -> tuple[Table, ...]:
    """Each currency for itself; no table on a day without a break about money."""
    about = staked.filter(pl.col("currency").is_not_null())
    if about.is_empty():
        return ()
    stake = money_at_stake()
    columns = {name: stake.filter(here).sum() for name, here in in_bucket.items()}
    by_age = about.group_by("currency", "code", "title").agg(**columns, total=stake.sum()).sort("currency", "code")
    return (
        make_table("6.4 Money at stake by type and age in days", by_age, [
            text("Type", "code"), text("", "title"), text("Currency", "currency"),
            *(money(label, name, currency="currency") for name, label in labels),
            money("All", "total", currency="currency"),
        ], csv="breaks.csv"),
    )  # fmt: skip


def _break_list(facts: ReportFacts) -> Table:
    told = pl.col("break_id").is_in(told_breaks(facts.breaks).implode())
    listed = worst_first(facts.breaks).with_columns(
        type=pl.format("{} {}", "code", "title"), story=pl.when(told).then(pl.format(STORY, "break_id"))
    )
    return make_table("7.1 Open breaks", listed, [
        Column("Break", ("break_id",), "hash", link="story"), Column("Severity", ("severity",), "severity"),
        Column("Type, next step", ("type", "next_step"), "wordy"), text("Partner", "partner"),
        text("Our ref., their ref.", "our_ref", "their_ref"), text("Member", "member"),
        points("Points, ours", "points_ours", total=False), points("Points, theirs", "points_theirs", total=False),
        points("Difference", "difference", total=False), *_amounts(facts),
        day("Value date, opened", "value_date", "opened_on"),
        count("Age, days", "age_days", total=False), words("State, owner", "state", "owner"),
        day("Due", "due"), Column("File, line", ("file", "line"), "file"),
    ], note="The worst lead to their stories.", csv="breaks.csv", css="dense")  # fmt: skip


def _amounts(facts: ReportFacts) -> list[Column]:
    """Columns of money, on a day with breaks about it."""
    if facts.breaks["currency"].null_count() == facts.breaks.height:
        return []
    return [
        money("Amount, ours", "amount_ours_minor", currency="currency"),
        money("Amount, theirs", "amount_theirs_minor", currency="currency"),
        money("Difference", "amount_difference_minor", currency="currency"), text("Currency", "currency"),
    ]  # fmt: skip


def _rejects(facts: ReportFacts) -> Table:
    return make_table("8.1 Rejects by reason", facts.rejects, [
        text("Partner", "partner"), text("Reason", "reason"), text("Partner's words", "text"),
        count("Requests", "count"), points("Points", "points"), Column("Send again?", ("retryable",), "truth"),
    ], csv="rejects.csv")  # fmt: skip


def _decisions(facts: ReportFacts) -> Table:
    currency = facts.cover["currency"]
    return make_table("9.1 Decisions, adjustments and write-offs", facts.decisions, [
        text("Decision, undone by", "decision", "undone_by"), text("When", "decided_at"), text("Who", "sender"),
        words("What", "action"), Column("About", ("subject",), "hash"), points("Points", "points", total=False),
        money(f"Money, {currency}", "minor", currency=currency), text("Why", "reason"),
        text("Approved by", "approved_by"),
    ], note="A decision is named by its posting and line; about: a break, a file's hash, a decision or a month.",
        csv="decisions.csv", css="dense")  # fmt: skip


def _clearing(facts: ReportFacts) -> Table:
    return make_table("10.1 Suspense and clearing accounts, in points", facts.clearing, [
        words("Account", "account"), text("Partner", "partner"), points("Opening", "opening", total=False),
        points("In", "points_in", total=False), points("Out", "points_out", total=False),
        points("Closing", "closing", total=False), day("Oldest item", "oldest"), count("Over 30 days", "over_30_days"),
    ], note="Closing = opening + in − out. What is in flight is the pending and held requests of section 5.",
        csv="clearing.csv")  # fmt: skip


def _companies(facts: ReportFacts) -> tuple[Table, ...]:
    """What companies own and have promised their people; no table for a programme without companies."""
    if facts.companies.is_empty():
        return ()
    return (
        make_table("10.2 Companies: balances, budgets and promised points", facts.companies, [
            words("Account", "account"), text("Company", "partner"), points("Opening", "opening", total=False),
            points("In", "points_in", total=False), points("Out", "points_out", total=False),
            points("Closing", "closing", total=False), day("Oldest promise", "oldest"),
            count("Over 30 days", "over_30_days"),
        ], note="Closing = opening + in − out. Scheduled points wait for a day, unclaimed ones for their recipient.",
            csv="companies.csv"),
    )  # fmt: skip


def _owed(facts: ReportFacts) -> Table:
    return make_table("10.3 Owed to members, partners and suppliers, in points", facts.owed, [
        words("Account", "account"), text("Partner", "partner"), points("Opening", "opening"),
        points("In", "points_in"), points("Out", "points_out"), points("Closing", "closing"),
    ], note="Closing = opening + in − out. Reserved points are of orders that nobody has paid or filled yet.",
        csv="owed.csv")  # fmt: skip


def _journals(facts: ReportFacts) -> Table:
    return make_table("11.1 Journals", facts.journals, [
        text("Journal", "journal_id"), day("Date", "accounting_date"), count("Lines", "lines", total=False),
        text("Currency", "currency"), money("Debits", "debit_minor", currency="currency"),
        money("Credits", "credit_minor", currency="currency"), points("Points, memo", "points", total=False),
        text("Target", "target"), text("File", "file"),
    ], note="The same journal for each target it was written for.", csv="journals.csv")  # fmt: skip


def _downstream(facts: ReportFacts) -> Table:
    return make_table("12.1 Batches", facts.downstream, [
        text("Target", "target"), Column("Batch", ("batch_id",), "hash"), text("Object", "object"),
        ordinal("After posting", "from_n"), ordinal("to posting", "to_n"),
        count("Rows", "rows", total=False), count("Parts", "parts", total=False),
        points("Points", "points", total=False), words("State", "state"),
    ], csv="downstream.csv")  # fmt: skip
