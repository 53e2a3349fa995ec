"""Which open request an unknown answer (B03) almost met, and by what it missed it. Pure: frames in, frames out.

Here: one near miss a break, or that several fit; each join meets at most one row of the other side, so that the work
grows with answers and requests and never with their pairs. Not here: other breaks, or what people read (``causes``).
"""

from typing import Final

import polars as pl

from counterfoil.ledger.model import BreakCode, ItemKind
from counterfoil.reconcile.cause import Cause
from counterfoil.reconcile.causes import NEAR
from counterfoil.reconcile.terms import NEAR_DAYS

REQUESTS: Final[dict[str, type[pl.DataType]]] = {
    "item_id": pl.Int64,
    "partner": pl.String,
    "ref": pl.String,
    "member": pl.String,
    "points": pl.Int64,
    "asked_on": pl.Date,
}
"""Our open requests of all partners; a reference is open once a partner."""

LISTED: Final[dict[str, type[pl.DataType]]] = {"break_id": pl.String, "item_id": pl.Int64, "whole": pl.Boolean}
"""Open requests that the passes considered for an answer. ``whole``: it fits by itself, not as a part of a sum."""

CLAIMS: Final[dict[str, type[pl.DataType]]] = {
    "break_id": pl.String,
    "level": pl.Int8,
    "rank": pl.Int8,
    "cause": pl.String,
    "detail": pl.String,
    "fits": pl.Int64,
    "item_id": pl.Int64,
}
"""What one kind of change finds for a break: how many requests fit (1, or 2 for more) and, of one, which.

``level`` 0: our very reference; 1: one small change away; 2: only member, points and days speak for it.
"""

CUT_MAX: Final = 4
"""Characters that a reference may lack at one end."""

TYPED_MAX: Final = 64
"""Longest reference that is looked at for a mistyped character: the work grows with its length."""

_MEET: Final = ("partner", "points", "slot")
"""What an answer and a request must share; ``slot`` says whose request it is, as far as both name a member."""

_RANK: Final = {cause.value: rank for rank, cause in enumerate(Cause)}


def nearest(
    broken: pl.DataFrame, requests: pl.DataFrame, listed: pl.DataFrame, *, declined: pl.DataFrame | None = None
) -> pl.DataFrame:
    """The near miss of each unknown answer, NEAR; one that nothing fits is left out.

    ``broken``: ``causes.BROKEN``; ``requests``: REQUESTS; ``listed``: LISTED; ``declined``: break_id, item_id of
    requests that a person said an answer is not for. Where two requests are equally near, or
    one request is as near to two answers, it is ambiguous and names no candidate.
    """
    found = claims(broken, requests, listed)
    if declined is not None:
        only_one = declined.with_columns(fits=pl.lit(1, pl.Int64))
        found = found.join(only_one, on=["break_id", "item_id", "fits"], how="anti")
    closest = found.filter(pl.col("level") == pl.col("level").min().over("break_id"))
    chosen = closest.group_by("break_id").agg(
        pl.col("level").first(),
        pl.col("cause", "detail").sort_by("rank").first(),
        item_id=pl.col("item_id").min(),
        single=(pl.col("fits").max() == 1) & (pl.col("item_id").n_unique() == 1),
    )
    wanted = chosen.filter("single").with_columns(
        mine=(pl.col("level") == pl.col("level").min().over("item_id")) & (pl.len().over("item_id", "level") == 1)
    )
    met = wanted.filter("mine").select("break_id", "cause", "detail", candidate_item_id="item_id")
    unclear = chosen.join(met, on="break_id", how="anti").select(
        "break_id",
        cause=pl.lit(Cause.AMBIGUOUS.value),
        detail=pl.lit(None, pl.String),
        candidate_item_id=pl.lit(None, pl.Int64),
    )
    return pl.concat([met, unclear]).select(*NEAR).sort("break_id")


