"""Northstar's side of the demo: stories as Air Miles sponsor files, out and back.

Here: bytes by the positions of the layouts ``northstar_requests`` and ``northstar_handback``. Not here: what the
stories are (``plan``, ``story``) or when files arrive (``scenario``).
"""

import io
from datetime import date
from typing import Final

import polars as pl

from pipelines.demo.plan import DAYS, NORTHSTAR_ANSWERS
from pipelines.demo.story import Numbers, known_member

NUMBERS: Final = Numbers(
    stream=1, references=7_000_000, unknown_references=9_000_000_000, members=80_000_000_000, step=5
)

FIRST_SEQUENCE: Final = 11
"""The first file of the book; the one before it went out before cut-over and comes back on Monday."""

PROVIDER: Final = "NSTR"
FLAGS: Final = 24
SURVIVORS: Final = 85_000_000_000
"""Accounts that members were merged into and that are none of ours."""

_OVERPUNCH: Final = "{ABCDEFGHI}JKLMNOPQR"
"""Last digits 0 to 9 of a positive number, then of a negative one."""


def sequence(day: date) -> int:
    """The export number of a day's requests."""
    return FIRST_SEQUENCE + DAYS.index(day)


def file_name(number: int) -> str:
    """``NSTR0011``, out and back."""
    return f"{PROVIDER}{number:04d}"


def request_file(rows: pl.DataFrame, day: date, number: int) -> bytes:
    """One day's requests. ``rows``: ref, member, points, sent."""
    details = rows.select(line=_detail_start(pl.col("sent")) + pl.lit(" " * 160))
    header = _header(day, number, "213000", rows["points"], declared_off=0, audit=" " * 42)
    return _file(header, details)


def handback_file(rows: pl.DataFrame, day: date, number: int, *, declared_off: int) -> bytes:
    """One file coming back. ``rows``: ref, member, points, sent, says, merge_to.

    ``declared_off`` falsifies the miles that the header declares.
    """
    ways = sorted({answer.says for answer in NORTHSTAR_ANSWERS})
    audit = pl.col("says").replace_strict(ways, [_status_area(says) for says in ways], return_dtype=pl.String)
    stamp = f"{day:%Y%m%d}"
    started = _detail_start(pl.min_horizontal("sent", pl.lit(day)))
    details = rows.select(
        line=pl.concat_str(started, pl.lit(" " * 31 + 3 * stamp), "merge_to", audit, pl.lit(" " * 50))
    )
    rejected = rows.filter(pl.col("says").str.starts_with("E"))["points"]
    accepted = rows.filter(~pl.col("says").str.starts_with("E"))["points"]
    totals = "".join(f"{len(part):08d}{overpunched(int(part.sum()), 13)}" for part in (rejected, accepted))
    return _file(_header(day, number, "043000", rows["points"], declared_off=declared_off, audit=totals), details)


def merged(answered: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Answers with ``merge_to``: the account that was credited instead, 11 digits, blank for most."""
    merges = pl.col("kind").str.starts_with("merged_account")
    return answered.with_columns(
        merge_to=pl.when(merges)
        .then((SURVIVORS + pl.col("index")).cast(pl.String))
        .when(pl.col("kind") == "merged_to_own_member")
        .then(pl.lit(known_member(told)))
        .otherwise(pl.lit(" " * 11))
    )


def overpunched(value: int, width: int) -> str:
    """A number whose last digit also carries the sign: 451 in three characters is ``45A``, -100 is ``10}``."""
    digits = f"{abs(value):0{width}d}"
    return digits[:-1] + _OVERPUNCH[int(digits[-1]) + 10 * (value < 0)]


def _status_area(says: str) -> str:
    """Audit status, 19 reserved blanks, and a ``Y`` for each raised flag."""
    status, _, flags = says.partition(":")
    raised = flags.split(",")
    return status.ljust(20) + "".join("Y" if str(number + 1) in raised else " " for number in range(FLAGS))


def _detail_start(transaction_date: pl.Expr) -> pl.Expr:
    """A detail's first 90 characters: up to the end of the transaction date."""
    magnitude = pl.col("points").abs()
    signed = (magnitude % 10 + 10 * (pl.col("points") < 0)).replace_strict(
        list(range(20)), list(_OVERPUNCH), return_dtype=pl.String
    )
    return pl.concat_str(
        pl.lit("TD" + " " * 15),
        "member",
        pl.col("ref").str.zfill(20),
        pl.lit("CFLYWELCOME 0001" + " " * 9),
        (magnitude // 10).cast(pl.String).str.zfill(8),
        signed,
        transaction_date.dt.to_string("%Y%m%d"),
    )


def _header(day: date, number: int, time: str, points: pl.Series, *, declared_off: int, audit: str) -> str:
    total = overpunched(int(points.sum()) + declared_off, 13)
    return f"TH      {PROVIDER}{number:06d}{day:%Y%m%d}{time}{len(points):08d}{total}{' ' * 26}{audit}".ljust(250)


def _file(header: str, details: pl.DataFrame) -> bytes:
    """Records of 250 characters, each with a carriage return behind it."""
    buffer = io.BytesIO()
    lines = pl.concat([pl.DataFrame({"line": [header]}), details])
    lines.write_csv(buffer, include_header=False, quote_style="never", line_terminator="\r")
    return buffer.getvalue()
