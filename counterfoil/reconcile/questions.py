"""The breaks that a partner must act on: what we expected of it, and what we ask.

Here: words by break code. Not here: which breaks are open (the book), or the pack that goes to a partner
(``reports.dispute``). What is ours to settle has no question: a rejection, a request sent twice, a short balance.
"""

from typing import Final, NamedTuple

from counterfoil.ledger.model import BreakCode


class Question(NamedTuple):
    """What we expected, and what we ask the partner, who reads both without knowing our codes."""

    expected: str
    ask: str


QUESTIONS: Final[dict[BreakCode, Question]] = {
    BreakCode.OVERDUE: Question(
        "A final answer by the day it was due",
        "What became of this request? Please answer it in your next file",
    ),
    BreakCode.UNKNOWN_THEIRS: Question(
        "The reference of a request that we sent",
        "Which request of ours does this answer? If it answers none, please take it back",
    ),
    BreakCode.POINTS_DIFFER: Question(
        "The amount that we asked for",
        "Which amount is right? Please correct your answer, or tell us why ours is wrong",
    ),
    BreakCode.MONEY_DIFFERS: Question(
        "The price that we agreed",
        "Which price did you use, and since when?",
    ),
    BreakCode.DATE_DIFFERS: Question(
        "An answer dated within the days that we agreed",
        "On which day did you process this request?",
    ),
    BreakCode.DUPLICATE_THEIRS: Question(
        "One answer to each request",
        "Did this request take effect once or twice with you? We counted your first answer only",
    ),
    BreakCode.OTHER_ACCOUNT: Question(
        "The account that we named",
        "Why did you credit another account, and since when does it stand for the one that we named?",
    ),
    BreakCode.CONFLICT: Question(
        "One outcome that stays",
        "Which of your answers holds?",
    ),
    BreakCode.WALLET_DIFFERS: Question(
        "The money back for vouchers that were cancelled",
        "When did you pay back what these vouchers cost? Our wallet does not show it",
    ),
    BreakCode.CONTROL_WRONG: Question(
        "A file whose totals are those of its records",
        "Please send this file again, whole",
    ),
    BreakCode.SEQUENCE: Question(
        "Every file, once, in its order",
        "Please send us this file",
    ),
}
"""In the order in which a partner is asked."""
