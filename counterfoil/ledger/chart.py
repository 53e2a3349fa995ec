"""Posting rules and chart of accounts, read from ``data/ledger``: what an event books and which GL code an account has.

Here: the typed rules and their checks. Not here: applying them to records (``posting``) or to journals (``journal``).
"""

from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from counterfoil.contract import Contract
from counterfoil.errors import Code, PermanentError
from counterfoil.ledger.model import FIRST_OF_VERSION, WITHOUT_RULES, Event

Model = TypeVar("Model", bound=Contract)

Role = Literal[
    "source",
    "target",
    "in_flight",
    "payable",
    "suspense",
    "variance_loss",
    "variance_gain",
    "written_off",
    "issued",
    "breakage",
    "company",
    "recharge",
    "scheduled",
    "unclaimed",
    "reserved",
]
Amount = Literal["sent", "answered", "matched", "shortfall", "excess"]


class Move(Contract):
    """An amount that goes from one account to another."""

    origin: Role = Field(alias="from")
    to: Role
    amount: Amount


class PostingRules(Contract):
    """The moves of every event; an event without moves books nothing."""

    version: int
    events: dict[str, tuple[Move, ...]]

    @model_validator(mode="after")
    def _complete(self) -> "PostingRules":
        unknown_from = FIRST_OF_VERSION.get(self.version + 1, max(Event) + 1)
        known = [event for event in Event if event < unknown_from and event not in WITHOUT_RULES]
        expected = {event.name.lower() for event in known}
        if set(self.events) != expected:
            raise ValueError(f"events differ from the program's: {sorted(set(self.events) ^ expected)}")
        return self

    def moves(self, event: Event) -> tuple[Move, ...]:
        """What the event books, in order; nothing for an event that these rules are too old to know."""
        return self.events.get(event.name.lower(), ())


_SPENT_IN_VERSION_ONE = frozenset({"issued", "variance_loss", "variance_gain", "written_off"})
"""Kinds that are not open; version 1 of the chart did not say so itself."""


class AccountKind(Contract):
    """One kind of account: its GL code and the rate that values its points."""

    gl: str
    name: str
    basis: Literal["programme", "partner"]
    open: bool = True
    """Whether the points are still owed, so that a new rate revalues them; not those of income and expense."""


class NamedAccount(Contract):
    """A GL account that only journals use."""

    gl: str
    name: str


class Chart(Contract):
    """Account kinds and the three accounts that only money needs."""

    version: int
    accounts: dict[str, AccountKind]
    margin: NamedAccount
    revaluation: NamedAccount
    rounding: NamedAccount

    @model_validator(mode="before")
    @classmethod
    def _spent(cls, content: Any) -> Any:
        if isinstance(content, dict) and content.get("version") == 1 and isinstance(content.get("accounts"), dict):
            accounts = {
                kind: {"open": kind not in _SPENT_IN_VERSION_ONE, **account} if isinstance(account, dict) else account
                for kind, account in content["accounts"].items()
            }
            return {**content, "accounts": accounts}
        return content


class Rulebook:
    """Rules and chart in force, with the hash of the bytes they came from."""

    def __init__(self, rules_bytes: bytes, chart_bytes: bytes) -> None:
        self.rules_bytes = rules_bytes
        self.chart_bytes = chart_bytes
        self.rules = _parse(PostingRules, rules_bytes, "data/ledger/posting.yaml")
        self.chart = _parse(Chart, chart_bytes, "data/ledger/chart.yaml")
        self.hashes = {"rules": sha256(rules_bytes).hexdigest(), "chart": sha256(chart_bytes).hexdigest()}


@lru_cache(maxsize=8)
def rulebook(rules_bytes: bytes, chart_bytes: bytes) -> Rulebook:
    """A rulebook by its bytes; RULES_INVALID. A replay meets the same one in every posting, and reading YAML takes
    longer than a small posting."""
    return Rulebook(rules_bytes, chart_bytes)


def load_rulebook(data: Path) -> Rulebook:
    """The newest rulebook of a data folder; RULES_INVALID names the file and the key."""
    return rulebook(*(_newest(data / "ledger", name) for name in ("posting", "chart")))


def _newest(folder: Path, name: str) -> bytes:
    """The bytes of the highest version: ``posting.yaml`` is the first, ``posting-v2.yaml`` the second."""
    versions = {int(path.stem.removeprefix(f"{name}-v")): path for path in folder.glob(f"{name}-v*.yaml")}
    return (versions[max(versions)] if versions else folder / f"{name}.yaml").read_bytes()


def _parse(model: type[Model], text: bytes, where: str) -> Model:
    try:
        return model.model_validate(yaml.safe_load(text))
    except (ValidationError, yaml.YAMLError) as error:
        keys = (
            ", ".join(".".join(map(str, item["loc"])) or item["msg"] for item in error.errors())
            if isinstance(error, ValidationError)
            else "not YAML"
        )
        raise PermanentError(
            Code.RULES_INVALID, where, found=keys, expected="the keys of the rulebook", remedy="Correct the file"
        ) from error
