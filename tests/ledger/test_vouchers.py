"""Orders of vouchers in a book: reserved, paid, issued, cancelled, credited, and every refusal without effect."""

from collections.abc import Iterator
from datetime import date, timedelta
from hashlib import sha256
from typing import Any

import pytest

from counterfoil.errors import Code, PermanentError
from counterfoil.feed import FeedKind
from counterfoil.ledger import approvals, break_causes
from counterfoil.ledger.approvals import Sent
from counterfoil.ledger.catalogue import products
from counterfoil.ledger.chart import Rulebook
from counterfoil.ledger.derived import contradictions
from counterfoil.ledger.known import known
from counterfoil.ledger.model import Event, State
from counterfoil.ledger.open_breaks import open_breaks
from counterfoil.ledger.outlets import stage_two, unaccounted
from counterfoil.ledger.updates import updates
from counterfoil.ledger.voucher_dues import to_lapse, to_pay
from counterfoil.ledger.writing import Writer
from counterfoil.settings import ProgrammeSettings
from tests.plugins.books import MakeBook, MakeFeed, PostRows, in_shape

MON = date(2026, 11, 16)
TUE = MON + timedelta(days=1)

Row = dict[str, Any]
OWN = {"opening": "counterfoil", "vouchers": "counterfoil", "decisions": "counterfoil", "calendar": "counterfoil"}
SUPPLIERS = {"catalogue": "s", "voucher_fulfilment": "s", "deliveries": "s"}


def code(text: str) -> str:
    """A code as tables hold it."""
    return f"{sha256(text.encode()).hexdigest()}:{text[-4:]}"


class Shop:
    """A supplier ``s``, a company ``p`` and a book; each file is a posting of its own."""

    def __init__(self, writer: Writer, make_feed: MakeFeed, post: PostRows) -> None:
        self.writer, self._make_feed, self._post, self._number = writer, make_feed, post, 0

    def tell(self, kind: str, *rows: Row, day: date = MON, by: str | None = None) -> list[str]:
        """Post rows; the events that they turned out to be."""
        self._number += 1
        feed = self._make_feed(kind, partner=by or OWN.get(kind) or SUPPLIERS.get(kind) or "p")
        posted = self._post(self.writer, feed, list(rows), day, identity=f"{kind} {self._number}")
        query = f"SELECT event FROM book.disposition WHERE file_id = {posted.n} ORDER BY line_no"
        return [Event(event).name.lower() for event in self.writer.frame(query)["event"]]

    def balances(self) -> dict[str, int]:
        rows = self.writer.frame(
            """SELECT a.kind, sum(b.balance)::BIGINT AS points
               FROM book.balance b JOIN book.account a USING (account_id)
               GROUP BY a.kind HAVING sum(b.balance) <> 0 ORDER BY a.kind"""
        ).rows()
        return dict(rows)

    def breaks(self) -> list[tuple[str, str]]:
        found = open_breaks(self.writer, known(self.writer, TUE))
        return sorted((one["code"], one["our_ref"] or one["their_ref"]) for one in found.to_dicts())

    def state(self, ref: str) -> str:
        row = self.writer.row(
            """SELECT coalesce(o.state, e.state) FROM book.item i LEFT JOIN book.open_item o USING (item_id)
               LEFT JOIN (SELECT item_id, arg_max(state, (file_id, line_no)) AS state FROM book.settled_key
                          GROUP BY item_id) e ON e.item_id = i.item_id WHERE i.ref = ?""",
            ref,
        )
        return State(row[0]).name.lower() if row else "none"

    def vouchers(self) -> list[str]:
        found = self.writer.frame(
            """SELECT state FROM book.voucher_change
               QUALIFY row_number() OVER (PARTITION BY voucher_id ORDER BY file_id DESC, line_no DESC) = 1
               ORDER BY voucher_id"""
        )
        return [State(state).name.lower() for state in found["state"]]


@pytest.fixture
def shop(make_book: MakeBook, make_feed: MakeFeed, post: PostRows) -> Iterator[Shop]:
    with make_book().writing(purpose="test") as writer:
        shop = Shop(writer, make_feed, post)
        shop.tell("opening", {"owner": "M1", "points": 10_000}, {"owner": "M2", "points": 500})
        shop.tell(
            "catalogue",
            {"product": "OWN", "supply": "generated", "expiry_months": 12},
            {"product": "STOCK", "supply": "stock", "expiry_days": 30},
            {"product": "BOUGHT", "supply": "supplier"},
            {"product": "MUG", "supply": "supplier", "type": "goods"},
        )
        yield shop
        assert list(contradictions(writer, lambda _done, _all: None)) == []
        last = writer.last_posting()
        assert (
            unaccounted(stage_two(writer, from_n=0, to_n=last, crm=[("b", 0, last, True)], journals=[("j", 0, last)]))
            == 0
        )


