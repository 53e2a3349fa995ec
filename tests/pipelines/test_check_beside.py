"""A checked file held against what lies beside it, as a run does when it arrives: both sides, and what is not there."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from counterfoil.errors import Code, CounterfoilError
from counterfoil.files import sha256_bytes
from pipelines.commands.app import app
from tests.plugins.wrapped import gzipped

FOLDER = Path(__file__).parents[2] / "data/contracts/partners/adriatic/adriatic_handback"
NAME = "Adriatic_0000118_Rewards.csv"
CONTENT = (FOLDER / "samples" / NAME).read_bytes()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
SHA = sha256_bytes(CONTENT)
SUMS = "companions: [{suffix: .md5, holds: md5}, {suffix: .sha256, holds: sha256}]"
CONTROL = r"companions: [{suffix: .ctl, holds: control, pattern: 'RECS=(?P<records>\d+);SUM=(?P<points>-?\d+)'}]"
LINES = r"manifest: {name: 'SET_\d+\.txt'}"

Check = Callable[..., Result]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """``check("companions: …", {name: content})``: the answer about the sample with these files beside it."""
    monkeypatch.setenv("COUNTERFOIL_HOME", str(tmp_path / "home"))

    def checked(
        arrival: str,
        beside: dict[str, str],
        *options: str,
        wrappers: str = "",
        file: str = NAME,
        content: bytes = CONTENT,
    ) -> Result:
        text = (FOLDER / "layout.yaml").read_text().replace("ready: stable,", f"ready: stable, {arrival},", 1)
        (tmp_path / "layout.yaml").write_text(text + wrappers)
        folder = tmp_path / "folder"
        folder.mkdir()
        (folder / NAME).write_bytes(content)
        for name, said in beside.items():
            (folder / name).write_text(said)
        before = sorted(folder.iterdir())
        result = CliRunner().invoke(
            app, ["check", str(folder / NAME), "--layout", str(tmp_path / "layout.yaml"), *options]
        )
        assert sorted(folder.iterdir()) == before, "it changes nothing"
        return result

    return checked


def told(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    return document


JSON = ("--format", "json")


@pytest.mark.parametrize(
    ("arrival", "beside", "sides"),
    [
        (SUMS, {f"{NAME}.md5": MD5, f"{NAME}.sha256": f"{SHA.upper()}  {NAME}\n"}, [
            (f"{NAME}.md5", "md5", MD5, MD5), (f"{NAME}.sha256", "sha256", SHA, SHA),
        ]),
        (CONTROL, {f"{NAME}.ctl": "RECS=4;SUM=13385"}, [
            (f"{NAME}.ctl", "records", 4, 4), (f"{NAME}.ctl", "points", 13385, 13385),
        ]),
        (LINES, {"SET_1.txt": "other.csv\n", "SET_2.txt": f"{NAME}\n"}, [("SET_2.txt", "name", NAME, NAME)]),
        (LINES, {"SET_1.txt": f"{SHA}  {NAME}\n"}, [("SET_1.txt", "sha256", SHA, SHA)]),
    ],
)  # fmt: skip
def test_what_fits_is_shown_with_both_sides(
    check: Check, arrival: str, beside: dict[str, str], sides: list[tuple[str, str, object, object]]
) -> None:
    result = check(arrival, beside, *JSON)
    assert result.exit_code == 0, result.output
    keys = ("beside_it", "says", "stated", "found")
    assert told(result)["beside"] == [dict(zip(keys, side, strict=True)) | {"holds": True} for side in sides]
    assert told(result)["not_beside"] == []


@pytest.mark.parametrize(
    ("arrival", "beside", "code", "said"),
    [
        (SUMS, {f"{NAME}.md5": "0" * 32}, Code.COMPANION_DIFFERS, f"check sum {MD5}. Expected {'0' * 32}"),
        (SUMS, {f"{NAME}.md5": ""}, Code.COMPANION_DIFFERS, "0 check sums"),
        (SUMS, {f"{NAME}.md5": "x" * (1024 * 1024 + 1)}, Code.COMPANION_DIFFERS, "1,048,577 bytes"),
        (
            CONTROL,
            {f"{NAME}.ctl": "RECS=5;SUM=13385"},
            Code.CONTROL_TOTAL_WRONG,
            "records_companion: declared 5, found 4",
        ),
        (CONTROL, {f"{NAME}.ctl": "five"}, Code.COMPANION_DIFFERS, "no text that its pattern finds"),
        (LINES, {"SET_1.txt": f"{'0' * 64}  {NAME}\n"}, Code.COMPANION_DIFFERS, "as 'SET_1.txt' says"),
        (LINES, {"SET_1.txt": "\n"}, Code.COMPANION_DIFFERS, "no file listed"),
    ],
)
def test_what_differs_is_told_as_a_run_would_tell_it(
    check: Check, arrival: str, beside: dict[str, str], code: Code, said: str
) -> None:
    result = check(arrival, beside, *JSON)
    assert result.exit_code == 1
    assert told(result)["code"] == code
    assert said in told(result)["message"]


def test_both_sides_stand_in_a_table(check: Check) -> None:
    shown = check(CONTROL, {f"{NAME}.ctl": "RECS=5;SUM=13385"}).stdout
    assert "What lies beside it" in shown
    assert [line.split()[-3:] for line in shown.splitlines() if " records " in line and ".ctl" in line] == [
        ["5", "4", "no"]
    ]


def test_what_is_not_there_is_a_sentence_and_no_fault(check: Check) -> None:
    result = check(SUMS, {f"{NAME}.sha256": SHA})
    assert result.exit_code == 0
    assert f"Not beside it: '{NAME}.md5' (md5); when the file arrives it waits for that." in result.stdout


def test_a_set_that_is_not_whole_is_told(check: Check) -> None:
    result = check(LINES, {"SET_1.txt": f"{NAME}\nother.csv\n"}, *JSON)
    assert result.exit_code == 0
    assert told(result)["not_beside"] == [
        "Not beside it: 'other.csv', which 'SET_1.txt' lists; none of a set is taken before all"
    ]


def test_a_file_in_no_manifest_is_told(check: Check) -> None:
    (note,) = told(check(LINES, {"SET_1.txt": "other.csv\n"}, *JSON))["not_beside"]
    assert note == "Not beside it: a manifest that lists it; when the file arrives it waits for that"


def test_a_file_that_is_cut_short_is_told_to_be_another_than_meant(check: Check) -> None:
    """Its check sum says more than the place at which reading it breaks."""
    result = check(SUMS, {f"{NAME}.md5": MD5}, content=CONTENT[:-40])
    assert isinstance(result.exception, CounterfoilError)
    assert result.exception.code is Code.COMPANION_DIFFERS


def test_a_check_sum_is_that_of_the_file_as_it_was_received(check: Check) -> None:
    packed = gzipped(CONTENT)
    wrappers = "wrappers: [{type: gzip}]\n"
    result = check(SUMS, {f"{NAME}.sha256": sha256_bytes(packed)}, *JSON, wrappers=wrappers, content=packed)
    assert result.exit_code == 0, result.output
    assert [side["holds"] for side in told(result)["beside"]] == [True]


def test_what_is_unwrapped_is_held_against_nothing(check: Check) -> None:
    result = check(SUMS, {f"{NAME}.md5": "0" * 32}, "--unwrapped", *JSON, wrappers="wrappers: [{type: gzip}]\n")
    assert result.exit_code == 0, result.output
    (note,) = told(result)["not_beside"]
    assert note.startswith("Not looked at")


def test_records_without_points_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFOIL_HOME", str(tmp_path / "home"))
    folder = Path(__file__).parents[2] / "data/partners/counterfoil/members"
    sample = folder / "samples/members_20261120.csv"
    text = (folder / "layout.yaml").read_text()
    control = r"companions: [{suffix: .ctl, holds: control, pattern: '(?P<records>\d+) rows'}]"
    (tmp_path / "layout.yaml").write_text(text.replace("arrival: {", f"arrival: {{{control}, ", 1))
    (tmp_path / sample.name).write_bytes(sample.read_bytes())
    (tmp_path / f"{sample.name}.ctl").write_text(f"{len(sample.read_text().splitlines()) - 1} rows")
    options = ["--layout", str(tmp_path / "layout.yaml"), *JSON]
    (side,) = told(CliRunner().invoke(app, ["check", str(tmp_path / sample.name), *options]))["beside"]
    assert side["holds"]
