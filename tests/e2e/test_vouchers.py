"""Vouchers as a buyer, a company and an auditor meet them: chosen, paid, made or bought, delivered, and never shown.

Promises V1 to V5, each as its user would say it, with the real command night after night.
"""

import csv
import io
import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import polars as pl
import pytest

from counterfoil.codes import is_valid
from counterfoil.ledger.voucher_letters import letters_of
from counterfoil.steps.vouchers import reveal
from pipelines.wiring import desk_at
from tests.plugins.commands import Nights, OpenNights, home
from tests.plugins.homes import MONDAY, OPENING_HEADER, RATES, every_row
from tests.plugins.mail import bounce

TUESDAY, WEDNESDAY, THURSDAY = (MONDAY + timedelta(days=days) for days in (1, 2, 3))

CATALOGUE = (
    "productId,name,currencyCode,valueDenominations,pointsPerUnit,orderQuantityLimit,voucherType,supply,expiryDays,"
    "expiryMonths,termsAndConditionsInstructions,redemptionInstructions,validFrom\n"
    'TREAT,Programme treat,EUR,"10,25",100,10,code,generated,,12,One a visit,Show the code at the counter,2026-11-01\n'
    "BOOKS,Marigold Books,EUR,25,100,5,codePin,stock,90,,,Enter code and PIN,2026-11-01\n"
    "CINEMA,Lantern Cinema,EUR,12.50,120,10,code,supplier,,,,Type the code when booking,2026-11-01\n"
    "MUG,Stoneware mug,EUR,9.90,100,4,goods,supplier,,,,,2026-11-01\n"
)
ORDERS = "poNumber,productId,denomination,quantity,memberId,email,points,orderDate\n"
PAYMENTS = "poNumber,paymentReferenceId,points,amount,currency,date\n"
FULFILMENT = "poNumber,productId,denomination,type,status,voucherCode,pin,cancelledQuantity,validity,date\n"
DELIVERIES = "poNumber,deliveryStatus,attempt,date\n"

STOCK = ("BOOK-0001-AAAA-7731", "BOOK-0002-BBBB-7732")
PIN = "90817263"
BOUGHT = "LANTERN-5512-8890"


def send(nights: Nights, name: str, text: str) -> None:
    nights.put(name, text)
    nights.put(f"{name}.done", "")


@pytest.fixture(scope="module")
def run(open_nights: OpenNights, root: Path) -> Iterator[Nights]:
    contracts = root / "data/contracts/partners"
    with open_nights([contracts / "marigold", contracts / "thistle"]) as nights:
        nights("vouchers", "rotate", json_wanted=False)
        nights.put(
            f"rates/rates_{MONDAY:%Y%m%d}.csv", f"{RATES}marigold,EUR,1,1,2026-11-01\nthistle,EUR,1,1,2026-11-01\n"
        )
        nights.put(
            f"opening/opening_{MONDAY:%Y%m%d}.csv",
            f"{OPENING_HEADER}balance,member,T-1,thistle,,20000,{MONDAY}\nbalance,member,T-2,thistle,,5000,{MONDAY}\n",
        )
        send(nights, f"marigold/catalogue/marigold_catalogue_{MONDAY:%Y%m%d}.csv", CATALOGUE)
        stock = "".join(f",BOOKS,25.00,codePin,delivered,{code},{PIN},,,{MONDAY}\n" for code in STOCK)
        send(nights, f"marigold/outgoing/marigold_fulfilment_{MONDAY:%Y%m%d}_000001.csv", FULFILMENT + stock)
        nights.run(MONDAY)
        send(
            nights,
            f"thistle/orders/thistle_orders_{TUESDAY:%Y%m%d}_000001.csv",
            f"{ORDERS}PO-1,TREAT,10.00,2,T-1,ada@thistle.example,2000,{TUESDAY}\n"
            f"PO-2,BOOKS,25.00,1,T-1,ada@thistle.example,2500,{TUESDAY}\n"
            f"PO-3,CINEMA,12.50,2,T-1,ada@thistle.example,3000,{TUESDAY}\n"
            f"PO-4,TREAT,25.00,1,T-2,Bo@Thistle.example,2500,{TUESDAY}\n"
            f"PO-5,TREAT,25.00,4,T-2,bo@thistle.example,10000,{TUESDAY}\n"
            f"PO-6,VELVET,25.00,1,T-2,bo@thistle.example,2500,{TUESDAY}\n"
            f"PO-7,MUG,9.90,1,T-1,ada@thistle.example,990,{TUESDAY}\n",
        )
        send(
            nights,
            f"thistle/payments/thistle_payments_{TUESDAY:%Y%m%d}_000001.csv",
            f"{PAYMENTS}PO-1,PAY-1,2000,,,{TUESDAY}\nPO-2,PAY-2,2500,,,{TUESDAY}\nPO-3,PAY-3,3000,,,{TUESDAY}\n"
            f"PO-7,PAY-7,990,,,{TUESDAY}\nPO-9,PAY-9,10,,,{TUESDAY}\n",
        )
        nights.run(TUESDAY)
        yield nights