def order(ref: str, product: str, points: int = 1000, **more: Any) -> Row:
    return {"ref": ref, "product": product, "points": points, "email": "m@p.example"} | more


def paid(ref: str, points: int | None = 1000, **more: Any) -> Row:
    return {"ref": ref, "points": points, "payment": f"PAY-{ref}"} | more


def issue(ref: str, *codes: str) -> list[Row]:
    return [
        {"step": "issue", "ref": ref, "unit": unit, "code": code(text), "sealed": "x"}
        for unit, text in enumerate(codes, 1)
    ]


def test_a_voucher_of_our_own_goes_from_reserved_to_issued(shop: Shop) -> None:
    assert shop.tell("voucher_orders", order("A", "OWN", 2000, quantity=2)) == ["ordered"]
    assert (shop.balances()["member"], shop.balances()["reserved"], shop.state("A")) == (8500, 2000, "pending")
    assert shop.tell("voucher_payments", paid("A", 2000)) == ["paid"]
    assert (shop.balances()["reserved"], shop.state("A")) == (2000, "paid")
    assert shop.tell("vouchers", *issue("A", "ONE", "TWO")) == ["voucher_issued"] * 2
    assert shop.balances() == {"issued": -10_500, "member": 8500, "payable": 2000}
    assert (shop.state("A"), shop.vouchers()) == ("confirmed", ["issued", "issued"])
    assert shop.tell("vouchers", *issue("A", "THREE", "FOUR")) == ["step_known"] * 2, "two runs at once do no harm"
    told = updates(shop.writer, 0, shop.writer.last_posting()).redemptions.to_dicts()
    assert [(one["ref"], one["status"], one["answered"]) for one in told] == [("A", "confirmed", 2000)]


def test_what_is_not_on_offer_is_refused_and_moves_nothing(shop: Shop) -> None:
    told = shop.tell(
        "voucher_orders",
        order("A", "NONE"),
        order("B", "OWN", denomination=1100, points=1100),
        order("C", "OWN", 11_000, quantity=11),
        order("D", "OWN", 999),
        order("E", "OWN", member="M2"),
        order("F", "STOCK"),
        order("G", "OWN", member=None, email="a@b.example"),
    )
    refused = "order_refused"
    assert told == [refused, refused, refused, refused, "order_short", refused, "order_short"]
    assert shop.balances() == {"issued": -10_500, "member": 10_500}
    assert shop.breaks() == [
        ("B03", "A"), ("B03", "B"), ("B03", "C"), ("B03", "F"), ("B04", "D"), ("B16", "E"), ("B16", "G"),
    ]  # fmt: skip
    steps = open_breaks(shop.writer, known(shop.writer, TUE)).group_by("code", maintain_order=True).first()
    assert dict(steps.select("code", "next_step").iter_rows()) == {
        "B03": "Tell the buyer why; counterfoil explain has the reason",
        "B04": "Tell the buyer why; counterfoil explain has the reason",
        "B16": "Tell the buyer; the balance does not cover the order",
    }
    reasons = shop.writer.frame(
        "SELECT r.reason FROM book.disposition d JOIN book.reason r USING (reason_id) ORDER BY d.line_no"
    )["reason"].to_list()
    assert reasons == [
        "product_unknown", "denomination_not_offered", "quantity_above_limit", "price_differs", "out_of_stock",
    ]  # fmt: skip


def test_an_order_counts_once(shop: Shop) -> None:
    first = shop.tell(
        "voucher_orders", order("A", "OWN"), order("A", "OWN"), order("B", "OWN"), order("B", "OWN", member="M2")
    )
    assert first == ["ordered", "order_known", "order_conflict", "order_conflict"]
    assert shop.tell("voucher_orders", order("A", "OWN"), order("C", "OWN"), day=TUE) == ["order_known", "ordered"]
    assert shop.tell("voucher_orders", order("A", "OWN", 2000, quantity=2), day=TUE) == ["order_conflict"]
    assert shop.balances()["reserved"] == 2000
    assert shop.breaks() == [("B08", "A"), ("B08", "A"), ("B11", "A"), ("B11", "B"), ("B11", "B")]


