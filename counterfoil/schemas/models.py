"""Pandera models of every table that crosses a room: the proof that a frame is what its type says.

Here: partners' and house feeds, and the models by kind. Not here: the programme's own files (``programme_models``),
routing rows (``rules``), or the call that proves a frame (``gate``), which imports this module late because pandera is
slow to import.
"""

from typing import Final

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData

from counterfoil.feed import FeedKind
from counterfoil.schemas.kind_rules import EMAIL, JOURNAL_ID
from counterfoil.schemas.model_parts import (
    CASES_MAX,
    Records,
    Table,
    day_field,
    form_field,
    number_field,
    one_of,
    points_field,
    text_field,
)
from counterfoil.schemas.programme_models import (
    Budgets,
    BulkUpload,
    Catalogue,
    Companies,
    Deliveries,
    Recharges,
    VoucherFulfilment,
    VoucherOrders,
    VoucherPayments,
    Vouchers,
)
from counterfoil.schemas.rules import Rule
from counterfoil.schemas.tables import (
    ACTIONS,
    ACTIVITIES,
    DAY_STATUSES,
    ENTRIES,
    GL_KINDS,
    MEMBER_CHANGES,
    OUTCOMES,
    RAW_BYTES_MAX,
)


class Requests(Records):
    """What we asked of a partner; negative points are a recall. ``record_type``: what terms it is compared by."""

    ref: str = text_field()
    member: str = text_field()
    points: int = points_field()
    value_date: pl.Date = day_field()
    record_type: str = text_field(nullable=True)

    @pa.check("points", name="points_move", n_failure_cases=CASES_MAX)
    def points_move(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col(data.key) != 0)


class Handback(Records):
    """What a partner answered; ``ref`` is null where the partner names none, ``money`` where it states no charge,
    ``record_type`` where answers of all types are compared by the same terms."""

    ref: str = text_field(nullable=True)
    member: str = text_field(nullable=True)
    points: int = points_field()
    outcome: str = one_of(OUTCOMES)
    reason: str = text_field(nullable=True)
    to_account: str = text_field(nullable=True)
    value_date: pl.Date = day_field()
    money: int = points_field(nullable=True)
    record_type: str = text_field(nullable=True)


class Activity(Records):
    """What members did at a partner of their own accord; negative points take it back."""

    ref: str = text_field(nullable=True)
    member: str = text_field()
    activity: str = one_of(ACTIVITIES)
    points: int = points_field()
    value_date: pl.Date = day_field()