@pytest.fixture(scope="module")
def later(run: Nights) -> Nights:
    """Two nights on: the supplier has answered, and nobody has paid for PO-4."""
    send(
        run,
        f"marigold/outgoing/marigold_fulfilment_{WEDNESDAY:%Y%m%d}_000002.csv",
        f"{FULFILMENT}PO-3,CINEMA,12.50,code,delivered,{BOUGHT},,,2027-06-30,{WEDNESDAY}\n"
        f"PO-3,CINEMA,12.50,code,refundFailed,,,1,,{WEDNESDAY}\n"
        f"PO-7,MUG,9.90,goods,delivered,,,,,{WEDNESDAY}\n",
    )
    send(
        run,
        f"marigold/deliveries/marigold_deliveries_{WEDNESDAY:%Y%m%d}.csv",
        DELIVERIES + "".join(f"PO-7,attempted,{attempt},{WEDNESDAY}\n" for attempt in (1, 2, 3)),
    )
    run.run(WEDNESDAY)
    send(
        run,
        f"marigold/deliveries/marigold_deliveries_{THURSDAY:%Y%m%d}.csv",
        f"{DELIVERIES}PO-7,returned,,{THURSDAY}\n",
    )
    run.run(THURSDAY)
    return run


def letters(after: int = 0) -> pl.DataFrame:
    with desk_at(None) as desk, desk.book.reading() as book:
        return letters_of(book, after, book.last_posting())


def codes(letter_key: str) -> list[tuple[str, str | None]]:
    """What a letter reveals."""
    (vouchers,) = letters().filter(pl.col("letter_key") == letter_key)["vouchers"].to_list()
    with desk_at(None) as desk:
        return reveal(desk, vouchers, []).select("code", "pin").rows()


def statuses(nights: Nights) -> dict[str, str]:
    return {one["reference"]: one["status"] for one in nights("vouchers", "orders")}


def test_v1_i_see_every_voucher_i_can_choose(run: Nights) -> None:
    offered = {one["product"]: one for one in run("vouchers", "list")}
    assert list(offered) == ["BOOKS", "CINEMA", "MUG", "TREAT"]
    assert offered["TREAT"]["denominations"] == [1000, 2500]
    assert (offered["TREAT"]["instructions"], offered["BOOKS"]["in_stock"]) == ("Show the code at the counter", 1)
    shown = run("vouchers", "list", json_wanted=False)
    assert "10.00, 25.00" in shown
    assert "Lantern Cinema" in shown


def test_v2_what_i_choose_becomes_an_order_and_my_points_are_put_aside(run: Nights) -> None:
    assert statuses(run) == {
        "PO-1": "delivered",
        "PO-2": "delivered",
        "PO-3": "paid",
        "PO-4": "pending",
        "PO-7": "paid",
    }
    held = {(one["kind"], one["partner"]): one["balance"] for one in run("balances")}
    assert held["reserved", "thistle"] == 3000 + 2500 + 990
    assert held["member", "thistle"] == 25_000 - 2000 - 2500 - 3000 - 2500 - 990
    refused = {(one["code"], one["our_ref"] or one["their_ref"]) for one in run("breaks", "--as-of", TUESDAY)}
    assert refused == {("B16", "PO-5"), ("B03", "PO-6"), ("B03", "PO-9")}, (
        "what I cannot pay, or nobody offers, moves nothing"
    )


