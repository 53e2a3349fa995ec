"""Reports of letters that were not delivered: what one says, and of which message (RFC 3464).

Here: reading one report, whatever a mail server put into it. Pure. Not here: which letter it is about, or recording it
(``steps.bounce``).
"""

import email
import re
from dataclasses import dataclass
from email import policy
from email.message import Message
from typing import Final

ACTIONS: Final = ("failed", "delayed", "delivered", "relayed", "expanded")
_STATUS: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_ID: Final = re.compile(r"<([0-9a-f]{32})@[^<>@\s]+>")
_ADDRESS: Final = re.compile(r"(?:[^;]*;)?\s*<?([^<>\s;]+@[^<>\s;]+?)>?\s*")
_STATUSES: Final = {"message/delivery-status", "message/global-delivery-status"}
_RETURNED: Final = {"message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"}


@dataclass(frozen=True)
class Report:
    """What a mail server says of one recipient. ``message`` is the first part of the id of the letter's message."""

    message: str | None
    recipient: str | None
    action: str
    status: str


def read_report(data: bytes) -> list[Report]:
    """What a message reports, a recipient each; nothing where it is no report of deliveries."""
    # The lenient policy: reports come from every server there is, and a broken header is none of ours.
    whole = email.message_from_bytes(data, policy=policy.compat32)
    parts = list(whole.walk())
    statuses = [part for part in parts if part.get_content_type() in _STATUSES]
    message = _message(parts)
    return [_report(block, message) for part in statuses for block in _blocks(part) if block.get("Action")]


def _blocks(part: Message) -> list[Message]:
    """A report's groups of fields: one about the message, then one a recipient."""
    content = part.get_payload()
    return [block for block in content if isinstance(block, Message)] if isinstance(content, list) else []


def _message(parts: list[Message]) -> str | None:
    """The id of the letter that came back, from its own header."""
    for part in parts:
        if part.get_content_type() in _RETURNED:
            content = part.get_payload()
            returned = content[0] if isinstance(content, list) and content else None
            found = str(returned.get("Message-ID", "")) if isinstance(returned, Message) else _header(part)
            hit = _ID.search(found)
            if hit:
                return hit[1]
    return None


def _header(part: Message) -> str:
    text = part.get_payload(decode=True)
    return str(email.message_from_bytes(text).get("Message-ID", "")) if isinstance(text, bytes) else ""


def _report(block: Message, message: str | None) -> Report:
    said = {name: " ".join(str(block.get(name, "")).split()) for name in ("Action", "Status")}
    action = said["Action"].lower()
    status = _STATUS.search(said["Status"])
    # The address that was written to; the final one may be where the recipient's mail is sent on.
    addresses = (_ADDRESS.fullmatch(str(block.get(name, ""))) for name in ("Original-Recipient", "Final-Recipient"))
    address = next((hit[1].lower() for hit in addresses if hit), None)
    return Report(message, address, action if action in ACTIONS else "failed", status[0] if status else "")
