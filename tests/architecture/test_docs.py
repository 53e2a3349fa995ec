"""The documents keep pace with the code: each code, command, verb and link they name is there, and the reverse."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
import yaml

from counterfoil.campaigns import CampaignFile
from counterfoil.errors import Code
from counterfoil.letters import LetterKind
from counterfoil.settings import ProgrammeSettings
from parsers.layout_file import parse_layout
from pipelines.commands.app import app

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
VERB = re.compile(r"\bmake ([a-z]+)\b")


@pytest.fixture(scope="module")
def pages(own_files: list[Path]) -> list[Path]:
    """Every Markdown page of the repository."""
    return [path for path in own_files if path.suffix == ".md"]


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as Markdown renderers make them."""
    lines = page.read_text("utf-8").splitlines()
    titles = (line.lstrip("#").strip().lower() for line in lines if line.startswith("#"))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def test_the_reference_is_what_the_code_says(root: Path) -> None:
    run = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_every_code_is_in_the_reference_and_has_a_remedy(root: Path) -> None:
    reference = (root / "docs" / "reference" / "errors.md").read_text("utf-8")
    assert [code for code in Code if f"`{code}`" not in reference] == []
    assert {code.lower() for code in Code} - headings(root / "docs" / "runbook.md") == set()


def test_the_runbook_names_no_code_that_is_gone(root: Path) -> None:
    titles = re.findall(r"^### ([A-Z][A-Z_]+)$", (root / "docs" / "runbook.md").read_text("utf-8"), re.MULTILINE)
    assert set(titles) == set(Code)
    assert len(titles) == len(set(titles))


def test_every_command_is_documented_once_and_has_help(root: Path) -> None:
    verbs = getattr(typer.main.get_command(app), "commands", {})
    groups = {name: getattr(verb, "commands", None) or {"": verb} for name, verb in verbs.items()}
    commands = {f"{name} {below}".strip(): verb for name, group in groups.items() for below, verb in group.items()}
    reference = (root / "docs" / "reference" / "commands.md").read_text("utf-8").splitlines()
    readme = (root / "README.md").read_text("utf-8")
    assert commands
    for name, command in commands.items():
        assert command.help, name
        assert reference.count(f"## `counterfoil {name}`") == 1, name
        assert f"`{name}" in readme or f" {name}" in readme, name


def test_the_examples_of_the_how_to_are_valid(root: Path) -> None:
    page = (root / "docs" / "how-to" / "add-a-partner.md").read_text("utf-8")
    layout, settings = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert parse_layout(layout.encode(), "the how-to").feed == "acme_handback"
    connections = ProgrammeSettings.model_validate(yaml.safe_load(settings.replace("…", ""))).connections
    assert connections["acme"].sftp is not None


def test_the_examples_of_how_to_send_letters_are_valid(root: Path) -> None:
    page = (root / "docs" / "how-to" / "send-mail.md").read_text("utf-8")
    links, settings, campaign = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(ProgrammeSettings.model_validate(yaml.safe_load(links)).mail.links) == 3
    smtp = ProgrammeSettings.model_validate(yaml.safe_load(settings)).mail.smtp
    assert smtp is not None
    assert smtp.at_port == 587
    assert list(CampaignFile.model_validate(yaml.safe_load(campaign)).letters) == [LetterKind.POINTS]


def test_every_verb_that_is_named_exists(root: Path, pages: list[Path]) -> None:
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {verb for page in pages for verb in VERB.findall("\n".join(code_spans(page)))}
    assert named - targets == set()
    assert targets - {"help"} <= set(VERB.findall((root / "README.md").read_text("utf-8")))


def code_spans(page: Path) -> list[str]:
    """What stands in code on a page: there ``make sure`` is no English."""
    text = page.read_text("utf-8")
    return re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL) + re.findall(r"`[^`\n]+`", text)


def test_every_relative_link_leads_somewhere(pages: list[Path]) -> None:
    broken = []
    for page in pages:
        for target in LINK.findall(page.read_text("utf-8")):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            place = page.parent / path if path else page
            if not place.exists() or (anchor and place.suffix == ".md" and anchor not in headings(place)):
                broken.append(f"{page.name}: {target}")
    assert broken == []