class Opening(Records):
    """Balances and open requests at cut-over."""

    entry: str = one_of(ENTRIES)
    account: str = text_field()
    owner: str = text_field(nullable=True)
    partner: str = text_field(nullable=True)
    ref: str = text_field(nullable=True)
    points: int = points_field()
    value_date: pl.Date = day_field()
    expires: pl.Date = day_field(nullable=True)

    @pa.check("expires", name="members_points_expire", n_failure_cases=CASES_MAX)
    def members_points_expire(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        balance = (pl.col("entry") == "balance") & (pl.col("account") == "member") & (pl.col("points") > 0)
        return data.lazyframe.select(pl.col(data.key).is_null() | balance)

    @pa.check("entry", name="item_is_named", n_failure_cases=CASES_MAX)
    def item_is_named(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        named = pl.col("ref").is_not_null() & pl.col("partner").is_not_null() & (pl.col("points") != 0)
        return data.lazyframe.select((pl.col(data.key) != "item") | named)

    @pa.check("account", name="account_is_owned", n_failure_cases=CASES_MAX)
    def account_is_owned(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        account = pl.col(data.key)
        owned = pl.when(account == "member").then(pl.col("owner").is_not_null())
        return data.lazyframe.select(
            owned.when(account == "issued").then(True).otherwise(pl.col("partner").is_not_null())
        )


class Calendar(Records):
    """The close of a day: what became of each feed."""

    day: pl.Date = day_field()
    feed: str = text_field()
    partner: str = text_field()
    status: str = one_of(DAY_STATUSES)
    files: int = number_field(least=0)
    name: str = text_field(nullable=True)


class Rates(Records):
    """What points are worth: ``minor`` units of ``currency`` for ``per_points`` points."""

    basis: str = text_field()
    currency: str = form_field("^[A-Z]{3}$")
    minor: int = number_field(least=0)
    per_points: int = number_field(least=1)
    effective_from: pl.Date = day_field()


class Decisions(Records):
    """What a person decided; ``points`` is what they expect to move, and is proved."""

    action: str = one_of(ACTIONS)
    subject: str = text_field()
    ref: str = text_field(nullable=True)
    points: int = points_field()
    reason: str = text_field()
    owner: str = text_field(nullable=True)
    until: pl.Date = day_field(nullable=True)


class Approvals(Records):
    """Files that a second person lets post, by the hash of their bytes."""

    payload: str = form_field("^[0-9a-f]{64}$")
    reason: str = text_field()


class Members(Records):
    """Members registered, changed, closed, or merged into others: then the account of one goes over to the survivor's,
    points and all. ``email`` is what finds them."""

    partner: str = text_field()
    member: str = text_field()
    survivor: str = text_field(nullable=True)
    value_date: pl.Date = day_field()
    change: str = pa.Field(nullable=True, isin=MEMBER_CHANGES, n_failure_cases=CASES_MAX)
    email: str = pa.Field(nullable=True, str_matches=EMAIL, n_failure_cases=CASES_MAX)

    @pa.check("survivor", name="merges_have_a_survivor", n_failure_cases=CASES_MAX)
    def merges_have_a_survivor(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        merges = pl.col("change").is_null() | (pl.col("change") == "merge")
        return data.lazyframe.select(pl.col(data.key).is_not_null() == merges)


class GlBalances(Records):
    """What the general ledger holds, credit positive; rows by hand are the journals that nobody but it knows."""

    as_of: pl.Date = day_field()
    account: str = text_field()
    currency: str = form_field("^[A-Z]{3}$")
    kind: str = one_of(GL_KINDS)
    minor: int = points_field()
    last_journal: str = pa.Field(nullable=True, str_matches=JOURNAL_ID, n_failure_cases=CASES_MAX)
    reference: str = text_field(nullable=True)

    @pa.check("kind", name="by_hand_has_a_reference", n_failure_cases=CASES_MAX)
    def by_hand_has_a_reference(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        by_hand, named = pl.col(data.key) == "by_hand", pl.col("reference").is_not_null()
        return data.lazyframe.select((by_hand == named) & (~by_hand | pl.col("last_journal").is_null()))


class Quarantined(Records):
    """Rows that could not be accepted, each with its code."""

    code: str = one_of([rule.value for rule in Rule])
    field: str = text_field(nullable=True)
    raw: bytes = pa.Field()
    points: int = points_field(nullable=True)

    @pa.check("raw", name="raw_is_short", n_failure_cases=CASES_MAX)
    def raw_is_short(cls, data: PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col(data.key).bin.size() <= RAW_BYTES_MAX)


class Control(Table):
    """What a file says of itself beside what its records add up to."""

    name: str = form_field("^(records|points)_[a-z0-9_]+( of group [0-9]+)?$")
    declared: int = pa.Field()
    computed: int = pa.Field()
    holds: bool = pa.Field()


MODELS: Final[dict[FeedKind, type[Table]]] = {
    FeedKind.REQUESTS: Requests,
    FeedKind.HANDBACK: Handback,
    FeedKind.ACTIVITY: Activity,
    FeedKind.OPENING: Opening,
    FeedKind.CALENDAR: Calendar,
    FeedKind.RATES: Rates,
    FeedKind.DECISIONS: Decisions,
    FeedKind.APPROVALS: Approvals,
    FeedKind.MEMBERS: Members,
    FeedKind.GL_BALANCES: GlBalances,
    FeedKind.COMPANIES: Companies,
    FeedKind.RECHARGES: Recharges,
    FeedKind.BUDGETS: Budgets,
    FeedKind.BULK_UPLOAD: BulkUpload,
    FeedKind.CATALOGUE: Catalogue,
    FeedKind.VOUCHER_ORDERS: VoucherOrders,
    FeedKind.VOUCHER_PAYMENTS: VoucherPayments,
    FeedKind.VOUCHER_FULFILMENT: VoucherFulfilment,
    FeedKind.VOUCHERS: Vouchers,
    FeedKind.DELIVERIES: Deliveries,
}
"""The accepted rows of each kind."""
