"""Why the open breaks of a day stand open, from the book: the cause of each, and equal causes as one line.

Here: the reads that the pure rules need: open breaks, the answers that wait, and our open requests, by their own
references and members. Not here: the rules (``reconcile.causes``, ``reconcile.near_misses``) or the list of breaks
(``open_breaks``). References and members stay in here: a change names feeds, days, files and partners alone.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from counterfoil.feed import Feed, FeedKind
from counterfoil.ledger import break_money, decided, open_breaks
from counterfoil.ledger.figures import made_at, made_in, open_at, reasons_in_words
from counterfoil.ledger.known import Known
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import Agreed, BreakCode, MatchPass, MatchRole, Side, State
from counterfoil.reconcile import breaks, causes, near_misses

NO_REFERENCE: Final = "?"
"""Begins the subject of an answer to which its partner gave no reference."""

_STATES: Final = {state.value: state.name.lower().replace("_", " ") for state in State}


def of_breaks(
    book: Lookups,
    at: Known,
    partner: str | None = None,
    *,
    among: Sequence[str] | None = None,
    feeds: Sequence[Feed] = (),
    of_gl: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """The cause of each open break of a day: break_id, cause (``Cause``), change, candidate_item_id Int64?.

    One row a break of ``open_breaks``, or of those named in ``among``, sorted by break_id. ``candidate_item_id`` is the
    one request that an unknown answer would meet. ``feeds`` are those in force: they say whose answers come in parts,
    and what reasons mean. ``of_gl`` are the causes of B15 (``gl_causes``), which nobody knows without our journals.
    """
    told = _told(book, at, partner, feeds, of_gl, "true" if among is None else _beside(book, among))
    named = told if among is None else told.filter(pl.col("break_id").is_in(list(among)))
    return named.select("break_id", "cause", "change", "candidate_item_id")


def grouped(
    book: Lookups,
    at: Known,
    partner: str | None = None,
    *,
    feeds: Sequence[Feed] = (),
    of_gl: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """The open breaks of a day by cause, change and partner, heaviest first: ``causes.GROUPED``."""
    return causes.grouped(_told(book, at, partner, feeds, of_gl))


def _beside(book: Lookups, among: Sequence[str]) -> str:
    """A condition on rows of ``break``: these, and all that their causes show in."""
    named = pl.DataFrame({"break_id": among}, schema={"break_id": pl.String})
    told = book.frame("SELECT DISTINCT b.code FROM book.break b SEMI JOIN named USING (break_id)", named=named)["code"]
    codes = [*breaks.OF_FILES, *(code for code in causes.TOGETHER if code.value in told.to_list())]
    ids = ", ".join(f"'{break_id}'" for break_id in among)
    return f"(code IN ({', '.join(f'{code:d}' for code in codes)}) OR break_id IN ({ids or 'NULL'}))"


def _told(
    book: Lookups,
    at: Known,
    partner: str | None,
    feeds: Sequence[Feed],
    of_gl: pl.DataFrame | None,
    wanted: str = "true",
) -> pl.DataFrame:
    """All breaks are told, whoever is asked about: two partners' answers can want the same request."""
    standing = open_breaks.open_breaks(book, at, wanted=wanted).select(
        "break_id", "partner", "age_days", file=pl.format("{} (posting {})", "file", "posting")
    )
    broken = _broken(book, at, standing, feeds)
    declined = decided.declined(book, at.counts()).select("break_id", "item_id")
    near = near_misses.nearest(broken, _requests(book, at, broken), _listed(book, at, standing), declined=declined)
    told = causes.told(broken, near)
    if of_gl is not None:
        told = told.update(of_gl, on="break_id", how="left")
    return told if partner is None else told.filter(pl.col("partner") == partner)


