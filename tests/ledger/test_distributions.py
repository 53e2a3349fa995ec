"""Points from a company to its people: paid once, on their day, to whoever is there to have them, and covered whole."""

from datetime import timedelta

import pytest

from counterfoil.errors import Code, PermanentError
from counterfoil.ledger.company_extracts import statement
from counterfoil.ledger.credited import credited
from counterfoil.ledger.distributions import results
from counterfoil.ledger.model import Event, State
from tests.plugins.books import MakeFeed, PostRows
from tests.plugins.programme import DUE_DAYS, MON, TUE, WED, Programme, person, to

SHA = "ab" * 32
TERMS = {"from_day": MON, "until_day": WED, "limit": "hard"}


def test_a_registered_recipient_has_the_points_at_once_and_another_once_they_register(programme: Programme) -> None:
    programme.tell("members", person("M1", "Ada@acme.example"))
    n = programme.tell("bulk_upload", to("ada@acme.example", 100), to("Bo@acme.example", 50), to("bo@acme.example", 7))
    assert programme.events(n) == [Event.DISTRIBUTED, *[Event.DISTRIBUTED_UNCLAIMED] * 2]
    assert (programme.balance("member", "M1"), programme.held()) == (100, {"company": 843, "unclaimed": 57})
    programme.tell("members", person("M2", "bo@ACME.example"), day=TUE)
    assert (programme.balance("member", "M2"), programme.held()) == (57, {"company": 843})
    assert programme.waiting() == []


def test_what_nobody_claims_in_time_goes_back_where_it_came_from(programme: Programme) -> None:
    programme.tell("bulk_upload", to("bo@acme.example", 50))
    programme.close(MON + timedelta(days=DUE_DAYS - 1))
    assert programme.waiting() == [("bo@acme.example", 50, State.UNCLAIMED)]
    programme.close(MON + timedelta(days=DUE_DAYS))
    assert (programme.waiting(), programme.held()) == ([], {"company": 1000})
    programme.tell("members", person("M2", "bo@acme.example"), day=MON + timedelta(days=DUE_DAYS + 1))
    assert programme.balance("member", "M2") == 0


def test_a_scheduled_distribution_is_kept_aside_and_goes_on_its_day(programme: Programme) -> None:
    programme.tell("members", person("M1", "ada@acme.example"))
    n = programme.tell(
        "bulk_upload",
        to("ada@acme.example", 100, send_date=WED),
        to("bo@acme.example", 50, send_date=WED),
        to("cy@acme.example", 10, send_date=WED),
        to("ada@acme.example", 1, send_date=MON - timedelta(days=30)),
    )
    assert programme.events(n) == [*[Event.SCHEDULED] * 3, Event.DISTRIBUTED]
    assert programme.held() == {"company": 839, "scheduled": 160}
    programme.close(MON)
    assert programme.balance("scheduled") == 160
    programme.tell("companies", {"company": "birch"}, day=TUE)
    programme.tell("members", person("B1", "cy@acme.example", partner="birch"), day=TUE)
    programme.close(TUE)
    assert (programme.balance("member", "M1"), programme.held()) == (101, {"company": 849, "unclaimed": 50})
    assert programme.waiting() == [("bo@acme.example", 50, State.UNCLAIMED)]
    assert programme.breaks() == [("B10", f"?{n}:4")], "cy has become another company's"


def test_a_scheduled_distribution_can_be_cancelled_until_its_day(programme: Programme) -> None:
    programme.tell(
        "bulk_upload", to("bo@acme.example", 50, ref="A-1", send_date=WED), to("cy@acme.example", 5, ref="A-2")
    )
    cancel = {"action": "cancel", "subject": "acme:A-1", "points": 50}
    programme.tell("decisions", cancel)
    assert (programme.held(), programme.waiting()) == (
        {"company": 995, "unclaimed": 5}, [("cy@acme.example", 5, State.UNCLAIMED)],
    )  # fmt: skip
    for again in (cancel, {"action": "cancel", "subject": "acme:A-2", "points": 5}):
        with pytest.raises(PermanentError, match="DECISION_UNFIT"):
            programme.tell("decisions", again, day=TUE)
    programme.close(TUE)
    assert programme.held() == {"company": 995, "unclaimed": 5}