def test_payments_that_do_not_fit_are_breaks(shop: Shop) -> None:
    shop.tell("voucher_orders", order("A", "OWN"), order("B", "OWN"))
    assert shop.tell("voucher_payments", paid("X"), paid("A", 900), paid("B"), paid("B", payment="PAY-C")) == [
        "payment_unknown", "payment_differs", "paid", "payment_known",
    ]  # fmt: skip
    assert shop.breaks() == [("B03", "X"), ("B04", "A"), ("B07", "B")]
    assert shop.tell("voucher_payments", paid("A"), day=TUE) == ["paid"]
    assert shop.breaks() == [("B03", "X"), ("B07", "B")], "the right sum closes the break"


def test_nobody_pays_or_delivers_the_orders_of_others(shop: Shop) -> None:
    shop.tell("voucher_orders", order("A", "OWN"), order("M", "MUG"))
    assert shop.tell("voucher_payments", paid("A"), by="q") == ["payment_unknown"]
    assert shop.tell("voucher_payments", paid("A", company="p"), by="bank") == ["paid"], "which says whose it is"
    shop.tell("voucher_payments", paid("M"))
    shop.tell("voucher_fulfilment", {"ref": "M", "product": "MUG", "type": "goods", "code": None})
    gone = {"ref": "M", "status": "returned", "attempt": 3}
    assert shop.tell("deliveries", gone, by="t") == ["delivery_unknown"]
    assert shop.tell("deliveries", gone) == ["credited"]


def test_a_code_that_may_end_before_it_is_paid_for_is_not_put_aside(shop: Shop) -> None:
    stock = {"product": "STOCK", "valid_until": MON + timedelta(days=5)}
    lasting = {**stock, "valid_until": MON + timedelta(days=6)}
    shop.tell("voucher_fulfilment", {**stock, "code": code("S1")}, {**lasting, "code": code("S2")})
    assert shop.tell("voucher_orders", order("A", "STOCK"), order("B", "STOCK")) == ["ordered", "order_refused"]
    assert shop.vouchers() == ["stocked", "reserved"]


def test_money_pays_an_order_that_has_no_points(shop: Shop) -> None:
    shop.tell("voucher_orders", order("A", "OWN", 0, member=None, email="A@B.example"))
    short = paid("A", None, money=900, currency="EUR")
    assert shop.tell("voucher_payments", short, paid("A", None, money=1000, currency="USD")) == ["payment_differs"] * 2
    assert shop.breaks() == [("B05", "A"), ("B05", "A")]
    told = open_breaks(shop.writer, known(shop.writer, TUE))
    amounts = told.select("amount_ours_minor", "amount_theirs_minor", "currency").sort("currency").rows()
    assert amounts == [(1000, 900, "EUR"), (None, 1000, "USD")]
    assert set(break_causes.of_breaks(shop.writer, known(shop.writer, TUE))["cause"]) == {"none"}
    assert shop.tell("voucher_payments", paid("A", None, money=1000, currency="EUR"), day=TUE) == ["paid"]
    shop.tell("vouchers", *issue("A", "ONE"), day=TUE)
    assert (shop.state("A"), shop.breaks()) == ("confirmed", [])
    assert shop.writer.row("SELECT recipient FROM book.voucher_order") == ("a@b.example",)


def reasons(shop: Shop) -> list[str]:
    return shop.writer.frame("SELECT reason FROM book.reason ORDER BY reason_id")["reason"].to_list()


def test_a_member_without_an_address_is_sent_what_they_buy_at_the_one_they_registered(shop: Shop) -> None:
    assert shop.tell("voucher_orders", order("A", "OWN", email=None)) == ["order_refused"]
    assert reasons(shop) == ["no_address"]
    shop.tell("members", {"member": "M1", "email": "ada@p.example", "change": "register"}, by="counterfoil")
    assert shop.tell("voucher_orders", order("A", "OWN", email=None)) == ["ordered"]
    assert shop.writer.row("SELECT recipient FROM book.voucher_order") == ("ada@p.example",)
    changed = {"member": "M1", "email": "ada@new.example", "change": "update"}
    shop.tell("members", changed, day=TUE, by="counterfoil")
    assert shop.tell("voucher_orders", order("A", "OWN", email=None), day=TUE) == ["order_known"]
    assert shop.tell("voucher_orders", order("M", "MUG", email=None, member="M2", points=0), day=TUE) == ["ordered"]


def test_the_date_of_an_order_settles_its_price_within_bounds(shop: Shop) -> None:
    shop.tell("catalogue", {"product": "OWN", "points_per_unit": 200, "effective_from": MON - timedelta(days=6)})
    days = (date(2026, 10, 1), MON - timedelta(days=9), MON, date(2098, 1, 5))
    orders = [order(str(number), "OWN", value_date=day) for number, day in enumerate(days)]
    assert shop.tell("voucher_orders", *orders, day=TUE) == [
        "order_refused", "ordered", "order_refused", "order_refused",
    ]  # fmt: skip
    assert reasons(shop) == ["date_too_far_off", "price_differs"]
    assert shop.writer.row("SELECT due_date FROM book.open_item WHERE ref = '1'") == (TUE + timedelta(days=3),)


