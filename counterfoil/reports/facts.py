"""What a reconciliation report is made from: one frozen value of plain tables, proved when it is made.

Here: the tables, their columns and what each figure means. Not here: how they are read from the book, or shown.
"""

from dataclasses import dataclass, fields
from typing import Final

import polars as pl

from counterfoil.errors import Code
from counterfoil.invariants import require

COVER: Final = (
    "programme",
    "unit",
    "currency",
    "entity",
    "business_date",
    "zone",
    "cut_off",
    "closed",
    "posting",
    "chain_head",
    "content_head",
    "run_id",
    "data_as_of",
    "version",
    "restated",
    "software",
    "clock",
)
"""Keys of ``cover``; ``restated`` and ``closed`` (whether the day was over) are yes or no, ``clock`` says how ages are
counted."""

KNOWN_AT: Final = "known_at"
"""One more key of ``cover``, where a report shows a day as it was known at an instant."""

OUTCOMES: Final = ("confirmed", "rejected", "reversed", "refunded", "written_off", "pending", "held")
"""What becomes of what was sent; the sum of these is ``sent``. ``variance`` stands apart."""

STATES: Final = ("sent", *OUTCOMES, "variance")

UNMATCHED_PASSES: Final = ("suggested", "ambiguous", "unmatched_ours", "unmatched_theirs")
"""Values of ``match_pass`` that do not count as matched."""

IN_TRANSIT: Final = "B01"
"""The break code that is no break yet: the answer is not due."""

DISPOSITIONS: Final = (
    "settled",
    "settled_group",
    "rejected",
    "reversed",
    "held",
    "open_theirs",
    "duplicate",
    "information",
)

_TYPES: Final[dict[str, pl.DataType]] = {
    "text": pl.String(),
    "whole": pl.Int64(),
    "date": pl.Date(),
    "truth": pl.Boolean(),
}

_COLUMNS: Final[dict[str, str]] = {
    "files": """order whole, feed text, partner text, name text, identity text, business_date date, received_at text,
        lines whole, envelope_lines whole, records whole, accepted whole, quarantined whole, points_net whole,
        verdict text, state text, code text?, message text?, posting whole?, payload_sha text""",
    "controls": "order whole, feed text, name text, control text, declared whole, computed whole, holds truth",
    "stage1": f"""posting whole, feed text, name text, lines whole, envelope_lines whole, records whole, accepted whole,
        quarantined whole, {", ".join(f"{name} whole" for name in DISPOSITIONS)}, unexplained_rows whole,
        points_net whole, points_positive whole, points_negative whole, unexplained_points whole""",
    "stage2": """posting whole, feed text, event text, side text, records whole, in_batch whole, pending whole,
        none whole, cause text?, batch text?""",
    "tie_out": """account text, name text?, currency text, as_of date?, per_gl_minor whole?, not_posted_minor whole?,
        by_hand_minor whole?, adjusted_gl_minor whole?, per_ledger_minor whole?, after_cut_off_minor whole?,
        adjusted_ledger_minor whole?, unexplained_minor whole?, state text, posting whole?, file text?, line whole?,
        break_id text?""",
    "tie_out_by_hand": "account text, currency text, as_of date, reference text, minor whole",
    "summary": "partner text, state text, count whole, points whole, minor whole?",
    "matches": """partner text, match_pass text, count whole, points_ours whole, points_theirs whole,
        difference whole""",
    "breaks": """break_id text, code text, title text, severity text, partner text, our_ref text?, their_ref text?,
        member text?, points_ours whole?, points_theirs whole?, difference whole?, amount_ours_minor whole?,
        amount_theirs_minor whole?, amount_difference_minor whole?, currency text?, value_date date?, opened_on date,
        age_days whole, bucket text, state text, owner text, next_step text, due date?, file text, line whole?""",
    "movements": "code text, title text, opened whole, cleared whole, carried whole",
    "quarantine": "order whole, feed text, name text, code text, summary text, count whole",
    "rejects": "partner text, reason text, text text, count whole, points whole, retryable truth",
    "decisions": """decision text, decided_at text, sender text, action text, subject text, points whole,
        minor whole?, reason text, approved_by text?, undone_by text?""",
    "clearing": """account text, partner text, opening whole, points_in whole, points_out whole, closing whole,
        oldest date?, over_30_days whole""",
    "companies": """account text, partner text, opening whole, points_in whole, points_out whole, closing whole,
        oldest date?, over_30_days whole""",
    "owed": "account text, partner text, opening whole, points_in whole, points_out whole, closing whole",
    "journals": """journal_id text, accounting_date date, lines whole, currency text, debit_minor whole,
        credit_minor whole, points whole, target text, file text""",
    "downstream": """target text, batch_id text, object text, from_n whole, to_n whole, rows whole, parts whole,
        points whole, state text""",
    "failed_feeds": "feed text, code text, message text",
    "scorecard": """partner text, figure text, part text, label text, window text, first date, last date, unit text,
        numerator whole?, denominator whole?, basis_points whole?""",
    "scorecard_files": """partner text, feed text, day date, listed_as text, state text, file text, due_at text?,
        received_at text?, number_due whole?, number whole?""",
    "scorecard_records": """partner text, feed text, day date, posting whole, side text, found text, became text,
        reason text?, count whole, points whole, tolerated whole""",
    "scorecard_breaks": """partner text, as_of date, code text, title text, bucket text, age_days whole, count whole,
        points whole, minor whole?, charged_minor whole""",
}


