"""What companies and their people were promised about points, as they would say it; from files to balances."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

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


@pytest.fixture
def nights(open_nights: OpenNights, root: Path) -> Iterator[Nights]:
    """Harbour is open and has 1,000 points; Ada and Cy are registered with it, Ann with Birchwood."""
    with open_nights([root / "data/contracts/partners/harbour"]) as nights:
        own(nights, "rates", MONDAY, RATES)
        own(nights, "companies", MONDAY, COMPANIES + "".join(
            f"company,open,{name},,{name.title()},{MONDAY}\n" for name in ("harbour", "birchwood")
        ) + f"department,open,harbour,sales,Sales,{MONDAY}\n")  # fmt: skip
        own(nights, "members", MONDAY, PEOPLE + "".join(
            f"register,{company},{member},{email},,{MONDAY}\n" for company, member, email in (
                ("harbour", "H-1", "ada@harbour.example"), ("harbour", "H-2", "cy@harbour.example"),
                ("birchwood", "B-1", "ann@birchwood.example"),
            )
        ))  # fmt: skip
        own(nights, "recharges", MONDAY, f"company,ref,points,value_date\nharbour,INV-1,1000,{MONDAY}\n")
        yield nights


def balances(nights: Nights) -> dict[str, int]:
    """What Harbour and its people hold."""
    kinds = ("company", "member", "scheduled", "unclaimed")
    held = [one for one in nights("balances") if one["partner"] == "harbour" and one["kind"] in kinds]
    return {one["kind"]: one["balance"] for one in held if one["balance"]}


def evening(nights: Nights, day: date) -> str:
    """What comes on a day is taken in that evening; whatever that ends with."""
    nights.at(day, "20:00:00")
    return CliRunner().invoke(app, ["run", "--date", str(day)]).output


def night(nights: Nights, day: date) -> None:
    """A day whose evening and night go well."""
    evening(nights, day)
    nights.run(day)


def test_p1_points_for_a_handful_of_people_with_a_citation(nights: Nights) -> None:
    night(nights, MONDAY)
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


def test_p5_who_is_not_registered_gets_the_points_once_they_are(nights: Nights) -> None:
    upload(nights, "harbour-4.csv", "Bo,bo@harbour.example,30,Welcome,,,W-1")
    night(nights, MONDAY)
    (waits,) = nights("points", "waiting")
    assert (waits["recipient"], waits["points"], waits["state"]) == ("b…@harbour.example", 30, "unclaimed")
    own(nights, "members", TUESDAY, PEOPLE + f"register,harbour,H-3,Bo@harbour.example,,{TUESDAY}\n")
    night(nights, TUESDAY)
    assert nights("points", "waiting") == []
    assert balances(nights) == {"company": 970, "member": 30}


def test_p6_a_person_belongs_to_one_company_and_only_that_entry_is_not_successful(nights: Nights) -> None:
    upload(nights, "harbour-5.csv", "Ann,ann@birchwood.example,10,,,,A-1", "Ada,ada@harbour.example,20,,,,A-2")
    night(nights, MONDAY)
    assert result("harbour-5-result.csv")[2:] == [
        "2,A-1,ann@birchwood.example,10,other_company,the recipient is registered with another company",
        "3,A-2,ada@harbour.example,20,sent,the points are on the recipient's account",
        "Sent,1,20",
        "Refused,1,10",
    ]


def test_p7_a_scheduled_distribution_goes_on_its_day_or_is_cancelled_before(nights: Nights) -> None:
    upload(
        nights, "harbour-6.csv",
        f"Ada,ada@harbour.example,10,,{WEDNESDAY},,S-1", f"Cy,cy@harbour.example,20,,{WEDNESDAY},,S-2",
    )  # fmt: skip
    night(nights, MONDAY)
    assert balances(nights) == {"company": 970, "scheduled": 30}
    nights("points", "cancel", "S-2", "--company", "harbour", "--reason", "Sent in error")
    night(nights, TUESDAY)
    assert balances(nights) == {"company": 990, "member": 10}
    late = CliRunner().invoke(app, ["points", "cancel", "S-1", "--company", "harbour", "--reason", "Too late"])
    assert "no scheduled points of this company" in str(late.exception)
    text = nights("explain", "S-1", json_wanted=False)
    assert "harbour-6.csv" in text
    assert "scheduled" in text


def test_p8_what_was_sent_cannot_be_taken_back_and_nothing_moves_between_balances(nights: Nights) -> None:
    upload(nights, "harbour-7.csv", "Ada,ada@harbour.example,10,,,,A-1")
    night(nights, MONDAY)
    number = next(one["posting"] for one in nights("files") if one["file"] == "harbour-7.csv")
    taken = CliRunner().invoke(app, ["undo", f"{number}:2", "--reason", "No"])
    assert taken.exit_code != 0
    help_text = CliRunner().invoke(app, ["points", "--help"]).output
    assert not {"transfer", "move", "take-back"} & set(help_text.split())


def test_r3_budgets_are_created_updated_and_managed_by_files_and_alert(nights: Nights) -> None:
    terms = f"{MONDAY},{MONDAY + timedelta(days=30)},hard,50;100"
    own(nights, "budgets", MONDAY, f"{BUDGETS}create,harbour,S-1,100,sales,{terms},{MONDAY}\n")
    upload(nights, "harbour-8.csv", "Ada,ada@harbour.example,60,,,Sales,A-1")
    night(nights, MONDAY)
    (budget,) = nights("company", "budgets")
    assert (budget["used"], budget["left"], budget["limit"]) == (60, 40, "hard")
    upload(nights, "harbour-9.csv", "Ada,ada@harbour.example,41,,,Sales,A-2")
    evening(nights, TUESDAY)
    assert "budget S-1 holds 40 and the file takes 41" in nights("held")[0]["message"]


def test_the_statement_proves_itself_row_by_row(nights: Nights) -> None:
    own(nights, "budgets", MONDAY, f"{BUDGETS}create,harbour,S-1,100,sales,{MONDAY},{TUESDAY},warn,,{MONDAY}\n")
    upload(nights, "harbour-a.csv", "Ada,ada@harbour.example,130,,,sales,A-1", "Bo,bo@harbour.example,5,,,,A-2")
    night(nights, MONDAY)
    own(nights, "recharges", TUESDAY, f"company,ref,points,value_date\nharbour,INV-1,-300,{TUESDAY}\n")
    night(nights, TUESDAY)
    rows = nights("company", "statement", "--company", "harbour")
    for account in ("balance", "S-1"):
        own_rows = [row for row in rows if row["account"] == account]
        running = 0
        for row in own_rows:
            assert row["opening_balance"] == running
            running += row["points"]
            assert row["closing_balance"] == running
    last = {row["account"]: row["closing_balance"] for row in rows}
    assert last == {"balance": 1000 - 100 - 30 - 5 - 300, "S-1": 0}
    later = nights("company", "statement", "--company", "harbour", "--from", TUESDAY)
    assert [(row["opening_balance"], row["points"]) for row in later] == [(865, -300)]


def test_the_book_proves_itself_replays_and_ties(nights: Nights, tmp_path: Path) -> None:
    upload(
        nights, "harbour-b.csv",
        f"Ada,ada@harbour.example,10,,{TUESDAY},,S-1", "Bo,bo@harbour.example,20,,,,S-2", "Bo,bo@harbour.example,1,,,,",
    )  # fmt: skip
    night(nights, MONDAY)
    own(nights, "members", TUESDAY, PEOPLE + f"register,harbour,H-3,bo@harbour.example,,{TUESDAY}\n")
    night(nights, TUESDAY)
    assert nights("audit", "verify")["findings"] == []
    nights("replay", "--into", tmp_path / "again")
    assert every_row(tmp_path / "again/book.duckdb") == every_row(home("book.duckdb"))
    pages = sorted(home(f"out/reports/{TUESDAY}").glob("v*"))
    assert not [line for line in (pages[-1] / "ties.csv").read_text().splitlines() if line.endswith(",no")]