def test_a_product_with_a_limit_of_nothing_is_off_the_list(shop: Shop) -> None:
    assert "OWN" in products(shop.writer, TUE)["product"]
    shop.tell("catalogue", {"product": "OWN", "quantity_max": 0, "effective_from": TUE}, day=TUE)
    assert "OWN" not in products(shop.writer, TUE)["product"]
    assert shop.tell("voucher_orders", order("A", "OWN", value_date=TUE), day=TUE) == ["order_refused"]
    assert reasons(shop) == ["product_unknown"]


def test_a_closed_company_pays_for_nothing(shop: Shop) -> None:
    shop.tell("companies", {"company": "p", "change": "open"}, by="counterfoil")
    shop.tell("companies", {"company": "p", "change": "close"}, by="counterfoil", day=TUE)
    told = shop.tell("voucher_orders", order("A", "OWN", 0, member=None), order("B", "OWN"), day=TUE)
    assert (told, reasons(shop)) == (["order_refused", "ordered"], ["company_closed"])


def test_stock_is_put_aside_and_issued_with_the_payment(shop: Shop) -> None:
    with_pin = {"product": "STOCK", "code": code("S0"), "type": "codePin"}
    assert shop.tell("voucher_fulfilment", with_pin) == ["fulfilment_unknown"], "another type than is sold"
    load = [{"product": "STOCK", "code": code(text)} for text in ("S1", "S2", "S3")]
    assert shop.tell("voucher_fulfilment", *load, {"product": "OWN", "code": code("S4")}) == [
        *["stocked"] * 3,
        "fulfilment_unknown",
    ]
    told = shop.tell("voucher_orders", order("A", "STOCK", 2000, quantity=2), order("B", "STOCK", 2000, quantity=2))
    assert told == ["ordered", "order_refused"]
    assert shop.vouchers() == ["reserved", "reserved", "stocked"]
    assert shop.tell("voucher_payments", paid("A", 2000)) == ["paid_from_stock"]
    assert (shop.vouchers(), shop.state("A")) == (["issued", "issued", "stocked"], "confirmed")
    ends = shop.writer.row(f"SELECT min(valid_until), count(*) FROM book.voucher_change WHERE state = {State.ISSUED:d}")
    assert ends == (MON + timedelta(days=30), 2)
    assert shop.balances()["payable"] == 2000


def test_an_order_that_nobody_pays_lapses_and_gives_its_codes_back(shop: Shop) -> None:
    shop.tell("voucher_fulfilment", {"product": "STOCK", "code": code("S1")})
    shop.tell("voucher_orders", order("A", "STOCK"))
    assert shop.tell("vouchers", {"step": "lapse", "ref": "A"}, {"step": "lapse", "ref": "A"}) == [
        "lapsed",
        "step_known",
    ]
    assert (shop.state("A"), shop.vouchers(), shop.balances()["member"]) == ("withdrawn", ["stocked"], 10_500)
    assert shop.tell("voucher_payments", paid("A"), day=TUE) == ["payment_late"]
    assert shop.breaks() == [("B11", "A")]
    assert shop.tell("voucher_orders", order("B", "STOCK"), day=TUE) == ["ordered"]


def test_a_payment_waits_for_its_order(shop: Shop) -> None:
    with_stock = {"product": "STOCK", "code": code("S1")}
    shop.tell("voucher_fulfilment", with_stock)
    early = [paid("A"), paid("B", 999), paid("C", payment="PAY-1"), paid("D")]
    assert shop.tell("voucher_payments", *early) == ["payment_unknown"] * 4
    assert to_pay(shop.writer).is_empty()
    told = [order("A", "OWN"), order("B", "OWN"), order("C", "STOCK")]
    assert shop.tell("voucher_orders", *told, day=TUE) == ["ordered"] * 3
    assert to_pay(shop.writer)["ref"].to_list() == ["A", "C"], "what B costs is not what was paid"
    steps = [{"step": "pay", "ref": ref} for ref in ("A", "A", "B", "C")]
    assert shop.tell("vouchers", *steps, day=TUE) == ["paid", "step_known", "step_known", "paid_from_stock"]
    assert (shop.state("A"), shop.state("C"), shop.vouchers()) == ("paid", "confirmed", ["issued"])
    assert shop.breaks() == [("B03", "B"), ("B03", "D")]
    assert to_pay(shop.writer).is_empty()
    assert shop.tell("voucher_payments", early[0], paid("B"), day=TUE) == ["payment_known", "paid"]


