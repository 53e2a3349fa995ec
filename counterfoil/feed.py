"""The contract of a feed as far as the core obeys it: who sends what, when, and how it is reconciled.

Here: the part of a layout that arrival, ledger and reports need. Not here: how bytes are recognised and read, which
``parsers.layout.Layout`` adds to this model.
"""

import re
from datetime import date, time
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from counterfoil.clock import Zone
from counterfoil.contract import Contract
from counterfoil.replies import Reply, Statement

PROGRAMME: Final = "counterfoil"
"""The partner of the programme's own feeds."""


class FeedKind(StrEnum):
    """What a feed's records mean to the ledger."""

    REQUESTS = "requests"
    HANDBACK = "handback"
    ACTIVITY = "activity"
    OPENING = "opening"
    RATES = "rates"
    CALENDAR = "calendar"
    DECISIONS = "decisions"
    APPROVALS = "approvals"
    MEMBERS = "members"
    GL_BALANCES = "gl_balances"
    COMPANIES = "companies"
    RECHARGES = "recharges"
    BUDGETS = "budgets"
    BULK_UPLOAD = "bulk_upload"
    CATALOGUE = "catalogue"
    VOUCHER_ORDERS = "voucher_orders"
    VOUCHER_PAYMENTS = "voucher_payments"
    VOUCHER_FULFILMENT = "voucher_fulfilment"
    VOUCHERS = "vouchers"
    DELIVERIES = "deliveries"


LANDED_HERE: Final = (FeedKind.CALENDAR, FeedKind.VOUCHERS)
"""Kinds that nobody sends: the program itself writes and lands them."""

CORRECTABLE: Final = (FeedKind.REQUESTS, FeedKind.HANDBACK)
"""Kinds whose files can be corrected by their difference; for the others a later file says what changed."""

KNOWN_AGAIN: Final = (
    FeedKind.ACTIVITY, FeedKind.RECHARGES, FeedKind.VOUCHER_ORDERS, FeedKind.VOUCHER_PAYMENTS, FeedKind.DELIVERIES,
)  # fmt: skip
"""Kinds whose records the book knows again by their references: a file of other content under an identity that was
posted can be released, and then posts whole; what it repeats counts no more."""

SECRET_KINDS: Final = (FeedKind.VOUCHER_FULFILMENT,)
"""Kinds whose files hold codes that are as good as money: what is kept of them is sealed (``vault``)."""


def _expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Expression = Annotated[str, AfterValidator(_expression)]


class Companion(Contract):
    """A small file beside each file, named as it is with something behind: it must be there first, and the file fit it.

    ``md5`` and ``sha256`` are check sums of the file as it was received, alone or as md5sum and sha256sum write them.
    """

    suffix: str = Field(pattern=r"^\.[A-Za-z0-9][A-Za-z0-9._-]*$")
    holds: Literal["md5", "sha256", "control"]
    pattern: Expression | None = None
    """Of ``control``: where the number of ``records`` and the sum of ``points`` stand, as groups of these names."""

    @model_validator(mode="after")
    def _says_where(self) -> "Companion":
        groups = set(re.compile(self.pattern or "").groupindex)
        if (self.holds == "control") != bool(groups) or not groups <= {"records", "points"}:
            raise ValueError("pattern goes with holds: control, and has groups records and points, or one of them")
        return self


class Manifest(Contract):
    """A small file that lists the files of a set; none of them is taken before all are there.

    Without ``files`` it has a name a line, or SHA-256 and name as sha256sum writes them.
    """

    name: Expression
    files: str | None = Field(default=None, min_length=1)
    """Of JSON: the path of the list, such as ``data.files``; an entry is a name, or has ``name`` and ``sha256``."""


class Arrival(Contract):
    """Where a feed's files appear, when one counts as complete and what happens to it there afterwards."""

    connection: str = "inbox"
    folder: str
    ready: Literal["marker", "stable"]
    marker_suffix: str = ".done"
    stable_s: int = Field(default=30, ge=0)
    afterwards: Literal["leave", "archive", "delete"] = "leave"
    archive_folder: str = "archive"
    companions: tuple[Companion, ...] = Field(default=(), max_length=4)
    """What lies beside each file, in addition to what ``ready`` asks for."""
    manifest: Manifest | None = None
    """What lists the files that belong together, in the same folder."""


