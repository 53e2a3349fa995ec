"""Letters about points: to people who got some, to those who must register first, to administrators whose budget runs
low.

Here: those sources of letters. Not here: their names and texts, which lie in landed files alone (``steps.wording``), or
what a letter says (``campaigns``).
"""

import polars as pl

from counterfoil.ledger.addressed import addressed
from counterfoil.ledger.lookups import Lookups
from counterfoil.ledger.model import RECORD_SPAN, Event, ItemKind, Standing, State, Unit
from counterfoil.letters import LetterKind


def of_distributions(book: Lookups, from_n: int, to_n: int) -> pl.DataFrame:
    """A letter (LETTERS) for each distribution that reached its recipient in a range of postings, and one for each that
    began to wait until its recipient registers. The key ends in the item, by which its file and line are found."""
    within = f"file_id > {from_n} AND file_id <= {to_n}"
    found = book.frame(
        f"""WITH told AS (
                SELECT item_id, file_id, '{LetterKind.POINTS}' AS kind FROM book.settled_key
                WHERE {within} AND state = {State.CREDITED:d}
                UNION ALL
                SELECT item_id, file_id, '{LetterKind.REGISTER}' FROM book.disposition
                WHERE {within} AND event = {Event.DISTRIBUTED_UNCLAIMED:d}
                UNION ALL
                SELECT item_id, file_id, '{LetterKind.REGISTER}' FROM book.item_change
                WHERE {within} AND state = {State.UNCLAIMED:d}
            )
            SELECT concat(t.kind, ':', i.item_id) AS letter_key, t.kind, i.member AS recipient, i.amount AS points,
                   CASE WHEN NOT starts_with(i.ref, '?') THEN i.ref END AS reference,
                   CASE WHEN t.kind = '{LetterKind.REGISTER}' THEN i.due_date
                        ELSE CAST(greatest(i.value_date, p.on_day) + to_months(e.expiry_months) AS DATE) END AS expires,
                   greatest(i.value_date, p.on_day) AS due, t.file_id AS posting, i.partner_id
            FROM told t JOIN book.item i ON i.item_id = t.item_id AND i.kind = {ItemKind.DISTRIBUTION:d}
            JOIN book.posting p ON p.n = t.file_id LEFT JOIN book.promise e ON e.item_id = i.item_id"""
    )
    return addressed(found, book)


def of_budgets(book: Lookups, from_n: int, to_n: int) -> pl.DataFrame:
    """A letter (LETTERS) to each administrator of a company for each threshold that a budget of its has passed."""
    found = book.frame(
        f"""WITH passed AS (
                SELECT a.*, p.on_day FROM book.budget_alert a JOIN book.posting p ON p.n = a.file_id
                WHERE a.file_id > {from_n} AND a.file_id <= {to_n}
            ), terms AS (
                SELECT b.account_id, any_value(b.partner_id) AS partner_id, any_value(b.code) AS code,
                       any_value(b.until_day) AS until_day
                FROM book.budget b SEMI JOIN passed USING (account_id) GROUP BY b.account_id
            ), administrators AS (
                SELECT d.on_day, u.partner_id, u.code, u.name, u.standing,
                       CAST(u.file_id AS BIGINT) * {RECORD_SPAN} + u.line_no AS record
                FROM (SELECT DISTINCT on_day FROM passed) d JOIN book.company_unit u
                    ON u.unit = {Unit.ADMINISTRATOR:d} AND u.since <= d.on_day AND u.file_id <= {to_n}
                QUALIFY row_number() OVER (PARTITION BY d.on_day, u.partner_id, u.code
                                           ORDER BY u.since DESC, u.file_id DESC, u.line_no DESC) = 1
            )
            SELECT concat_ws(':', '{LetterKind.ALERT}', a.file_id, a.account_id, a.percent, w.record) AS letter_key,
                   '{LetterKind.ALERT}' AS kind, w.code AS recipient, w.name, t.code AS reference,
                   CAST(greatest(a.funded - a.used, 0) AS BIGINT) AS points,
                   concat(a.used, ' of ', a.funded, ' points are used, which is ', a.percent, ' % or more') AS citation,
                   t.until_day AS expires, a.on_day AS due, a.file_id AS posting, t.partner_id
            FROM passed a JOIN terms t ON t.account_id = a.account_id
            JOIN administrators w
                ON w.partner_id = t.partner_id AND w.on_day = a.on_day AND w.standing = {Standing.OPEN:d}"""
    )
    return addressed(found, book)