def pay_waiting(shop: Shop, day: date = MON) -> list[str]:
    """What the program does about payments that waited."""
    refs = to_pay(shop.writer)["ref"].to_list()
    return shop.tell("vouchers", *({"step": "pay", "ref": ref} for ref in refs), day=day) if refs else []


def test_what_is_told_twice_before_its_order_pays_once_and_leaves_nothing(shop: Shop) -> None:
    for _ in range(2):
        assert shop.tell("voucher_payments", paid("A")) == ["payment_unknown"]
    shop.tell("voucher_payments", paid("A", 999, payment="P-2"))
    assert shop.tell("voucher_orders", order("A", "OWN"), day=TUE) == ["ordered"]
    assert pay_waiting(shop, TUE) == ["paid"]
    assert shop.breaks() == [("B03", "A")], "another sum is still somebody's"


def test_a_refused_order_that_is_sent_again_is_paid_by_what_waits(shop: Shop) -> None:
    assert shop.tell("voucher_orders", order("A", "STOCK")) == ["order_refused"]
    shop.tell("voucher_payments", paid("A"))
    shop.tell("voucher_fulfilment", {"product": "STOCK", "code": code("S1")})
    assert shop.tell("voucher_orders", order("A", "STOCK"), day=TUE) == ["ordered"]
    assert pay_waiting(shop, TUE) == ["paid_from_stock"]


def test_a_payment_that_is_given_back_pays_nothing_though_a_refusal_stands_open(shop: Shop) -> None:
    assert shop.tell("voucher_orders", order("A", "NONE")) == ["order_refused"]
    shop.tell("voucher_payments", paid("A"))
    (newest,) = shop.writer.row("SELECT arg_max(break_id, file_id) FROM book.break") or ("",)
    assert shop.tell("decisions", {"action": "resolve", "subject": newest, "points": 0}, day=TUE) == ["resolved"]
    shop.tell("voucher_orders", order("A", "OWN"), day=TUE)
    assert pay_waiting(shop, TUE) == []


def test_a_step_that_a_payment_overtook_does_nothing(shop: Shop) -> None:
    shop.tell("voucher_fulfilment", {"product": "STOCK", "code": code("S1")})
    shop.tell("voucher_payments", paid("A"))
    shop.tell("voucher_orders", order("A", "STOCK"))
    assert shop.tell("voucher_payments", paid("A", payment="OTHER"), day=TUE) == ["paid_from_stock"]
    assert shop.tell("vouchers", {"step": "pay", "ref": "A"}, day=TUE) == ["step_known"]


def test_a_transfer_for_orders_that_come_apart_pays_each(shop: Shop) -> None:
    shop.tell("voucher_orders", order("A", "OWN"))
    both = [paid(ref, payment="BANK-1") for ref in "ABC"]
    assert shop.tell("voucher_payments", *both) == ["paid", "payment_unknown", "payment_unknown"]
    for ref in "BC":
        shop.tell("voucher_orders", order(ref, "OWN"), day=TUE)
        assert pay_waiting(shop, TUE) == ["paid"]


def test_a_transfer_of_two_files_pays_the_order_of_the_first(shop: Shop) -> None:
    for ref in "AB":
        shop.tell("voucher_payments", paid(ref, payment="BANK-1"))
    shop.tell("voucher_orders", order("A", "OWN"), order("B", "OWN"), day=TUE)
    assert (pay_waiting(shop, TUE), pay_waiting(shop, TUE)) == (["paid"], [])
    assert (shop.state("A"), shop.state("B")) == ("paid", "pending")


def test_a_payment_that_a_person_counted_pays_no_other_order(shop: Shop) -> None:
    shop.tell("voucher_orders", order("A", "OWN"), order("B", "OWN"))
    assert shop.tell("voucher_payments", paid("A", 999, payment="BANK-1")) == ["payment_differs"]
    assert decide(shop, "pay", "B04", 1000) == ["payment_taken"]
    assert shop.tell("voucher_payments", paid("B", payment="BANK-1"), day=TUE) == ["payment_used"]


def test_a_payment_pays_one_order(shop: Shop) -> None:
    shop.tell("voucher_orders", *(order(ref, "OWN") for ref in "ABCD"))
    both = [paid(ref, payment="BANK-1") for ref in "AB"]
    assert shop.tell("voucher_payments", *both) == ["paid", "paid"], "one transfer may pay several orders of one file"
    told = [paid("C", payment="BANK-1"), paid("D", 999, payment="BANK-2")]
    assert shop.tell("voucher_payments", *told, day=TUE) == ["payment_used", "payment_differs"]
    assert shop.tell("voucher_payments", paid("C", payment="BANK-2"), day=TUE) == ["paid"], "it has paid nothing yet"
    assert shop.breaks() == [("B04", "D"), ("B11", "C")]