class Identity(Contract):
    """What makes a delivery *this* delivery.

    ``sequence`` takes the number from the name or envelope, ``date`` the business date, ``arrival`` the day of arrival
    (for a name that never changes), ``content`` the payload's own hash (for files that the program lands itself),
    ``name`` the file's name, which then counts once: another file under it is refused.
    """

    by: Literal["sequence", "date", "arrival", "content", "name"]
    restart: Literal["never", "yearly", "daily", "wrap"] = "never"
    """When the sequence begins at 1 again; ``wrap``: after ``wrap_at``."""
    wrap_at: int | None = Field(default=None, ge=2)
    """The highest number of a sequence that wraps."""
    gap: Literal["hold", "warn"] = "hold"

    @model_validator(mode="after")
    def _wraps_somewhere(self) -> "Identity":
        if (self.restart == "wrap") != (self.wrap_at is not None):
            raise ValueError("wrap_at goes with restart: wrap, which needs it")
        return self


class Expected(Contract):
    """The days on which a file is due (ISO weekdays, Monday is 1)."""

    weekdays: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)


class Window(Contract):
    """How many days an answer may date before and after its request.

    ``business`` counts Monday to Friday but for the partner's ``holidays``; otherwise every day counts.
    """

    early_days: int = Field(default=0, ge=0, le=400)
    late_days: int = Field(ge=0, le=400)
    business: bool = False
    holidays: tuple[date, ...] = ()


class Tolerance(Contract):
    """What answers of one record type may be off, in place of the layout's own tolerance and window."""

    points: int = Field(default=0, ge=0)
    """The largest difference with which an answer still confirms."""
    basis_points: int = Field(default=0, ge=0, le=10_000)
    """The same as hundredths of a per cent of the points sent; the wider of the two counts."""
    window: Window | None = None
    """When an answer may date. Without it dates are not compared."""


class Limits(Contract):
    """Bounds on one file of the feed."""

    bytes_max: int = Field(default=4_000_000_000, gt=0)
    rows_max: int = Field(default=20_000_000, gt=0)
    reject_rate_max: float = Field(default=0.05, ge=0, le=1)
    """The share of records that may be quarantined before the file is refused. One record never is too many, unless
    this is 0."""
    unpacked_bytes_max: int = Field(default=4_000_000_000, gt=0)
    """Bytes that a wrapped file may come to once a wrapper is off, all members together."""
    ratio_max: int = Field(default=200, gt=0)
    """How many times its size a wrapped file may come to; what stays small is not measured."""
    members_max: int = Field(default=1_000, gt=0, le=10_000)
    """Files that an archive may hold."""


Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9A-F]{40}$")]


class Gzip(Contract):
    """Compressed by gzip; ``recognise.name`` is that of the compressed file."""

    type: Literal["gzip"]


class Zip(Contract):
    """A zip archive; each member is a file of its own, and ``recognise.name`` the name of a member.

    Several feeds may share an archive: then they say the same about arrival and wrappers.
    """

    type: Literal["zip"]
    name: Expression
    """The archive's own name, a regular expression. For a zip within a zip it is that of the inner archives."""


class Pgp(Contract):
    """Encrypted, signed or both by OpenPGP; ``recognise.name`` is that of the encrypted or signed file."""

    type: Literal["pgp"]
    encrypted: bool = True
    signed_by: tuple[Fingerprint, ...] = ()
    """Fingerprints of the partner's keys, 40 upper case hex digits each, of which one must have signed; two while a
    key is being changed. Without any, nobody need have signed."""

    @model_validator(mode="after")
    def _does_something(self) -> "Pgp":
        if not self.encrypted and not self.signed_by:
            raise ValueError("say encrypted, signed_by, or both")
        return self


Wrapper = Annotated[Gzip | Zip | Pgp, Field(discriminator="type")]