def _parsed(columns: str) -> tuple[dict[str, pl.DataType], frozenset[str]]:
    pairs = [tuple(column.split()) for column in columns.split(",")]
    kinds = {name: _TYPES[kind.removesuffix("?")] for name, kind in pairs}
    return kinds, frozenset(name for name, kind in pairs if kind.endswith("?"))


SCHEMAS: Final[dict[str, dict[str, pl.DataType]]] = {name: _parsed(text)[0] for name, text in _COLUMNS.items()}
"""Columns and types of every table of ``ReportFacts``, in order."""

NULLABLE: Final[dict[str, frozenset[str]]] = {name: _parsed(text)[1] for name, text in _COLUMNS.items()}


def empty_table(name: str) -> pl.DataFrame:
    """The table ``name`` of ``ReportFacts`` without rows."""
    return pl.DataFrame(schema=SCHEMAS[name])


@dataclass(frozen=True, eq=False)
class ReportFacts:
    """The pure input of a report: what one business day looks like at one posting number.

    Points and minor units are Int64. The population of ``summary`` is every request that was open when the day began,
    was sent during it, or changed its state in it; so ``sent`` = the sum of OUTCOMES per partner, ``rejects`` breaks
    down ``rejected``, and pending + held points are the closing balance of the partner's ``in_flight`` account.

    - files: deliveries of the day; ``posting`` null when the file is not in the book. stage1 has a row for each posting
      of ``files`` and no other; ``quarantine`` breaks down their ``quarantined``.
    - controls: each declared total beside the computed one.
    - stage1: per posting, what the file brought and what became of it; ``points_negative`` is at most 0 and
      net = positive + negative.
    - stage2: per posting, event and ``side`` (crm, journal): records = in_batch + pending + none because of ``cause``.
    - tie_out: the newest statement of each account that the general ledger has stated, lines A to H; accounts of the
      chart that it has not stated have no amounts. tie_out_by_hand breaks down ``by_hand_minor``.
    - breaks: open ones, B01 (in transit) among them; ``member`` is masked before it comes here; difference = ours less
      theirs where both are known, ``amount_*`` the same of money in ``currency``; ``bucket``:
      ``counterfoil.reconcile.breaks.BUCKETS``.
    - movements: per code since the last report; ``carried`` is what is carried forward, so it equals the rows of
      ``breaks``; brought forward = carried - opened + cleared.
    - decisions: those posted on the day, in order; ``minor`` is null without a rate.
    - clearing: closing = opening + points_in - points_out, the two movements at least 0.
    - companies: the same of what companies own (their budgets together) and have promised; without any, no rows.
    - owed: the same of what is owed to members (all of a partner together), partners and suppliers.
    - journals: one row a journal, currency and target.
    - downstream: one row a batch and object.
    - scorecard and its rows: ``counterfoil.reconcile.scoring``.
    """

    cover: dict[str, str]
    files: pl.DataFrame
    controls: pl.DataFrame
    stage1: pl.DataFrame
    stage2: pl.DataFrame
    tie_out: pl.DataFrame
    tie_out_by_hand: pl.DataFrame
    summary: pl.DataFrame
    matches: pl.DataFrame
    breaks: pl.DataFrame
    movements: pl.DataFrame
    quarantine: pl.DataFrame
    rejects: pl.DataFrame
    decisions: pl.DataFrame
    clearing: pl.DataFrame
    companies: pl.DataFrame
    owed: pl.DataFrame
    journals: pl.DataFrame
    downstream: pl.DataFrame
    failed_feeds: pl.DataFrame
    scorecard: pl.DataFrame
    scorecard_files: pl.DataFrame
    scorecard_records: pl.DataFrame
    scorecard_breaks: pl.DataFrame

    def __post_init__(self) -> None:
        """Prove columns, types and nulls; raises GATE_PROOF_FAILED."""
        _prove(set(self.cover) - {KNOWN_AT} == set(COVER), f"the cover has {', '.join(COVER)}")
        for name, schema in SCHEMAS.items():
            frame = self.table(name)
            _prove(dict(frame.schema) == schema and frame.columns == list(schema), f"{name} has {', '.join(schema)}")
            full = frame.drop(NULLABLE[name])
            _prove(sum(full.null_count().row(0)) == 0 if full.height else True, f"{name} has no null where none may be")
        _prove(set(self.summary["state"]) <= set(STATES), f"the states of summary are {', '.join(STATES)}")

    def table(self, name: str) -> pl.DataFrame:
        """A table by its name."""
        frame = getattr(self, name)
        return frame if isinstance(frame, pl.DataFrame) else pl.DataFrame()


def _prove(holds: bool, what: str) -> None:
    require(holds, f"in a report's facts, {what}", code=Code.GATE_PROOF_FAILED)


_prove({field.name for field in fields(ReportFacts)} == {"cover", *SCHEMAS}, "each table has a declared schema")