def test_an_order_lapses_a_day_after_the_last_for_its_payment(shop: Shop) -> None:
    """Payments of the last day are told on the next."""
    shop.tell("voucher_orders", order("A", "OWN"))
    (due,) = shop.writer.row("SELECT due_date FROM book.open_item WHERE ref = 'A'") or (None,)
    assert due == MON + timedelta(days=3)
    assert to_lapse(shop.writer, due).is_empty()
    assert to_lapse(shop.writer, due + timedelta(days=1))["ref"].to_list() == ["A"]


def test_points_that_expire_go_back_into_the_lot_they_came_from(
    make_book: MakeBook, make_feed: MakeFeed, post: PostRows
) -> None:
    with make_book().writing(purpose="test") as writer:
        shop = Shop(writer, make_feed, post)
        shop.tell("opening", {"owner": "M1", "points": 3000, "expires": TUE + timedelta(days=90)})
        shop.tell("catalogue", {"product": "OWN"}, {"product": "BOUGHT", "supply": "supplier"})
        shop.tell("voucher_orders", order("A", "OWN"), order("B", "BOUGHT"))
        assert writer.row("SELECT remaining FROM book.open_lot") == (1000,)
        shop.tell("vouchers", {"step": "lapse", "ref": "A"})
        shop.tell("voucher_payments", paid("B"))
        shop.tell(
            "voucher_fulfilment", {"ref": "B", "product": "BOUGHT", "status": "cancelled", "quantity": 1}, day=TUE
        )
        assert writer.row("SELECT count(*), sum(remaining)::BIGINT FROM book.open_lot") == (1, 3000)
        assert list(contradictions(writer, lambda _done, _all: None)) == []


def bought(shop: Shop, ref: str, quantity: int, product: str = "BOUGHT") -> None:
    shop.tell("voucher_orders", order(ref, product, 1000 * quantity, quantity=quantity))
    shop.tell("voucher_payments", paid(ref, 1000 * quantity))


def given(ref: str, text: str, **more: Any) -> Row:
    return {"ref": ref, "product": "BOUGHT", "code": code(text)} | more


def test_a_supplier_delivers_as_many_as_ordered_in_several_files(shop: Shop) -> None:
    bought(shop, "A", 3)
    assert shop.tell("voucher_fulfilment", given("A", "K1"), given("A", "K2")) == ["voucher_issued"] * 2
    assert (shop.state("A"), shop.breaks(), shop.balances()["reserved"]) == ("paid", [("B04", "A")], 1000)
    assert shop.tell("voucher_fulfilment", given("A", "K3"), day=TUE) == ["voucher_issued"]
    assert (shop.state("A"), shop.breaks(), shop.balances()["payable"]) == ("confirmed", [], 3000)


def test_more_than_ordered_or_another_product_counts_for_nothing(shop: Shop) -> None:
    bought(shop, "A", 1)
    bought(shop, "B", 1)
    told = shop.tell(
        "voucher_fulfilment", given("A", "K1"), given("A", "K2"), given("B", "K3", denomination=2500), given("X", "K4")
    )
    assert told == ["fulfilment_differs"] * 3 + ["fulfilment_unknown"]
    assert shop.breaks() == [("B03", "X"), ("B04", "A"), ("B11", "B")]
    assert shop.tell("voucher_fulfilment", given("A", "K1"), day=TUE) == ["voucher_issued"], "its codes are free still"


def test_a_code_that_came_before_refuses_the_file_whole(shop: Shop) -> None:
    bought(shop, "A", 1)
    bought(shop, "B", 1)
    shop.tell("voucher_fulfilment", given("A", "K1"))
    for rows in ([given("B", "K1")], [given("B", "K2"), given("B", "K2")]):
        with pytest.raises(PermanentError) as refused:
            shop.tell("voucher_fulfilment", *rows, day=TUE)
        assert refused.value.code is Code.CODE_USED
    assert shop.state("B") == "paid"


