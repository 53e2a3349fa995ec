"""One realistic day at two partners, with trouble of most kinds; every sum in it ties."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from itertools import cycle
from typing import Any

import polars as pl
import pytest

from counterfoil.reconcile.breaks import bucket, severity
from counterfoil.reports.facts import DISPOSITIONS, OUTCOMES, SCHEMAS, ReportFacts
from tests.reports.cards import cards

DAY = date(2026, 11, 20)
FactsMaker = Callable[..., ReportFacts]

COVER = {
    "programme": "Maple & Oak Rewards",
    "unit": "points",
    "currency": "EUR",
    "entity": "101",
    "business_date": "2026-11-20",
    "zone": "America/Toronto",
    "cut_off": "2026-11-21T04:59:00.000Z",
    "closed": "yes",
    "posting": "41",
    "chain_head": "9f2c41d07b6ae8135c4490d2e1f7a6b38c5d20417e9ab3f6d8c01542a7be6913",
    "content_head": "3be6913a7c01542d8b3f69ae7d20417c5b38c6a6fe1d2449035c4138aeb67041",
    "run_id": "5d1c5b0e-7a64-4a53-9df4-1f0ab38c2a77",
    "data_as_of": "2026-11-21T05:10:12.482Z",
    "version": "1",
    "restated": "no",
    "software": "counterfoil 0.1.0",
    "clock": "calendar days from the value date, America/Toronto",
}

# Count and points of each outcome; money at 0.8 cents a point.
PARTNERS = {
    "northstar": {
        "confirmed": (118_204, 61_904_350), "rejected": (2_311, 1_180_250), "reversed": (14, 7_100),
        "refunded": (3, 1_500), "written_off": (2, 900), "pending": (20_417, 10_733_125), "held": (6, 3_050),
    },
    "skybridge": {
        "confirmed": (40_112, 80_310_000), "rejected": (1_045, 2_004_000), "reversed": (0, 0), "refunded": (0, 0),
        "written_off": (0, 0), "pending": (9_870, 19_645_000), "held": (31, 62_000),
    },
}  # fmt: skip


def table(name: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """A facts table; columns that a row leaves out are null."""
    complete = [{column: row.get(column) for column in SCHEMAS[name]} for row in rows]
    return pl.DataFrame(complete, schema=SCHEMAS[name])


def rows(name: str, lines: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(lines, schema=SCHEMAS[name], orient="row")


def summary() -> pl.DataFrame:
    found = []
    for partner, outcomes in PARTNERS.items():
        sent = tuple(sum(outcomes[state][column] for state in OUTCOMES) for column in (0, 1))
        for state, (count, points) in {"sent": sent, **outcomes, "variance": (12, -240)}.items():
            found.append((partner, state, count, points, points * 8 // 10))
    return rows("summary", found)


OUT, BACK = "SKYBRIDGE_20261120.txt", "SKYBRIDGE_20261120.HANDBACK.txt"
AGAIN = "SKYBRIDGE_20261121.HANDBACK.txt"
WRONG, RENAMED = "CONTROL_TOTAL_WRONG", "RENAMED_REPLAY_HELD"
ENVELOPE = 1
CORRECT = "Correct and send again, or tell the member"
UNLISTED = "an outcome code the layout does not list"

# order, feed, name, identity, lines, quarantined, points net, negative, verdict, state, code, posting
FILES: list[tuple[Any, ...]] = [
    (31, "northstar_requests", "NSTR0011", "11", 20_435, 0, 10_741_925, -8_800, "new", "posted", None, 36),
    (32, "northstar_handback", "NSTR0010", "10", 120_539, 1, 63_095_100, -2_400, "new", "posted", None, 37),
    (33, "northstar_handback", "NSTR0009", "9", 1, 0, 0, 0, "new", "posted", None, 38),
    (34, "northstar_handback", "NSTR0010", "10", 120_539, 1, 63_095_100, -2_400, "replay", "no effect", None, None),
    (35, "northstar_handback", "NSTR0008", "8", 88_121, 0, 44_120_500, 0, "new", "held", WRONG, None),
    (36, "skybridge_requests", OUT, "2026-11-20", 9_902, 0, 19_707_000, 0, "new", "posted", None, 39),
    (37, "skybridge_handback", BACK, "2026-11-20", 41_171, 3, 82_330_000, 0, "new", "posted", None, 40),
    (38, "skybridge_handback", AGAIN, "2026-11-21", 41_171, 3, 82_330_000, 0, "renamed replay", "held", RENAMED, None),
    (39, "calendar", "calendar-2026-11-20.csv", "2026-11-20", 5, 0, 0, 0, "new", "posted", None, 41),
]

MESSAGES = {
    "CONTROL_TOTAL_WRONG": "declared 44,120,501 points and the records hold 44,120,500",
    "RENAMED_REPLAY_HELD": "the content of delivery 37 under another name",
}

SETTLED = {  # posting: settled, rejected, reversed, held, open theirs, duplicate (the rest is information)
    37: (118_204, 2_311, 14, 6, 2, 0),
    40: (40_112, 1_045, 0, 7, 0, 3),
}


def files() -> pl.DataFrame:
    found = []
    for order, feed, name, identity, lines, bad, net, _, verdict, state, code, posting in FILES:
        found.append(
            {
                "order": order, "feed": feed, "partner": feed.split("_")[0], "name": name, "identity": identity,
                "business_date": DAY, "received_at": f"2026-11-21T0{order % 5}:1{order % 10}:07.120Z", "lines": lines,
                "envelope_lines": ENVELOPE, "records": lines - ENVELOPE, "accepted": lines - ENVELOPE - bad,
                "quarantined": bad, "points_net": net, "verdict": verdict, "state": state, "code": code,
                "message": MESSAGES.get(code or ""), "posting": posting,
                "payload_sha": f"{order:02x}c4a7{order:02x}" * 8,
            }
        )  # fmt: skip
    return table("files", found)


def stage1() -> pl.DataFrame:
    found = []
    for _, feed, name, _, lines, bad, net, negative, _, _, _, posting in FILES:
        if posting is None:
            continue
        accepted = lines - ENVELOPE - bad
        settled, rejected, reversed_, held, theirs, twice = SETTLED.get(posting, (0,) * 6)
        became = dict.fromkeys(DISPOSITIONS, 0) | {
            "settled": settled, "rejected": rejected, "reversed": reversed_, "held": held, "open_theirs": theirs,
            "duplicate": twice,
        }  # fmt: skip
        became["information"] = accepted - sum(became.values())
        found.append(
            {
                "posting": posting, "feed": feed, "name": name, "lines": lines, "envelope_lines": ENVELOPE,
                "records": lines - ENVELOPE, "accepted": accepted, "quarantined": bad, **became, "unexplained_rows": 0,
                "points_net": net, "points_positive": net - negative, "points_negative": negative,
                "unexplained_points": 0,
            }
        )  # fmt: skip
    return table("stage1", found)


BREAKS = [
    # code, title, next step, partner, how many, points ours, points theirs, ages in turn
    ("B01", "In transit", "Wait for the next hand-back", "northstar", 40, 500, None, (0, 1, 1)),
    ("B02", "Answer overdue", "Ask for the missing answer", "northstar", 38, 1_250, None, (4, 6, 9, 33, 97)),
    ("B03", "Unknown to us", "Identify the request or refuse the item", "northstar", 2, None, 4_000, (0, 12)),
    ("B04", "Points differ", "Agree the amount with the partner", "skybridge", 5, 10_000, 9_500, (0, 0, 2)),
    ("B07", "Answered twice", "Tell the partner; nothing was booked twice", "skybridge", 3, 2_000, 2_000, (1,)),
    ("B09", "Rejected by partner", CORRECT, "northstar", 320, 510, 510, (0, 1, 2, 3, 5)),
    ("B09", "Rejected by partner", CORRECT, "skybridge", 210, 2_000, 2_000, (0, 2, 8)),
    ("B10", "Accepted to another account", "Update the member's number", "northstar", 9, 700, 700, (1, 3)),
    ("B11", "Answers conflict", "Agree the outcome with the partner", "northstar", 4, 125_000, 0, (0, 62)),
    ("B13", "File missing or repeated", "Ask the partner for the file", "northstar", 1, None, None, (1,)),
    ("B16", "Balance short", "Find out why points were sent without cover", "skybridge", 6, 31_000, None, (0,)),
]  # fmt: skip


def breaks() -> pl.DataFrame:
    found = []
    for code, title, step, partner, count, ours, theirs, ages in BREAKS:
        for number, age in zip(range(count), cycle(ages), strict=False):
            value_date = DAY - timedelta(days=age)
            found.append(
                {
                    "break_id": f"{code.lower()}{partner[0]}{number:05d}7c19e04d", "code": code, "title": title,
                    "partner": partner, "our_ref": None if ours is None else f"{7000000 + number:020d}",
                    "their_ref": None if theirs is None else f"{7000000 + number:020d}",
                    "member": None if ours is None else f"8·······{number % 97:03d}", "points_ours": ours,
                    "points_theirs": theirs, "difference": None if ours is None or theirs is None else ours - theirs,
                    "value_date": value_date, "opened_on": DAY, "age_days": age, "state": "open",
                    "owner": "operations", "next_step": step, "due": DAY + timedelta(days=3),
                    "file": "NSTR0010" if partner == "northstar" else BACK,
                    "line": number + 2,
                }
            )  # fmt: skip
    frame = pl.DataFrame(found)
    points = pl.coalesce("difference", "points_ours", "points_theirs", 0)
    frame = frame.with_columns(severity=severity(points, pl.col("age_days")), bucket=bucket(pl.col("age_days")))
    return table("breaks", frame.rows(named=True))


def movements(listed: pl.DataFrame) -> pl.DataFrame:
    carried = listed.group_by("code", "title").agg(carried=pl.len().cast(pl.Int64)).sort("code")
    return carried.select(
        "code", "title", opened=(pl.col("carried") + 3) // 4, cleared=pl.col("carried") // 9, carried="carried"
    )


def clearing() -> pl.DataFrame:
    waiting = {name: outcomes["pending"][1] + outcomes["held"][1] for name, outcomes in PARTNERS.items()}
    return rows("clearing", [
        ("in_flight", "northstar", 62_991_125, 10_741_925, 62_996_875, waiting["northstar"], date(2026, 8, 15), 8),
        ("in_flight", "skybridge", 82_314_000, 19_707_000, 82_314_000, waiting["skybridge"], date(2026, 11, 18), 0),
        ("suspense", "northstar", 0, 4_000, 0, 4_000, date(2026, 11, 8), 0),
        ("suspense", "skybridge", 0, 0, 0, 0, None, 0),
        ("variance_loss", "skybridge", 120, 240, 0, 360, None, 0),
    ])  # fmt: skip


def stage2() -> pl.DataFrame:
    return rows("stage2", [
        (37, "northstar_handback", "accepted", "crm", 118_204, 118_204, 0, 0, None, "5f0a3d1c9b7e4426"),
        (37, "northstar_handback", "accepted", "journal", 118_204, 118_204, 0, 0, None, "RW-20261120-1"),
        (37, "northstar_handback", "rejected", "crm", 2_311, 2_311, 0, 0, None, "5f0a3d1c9b7e4426"),
        (37, "northstar_handback", "rejected", "journal", 2_311, 2_311, 0, 0, None, "RW-20261120-1"),
        (37, "northstar_handback", "duplicate_answer", "crm", 0, 0, 0, 0, "books nothing", None),
        (40, "skybridge_handback", "accepted", "crm", 40_112, 0, 40_112, 0, None, None),
        (40, "skybridge_handback", "accepted", "journal", 40_112, 40_112, 0, 0, None, "RW-20261120-1"),
        (40, "skybridge_handback", "duplicate_answer", "journal", 3, 0, 0, 3, "books nothing", None),
    ])  # fmt: skip


def tie_out() -> pl.DataFrame:
    """An account that ties, one that does not, and one that the extract leaves out."""
    found = []
    for line, (account, name, amounts) in enumerate(
        (
            (
                "2410",
                "Points liability",
                (182_334_500, -96_040, -9_900, 182_248_360, 182_260_000, -11_640, 182_248_360, 0),
            ),
            ("2450", "Redemption clearing", (24_355_100, 7_200, 0, 24_362_300, 24_350_300, 0, 24_350_300, 12_000)),
        ),
        start=2,
    ):
        extract = ("EUR", DAY - timedelta(days=1), *amounts, "differs" if amounts[-1] else "tied", 35)
        broken = "b15e00007c19e04d" if amounts[-1] else None
        found.append((account, name, *extract, "gl_balances_20261120.csv", line, broken))
    silent = ("2420", "Partner payable", "EUR", None, *(None,) * 8, "not stated", None, None, None, None)
    return rows("tie_out", [found[0], silent, found[1]])


def realistic() -> ReportFacts:
    listed = breaks()
    return ReportFacts(
        cover=COVER,
        files=files(),
        controls=rows("controls", [
            (32, "northstar_handback", "NSTR0010", "records", 120_538, 120_538, True),
            (32, "northstar_handback", "NSTR0010", "points", 63_095_100, 63_095_100, True),
            (32, "northstar_handback", "NSTR0010", "rejected records", 2_311, 2_311, True),
            (35, "northstar_handback", "NSTR0008", "records", 88_120, 88_120, True),
            (35, "northstar_handback", "NSTR0008", "points", 44_120_501, 44_120_500, False),
        ]),
        stage1=stage1(),
        stage2=stage2(),
        tie_out=tie_out(),
        tie_out_by_hand=rows("tie_out_by_hand", [
            ("2410", "EUR", DAY - timedelta(days=1), "GL-2026-004711", -12_500),
            ("2410", "EUR", DAY - timedelta(days=1), "GL-2026-004802", 2_600),
        ]),
        summary=summary(),
        matches=rows("matches", [
            ("northstar", "exact", 120_515, 63_084_600, 63_084_600, 0),
            ("northstar", "tolerance", 12, 6_000, 5_760, 240),
            ("northstar", "unmatched_theirs", 2, 0, 4_000, -4_000),
            ("skybridge", "exact", 41_157, 82_314_000, 82_314_000, 0),
            ("skybridge", "unmatched_ours", 5, 50_000, 47_500, 2_500),
        ]),
        breaks=listed,
        movements=movements(listed),
        quarantine=rows("quarantine", [
            (32, "northstar_handback", "NSTR0010", "NUMBER_UNREADABLE", "a number holds something else", 1),
            (34, "northstar_handback", "NSTR0010", "NUMBER_UNREADABLE", "a number holds something else", 1),
            (37, "skybridge_handback", BACK, "OUTCOME_UNKNOWN", UNLISTED, 3),
            (38, "skybridge_handback", AGAIN, "OUTCOME_UNKNOWN", UNLISTED, 3),
        ]),
        decisions=rows("decisions", [
            ("41:2", "2026-11-20T09:15:00Z", "os:erin", "take", "4f2a90c1d37be685", 1200, 600, "Agreed by mail",
             "os:frank", None),
            ("41:3", "2026-11-20T09:15:00Z", "os:erin", "lock", "2026-10", 0, None, "October is closed", None, "44:2"),
        ]),
        rejects=rows("rejects", [
            ("northstar", "1", "bad account", 1_904, 970_250, False),
            ("northstar", "5", "closed account", 407, 210_000, False),
            ("skybridge", "0001", "member not found", 640, 1_240_000, False),
            ("skybridge", "0004", "member account suspended", 405, 764_000, True),
        ]),
        clearing=clearing(),
        companies=rows("companies", [
            ("budget", "harbour", 20_000, 1_000, 4_500, 16_500, None, 0),
            ("company", "harbour", 50_000, 10_000, 6_000, 54_000, None, 0),
            ("unclaimed", "harbour", 300, 200, 100, 400, date(2026, 10, 1), 1),
        ]),
        owed=rows("owed", [
            ("member", "northstar", 182_000_000, 1_380_500, 1_120_500, 182_260_000),
            ("payable", "skybridge", 40_000, 9_000, 0, 49_000),
            ("reserved", "harbour", 7_500, 2_000, 3_500, 6_000),
        ]),
        journals=rows("journals", [
            ("RW-20261120-1", DAY, 14, "EUR", 114_163_480, 114_163_480, 0, "neutral", "journal.csv"),
            ("RW-20261120-1", DAY, 12, "EUR", 114_163_480, 114_163_480, 0, "oracle_fbdi", "GlInterface.zip"),
        ]),
        downstream=rows("downstream", [
            ("salesforce", "5f0a3d1c9b7e4426", "TransactionJournal", 35, 38, 120_535, 1, 63_087_100, "written"),
            ("salesforce", "5f0a3d1c9b7e4426", "LoyaltyMemberCurrency", 35, 38, 2_325, 1, 9_104_775, "written"),
        ]),
        failed_feeds=table("failed_feeds", []),
        **cards(DAY, listed, stage1()),
    )  # fmt: skip


@pytest.fixture(scope="session")
def day() -> ReportFacts:
    return realistic()


@pytest.fixture(scope="session")
def make_facts(day: ReportFacts) -> FactsMaker:
    """The day with some tables or cover values replaced."""

    def make(cover: dict[str, str] | None = None, **tables: pl.DataFrame) -> ReportFacts:
        return replace(day, cover=day.cover | (cover or {}), **tables)

    return make


@pytest.fixture(scope="session")
def no_day(day: ReportFacts) -> ReportFacts:
    """A day on which nothing happened."""
    return ReportFacts(cover=day.cover, **{name: table(name, []) for name in SCHEMAS})
