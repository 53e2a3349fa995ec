"""First come, first served: stock and takers laid on one another, beside a walk in plain Python."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.reconcile.intervals import met

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 20)), max_size=12).map(
    lambda found: sorted(found, key=lambda row: row[0])
)


def frame(found: list[tuple[int, int]]) -> pl.DataFrame:
    return pl.DataFrame(found, schema={"group": pl.Int32, "amount": pl.Int64}, orient="row")


def walked(stock: list[tuple[int, int]], takers: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """One after the other."""
    left, found = [amount for _, amount in stock], []
    for taker, (group, wanted) in enumerate(takers):
        served = 0
        for number, (of, _) in enumerate(stock):
            part = min(left[number], wanted - served) if of == group else 0
            left[number] -= part
            served += part
            if part:
                found.append((number, taker, part))
    return found


@given(stock=rows, takers=rows)
def test_everyone_gets_what_is_left(stock: list[tuple[int, int]], takers: list[tuple[int, int]]) -> None:
    assert met(frame(stock), frame(takers), "group").rows() == walked(stock, takers)
