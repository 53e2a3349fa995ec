"""The neutral journal of a range of postings: what the general ledger is told, in points and in money.

Here: reading the book by account line and shaping journal lines. Not here: what points are worth (``valuation``), or
any general ledger's own format (``connectors.gl``).
"""

from typing import Final

import polars as pl

from counterfoil.errors import Code, PermanentError
from counterfoil.invariants import require
from counterfoil.ledger import valuation
from counterfoil.ledger.chart import Chart
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.names import HOUSE, HOUSE_NAME
from counterfoil.protocols import JOURNAL

LEDGER: Final = "main"
SOURCE: Final = "Counterfoil"
CATEGORIES: Final = {"revalued": "Revaluation", "revaluation": "Revaluation"}
CATEGORY: Final = "Redemptions"
LINE_TEXT_MAX: Final = 50


def journal(
    book: Lookups,
    from_n: int,
    to_n: int,
    *,
    chart: Chart,
    programme: str,
    entity: str,
    unit: str,
    currency: str,
    journal_id: str,
) -> pl.DataFrame:
    """JOURNAL of postings ``from_n`` (exclusive) to ``to_n`` (inclusive); the same for ever, whatever is posted later.

    A line is what one posting did to one account, partner and accounting day. It does not depend on the range it is
    journalled in, only its number and ``journal_id`` do. Points of other units are left out. Raises RATE_MISSING when
    points have no rate in ``currency``, RULES_INVALID when the chart lacks an account kind, MASS_BALANCE when a proof
    fails.
    """
    accounts = _accounts(book, chart, unit)
    moved, later = _points(book, from_n, to_n, accounts)
    lines = _lines(book, accounts, moved, later)
    postings = _postings(book, from_n, to_n)
    amounts = valuation.valued(
        moved.join(accounts, on="slot").group_by("line", "n", "day").agg(pl.col("points").sum()),
        lines.select(*valuation.LINES),
        _rates(book, currency, to_n),
        postings.select(*valuation.DAYS),
    )
    made = _shaped(amounts, lines, _specials(chart), postings).with_columns(
        journal_id=pl.lit(journal_id),
        entity=pl.lit(entity),
        ledger=pl.lit(LEDGER),
        source=pl.lit(SOURCE),
        cost_center=pl.lit(""),
        programme=pl.lit(programme),
        currency=pl.lit(currency),
        journal_line=pl.int_range(1, pl.len() + 1),
    )
    ordered = made.select(pl.col(name).cast(kind) for name, kind in JOURNAL.items())
    _prove(ordered)
    return ordered


def journal_id(entity: str, to_n: int) -> str:
    """The id of the journal that ends with a posting; ``prefix`` and eight digits."""
    return f"{prefix(entity)}{to_n:08d}"


def prefix(entity: str) -> str:
    """What the ids of an entity's journals begin with."""
    return f"CF{entity[:4]}"


def _accounts(book: Lookups, chart: Chart, unit: str) -> pl.DataFrame:
    """Every (kind, partner) that has accounts: slot, kind, partner_id, and its line in the journal: gl, name, basis,
    partner, open, line. Kinds that share a GL account and a basis share a line."""
    kinds = _kinds(chart)
    found = book.frame(
        f"""SELECT kind, partner_id FROM book.account WHERE unit = '{unit}' GROUP BY kind, partner_id
            ORDER BY kind, partner_id"""
    )
    unknown = sorted(set(found["kind"].to_list()) - set(chart.accounts))
    if unknown:
        raise PermanentError(
            Code.RULES_INVALID,
            "data/ledger/chart.yaml",
            found=f"no general-ledger account for {', '.join(unknown)}",
            expected="an entry for every kind of account in the book",
            remedy="Add the missing kinds to the chart",
        )
    house = pl.col("partner_id") == HOUSE
    named = (
        found.join(kinds, on="kind")
        .join(book.partners().select("partner_id", "partner"), on="partner_id")
        .with_columns(
            basis=pl.when(pl.col("rated") == "partner").then("partner").otherwise(pl.lit(HOUSE_NAME)),
            partner=pl.when(house).then(pl.lit("")).otherwise("partner"),
        )
        .sort("gl", "basis", "partner", "open", "kind")
        .with_row_index("slot")
    )
    line = pl.struct("gl", "basis", "partner", "open").rank("dense").cast(pl.Int64)
    return named.with_columns(pl.col("slot").cast(pl.Int32), line=line)


def _kinds(chart: Chart) -> pl.DataFrame:
    """The chart's account kinds: kind, gl, name, rated, open. A GL account has the name of its first kind."""
    kinds = pl.DataFrame(
        [(kind, known.gl, known.name, known.basis, known.open) for kind, known in chart.accounts.items()],
        schema={"kind": pl.String, "gl": pl.String, "name": pl.String, "rated": pl.String, "open": pl.Boolean},
        orient="row",
    )
    mixed = kinds.group_by("gl").agg(pl.col("open").n_unique()).filter(pl.col("open") > 1)["gl"].sort().to_list()
    if mixed:
        raise PermanentError(
            Code.RULES_INVALID,
            "data/ledger/chart.yaml",
            found=f"{', '.join(mixed)} for points that are owed and for points that are spent",
            expected="general-ledger accounts of their own for each",
            remedy="Give these kinds other accounts in the chart",
        )
    return kinds.with_columns(name=pl.col("name").first().over("gl"))


