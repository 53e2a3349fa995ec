"""The canonical tables that parsers hand to the core: columns, types, what may be null, closed sets of values.

Here: plain Polars schemas, cheap to import. Not here: the models that prove a frame (``models`` imports pandera), or
the rules that route rows (``rules``).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import polars as pl

from counterfoil.feed import FeedKind

Columns = Mapping[str, type[pl.DataType]]

ACCEPTED: Final[Mapping[FeedKind, Columns]] = MappingProxyType(
    {
        FeedKind.REQUESTS: MappingProxyType(
            {
                "line_no": pl.Int64,
                "ref": pl.String,
                "member": pl.String,
                "points": pl.Int64,
                "value_date": pl.Date,
                "record_type": pl.String,
            }
        ),
        FeedKind.HANDBACK: MappingProxyType(
            {
                "line_no": pl.Int64,
                "ref": pl.String,
                "member": pl.String,
                "points": pl.Int64,
                "outcome": pl.String,
                "reason": pl.String,
                "to_account": pl.String,
                "value_date": pl.Date,
                "money": pl.Int64,
                "record_type": pl.String,
            }
        ),
        FeedKind.ACTIVITY: MappingProxyType(
            {
                "line_no": pl.Int64,
                "ref": pl.String,
                "member": pl.String,
                "activity": pl.String,
                "points": pl.Int64,
                "value_date": pl.Date,
            }
        ),
        FeedKind.OPENING: MappingProxyType(
            {
                "line_no": pl.Int64,
                "entry": pl.String,
                "account": pl.String,
                "owner": pl.String,
                "partner": pl.String,
                "ref": pl.String,
                "points": pl.Int64,
                "value_date": pl.Date,
                "expires": pl.Date,
            }
        ),
        FeedKind.CALENDAR: MappingProxyType(
            {
                "line_no": pl.Int64,
                "day": pl.Date,
                "feed": pl.String,
                "partner": pl.String,
                "status": pl.String,
                "files": pl.Int64,
                "name": pl.String,
            }
        ),
        FeedKind.RATES: MappingProxyType(
            {
                "line_no": pl.Int64,
                "basis": pl.String,
                "currency": pl.String,
                "minor": pl.Int64,
                "per_points": pl.Int64,
                "effective_from": pl.Date,
            }
        ),
        FeedKind.DECISIONS: MappingProxyType(
            {
                "line_no": pl.Int64,
                "action": pl.String,
                "subject": pl.String,
                "ref": pl.String,
                "points": pl.Int64,
                "reason": pl.String,
                "owner": pl.String,
                "until": pl.Date,
            }
        ),
        FeedKind.APPROVALS: MappingProxyType({"line_no": pl.Int64, "payload": pl.String, "reason": pl.String}),
        FeedKind.MEMBERS: MappingProxyType(
            {
                "line_no": pl.Int64,
                "partner": pl.String,
                "member": pl.String,
                "survivor": pl.String,
                "value_date": pl.Date,
                "change": pl.String,
                "email": pl.String,
            }
        ),
        FeedKind.GL_BALANCES: MappingProxyType(
            {
                "line_no": pl.Int64,
                "as_of": pl.Date,
                "account": pl.String,
                "currency": pl.String,
                "kind": pl.String,
                "minor": pl.Int64,
                "last_journal": pl.String,
                "reference": pl.String,
            }
        ),
        FeedKind.COMPANIES: MappingProxyType(
            {
                "line_no": pl.Int64,
                "unit": pl.String,
                "change": pl.String,
                "company": pl.String,
                "code": pl.String,
                "name": pl.String,
                "value_date": pl.Date,
            }
        ),
        FeedKind.RECHARGES: MappingProxyType(
            {
                "line_no": pl.Int64,
                "company": pl.String,
                "ref": pl.String,
                "points": pl.Int64,
                "value_date": pl.Date,
            }
        ),
        FeedKind.BUDGETS: MappingProxyType(
            {
                "line_no": pl.Int64,
                "change": pl.String,
                "company": pl.String,
                "budget": pl.String,
                "points": pl.Int64,
                "department": pl.String,
                "from_day": pl.Date,
                "until_day": pl.Date,
                "limit": pl.String,
                "alerts": pl.String,
                "value_date": pl.Date,
            }
        ),
        FeedKind.BULK_UPLOAD: MappingProxyType(
            {
                "line_no": pl.Int64,
                "company": pl.String,
                "ref": pl.String,
                "name": pl.String,
                "email": pl.String,
                "points": pl.Int64,
                "country_code": pl.String,
                "mobile": pl.String,
                "citation": pl.String,
                "department": pl.String,
                "send_date": pl.Date,
                "expiry_months": pl.Int64,
                "campaign": pl.String,
            }
        ),
        FeedKind.CATALOGUE: MappingProxyType(
            {
                "line_no": pl.Int64,
                "product": pl.String,
                "name": pl.String,
                "currency": pl.String,
                "denominations": pl.String,
                "points_per_unit": pl.Int64,
                "quantity_max": pl.Int64,
                "type": pl.String,
                "supply": pl.String,
                "expiry_days": pl.Int64,
                "expiry_months": pl.Int64,
                "terms": pl.String,
                "instructions": pl.String,
                "effective_from": pl.Date,
            }
        ),
        FeedKind.VOUCHER_ORDERS: MappingProxyType(
            {
                "line_no": pl.Int64,
                "ref": pl.String,
                "product": pl.String,
                "denomination": pl.Int64,
                "quantity": pl.Int64,
                "member": pl.String,
                "email": pl.String,
                "points": pl.Int64,
                "value_date": pl.Date,
            }
        ),
        FeedKind.VOUCHER_PAYMENTS: MappingProxyType(
            {
                "line_no": pl.Int64,
                "ref": pl.String,
                "payment": pl.String,
                "points": pl.Int64,
                "money": pl.Int64,
                "currency": pl.String,
                "value_date": pl.Date,
                "company": pl.String,
            }
        ),
        FeedKind.VOUCHER_FULFILMENT: MappingProxyType(
            {
                "line_no": pl.Int64,
                "ref": pl.String,
                "product": pl.String,
                "denomination": pl.Int64,
                "type": pl.String,
                "status": pl.String,
                "code": pl.String,
                "pin": pl.String,
                "quantity": pl.Int64,
                "valid_until": pl.Date,
                "value_date": pl.Date,
            }
        ),
        FeedKind.VOUCHERS: MappingProxyType(
            {
                "line_no": pl.Int64,
                "step": pl.String,
                "ref": pl.String,
                "unit": pl.Int64,
                "code": pl.String,
                "sealed": pl.String,
                "valid_until": pl.Date,
                "value_date": pl.Date,
            }
        ),
        FeedKind.DELIVERIES: MappingProxyType(
            {
                "line_no": pl.Int64,
                "ref": pl.String,
                "status": pl.String,
                "attempt": pl.Int64,
                "value_date": pl.Date,
            }
        ),
    }
)
"""Accepted rows by kind, in column order; ``line_no`` is the 1-based physical line."""

NULLABLE: Final[Mapping[FeedKind, frozenset[str]]] = MappingProxyType(
    {
        FeedKind.REQUESTS: frozenset({"record_type"}),
        FeedKind.HANDBACK: frozenset({"ref", "member", "reason", "to_account", "money", "record_type"}),
        FeedKind.ACTIVITY: frozenset({"ref"}),
        FeedKind.OPENING: frozenset({"owner", "partner", "ref", "expires"}),
        FeedKind.CALENDAR: frozenset({"name"}),
        FeedKind.RATES: frozenset(),
        FeedKind.DECISIONS: frozenset({"ref", "owner", "until"}),
        FeedKind.APPROVALS: frozenset(),
        FeedKind.MEMBERS: frozenset({"survivor", "change", "email"}),
        FeedKind.GL_BALANCES: frozenset({"last_journal", "reference"}),
        FeedKind.COMPANIES: frozenset({"code", "name"}),
        FeedKind.RECHARGES: frozenset(),
        FeedKind.BUDGETS: frozenset({"department", "from_day", "until_day", "limit", "alerts"}),
        FeedKind.BULK_UPLOAD: frozenset(
            ACCEPTED[FeedKind.BULK_UPLOAD].keys() - {"line_no", "company", "name", "email", "points"}
        ),
        FeedKind.CATALOGUE: frozenset({"expiry_days", "expiry_months", "terms", "instructions"}),
        FeedKind.VOUCHER_ORDERS: frozenset({"member", "email"}),
        FeedKind.VOUCHER_PAYMENTS: frozenset({"points", "money", "currency", "company"}),
        FeedKind.VOUCHER_FULFILMENT: frozenset({"ref", "code", "pin", "quantity", "valid_until"}),
        FeedKind.VOUCHERS: frozenset({"unit", "code", "sealed", "valid_until"}),
        FeedKind.DELIVERIES: frozenset({"attempt"}),
    }
)
"""Columns of accepted rows that may be null."""

ADDED_LATER: Final[Mapping[FeedKind, tuple[str, ...]]] = MappingProxyType(
    {
        FeedKind.OPENING: ("expires",),
        FeedKind.HANDBACK: ("money", "record_type"),
        FeedKind.REQUESTS: ("record_type",),
        FeedKind.MEMBERS: ("change", "email"),
    }
)
"""Columns that the first tables of a kind did not have. A file that leaves them blank says no more than one of then."""

QUARANTINED: Final[Columns] = MappingProxyType(
    {"line_no": pl.Int64, "code": pl.String, "field": pl.String, "raw": pl.Binary, "points": pl.Int64}
)
"""Rows that could not be accepted. ``field`` is null for faults of a whole line, ``raw`` is cut at 4 KiB, ``points`` is
null unless the amount itself was readable."""

CONTROL: Final[Columns] = MappingProxyType(
    {"name": pl.String, "declared": pl.Int64, "computed": pl.Int64, "holds": pl.Boolean}
)
"""One row an identity. Names begin with ``records_`` (counts) or ``points_`` (sums of points)."""

DECLARED_POINTS: Final = "points_declared"
"""Begins the name of an identity between declared sums alone, which no unreadable amount excuses."""

OUTCOMES: Final = ("accepted", "rejected", "held", "reversed")
ACTIVITIES: Final = ("accrual", "redemption")
"""What a member did at a partner; negative points take it back."""
ENTRIES: Final = ("balance", "item")
GL_KINDS: Final = ("balance", "by_hand")
"""What a row of an extract of the general ledger states: an account's balance, or a journal posted there by hand."""
ACTIONS: Final = (
    "resolve",
    "identify",
    "refuse",
    "refund",
    "write_off",
    "take",
    "undo",
    "release",
    "discard",
    "lock",
    "reopen",
    "match",
    "assign",
    "wait",
    "decline",
    "cancel",
    "leave_out",
    "pay",
    "credit",
)
"""What a row of a decisions file may ask for; see the how-to on decisions."""
MEMBER_CHANGES: Final = ("register", "update", "close", "merge")
"""What a row of a members file tells; a row that does not say is a merge."""
UNITS: Final = ("company", "department", "administrator")
UNIT_CHANGES: Final = ("open", "close")
BUDGET_CHANGES: Final = ("create", "top_up", "cut", "close")
BUDGET_LIMITS: Final = ("hard", "warn")
DAY_STATUSES: Final = ("received", "empty", "missing", "held", "rejected", "not_due")
VOUCHER_TYPES: Final = ("code", "codePin", "url", "urlPin", "goods")
"""What a product is: a code or an address, with a PIN or without, or goods that are sent."""
SUPPLIES: Final = ("generated", "stock", "supplier")
"""Where a product's codes come from: made here, loaded beforehand, or ordered one by one."""
FULFILMENTS: Final = ("delivered", "cancelled", "refund_failed", "refunded", "redeemed")
"""What a supplier says of an order: a voucher a row; what it will not deliver, and whether our money came back; and
that a voucher was used."""
STEPS: Final = ("pay", "issue", "lapse", "expire", "deliver", "resend")
"""What the program itself does to orders, as it lands it."""
DELIVERY_STATUSES: Final = ("attempted", "delivered", "returned")

