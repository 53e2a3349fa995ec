"""A journal with money, memo lines, an empty cost centre and two currencies."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from counterfoil.protocols import JOURNAL


def line(number: int, **values: Any) -> dict[str, Any]:
    ordinary = {
        "journal_id": "RW-20261120-1",
        "journal_line": number,
        "accounting_date": date(2026, 11, 20),
        "period": "2026-11",
        "entity": "101",
        "ledger": "main",
        "source": "Counterfoil",
        "category": "Redemptions",
        "account": "2410",
        "account_name": "Points liability",
        "cost_center": "",
        "programme": "rewards",
        "partner": "northstar",
        "currency": "EUR",
        "debit_minor": 0,
        "credit_minor": 0,
        "points": 0,
        "line_text": "Confirmed, northstar",
        "event_key": "p000012:confirmed:northstar",
    }
    return ordinary | values


@pytest.fixture
def journal() -> pl.DataFrame:
    return pl.DataFrame(
        [
            line(2, account="2420", account_name="Partner payable", credit_minor=1234505, points=1234505),
            line(1, debit_minor=1234505, points=-1234505, cost_center="R-17"),
            line(3, points=250, partner="", line_text='Memo "open"'),
            line(4, currency="JPY", debit_minor=700),
            line(5, currency="JPY", credit_minor=700),
        ],
        schema=JOURNAL,
    )
