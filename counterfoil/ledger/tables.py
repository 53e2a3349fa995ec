"""The tables of the book: their columns as Polars types, which schema brought them, and the order of their rows.

Here: tables that a posting adds rows to, and the working sets. Not here: what their codes mean (``model``), or SQL.
"""

from typing import Final

import polars as pl

I16, I32, I64, TEXT, DAY = pl.Int16, pl.Int32, pl.Int64, pl.String, pl.Date

# fmt: off
TABLES: Final[dict[str, dict[str, type[pl.DataType]]]] = {
    "partner": {"partner_id": I32, "partner": TEXT, "file_id": I32},
    "account": {"account_id": I32, "kind": TEXT, "partner_id": I32, "owner": TEXT, "unit": TEXT, "file_id": I32},
    "reason": {"reason_id": I32, "partner_id": I32, "reason": TEXT, "file_id": I32},
    "member": {"partner_id": I32, "member": TEXT, "file_id": I32, "line_no": I32},
    "alias": {"partner_id": I32, "member": TEXT, "survivor": TEXT, "since": DAY, "file_id": I32, "line_no": I32},
    "rate": {
        "basis": TEXT, "currency": TEXT, "minor": I64, "per_points": I64, "effective_from": DAY, "file_id": I32,
        "line_no": I32,
    },
    "closed_day": {"day": DAY, "feed": TEXT, "status": TEXT, "files": I32, "file_id": I32, "line_no": I32},
    "item": {
        "item_id": I64, "side": I16, "kind": I16, "partner_id": I32, "ref": TEXT, "member": TEXT,
        "source_account": I32, "amount": I64, "unit": TEXT, "their_amount": I64, "their_unit": TEXT,
        "ratio_ours": I32, "ratio_theirs": I32, "value_date": DAY, "due_date": DAY,
    },
    "settled_key": {
        "item_id": I64, "state": I16, "confirmed": I64, "reversed": I64, "reason_id": I32, "month": I32,
        "file_id": I32, "line_no": I32,
    },
    "disposition": {
        "file_id": I32, "line_no": I32, "disposition": I16, "event": I16, "match_pass": I16, "item_id": I64,
        "points": I64, "reason_id": I32, "value_date": DAY,
    },
    "entry": {
        "transfer_id": I64, "leg": I16, "account_id": I32, "amount": I64, "event": I16, "value_date": DAY,
        "accounting_date": DAY, "file_id": I32, "line_no": I32,
    },
    "break": {
        "break_id": TEXT, "code": I16, "partner_id": I32, "subject": TEXT, "occurrence": I32, "item_id": I64,
        "theirs_id": I64, "points_ours": I64, "points_theirs": I64, "value_date": DAY, "their_date": DAY,
        "opened_on": DAY, "file_id": I32, "line_no": I32,
    },
    "break_event": {"break_id": TEXT, "event": I16, "code": I16, "on_day": DAY, "file_id": I32, "line_no": I32},
    "item_change": {"item_id": I64, "state": I16, "remaining": I64, "file_id": I32, "line_no": I32},
    "reversal": {"transfer_id": I64, "reverses": I64, "file_id": I32, "line_no": I32},
    "decision": {
        "action": I16, "subject": TEXT, "item_id": I64, "theirs_id": I64, "break_id": TEXT, "points": I64,
        "minor": I64, "reason": TEXT, "file_id": I32, "line_no": I32,
    },
    "lot": {
        "lot_id": I64, "account_id": I32, "amount": I64, "earned": DAY, "expires": DAY, "file_id": I32,
        "line_no": I32,
    },
    "lot_use": {
        "lot_id": I64, "account_id": I32, "item_id": I64, "use": I16, "amount": I64, "file_id": I32, "line_no":
        I32,
    },
    "merge": {
        "partner_id": I32, "member": TEXT, "survivor": TEXT, "from_account": I32, "to_account": I32, "since":
        DAY, "file_id": I32, "line_no": I32,
    },
    "match": {
        "file_id": I32, "line_no": I32, "item_id": I64, "match_pass": I16, "role": I16, "agreed": I16,
        "difference": I64, "days": I32,
    },
    "break_state": {"break_id": TEXT, "state": I16, "owner": TEXT, "until": DAY, "file_id": I32, "line_no": I32},
    "gl_statement": {
        "account": TEXT, "currency": TEXT, "as_of": DAY, "last_n": I32, "per_gl": I64, "not_posted": I64,
        "by_hand": I64, "per_ledger": I64, "after_cut_off": I64, "file_id": I32, "line_no": I32,
    },
    "gl_by_hand": {
        "account": TEXT, "currency": TEXT, "reference": TEXT, "minor": I64, "file_id": I32, "line_no": I32,
    },
    "charge": {
        "answer_id": I64, "item_id": I64, "partner_id": I32, "points": I64, "rated_on": DAY, "currency": TEXT,
        "ours": I64, "theirs": I64, "tolerance": I64, "basis_points": I32, "rate_file": I32, "rate_line": I32,
        "file_id": I32, "line_no": I32,
    },
    "person": {
        "partner_id": I32, "member": TEXT, "email": TEXT, "standing": I16, "since": DAY, "file_id": I32, "line_no": I32,
    },
    "company_unit": {
        "partner_id": I32, "unit": I16, "code": TEXT, "name": TEXT, "standing": I16, "since": DAY, "file_id": I32,
        "line_no": I32,
    },
    "budget": {
        "account_id": I32, "partner_id": I32, "code": TEXT, "department": TEXT, "from_day": DAY, "until_day": DAY,
        "hard": I16, "alerts": TEXT, "funded": I64, "stretched": I64, "standing": I16, "file_id": I32, "line_no": I32,
    },
    "budget_alert": {
        "account_id": I32, "percent": I16, "used": I64, "funded": I64, "file_id": I32, "line_no": I32,
    },
    "promise": {"item_id": I64, "member": TEXT, "expiry_months": I16, "file_id": I32, "line_no": I32},
    "product": {
        "partner_id": I32, "product": TEXT, "name": TEXT, "currency": TEXT, "denominations": TEXT,
        "points_per_unit": I64, "quantity_max": I32, "type": TEXT, "supply": TEXT, "expiry_days": I32,
        "expiry_months": I32, "terms": TEXT, "instructions": TEXT, "effective_from": DAY, "file_id": I32,
        "line_no": I32,
    },
    "voucher_order": {
        "item_id": I64, "supplier_id": I32, "product": TEXT, "type": TEXT, "supply": TEXT, "denomination": I64,
        "quantity": I32, "unit_points": I64, "recipient": TEXT, "product_file": I32, "product_line": I32,
        "file_id": I32, "line_no": I32,
    },
    "voucher_payment": {
        "item_id": I64, "company_id": I32, "ref": TEXT, "payment": TEXT, "points": I64, "minor": I64, "currency": TEXT,
        "event": I16, "file_id": I32, "line_no": I32,
    },
    "voucher": {
        "voucher_id": I64, "supplier_id": I32, "product": TEXT, "denomination": I64, "digest": TEXT, "tail": TEXT,
        "file_id": I32, "line_no": I32,
    },
    "voucher_change": {
        "voucher_id": I64, "item_id": I64, "state": I16, "valid_until": DAY, "file_id": I32, "line_no": I32,
    },
    "voucher_cancel": {"item_id": I64, "quantity": I32, "state": I16, "file_id": I32, "line_no": I32},
}
# fmt: on
"""Every append-only table in the order of the digest; columns in schema order."""