def test_sent_points_cannot_be_taken_back(programme: Programme) -> None:
    n = programme.tell("bulk_upload", to("bo@acme.example", 50))
    with pytest.raises(PermanentError, match="DECISION_UNFIT"):
        programme.tell("decisions", {"action": "undo", "subject": f"{n}:2", "points": 50})


def test_rows_are_refused_one_by_one_each_with_its_reason(programme: Programme) -> None:
    programme.tell("companies", {"company": "birch"})
    programme.tell(
        "members",
        person("B1", "ann@birch.example", partner="birch"),
        person("M1", "ada@acme.example"),
        person("M2", "bo@acme.example"),
    )
    programme.tell("members", {"partner": "acme", "member": "M2", "change": "close"}, day=TUE)
    n = programme.tell(
        "bulk_upload",
        to("ann@birch.example", 10),
        to("bo@acme.example", 10),
        to("ada@acme.example", 10, department="Marketing"),
        to("ada@acme.example", 10, department="SALES", ref="A-1"),
        to("ada@acme.example", 11, ref="A-2"),
        to("ada@acme.example", 12, ref="A-2"),
        day=TUE,
    )
    refused = Event.DISTRIBUTION_REFUSED
    assert programme.events(n) == [refused, refused, refused, Event.DISTRIBUTED, refused, refused]
    assert programme.reasons(n) == [
        "other_company", "member_closed", "department_unknown", None, "reference_used", "reference_used",
    ]  # fmt: skip
    later = programme.tell("bulk_upload", to("ada@acme.example", 12, ref="A-1"), day=WED)
    assert (programme.events(later), programme.reasons(later)) == ([refused], ["reference_used"])
    assert programme.balance("member", "M1") == 10


def test_equal_rows_are_paid_once_and_different_ones_each(programme: Programme) -> None:
    n = programme.tell(
        "bulk_upload",
        to("bo@acme.example", 10, ref="A-1", citation="Well done"),
        to("bo@acme.example", 10, citation="Well done"),
        to("BO@acme.example", 10, citation="Well done"),
        to("bo@acme.example", 10, citation="Again"),
    )
    sent = Event.DISTRIBUTED_UNCLAIMED
    assert programme.events(n) == [sent, sent, Event.DISTRIBUTION_KNOWN, sent]
    again = programme.tell("bulk_upload", to("bo@acme.example", 10, ref="A-1"), day=TUE)
    assert programme.events(again) == [Event.DISTRIBUTION_KNOWN]
    assert programme.held() == {"company": 970, "unclaimed": 30}
    assert [code for code, _ in programme.breaks()] == ["B08", "B08"]


def test_what_repeats_a_refused_row_is_refused_for_the_same_reason(programme: Programme) -> None:
    programme.tell("companies", {"company": "birch"})
    programme.tell("members", person("B1", "ann@birch.example", partner="birch"))
    twice = to("ann@birch.example", 5), to("ann@birch.example", 5)
    rivals = (
        to("bo@acme.example", 1, ref="A-1"),
        to("bo@acme.example", 1, ref="A-1"),
        to("bo@acme.example", 2, ref="A-1"),
    )
    n = programme.tell("bulk_upload", *twice, *rivals)
    assert programme.events(n) == [Event.DISTRIBUTION_REFUSED] * 5
    assert programme.reasons(n) == ["other_company"] * 2 + ["reference_used"] * 3
    assert programme.breaks() == []


