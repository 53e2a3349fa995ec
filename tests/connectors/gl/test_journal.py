"""Nothing is written from a journal that does not balance or breaks its contract."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.gl.journal import prove_journal
from connectors.gl.neutral import NeutralCsv
from counterfoil.errors import Code, PermanentError
from counterfoil.protocols import JOURNAL

NEUTRAL = """\
journal_id,journal_line,accounting_date,period,entity,ledger,source,category,account,account_name,cost_center,\
programme,partner,currency,debit,credit,points,line_text,event_key,control_total
RW-20261120-1,1,2026-11-20,2026-11,101,main,Counterfoil,Redemptions,2410,Points liability,R-17,\
rewards,northstar,EUR,12345.05,,-1234505,"Confirmed, northstar",p000012:confirmed:northstar,12345.05
RW-20261120-1,2,2026-11-20,2026-11,101,main,Counterfoil,Redemptions,2420,Partner payable,,\
rewards,northstar,EUR,,12345.05,1234505,"Confirmed, northstar",p000012:confirmed:northstar,12345.05
RW-20261120-1,3,2026-11-20,2026-11,101,main,Counterfoil,Redemptions,2410,Points liability,,\
rewards,,EUR,,,250,"Memo ""open\""",p000012:confirmed:northstar,12345.05
RW-20261120-1,4,2026-11-20,2026-11,101,main,Counterfoil,Redemptions,2410,Points liability,,\
rewards,northstar,JPY,700,,0,"Confirmed, northstar",p000012:confirmed:northstar,700
RW-20261120-1,5,2026-11-20,2026-11,101,main,Counterfoil,Redemptions,2410,Points liability,,\
rewards,northstar,JPY,,700,0,"Confirmed, northstar",p000012:confirmed:northstar,700
"""


def test_the_neutral_file_is_written_to_the_byte(journal: pl.DataFrame, tmp_path: Path) -> None:
    (path,) = NeutralCsv().write(journal, tmp_path / "neutral")
    assert path == tmp_path / "neutral" / "journal.csv"
    assert path.read_text() == NEUTRAL
    NeutralCsv().write(journal.reverse(), tmp_path / "neutral")
    assert path.read_text() == NEUTRAL


def change(column: str, value: object, row: int = 0) -> Callable[[pl.DataFrame], pl.DataFrame]:
    def apply(frame: pl.DataFrame) -> pl.DataFrame:
        new = pl.lit(value, dtype=JOURNAL[column])
        return frame.with_columns(pl.when(pl.int_range(pl.len()) == row).then(new).otherwise(column).alias(column))

    return apply


@pytest.mark.parametrize(
    ("spoil", "code", "says"),
    [
        (change("debit_minor", 1234504, row=1), Code.MASS_BALANCE, "debits less credits is -1 minor units of EUR"),
        (change("currency", "USD", row=0), Code.MASS_BALANCE, "and 1 more do not balance"),
        (change("debit_minor", 5), Code.RULES_INVALID, "two sides on 1 lines"),
        (change("credit_minor", -5, row=2), Code.RULES_INVALID, "two sides on 1 lines"),
        (change("points", 0, row=2), Code.RULES_INVALID, "no side on 1 lines"),
        (change("journal_line", 1), Code.RULES_INVALID, "a line number used twice on 2 lines"),
        (change("journal_id", "x" * 17), Code.RULES_INVALID, "a long journal_id on 1 lines"),
        (change("line_text", "x" * 51), Code.RULES_INVALID, "a long line_text on 1 lines"),
        (change("accounting_date", date(2026, 12, 1)), Code.RULES_INVALID, "a period that is not"),
        (change("account", None), Code.RULES_INVALID, "a null on 1 lines"),
        (change("currency", "euro", row=2), Code.RULES_INVALID, "three capital letters"),
        (lambda frame: frame.drop("points"), Code.RULES_INVALID, "other columns or types"),
        (lambda frame: frame.cast({"points": pl.Int32}), Code.RULES_INVALID, "other columns or types"),
    ],
)
def test_a_journal_that_breaks_a_rule_writes_nothing(
    spoil: Callable[[pl.DataFrame], pl.DataFrame], code: Code, says: str, journal: pl.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(PermanentError, match=says) as caught:
        NeutralCsv().write(spoil(journal), tmp_path / "out")
    assert caught.value.code is code
    assert not (tmp_path / "out").exists()


def test_sums_are_not_fooled_by_wrapping(journal: pl.DataFrame) -> None:
    """Two debits of 2**62 and two of 2**63 - 1 wrap to the credit of the journal in 64 bits."""
    debits = [2**62, 2**62, 2**63 - 1, 2**63 - 1]
    money = journal.filter(pl.col("journal_line") == 1).drop("debit_minor", "journal_line")
    frame = money.join(pl.DataFrame({"debit_minor": debits, "journal_line": [1, 2, 3, 4]}), how="cross")
    credit = frame.head(1).with_columns(journal_line=5, debit_minor=0, credit_minor=2**63 - 2)
    spoilt = pl.concat([frame.select(*JOURNAL), credit.select(*JOURNAL).cast(pl.Schema(JOURNAL))])
    assert spoilt["debit_minor"].sum() == spoilt["credit_minor"].sum()
    with pytest.raises(PermanentError) as caught:
        prove_journal(spoilt)
    assert caught.value.code is Code.MASS_BALANCE


@given(st.lists(st.integers(1, 10**15), min_size=1, max_size=20), st.integers(-3, 3))
def test_only_balanced_journals_pass(amounts: list[int], off: int) -> None:
    ordinary = {name: "x" for name, kind in JOURNAL.items() if kind == pl.String()}
    ordinary |= {"period": "2026-11", "currency": "EUR"}
    count = len(amounts) + 1
    frame = pl.DataFrame(
        {name: [value] * count for name, value in ordinary.items()}
        | {
            "journal_line": range(count),
            "accounting_date": [date(2026, 11, 1)] * count,
            "debit_minor": [*amounts, 0],
            "credit_minor": [0] * len(amounts) + [max(1, sum(amounts) + off)],
            "points": [1] * count,
        },
        schema=JOURNAL,
    )
    if sum(amounts) == max(1, sum(amounts) + off):
        prove_journal(frame)
    else:
        with pytest.raises(PermanentError):
            prove_journal(frame)
