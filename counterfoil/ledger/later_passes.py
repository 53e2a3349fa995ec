"""The passes after the exact key, over what it left of a hand-back: splits, nets, suggestions, and what they looked at.

Here: what they read of the book and the rows their verdicts lead to. Not here: the verdicts (``reconcile.groups``,
``reconcile.suggestions``) or the passes by reference (``answers``).
"""

from dataclasses import dataclass
from typing import Final, Protocol, Self

import polars as pl

from counterfoil.ledger import merged, posting
from counterfoil.ledger.model import Agreed, Event, ItemKind, MatchPass, MatchRole, Outcome
from counterfoil.ledger.tables import TABLES
from counterfoil.ledger.work import Work
from counterfoil.reconcile import groups, life, passes, suggestions
from counterfoil.reconcile.groups import Groups, Verdict
from counterfoil.reconcile.terms import SUGGESTING, inside

ENDS: Final = {"item_id": pl.Int64, "line_no": pl.Int64, "confirmed": pl.Int64}
_ACCEPTS: Final = (pl.col("outcome") == Outcome.ACCEPTED.value) & (pl.col("points") > 0)
"""An acceptance above zero."""
_WAITING: Final = [state.value for state in life.WAITING]
_UNSETTLED: Final = [event.value for event in (Event.AMOUNT_DIFFERS, Event.CONFLICT, Event.DUPLICATE_ANSWER)]


class Requests(Protocol):
    """What finds open requests by their members and references, and answers that were netted."""

    def awaiting(self, partner_id: int, refs: pl.Series) -> pl.DataFrame: ...
    def netted(self, partner_id: int, refs: pl.Series) -> pl.DataFrame: ...
    def requests_of(self, partner_id: int, members: pl.Series) -> pl.DataFrame: ...


@dataclass(frozen=True, eq=False)
class Later:
    """``decided`` with the verdicts of the later passes; ``ends``: the requests that groups settle, columns ENDS;
    ``effects``: bookings beside the records' own; ``matches``: rows of ``match``."""

    decided: pl.DataFrame
    ends: pl.DataFrame
    effects: pl.DataFrame
    matches: pl.DataFrame

    @classmethod
    def over(cls, decided: pl.DataFrame) -> Self:
        """Before any later pass."""
        return cls(decided, pl.DataFrame(schema=ENDS), posting.shaped(None, posting.EFFECTS), _match_rows(None))

    def plus(
        self,
        decided: pl.DataFrame,
        matches: pl.DataFrame,
        ends: pl.DataFrame | None = None,
        effects: pl.DataFrame | None = None,
    ) -> "Later":
        """With what one more pass found."""
        return Later(
            decided,
            pl.concat([self.ends, posting.shaped(ends, ENDS)]),
            pl.concat([self.effects, posting.shaped(effects, posting.EFFECTS)]),
            pl.concat([self.matches, _match_rows(matches)]),
        )


def run(
    decided: pl.DataFrame, waiting: pl.DataFrame, work: Work, book: Requests, *, partner_id: int, aliases: pl.DataFrame
) -> Later:
    """All later passes in their order. ``waiting``: open theirs of the partner, as of ``open_items``."""
    later = _tolerances(Later.over(decided))
    if work.feed.split_max > 1:
        later = _splits(later, waiting, work)
    unknown = later.decided.filter(
        (pl.col("event") == Event.UNKNOWN_ACCEPTED.value) & pl.col("member").is_not_null() & (pl.col("points") > 0)
    )
    if work.feed.net_max > 1:
        later, unknown = _netted_before(later, unknown, book, partner_id)
    if unknown.is_empty():
        return later
    spoken_of = pl.concat([decided["ref"], waiting["ref"]])
    unknown, ours = _standing(unknown, spoken_of, book, partner_id, aliases)
    if work.feed.net_max > 1:
        # One that names another member's request is a mistaken answer to that one, if anything, and no net.
        nameless = unknown.join(book.awaiting(partner_id, unknown["ref"].unique()), on="ref", how="anti")
        later = _nets(later, nameless, ours, work)
    return _suggestions(later, unknown, ours, work)


def _tolerances(later: Later) -> Later:
    """A row for each answer that was off and settled all the same: the month's budget is made of them."""
    off = later.decided.filter(pl.col("match_pass") == MatchPass.TOLERANCE.value)
    named = pl.when(pl.col("member").is_null()).then(Agreed.REF.value).otherwise((Agreed.REF | Agreed.MEMBER).value)
    matches = off.with_columns(
        role=pl.lit(MatchRole.MATCHED.value),
        agreed=named,
        difference=pl.col("points") - pl.col("sent"),
        days=_days("asked_on", "value_date"),
    )
    return later.plus(later.decided, matches)


# One request, several answers


