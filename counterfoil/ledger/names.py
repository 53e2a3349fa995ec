"""Ids of partners, accounts and reasons: those the book knows, and new ones counted on from its last.

Here: look-up and allotment inside one posting. Not here: what the accounts are for (``chart``), or SQL (``store``).
Allotment follows sorted names, so that the same file always makes the same ids.
"""

from typing import Protocol

import polars as pl

from counterfoil.ledger.tables import TABLES

HOUSE = 0
"""The partner id of the programme itself."""

HOUSE_NAME = "programme"


class Dimensions(Protocol):
    """What names are looked up in; the open book."""

    def partners(self) -> pl.DataFrame: ...
    def partner_accounts(self, partner_id: int) -> pl.DataFrame: ...
    def member_accounts(self, partner_id: int, owners: pl.Series) -> pl.DataFrame: ...
    def reasons(self, partner_id: int) -> pl.DataFrame: ...
    def last_id(self, table: str, column: str) -> int: ...


class Names:
    """Ids for one posting; ``rows()`` are the dimension rows that it adds."""

    def __init__(self, book: Dimensions, *, file_id: int, unit: str) -> None:
        self._book = book
        self._file_id = file_id
        self._unit = unit
        self._next_account = book.last_id("account", "account_id") + 1
        self._next_reason: int | None = None
        self._new: dict[str, list[pl.DataFrame]] = {"partner": [], "account": [], "reason": []}
        self._partners: dict[str, int] = dict(book.partners().select("partner", "partner_id").iter_rows())
        self._roles: dict[tuple[str, int], int] = {}
        if HOUSE_NAME not in self._partners:
            self._add_partner(HOUSE_NAME, HOUSE)

    def partner(self, partner: str) -> int:
        """The id of a partner."""
        if partner not in self._partners:
            self._add_partner(partner, max(self._partners.values()) + 1)
        return self._partners[partner]

    def role(self, kind: str, partner_id: int) -> int:
        """The one account of a kind that a partner (or the house) has."""
        if not any(owner == partner_id for _, owner in self._roles):
            known = self._book.partner_accounts(partner_id).select("kind", "account_id").iter_rows()
            self._roles |= {(name, partner_id): account for name, account in known}
        if (kind, partner_id) not in self._roles:
            self._roles[kind, partner_id] = self._next_account
            self._add("account", account_id=[self._next_account], kind=kind, partner_id=partner_id, owner=None)
            self._next_account += 1
        return self._roles[kind, partner_id]

    def roles(self, partner_id: int) -> dict[str, int]:
        """Every role that posting rules may name for a partner, but ``source`` and ``target``."""
        kinds = ("in_flight", "payable", "suspense", "variance_loss", "variance_gain", "written_off")
        return {kind: self.role(kind, partner_id) for kind in kinds} | {"issued": self.role("issued", HOUSE)}

    def company_roles(self, company_id: int) -> dict[str, int]:
        """Every role that posting rules may name for a company, but ``source`` and ``target``."""
        return {kind: self.role(kind, company_id) for kind in ("company", "recharge", "scheduled", "unclaimed")}

    def budgets(self, company_id: int, codes: pl.Series) -> pl.DataFrame:
        """New accounts of budgets: budget, account_id."""
        made = pl.DataFrame({"budget": codes.unique().sort()}).with_columns(
            account_id=(pl.int_range(pl.len()) + self._next_account).cast(pl.Int32)
        )
        if made.height:
            owners = {"partner_id": company_id, "owner": made["budget"]}
            self._add("account", account_id=made["account_id"], kind="budget", **owners)
            self._next_account += made.height
        return made

    def members(self, partner_id: int, owners: pl.Series) -> pl.DataFrame:
        """Accounts of members by number: owner String, account_id Int32, balance Int64 (0 for a new one)."""
        wanted = pl.DataFrame({"owner": owners.unique().sort()})
        known = self._book.member_accounts(partner_id, wanted["owner"])
        new = wanted.join(known, on="owner", how="anti", maintain_order="left").select(
            "owner",
            account_id=(pl.int_range(pl.len()) + self._next_account).cast(pl.Int32),
            balance=pl.lit(0, pl.Int64),
        )
        if new.height:
            self._add("account", account_id=new["account_id"], kind="member", partner_id=partner_id, owner=new["owner"])
            self._next_account += new.height
        return pl.concat([known, new])

    def reasons(self, partner_id: int, reasons: pl.Series) -> pl.DataFrame:
        """Ids of a partner's reason codes: reason String, reason_id Int32."""
        wanted = pl.DataFrame({"reason": reasons.drop_nulls().unique().sort()})
        mine = pl.col("partner_id") == partner_id
        new_here = (frame.filter(mine).select("reason", "reason_id") for frame in self._new["reason"])
        known = pl.concat([self._book.reasons(partner_id), *new_here])
        if self._next_reason is None:
            self._next_reason = self._book.last_id("reason", "reason_id") + 1
        new = wanted.join(known, on="reason", how="anti", maintain_order="left").select(
            "reason", reason_id=(pl.int_range(pl.len()) + self._next_reason).cast(pl.Int32)
        )
        if new.height:
            self._add("reason", reason_id=new["reason_id"], partner_id=partner_id, reason=new["reason"])
            self._next_reason += new.height
        return pl.concat([known, new])

    def rows(self) -> dict[str, pl.DataFrame]:
        """The dimension rows this posting adds, by table."""
        return {name: pl.concat(frames) for name, frames in self._new.items() if frames}

    def _add_partner(self, partner: str, partner_id: int) -> None:
        self._partners[partner] = partner_id
        self._add("partner", partner_id=[partner_id], partner=partner)

    def _add(self, table: str, **columns: object) -> None:
        values: dict[str, object] = {**columns, "file_id": self._file_id}
        if table == "account":
            values["unit"] = self._unit
        first = next(iter(columns))
        frame = pl.DataFrame({first: columns[first]}).with_columns(
            **{
                name: value if isinstance(value, pl.Series) else pl.lit(value)
                for name, value in values.items()
                if name != first
            }
        )
        self._new[table].append(frame.select(pl.col(name).cast(kind) for name, kind in TABLES[table].items()))
