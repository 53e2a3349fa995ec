"""The dispute pack: what one partner must act on, as a CSV file in the partner's own terms.

Here: its columns, questions and totals. Not here: which breaks those are (``ledger.disputes``), or where the file goes.
Member numbers stand in it as the partner wrote them, so it goes to that partner and nowhere else.
"""

from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from counterfoil.money import decimal_texts
from counterfoil.protocols import Term, Terms
from counterfoil.reconcile.breaks import OF_FILES, label, money_at_stake
from counterfoil.reconcile.questions import QUESTIONS
from counterfoil.reports.csv import csv_bytes

_PLAIN: Final = {
    "ref": "Reference",
    "member": "Member",
    "points": "Amount",
    "value_date": "Date",
    "outcome": "Outcome",
    "reason": "Reason",
    "money": "Charge",
}
"""What a column is called whose partner has no name for it."""

OURS, THEIRS = "our request", "your answer"

ASKED: Final = ("question", "code", "ask", "breaks", "points", "minor", "currency")

_NEVER_SUMMED: Final = ("Question", "Line", "Days open")
"""Columns of whole numbers that are no amounts."""


@dataclass(frozen=True)
class Wording:
    """How a partner speaks: the terms of its answers and of the requests that it gets."""

    answers: Terms
    requests: Terms

    def of_answer(self, column: str) -> Term:
        """A column as the partner's answers name it."""
        return self.answers.columns.get(column, Term(_PLAIN[column]))

    def of_request(self, column: str) -> Term:
        """A column as the requests name it."""
        return self.requests.columns.get(column, Term(_PLAIN[column]))

    def of_member(self) -> Term:
        """The member's column: not every partner repeats it in its answers."""
        return self.of_answer("member") if "member" in self.answers.columns else self.of_request("member")


def asked(disputed: pl.DataFrame) -> pl.DataFrame:
    """What a partner is asked: question (a number), code, ask, breaks, points, minor and currency? (at stake); holds no
    member and no reference. ``disputed``: rows of ``ledger.disputes``."""
    counted = disputed.group_by("code").agg(
        breaks=pl.len().cast(pl.Int64),
        points=pl.col("at_stake").sum(),
        minor=money_at_stake().sum(),
        currency=pl.col("currency").min(),
    )
    found = counted.with_columns(question=_question(), ask=_by_code("ask"), label=_labels()).sort("question")
    return found.select("question", "ask", "breaks", "points", "minor", "currency", code="label").select(ASKED)


def pack(disputed: pl.DataFrame, wording: Wording) -> bytes:
    """The CSV file: a row a break, grouped by question, oldest first; below each question its totals, at the end
    those of all. Charges are in major units, and in the pack only where one is asked about. Text that a spreadsheet
    would take for a formula is neutralised. Same rows, same bytes."""
    rows = _rows(disputed, wording)
    sums = [name for name, kind in rows.schema.items() if kind == pl.Int64() and name not in _NEVER_SUMMED]
    groups = [
        pl.concat([group, _total(group, sums, group["Question"][0], f"Total of question {group['Question'][0]}")])
        for group in rows.partition_by("Question", maintain_order=True)
    ]
    whole = pl.concat([*groups, _total(rows, sums, None, "Total of all questions")])
    money = [name for name in _charges(disputed, wording) if name != "Currency"]
    codes = disputed["currency"].drop_nulls().unique()
    # A total has the currency of the rows above it.
    currency = pl.col("Currency").forward_fill()
    written = (decimal_texts(pl.col(name), currency, codes).cast(pl.String).alias(name) for name in money)
    return csv_bytes(whole.with_columns(written), numbers=money)


def _rows(disputed: pl.DataFrame, wording: Wording) -> pl.DataFrame:
    said, date_asked, date_said = wording.of_answer, wording.of_request("value_date"), wording.of_answer("value_date")
    file = pl.col("subject").str.splitn(":", 2).struct[1]
    columns = {
        "Question": _question(),
        "What we ask": _by_code("ask"),
        "What we expected": _by_code("expected"),
        "Breaks": pl.lit(1, pl.Int64),
        said("ref").name: _written("ref", said("ref")),
        wording.of_member().name: _written("member", wording.of_member()),
        f"{date_asked.name} ({OURS})": pl.col("asked_on").dt.strftime(date_asked.date_format),
        f"{wording.of_request('points').name} ({OURS})": pl.col("asked_points"),
        "Answer due": pl.col("due").dt.strftime(date_said.date_format),
        f"{date_said.name} ({THEIRS})": pl.col("said_on").dt.strftime(date_said.date_format),
        f"{said('points').name} ({THEIRS})": pl.col("said_points"),
        **_outcome(wording),
        "In words": pl.col("text"),
        "Difference": pl.col("asked_points") - pl.col("said_points"),
        "In dispute": pl.col("at_stake"),
        **_charges(disputed, wording),
        "Your file": pl.when(pl.col("code").is_in(OF_FILES)).then(file).otherwise("file"),
        "Line": pl.col("line"),
        "Open since": pl.col("opened_on").dt.strftime(date_said.date_format),
        "Days open": pl.col("age_days"),
        "Our break": pl.col("break_id"),
    }
    return disputed.select(value.alias(name) for name, value in columns.items())


def _charges(disputed: pl.DataFrame, wording: Wording) -> dict[str, pl.Expr]:
    """What was charged, what we expected, and how much more was charged; nothing in a pack without breaks about it."""
    if disputed["currency"].null_count() == disputed.height:
        return {}
    name = wording.of_answer("money").name
    return {
        f"{name} ({THEIRS})": pl.col("amount_theirs_minor"),
        f"{name} (as we expected)": pl.col("amount_ours_minor"),
        f"{name} (too much)": -pl.col("amount_difference_minor"),
        "Currency": pl.col("currency"),
    }


def _outcome(wording: Wording) -> dict[str, pl.Expr]:
    """The partner's code for what it said, and its reason where that is a column of its own."""
    outcome, reason = wording.of_answer("outcome").name, wording.of_answer("reason").name
    code = pl.col("outcome").replace(dict(wording.answers.outcomes))
    if outcome == reason:
        return {f"{outcome} ({THEIRS})": pl.coalesce("reason", code)}
    return {f"{outcome} ({THEIRS})": code, f"{reason} ({THEIRS})": pl.col("reason")}


def _written(column: str, term: Term) -> pl.Expr:
    """A text as the partner writes it, its leading zeros put back."""
    return pl.col(column).str.zfill(term.digits) if term.digits else pl.col(column)


def _question() -> pl.Expr:
    """The number of a question among those that are asked."""
    return pl.col("code").rank("dense").cast(pl.Int64)


def _by_code(field: Literal["ask", "expected"]) -> pl.Expr:
    words = {code.value: getattr(question, field) for code, question in QUESTIONS.items()}
    return pl.col("code").replace_strict(words, return_dtype=pl.String)


def _labels() -> pl.Expr:
    return pl.col("code").replace_strict({code.value: label(code) for code in QUESTIONS}, return_dtype=pl.String)


def _total(rows: pl.DataFrame, sums: list[str], question: int | None, title: str) -> pl.DataFrame:
    """One row that sums up others, in their columns; empty where none of them has an amount."""
    given = {"Question": pl.lit(question), "What we ask": pl.lit(title), "Breaks": pl.len()}

    def cell(name: str, kind: pl.DataType) -> pl.Expr:
        summed = pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum()) if name in sums else pl.lit(None)
        return given.get(name, summed).cast(kind).alias(name)

    return rows.select(cell(name, kind) for name, kind in rows.schema.items()).head(1)