CLOSED_SETS: Final[Mapping[tuple[FeedKind, str], tuple[str, ...]]] = MappingProxyType(
    {
        (FeedKind.HANDBACK, "outcome"): OUTCOMES,
        (FeedKind.ACTIVITY, "activity"): ACTIVITIES,
        (FeedKind.OPENING, "entry"): ENTRIES,
        (FeedKind.CALENDAR, "status"): DAY_STATUSES,
        (FeedKind.DECISIONS, "action"): ACTIONS,
        (FeedKind.GL_BALANCES, "kind"): GL_KINDS,
        (FeedKind.MEMBERS, "change"): MEMBER_CHANGES,
        (FeedKind.COMPANIES, "unit"): UNITS,
        (FeedKind.COMPANIES, "change"): UNIT_CHANGES,
        (FeedKind.BUDGETS, "change"): BUDGET_CHANGES,
        (FeedKind.BUDGETS, "limit"): BUDGET_LIMITS,
        (FeedKind.CATALOGUE, "type"): VOUCHER_TYPES,
        (FeedKind.CATALOGUE, "supply"): SUPPLIES,
        (FeedKind.VOUCHER_FULFILMENT, "type"): VOUCHER_TYPES,
        (FeedKind.VOUCHER_FULFILMENT, "status"): FULFILMENTS,
        (FeedKind.VOUCHERS, "step"): STEPS,
        (FeedKind.DELIVERIES, "status"): DELIVERY_STATUSES,
    }
)
"""Columns whose values come from a fixed list."""

RAW_BYTES_MAX: Final = 4096
"""Raw bytes kept of a quarantined line: any real record fits, and a gigabyte on one line does not fill staging."""


def as_sealed(kind: FeedKind, accepted: pl.DataFrame) -> pl.DataFrame:
    """Accepted rows as a posting record seals them: without columns that came later and say nothing."""
    blank = [name for name in ADDED_LATER.get(kind, ()) if accepted[name].null_count() == accepted.height]
    return accepted.drop(blank)


def empty(columns: Columns) -> pl.DataFrame:
    """A frame without rows but with the columns and types of a table."""
    return pl.DataFrame(schema=dict(columns))
