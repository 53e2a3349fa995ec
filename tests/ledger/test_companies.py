"""Registrations, recharges and budgets: who is whose, what a company owns, and that it never owes."""

from typing import Any

import pytest

from counterfoil.errors import PermanentError
from counterfoil.ledger.known import known
from counterfoil.ledger.letters import letters
from counterfoil.ledger.model import Event
from counterfoil.ledger.open_breaks import open_breaks
from tests.plugins.programme import MON, TUE, WED, Programme, person, to

DEC, JAN = MON.replace(month=12), MON.replace(year=2027, month=1)


def test_a_person_belongs_to_one_company_and_an_address_to_one_person(programme: Programme) -> None:
    programme.tell("companies", {"company": "birch"})
    n = programme.tell("members", person("M1", "ada@acme.example"), person("M2", "bo@acme.example"))
    again = programme.tell(
        "members",
        person("M1", "ada@acme.example"),
        person("B1", "ADA@acme.example", partner="birch"),
        person("M2", "other@acme.example"),
        person("M3", "bo@acme.example"),
        person("M4", "x@acme.example"),
        person("B4", "x@acme.example", partner="birch"),
        day=TUE,
    )
    assert programme.events(n) == [Event.REGISTERED] * 2
    assert programme.events(again) == [Event.REGISTRATION_KNOWN, *[Event.REGISTRATION_REFUSED] * 5]
    assert [code for code, _ in programme.breaks()] == ["B10"] * 5


def test_addresses_change_and_people_leave_and_come_back(programme: Programme) -> None:
    programme.tell("members", person("M1", "ada@acme.example"))
    programme.tell("bulk_upload", to("new@acme.example", 5))
    n = programme.tell("members", person("M1", "new@acme.example", change="update"), day=TUE)
    assert (programme.events(n), programme.balance("member", "M1")) == ([Event.REGISTERED], 5)
    programme.tell("companies", {"company": "birch"}, day=TUE)
    moved = programme.tell("members", person("B1", "ada@acme.example", partner="birch"), day=TUE)
    assert programme.events(moved) == [Event.REGISTERED], "the address that was given up is free"
    gone = {"partner": "acme", "member": "M1", "change": "close"}
    n = programme.tell("members", gone, {**gone, "member": "M9"}, day=WED)
    assert programme.events(n) == [Event.MEMBER_CLOSED, Event.REGISTRATION_REFUSED]
    n = programme.tell("members", gone, person("M1", "new@acme.example", change="update"), day=WED)
    assert programme.events(n) == [Event.REGISTRATION_REFUSED] * 2, "two rows that say different things"
    n = programme.tell("members", gone, day=WED)
    assert programme.events(n) == [Event.REGISTRATION_KNOWN]
    back = programme.tell("members", person("M1", "new@acme.example"), day=WED)
    assert programme.events(back) == [Event.REGISTERED]


def test_whoever_leaves_makes_room_in_the_same_file_in_any_order(programme: Programme) -> None:
    programme.tell("companies", {"company": "birch"})
    programme.tell("members", person("M1", "ada@acme.example"), person("M2", "bo@acme.example"))
    leaves = person("M1", "ada@acme.example", change="close")
    stays = [{"partner": "acme", "member": "M2", "change": "close"}, person("M2", "bo@acme.example", change="update")]
    comes = [person("B1", "ada@acme.example", partner="birch"), person("B2", "bo@acme.example", partner="birch")]
    n = programme.tell("members", *comes, leaves, *stays, day=TUE)
    refused = Event.REGISTRATION_REFUSED
    assert programme.events(n) == [Event.REGISTERED, refused, Event.MEMBER_CLOSED, refused, refused]


