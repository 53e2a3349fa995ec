"""The rule for names, over all the names that hypothesis can think of."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.names import SHOWN_CHARACTERS_MAX, decoded, folder_parts, free_name, is_safe, place_of, shown
from counterfoil.errors import Code, PermanentError

NAMES = st.one_of(st.text(), st.text(alphabet="./\\a\n\0\u202e", max_size=8), st.binary().map(decoded))


@settings(deadline=None)
@given(NAMES)
def test_a_safe_name_is_one_entry_of_one_folder(name: str) -> None:
    if is_safe(name):
        assert os.path.normpath(f"/folder/{name}") == f"/folder/{name}"
        assert os.path.dirname(f"/folder/{name}") == "/folder"
        assert decoded(name.encode()) == name
        assert len(os.fsencode(name)) <= 255


@settings(deadline=None)
@given(st.binary())
def test_bytes_that_are_not_text_are_never_safe(raw: bytes) -> None:
    try:
        raw.decode()
    except UnicodeDecodeError:
        assert not is_safe(decoded(raw))
    else:
        assert decoded(raw) == raw.decode()


@settings(deadline=None)
@given(NAMES)
def test_whatever_the_name_a_message_stays_one_short_line(name: str) -> None:
    for text in (shown(name), place_of("alias", name, name).removeprefix(f"alias:{name}/")):
        assert text.isprintable()
        assert len(shown(name)) <= SHOWN_CHARACTERS_MAX + 1


@settings(deadline=None)
@given(NAMES)
def test_folders_stay_below_the_root(folder: str) -> None:
    try:
        parts = folder_parts(folder, "here")
    except PermanentError as error:
        assert error.code is Code.NAME_UNSAFE  # noqa: PT017 - both outcomes are right
        return
    root = Path("/root-of-it")
    assert (
        root == Path(os.path.normpath(root.joinpath(*parts)))
        or root in Path(os.path.normpath(root.joinpath(*parts))).parents
    )


@settings(deadline=None)
@given(st.integers(0, 3_000))
def test_the_first_free_number_is_found_quickly(archived: int) -> None:
    taken = {"a.csv"} | {f"a.csv.{number}" for number in range(1, archived)} if archived else set()
    asked: list[str] = []

    def is_taken(name: str) -> bool:
        asked.append(name)
        return name in taken

    assert free_name("a.csv", is_taken) == (f"a.csv.{archived}" if archived else "a.csv")
    assert len(asked) <= 2 * archived.bit_length() + 2


@settings(deadline=None)
@given(st.sets(st.integers(1, 50)))
def test_gaps_cost_nothing_but_never_a_taken_name(numbers: set[int]) -> None:
    taken = {"a.csv"} | {f"a.csv.{number}" for number in numbers}
    assert free_name("a.csv", taken.__contains__) not in taken


def test_an_archive_without_end_is_given_up() -> None:
    with pytest.raises(PermanentError) as caught:
        free_name("a.csv", lambda _: True)
    assert caught.value.code is Code.LISTING_TOO_LONG
