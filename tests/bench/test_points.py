"""What a recipient costs, at a small scale: every row of the upload ends as it was planted."""

from pathlib import Path

import pytest

from bench.points import measured


@pytest.mark.slow
def test_every_row_ends_as_planted(tmp_path: Path) -> None:
    result = measured(tmp_path, 40, 1)
    assert (result.sent, result.to_register, result.scheduled) == (15, 15, 10)
    assert result.ratio > 0