def test_what_is_cancelled_goes_back_and_a_failed_refund_is_b14_until_the_money_comes(shop: Shop) -> None:
    bought(shop, "A", 3)
    told = shop.tell(
        "voucher_fulfilment",
        given("A", "K1"),
        {"ref": "A", "product": "BOUGHT", "status": "cancelled", "quantity": 1},
        {"ref": "A", "product": "BOUGHT", "status": "refund_failed", "quantity": 1},
    )
    assert told == ["voucher_issued", "order_cancelled", "refund_failed"]
    assert (shop.state("A"), shop.breaks()) == ("refund_due", [("B14", "A")])
    assert {name: shop.balances()[name] for name in ("reserved", "payable", "member")} == {
        "reserved": 1000, "payable": 1000, "member": 8500,
    }  # fmt: skip
    back = {"ref": "A", "product": "BOUGHT", "status": "refunded", "quantity": 1}
    assert shop.tell("voucher_fulfilment", back | {"quantity": 2}, day=TUE) == ["fulfilment_differs"]
    assert shop.tell("voucher_fulfilment", back, day=TUE) == ["refund_came"]
    assert (shop.state("A"), shop.balances().get("reserved"), shop.balances()["member"]) == ("confirmed", None, 9500)
    assert shop.breaks() == []


def test_an_order_cancelled_whole_is_refunded(shop: Shop) -> None:
    bought(shop, "A", 2)
    shop.tell("voucher_fulfilment", {"ref": "A", "product": "BOUGHT", "status": "cancelled", "quantity": 2})
    assert (shop.state("A"), shop.balances()["member"]) == ("refunded", 10_500)


def test_a_voucher_is_delivered_once_used_once_and_ends(shop: Shop) -> None:
    bought(shop, "A", 3)
    shop.tell("voucher_fulfilment", *(given("A", text) for text in ("K1", "K2", "K3")))
    assert shop.tell("vouchers", {"step": "deliver", "ref": "A"}) == ["delivered"]
    assert shop.tell("vouchers", {"step": "deliver", "ref": "A"}, {"step": "resend", "ref": "A"}) == [
        "step_known",
        "resent",
    ]
    used = {"product": "BOUGHT", "status": "redeemed"}
    told = shop.tell("voucher_fulfilment", used | {"code": code("K1")}, used | {"code": code("NONE")}, day=TUE)
    assert told == ["voucher_redeemed", "voucher_unknown"]
    assert shop.tell("voucher_fulfilment", used | {"code": code("K1")}, day=TUE) == ["step_known"]
    ended = [{"step": "expire", "ref": "A", "code": code(text)} for text in ("K1", "K2")]
    assert shop.tell("vouchers", *ended, day=TUE) == ["step_known", "voucher_expired"]
    assert shop.vouchers() == ["redeemed", "expired", "delivered"]


def test_goods_that_come_back_are_credited(shop: Shop) -> None:
    bought(shop, "A", 1, "MUG")
    bought(shop, "B", 1, "MUG")
    sent = {"product": "MUG", "type": "goods"}
    shop.tell("voucher_fulfilment", {"ref": "A", **sent}, {"ref": "B", **sent})
    told = shop.tell(
        "deliveries",
        *({"ref": "A", "status": "attempted", "attempt": attempt} for attempt in (1, 2, 3)),
        {"ref": "B", "status": "delivered", "attempt": 1},
    )
    assert told == [*["delivery_tried"] * 3, "delivered"]
    assert shop.tell("deliveries", {"ref": "A", "status": "returned"}, {"ref": "X", "status": "returned"}, day=TUE) == [
        "credited", "delivery_unknown",
    ]  # fmt: skip
    assert shop.tell("deliveries", {"ref": "A", "status": "returned"}, day=TUE) == ["delivery_known"]
    assert (shop.state("A"), shop.balances()["member"], shop.vouchers()) == (
        "reversed",
        9500,
        ["returned", "delivered"],
    )


def decide(shop: Shop, action: str, code_: str, points: int) -> list[str]:
    (found,) = shop.writer.frame(
        f"SELECT break_id FROM book.open_break WHERE code = {int(code_[1:])} ORDER BY break_id LIMIT 1"
    )["break_id"]
    return shop.tell("decisions", {"action": action, "subject": found, "points": points}, day=TUE)


def test_a_payment_that_was_given_back_waits_no_more(shop: Shop) -> None:
    shop.tell("voucher_payments", paid("A"))
    assert decide(shop, "resolve", "B03", 0) == ["resolved"]
    assert shop.tell("voucher_orders", order("A", "OWN"), day=TUE) == ["ordered"]
    assert to_pay(shop.writer).is_empty()
    assert shop.tell("vouchers", {"step": "pay", "ref": "A"}, day=TUE) == ["step_known"]