def test_a_registration_with_a_company_that_is_not_there_is_told_and_blocks_nobody(programme: Programme) -> None:
    rows = person("M1", "ada@acme.example", partner="acmee"), person("M1", "ada@acme.example")
    n = programme.tell("members", *rows, person("M9", "x@acme.example", partner="acmee", change="close"))
    refused = Event.REGISTRATION_REFUSED
    assert programme.events(n) == [refused, Event.REGISTERED, refused]
    found = open_breaks(programme.writer, known(programme.writer, WED))
    assert found.select("code", "partner", "their_ref").rows() == [("B03", "programme", "acmee")] * 2
    assert "acmee" not in programme.writer.partners()["partner"]


def test_a_recharge_counts_once_and_is_taken_back_only_as_far_as_it_is_there(programme: Programme) -> None:
    n = programme.tell(
        "recharges", {"ref": "RC-1", "points": 1000}, {"ref": "RC-1", "points": 900}, {"ref": "RC-2", "points": 5},
        day=TUE,
    )  # fmt: skip
    assert programme.events(n) == [Event.CONFLICT, Event.CONFLICT, Event.RECHARGED]
    known = programme.tell("recharges", {"ref": "RC-2", "points": 5}, day=TUE)
    assert programme.events(known) == [Event.RECHARGE_KNOWN]
    assert (programme.held(), programme.balance("recharge")) == ({"company": 1005}, -1005)
    programme.tell("bulk_upload", to("bo@acme.example", 10), day=TUE)
    n = programme.tell("recharges", {"ref": "RC-2", "points": -5}, {"ref": "RC-1", "points": -1000}, day=WED)
    assert sorted(programme.events(n)) == [Event.RECHARGED, Event.RECHARGE_BEYOND]
    assert programme.held() == {"company": 990, "unclaimed": 10}


def budget(code: str, points: int, **more: Any) -> dict[str, Any]:
    terms = {"change": "create", "from_day": MON, "until_day": DEC, "limit": "hard"}
    return {"budget": code, "points": points} | terms | more


def test_a_budget_takes_from_the_balance_and_gives_back(programme: Programme) -> None:
    programme.tell("budgets", budget("S", 300, department="sales"), budget("ALL", 200))
    assert (programme.held(), programme.balance("budget", "S")) == ({"company": 500}, 300)
    n = programme.tell(
        "budgets",
        {"change": "top_up", "budget": "S", "points": 600},
        {"change": "cut", "budget": "ALL", "points": 150},
        {"change": "cut", "budget": "ALL", "points": 151},
        day=TUE,
    )
    assert programme.events(n) == [Event.BUDGETED, Event.BUDGETED, Event.BUDGET_REFUSED]
    assert programme.reasons(n) == [None, None, "budget_spent"]
    assert (programme.held(), programme.balance("budget", "S")) == ({"company": 50}, 900)
    n = programme.tell("budgets", {"change": "close", "budget": "ALL"}, {"change": "close", "budget": "X"}, day=WED)
    assert programme.events(n) == [Event.BUDGETED, Event.BUDGET_REFUSED]
    assert programme.held() == {"company": 100}


def test_budgets_that_cannot_be_are_refused_each_with_its_reason(programme: Programme) -> None:
    programme.tell("budgets", budget("S", 300, department="Sales"))
    n = programme.tell(
        "budgets",
        budget("S", 1, department="sales", from_day=JAN, until_day=JAN),
        budget("T", 1, department="sales", from_day=DEC, until_day=JAN),
        budget("U", 1, department="marketing"),
        budget("V", 701),
        {"change": "top_up", "budget": "V", "points": 1},
        {"change": "top_up", "budget": "W", "points": 1},
        day=TUE,
    )
    assert programme.events(n) == [Event.BUDGET_REFUSED] * 6
    assert programme.reasons(n) == [
        "budget_known", "budget_overlaps", "department_unknown", "balance_short", "balance_short", "budget_unknown",
    ]  # fmt: skip
    assert programme.held() == {"company": 700}


def test_a_budget_that_is_refused_keeps_no_days_from_another(programme: Programme) -> None:
    programme.tell("budgets", budget("OLD", 10, department="sales"))
    taken, free = budget("OLD", 1, from_day=JAN, until_day=JAN), budget("NEW", 1, from_day=JAN, until_day=JAN)
    n = programme.tell("budgets", taken, free, day=TUE)
    assert programme.reasons(n) == ["budget_known", None]


