"""A letter's message is whole, always the same, and holds nobody's header but ours; a campaign that cannot say its
letters is refused with the place."""

import email
from dataclasses import replace
from datetime import UTC, date, datetime
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.campaigns import Campaign, bare, example, load_campaign, parse_campaign
from counterfoil.errors import Code, PermanentError
from counterfoil.letters import (
    Letter,
    LetterKind,
    Mailbox,
    Text,
    message,
    message_part,
    one_line,
    plain_text,
    valid_address,
)

AT = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
HEADERS = [
    "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type", "MIME-Version",
]  # fmt: skip


def letter(name: str | None = "Ada", **changes: Any) -> Letter:
    return replace(example(LetterKind.POINTS, "standard"), name=name, **changes)


def made(one: Letter, text: Text, sender: str = "Rewards") -> bytes:
    return message(
        one,
        text,
        to="ada@acme.example",
        sender=Mailbox(sender, "rewards@programme.example"),
        reply_to="help@programme.example",
        domain="programme.example",
        at=AT,
    )


def decoded(header: str) -> str:
    """A header as another reader than the library's own parser sees it, which loses blanks between encoded words."""
    return str(make_header(decode_header(header.replace("\r\n", ""))))


def test_a_plain_message_to_the_byte() -> None:
    assert made(letter(), Text("100 points", "Hello", "<p>Hello</p>")).decode() == (
        "From: Rewards <rewards@programme.example>\r\n"
        "To: Ada <ada@acme.example>\r\n"
        "Reply-To: help@programme.example\r\n"
        "Subject: 100 points\r\n"
        "Date: Fri, 20 Nov 2026 06:30:00 +0000\r\n"
        f"Message-ID: <{message_part('points:example')}@programme.example>\r\n"
        "Auto-Submitted: auto-generated\r\n"
        f'Content-Type: multipart/alternative;\r\n boundary="=_{message_part("points:example")}"\r\n'
        "MIME-Version: 1.0\r\n"
        "\r\n"
        f"--=_{message_part('points:example')}\r\n"
        'Content-Type: text/plain; charset="utf-8"\r\n'
        "MIME-Version: 1.0\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n"
        "\r\n"
        "Hello\r\n"
        f"--=_{message_part('points:example')}\r\n"
        'Content-Type: text/html; charset="utf-8"\r\n'
        "MIME-Version: 1.0\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n"
        "\r\n"
        "<p>Hello</p>\r\n"
        f"--=_{message_part('points:example')}--\r\n"
    )


@pytest.mark.parametrize(
    "name",
    [
        "Zoë Müller",
        "Łukasz Żółć",
        "Ирина",
        "\u0645\u062d\u0645\u062f",
        "李小龍",
        "Ngọc Ánh",
        "अदिति",
        "O'Brien, Ada (QA)",
        "\u200f\u05e9\u05c1\u05dc\u05d5\u05dd",
        "\U0001f469\u200d\U0001f52c Ada",
        'Ada "the" <x@y.example>',
        "=?utf-8?q?fake?=",
        "A" * 100,
        "\U00010000" * 30,
        "a" * 12 + "¡¡¡" + "\U00010000" * 7,
    ],
    ids=ascii,
)
def test_names_of_any_script_arrive(name: str) -> None:
    data = made(letter(name), Text(name, name, name), sender=name)
    read = email.message_from_bytes(data)
    assert decoded(read["To"]) == f"{one_line(name)} <ada@acme.example>"
    assert decoded(read["From"]) == f"{one_line(name)} <rewards@programme.example>"
    assert decoded(read["Subject"]) == one_line(name)
    assert max(map(len, data.split(b"\r\n"))) <= 76


