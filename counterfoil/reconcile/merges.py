"""Which merges of members can be done, and where each chain of them ends. Pure: frames in, frames out.

Here: merges told by one file beside those that are known. Not here: what a merge moves (``ledger.members``). No result
depends on the order of rows.
"""

import polars as pl

from counterfoil.ledger.model import Event


def judged(told: pl.DataFrame, done: pl.DataFrame, aliases: pl.DataFrame) -> pl.DataFrame:
    """Add ``event`` (MERGED, MERGE_KNOWN, MERGE_REFUSED) and, for MERGED, ``end``: the last survivor of its chain.

    ``told``: line_no, member, survivor, value_date; ``done`` and ``aliases``: member, survivor of merges that were done
    and of numbers that the partner merged, one hop a member, acyclic. A merge is refused that would leave a member
    merged into two, into itself or in a circle. Of equal rows the oldest counts, then the first.
    """
    judged_alone = _alone(told, done, aliases)
    hops = judged_alone.filter(pl.col("event") == Event.MERGED.value).select("member", "survivor")
    circular = in_circles(pl.concat([hops, _others(done, hops), _others(aliases, pl.concat([hops, done]))]))
    # What repeats a merge that goes in a circle is no more possible than the merge itself.
    fresh = ~pl.col("member").is_in(done["member"].implode())
    refused = pl.col("member").is_in(circular.implode()) & fresh
    sound = judged_alone.with_columns(event=_event(pl.when(refused).then(Event.MERGE_REFUSED.value).otherwise("event")))
    merged = sound.filter(pl.col("event") == Event.MERGED.value).select("member", "survivor")
    ends = chain_ends(pl.concat([merged, done.select("member", "survivor")]))
    return sound.join(ends, on="member", how="left", maintain_order="left").with_columns(
        end=pl.when(pl.col("event") == Event.MERGED.value).then("end")
    )


def _alone(told: pl.DataFrame, done: pl.DataFrame, aliases: pl.DataFrame) -> pl.DataFrame:
    """``judged`` but for circles."""
    of_done = done.select("member", direct="survivor").hstack(chain_ends(done).select(last="end"))
    of_aliases = aliases.select("member", named="survivor").hstack(chain_ends(aliases).select(last_named="end"))
    place = told.select(pl.struct("value_date", "line_no").rank("ordinal")).to_series()
    beside = (
        told.with_columns(place=place)
        .join(of_done, on="member", how="left", maintain_order="left")
        .join(of_aliases, on="member", how="left", maintain_order="left")
    )
    known, survivor = pl.col("direct").is_not_null(), pl.col("survivor")
    agrees = (survivor == pl.col("direct")) | (survivor == pl.col("last"))
    other = ((survivor != pl.col("named")) & (survivor != pl.col("last_named"))).fill_null(value=False)
    split = survivor.n_unique().over("member") > 1
    first = pl.col("place") == pl.col("place").min().over("member", "survivor")
    event = (
        pl.when(known & agrees)
        .then(Event.MERGE_KNOWN.value)
        .when(known | other | split | (pl.col("member") == survivor))
        .then(Event.MERGE_REFUSED.value)
        .when(first)
        .then(Event.MERGED.value)
        .otherwise(Event.MERGE_KNOWN.value)
    )
    return beside.with_columns(event=_event(event)).select(*told.columns, "event")


def _event(event: pl.Expr) -> pl.Expr:
    return event.cast(pl.Int16)


def _others(hops: pl.DataFrame, than: pl.DataFrame) -> pl.DataFrame:
    """Hops of members that the others do not have."""
    return hops.select("member", "survivor").join(than, on="member", how="anti", maintain_order="left")


def chain_ends(hops: pl.DataFrame) -> pl.DataFrame:
    """Where each chain of member, survivor ends: member, end. The hops must be acyclic, one a member."""
    return hops.select("member", end=_followed(hops))


def in_circles(hops: pl.DataFrame) -> pl.Series:
    """Members that hops (member, survivor; one a member) lead back to themselves."""
    reached = _followed(hops)
    return reached.filter(reached.is_in(hops["member"].implode())).unique().sort()


def _followed(hops: pl.DataFrame) -> pl.Series:
    """Each hop's member followed for at least as many hops as there are, by doubling; a chain that ends stays there."""
    members, leap, length = hops["member"], hops["survivor"], 1
    while length < hops.height:
        leap, length = leap.replace(members, leap), length * 2
    return leap
