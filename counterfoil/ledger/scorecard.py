"""What a partner's scorecard is added up from: its files, its answers and its open breaks over the months compared.

Here: the reads, one pass each, limited to the postings of those months. Not here: when files came (``partner_files``),
the sums (``reconcile.scoring``), or what a partner is asked about single breaks (``disputes``). Only what a partner
sends counts against it: hand-backs; requests are ours. A closed day keeps its rows whatever is posted later.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import polars as pl

from counterfoil.feed import Feed, FeedKind
from counterfoil.landing.index import ArrivalIndex
from counterfoil.ledger import charged
from counterfoil.ledger.extracts import code_and_title
from counterfoil.ledger.figures import reasons_in_words
from counterfoil.ledger.known import Known, Moment, known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import RECORD_SPAN, TRANSFERS_PER_RECORD, BreakEvent, Disposition, MatchPass
from counterfoil.ledger.partner_files import Span, partner_files, postings_of
from counterfoil.money import value_points
from counterfoil.reconcile import breaks, scoring
from counterfoil.reconcile.questions import QUESTIONS
from counterfoil.reconcile.scoring import BREAKS, RECORDS, Window

THEIRS: Final = (FeedKind.HANDBACK, FeedKind.ACTIVITY, FeedKind.VOUCHER_FULFILMENT)
"""Kinds of feed that a partner sends."""

_ASKED: Final = ", ".join(f"{code:d}" for code in QUESTIONS)

_OF_FILES: Final = ", ".join(f"{code:d}" for code in breaks.OF_FILES)

_NOT_PLAIN: Final = f"(disposition <> {Disposition.SETTLED:d} OR match_pass > {MatchPass.EXACT:d})"
"""Nearly all records settle by the exact key; their number follows from the mass balance, so that nobody has to count
them. (Half the time of asking for those that are not among the plain ones.)"""

_UNMATCHED: Final = (MatchPass.SUGGESTED, MatchPass.AMBIGUOUS, MatchPass.GAVE_UP)


@dataclass(frozen=True, eq=False)
class Scorecard:
    """FIGURES as of a programme day, and FILES, RECORDS and BREAKS that they are sums of; see ``reconcile.scoring``."""

    day: date
    windows: tuple[Window, ...]
    figures: pl.DataFrame
    files: pl.DataFrame
    records: pl.DataFrame
    breaks: pl.DataFrame

    @property
    def partners(self) -> list[str]:
        """Whose scorecard it is, by name."""
        return self.figures["partner"].unique().sort().to_list()

    def of(self, partner: str) -> "Scorecard":
        """The part of one partner."""
        here = pl.col("partner") == partner
        return replace(
            self,
            figures=self.figures.filter(here),
            files=self.files.filter(here),
            records=self.records.filter(here),
            breaks=self.breaks.filter(here),
        )


def scorecard(
    book: Lookups, index: ArrivalIndex, feeds: Sequence[Feed], *, day: date, moment: Moment, currency: str
) -> Scorecard:
    """Every partner that one of ``feeds`` expects files from, as of the end of a day and as known at a moment.

    Money is at the programme's rate in force at the end of each window.
    """
    windows = scoring.windows(day)
    at = known(book, day, moment.n)
    span = Span(at, min(window.first for window in windows))
    theirs = [feed for feed in feeds if feed.kind in THEIRS]
    answers = postings_of(book, span, theirs)
    ends = sorted({window.last for window in windows})
    rates = _rates(book, at, currency, ends)
    files = partner_files(book, index, theirs, span=span, moment=moment, postings=answers)
    asked = postings_of(book, span, [feed for feed in feeds if feed.kind is FeedKind.REQUESTS])
    records = pl.concat([_answers(book, at, answers), _requests(book, asked)])
    standing = _breaks(book, at, ends, rates, theirs)
    figures = scoring.figures(
        windows,
        files=files,
        records=records,
        breaks=standing,
        rates=rates,
        budgets=_budgets(theirs),
        reasons=_in_words(records, theirs),
    )
    return Scorecard(day, windows, figures, files, records, standing)


def _answers(book: Lookups, at: Known, postings: pl.DataFrame) -> pl.DataFrame:
    """RECORDS of hand-backs, by posting: what is not plain is counted, the rest is what the mass balance leaves.

    What was tolerated and taken back since is not tolerated, as for the budget (``Lookups.tolerated``).
    """
    first, last = _ends(postings)
    counted = book.frame(
        f"""WITH told AS (
                SELECT file_id, disposition, match_pass, reason_id, count(*) AS count, sum(abs(points)) AS points
                FROM book.disposition WHERE file_id BETWEEN {first} AND {last} AND {_NOT_PLAIN} GROUP BY ALL
            )
            SELECT t.file_id AS n, t.disposition, t.match_pass, r.reason, t.count, CAST(t.points AS BIGINT) AS points
            FROM told t JOIN answering a ON a.n = t.file_id LEFT JOIN book.reason r ON r.reason_id = t.reason_id""",
        answering=postings.select("n"),
    )
    tolerated = book.frame(
        f"""SELECT m.file_id AS n, m.match_pass, CAST(sum(abs(m.difference)) AS BIGINT) AS tolerated FROM book.match m
            WHERE m.file_id BETWEEN {first} AND {last} AND m.match_pass = {MatchPass.TOLERANCE:d}
              AND NOT EXISTS (SELECT 1 FROM book.reversal r
                              WHERE {at.counts("r.file_id")} AND r.reverses // {TRANSFERS_PER_RECORD} =
                                  CAST(m.file_id AS BIGINT) * {RECORD_SPAN} + m.line_no)
            GROUP BY ALL"""
    )
    others = counted.group_by("n").agg(pl.col("count", "points").sum())
    plain = (
        _balance(book, postings, "accepted")
        .join(others, on="n", how="left", suffix="_others")
        .select(
            "n",
            count=pl.col("count") - pl.col("count_others").fill_null(0),
            points=pl.col("points") - pl.col("points_others").fill_null(0),
            match_pass=pl.lit(MatchPass.EXACT.value),
        )
        .filter(pl.col("count") > 0)
    )
    found = pl.concat([counted, plain, tolerated], how="diagonal_relaxed").with_columns(
        pl.col("disposition").fill_null(Disposition.SETTLED.value), pl.col("count", "points", "tolerated").fill_null(0)
    )
    words = {"found": _found(), "became": _word("disposition", Disposition), "side": pl.lit("theirs")}
    return _dated(found.with_columns(**words), postings)


def _requests(book: Lookups, postings: pl.DataFrame) -> pl.DataFrame:
    """RECORDS of requests that were sent, by posting."""
    sent = _balance(book, postings, "settled").filter(pl.col("count") > 0)
    said = {"found": "sent", "became": "settled", "side": "ours", "reason": None, "tolerated": 0}
    return _dated(sent.with_columns(pl.lit(value).alias(name) for name, value in said.items()), postings)


def _found() -> pl.Expr:
    """How an answer found its request, in the words of ``reconcile.scoring``."""
    disposition, name = pl.col("disposition"), _word("match_pass", MatchPass)
    nothing = pl.col("match_pass") == MatchPass.NONE.value
    unmatched = pl.col("match_pass").is_in([one.value for one in _UNMATCHED])
    return (
        pl.when(disposition == Disposition.DUPLICATE.value)
        .then(pl.lit(scoring.REPEATED))
        .when(nothing)
        .then(pl.lit("unknown"))
        .when((disposition == Disposition.OPEN_THEIRS.value) & ~unmatched)
        .then(pl.lit("unsettled"))
        .otherwise(name)
    )


def _word(column: str, words: type[Disposition] | type[MatchPass]) -> pl.Expr:
    return pl.col(column).replace_strict({word.value: word.name.lower() for word in words}, return_dtype=pl.String)


def _balance(book: Lookups, postings: pl.DataFrame, part: str) -> pl.DataFrame:
    """A part of the mass balance of postings: n, count, points (signs apart)."""
    first, last = _ends(postings)
    return book.frame(
        f"""SELECT m.file_id AS n, m.records AS count, m.positive - m.negative AS points
            FROM book.mass_balance m JOIN wanted w ON w.n = m.file_id
            WHERE m.file_id BETWEEN {first} AND {last} AND m.part = '{part}'""",
        wanted=postings.select("n"),
    )


def _dated(found: pl.DataFrame, postings: pl.DataFrame) -> pl.DataFrame:
    """RECORDS, from rows that name their posting ``n``."""
    named = found.join(postings.select("n", "partner", "feed", "day"), on="n").rename({"n": "posting"})
    sums = ("count", "points", "tolerated")
    keys = [name for name in RECORDS if name not in sums]
    summed = named.group_by(keys).agg(pl.col(sums).sum()).sort(keys)
    return summed.select(pl.col(name).cast(kind) for name, kind in RECORDS.items())


def _ends(postings: pl.DataFrame) -> tuple[int, int]:
    """The first and last of some postings: between them the book skips whole blocks of rows."""
    return (postings["n"][0], postings["n"][-1]) if postings.height else (1, 0)


def _breaks(
    book: Lookups, at: Known, ends: Sequence[date], rates: pl.DataFrame, theirs: Sequence[Feed]
) -> pl.DataFrame:
    """BREAKS at the end of each of some days, those that partners must act on: their last event was no clearing.

    Only a break that is open now, or was touched since the first of these days, can have been open on one of them.
    """
    touched = book.row("SELECT min(n) FROM book.posting WHERE on_day > ?", ends[0])
    since = at.n + 1 if touched is None or touched[0] is None else int(touched[0])
    last = ", ".join(
        f"max(CAST(file_id AS BIGINT) * 10 + event) FILTER (WHERE on_day <= DATE '{end}') AS \"{end}\"" for end in ends
    )
    told = book.frame(
        f"""WITH live AS (
                SELECT break_id FROM book.open_break
                UNION SELECT break_id FROM book.break_event WHERE file_id >= {since}
            ), told AS (
                SELECT break_id, {last} FROM book.break_event SEMI JOIN live USING (break_id)
                WHERE {at.counts()} GROUP BY break_id
            )
            SELECT p.partner, b.code, b.points_ours, b.points_theirs, coalesce(b.value_date, b.opened_on) AS since,
                   m.amount_ours_minor, m.amount_theirs_minor, t.* EXCLUDE (break_id)
            FROM told t JOIN book.break b ON b.break_id = t.break_id
            LEFT JOIN ({charged.of_breaks("SELECT * FROM book.break SEMI JOIN told USING (break_id)", at.counts())}) m
                ON m.break_id = b.break_id
            JOIN book.partner p ON p.partner_id = b.partner_id
            WHERE p.partner IN (SELECT partner FROM theirs) AND {asked_of_partner("b")}""",
        theirs=pl.DataFrame(
            {"partner": [feed.partner for feed in theirs], "feed": [feed.feed for feed in theirs]},
            schema={"partner": pl.String, "feed": pl.String},
        ),
    )
    standing = (
        told.unpivot(
            [str(end) for end in ends],
            index=[name for name in told.columns if name not in map(str, ends)],
            variable_name="as_of",
            value_name="last",
        )
        .filter(pl.col("last") % 10 != BreakEvent.CLEARED.value)
        .with_columns(as_of=pl.col("as_of").str.to_date())
    )
    return _valued(_aged(standing), rates)


def asked_of_partner(break_: str) -> str:
    """A condition on a row of ``break``: its partner must act on it. A file of ours is not the partner's to send; the
    frame ``theirs`` has the feeds (``feed``) that are."""
    return f"""({break_}.code IN ({_ASKED}) AND ({break_}.code NOT IN ({_OF_FILES})
                OR split_part({break_}.subject, ':', 1) IN (SELECT feed FROM theirs)))"""


def _aged(standing: pl.DataFrame) -> pl.DataFrame:
    """BREAKS without their value, from one break a row."""
    age = (pl.col("as_of") - pl.col("since")).dt.total_days().clip(lower_bound=0)
    return (
        standing.with_columns(age_days=age, points=breaks.at_stake(), charged_minor=breaks.money_at_stake())
        .group_by("partner", "as_of", "code", "age_days")
        .agg(pl.col("points", "charged_minor").sum(), count=pl.len())
        .with_columns(*code_and_title(), bucket=breaks.bucket(pl.col("age_days")))
        .sort("partner", "as_of", "code", "age_days")
    )


def _valued(standing: pl.DataFrame, rates: pl.DataFrame) -> pl.DataFrame:
    """Add ``minor``: steps of the rounded running total, so that a partner's rows add up to its points' value."""
    group = ["partner", "as_of"]
    rated = standing.join(rates.rename({"last": "as_of"}), on="as_of", how="left", maintain_order="left")
    has_rate = pl.col("minor").is_not_null()
    running = pl.col("points").cum_sum().over(group)
    # Both sides of a condition are computed, and a rate that is not there would stop the valuing.
    reached = value_points(running, pl.col("minor").fill_null(0), pl.col("per_points").fill_null(1))
    step = pl.col("reached") - pl.col("reached").shift(1, fill_value=0).over(group)
    valued = rated.with_columns(reached=reached).with_columns(minor=pl.when(has_rate).then(step))
    return valued.select(pl.col(name).cast(kind) for name, kind in BREAKS.items())


def _rates(book: Lookups, at: Known, currency: str, ends: Sequence[date]) -> pl.DataFrame:
    """The programme's rate in force at the end of each of some days: last, minor, per_points; null without one."""
    return book.frame(
        f"""SELECT e.day AS last, r.minor, r.per_points
            FROM ends e LEFT JOIN (
                SELECT * FROM book.rate WHERE basis = 'programme' AND currency = '{currency}' AND {at.counts()}
            ) r ON r.effective_from <= e.day
            QUALIFY row_number() OVER (
                PARTITION BY e.day ORDER BY r.effective_from DESC NULLS LAST, r.file_id DESC, r.line_no DESC) = 1
            ORDER BY e.day""",
        ends=pl.DataFrame({"day": ends}),
    )


def _budgets(theirs: Sequence[Feed]) -> pl.DataFrame:
    """partner, budget: the points that its hand-backs may tolerate in a month; null where one of them has no limit."""
    by_partner: dict[str, list[int | None]] = {}
    for feed in theirs:
        by_partner.setdefault(feed.partner, []).append(feed.tolerance_monthly_points)
    rows = [
        (partner, None if None in limits else max(limit or 0 for limit in limits))
        for partner, limits in sorted(by_partner.items())
    ]
    return pl.DataFrame(rows, schema={"partner": pl.String, "budget": pl.Int64}, orient="row")


def _in_words(records: pl.DataFrame, theirs: Sequence[Feed]) -> pl.DataFrame:
    """partner, part, text: the reasons that answers gave, in the words of the partner's feeds."""
    given = records.select("partner", "reason").drop_nulls().unique().sort("partner", "reason")
    return reasons_in_words(given, theirs).select("partner", "text", part="reason")