@given(st.text(max_size=200), st.text(max_size=300), st.text(max_size=500))
def test_no_text_makes_a_header_a_line_or_a_part(name: str, subject: str, body: str) -> None:
    data = made(letter(name), Text(subject, body, body), sender=name)
    assert data.isascii()
    assert data.count(b"\n") == data.count(b"\r\n") == data.count(b"\r")
    read = email.message_from_bytes(data, policy=policy.default)
    assert isinstance(read, EmailMessage)
    assert read.keys() == HEADERS
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]
    for header in ("To", "From"):
        (address,) = read[header].addresses
        assert address.domain in {"acme.example", "programme.example"}
    assert decoded(email.message_from_bytes(data)["Subject"]) == one_line(subject)
    for part in read.iter_parts():
        assert part.get_content().replace("\r\n", "\n").rstrip("\n") == plain_text(body).rstrip("\n")
    assert data == made(letter(name), Text(subject, body, body), sender=name)


def test_a_break_in_a_name_stays_within_its_header() -> None:
    name = "Ada\r\nBcc: everybody@acme.example\u2028X: y\x00\u202egpj"
    read = email.message_from_bytes(made(letter(name), Text(name, "", "")))
    assert read.keys() == HEADERS
    assert decoded(read["Subject"]) == "Ada Bcc: everybody@acme.example X: y gpj"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ada@acme.example", "ada@acme.example"),
        (" Ada.B+c@ACME.Example ", "Ada.B+c@acme.example"),
        ("o'brien@acme.example", "o'brien@acme.example"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("x" * 64 + "@acme.example", "x" * 64 + "@acme.example"),
    ],
)
def test_an_address_is_what_a_server_takes(text: str, address: str) -> None:
    assert valid_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@acme.example",
        "ada@",
        "ada@localhost",
        "ada@acme..example",
        "ada..b@acme.example",
        ".a@acme.example",
        "a.@acme.example",
        "ada@acme.example,bob@acme.example",
        "ada@acme.example\r\nRCPT TO:<x@y.example>",
        "a b@acme.example",
        "<ada@acme.example>",
        '"a b"@acme.example',
        "ada@[127.0.0.1]",
        "ada@127.0.0.1",
        "ada@-acme.example",
        "zoë@acme.example",
        "x" * 65 + "@acme.example",
        "a@" + "x" * 64 + ".example",
        "a@" + "abcdefgh." * 30 + "example",
        "ada@acme.example>",
        "ada@acme.exa\x00mple",
        "ada@acme.example.",
        "\u0430da@acme.example",
    ],
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert valid_address(text) is None


@given(st.text())
def test_an_address_never_holds_what_a_command_could_misread(text: str) -> None:
    address = valid_address(text)
    assert address is None or (address.isascii() and not set(address) & set(' <>\r\n\t",;:\\()[]'))


@pytest.fixture
def standard(root: Path) -> Campaign:
    return load_campaign(root / "data", "standard")


@pytest.mark.parametrize("kind", LetterKind)
def test_the_shipped_campaign_says_every_letter(standard: Campaign, kind: LetterKind) -> None:
    full, empty = (standard.text(one(kind, "standard")) for one in (example, bare))
    assert "Ada Example" in full.text
    assert "Ada Example" in full.html
    assert "https://rewards.example/join/7Q4M" in full.text
    assert 'href="https://rewards.example/join/7Q4M"' in full.html
    assert "None" not in empty.subject + empty.text + empty.html
    assert "undefined" not in full.html


def test_html_escapes_what_text_says_as_it_is(standard: Campaign) -> None:
    text = standard.text(letter("<b>Ada</b> & \u202eco", citation="1 < 2\n<script>alert(1)</script>"))
    assert "Hello <b>Ada</b> & co," in text.text
    assert "Hello &lt;b&gt;Ada&lt;/b&gt; &amp; co," in text.html
    assert "<script>" not in text.html
    assert "1 &lt; 2\n&lt;script&gt;" in text.html


def test_a_campaign_has_words_for_points_without_a_citation(root: Path) -> None:
    content = (root / "data/mail/standard.yaml").read_text().replace('citation: ""', "citation: Thank you all")
    campaign = parse_campaign(content.encode(), "standard")
    assert '"Thank you all"' in campaign.text(letter(citation=None)).text
    assert '"For the release"' in campaign.text(letter(citation="For the release")).text


