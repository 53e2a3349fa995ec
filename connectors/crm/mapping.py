"""The model of a Salesforce mapping file: which canonical columns fill which fields of which objects.

Here: the typed model and its checks. Not here: writing the files, which ``connectors.crm.salesforce`` does.
"""

from typing import Final, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from counterfoil.contract import Contract

CANONICAL: Final[dict[str, dict[str, pl.DataType]]] = {
    "redemptions": {
        "event_key": pl.String(),
        "partner": pl.String(),
        "ref": pl.String(),
        "member": pl.String(),
        "status": pl.String(),
        "points": pl.Int64(),
        "answered": pl.Int64(),
        "value_date": pl.Date(),
        "answered_on": pl.Date(),
        "reason": pl.String(),
        "posting": pl.Int64(),
    },
    "balances": {
        "event_key": pl.String(),
        "member": pl.String(),
        "unit": pl.String(),
        "balance": pl.Int64(),
        "last_activity": pl.Date(),
        "posting": pl.Int64(),
    },
    "distributions": {
        "event_key": pl.String(),
        "company": pl.String(),
        "ref": pl.String(),
        "member": pl.String(),
        "points": pl.Int64(),
        "credited_on": pl.Date(),
        "posting": pl.Int64(),
    },
}
"""The frames of ``counterfoil.protocols.Updates``, column by column."""

KEY: Final = "event_key"

FIELD_NAME: Final = r"^(?:[A-Za-z]\w*:)?[A-Za-z]\w*(?:\.[A-Za-z]\w*)?$"
"""``Field``, ``Relationship.Field`` or, for a polymorphic parent, ``Object:Relationship.Field``."""


class FieldColumn(Contract):
    """One CSV column: filled from a canonical column or with a constant.

    ``codes`` translates every value of the column (a value that is missing there is an error). ``as: instant`` writes a
    date as noon UTC. ``when_null: clear`` writes ``#N/A`` (set the field to null), ``leave`` an empty cell (leave it).
    """

    field: str = Field(pattern=FIELD_NAME)
    source: str | None = Field(default=None, alias="from")
    constant: str | None = None
    codes: dict[str, str] = Field(default_factory=dict)
    rendering: Literal["text", "instant"] = Field(default="text", alias="as")
    when_null: Literal["leave", "clear"] = "leave"

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.source is None) == (self.constant is None):
            raise ValueError("give either 'from' or 'constant'")
        if self.source is None and (self.codes or self.rendering != "text" or self.when_null != "leave"):
            raise ValueError("'codes', 'as' and 'when_null' need 'from'")
        return self


class ObjectMapping(Contract):
    """One Salesforce object: the frame it is made from, its external id and its columns in file order."""

    object: str = Field(pattern=r"^[A-Za-z]\w*$")
    updates: Literal["redemptions", "balances", "distributions"]
    operation: Literal["upsert"] = "upsert"
    external_id: str
    points: str
    columns: tuple[FieldColumn, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        schema = CANONICAL[self.updates]
        fields = [column.field for column in self.columns]
        if len(set(fields)) != len(fields):
            raise ValueError("a field is filled twice")
        unknown = sorted({column.source for column in self.columns if column.source} - schema.keys())
        if unknown:
            raise ValueError(f"no such column in {self.updates}: {', '.join(unknown)}")
        if not any(column.field == self.external_id and column.source == KEY for column in self.columns):
            raise ValueError(f"the external id must be one of the columns, filled from {KEY}")
        if schema.get(self.points) != pl.Int64():
            raise ValueError("'points' must name a column of whole numbers")
        for column in self.columns:
            kind = schema[column.source] if column.source else None
            if column.rendering == "instant" and kind != pl.Date():
                raise ValueError(f"{column.field}: 'as: instant' needs a date")
            if column.codes and kind != pl.String():
                raise ValueError(f"{column.field}: 'codes' needs a text column")
        return self


class SalesforceMapping(Contract):
    """The whole file: objects in the order in which they must be loaded."""

    target: Literal["salesforce"]
    objects: tuple[ObjectMapping, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_object_once(self) -> Self:
        if len({(mapped.object, mapped.updates) for mapped in self.objects}) != len(self.objects):
            raise ValueError("an object is mapped twice")
        return self
