"""Who is a member of which company, by the address that finds them: what registrations do to the book.

Here: registrations, changes of address and closures that a members file tells, and the points that wait for whoever
registers. Not here: which of them can be done (``reconcile.registrations``), or merges (``members``).
"""

import polars as pl

from counterfoil.ledger import posting, promises
from counterfoil.ledger.companies import stated
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.members import MERGES, shown
from counterfoil.ledger.model import BreakCode, Event, Standing
from counterfoil.ledger.names import HOUSE, Names
from counterfoil.ledger.work import Work
from counterfoil.reconcile import breaks, registrations
from counterfoil.reconcile.merges import chain_ends


def compose(work: Work, book: Lookups) -> posting.Changes:
    """The changes of the rows of one members file that are no merges."""
    names = Names(book, file_id=work.file_id, unit=work.unit)
    rows = work.accepted.filter(~MERGES).with_columns(pl.col("email").str.to_lowercase())
    partners = book.partners().select("partner", "partner_id")
    told = registrations.judged(
        rows.join(partners, on="partner", how="left", maintain_order="left"),
        _known(book, rows),
        book.frame("SELECT DISTINCT partner_id FROM book.company_unit")["partner_id"],
    )
    registered = told.filter(pl.col("event") == Event.REGISTERED.value)
    claimed = promises.claimed(registered, names, work, book)
    done = told.filter(pl.col("event").is_in([Event.REGISTERED.value, Event.MEMBER_CLOSED.value]))
    return posting.changes(
        {
            "person": done.with_columns(
                email="of_email",
                standing=pl.when(pl.col("change") == "close")
                .then(Standing.CLOSED.value)
                .otherwise(Standing.OPEN.value),
                since="value_date",
                file_id=pl.lit(work.file_id),
            ),
            "disposition": stated(told, work.file_id),
            "entry": claimed.entry,
            "settled_key": claimed.settled_key,
            "lot": claimed.lots.lot,
            "lot_use": claimed.lots.lot_use,
            **names.rows(),
        },
        closed=claimed.settled_key.select("item_id"),
        breaking=_refused(told),
        opened_lots=claimed.lots.opened,
        drawn_lots=claimed.lots.drawn,
    )


def found(book: Lookups, emails: pl.Series) -> pl.DataFrame:
    """``distributing.PERSONS`` of companies with one of these addresses (lower case): whoever is open, else the newest.
    A number that was merged away stands as its survivor does."""
    people = book.frame(
        f"""WITH touched AS (
                SELECT DISTINCT p.partner_id, p.member FROM book.person p SEMI JOIN wanted w ON w.email = p.email
                SEMI JOIN book.company_unit c ON c.partner_id = p.partner_id
            )
            SELECT p.partner_id, p.member, p.email, p.standing, p.file_id, p.line_no
            FROM ({_newest("touched")}) p SEMI JOIN wanted w ON w.email = p.email ORDER BY p.partner_id, p.member""",
        wanted=pl.DataFrame({"email": emails.unique()}, schema={"email": pl.String}),
    )
    ordered = _survived(people, book).sort(
        "partner_id", "email", "standing", "file_id", "line_no", descending=[False, False, False, True, True]
    )
    first = ordered.unique(["partner_id", "email"], keep="first", maintain_order=True)
    return first.select("partner_id", "member", "email", "standing")


def standing(book: Lookups, members: pl.DataFrame) -> pl.DataFrame:
    """How members (partner_id, member) stand: the same and standing."""
    people = book.frame(
        f"SELECT partner_id, member, standing FROM ({_newest('wanted')}) ORDER BY partner_id, member",
        wanted=members.select("partner_id", "member").unique(),
    )
    return _survived(people, book)


def addresses(book: Lookups, partner_id: int, members: pl.Series) -> pl.DataFrame:
    """Addresses of members of a company who are open: member, email."""
    wanted = pl.DataFrame({"member": members.drop_nulls().unique()}, schema={"member": pl.String})
    return book.frame(
        f"""SELECT member, email FROM ({_newest("wanted")}) WHERE standing = {Standing.OPEN:d} AND email IS NOT NULL
            ORDER BY member""",
        wanted=wanted.with_columns(partner_id=pl.lit(partner_id, pl.Int32)),
    )


def _survived(people: pl.DataFrame, book: Lookups) -> pl.DataFrame:
    """People with the standing of whoever stands for them, where they were merged away and that one is known."""
    key = pl.concat_str("partner_id", pl.lit(":"), "member")
    hops = book.frame("SELECT partner_id, member, survivor FROM book.merge ORDER BY partner_id, member").select(
        survivor=pl.concat_str("partner_id", pl.lit(":"), "survivor"), member=key
    )
    away = people.join(chain_ends(hops), left_on=key, right_on="member", how="inner") if hops.height else people.clear()
    if away.is_empty():
        return people
    ends = away.select("partner_id", member=pl.col("end").str.extract(":(.*)$")).unique()
    stands = book.frame(f"SELECT partner_id, member, standing FROM ({_newest('wanted')})", wanted=ends)
    by_end = stands.select(end=key, of_end="standing")
    told = away.join(by_end, on="end", how="inner").select("partner_id", "member", "of_end").unique()
    return (
        people.join(told, on=["partner_id", "member"], how="left", maintain_order="left")
        .with_columns(standing=pl.coalesce("of_end", "standing"))
        .drop("of_end")
    )


def _known(book: Lookups, rows: pl.DataFrame) -> pl.DataFrame:
    """People who have one of the addresses, or are one of the members, of the rows."""
    return book.frame(
        f"""WITH touched AS (
                SELECT p.partner_id, p.member FROM book.person p SEMI JOIN told t ON t.email = p.email
                UNION SELECT p.partner_id, p.member FROM book.person p JOIN book.partner c USING (partner_id)
                SEMI JOIN told t ON t.member = p.member AND t.partner = c.partner
            )
            SELECT partner_id, member, email, standing FROM ({_newest("touched")}) ORDER BY partner_id, member""",
        told=rows.select("partner", "member", "email"),
    )


def _newest(members: str) -> str:
    """A query for the newest row of each person of a table of partner_id, member."""
    return f"""SELECT * EXCLUDE (age) FROM (
            SELECT p.*, row_number() OVER (PARTITION BY p.partner_id, p.member
                                           ORDER BY p.file_id DESC, p.line_no DESC) AS age
            FROM book.person p SEMI JOIN {members} t ON t.partner_id = p.partner_id AND t.member = p.member
        ) WHERE age = 1"""


def _refused(told: pl.DataFrame) -> pl.DataFrame:
    """A break for each registration that a person must look at: B10, whose subject shows what people see of a number,
    or B03 with the name that is no partner's."""
    nobodys = pl.col("partner_id").is_null()
    return breaks.opening(
        told.filter(pl.col("event") == Event.REGISTRATION_REFUSED.value).with_columns(shown=shown("member")),
        line_no="line_no",
        code=pl.when(nobodys).then(BreakCode.UNKNOWN_THEIRS.value).otherwise(BreakCode.OTHER_ACCOUNT.value),
        subject=pl.when(nobodys).then("partner").otherwise("shown"),
        value_date="value_date",
        partner_id=pl.col("partner_id").fill_null(HOUSE),
        at_once=pl.lit(value=False),
    )