def test_a_file_of_budgets_means_the_same_in_any_order(programme: Programme) -> None:
    programme.tell("budgets", budget("OLD", 900, until_day=TUE))
    rows = [
        {"change": "top_up", "budget": "NEW", "points": 100},
        budget("NEW", 800, from_day=WED),
        {"change": "close", "budget": "OLD"},
    ]
    n = programme.tell("budgets", *rows, day=TUE)
    assert programme.events(n) == [Event.BUDGETED] * 3
    assert (programme.held(), programme.balance("budget", "NEW")) == ({"company": 100}, 900)
    later = programme.tell("budgets", {"change": "cut", "budget": "NEW", "points": 900}, day=WED)
    assert programme.events(later) == [Event.BUDGETED]


def test_a_hard_budget_holds_the_file_and_one_that_warns_is_stretched(programme: Programme) -> None:
    programme.tell("budgets", budget("S", 100, department="sales"), budget("A", 100, limit="warn", alerts="50;100;150"))
    with pytest.raises(PermanentError, match=r"POINTS_SHORT.*budget S holds 100 and the file takes 101, 1 more"):
        programme.tell("bulk_upload", to("bo@acme.example", 101, department="sales"))
    programme.tell("bulk_upload", to("bo@acme.example", 60), to("bo@acme.example", 50))
    assert (programme.held(), programme.balance("budget", "A")) == ({"company": 790, "unclaimed": 110}, 0)
    programme.tell("bulk_upload", to("cy@acme.example", 40), to("cy@acme.example", 1, send_date=JAN))
    alerts = programme.writer.frame("SELECT percent, used, funded FROM book.budget_alert ORDER BY file_id, percent")
    assert alerts.rows() == [(50, 110, 100), (100, 110, 100), (150, 150, 100)]
    assert programme.held() == {"company": 749, "scheduled": 1, "unclaimed": 150}, "January is no budget's"


def test_what_returns_to_a_budget_that_was_closed_goes_to_the_company(programme: Programme) -> None:
    programme.tell("budgets", budget("A", 100))
    programme.tell("bulk_upload", to("bo@acme.example", 60, send_date=WED, ref="A-1"))
    programme.tell("budgets", {"change": "close", "budget": "A"}, day=TUE)
    programme.tell("decisions", {"action": "cancel", "subject": "acme:A-1", "points": 60}, day=TUE)
    assert (programme.held(), programme.balance("budget", "A")) == ({"company": 1000}, 0)


def test_two_companies_in_one_file_are_told_each_by_its_own_reasons(programme: Programme) -> None:
    programme.tell("companies", {"company": "birch"})
    programme.tell("recharges", {"company": "birch", "ref": "RC-B", "points": 10})
    close = {"change": "close", "budget": "X"}
    n = programme.tell("budgets", close, {**close, "company": "birch"})
    assert programme.reasons(n) == ["budget_unknown"] * 2
    nobodys = {"department": "nope", "company": "birch"}
    n = programme.tell(
        "bulk_upload", to("bo@acme.example", 1, department="nope"), to("cy@birch.example", 1, **nobodys), day=TUE
    )
    assert programme.reasons(n) == ["department_unknown"] * 2


def test_a_threshold_is_told_once_for_each_sum_that_a_budget_is_funded_with(programme: Programme) -> None:
    programme.tell("budgets", budget("S", 100, alerts="80"))
    programme.tell("bulk_upload", to("bo@acme.example", 60))
    programme.tell("budgets", {"change": "cut", "budget": "S", "points": 25}, day=TUE)
    for points in (10, 1):
        programme.tell("bulk_upload", to("bo@acme.example", points), day=TUE)
    alerts = programme.writer.frame("SELECT percent, used, funded FROM book.budget_alert")
    assert alerts.rows() == [(80, 70, 75)], "a cut passes it, and the next file says so"


