"""Orders, payments and fulfilment against plain Python: nothing overspent, nothing sold twice, in any order of rows."""

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.ledger.model import Event, State
from counterfoil.reconcile import fulfilment, orders, payments

MON = date(2026, 11, 16)

ORDERED = {
    "line_no": pl.Int64, "item_id": pl.Int64, "ref": pl.String, "product": pl.String, "denomination": pl.Int64,
    "quantity": pl.Int64, "member": pl.String, "email": pl.String, "points": pl.Int64, "value_date": pl.Date,
    "source_account": pl.Int32, "supply": pl.String, "event": pl.Int16, "refusal": pl.String,
}  # fmt: skip
REFS = st.sampled_from("ABC")
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "ref": REFS,
            "quantity": st.integers(1, 3),
            "points": st.integers(0, 40),
            "source_account": st.sampled_from([1, 2]),
            "day": st.integers(0, 1),
        }
    ),
    max_size=8,
)


def frame(rows: list[dict[str, Any]], *, one_each: bool = False) -> pl.DataFrame:
    filled = [
        {
            "line_no": place + 2,
            "item_id": place + 1000,
            "product": "P",
            "denomination": 1000,
            "member": f"M{row['source_account']}",
            "email": None,
            "value_date": MON + timedelta(days=row["day"]),
            "supply": "stock",
            "event": Event.ORDERED.value,
            "refusal": None,
            **{name: value for name, value in row.items() if name != "day"},
            **({"ref": f"{row['ref']}{place}"} if one_each else {}),
        }
        for place, row in enumerate(rows)
    ]
    return pl.DataFrame(filled, schema=ORDERED)


@given(ROWS, st.sets(REFS))
def test_a_reference_is_one_orders(rows: list[dict[str, Any]], before: set[str]) -> None:
    known = [{"ref": ref, "quantity": 1, "points": 10, "source_account": 1, "day": 0} for ref in sorted(before)]
    asked, were = frame(rows).drop("event"), frame(known).with_columns(item_id=pl.col("line_no"), company_id=pl.lit(7))
    judged = orders.judged(asked, were, 7)
    terms: dict[str, set[tuple[int, int, int]]] = defaultdict(set)
    for row in [*known, *rows]:
        terms[row["ref"]].add((row["quantity"], row["points"], row["source_account"]))
    here: dict[str, set[tuple[int, int, int]]] = defaultdict(set)
    for row in rows:
        here[row["ref"]].add((row["quantity"], row["points"], row["source_account"]))
    seen: set[str] = set()
    for row, event in zip(rows, judged["event"], strict=True):
        ref = row["ref"]
        if len(here[ref]) > 1 or (ref in before and len(terms[ref]) > 1):
            assert event == Event.ORDER_CONFLICT
        else:
            assert event == (Event.ORDER_KNOWN if ref in before or ref in seen else Event.ORDERED)
        seen.add(ref)


@given(ROWS, st.integers(0, 60), st.integers(0, 60), st.randoms(use_true_random=False))
def test_nobody_spends_more_than_there_is_and_lines_may_stand_anyhow(
    rows: list[dict[str, Any]], first: int, second: int, chance: Any
) -> None:
    asked = frame(rows, one_each=True)
    balances = pl.DataFrame(
        {"source_account": [1, 2], "balance": [first, second]}, schema={"source_account": pl.Int32, "balance": pl.Int64}
    )
    decided = orders.within_balance(asked, balances)
    spent = (
        decided.filter(pl.col("event") == Event.ORDERED.value).group_by("source_account").agg(pl.col("points").sum())
    )
    held = {1: first, 2: second}
    assert all(points <= held[account] for account, points in spent.iter_rows())
    places = list(range(asked.height))
    chance.shuffle(places)
    shuffled = asked[places].with_columns(line_no=pl.int_range(pl.len()) + 2)
    again = orders.within_balance(shuffled, balances)
    assert dict(again.select("ref", "event").iter_rows()) == dict(decided.select("ref", "event").iter_rows())