SINCE: Final[dict[str, int]] = {
    **dict.fromkeys(("item_change", "reversal", "decision", "lot", "lot_use", "merge", "match", "break_state"), 2),
    **dict.fromkeys(("gl_statement", "gl_by_hand"), 3),
    "charge": 4,
    **dict.fromkeys(("person", "company_unit", "budget", "budget_alert", "promise"), 5),
    **dict.fromkeys(("product", "voucher_order", "voucher_payment", "voucher", "voucher_change", "voucher_cancel"), 6),
}
"""The schema that brought a table; a posting of an earlier one does not seal it."""

BOOK_SCHEMA: Final = 6
"""The newest schema: which tables a posting's digest covers and in which order their rows lie."""

ORDER: Final[dict[str, tuple[str, ...]]] = {
    "partner": ("partner_id",),
    "account": ("account_id",),
    "reason": ("reason_id",),
    "member": ("line_no", "member"),
    "alias": ("line_no", "member"),
    "rate": ("line_no",),
    "closed_day": ("line_no",),
    "item": ("item_id",),
    "settled_key": ("line_no", "item_id"),
    "disposition": ("line_no",),
    "entry": ("transfer_id", "leg"),
    "break": ("line_no", "code", "break_id"),
    "break_event": ("event", "line_no", "break_id", "code"),
    "item_change": ("line_no", "item_id"),
    "reversal": ("transfer_id",),
    "decision": ("line_no",),
    "lot": ("lot_id",),
    "lot_use": ("line_no", "lot_id", "item_id", "use", "amount"),
    "merge": ("line_no", "from_account"),
    "match": ("line_no", "item_id"),
    "break_state": ("line_no", "break_id"),
    "gl_statement": ("line_no",),
    "gl_by_hand": ("line_no",),
    "charge": ("line_no", "answer_id"),
    "person": ("line_no",),
    "company_unit": ("line_no",),
    "budget": ("line_no",),
    "budget_alert": ("account_id", "percent"),
    "promise": ("item_id",),
    "product": ("line_no",),
    "voucher_order": ("line_no",),
    "voucher_payment": ("line_no",),
    "voucher": ("voucher_id",),
    "voucher_change": ("line_no", "voucher_id"),
    "voucher_cancel": ("line_no", "item_id", "state"),
}
"""The canonical order of one posting's rows in each table, since schema 2; before, they lay as they were composed."""


def sealed_tables(schema: int) -> tuple[str, ...]:
    """The tables that a posting of this schema seals, in the order of the digest."""
    return tuple(name for name in TABLES if schema >= SINCE.get(name, 1))


OPEN_ITEM: Final[dict[str, type[pl.DataType]]] = {
    "item_id": I64, "side": I16, "kind": I16, "state": I16, "partner_id": I32, "ref": TEXT, "member": TEXT,
    "source_account": I32, "amount": I64, "remaining": I64, "value_date": DAY, "due_date": DAY,
}  # fmt: skip
"""The working set: items still open. ``remaining`` is what the item keeps in flight (ours), in suspense (theirs), or
scheduled or unclaimed (promised)."""

OPEN_LOT: Final[dict[str, type[pl.DataType]]] = {
    "lot_id": I64, "account_id": I32, "remaining": I64, "earned": DAY, "expires": DAY,
}  # fmt: skip
"""The working set of points that will expire: lots with something left. The rest of a balance never expires."""

OPEN_VOUCHER: Final[dict[str, type[pl.DataType]]] = {
    "voucher_id": I64, "item_id": I64, "state": I16, "valid_until": DAY, "file_id": I32,
}  # fmt: skip
"""The working set of vouchers that may still come to something: in stock, put aside, issued or delivered."""

OPEN_BREAK: Final = ("break_id", "code", "partner_id", "subject", "item_id", "theirs_id")
"""The working set of breaks: columns of ``break``."""


def empty(table: str) -> pl.DataFrame:
    """A frame of the table with no rows."""
    return pl.DataFrame(schema=TABLES[table])
