"""The demo's people and their requests: every story of a plan as one row, and the answers it gets, all by column.

Here: references, members and points, made up from a seed. Not here: how many stories of which kind (``plan``), or a
partner's file format (``northstar``, ``skybridge``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pipelines.demo.plan import FRIDAY, MONDAY, Answer, Cohort

ALONE: Final = ("balance_short", "merged_account", "merged_account_with_warning", "merged_to_own_member")
"""Stories whose member has no other request, so that one trouble does not cause another."""

RECALLS: Final = ("recall_accepted", "recall_rejected")

STORIES_A_MEMBER: Final = 4


@dataclass(frozen=True)
class Numbers:
    """Where a partner's numbers begin, and its amounts: 1 to 400 times ``step`` points."""

    stream: int
    references: int
    unknown_references: int
    members: int
    step: int


def noise(seed: int, stream: int, rows: int) -> pl.Series:
    """Raw 64-bit words of PCG64, which numpy promises never to change: the same everywhere, for ever."""
    return pl.Series("noise", np.random.PCG64([seed, stream]).random_raw(rows), pl.UInt64)


def stories(cohorts: Sequence[Cohort], numbers: Numbers, seed: int) -> pl.DataFrame:
    """One row a story, in the order of its requests, kinds well mixed.

    Columns: kind String, sent Date? (null for answers nobody asked for), back Date? (of the first answer), index Int64
    (from 0), ref String, member String, points Int64 (negative for a recall).
    """
    planned = pl.DataFrame(
        [(kind, cohort.sent, cohort.back, n) for cohort in cohorts for kind, n in cohort.stories.items()],
        schema={"kind": pl.String, "sent": pl.Date, "back": pl.Date, "n": pl.Int64},
        orient="row",
    )
    rows = planned.drop("n")[np.repeat(np.arange(planned.height), planned["n"].to_numpy())]
    first = 10 * numbers.stream
    mixed = rows.with_columns(mix=noise(seed, first, rows.height)).sort(
        "sent", "mix", nulls_last=True, maintain_order=True
    )
    index = pl.col("index").cast(pl.Int64)
    known = max(25, rows.height // STORIES_A_MEMBER)
    who, much = (noise(seed, first + number, rows.height) for number in (1, 2))
    member = pl.when(pl.col("kind").is_in(ALONE)).then(known + index).otherwise((who % known).cast(pl.Int64))
    points = (much % 400 + 1).cast(pl.Int64) * numbers.step
    base = pl.when(pl.col("sent").is_null()).then(numbers.unknown_references).otherwise(numbers.references)
    return (
        mixed.drop("mix")
        .with_row_index()
        .select(
            "kind",
            "sent",
            "back",
            index=index,
            ref=(base + index).cast(pl.String),
            member=(numbers.members + member).cast(pl.String),
            points=pl.when(pl.col("kind").is_in(RECALLS)).then(-points).otherwise(points),
        )
    )


def answers(told: pl.DataFrame, given: Sequence[Answer]) -> pl.DataFrame:
    """Every answer that stories get, in the order of their requests: the columns of ``stories``, ``day`` Date on which
    the partner answers, ``says`` String; ``points`` as answered."""
    spoken = pl.DataFrame(given, schema={"kind": pl.String, "again": pl.Boolean, "says": pl.String, "off": pl.Int64})
    return told.join(spoken, on="kind", maintain_order="left_right").with_columns(
        day=pl.when("again").then(pl.lit(FRIDAY)).otherwise("back"), points=pl.col("points") + pl.col("off")
    )


def known_member(told: pl.DataFrame) -> str:
    """A member of ours since Monday."""
    return str(told.filter(pl.col("sent") == MONDAY)["member"][0])