@given(ROWS, st.integers(0, 12))
def test_no_code_of_the_stock_is_put_aside_twice(rows: list[dict[str, Any]], held: int) -> None:
    stock = pl.DataFrame(
        {"product": ["P"] * held, "denomination": [1000] * held},
        schema={"product": pl.String, "denomination": pl.Int64},
    )
    served = orders.from_stock(frame(rows, one_each=True), stock).filter(pl.col("event") == Event.ORDERED.value)
    places = [
        place
        for first, quantity in served.select("first", "quantity").iter_rows()
        for place in range(first, first + quantity)
    ]
    assert len(set(places)) == len(places)
    assert all(0 <= place < held for place in places)


PAID = st.lists(
    st.fixed_dictionaries(
        {"ref": st.sampled_from("ABX"), "payment": st.sampled_from(["P1", "P2"]), "points": st.sampled_from([90, 100])}
    ),
    max_size=6,
)


@given(PAID)
def test_an_order_is_paid_once_and_by_its_price(paid: list[dict[str, Any]]) -> None:
    order = {
        "state": State.PENDING.value, "order_points": 100, "unit_points": 100, "denomination": 1000, "quantity": 1,
        "supply": "generated", "supplier_id": 3, "company_id": 7, "source_account": 1, "due_currency": "EUR",
        "expiry_days": None, "expiry_months": None,
    }  # fmt: skip
    known = pl.DataFrame([{"ref": ref, "item_id": place, **order} for place, ref in enumerate("AB")])
    schema = {
        "line_no": pl.Int64,
        "ref": pl.String,
        "payment": pl.String,
        "points": pl.Int64,
        "money": pl.Int64,
        "currency": pl.String,
        "company_id": pl.Int64,
    }
    rows = pl.DataFrame([{"line_no": place, "company_id": 7, **row} for place, row in enumerate(paid)], schema=schema)
    judged = payments.judged(rows, known, rows.clear().with_columns(counts=pl.lit(value=True)))
    for ref in "AB":
        mine = judged.filter(pl.col("ref") == ref)
        counted = mine.filter(pl.col("event") == Event.PAID.value)
        assert counted.height == (1 if (mine["points"] == 100).any() else 0)
        assert (counted["points"] == 100).all()
        assert set(mine.filter(pl.col("points") == 90)["event"]) <= {Event.PAYMENT_DIFFERS.value}
    assert set(judged.filter(pl.col("ref") == "X")["event"]) <= {Event.PAYMENT_UNKNOWN.value}


SENT = st.lists(
    st.tuples(st.sampled_from(["delivered", "cancelled", "refund_failed", "refunded"]), st.integers(1, 3)), max_size=6
)


@given(st.lists(SENT, max_size=5), st.integers(1, 5))
def test_an_order_gets_what_was_ordered_whatever_a_supplier_sends(files: list[Any], quantity: int) -> None:
    unit, issued, cancelled, due, remaining = 10, 0, 0, 0, 10 * quantity
    state = State.PAID.value
    for file in files:
        rows = pl.DataFrame(
            [
                {
                    "line_no": place, "ref": "A", "product": "P", "denomination": 1000, "type": "code",
                    "status": status, "quantity": None if status == "delivered" else units, "supplier_id": 3,
                    "item_id": 1, "state": state, "order_product": "P", "order_denomination": 1000,
                    "order_type": "code", "order_supplier": 3, "order_supply": "supplier",
                    "outstanding": quantity - issued - cancelled, "refund_due": due, "remaining": remaining,
                    "unit_points": unit, "issued": issued,
                }
                for place, (status, units) in enumerate(file)
            ],
            schema_overrides={"quantity": pl.Int64},
        )  # fmt: skip
        if rows.is_empty():
            continue
        judged = fulfilment.judged(rows)
        fitting = judged.filter(pl.col("event") != Event.FULFILMENT_DIFFERS.value)
        assert fitting.height in (0, rows.height), "all rows of an order count, or none does"
        for after in fulfilment.afterwards(fitting).to_dicts():
            state, remaining, due = after["state"], after["remaining"], after["refund_due"]
            issued = after["confirmed"] // unit
            cancelled = quantity - issued - after["outstanding"]
            assert min(issued, cancelled, due, after["outstanding"]) >= 0
            assert remaining == unit * (after["outstanding"] + due), "what is neither issued nor given back is reserved"
            waits = after["outstanding"] > 0 or due > 0
            assert (state in fulfilment.STANDING) == waits