def changed(root: Path, path: str, value: object) -> bytes:
    """The shipped campaign with one key set."""
    content = yaml.safe_load((root / "data/mail/standard.yaml").read_bytes())
    place = content
    *above, last = path.split(".")
    for key in above:
        place = place[key]
    place[last] = value
    return yaml.safe_dump(content).encode()


BAD = [
    ("letters.points.text", "Hello {{ nmae }}", "letters.points.text", "'nmae' is undefined"),
    ("letters.points.html", "{% if points %}", "letters.points.html", "line 1 of the template"),
    ("letters.alert.subject", "{{ expires | day }}", "letters.alert.subject", "a AttributeError"),
    ("letters.alert.subject", "{{ points + 1 }}", "letters.alert.subject", "a TypeError"),
    ("letters.voucher.text", "{{ name.__class__.__mro__ }}", "letters.voucher.text", "unsafe"),
    ("letters.voucher.text", "{% include '/etc/passwd' %}", "letters.voucher.text", ""),
    ("letters.voucher.text", "{{ 1 / 0 }}", "letters.voucher.text", "a ZeroDivisionError"),
    (
        "letters.register.html",
        "{% for a in 'x' * 999 %}{{ 'y' * 999 }}{% endfor %}",
        "letters.register.html",
        "a Value",
    ),
    ("letters.register.text", "{{ name | nonsense }}", "letters.register.text", "nonsense"),
    ("letters.poem", {"subject": "a", "text": "b", "html": "c"}, "letters.poem", "Input should be"),
    ("letters.points.colour", "red", "letters.points.colour", "Extra inputs"),
    ("page", "{{ contents }}", "page", "'contents' is undefined"),
    ("sender.address", "nobody", "sender.address", "no mail address"),
    ("campaign", "other", "campaign", "another name"),
    ("letters", {}, "letters", "no templates for points, register, alert, voucher"),
]


@pytest.mark.parametrize(("path", "value", "key", "found"), BAD)
def test_a_campaign_that_cannot_say_its_letters_names_the_place(
    root: Path, path: str, value: object, key: str, found: str
) -> None:
    with pytest.raises(PermanentError) as invalid:
        parse_campaign(changed(root, path, value), "standard")
    assert invalid.value.code is Code.CAMPAIGN_INVALID
    assert invalid.value.where == f"data/mail/standard.yaml {key}"
    assert found in invalid.value.found


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe\x00", b"", b"- 1", b"x" * 2_000_000])
def test_what_is_no_campaign_file_is_refused(content: bytes) -> None:
    with pytest.raises(PermanentError) as invalid:
        parse_campaign(content, "standard")
    assert invalid.value.code is Code.CAMPAIGN_INVALID


@pytest.mark.parametrize("name", ["nowhere", "../ledger/chart", "Standard", ""])
def test_a_campaign_that_is_not_there_is_named(root: Path, name: str) -> None:
    with pytest.raises(PermanentError) as invalid:
        load_campaign(root / "data", name)
    assert invalid.value.code is Code.CAMPAIGN_INVALID


def test_an_error_of_a_template_quotes_no_value(root: Path) -> None:
    content = changed(root, "letters.points.text", "{{ {'x': 1}[name] if name == 'Ada Lovelace' else '' }}")
    campaign = parse_campaign(content, "standard")
    with pytest.raises(PermanentError) as invalid:
        campaign.text(letter("Ada Lovelace"))
    assert "Lovelace" not in str(invalid.value)


def test_dates_and_numbers_have_a_form(root: Path) -> None:
    content = changed(
        root, "letters.points.text", "{% if points %}{{ points | number }} {{ expires | day }}{% endif %}"
    )
    text = parse_campaign(content, "standard").text(letter(points=-1234567, expires=date(2027, 3, 5)))
    assert text.text == "-1,234,567 5 March 2027"