def test_v3_once_i_have_paid_my_voucher_is_made_with_code_instructions_and_expiry(run: Nights) -> None:
    made = letters().filter(pl.col("reference") == "PO-1").to_dicts()
    assert [(one["instructions"], one["terms"], str(one["expires"])) for one in made] == [
        ("Show the code at the counter", "One a visit", "2027-11-18")
    ]
    opened = [code for code, _ in codes(made[0]["letter_key"])]
    assert len(set(opened)) == 2
    assert all(len(code) == 16 and is_valid(code) for code in opened)
    (stocked,) = letters().filter(pl.col("reference") == "PO-2").to_dicts()
    assert codes(stocked["letter_key"]) == [(STOCK[0], PIN)]
    assert str(stocked["expires"]) == "2027-02-15"


def test_v4_it_is_delivered_in_the_same_run_by_letter(run: Nights) -> None:
    first = letters()
    assert set(first["recipient"]) == {"ada@thistle.example"}
    assert set(first["reference"]) == {"PO-1", "PO-2"}
    assert first["letter_key"].is_unique().all()
    assert run("vouchers", "undelivered") == []
    assert run("vouchers", "recover")["sent_again"] == []
    assert (statuses(run)["PO-1"], statuses(run)["PO-2"]) == ("delivered", "delivered")
    for key in first["letter_key"]:
        (path,) = home("out/mail").glob(f"{key.replace(':', '-')}-*.eml")
        letter = next(message_from_bytes(path.read_bytes(), policy=default).iter_parts()).get_content()
        assert all(code in letter and (pin or "") in letter for code, pin in codes(key))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_v5_every_step_of_my_order_can_be_told_and_proved(later: Nights, tmp_path: Path) -> None:
    assert statuses(later) == {
        "PO-1": "delivered", "PO-2": "delivered", "PO-3": "cancelled", "PO-4": "cancelled", "PO-7": "refunded",
    }  # fmt: skip
    events = [record["event"] for record in later("explain", "PO-1")["records"]]
    assert events == ["ordered", "paid", "voucher_issued", "voucher_issued", "delivered"]
    assert [record["event"] for record in later("explain", "PO-4")["records"]] == ["ordered", "lapsed"]
    assert [record["event"] for record in later("explain", "PO-7")["records"]] == [
        "ordered", "paid", "voucher_issued", *["delivery_tried"] * 3, "credited",
    ]  # fmt: skip
    b14 = [one for one in later("breaks", "--as-of", THURSDAY) if one["code"] == "B14"]
    assert [(one["partner"], one["next_step"]) for one in b14] == [("marigold", "Claim the refund from the supplier")]
    assert later("audit", "verify")["findings"] == []
    later("replay", "--into", tmp_path / "again")
    assert every_row(tmp_path / "again/book.duckdb") == every_row(home("book.duckdb"))
    held = {(one["kind"], one["partner"]): one["balance"] for one in later("balances")}
    assert (held["reserved", "thistle"], held["payable", "marigold"]) == (1500, 2000 + 2500 + 1500)


def test_what_stands_open_has_a_cause_and_the_supplier_is_asked(later: Nights) -> None:
    causes = {(one["cause"], one["partner"]) for one in later("breaks", "--as-of", THURSDAY, "--by", "cause")}
    assert ("refund_due", "marigold") in causes
    why = {one["code"]: one["why"]["text"] for one in later("explain", "PO-3")["breaks"] if one["why"]}
    assert why["B14"].startswith("The supplier cancelled vouchers and did not pay back")
    (refused,) = later("explain", "PO-6")["records"]
    assert (refused["event"], refused["reason"]) == ("order_refused", "product_unknown")
    asked = later("dispute", "--partner", "marigold", "--as-of", THURSDAY)
    assert [(one["code"], one["breaks"]) for one in asked["questions"]] == [("B14", 1)]
    assert "T-1" not in home(f"out/disputes/marigold/{THURSDAY}.csv").read_text(), (
        "who ordered is no business of theirs"
    )
    assert {card["partner"] for card in later("scorecard", "--as-of", THURSDAY)["partners"]} <= {"marigold", "thistle"}


def test_what_a_supplier_must_fill_is_ordered_once_and_names_nobody(later: Nights) -> None:
    (path,) = home("out/suppliers/marigold").glob("orders_*.csv")
    ordered = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [(one["po_number"], one["denomination"], one["quantity"]) for one in ordered] == [
        ("PO-3", "12.50", "2"), ("PO-7", "9.90", "1"),
    ]  # fmt: skip
    assert "@" not in path.read_text()
    path.unlink()
    later.run(THURSDAY)
    assert not path.exists(), "what was taken away is not ordered again"


