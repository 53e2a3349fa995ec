"""Small batches of updates, and their frames' exact types."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.crm.mapping import CANONICAL
from counterfoil.protocols import Batch, Updates

UpdatesMaker = Callable[[list[dict[str, Any]], list[dict[str, Any]]], Updates]


@pytest.fixture(scope="session")
def salesforce_mapping(root: Path) -> Path:
    return root / "data/crm/salesforce.yaml"


@pytest.fixture(scope="session")
def batch() -> Batch:
    return Batch(target="salesforce", batch_id="b0c1", mapping_sha="5e" * 32, from_n=4, to_n=9)


@pytest.fixture(scope="session")
def make_updates() -> UpdatesMaker:
    """Frames from partial rows; what a row leaves out gets an ordinary value."""

    def make(redemptions: list[dict[str, Any]], balances: list[dict[str, Any]]) -> Updates:
        redemption = {
            "partner": "northstar",
            "ref": "00000000000000000001",
            "member": "80000000001",
            "status": "confirmed",
            "points": 500,
            "answered": 500,
            "value_date": date(2026, 11, 19),
            "answered_on": date(2026, 11, 20),
            "reason": None,
            "posting": 9,
        }
        balance = {
            "member": "80000000001",
            "unit": "points",
            "balance": 1200,
            "last_activity": date(2026, 11, 20),
            "posting": 9,
        }
        return Updates(
            redemptions=pl.DataFrame([redemption | row for row in redemptions], schema=CANONICAL["redemptions"]),
            balances=pl.DataFrame([balance | row for row in balances], schema=CANONICAL["balances"]),
            distributions=pl.DataFrame([], schema=CANONICAL["distributions"]),
        )

    return make


@pytest.fixture(scope="session")
def small_updates(make_updates: UpdatesMaker) -> Updates:
    """Every status, nulls, and values that need care in CSV."""
    return make_updates(
        [
            {"event_key": "northstar:0001"},
            {"event_key": "northstar:0002", "status": "rejected", "answered": None, "reason": "0003"},
            {"event_key": "northstar:0003", "status": "held", "answered": None, "reason": 'say "when", then wait'},
            {"event_key": "northstar:0004", "status": "reversed", "ref": "=HYPERLINK(1)", "answered": 0},
            {"event_key": "skybridge:0005", "partner": "skybridge", "status": "refunded", "member": None},
            {"event_key": "skybridge:0006", "partner": "skybridge", "status": "written_off", "points": -40, "ref": ""},
        ],
        [
            {"event_key": "member:80000000001:points"},
            {"event_key": "member:80000000002:points", "member": "80000000002", "balance": -40},
        ],
    )
