"""Voucher codes: unguessable by construction, and wrong the moment a character is."""

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.codes import ALPHABET, LENGTH, check_character, grouped, is_valid, new_code

CODES = st.builds(new_code)


def test_the_published_example_has_its_check_character() -> None:
    assert check_character("A12425GABC1234002") == "M", "the GRid of the IFPI, by ISO 7064 MOD 37,36"


def test_codes_are_long_plain_and_never_the_same() -> None:
    made = [new_code() for _ in range(2000)]
    assert len(set(made)) == 2000
    assert {len(code) for code in made} == {LENGTH}
    assert set("".join(made)) == set(ALPHABET), "every character comes up, in every place, and no other"
    assert all(is_valid(code) for code in made)


@given(CODES, st.integers(0, LENGTH - 1), st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
def test_every_wrong_character_is_found(code: str, place: int, other: str) -> None:
    assert is_valid(code[:place] + other + code[place + 1 :]) == (code[place] == other)


@given(CODES, st.integers(0, LENGTH - 2))
def test_every_neighbours_exchange_is_found(code: str, place: int) -> None:
    swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    assert is_valid(swapped) == (swapped == code)


def test_what_is_no_code_is_not_valid() -> None:
    assert not any(is_valid(text) for text in ("", "A", "abcd", "AB CD", "ÄÖ"))
    assert grouped("ABCDEFGHJKLMNPQR") == "ABCD-EFGH-JKLM-NPQR"