def test_journal_report_and_crm_hold_what_was_sold(later: Nights) -> None:
    pages = sorted(home(f"out/reports/{THURSDAY}").glob("v*"))
    assert not [line for line in (pages[-1] / "ties.csv").read_text().splitlines() if line.endswith(",no")]
    told = "".join(path.read_text() for path in sorted(home("out/crm").rglob("*.csv")))
    assert "PO-1" in told
    assert "PO-4" in told
    assert "2480" in "".join(path.read_text() for path in home("out/gl/neutral").rglob("*.csv"))


def test_no_code_lies_anywhere_in_the_clear(later: Nights) -> None:
    secrets = [*STOCK, BOUGHT, PIN, *(code for one in letters()["letter_key"] for code, _ in codes(one))]
    meant_for_them = ("inbox", "mail")
    for path in (path for path in home(".").rglob("*") if path.is_file() and not {*meant_for_them} & {*path.parts}):
        content = path.read_bytes()
        found = [secret for secret in secrets if secret.encode() in content]
        assert not found, f"{path.relative_to(home('.'))} holds a code"
    said = later("explain", "PO-2", json_wanted=False) + later("vouchers", "orders", json_wanted=False)
    assert not [secret for secret in secrets if secret in said]


def test_a_new_key_seals_and_the_old_ones_still_open(later: Nights) -> None:
    before = codes(letters()["letter_key"][0])
    later("vouchers", "rotate", json_wanted=False)
    assert codes(letters()["letter_key"][0]) == before
    assert len(home("secrets/vouchers.keys").read_text().split()) == 2
    assert os.stat(home("secrets/vouchers.keys")).st_mode & 0o077 == 0


def test_a_file_with_a_code_that_came_before_is_refused_whole(later: Nights) -> None:
    friday = THURSDAY + timedelta(days=1)
    name = f"marigold_fulfilment_{friday:%Y%m%d}_000003.csv"
    send(
        later, f"marigold/outgoing/{name}", f"{FULFILMENT},BOOKS,25.00,codePin,delivered,{STOCK[0]},{PIN},,,{friday}\n"
    )
    later.at(friday + timedelta(days=1), "06:00:00")
    result = later("run", "--date", friday, exit_code=1)
    assert [(one["outcome"], one["code"]) for one in result["files"] if one["name"] == name] == [
        ("rejected", "CODE_USED")
    ]


def test_a_person_gives_the_points_back_before_the_supplier_pays(later: Nights) -> None:
    (b14,) = (one["break_id"] for one in later("breaks") if one["code"] == "B14")
    decided = (b14, "--action", "credit", "--reason", "The supplier is insolvent")
    rehearsed = later("resolve", *decided, "--dry-run", json_wanted=False)
    assert "1,500" in rehearsed
    assert statuses(later)["PO-3"] == "cancelled", "a rehearsal changes nothing"
    later("resolve", *decided)
    assert statuses(later)["PO-3"] == "delivered"
    assert {one["kind"]: one["balance"] for one in later("balances")}.get("reserved", 0) == 0
    assert [record["event"] for record in later("explain", "PO-3")["records"]][-1] == "order_refunded"
    assert later("audit", "verify")["findings"] == []


def test_p9_a_letter_that_comes_back_is_noticed_and_goes_again(later: Nights, tmp_path: Path) -> None:
    (key,) = letters().filter(pl.col("reference") == "PO-1")["letter_key"]
    (path,) = home("out/mail").glob(f"{key.replace(':', '-')}-*.eml")
    message = message_from_bytes(path.read_bytes(), policy=default)
    (tmp_path / "report.eml").write_bytes(bounce(message["Message-ID"], "ada@thistle.example"))
    assert later("mail", "bounces", tmp_path / "report.eml")[0]["letters"] == [key]
    assert [(one["reference"], one["letter"]) for one in later("vouchers", "undelivered")] == [("PO-1", "bounced")]
    assert later("vouchers", "recover")["sent_again"] == [], "the same address would refuse it again"
    later("mail", "resend", key, "--reason", "The mailbox was full")
    later("mail", "send", json_wanted=False)
    assert later("vouchers", "undelivered") == []
