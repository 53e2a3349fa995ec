"""What companies and their people were promised about points, as they would say it; from files to balances."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines.commands.app import app
from tests.plugins.commands import Nights, OpenNights, home
from tests.plugins.homes import MONDAY, RATES, every_row

TUESDAY, WEDNESDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)
COMPANIES = "unit,change,company,code,name,value_date\n"
PEOPLE = "change,partner,member,email,survivor,value_date\n"
BUDGETS = "change,company,budget,points,department,from_day,until_day,limit,alerts,value_date\n"
HEADINGS = "Name,E-mail,Points,Citation,Send date,Department,Reference\n"


def own(nights: Nights, feed: str, day: date, text: str, mark: str = "") -> None:
    nights.put(f"{feed}/{feed}_{day:%Y%m%d}{mark}.csv", text)


def upload(nights: Nights, name: str, *rows: str) -> None:
    nights.put(f"harbour/incoming/{name}", HEADINGS + "".join(f"{row}\n" for row in rows))


def result(name: str) -> list[str]:
    """The lines of a result file that Harbour got back."""
    return home(f"inbox/harbour/results/{name}").read_text().splitlines()


def failing(*arguments: object) -> str:
    """The output of a command that ends with 1."""
    ended = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert ended.exit_code == 1, ended.output
    return ended.output


@contextmanager
def begun(open_nights: OpenNights, root: Path) -> Iterator[Nights]:
    """Harbour is open and has 1,000 points; Ada and Cy are registered with it, Ann with Birchwood."""
    with open_nights([root / "data/contracts/partners/harbour"]) as nights:
        own(nights, "rates", MONDAY, RATES)
        own(nights, "companies", MONDAY, COMPANIES + "".join(
            f"company,open,{name},,{name.title()},{MONDAY}\n" for name in ("harbour", "birchwood")
        ) + f"department,open,harbour,sales,Sales,{MONDAY}\n"
            + f"administrator,open,harbour,nora@harbour.example,Nora Vik,{MONDAY}\n")  # fmt: skip
        own(nights, "members", MONDAY, PEOPLE + "".join(
            f"register,{company},{member},{email},,{MONDAY}\n" for company, member, email in (
                ("harbour", "H-1", "ada@harbour.example"), ("harbour", "H-2", "cy@harbour.example"),
                ("birchwood", "B-1", "ann@birchwood.example"),
            )
        ))  # fmt: skip
        own(nights, "recharges", MONDAY, f"company,ref,points,value_date\nharbour,INV-1,1000,{MONDAY}\n")
        yield nights


@pytest.fixture
def nights(open_nights: OpenNights, root: Path) -> Iterator[Nights]:
    with begun(open_nights, root) as nights:
        yield nights


@pytest.fixture(scope="module")
def seen(open_nights: OpenNights, root: Path) -> Iterator["Seen"]:
    """A Monday of uploads, one of which is cancelled in part, and a Tuesday on which Bo registers, money is taken back
    and a budget falls short. To be read only."""
    with begun(open_nights, root) as nights:
        terms = f"{MONDAY},{MONDAY + timedelta(days=30)},hard,50;100"
        own(nights, "budgets", MONDAY, f"{BUDGETS}create,harbour,S-1,100,sales,{terms},{MONDAY}\n")
        upload(nights, "harbour-4.csv", "Bo,bo@harbour.example,30,Welcome,,,W-1")
        upload(nights, "harbour-5.csv", "Ann,ann@birchwood.example,10,,,,A-1", "Ada,ada@harbour.example,20,,,,A-2")
        upload(
            nights, "harbour-6.csv",
            f"Ada,ada@harbour.example,10,,{WEDNESDAY},,S-1", f"Cy,cy@harbour.example,20,,{WEDNESDAY},,S-2",
        )  # fmt: skip
        upload(nights, "harbour-8.csv", "Ada,ada@harbour.example,60,,,Sales,A-3")
        evening(nights, MONDAY)
        seen = Seen(nights, nights("points", "waiting"), balances(nights))
        nights("points", "cancel", "S-2", "--company", "harbour", "--reason", "Sent in error")
        nights.run(MONDAY)
        own(nights, "members", TUESDAY, PEOPLE + f"register,harbour,H-3,Bo@harbour.example,,{TUESDAY}\n")
        own(nights, "recharges", TUESDAY, f"company,ref,points,value_date\nharbour,INV-1,-300,{TUESDAY}\n")
        upload(nights, "harbour-9.csv", "Ada,ada@harbour.example,41,,,Sales,A-4")
        evening(nights, TUESDAY)
        nights.at(WEDNESDAY, "06:00:00")
        CliRunner().invoke(app, ["run", "--date", str(TUESDAY)])
        yield seen


@dataclass(frozen=True)
class Seen:
    """The week, and what waited and what was held on Monday evening."""

    week: Nights
    waiting: list[dict[str, Any]]
    held: dict[str, int]


@pytest.fixture(scope="module")
def week(seen: Seen) -> Nights:
    return seen.week


def balances(nights: Nights) -> dict[str, int]:
    """What Harbour and its people hold."""
    kinds = ("company", "member", "scheduled", "unclaimed")
    held = [one for one in nights("balances") if one["partner"] == "harbour" and one["kind"] in kinds]
    return {one["kind"]: one["balance"] for one in held if one["balance"]}


def evening(nights: Nights, day: date) -> str:
    """What comes on a day is taken in that evening; whatever that ends with."""
    nights.at(day, "20:00:00")
    return CliRunner().invoke(app, ["run", "--date", str(day)]).output


def test_p1_points_for_a_handful_of_people_with_a_citation(nights: Nights) -> None:
    evening(nights, MONDAY)
    nights.at(TUESDAY, "10:00:00")
    gift = ("points", "send", "--company", "harbour", "--name", "Ada Lindqvist", "--email", "ADA@harbour.example")
    sent = nights(
        *gift, "--points", 40, "--citation", "Thank you, twice", "--country-code", 46, "--mobile", "701740605"
    )
    assert (sent["result"], sent["code"]) == ("sent", None)
    again = nights(*gift, "--points", 40, "--citation", "Thank you, twice")
    assert again["result"] == "sent", "the same gift on purpose is another gift"
    assert balances(nights) == {"company": 920, "member": 80}
    refused = failing(*gift[:5], "Ann", *gift[6:7], "ann@birchwood.example", "--points", 5)
    assert "other_company" in refused
    assert "NUMBER_RANGE" in failing(*gift, "--points", 5, "--expiry-months", 999)


def test_p2_in_bulk_from_the_template_at_most_500_a_file_and_each_name_once(nights: Nights, tmp_path: Path) -> None:
    nights("points", "template", "--feed", "harbour_points", "--out", tmp_path / "t.csv", json_wanted=False)
    headings = (tmp_path / "t.csv").read_text().strip()
    row = dict.fromkeys(headings.split(","), "") | {"Name": "Bo", "E-mail": "bo@harbour.example", "Points": "1"}
    many = "\n".join(",".join((row | {"Reference": f"R-{number}"}).values()) for number in range(501))
    nights.put("harbour/incoming/harbour many.csv", f"{headings}\n{many}\n")
    upload(nights, "harbour-1.csv", "Ada,ada@harbour.example,10,,,,")
    evening(nights, MONDAY)
    upload(nights, "Harbour-1.CSV", "Ada,ada@harbour.example,11,,,,")
    evening(nights, MONDAY)
    codes = {one["file"]: one["code"] for one in nights("files", "--feed", "harbour_points")}
    assert codes == {"harbour many.csv": "ROWS_TOO_MANY", "harbour-1.csv": None, "Harbour-1.CSV": "FILE_NAME_USED"}
    assert balances(nights)["member"] == 10
    (refused,) = home("inbox/harbour/results").glob("harbour many-refused-*.csv")
    assert "ROWS_TOO_MANY" in refused.read_text()


def test_a_file_of_changes_that_comes_again_with_a_row_that_was_forgotten_makes_none_of_them_twice(
    nights: Nights,
) -> None:
    terms = f"{MONDAY},{MONDAY + timedelta(days=30)},hard,"
    budgets = f"{BUDGETS}create,harbour,S-1,100,sales,{terms},{MONDAY}\n"
    top_up = f"{BUDGETS}top_up,harbour,S-1,200,,,,,,{MONDAY}\n"
    people = f"{PEOPLE}register,harbour,H-9,di@harbour.example,,{MONDAY}\n"
    own(nights, "budgets", MONDAY, budgets)
    own(nights, "budgets", MONDAY, top_up, "_b")
    own(nights, "members", MONDAY, people, "_b")
    own(nights, "members", MONDAY, f"{PEOPLE}close,harbour,H-9,,,{MONDAY}\n", "_c")
    evening(nights, MONDAY)
    own(nights, "budgets", MONDAY, f"{top_up}cut,harbour,S-1,50,,,,,,{MONDAY}\n", "_b")
    own(nights, "members", MONDAY, f"{people}register,harbour,H-8,el@harbour.example,,{MONDAY}\n", "_b")
    said = evening(nights, MONDAY)
    assert said.count("Send what is new in it as a file with another name") == 2, said
    assert [one["funded"] for one in nights("company", "budgets")] == [300]
    upload(nights, "harbour-1.csv", "Di,di@harbour.example,10,,,,")
    evening(nights, MONDAY)
    assert "member_closed" in result("harbour-1-result.csv")[2]


def test_p4_when_the_balance_is_short_one_is_told_recharges_or_removes_rows_and_goes_on(nights: Nights) -> None:
    upload(
        nights, "harbour-2.csv",
        "Ada,ada@harbour.example,700,,,,A-1", "Cy,cy@harbour.example,200,,,,A-2", "Bo,bo@harbour.example,150,,,,A-3",
    )  # fmt: skip
    evening(nights, MONDAY)
    assert balances(nights) == {"company": 1000}
    (held,) = nights("held")
    assert "holds 1,000 and the file takes 1,050, 50 more; lines up to 3 would fit" in held["message"]
    told = result("harbour-2-waits-1.csv")
    assert told[0].startswith("File,harbour-2.csv,waits,POINTS_SHORT,")
    released = nights("release", held["payload_sha"], "--without", 3, "--reason", "Cy has left the team")
    assert [one["outcome"] for one in released["files"]] == ["posted"]
    assert balances(nights) == {"company": 150, "member": 700, "unclaimed": 150}
    evening(nights, MONDAY)
    assert [line.split(",")[4] for line in result("harbour-2-result.csv")[2:5]] == ["sent", "left_out", "to_register"]


def test_p4_a_recharge_and_a_release_let_the_whole_file_go(nights: Nights) -> None:
    upload(nights, "harbour-3.csv", "Ada,ada@harbour.example,1200,,,,A-1")
    evening(nights, MONDAY)
    own(nights, "recharges", MONDAY, f"company,ref,points,value_date\nharbour,INV-2,200,{MONDAY}\n", "_b")
    evening(nights, MONDAY)
    (held,) = nights("held")
    nights("release", held["payload_sha"], "--reason", "Recharged")
    assert balances(nights) == {"member": 1200}


def test_p5_who_is_not_registered_gets_the_points_once_they_are(seen: Seen) -> None:
    waits = {one["ref"]: one for one in seen.waiting}["W-1"]
    assert (waits["recipient"], waits["points"], waits["state"]) == ("···@harbour.example", 30, "unclaimed")
    assert seen.week("points", "waiting") == []
    assert seen.held == {"company": 820, "member": 80, "scheduled": 30, "unclaimed": 30}


def test_p6_a_person_belongs_to_one_company_and_only_that_entry_is_not_successful(week: Nights) -> None:
    assert result("harbour-5-result.csv")[2:] == [
        "2,A-1,ann@birchwood.example,10,other_company,the recipient is registered with another company,",
        "3,A-2,ada@harbour.example,20,sent,the points are on the recipient's account,",
        "Sent,1,20",
        "Refused,1,10",
    ]


def test_p7_a_scheduled_distribution_goes_on_its_day_or_is_cancelled_before(week: Nights) -> None:
    assert balances(week) == {"company": 540, "member": 120}
    late = CliRunner().invoke(app, ["points", "cancel", "S-1", "--company", "harbour", "--reason", "Too late"])
    assert "no scheduled points of this company" in str(late.exception)
    text = week("explain", "S-1", json_wanted=False)
    assert "harbour-6.csv" in text
    assert f"calendar_{TUESDAY:%Y%m%d}.csv" in text
    assert "credited" in text.splitlines()[0]


def letters() -> list[tuple[str, str, str]]:
    """The letters that have left, each with its address, subject and HTML."""
    read = [message_from_bytes(path.read_bytes(), policy=default) for path in home("out/mail").rglob("*.eml")]
    return sorted((one["To"], one["Subject"], list(one.iter_parts())[1].get_content()) for one in read)


def test_p7_i_set_up_a_mail_look_at_it_and_send_it(nights: Nights, tmp_path: Path) -> None:
    standard = (nights.folder / "data/mail/standard.yaml").read_text()
    (nights.folder / "data/mail/spring.yaml").write_text(
        standard.replace("campaign: standard", "campaign: spring")
        .replace('citation: ""', "citation: For a good start into spring")
        .replace(' for you"', ' for your spring"')
    )
    evening(nights, MONDAY)
    page = tmp_path / "spring.html"
    nights("mail", "preview", "--campaign", "spring", "--kind", "points", "--out", page, json_wanted=False)
    seen = page.read_text()
    assert "points for your spring" in seen
    assert "For a good start into spring" in seen
    assert nights("mail", "list") == [], "looking at a mail sends none"
    gift = ("points", "send", "--company", "harbour", "--name", "Ada", "--email", "ada@harbour.example", "--points", 40)
    nights(*gift, "--campaign", "spring")
    nights("mail", "send", json_wanted=False)
    ((to, subject, html),) = letters()
    assert (to, subject) == ("Ada <ada@harbour.example>", "40 points for your spring")
    assert "For a good start into spring" in html


def test_p7_a_letter_that_somebody_has_lost_is_sent_again_and_moves_no_points(nights: Nights) -> None:
    upload(nights, "harbour-1.csv", "Ada,ada@harbour.example,40,Thank you,,,A-1")
    evening(nights, MONDAY)
    first, held = letters(), balances(nights)
    (sent,) = nights("mail", "list")
    nights("mail", "resend", sent["letter_key"], "--reason", "She deleted it")
    for _ in range(2):
        nights("mail", "send", json_wanted=False)
    assert letters() == first * 2, "once more, and the same"
    copy = nights("mail", "list")[-1]
    assert (copy["resends"], copy["reason"], copy["state"]) == (sent["letter_key"], "She deleted it", "sent")
    assert balances(nights) == held


def test_people_hear_by_letter_once_and_on_the_day(week: Nights) -> None:
    told = [(one["kind"], one["due"], one["state"]) for one in week("mail", "list")]
    assert sorted(told) == [
        ("alert", f"{MONDAY}", "sent"),
        ("points", f"{MONDAY}", "sent"), ("points", f"{MONDAY}", "sent"),
        ("points", f"{TUESDAY}", "sent"), ("points", f"{WEDNESDAY}", "sent"),
        ("register", f"{MONDAY}", "sent"),
    ]  # fmt: skip
    letters = [message_from_bytes(path.read_bytes(), policy=default) for path in home("out/mail").rglob("*.eml")]
    by_subject = {letter["Subject"]: next(letter.iter_parts()).get_content() for letter in letters}
    assert "Hello Bo," in by_subject["Register to claim 30 points from Harbour"]
    assert '"Welcome"' in by_subject["Register to claim 30 points from Harbour"]
    assert "Hello Nora Vik," in by_subject["Harbour: budget S-1 needs a look"]
    assert "60 of 100 points are used, which is 50 % or more" in by_subject["Harbour: budget S-1 needs a look"]


def test_operations_are_told_what_to_do_about_a_row_that_came_twice(nights: Nights) -> None:
    upload(nights, "harbour-1.csv", *["Ada,ada@harbour.example,10,,,,"] * 2)
    evening(nights, MONDAY)
    (repeated,) = nights("breaks")
    step = "Tell the company; the row was not paid twice"
    assert (repeated["code"], repeated["next_step"]) == ("B08", step)
    assert nights("explain", repeated["break_id"])["breaks"][0]["next_step"] == step


def test_p8_what_was_sent_cannot_be_taken_back_and_nothing_moves_between_balances(week: Nights) -> None:
    number = next(one["posting"] for one in week("files") if one["file"] == "harbour-8.csv")
    taken = CliRunner().invoke(app, ["undo", f"{number}:2", "--reason", "No"])
    assert taken.exit_code != 0
    help_text = CliRunner().invoke(app, ["points", "--help"]).output
    assert not {"transfer", "move", "take-back"} & set(help_text.split())


def test_r3_budgets_are_managed_by_files_and_hold_what_is_beyond_them(week: Nights) -> None:
    (budget,) = week("company", "budgets")
    assert (budget["used"], budget["left"], budget["limit"]) == (60, 40, "hard")
    assert "budget S-1 holds 40 and the file takes 41" in week("held")[0]["message"]


def test_the_statement_proves_itself_row_by_row(week: Nights) -> None:
    rows = week("company", "statement", "--company", "harbour")
    last = {}
    for account in ("balance", "S-1"):
        running = 0
        for row in (row for row in rows if row["account"] == account):
            assert row["opening_balance"] == running
            running += row["points"]
            assert row["closing_balance"] == running
        last[account] = running
    assert last == {"balance": 540, "S-1": 40}
    later = week("company", "statement", "--company", "harbour", "--from", TUESDAY)
    assert [(row["opening_balance"], row["points"]) for row in later if row["account"] == "balance"][-1] == (840, -300)


def test_a_company_gets_its_statement_of_each_day_that_moved_its_points(week: Nights) -> None:
    put = sorted(home("inbox/harbour/statements").iterdir())
    assert [path.name for path in put] == [f"harbour-statement-{day:%Y%m%d}.csv" for day in (MONDAY, TUESDAY)]
    whole = week("company", "statement", "--company", "harbour", "--csv", json_wanted=False).lstrip("\ufeff")
    told = [path.read_text(encoding="utf-8-sig").splitlines() for path in put]
    assert sorted(row for rows in told for row in rows[1:]) == sorted(whole.splitlines()[1:])


def test_a_statement_that_could_not_be_put_comes_with_the_next_run_and_once(nights: Nights) -> None:
    nights.put("harbour/statements", "a file where the folder should be")
    nights.at(TUESDAY, "23:00:00")
    run = ("run", "--date", MONDAY)
    assert nights(*run, exit_code=1)["statements"] == []
    home("inbox/harbour/statements").unlink()
    assert nights(*run)["statements"] == [f"harbour-statement-{MONDAY:%Y%m%d}.csv"]
    assert nights(*run)["statements"] == []


def test_the_crm_and_the_report_hear_of_it(week: Nights) -> None:
    pages = sorted(home(f"out/reports/{TUESDAY}").glob("v*"))
    assert not [line for line in (pages[-1] / "ties.csv").read_text().splitlines() if line.endswith(",no")]
    companies = (pages[-1] / "companies.csv").read_text()
    assert "company,harbour," in companies
    journal = "".join(path.read_text() for path in home("out/crm").rglob("*-TransactionJournal-*.csv"))
    assert "harbour:W-1" in journal
    assert "harbour:S-2" not in journal


def test_the_book_proves_itself_and_replays(week: Nights, tmp_path: Path) -> None:
    assert week("audit", "verify")["findings"] == []
    week("replay", "--into", tmp_path / "again")
    assert every_row(tmp_path / "again/book.duckdb") == every_row(home("book.duckdb"))


def test_what_is_of_no_company_says_so_and_stands_in_nobodys_way(nights: Nights) -> None:
    own(nights, "companies", MONDAY, f"{COMPANIES}company,close,harbuor,,,{MONDAY}\n", "_b")
    own(nights, "members", MONDAY, f"{PEOPLE}register,harbuor,H-9,di@harbour.example,,{MONDAY}\n", "_b")
    own(nights, "members", MONDAY, f"{PEOPLE}register,harbour,H-9,di@harbour.example,,{MONDAY}\n", "_c")
    upload(nights, "harbour-1.csv", "Di,di@harbour.example,10,,,,")
    evening(nights, MONDAY)
    found = nights("breaks")
    assert [(one["code"], one["their_ref"]) for one in found] == [("B03", "harbuor")] * 2
    told = CliRunner().invoke(app, ["explain", found[0]["break_id"]]).output
    assert "It is of no company or unit that was opened" in told
    assert "no such company is known" in told
    assert ",sent," in result("harbour-1-result.csv")[2]
