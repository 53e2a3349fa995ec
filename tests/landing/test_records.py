"""Names from outside as text that every store can hold."""

import os
import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.files import canonical_json
from counterfoil.landing.records import plain_name

NAMES = st.binary(max_size=8).map(os.fsdecode) | st.text("ab\\x\udc80dc8", max_size=8)


def test_ordinary_names_stay_as_they_are() -> None:
    for name in ("NSTR0011", "../../etc/x", "a\nb", "ünï.csv", "C:\\new", ""):
        assert plain_name(name) == name


def test_bytes_that_are_no_text_are_spelt_out() -> None:
    assert plain_name(os.fsdecode(b"a\x80\\b")) == r"a\xdc80\\b"
    assert plain_name(r"a\xdc80") == r"a\\xdc80"


@given(NAMES, NAMES)
def test_different_names_stay_different(one: str, two: str) -> None:
    assert (plain_name(one) == plain_name(two)) == (one == two)


@given(NAMES)
def test_every_store_takes_the_name(name: str) -> None:
    text = plain_name(name)
    assert canonical_json(text)
    with sqlite3.connect(":memory:") as db:
        assert db.execute("SELECT ?", (text,)).fetchone() == (text,)