def _splits(later: Later, waiting: pl.DataFrame, work: Work) -> Later:
    waits = (pl.col("kind") == ItemKind.REQUEST.value) & pl.col("state").is_in(_WAITING)
    # Whatever has something to be grouped with was left unsettled, so few rows are looked at.
    unsettled = later.decided.filter(waits & pl.col("event").is_in(_UNSETTLED)).select("item_id").unique()
    spoken = later.decided.join(unsettled, on="item_id", how="semi", maintain_order="left").select(
        "line_no", "ref", "points", "sent", "outcome", "value_date", "asked_on", group="item_id", part=_record(work)
    )
    timely = _timely(work)
    of_parts = spoken.filter(_ACCEPTS.all().over("group"))
    today = of_parts.filter(timely)
    parts = (
        waiting.filter((pl.col("kind") == ItemKind.THEIR_ACCEPT.value) & (pl.col("remaining") == 0))
        .select("ref", "value_date", part="item_id", points="amount")
        .join(today.select("ref", "group", "asked_on").unique(), on="ref")
        .filter(timely)
    )
    found = groups.split(today, parts, work.feed.split_max)
    steps = {
        life.PART: _of(found, Verdict.SETTLED),
        life.PART_WAITS: _of(found, Verdict.WAITS),
        life.CONFLICT: _of(found, Verdict.AGAINST, Verdict.AMBIGUOUS),
        life.UNKNOWN_PART: _unknown_parts(later.decided, waiting),
        life.OTHER_DATE: of_parts.filter(~timely),
    }
    decided = _named(passes.overrule(later.decided, steps), found, MatchPass.SPLIT)
    settled = _of(found, Verdict.SETTLED).join(today, on="line_no")
    # The last line of a group closes it, and books what had waited for it.
    closing = settled.group_by("group").agg(line_no=pl.col("line_no").max(), confirmed=pl.col("sent").first())
    met = found.members.join(closing, on="line_no").join(parts.select("part", "points"), on="part")
    of_group = {"match_pass": pl.lit(MatchPass.SPLIT.value), "role": pl.lit(MatchRole.PART.value)}
    matches = [
        settled.select("line_no", item_id="group", difference=pl.col("points") - pl.col("sent"), **of_group),
        met.select("line_no", item_id="part", difference=pl.lit(None, pl.Int64), **of_group),
        _unclear(found).select("line_no", "item_id", pl.lit(None, pl.Int64).alias("difference"), "match_pass", "role"),
    ]
    return later.plus(
        decided,
        pl.concat(matches, how="vertical_relaxed").with_columns(agreed=pl.lit(Agreed.REF.value), days=pl.lit(None)),
        closing.rename({"group": "item_id"}),
        _met_effects(met, later.decided),
    )


def _unknown_parts(decided: pl.DataFrame, waiting: pl.DataFrame) -> pl.DataFrame:
    """Lines of acceptances under references that nobody knows yet: parts of a request that may still come."""
    nobodys = decided.filter(pl.col("item_id").is_null())
    others = waiting.filter(pl.col("kind") != ItemKind.THEIR_ACCEPT.value).select("ref")
    fresh = nobodys.filter(_ACCEPTS.all().over("ref")).join(others, on="ref", how="anti")
    again = waiting.select("ref", "value_date", points="amount")
    return fresh.join(again, on=["ref", "value_date", "points"], how="anti").select("line_no")


def _timely(work: Work) -> pl.Expr:
    window = work.feed.answer_window
    return pl.lit(value=True) if window is None else inside(window, pl.col("asked_on"), pl.col("value_date"))


def _unclear(found: Groups) -> pl.DataFrame:
    """Other answers of sums among which there is a choice, a few of each line's."""
    listed = found.members.join(_of(found, Verdict.AMBIGUOUS), on="line_no").sort("line_no", "part")
    return _first(listed).select(
        "line_no",
        item_id="part",
        match_pass=pl.lit(MatchPass.AMBIGUOUS.value),
        role=pl.lit(MatchRole.CANDIDATE.value),
    )


def _met_effects(met: pl.DataFrame, decided: pl.DataFrame) -> pl.DataFrame:
    sums = met.group_by("line_no").agg(answered=pl.col("points").sum())
    return sums.join(decided.select("line_no", "value_date"), on="line_no").select(
        "line_no",
        "value_date",
        "answered",
        ordinal=pl.lit(1),
        event=pl.lit(Event.PARTS_MET.value),
        source_account=pl.lit(None),
        target_account=pl.lit(None),
        sent="answered",
    )


# One answer, several requests; or an answer that nothing names