def claims(broken: pl.DataFrame, requests: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Every kind of change that would give an unknown answer a request: CLAIMS, at most one row a break and kind.

    An answer that reverses waits for no open request, and one that names a request we refused is no near miss.
    """
    answers = broken.filter(
        (pl.col("code") == BreakCode.UNKNOWN_THEIRS.value)
        & pl.col("item_id").is_null()
        & pl.col("kind").ne_missing(ItemKind.THEIR_REVERSAL.value)
    ).select("break_id", "partner", "ref", "member", "answered_on", points="points_theirs")
    near = requests.join(answers, on=["partner", "points"], how="semi")
    theirs, ours = _slotted_answers(answers.drop_nulls("ref")), _slotted_requests(near)
    kinds = [
        _same_reference(theirs, _slotted_requests(requests)),
        _claim(_met(theirs, ours, _plain_ref(), _plain_ref()), Cause.REF_SPELLED, level=1),
        _claim(_cut(theirs, ours), Cause.REF_TRUNCATED, level=1),
        _claim(_typed(theirs, ours), Cause.REF_TYPED, level=1),
        _other_member(answers, near),
        _other_partner(answers, requests),
        _claim(_by_member(answers, near, listed), Cause.NO_REFERENCE, level=2),
    ]
    return pl.concat(kinds)


def _slotted_answers(answers: pl.DataFrame) -> pl.DataFrame:
    """Each answer under the slots of the requests whose member may be its own: any, or its member's and nobody's."""
    own = pl.concat_list(pl.concat_str(pl.lit("="), "member"), pl.lit(""))
    return answers.with_columns(
        slot=pl.when(pl.col("member").is_null()).then(pl.concat_list(pl.lit("*"))).otherwise(own)
    ).explode("slot")


def _slotted_requests(requests: pl.DataFrame) -> pl.DataFrame:
    """Each request under the slot of its member, or nobody's, and under that of answers that name none."""
    own = pl.concat_str(pl.lit("="), "member").fill_null("")
    return requests.with_columns(slot=pl.concat_list(own, pl.lit("*"))).explode("slot")


def _met(
    answers: pl.DataFrame, requests: pl.DataFrame, theirs: pl.Expr, ours: pl.Expr, *, detail: str | None = None
) -> pl.DataFrame:
    """Answers whose ``theirs`` is the ``ours`` of requests with equal points: break_id, fits, item_id, detail.

    Equal requests are counted before they meet an answer, so a row of answers meets at most one row.
    """
    key = [*_MEET, "key"]
    named = answers.with_columns(key=theirs)
    counted = (
        requests.with_columns(key=ours)
        .join(named, on=key, how="semi")
        .group_by(key)
        .agg(fits=pl.len().cast(pl.Int64), item_id=pl.col("item_id").min())
    )
    return named.join(counted, on=key, validate="m:1").select(
        "break_id", "fits", "item_id", detail=pl.lit(detail, pl.String)
    )


def _claim(found: pl.DataFrame, cause: Cause, *, level: int) -> pl.DataFrame:
    """CLAIMS of one kind. A request that is found in two ways is one; two different ones are more than one."""
    return (
        found.group_by("break_id")
        .agg(
            pl.col("detail").min(),
            pl.col("item_id").min(),
            fits=pl.max_horizontal(pl.col("fits").max(), pl.col("item_id").n_unique().cast(pl.Int64)).clip(1, 2),
        )
        .with_columns(cause=pl.lit(cause.value), level=pl.lit(level, pl.Int8), rank=pl.lit(_RANK[cause.value], pl.Int8))
        .select(*CLAIMS)
    )


def _same_reference(answers: pl.DataFrame, requests: pl.DataFrame) -> pl.DataFrame:
    """Answers under the reference of an open request of the member. Points of the other sign are one change away; else
    it is another answer under the reference that keeps this one from settling."""
    named = answers.join(
        requests.select("partner", "slot", "ref", "item_id", asked="points"),
        on=["partner", "slot", "ref"],
        validate="m:1",
    ).with_columns(detail=pl.lit(None, pl.String))
    flipped = pl.col("points") == -pl.col("asked")
    return pl.concat(
        [
            _claim(named.filter(flipped).with_columns(fits=1), Cause.SIGN_FLIPPED, level=0),
            _claim(named.filter(~flipped).with_columns(fits=2), Cause.AMBIGUOUS, level=0),
        ]
    )


def _plain_ref() -> pl.Expr:
    """A reference without what spelling varies: zeros before a number, case, blanks and marks; null if nothing is
    left."""
    letters = pl.col("ref").str.replace_all(r"[\s/._-]", "").str.to_lowercase()
    plain = letters.str.replace_all(r"(^|\D)0+(\d)", "${1}${2}").str.replace(r"^0+(\D)", "${1}")
    return pl.when(plain != "").then(plain)


def _cut(answers: pl.DataFrame, requests: pl.DataFrame) -> pl.DataFrame:
    """Answers whose reference is one of ours without a few characters at one end."""
    found = []
    for missing in range(1, CUT_MAX + 1):
        longer = requests.filter(pl.col("ref").str.len_chars() > missing)
        ref, what = pl.col("ref"), "character" if missing == 1 else f"{missing} characters"
        found += [
            _met(answers, longer, ref, ref.str.head(-missing), detail=f"last {what}"),
            _met(answers, longer, ref, ref.str.tail(-missing), detail=f"first {what}"),
        ]
    return pl.concat(found)


def _typed(answers: pl.DataFrame, requests: pl.DataFrame) -> pl.DataFrame:
    """Answers whose reference has one wrong character, or two neighbours that changed places.

    Two references differ in the character at a place when they are equal without it, and in the order of two neighbours
    when they are equal with both in order. Those that are equal as they are have been found by ``_same_reference``.
    """
    ref = pl.col("ref")
    lengths = ref.str.len_chars()
    answers = answers.filter(lengths <= TYPED_MAX)
    longest = answers.select(lengths.max()).item() or 0
    found = [_met(answers.clear(), requests.clear(), ref, ref)]
    for place in range(longest):
        before, here, following = ref.str.head(place), ref.str.slice(place, 1), ref.str.slice(place + 1, 1)
        without = pl.when(lengths > place).then(before + ref.str.slice(place + 1))
        pair = pl.min_horizontal(here, following) + pl.max_horizontal(here, following)
        in_order = pl.when(lengths > place + 1).then(before + pair + ref.str.slice(place + 2))
        found += [_met(answers, requests, key, key) for key in (without, in_order)]
    return pl.concat(found)


def _other_member(answers: pl.DataFrame, requests: pl.DataFrame) -> pl.DataFrame:
    """Answers under the reference of an open request with equal points that is another member's."""
    named = answers.join(
        requests.select("partner", "ref", "points", "item_id", owner="member"),
        on=["partner", "ref", "points"],
        validate="m:1",
    ).filter(pl.col("member") != pl.col("owner"))
    return _claim(named.with_columns(fits=1, detail=pl.lit(None, pl.String)), Cause.OTHER_MEMBER, level=1)


def _other_partner(answers: pl.DataFrame, requests: pl.DataFrame) -> pl.DataFrame:
    """Answers whose reference and points are those of an open request at another partner. Members have other numbers
    there, so they are not compared."""
    asked = requests.group_by("ref", "points").agg(
        fits=pl.len().cast(pl.Int64),
        detail=pl.col("partner").sort_by("item_id").first(),
        item_id=pl.col("item_id").min(),
    )
    # Where our own partner is among several, the answer fits two requests as well.
    elsewhere = (pl.col("fits") > 1) | (pl.col("detail") != pl.col("partner"))
    named = answers.join(asked, on=["ref", "points"], validate="m:1").filter(elsewhere)
    return _claim(named, Cause.OTHER_PARTNER, level=1)


def _by_member(answers: pl.DataFrame, requests: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Answers that requests of the member with equal points lie near in time, or that the passes saw candidates for.

    A request that lies near several answers is no better than several requests.
    """
    asking = answers.drop_nulls(["member", "answered_on"]).rename({"answered_on": "day", "break_id": "id"})
    asked = requests.drop_nulls("member").rename({"asked_on": "day", "item_id": "id"})
    lone = pl.col("fits") == 1
    inside = _in_window(asking, asked).rename({"id": "break_id", "other": "item_id"})
    wanted = _in_window(asked, asking).select(item_id="id", suitors="fits")
    near = inside.join(wanted, on="item_id", how="left", validate="m:1").select(
        "break_id", "item_id", fits=pl.when(lone).then("suitors").otherwise("fits")
    )
    seen = listed.join(answers, on="break_id", how="semi").select(
        "break_id", "item_id", fits=pl.when("whole").then(1).otherwise(2).cast(pl.Int64)
    )
    return pl.concat([near, seen]).with_columns(detail=pl.lit(None, pl.String))


def _in_window(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Rows near which others of their member and points lie in time: id, fits (how many), other (the last one's id).

    The others are numbered by day, so that how many lie in a window is the difference of two numbers.
    """
    key = ["partner", "member", "points"]
    numbered = others.sort("day", "id").with_columns(number=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over(key))
    days = numbered.group_by(*key, "day").agg(pl.col("number").last(), other=pl.col("id").last()).sort("day")

    def reached(offset: int) -> pl.DataFrame:
        """The last other up to some days after each row."""
        until = rows.select("id", *key, day=pl.col("day") + pl.duration(days=offset)).sort("day", "id")
        return until.join_asof(days, on="day", by=key, strategy="backward", check_sortedness=False)

    before = reached(-NEAR_DAYS - 1).select("id", below=pl.col("number").fill_null(0))
    return (
        reached(NEAR_DAYS)
        .join(before, on="id", validate="1:1")
        .select("id", "other", fits=pl.col("number") - pl.col("below"))
        .filter(pl.col("fits") > 0)
    )