def _broken(book: Lookups, at: Known, standing: pl.DataFrame, feeds: Sequence[Feed]) -> pl.DataFrame:
    """``causes.BROKEN`` of the breaks that stand."""
    found = book.frame(
        f"""WITH told AS (SELECT b.* FROM book.break b SEMI JOIN standing USING (break_id)), named AS (
                SELECT i.* FROM book.item i WHERE i.item_id IN (SELECT unnest([item_id, theirs_id]) FROM told)
            )
            SELECT s.*, b.code, b.item_id, b.points_ours, b.points_theirs, t.member, t.kind,
                   CASE WHEN NOT starts_with(b.subject, '{NO_REFERENCE}') THEN b.subject END AS ref,
                   i.value_date AS asked_on, i.due_date, t.value_date AS answered_on, p.feed AS their_feed,
                   split_part(b.subject, ':', 1) AS late_feed, regexp_replace(b.subject, ':', ' ') AS missing,
                   b.value_date AS missing_on, m.* EXCLUDE (break_id)
            FROM standing s JOIN told b ON b.break_id = s.break_id
            LEFT JOIN ({break_money.of_breaks("SELECT * FROM told", at.counts())}) m ON m.break_id = b.break_id
            LEFT JOIN named i ON i.item_id = b.item_id AND i.side = {Side.OURS:d}
            LEFT JOIN named t ON t.item_id = b.theirs_id
            LEFT JOIN book.posting p ON p.n = {made_in("t.item_id")}""",
        standing=standing,
    )
    for facts in (_reasons(book, standing, feeds), _first_answers(book, standing), _before(book, standing)):
        found = found.join(facts, on="break_id", how="left", validate="1:1")
    in_parts = [feed.feed for feed in feeds if feed.split_max > 1]
    return (
        found.with_columns(
            in_parts=pl.col("their_feed").is_in(in_parts),
            missing_on=pl.when(pl.col("late_feed").is_in(_handbacks(book, feeds))).then("missing_on"),
            refused=pl.col("break_id").is_in(_refused(book, standing)),
        )
        .select(pl.col(name).cast(kind) for name, kind in causes.BROKEN.items())
        .sort("break_id")
    )


def _handbacks(book: Lookups, feeds: Sequence[Feed]) -> list[str]:
    """Feeds that bring answers, of those in force and those that ever posted."""
    posted = book.frame(f"SELECT DISTINCT feed FROM book.posting WHERE kind = '{FeedKind.HANDBACK}' ORDER BY feed")
    return [*posted["feed"], *(feed.feed for feed in feeds if feed.kind is FeedKind.HANDBACK)]


def _reasons(book: Lookups, standing: pl.DataFrame, feeds: Sequence[Feed]) -> pl.DataFrame:
    """Why requests were rejected (B09): break_id, reason, reason_text, by the record that opened the break or, where an
    answer had waited for its request, by that answer."""
    found = book.frame(
        f"""WITH told AS (
                SELECT b.break_id, unnest([b.file_id, {made_in("b.theirs_id")}]) AS file_id,
                       unnest([b.line_no, {made_at("b.theirs_id")}]) AS line_no
                FROM book.break b SEMI JOIN standing USING (break_id) WHERE b.code = {BreakCode.REJECTED:d}
            )
            SELECT t.break_id, s.partner, max(r.reason) AS reason
            FROM told t JOIN standing s ON s.break_id = t.break_id
            JOIN book.disposition d ON d.file_id = t.file_id AND d.line_no = t.line_no
            JOIN book.reason r ON r.reason_id = d.reason_id GROUP BY t.break_id, s.partner""",
        standing=standing,
    )
    texts = reasons_in_words(found.select("partner", "reason").unique().sort("partner", "reason"), feeds)
    return found.join(texts, on=["partner", "reason"], validate="m:1").select(
        "break_id", "reason", reason_text=pl.when(pl.col("text") != "").then("text")
    )


