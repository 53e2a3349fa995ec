"""Which registrations of members can be done: each address finds one person, who belongs to one company. Pure.

Here: the rows of one file beside the people who are known. Not here: merges (``merges``), or what a registration moves
(``ledger.people``). No result depends on the order of rows but that of equal rows the first counts.
"""

import polars as pl

from counterfoil.ledger.model import Event, Standing

_ME = pl.concat_str("partner_id", pl.lit(":"), "member")
"""Who somebody is: members' numbers are their company's own."""


def judged(rows: pl.DataFrame, known: pl.DataFrame, companies: pl.Series) -> pl.DataFrame:
    """Add ``event``: REGISTERED (of a new member, or one with a new address), MEMBER_CLOSED, REGISTRATION_KNOWN or
    REGISTRATION_REFUSED; and ``of_email``, the member's address after it, where there is one.

    ``rows``: line_no, partner_id? (null: nobody's), member, email? (lower case), change; ``known``:
    ``distributing.PERSONS``, all with one of the addresses or of the numbers; ``companies``: ids of partners that are
    companies. Members of others, such as airlines, keep no address from anybody. Whoever the file closes makes room for
    whoever it registers.
    """
    closing = pl.col("change") == "close"
    own = known.select("partner_id", "member", was_email="email", standing="standing")
    beside = rows.join(own, on=["partner_id", "member"], how="left", maintain_order="left").with_columns(
        split=pl.struct("email", "change").n_unique().over("partner_id", "member") > 1,
        claims=pl.when(pl.col("partner_id").is_in(companies.implode()) & ~closing).then(_ME),
    )
    leaving = beside.filter(closing & ~pl.col("split")).select("partner_id", "member")
    holders = known.filter(
        (pl.col("standing") == Standing.OPEN.value) & pl.col("partner_id").is_in(companies.implode())
    ).join(leaving, on=["partner_id", "member"], how="anti", maintain_order="left")
    held = holders.group_by("email").agg(holder=_ME.unique())
    told = beside.join(held, on="email", how="left", maintain_order="left")
    content = ["partner_id", "member", "email", "change"]
    first = pl.col("line_no") == pl.col("line_no").min().over(content)
    claimed = pl.col("claims").is_not_null() & pl.col("email").is_not_null()
    shared = claimed & (pl.col("claims").drop_nulls().n_unique().over("email") > 1)
    others = pl.col("holder").list.set_difference(pl.concat_list("claims")).list.len() > 0
    taken = claimed & others.fill_null(value=False)
    opened = (pl.col("standing") == Standing.OPEN.value).fill_null(value=False)
    there = pl.col("standing").is_not_null()
    same = (pl.col("was_email") == pl.col("email")).fill_null(value=False)
    other = (pl.col("change") == "register") & opened & ~same
    missing = ((pl.col("change") == "update") & ~opened) | (closing & ~there)
    event = (
        pl.when(pl.col("partner_id").is_null() | pl.col("split"))
        .then(Event.REGISTRATION_REFUSED.value)
        .when(~closing & opened & same)
        .then(Event.REGISTRATION_KNOWN.value)
        .when(other | missing | taken | shared)
        .then(Event.REGISTRATION_REFUSED.value)
        .when(~first | (closing & ~opened))
        .then(Event.REGISTRATION_KNOWN.value)
        .when(closing)
        .then(Event.MEMBER_CLOSED.value)
        .otherwise(Event.REGISTERED.value)
    )
    return told.with_columns(event=event.cast(pl.Int16)).select(
        *rows.columns, "event", of_email=pl.when(closing).then("was_email").otherwise("email")
    )
