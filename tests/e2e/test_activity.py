"""A partner tells what members did there: from its file to balances, the one break, its story and the proof."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.plugins.commands import Nights, OpenNights, home
from tests.plugins.homes import MONDAY, RATES, every_row

TUESDAY = MONDAY + timedelta(days=1)
COLUMNS = (
    "transaction_id,cardholder_id,partner_merchant_id,partner_offer_id,partner_store_id,partner_merchant_name,"
    "card_type,card_last_four,transaction_amount,transaction_timestamp\n"
)


def told(*done: tuple[str, str, str]) -> str:
    rows = (
        f"{ref},{member},M-1,O-1,S-1,Fernhill Grocers,,,{amount},{MONDAY}T14:00:00Z\n" for ref, member, amount in done
    )
    return COLUMNS + "".join(rows)


def send(nights: Nights, name: str, text: str) -> None:
    nights.put(f"birch/incoming/{name}", text)
    nights.put(f"birch/incoming/{name}.done", "")


@pytest.fixture(scope="module")
def run(open_nights: OpenNights, root: Path) -> Iterator[Nights]:
    with open_nights([root / "data/contracts/partners/birch"]) as nights:
        nights.put(f"rates/rates_{MONDAY:%Y%m%d}.csv", f"{RATES}birch,EUR,1,1,2026-11-01\n")
        send(
            nights,
            f"redemption_feed_{MONDAY:%Y%m%d}_000001.csv",
            told(("T1", "CH-1", "12.50"), ("T2", "CH-2", "40.00"), ("T1", "CH-1", "12.50")),
        )
        nights.run(MONDAY)
        send(
            nights,
            f"redemption_feed_{TUESDAY:%Y%m%d}_000002.csv",
            told(("T2", "CH-2", "40.00"), ("T1", "CH-1", "-12.50"), ("T3", "CH-3", "-5.00")),
        )
        nights.run(TUESDAY)
        yield nights


def test_what_was_done_is_booked_once(run: Nights) -> None:
    held = {(one["kind"], one["partner"]): one["balance"] for one in run("balances")}
    assert (held["member", "birch"], held["issued", "programme"]) == (4000 - 500, -3500)


def test_what_was_told_twice_and_what_nobody_holds_are_breaks(run: Nights) -> None:
    found = sorted((one["code"], one["their_ref"], one["our_ref"]) for one in run("breaks", "--as-of", TUESDAY))
    assert found == [("B07", "T1", None), ("B07", "T2", None), ("B16", "T3", None)]


def test_explain_tells_each_record(run: Nights) -> None:
    text = run("explain", "T1", json_wanted=False)
    assert f"redemption_feed_{MONDAY:%Y%m%d}_000001.csv" in text
    assert f"redemption_feed_{TUESDAY:%Y%m%d}_000002.csv" in text
    events = [record["event"] for record in run("explain", "T1")["records"]]
    assert events == ["accrued", "activity_known", "accrued"]


def test_the_crm_hears_of_the_balances_and_the_report_ties(run: Nights) -> None:
    pages = sorted(home(f"out/reports/{TUESDAY}").glob("v*"))
    ties = (pages[-1] / "ties.csv").read_text().splitlines()
    assert not [line for line in ties if line.endswith(",no")]
    batches = "".join(path.read_text() for path in home("out/crm").rglob("*.csv"))
    assert "CH-2" in batches


def test_the_partner_is_asked_and_scored(run: Nights) -> None:
    asked = run("dispute", "--partner", "birch", "--as-of", TUESDAY)
    assert sorted((one["code"], one["breaks"]) for one in asked["questions"]) == [("B07", 2)]
    (card,) = run("scorecard", "--as-of", TUESDAY)["partners"]
    assert card["partner"] == "birch"
    causes = {one["cause"] for one in run("breaks", "--as-of", TUESDAY, "--by", "cause")}
    assert causes == {"answered_again", "short_balance"}


def test_the_book_proves_itself_and_replays(run: Nights, tmp_path: Path) -> None:
    assert run("audit", "verify")["findings"] == []
    run("replay", "--into", tmp_path / "again")
    assert every_row(tmp_path / "again/book.duckdb") == every_row(home("book.duckdb"))
