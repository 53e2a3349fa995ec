"""The one telling of the story: files arrive, are posted, and what they changed is handed on.

Here: the order of the steps for one feed's intake, for a day's close and for a whole night. Not here: any step itself
(``steps``), or who calls: Dagster's assets and the ``counterfoil`` command tell the same story.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from counterfoil.errors import CounterfoilError
from counterfoil.feed import Feed, FeedKind
from counterfoil.landing.records import Delivery, Journal, Outcome, OutcomeState, ReplySent, refused
from counterfoil.ledger.writing import Posted
from counterfoil.protocols import CrmTarget, Parsed, RemoteFile
from counterfoil.steps.arrive import Received, connections, receive
from counterfoil.steps.close import close_days
from counterfoil.steps.desk import Desk
from counterfoil.steps.mailing import Mailed, send_mail
from counterfoil.steps.post import Settled, settle
from counterfoil.steps.publish import WrittenBatch, WrittenReport, publish_crm, publish_journal, publish_report
from counterfoil.steps.reply import answer_files
from counterfoil.steps.statements import hand_over
from counterfoil.steps.supplier_orders import write_orders
from counterfoil.steps.vouchers import both, count_waiting, issue

OWN_FIRST = (
    FeedKind.APPROVALS,
    FeedKind.RATES,
    FeedKind.OPENING,
    FeedKind.COMPANIES,
    FeedKind.MEMBERS,
    FeedKind.RECHARGES,
    FeedKind.BUDGETS,
    FeedKind.DECISIONS,
    FeedKind.GL_BALANCES,
    FeedKind.VOUCHERS,
)
"""Feeds that must be in the book before any partner's file."""


@dataclass
class Night:
    """All that one run did, and what it could not do.

    ``standing`` are the day's files that are held or rejected, whichever run met them first.
    """

    delivered: list[Delivery] = field(default_factory=list)
    waiting: list[RemoteFile] = field(default_factory=list)
    standing: list[Delivery] = field(default_factory=list)
    outcomes: list[tuple[Delivery, Outcome]] = field(default_factory=list)
    postings: list[Posted] = field(default_factory=list)
    replies: list[ReplySent] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    batches: list[WrittenBatch] = field(default_factory=list)
    mailed: Mailed = field(default_factory=Mailed)
    journal: Journal | None = None
    report: WrittenReport | None = None
    failures: list[tuple[str, CounterfoilError]] = field(default_factory=list)

    @property
    def refused(self) -> list[tuple[Delivery, Outcome]]:
        """Deliveries that were held or rejected."""
        return [
            (delivery, outcome)
            for delivery, outcome in self.outcomes
            if outcome.state in (OutcomeState.HELD, OutcomeState.REJECTED)
        ]

    @property
    def unsettled(self) -> list[Delivery]:
        """Deliveries refused on arrival that have no outcome yet; once there is one, it alone counts."""
        settled = {delivery.order for delivery, _ in self.outcomes}
        return [delivery for delivery in self.delivered if delivery.code and delivery.order not in settled]

    @property
    def exit_status(self) -> int:
        """0 when all went well, 3 when trying again may help, 1 when a person must look first."""
        statuses = {error.exit_status for _, error in self.failures}
        if self.refused or self.standing or self.unsettled or 1 in statuses:
            return 1
        return max(statuses, default=0)


def run(desk: Desk, day: date, *, feeds: Sequence[str] | None = None) -> Night:
    """A whole night: take what is there, post what counts up to ``day``, close the day, hand on, report, mail.

    ``feeds`` limits the partners' feeds that post; then the day is not closed. One feed's or connection's failure
    stops no other and is among the failures.
    """
    night = Night()
    desk.landing.sweep(desk.now())
    for connection in connections(desk):
        _guarded(night, connection, partial(_arrive, desk, night, connection))
    own = [feed.feed for feed in desk.feeds(OWN_FIRST)]
    partners = [feed.feed for feed in desk.feeds()]
    for feed in [*own, *(partners if feeds is None else feeds)]:
        _guarded(night, feed, partial(_intake, desk, night, feed, day))
    for answered in desk.reader.feeds():
        _guarded(night, answered.feed, partial(_answer, desk, night, answered.feed))
    # What the close of the day posts is handed on with the rest: points that are sent on the day that begins.
    closed = feeds is None and _guarded(night, "day", partial(_end, desk, day))
    for target in desk.crm_targets:
        _guarded(night, target.name, partial(_hand_on, desk, night, target))
    if closed:
        _guarded(night, "day", partial(_report, desk, night, day))
        for stated in desk.reader.feeds():
            _guarded(night, stated.feed, partial(_state, desk, night, stated))
    # Last, so that a slow mail server keeps nothing waiting.
    night.mailed = mail(desk)
    night.failures += [("mail", trouble) for trouble in night.mailed.troubles]
    of_day = desk.index.deliveries(day=day)
    night.standing = refused(of_day, desk.index.latest_outcomes(delivery.order for delivery in of_day))
    return night


def arrive(desk: Desk, connection: str, *, patient: bool) -> Received:
    """Land everything that is ready at a connection."""
    return receive(desk, connection, patient=patient)


def intake(desk: Desk, feed: str, day: date, *, parsed: Mapping[int, Parsed] | None = None) -> Settled:
    """Post everything of a feed that has landed and counts up to a day; after orders and payments, make what is paid.

    ``parsed``: deliveries already read, by order number; the others are read here.
    """
    settled = settle(desk, [feed], day, parsed or {})
    if feed in {one.feed for one in desk.feeds([FeedKind.VOUCHER_ORDERS, FeedKind.VOUCHER_PAYMENTS])}:
        # At once, and whether or not this run posted the payment: one before may have died in between.
        counted = count_waiting(desk, day)
        write_orders(desk)
        made = issue(desk, day)
        settled = both(settled, both(counted, made))
    return settled


def answer(desk: Desk, feed: str) -> list[ReplySent]:
    """Answer every file of a feed of which it is certain what became."""
    return answer_files(desk, feed)


def mail(desk: Desk) -> Mailed:
    """Hand over the letters that are due, those of new postings among them."""
    return send_mail(desk)


def _arrive(desk: Desk, night: Night, connection: str) -> None:
    received = arrive(desk, connection, patient=True)
    night.delivered += received.delivered
    night.waiting += received.waiting
    night.failures += [(connection, trouble) for trouble in received.troubles]


def _intake(desk: Desk, night: Night, feed: str, day: date) -> None:
    settled = intake(desk, feed, day)
    night.outcomes += settled.outcomes
    night.postings += settled.postings


def _answer(desk: Desk, night: Night, feed: str) -> None:
    night.replies += answer(desk, feed)


def _state(desk: Desk, night: Night, feed: Feed) -> None:
    night.statements += hand_over(desk, feed)


def _hand_on(desk: Desk, night: Night, target: CrmTarget) -> None:
    night.batches += publish_crm(desk, target)


def _end(desk: Desk, day: date) -> None:
    """Close the day; that a feed failed does not keep it open."""
    close_days(desk, day)


def _report(desk: Desk, night: Night, day: date) -> None:
    night.journal, night.report = publish_journal(desk, day), publish_report(desk, day)


def _guarded(night: Night, who: str, act: Callable[[], None]) -> bool:
    """Run one part of the night, True if it went well; an expected failure is noted and the rest goes on."""
    try:
        act()
    except CounterfoilError as error:
        night.failures.append((who, error))
        return False
    return True
