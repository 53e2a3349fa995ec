"""What letters say: a campaign's templates, filled in with what is known of one letter.

Here: the model of ``data/mail/<campaign>.yaml``, its checks, and filling in. Pure but for reading the file. Not here:
the message that leaves (``letters``), or who gets one.
"""

import re
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup
from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from counterfoil.contract import Contract
from counterfoil.errors import Code, PermanentError
from counterfoil.files import sha256_bytes
from counterfoil.letters import Letter, LetterKind, Mailbox, Revealed, Text, one_line, plain_text, valid_address

STANDARD: Final = "standard"
"""The campaign that this program ships."""

PARTS: Final = ("subject", "text", "html")

CAMPAIGN: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
"""A campaign's name: also that of its file, and a letter's cannot lead out of the folder."""

_FILE_BYTES_MAX: Final = 1024 * 1024
_TEXT_CHARACTERS_MAX: Final = 500_000
"""A letter beyond this is a template that repeats itself; servers take some megabytes, readers far less."""

_FAULTS: Final = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError)
"""What goes wrong in a template besides Jinja's own errors: an operation on what is not there or of another type."""

_EXAMPLE: Final = Letter(
    letter_key="points:example",
    kind=LetterKind.POINTS,
    campaign=STANDARD,
    company="Acme",
    recipient="ada.example@acme.example",
    name="Ada Example",
    points=1250,
    citation="Thank you for carrying the release over the line.",
    link="https://rewards.example/join/7Q4M",
    reference="Q4-0117",
    expires=date(2027, 11, 30),
    due=date(2026, 11, 20),
    posting=1,
)


_EXAMPLE_CODES: Final = (Revealed("7Q4M-KX2P-93TD-HVWE", "4711"), Revealed("https://vouchers.example/9f2c"))


def _address(text: str) -> str:
    address = valid_address(text)
    if address is None:
        raise ValueError("is no mail address")
    return address


MailAddress = Annotated[str, AfterValidator(_address)]
Body = Annotated[str, StringConstraints(min_length=1, max_length=100_000)]


class Sender(Contract):
    """Who letters are from."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$")]
    address: MailAddress


class Templates(Contract):
    """One kind of letter. Each is a Jinja template: ``subject`` becomes one line, ``html`` escapes what it is given and
    stands within the campaign's ``page``."""

    subject: Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
    text: Body
    html: Body


class CampaignFile(Contract):
    """Who letters are from, and what they say."""

    campaign: Annotated[str, StringConstraints(pattern=rf"^{CAMPAIGN.pattern}$")]
    """The file's own name."""
    sender: Sender
    reply_to: MailAddress | None = None
    """Where answers go; by default to the sender."""
    bounces_to: MailAddress | None = None
    """Where a mail server reports what it could not deliver; by default to the sender."""
    citation: str = Field(default="", max_length=2_000)
    """What points are for, where the file that moved them does not say."""
    page: Body = "{{ content }}"
    """The HTML around each letter's, which is its ``content``."""
    letters: dict[LetterKind, Templates]
    """A template for each kind of letter: points, register, alert, voucher."""


@dataclass(frozen=True)
class Campaign:
    """A campaign whose templates are known to work; ``sha256`` is that of its file."""

    file: CampaignFile
    sha256: str

    @property
    def sender(self) -> Mailbox:
        return Mailbox(self.file.sender.name, self.file.sender.address)

    @property
    def returns_to(self) -> str:
        """The address on the envelope."""
        return self.file.bounces_to or self.file.sender.address

    def text(self, letter: Letter) -> Text:
        """What a letter says; CAMPAIGN_INVALID names the template that cannot say it."""
        templates = self._compiled.get(letter.kind)
        if templates is None:
            raise _invalid(self.file.campaign, f"letters.{letter.kind}", "no template")
        given = _given(letter, self.file.citation)
        subject, text, content = (
            self._filled(templates[part], given, f"letters.{letter.kind}.{part}") for part in PARTS
        )
        # Escaped already, each value of it.
        html = self._filled(self._page, {**given, "content": Markup(content)}, "page")  # noqa: S704
        return Text(one_line(subject), text, html)

    def _filled(self, template: Template, given: dict[str, Any], key: str) -> str:
        try:
            return _within_limit(template, given)
        # A template is a program of somebody's: whatever goes wrong in it is its fault, and is told as such.
        except (TemplateError, *_FAULTS) as error:
            found = error.message or "" if isinstance(error, TemplateError) else f"a {type(error).__name__}"
            raise _invalid(self.file.campaign, key, _safe(found, given)) from None

    @cached_property
    def _compiled(self) -> dict[LetterKind, dict[str, Template]]:
        return {
            kind: {
                part: _compiled(self.file.campaign, f"letters.{kind}.{part}", getattr(templates, part))
                for part in PARTS
            }
            for kind, templates in self.file.letters.items()
        }

    @cached_property
    def _page(self) -> Template:
        return _compiled(self.file.campaign, "page", self.file.page)