def _first_answers(book: Lookups, standing: pl.DataFrame) -> pl.DataFrame:
    """Where what is answered again (B07) was answered first: break_id, earlier_file."""
    return book.frame(
        f"""WITH again AS (
                SELECT b.break_id, b.partner_id, b.subject, b.file_id
                FROM book.break b SEMI JOIN standing USING (break_id) WHERE b.code = {BreakCode.DUPLICATE_THEIRS:d}
            ), named AS (
                SELECT a.break_id, a.file_id, i.item_id
                FROM again a JOIN book.item i ON i.partner_id = a.partner_id AND i.ref = a.subject
            ), first AS (
                SELECT n.break_id, min(d.file_id) AS file_id
                FROM named n JOIN book.disposition d ON d.item_id = n.item_id AND d.file_id <= n.file_id
                JOIN book.posting p ON p.n = d.file_id AND p.kind = '{FeedKind.HANDBACK}' GROUP BY n.break_id
            )
            SELECT f.break_id, concat(p.name, ' (posting ', p.n, ')') AS earlier_file
            FROM first f JOIN book.posting p ON p.n = f.file_id""",
        standing=standing,
    )


def _before(book: Lookups, standing: pl.DataFrame) -> pl.DataFrame:
    """The end that a request had come to before an answer in conflict with it (B11): break_id, before."""
    return book.frame(
        f"""WITH told AS (
                SELECT b.break_id, b.item_id, b.file_id FROM book.break b SEMI JOIN standing USING (break_id)
                WHERE b.code = {BreakCode.CONFLICT:d} AND b.item_id IS NOT NULL
            )
            SELECT t.break_id, arg_max(k.state, (k.file_id, k.line_no)) AS state
            FROM told t JOIN book.settled_key k ON k.item_id = t.item_id AND k.file_id < t.file_id
            GROUP BY t.break_id""",
        standing=standing,
    ).select("break_id", before=pl.col("state").replace_strict(_STATES, return_dtype=pl.String))


def _refused(book: Lookups, standing: pl.DataFrame) -> list[str]:
    """Requests again (B08) of which not even the first was booked: break_id."""
    return book.frame(
        f"""SELECT b.break_id FROM book.break b SEMI JOIN standing USING (break_id)
            WHERE b.code = {BreakCode.DUPLICATE_OURS:d} AND b.item_id IS NULL AND NOT EXISTS (
                SELECT 1 FROM book.item i
                WHERE i.side = {Side.OURS:d} AND i.partner_id = b.partner_id AND i.ref = b.subject
                  AND {made_in("i.item_id")} = b.file_id)
            ORDER BY b.break_id""",
        standing=standing,
    )["break_id"].to_list()


def _requests(book: Lookups, at: Known, broken: pl.DataFrame) -> pl.DataFrame:
    """Our open requests that an unknown answer could mean, by points or by reference: ``near_misses.REQUESTS``."""
    unknown = broken.filter(pl.col("code") == BreakCode.UNKNOWN_THEIRS.value)
    return book.frame(
        f"""SELECT o.item_id, p.partner, o.ref, o.member, o.amount AS points, o.value_date AS asked_on
            FROM ({open_at(at)}) o JOIN book.partner p ON p.partner_id = o.partner_id
            WHERE o.side = {Side.OURS:d} AND (abs(o.amount) IN (SELECT points FROM unknown)
                                              OR o.ref IN (SELECT ref FROM unknown))
            ORDER BY o.item_id""",
        unknown=unknown.select("ref", points=pl.col("points_theirs").abs()),
    )


def _listed(book: Lookups, at: Known, standing: pl.DataFrame) -> pl.DataFrame:
    """Requests that are open and that the passes considered for an unknown answer: ``near_misses.LISTED``."""
    alone = Agreed.MEMBER | Agreed.POINTS
    return book.frame(
        f"""SELECT DISTINCT b.break_id, m.item_id, m.agreed & {alone:d} = {alone:d} AS whole
            FROM book.break b SEMI JOIN standing USING (break_id)
            JOIN book.match m ON m.file_id = {made_in("b.theirs_id")} AND m.line_no = {made_at("b.theirs_id")}
            JOIN ({open_at(at)}) o ON o.item_id = m.item_id AND o.side = {Side.OURS:d}
            WHERE b.code = {BreakCode.UNKNOWN_THEIRS:d} AND m.role = {MatchRole.CANDIDATE:d}
              AND m.match_pass IN ({MatchPass.SUGGESTED:d}, {MatchPass.AMBIGUOUS:d}, {MatchPass.GAVE_UP:d})
            ORDER BY b.break_id, m.item_id""",
        standing=standing,
    )
