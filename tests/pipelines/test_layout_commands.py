"""The tools of a layout's author: contracts to begin from, a new folder, the schema for editors, a file tried."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner, Result

from counterfoil.errors import Code, CounterfoilError
from parsers.layout_file import parse_layout
from pipelines.commands.app import app

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "contracts" / "partners" / "adriatic" / "adriatic_handback" / "samples"
LAYOUTS = sorted((ROOT / "data").glob("**/layout*.yaml"))


class EditorLoader(yaml.SafeLoader):
    """YAML as editors read it: numbers and truth values are that, days are texts."""


EditorLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFOIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COUNTERFOIL_NOW", "2026-11-20T12:00:00Z")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def code_of(result: Result) -> str | None:
    return result.exception.code if isinstance(result.exception, CounterfoilError) else None


@pytest.mark.parametrize("path", LAYOUTS, ids=lambda path: path.relative_to(ROOT / "data").as_posix())
def test_every_layout_holds_the_schema_that_editors_use(path: Path) -> None:
    schema = json.loads((ROOT / "data" / "layout.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(yaml.load(path.read_text("utf-8"), Loader=EditorLoader))


@pytest.mark.parametrize(
    "change", [{"colour": "red"}, {"shape": {"type": "xls"}}, {"encoding": "utf-32"}, {"record": []}]
)
def test_the_schema_refuses_what_the_program_refuses(change: dict[str, Any]) -> None:
    schema = json.loads(invoke("layout", "schema").stdout)
    document = yaml.load((SAMPLE.parent / "layout.yaml").read_text("utf-8"), Loader=EditorLoader)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(document | change)


def test_a_new_feed_begins_like_another(tmp_path: Path) -> None:
    made = invoke("layout", "new", "acme", "acme_handback", "--like", "adriatic_handback", "--data", str(tmp_path))
    assert made.exit_code == 0, made.output
    path = tmp_path / "partners" / "acme" / "acme_handback" / "layout.yaml"
    layout = parse_layout(path.read_bytes(), "new")
    assert (layout.feed, layout.partner, layout.version) == ("acme_handback", "acme", 1)
    assert (str(layout.effective_from), layout.arrival.folder) == ("2026-11-20", "acme/incoming")
    assert (path.parent / "samples").is_dir()
    tried = invoke("check", str(SAMPLE / "Adriatic_0000118_Rewards.csv"), "--layout", str(path), "--format", "json")
    assert tried.exit_code == 0, tried.output
    assert json.loads(tried.stdout)["accepted"] == 4


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["acme", "acme_handback", "--like", "nobody"], "no contract and no feed"),
        (["Acme", "acme_handback", "--like", "rates"], "other characters"),
        (["acme", "../acme", "--like", "rates"], "other characters"),
    ],
)
def test_a_new_feed_that_cannot_be_meant_is_refused(tmp_path: Path, arguments: list[str], found: str) -> None:
    result = invoke("layout", "new", *arguments, "--data", str(tmp_path))
    assert code_of(result) == Code.NOTHING_FOUND
    assert found in str(result.exception)
    assert list(tmp_path.glob("partners/**")) == []


def test_a_feed_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    arguments = ["layout", "new", "acme", "acme_rates", "--like", "rates", "--data", str(tmp_path)]
    assert invoke(*arguments).exit_code == 0
    path = tmp_path / "partners" / "acme" / "acme_rates" / "layout.yaml"
    path.write_text("mine")
    assert code_of(invoke(*arguments)) == Code.NOTHING_FOUND
    assert path.read_text() == "mine"


def test_contracts_and_feeds_are_listed() -> None:
    rows = json.loads(invoke("layout", "list", "--format", "json").stdout)
    assert {
        "layout": "ironbridge_handback",
        "of": "contract",
        "shape": "fixed_width",
        "encoding": "cp037",
    }.items() <= next(row for row in rows if row["layout"] == "ironbridge_handback").items()
    assert {row["of"] for row in rows} == {"contract", "feed in force"}


def test_check_shows_records_places_and_what_to_tell_the_partner(tmp_path: Path) -> None:
    lines = (SAMPLE / "Adriatic_0000118_Rewards.csv").read_text().replace("1.250", "1,250").replace(",75,", ",seven,")
    file = tmp_path / "Adriatic_0000118_Rewards.csv"
    file.write_text(lines.replace("12.000", "12.00").replace("TR-9004,M-4404,60", "TR-9004,M-4404,x"))
    layout = str(SAMPLE.parent / "layout.yaml")
    shown = invoke("check", str(file), "--layout", layout)
    assert shown.exit_code == 1
    assert "points (column points)" in shown.stdout
    assert "For the partner: points (column points): 3 of 4 records hold no" in " ".join(shown.stdout.split())
    told = json.loads(invoke("check", str(file), "--layout", layout, "--rows", "1", "--format", "json").stdout)
    assert told["first"] == []
    assert len(told["drift"]) == 1


def test_check_reads_a_file_by_the_version_of_its_day_as_a_run_does(tmp_path: Path) -> None:
    sample = ROOT / "data/partners/skybridge/skybridge_requests/samples/SKYBRIDGE_20261119.txt"
    assert json.loads(invoke("check", str(sample), "--format", "json").stdout)["layout"] == "skybridge_requests v1"
    early = tmp_path / "SKYBRIDGE_20191231.txt"
    early.write_bytes(sample.read_bytes())
    refused = invoke("check", str(early))
    assert code_of(refused) == Code.FILE_UNCLAIMED
    assert "the first is from 2020-01-01" in str(refused.exception)


def test_check_says_when_the_layout_file_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x\n")
    assert code_of(invoke("check", str(tmp_path / "x"), "--layout", str(tmp_path / "no.yaml"))) == Code.NOTHING_FOUND