def load_campaign(data: Path, name: str) -> Campaign:
    """A campaign by name, each of its templates tried on an example with all values and on one that lacks those that
    may be missing. CAMPAIGN_INVALID names file, key and what was found.
    """
    if not CAMPAIGN.fullmatch(name):
        raise _invalid("…", "campaign", "a letter names a campaign by no plain name")
    try:
        content = (data / "mail" / f"{name}.yaml").read_bytes()
    except FileNotFoundError as error:
        raise _invalid(name, "the whole file", "no such file, and a letter names it") from error
    return parse_campaign(content, name)


def parse_campaign(content: bytes, name: str) -> Campaign:
    """The campaign of a file's bytes; CAMPAIGN_INVALID."""
    file = _parsed(content, name)
    if file.campaign != name:
        raise _invalid(name, "campaign", "another name than the file's")
    missing = [kind.value for kind in LetterKind if kind not in file.letters]
    if missing:
        raise _invalid(name, "letters", f"no templates for {', '.join(missing)}")
    campaign = Campaign(file, sha256_bytes(content))
    for kind in LetterKind:
        for letter in (example(kind, name), bare(kind, name)):
            campaign.text(letter)
    return campaign


def example(kind: LetterKind, campaign: str) -> Letter:
    """A letter to a person who does not exist, with every value there is."""
    codes = _EXAMPLE_CODES if kind is LetterKind.VOUCHER else ()
    return replace(_EXAMPLE, kind=kind, campaign=campaign, letter_key=f"{kind}:example", codes=codes)


def bare(kind: LetterKind, campaign: str) -> Letter:
    """The same without any value that may be missing."""
    return replace(
        example(kind, campaign), name=None, points=None, citation=None, link=None, reference=None, expires=None
    )


def _parsed(content: bytes, name: str) -> CampaignFile:
    if len(content) > _FILE_BYTES_MAX:
        raise _invalid(name, "the whole file", f"{len(content)} bytes")
    try:
        return CampaignFile.model_validate(yaml.safe_load(content))
    except yaml.YAMLError as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        raise _invalid(name, f"line {mark.line + 1}" if mark else "the whole file", "no sound YAML") from error
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        where = ".".join(str(part) for part in faults[0]["loc"] if part != "[key]") or "the whole file"
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise _invalid(name, where, f"{faults[0]['msg']}{more}") from error


def _compiled(campaign: str, key: str, template: str) -> Template:
    try:
        return _environment(escaping=key.endswith(("html", "page"))).from_string(template)
    except TemplateSyntaxError as error:
        raise _invalid(campaign, key, f"line {error.lineno} of the template: {error.message}") from error


def _environment(*, escaping: bool) -> SandboxedEnvironment:
    """Templates reach what they are given and nothing else; a name that is none is an error."""
    environment = SandboxedEnvironment(autoescape=escaping, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.globals.clear()
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["day"] = lambda value: f"{value.day} {value:%B %Y}"
    return environment


def _given(letter: Letter, citation: str) -> dict[str, Any]:
    """What templates may name. Texts from outside keep to their line; a citation may have several."""
    said = plain_text(letter.citation or citation).strip()
    texts = ("name", "company", "reference", "link", "recipient")
    lines = {name: one_line(value) if (value := getattr(letter, name)) else value for name in texts}
    return {
        **lines,
        "citation": said or None,
        "points": letter.points,
        "expires": letter.expires,
        "due": letter.due,
        "kind": letter.kind.value,
        "campaign": letter.campaign,
        "codes": [{"code": one_line(one.code), "pin": one.pin and one_line(one.pin)} for one in letter.codes],
    }


def _within_limit(template: Template, given: dict[str, Any]) -> str:
    """A template filled in, and given up once it says too much."""
    said: list[str] = []
    size = 0
    for piece in template.generate(given):
        size += len(piece)
        if size > _TEXT_CHARACTERS_MAX:
            raise ValueError("says too much")
        said.append(piece)
    return "".join(said)


def _safe(found: str, given: dict[str, Any]) -> str:
    """A template's error without any value: Jinja quotes names of the template, and may quote what was given."""
    values = (value for value in given.values() if isinstance(value, str) and value)
    return "an error about a value" if any(value in found for value in values) else found or "an error"


def _invalid(campaign: str, key: str, found: str) -> PermanentError:
    return PermanentError(
        Code.CAMPAIGN_INVALID,
        f"data/mail/{campaign}.yaml {key}",
        found=found.rstrip("."),
        expected="the keys of a campaign, and templates that say every letter whatever of it is missing",
        remedy="Correct it, look at it with counterfoil mail preview, and run again; its letters wait",
    )