def test_a_company_own_feed_spends_nothing_of_anothers(
    programme: Programme, make_feed: MakeFeed, post: PostRows
) -> None:
    programme.tell("companies", {"company": "birch"})
    programme.tell("recharges", {"company": "birch", "ref": "RC-B", "points": 5})
    programme.tell("bulk_upload", to("eve@birch.example", 1, company="birch", ref="R-1"))
    rows = [
        to("eve@birch.example", 900, company="acme"),
        to("eve@birch.example", 1, company="acme", ref="R-1"),
        to("eve@birch.example", 1, company="nobody"),
        to("eve@birch.example", 2, company="birch"),
    ]
    n = post(programme.writer, make_feed("bulk_upload", partner="birch"), rows, TUE).n
    assert programme.reasons(n) == ["foreign_company"] * 3 + [None]
    assert [one["refused"] for one in results(programme.writer, n).to_dicts()] == [True, True, True, False]
    assert programme.held() == {"company": 1002, "unclaimed": 3}
    assert "nobody" not in programme.writer.partners()["partner"]


def test_a_file_beyond_the_balance_moves_nothing_and_says_what_is_missing_and_what_fits(programme: Programme) -> None:
    rows = [to("bo@acme.example", 600), to("cy@acme.example", 300), to("di@acme.example", 200)]
    with pytest.raises(PermanentError) as raised:
        programme.tell("bulk_upload", *rows)
    assert raised.value.code is Code.POINTS_SHORT
    assert "holds 1,000 and the file takes 1,100, 100 more; lines up to 3 would fit" in str(raised.value)
    assert programme.held() == {"company": 1000}
    programme.tell("decisions", {"action": "leave_out", "subject": f"{SHA[:48]}:3", "points": 300})
    n = programme.tell("bulk_upload", *rows, sha=SHA)
    assert programme.events(n) == [Event.DISTRIBUTED_UNCLAIMED, Event.LEFT_OUT, Event.DISTRIBUTED_UNCLAIMED]
    assert programme.held() == {"company": 200, "unclaimed": 800}


def test_what_a_budget_that_warns_lacks_is_counted_line_by_line(programme: Programme) -> None:
    terms = {"from_day": MON, "until_day": WED, "limit": "warn"}
    programme.tell("budgets", {"change": "create", "budget": "W", "points": 200, **terms})
    rows = [to("bo@acme.example", 600), to("cy@acme.example", 300), to("di@acme.example", 101)]
    with pytest.raises(PermanentError, match="holds 800 and the file takes 801, 1 more; lines up to 3 would fit"):
        programme.tell("bulk_upload", *rows)


def test_points_of_a_company_that_is_not_open_do_not_move(programme: Programme) -> None:
    with pytest.raises(PermanentError, match=r"COMPANY_UNKNOWN.*birch"):
        programme.tell("bulk_upload", to("bo@acme.example", 1, company="birch"))
    programme.tell("companies", {"change": "close"})
    with pytest.raises(PermanentError, match=r"COMPANY_UNKNOWN.*acme"):
        programme.tell("bulk_upload", to("bo@acme.example", 1))
    with pytest.raises(PermanentError, match="COMPANY_UNKNOWN"):
        programme.tell("recharges", {"ref": "RC-2", "points": 1})


def test_points_expire_as_their_row_says_however_they_come(programme: Programme) -> None:
    programme.tell("members", person("M1", "ada@acme.example"))
    programme.tell(
        "bulk_upload",
        to("ada@acme.example", 10, expiry_months=1),
        to("ada@acme.example", 20, expiry_months=2, send_date=TUE),
        to("bo@acme.example", 30, expiry_months=3),
        to("bo@acme.example", 40),
        points_live_days=1000,
    )
    programme.tell("calendar", {}, day=MON, points_live_days=1000)
    programme.tell("members", person("M2", "bo@acme.example"), day=TUE, points_live_days=1000)
    assert programme.lots() == [
        (10, MON.replace(month=12)), (20, TUE.replace(year=2027, month=1)),
        (30, TUE.replace(year=2027, month=2)), (40, TUE + timedelta(days=1000)),
    ]  # fmt: skip
    programme.close(MON.replace(month=12))
    assert (programme.balance("member", "M1"), programme.balance("breakage")) == (20, 10)