def test_a_person_counts_another_sum_as_paid(shop: Shop) -> None:
    shop.tell("voucher_fulfilment", {"product": "STOCK", "code": code("S1")})
    shop.tell("voucher_orders", order("A", "OWN"), order("B", "STOCK"))
    shop.tell("voucher_payments", paid("A", 990))
    assert decide(shop, "pay", "B04", 1000) == ["payment_taken"]
    assert (shop.state("A"), shop.breaks()) == ("paid", [])
    shop.tell("vouchers", *issue("A", "ONE"), day=TUE)
    shop.tell("voucher_payments", paid("B", 1001))
    with pytest.raises(PermanentError) as unfit:
        decide(shop, "pay", "B04", 1001)
    assert unfit.value.code is Code.DECISION_UNFIT
    assert decide(shop, "pay", "B04", 1000) == ["paid_from_stock"]
    assert (shop.state("B"), shop.breaks(), shop.balances()["payable"]) == ("confirmed", [], 2000)


def test_an_order_in_money_that_the_supplier_does_not_pay_back_can_be_given_up(shop: Shop) -> None:
    shop.tell("voucher_orders", order("A", "BOUGHT", 0, quantity=2))
    shop.tell("voucher_payments", paid("A", None, money=2000, currency="EUR"))
    failed = {"ref": "A", "product": "BOUGHT", "status": "refund_failed", "quantity": 2}
    assert shop.tell("voucher_fulfilment", failed) == ["refund_failed"]
    assert decide(shop, "credit", "B14", 0) == ["order_refunded"]
    assert (shop.state("A"), shop.breaks()) == ("refunded", [])


def test_a_use_of_the_last_day_is_told_after_the_close(shop: Shop) -> None:
    bought(shop, "A", 2)
    shop.tell("voucher_fulfilment", *(given("A", text, valid_until=MON) for text in ("K1", "K2")))
    shop.tell("vouchers", *({"step": "expire", "ref": "A", "code": code(text)} for text in ("K1", "K2")))
    used = [
        {"product": "BOUGHT", "status": "redeemed", "code": code(text), "value_date": day}
        for text, day in (("K1", MON), ("K2", TUE))
    ]
    assert shop.tell("voucher_fulfilment", *used, day=TUE) == ["voucher_redeemed", "voucher_unknown"]
    assert shop.vouchers() == ["redeemed", "expired"]


@pytest.mark.parametrize(("limit", "needs"), [(1999, ["pay"]), (2000, [])])
def test_who_counts_an_order_in_money_as_paid_answers_for_its_price(
    shop: Shop, rulebook: Rulebook, limit: int, needs: list[str]
) -> None:
    for ref in ("A", "B"):
        shop.tell("voucher_orders", order(ref, "OWN", 0, quantity=2))
        shop.tell("voucher_payments", paid(ref, None, payment=f"PAY-{ref}", money=1, currency="EUR"))
    (first, second) = shop.writer.frame("SELECT break_id FROM book.open_break ORDER BY subject")["break_id"]
    rows = in_shape(FeedKind.DECISIONS, [{"action": "pay", "subject": second}], TUE)

    def beyond(minor: int) -> list[str]:
        policy, sent = ProgrammeSettings(approval_minor=minor), Sent("test", TUE)
        return approvals.beyond(FeedKind.DECISIONS, rows, shop.writer, policy=policy, chart=rulebook.chart, sent=sent)

    assert beyond(limit) == needs
    shop.tell("decisions", {"action": "pay", "subject": first}, day=TUE)
    assert beyond(limit + 2000) == needs, "what was decided before on that day counts too"


def test_a_person_gives_points_back_before_the_supplier_pays(shop: Shop) -> None:
    bought(shop, "A", 3)
    failed = {"ref": "A", "product": "BOUGHT", "status": "refund_failed", "quantity": 2}
    shop.tell("voucher_fulfilment", given("A", "K1"), failed)
    with pytest.raises(PermanentError) as unfit:
        decide(shop, "resolve", "B14", 0)
    assert unfit.value.code is Code.DECISION_UNFIT, "its points would stay reserved for ever"
    assert decide(shop, "credit", "B14", 2000) == ["order_refunded"]
    assert (shop.state("A"), shop.breaks(), shop.balances()["member"]) == ("confirmed", [], 9500)
    assert shop.tell("voucher_fulfilment", failed | {"status": "refunded"}, day=TUE) == ["fulfilment_differs"]
    assert shop.breaks() == [("B11", "A")], "the money that came after all is for a person to see"


def test_a_product_has_one_supplier_and_its_newest_price(shop: Shop, make_feed: MakeFeed, post: PostRows) -> None:
    other = make_feed("catalogue", partner="q")
    post(shop.writer, other, [{"product": "OWN"}], MON)
    assert shop.breaks() == [("B11", "OWN")]
    shop.tell("catalogue", {"product": "OWN", "points_per_unit": 50, "effective_from": TUE})
    later = order("B", "OWN", 500, value_date=TUE)
    assert shop.tell("voucher_orders", order("A", "OWN"), later) == ["ordered", "ordered"]