class Feed(Contract):
    """One feed's contract with the core; the layout of a file adds recognition, shape and fields."""

    feed: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    partner: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    kind: FeedKind
    version: int = Field(ge=1)
    effective_from: date
    zone: Zone = "UTC"
    cutoff: time = time(23, 59)
    grace_minutes: int = Field(default=0, ge=0)
    arrival: Arrival
    identity: Identity
    expected: Expected | None = None
    correction: Literal["hold", "supersede"] = "hold"
    """What happens to other content under an identity that was posted: a person decides, or the difference posts."""
    record_key: tuple[str, ...] = ()
    """Columns that tell the records of one file apart: by them a correction is compared with what it corrects."""
    supersede_limit: int = Field(default=100, ge=0)
    """Records that a correction may change, add or leave out; beyond it the file is held for a decision."""
    unreadable: Literal["hold", "post_rest"] = "hold"
    """A file that declares totals of points and holds amounts that cannot be read: a person decides, or the rest
    posts. A file without such totals posts the rest."""
    limits: Limits = Limits()
    wrappers: tuple[Wrapper, ...] = Field(default=(), max_length=4)
    """How a file is packed, encrypted or signed, the outermost wrapper first."""

    source: Literal["member", "issued"] | None = None
    """Requests only: the account that the points leave."""
    beyond_balance: Literal["refuse", "already_gone"] = "refuse"
    """Requests only: whether a request above the source's balance is refused (B16) or a fact to book."""
    answer_due_days: int = Field(default=3, ge=0)
    """Requests only: calendar days after the value date until an unanswered request is overdue (B02)."""
    tolerance_points: int = Field(default=0, ge=0)
    """The largest difference with which an answer still confirms. This key and the six below are for hand-backs, and
    for requests too where answers may come before them: both layouts should say the same."""
    tolerance_basis_points: int = Field(default=0, ge=0, le=10_000)
    """The same as hundredths of a per cent of the points sent; the wider of the two counts."""
    tolerance_monthly_points: int | None = Field(default=None, ge=0)
    """Differences, signs apart, that a month may tolerate; beyond it they are breaks (B04)."""
    answer_window: Window | None = None
    """When an answer may date; one outside it is a break (B06). Without it dates are not compared."""
    record_tolerances: dict[str, Tolerance] = Field(default_factory=dict)
    """Points and days that records of a type (their ``record_type``) may be off, where that is not what the keys above
    say for all. The budget of a month is one for all types."""
    split_max: int = Field(default=1, ge=1, le=5)
    """Answers in which a partner may credit one request, all under its reference."""
    net_max: int = Field(default=1, ge=1, le=5)
    """Requests of one member that a partner may answer as one, under a reference of its own."""
    tolerance_money: int = Field(default=0, ge=0)
    """Hand-backs that state a charge: by how many minor units it may be off the points at the partner's landed rate.
    Beyond it the request is confirmed all the same, and a break opens (B05)."""
    tolerance_money_basis_points: int = Field(default=0, ge=0, le=10_000)
    """The same as hundredths of a per cent of the money we expect; the wider of the two counts."""
    reference_lifetime_days: int = Field(default=400, ge=1)
    """How far back a reference is looked up among settled requests."""
    pay_within_days: int = Field(default=3, ge=0, le=400)
    """Voucher orders only: calendar days after its date, or its booking, in which an order may be paid. It lapses a day
    later."""
    reason_texts: dict[str, str] = Field(default_factory=dict)
    """The partner's reason codes in words, for reports."""
    unclaimed_days: int = Field(default=90, ge=1, le=3_650)
    """Bulk uploads only: days that points wait for a recipient to register, before they return."""
    own_domains: tuple[str, ...] = ()
    """Bulk uploads only: domains of the company's e-mail addresses; one that merely looks like them is refused."""
    reply: Reply | None = None
    """The answer that the partner gets for each file of the feed."""
    statement: Statement | None = None
    """Bulk uploads only: the company's statement, put for each day that moved its points, once it closes."""
    retryable_reasons: tuple[str, ...] = ()
    """Reason codes after which the same request may be sent again."""

    def places(self, column: str) -> int | None:  # noqa: ARG002 - a layout knows its fields
        """Decimal places with which a column of money is read; None where the file states minor units."""
        return None

    @property
    def archive_name(self) -> str | None:
        """The pattern of the name under which members of an archive arrive; None where a file comes by itself."""
        return next((wrapper.name for wrapper in self.wrappers if isinstance(wrapper, Zip)), None)

    @property
    def key(self) -> str:
        """``feed v3``: how messages name the layout."""
        return f"{self.feed} v{self.version}"