def _standing(
    unknown: pl.DataFrame, spoken_of: pl.Series, book: Requests, partner_id: int, aliases: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The answers (line_no, ref, member, points, value_date), and the open requests of their members that no answer
    names, whoever's it says they are (part, the item; member, amount, value_date)."""
    answers = unknown.select("line_no", "ref", "member", "points", "value_date")
    named, ours = merged.with_requests(answers, aliases, book, partner_id)
    return named, ours.filter(~pl.col("ref").is_in(spoken_of.implode())).rename({"item_id": "part"})


def _netted_before(later: Later, unknown: pl.DataFrame, book: Requests, partner_id: int) -> tuple[Later, pl.DataFrame]:
    """Answers under the reference of one that settled several requests: the same again, or another beside it."""
    known = unknown.join(book.netted(partner_id, unknown["ref"].unique()), on="ref")
    same = pl.col("points") == pl.col("netted")
    steps = {life.DUPLICATE: known.filter(same), life.CONFLICT: known.filter(~same)}
    return later.plus(passes.overrule(later.decided, steps), _match_rows(None)), unknown.join(
        known, on="line_no", how="anti"
    )


def _nets(later: Later, unknown: pl.DataFrame, ours: pl.DataFrame, work: Work) -> Later:
    window = work.feed.answer_window or SUGGESTING
    found = groups.net(unknown, ours, most=work.feed.net_max, window=window)
    settled = _of(found, Verdict.SETTLED)
    decided = _named(passes.overrule(later.decided, {life.NETTED: settled}), found, MatchPass.NETTED)
    listed = found.members.join(ours.select("part", "amount", asked_on="value_date"), on="part").join(
        unknown.select("line_no", "points", "value_date"), on="line_no"
    )
    taken = listed.join(settled, on="line_no", how="semi")
    rows = [
        taken.with_columns(match_pass=pl.lit(MatchPass.NETTED.value), role=pl.lit(MatchRole.PART.value)),
        _first(
            listed.join(_of(found, Verdict.AMBIGUOUS), on="line_no", how="semi").sort("line_no", "part")
        ).with_columns(match_pass=pl.lit(MatchPass.AMBIGUOUS.value), role=pl.lit(MatchRole.CANDIDATE.value)),
    ]
    matches = pl.concat(rows).select(
        "line_no",
        "match_pass",
        "role",
        item_id="part",
        agreed=pl.lit(Agreed.MEMBER.value),
        difference=pl.col("points") - pl.col("amount"),
        days=_days("asked_on", "value_date"),
    )
    return later.plus(decided, matches, taken.select("line_no", item_id="part", confirmed="amount"))


def _suggestions(later: Later, unknown: pl.DataFrame, ours: pl.DataFrame, work: Work) -> Later:
    nobody = pl.col("match_pass").is_in([MatchPass.NONE.value, MatchPass.GAVE_UP.value])
    still = (pl.col("event") == Event.UNKNOWN_ACCEPTED.value) & nobody
    theirs = unknown.join(later.decided.filter(still), on="line_no", how="semi").rename({"line_no": "theirs_id"})
    free = ours.filter(~pl.col("part").is_in(later.ends["item_id"].implode())).rename({"part": "item_id"})
    found = suggestions.candidates(theirs, free, work.feed.answer_window or SUGGESTING).rename({"theirs_id": "line_no"})
    verdicts = found.select("line_no", "match_pass").unique("line_no")
    both = Agreed.MEMBER | Agreed.POINTS
    matches = found.with_columns(
        role=pl.lit(MatchRole.CANDIDATE.value),
        agreed=pl.when(pl.col("days") == 0).then((both | Agreed.DATE).value).otherwise(both.value),
        difference=pl.lit(0),
    )
    return later.plus(passes.with_verdicts(later.decided, verdicts), matches)


# What they share


def _of(found: Groups, *verdicts: Verdict) -> pl.DataFrame:
    """line_no of the lines with one of these verdicts."""
    return found.lines.filter(pl.col("verdict").is_in([verdict.value for verdict in verdicts])).select("line_no")


def _named(decided: pl.DataFrame, found: Groups, settled: MatchPass) -> pl.DataFrame:
    """Put the pass that came to a verdict beside its line."""
    of = {Verdict.SETTLED: settled, Verdict.AMBIGUOUS: MatchPass.AMBIGUOUS, Verdict.GAVE_UP: MatchPass.GAVE_UP}
    named = [_of(found, verdict).with_columns(match_pass=pl.lit(name.value, pl.Int16)) for verdict, name in of.items()]
    return passes.with_verdicts(decided, pl.concat(named))


def _first(listed: pl.DataFrame) -> pl.DataFrame:
    return listed.group_by("line_no", maintain_order=True).head(suggestions.LISTED_MAX)


def _record(work: Work) -> pl.Expr:
    return posting.record_id(work.file_id, "line_no")


def _days(asked: str, answered: str) -> pl.Expr:
    return (pl.col(answered) - pl.col(asked)).dt.total_days()


def _match_rows(matches: pl.DataFrame | None) -> pl.DataFrame:
    return posting.shaped(matches, {name: kind for name, kind in TABLES["match"].items() if name != "file_id"})