def test_who_registers_and_is_merged_in_one_file_brings_the_points_along(programme: Programme) -> None:
    programme.tell("members", person("M1", "ada@acme.example"))
    programme.tell("bulk_upload", to("bo@acme.example", 40, expiry_months=1))
    merge = {"partner": "acme", "member": "M2", "survivor": "M1"}
    n = programme.tell("members", merge, person("M2", "bo@acme.example"), day=TUE)
    assert programme.events(n) == [Event.MERGED, Event.REGISTERED]
    assert (programme.balance("member", "M1"), programme.balance("member", "M2")) == (40, 0)
    programme.tell("bulk_upload", to("bo@acme.example", 2, expiry_months=1), day=WED)
    assert programme.balance("member", "M1") == 42


def test_what_is_scheduled_for_a_member_stays_theirs_while_they_are_there_whoever_has_the_address_by_then(
    programme: Programme,
) -> None:
    programme.tell(
        "members", person("M1", "ada@acme.example"), person("M2", "bo@acme.example"), person("M3", "cy@acme.example")
    )
    people = ("ada@acme.example", "bo@acme.example", "cy@acme.example")
    n = programme.tell("bulk_upload", *(to(email, 100, send_date=WED) for email in people))
    merge = {"partner": "acme", "member": "M3", "survivor": "M1"}
    programme.tell(
        "members", person("M1", "ada@new.example", change="update"), person("M9", "x@acme.example"), merge, day=TUE
    )
    programme.tell("members", person("M9", "ada@acme.example", change="update"), day=TUE)
    programme.tell("members", {"partner": "acme", "member": "M2", "change": "close"}, day=TUE)
    programme.close(TUE)
    assert [programme.balance("member", one) for one in ("M1", "M9", "M2", "M3")] == [200, 0, 0, 0]
    assert programme.held() == {"company": 800}
    assert programme.breaks() == [("B10", f"?{n}:3")], "bo has left, and nobody has the address"


def test_what_is_scheduled_for_a_member_whose_number_changed_goes_to_the_new_one(programme: Programme) -> None:
    programme.tell("members", person("M1", "ada@acme.example"))
    programme.tell("bulk_upload", to("ada@acme.example", 60, send_date=WED, ref="A-1"))
    new = person("M7", "ada@acme.example"), {"partner": "acme", "member": "M1", "change": "close"}
    n = programme.tell("members", *new, day=TUE)
    assert programme.events(n) == [Event.REGISTERED, Event.MEMBER_CLOSED]
    programme.close(TUE)
    assert (programme.balance("member", "M7"), programme.breaks()) == (60, [])
    told = credited(programme.writer, 0, programme.writer.last_posting())
    assert told.select("ref", "member").rows() == [("A-1", "M7")]


def test_points_are_claimed_on_the_day_the_registration_comes_whatever_day_it_states(programme: Programme) -> None:
    sent = (to("bo@acme.example", 30, expiry_months=1), to("bo@acme.example", 5))
    programme.tell("bulk_upload", *sent, points_live_days=365)
    long_ago = MON.replace(year=2019)
    programme.tell("members", person("M2", "bo@acme.example", value_date=long_ago), day=TUE, points_live_days=365)
    assert programme.balance("member", "M2") == 35
    assert programme.lots() == [(30, TUE.replace(month=12)), (5, TUE + timedelta(days=365))]


def test_a_row_that_was_left_out_is_nobodys_rival(programme: Programme) -> None:
    programme.tell("decisions", {"action": "leave_out", "subject": f"{SHA[:48]}:2", "points": 10})
    rows = (to("bo@acme.example", 10, ref="A-1"), to("bo@acme.example", 11, ref="A-1"))
    n = programme.tell("bulk_upload", *rows, sha=SHA)
    assert programme.events(n) == [Event.LEFT_OUT, Event.DISTRIBUTED_UNCLAIMED]