def _points(book: Lookups, from_n: int, to_n: int, accounts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Points by slot: those of the range (slot, n, day, points) and those posted later (slot, points)."""
    summed = book.frame(
        f"""SELECT s.slot, CAST(least(e.file_id, {to_n + 1}) AS BIGINT) AS n,
                   CASE WHEN e.file_id <= {to_n} THEN e.accounting_date END AS day,
                   CAST(sum(e.amount) AS BIGINT) AS points
            FROM book.entry e JOIN {_slots()} s ON s.account_id = e.account_id
            WHERE e.file_id > {from_n} GROUP BY ALL""",
        slots=accounts.select("slot", "kind", "partner_id"),
    )
    return summed.filter(pl.col("n") <= to_n), summed.filter(pl.col("n") > to_n).select("slot", "points")


def _lines(book: Lookups, accounts: pl.DataFrame, moved: pl.DataFrame, later: pl.DataFrame) -> pl.DataFrame:
    """``valuation.LINES`` with gl and name: the balances of now less everything after the first posting's eve."""
    now = book.frame(
        f"""SELECT s.slot, CAST(sum(b.balance) AS BIGINT) AS points
            FROM book.balance b JOIN {_slots()} s ON s.account_id = b.account_id GROUP BY s.slot""",
        slots=accounts.select("slot", "kind", "partner_id"),
    )
    since = pl.concat([moved.select("slot", "points"), later]).with_columns(points=-pl.col("points"))
    before = pl.concat([now, since]).group_by("slot").agg(before=pl.col("points").sum())
    return (
        accounts.join(before, on="slot", how="left")
        .sort("line", "kind")
        .group_by("line", maintain_order=True)
        .agg(pl.col("gl", "name", "basis", "partner", "open").first(), before=pl.col("before").sum())
    )


def _slots() -> str:
    """Accounts with their slot, as a joinable query over the frame ``slots``."""
    same = "k.kind = a.kind AND k.partner_id = a.partner_id"
    return f"(SELECT a.account_id, k.slot FROM book.account a JOIN slots k ON {same})"


def _rates(book: Lookups, currency: str, to_n: int) -> pl.DataFrame:
    rates = book.frame(
        f"""SELECT basis, minor, per_points, effective_from, file_id, line_no FROM book.rate
            WHERE currency = '{currency}' AND file_id <= {to_n}"""
    )
    return rates.select(pl.col(name).cast(kind) for name, kind in valuation.RATES.items())


def _postings(book: Lookups, from_n: int, to_n: int) -> pl.DataFrame:
    """``valuation.DAYS`` with feed, from ``from_n`` on: days never go back, though a late file may fall on an older
    one."""
    days = book.frame(
        f"""SELECT n, feed, horizon FROM (
                SELECT CAST(n AS BIGINT) AS n, feed, max(on_day) OVER (ORDER BY n) AS horizon FROM book.posting
            ) WHERE n >= {from_n} AND n <= {to_n} ORDER BY n"""
    )
    return days.select("feed", *(pl.col(name).cast(kind) for name, kind in valuation.DAYS.items()))


def _specials(chart: Chart) -> pl.DataFrame:
    """The accounts that only money needs: what, gl, name."""
    special = {"margin": chart.margin, "revaluation": chart.revaluation, "rounding": chart.rounding}
    return pl.DataFrame([{"what": what, "gl": known.gl, "name": known.name} for what, known in special.items()])


def _shaped(amounts: pl.DataFrame, lines: pl.DataFrame, specials: pl.DataFrame, postings: pl.DataFrame) -> pl.DataFrame:
    """Journal lines of amounts, in order of posting, day, account and partner."""
    named = (
        amounts.join(lines.select("line", "gl", "name"), on="line", how="left")
        .update(specials, on="what", how="left")
        .join(postings.select("n", "feed"), on="n", how="left")
        .sort("n", "day", "gl", "partner", "basis", "what")
    )
    special = pl.when(pl.col("what") != "points").then("what")
    others = pl.when((pl.col("partner") != "") & (pl.col("partner") != pl.col("basis"))).then("partner")
    whose = pl.concat_str(pl.when(pl.col("basis") != "").then("basis"), others, separator="/", ignore_nulls=True)
    trace = ("n", "gl", pl.col("day").dt.strftime("%Y%m%d"), pl.when(whose != "").then(whose), special)
    return named.select(
        accounting_date="day",
        period=pl.col("day").dt.strftime("%Y-%m"),
        category=pl.col("what").replace_strict(CATEGORIES, default=CATEGORY),
        account="gl",
        account_name="name",
        partner="partner",
        debit_minor=(-pl.col("money")).clip(lower_bound=0),
        credit_minor=pl.col("money").clip(lower_bound=0),
        points="points",
        line_text=pl.format("{}, posting {}, {}", pl.col("what").str.to_titlecase(), "n", "feed").str.slice(
            0, LINE_TEXT_MAX
        ),
        event_key=pl.concat_str(*trace, separator=":", ignore_nulls=True),
    )


def _prove(made: pl.DataFrame) -> None:
    """Debits equal credits on each day, and each line can be traced."""
    # 128 bits, so that no sum can wrap and hide a difference.
    sides = made.group_by("accounting_date").agg(pl.col("debit_minor", "credit_minor").cast(pl.Int128).sum())
    require(
        bool((sides["debit_minor"] == sides["credit_minor"]).all()),
        "debits equal credits on each accounting day",
        code=Code.MASS_BALANCE,
    )
    require(
        not made.select("event_key", "account").is_duplicated().any(),
        "each journal line has a trace of its own",
        code=Code.MASS_BALANCE,
    )