def test_letters_go_by_ids_whatever_signs_people_use_in_names(programme: Programme) -> None:
    programme.tell("companies", {"unit": "administrator", "code": "ann#1@acme.example"})
    programme.tell("budgets", budget("S#1", 100, alerts="50"))
    n = programme.tell("bulk_upload", to("bo@acme.example", 60, ref="A#1"))
    told = letters(programme.writer, n - 1, n)
    assert told["kind"].sort().to_list() == ["alert", "register"]
    assert not told["letter_key"].str.contains("#", literal=True).any()


def test_what_counts_of_a_company_is_the_newest_day_whenever_its_file_comes(programme: Programme) -> None:
    programme.tell(
        "companies", {"change": "close", "value_date": WED}, {"unit": "department", "code": "new", "value_date": WED}
    )
    programme.tell("bulk_upload", to("bo@acme.example", 5, department="sales"))
    n = programme.tell("bulk_upload", to("bo@acme.example", 5, department="new"))
    assert programme.reasons(n) == ["department_unknown"], "it is opened on Wednesday"
    programme.tell(
        "companies", {"value_date": TUE}, {"unit": "department", "code": "sales", "change": "close", "value_date": TUE}
    )
    n = programme.tell("bulk_upload", to("bo@acme.example", 5, department="sales"), day=TUE)
    assert programme.reasons(n) == ["department_unknown"]
    with pytest.raises(PermanentError, match=r"COMPANY_UNKNOWN.*by 2026-11-18"):
        programme.tell("bulk_upload", to("bo@acme.example", 6), day=WED)
    programme.tell("companies", {"value_date": WED}, day=WED)
    programme.tell("bulk_upload", to("bo@acme.example", 6), day=WED)


def test_rows_that_contradict_each_other_or_are_of_no_company_change_nothing(programme: Programme) -> None:
    n = programme.tell(
        "companies",
        {"company": "birhc", "change": "close"},
        {"company": "birhc", "unit": "department", "code": "x"},
        {"unit": "department", "code": "slaes", "change": "close"},
        {"unit": "department", "code": "Sales", "change": "close"},
        {"unit": "department", "code": "sales"},
        {"company": "cedar", "name": "Cedar"},
        {"company": "cedar", "unit": "department", "code": "Sales"},
        {"company": "cedar", "unit": "department", "code": "sales", "change": "close", "value_date": WED},
    )
    refused, told = Event.COMPANY_REFUSED, Event.COMPANY_TOLD
    assert programme.events(n) == [*[refused] * 5, *[told] * 3]
    found = open_breaks(programme.writer, known(programme.writer, WED)).sort("code", "line")
    assert found.select("code", "partner", "their_ref").rows() == [
        ("B03", "programme", "birhc"), ("B03", "programme", "birhc:x"), ("B03", "programme", "acme:slaes"),
        ("B11", "programme", "acme:sales"), ("B11", "programme", "acme:sales"),
    ]  # fmt: skip
    assert found["next_step"].unique().to_list() == [
        "Ask which company or unit it is, and which row counts; send that in another file"
    ]
    assert "birhc" not in programme.writer.partners()["partner"]
    assert programme.reasons(programme.tell("bulk_upload", to("bo@acme.example", 5, department="sales"))) == [None]


def test_an_administrator_has_letters_from_the_day_on_which_they_are_one(programme: Programme) -> None:
    who = {"unit": "administrator", "code": "ann@acme.example"}
    programme.tell("companies", who, who | {"change": "close", "value_date": WED})
    programme.tell("budgets", budget("S", 100, alerts="50;80"))
    for points, day in ((60, MON), (30, WED)):
        programme.tell("bulk_upload", to("bo@acme.example", points), day=day)
    told = letters(programme.writer, 0, programme.writer.last_posting()).filter(kind="alert")
    assert told.select("recipient", "due").rows() == [("ann@acme.example", MON)]
