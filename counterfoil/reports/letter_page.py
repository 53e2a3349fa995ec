"""A campaign's letters as an HTML page to look at before they go, each as its reader would see it.

Here: what the template is given. Not here: what letters say (``campaigns``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from counterfoil.campaigns import Campaign, bare, example
from counterfoil.letters import Letter, LetterKind, Text
from counterfoil.reports.pages import css_text, environment, font

WORDS: Final = {
    LetterKind.POINTS: "Points arrived",
    LetterKind.REGISTER: "Points wait for a registration",
    LetterKind.ALERT: "A budget reached a threshold",
    LetterKind.VOUCHER: "A voucher is ready",
}


@dataclass(frozen=True)
class Shown:
    """One letter, filled in for somebody who does not exist."""

    to: str
    note: str
    text: Text


@dataclass(frozen=True)
class Kind:
    """A kind of letter with everything that may be said, and without."""

    kind: str
    title: str
    shown: tuple[Shown, ...]


def render(campaign: Campaign, kinds: Sequence[LetterKind], *, programme: str) -> str:
    """The page of a campaign's letters of these kinds. The same campaign gives the same text on every machine."""
    name = campaign.file.campaign
    return (
        environment()
        .get_template("letters.html")
        .render(
            programme=programme,
            campaign=campaign.file,
            sha256=campaign.sha256,
            kinds=[
                Kind(
                    kind,
                    WORDS[kind],
                    (
                        _shown(campaign, example(kind, name), "with everything that may be said"),
                        _shown(campaign, bare(kind, name), "with only what is always known"),
                    ),
                )
                for kind in kinds
            ],
            font=font(),
            running=css_text(f"{programme}: letters of {name}"),
        )
    )


def _shown(campaign: Campaign, letter: Letter, note: str) -> Shown:
    to = f"{letter.name} <{letter.recipient}>" if letter.name else letter.recipient
    return Shown(to, note, campaign.text(letter))