def test_what_was_cancelled_may_be_sent_again_under_its_reference(programme: Programme) -> None:
    sent = to("bo@acme.example", 50, ref="A-1", send_date=WED)
    programme.tell("bulk_upload", sent)
    programme.tell("decisions", {"action": "cancel", "subject": "acme:A-1", "points": 50})
    n = programme.tell("bulk_upload", sent, day=TUE)
    assert programme.events(n) == [Event.SCHEDULED]
    assert (programme.held(), programme.breaks()) == ({"company": 950, "scheduled": 50}, [])


def test_a_member_who_was_merged_away_stands_as_who_they_are_now(programme: Programme) -> None:
    programme.tell("members", person("M1", "ada@acme.example"), person("M2", "bo@acme.example"))
    programme.tell("members", {"partner": "acme", "member": "M2", "survivor": "M1"})
    n = programme.tell("bulk_upload", to("bo@acme.example", 5), day=TUE)
    assert (programme.events(n), programme.balance("member", "M1")) == ([Event.DISTRIBUTED], 5)
    programme.tell("members", {"partner": "acme", "member": "M1", "change": "close"}, day=TUE)
    n = programme.tell("bulk_upload", to("bo@acme.example", 6), day=WED)
    assert programme.reasons(n) == ["member_closed"]


def test_a_member_of_an_airline_is_no_stranger_to_a_company(programme: Programme) -> None:
    programme.tell("members", {"partner": "skybridge", "member": "S0", "survivor": "S9"})
    n = programme.tell("members", person("S1", "ada@acme.example", partner="skybridge"))
    assert programme.events(n) == [Event.REGISTERED]
    n = programme.tell("bulk_upload", to("ada@acme.example", 5))
    assert programme.events(n) == [Event.DISTRIBUTED_UNCLAIMED]
    both = person("M1", "ada@acme.example"), person("S2", "ada@acme.example", partner="skybridge")
    n = programme.tell("members", *both, day=TUE)
    assert programme.events(n) == [Event.REGISTERED] * 2
    assert programme.balance("member", "M1") == 5


def test_a_statement_names_each_promise_that_came_back_and_its_points(programme: Programme) -> None:
    programme.tell("companies", {"company": "birch"})
    programme.tell("recharges", {"company": "birch", "ref": "RC-B", "points": 100})
    programme.tell("budgets", {"change": "create", "budget": "S", "points": 50, "department": "sales", **TERMS})
    programme.tell("members", person("M1", "ada@acme.example"), person("M2", "di@acme.example"))
    ends = MON + timedelta(days=DUE_DAYS)
    programme.tell(
        "bulk_upload",
        to("bo@acme.example", 5, ref="R-1"),
        to("ada@acme.example", 6, ref="R-2", send_date=ends + timedelta(days=1)),
        to("cy@acme.example", 7, ref="R-3", department="sales"),
        to("di@acme.example", 8, ref="R-4", send_date=ends + timedelta(days=1)),
        to("bo@birch.example", 9, ref="B-1", company="birch"),
        to("el@acme.example", 10, ref="R-5"),
        to("di@acme.example", 11, ref="R-6", send_date=WED),
        to("di@acme.example", 12, ref="R-7", send_date=WED),
    )
    gone = ({"action": "cancel", "subject": f"acme:R-{one}", "points": one + 5} for one in (6, 7))
    programme.tell("decisions", *gone, day=TUE)
    programme.tell("members", {"partner": "acme", "member": "M1", "change": "close"}, day=TUE)
    programme.close(ends)
    rows = statement(programme.writer, "acme", since=TUE)
    assert rows.select("account", "event", "reference", "points").rows() == [
        ("balance", "cancelled", "R-6", 11), ("balance", "cancelled", "R-7", 12),
        ("balance", "returned", "R-1", 5), ("balance", "fired_back", "R-2", 6), ("balance", "returned", "R-5", 10),
        ("S", "returned", "R-3", 7),
    ]  # fmt: skip
    assert (rows["opening_balance"] + rows["points"] == rows["closing_balance"]).all()
    assert statement(programme.writer, "birch", since=TUE)["reference"].to_list() == ["B-1"]
