"""Damaged samples of every layout are read or refused; nothing else comes of them."""

from bench.fuzz import corpus, fuzz


def test_damaged_files_are_read_or_refused() -> None:
    files = 6 * len(corpus())
    found = fuzz(20261127, lambda so_far: so_far.files < files)
    assert found.broken == []
    assert found.files == files
    assert found.read > 0
    assert len(found.refused) > 2
