"""Frames that hold their models. Not here: what is done to them."""

from datetime import date

import polars as pl
import pytest


@pytest.fixture
def handback() -> pl.DataFrame:
    """Three accepted rows of a hand-back."""
    return pl.DataFrame(
        {
            "line_no": [2, 3, 5],
            "ref": ["R-1", "R-2", "R-3"],
            "member": ["m1", None, "m3"],
            "points": [100, -5, 0],
            "outcome": ["accepted", "rejected", "held"],
            "reason": [None, "0001", "0099"],
            "to_account": pl.Series([None, None, None], dtype=pl.String),
            "value_date": [date(2026, 11, 20)] * 3,
            "money": [110, None, 0],
            "record_type": ["accrual", None, None],
        }
    )
