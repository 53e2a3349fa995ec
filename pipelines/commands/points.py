"""``counterfoil points``: points from companies to their people: the template, one gift, what waits, cancelling.

Each change is a file, landed and posted. Not here: releasing an upload that was held (``decide``), or a company's own
statement (``company``).
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from counterfoil.errors import Code, UsageError
from counterfoil.feed import Feed, FeedKind
from counterfoil.files import write_once
from counterfoil.landing.records import OutcomeState
from counterfoil.ledger import company_extracts, distributions
from counterfoil.reports import upload_template
from counterfoil.steps.decide import decide_all
from counterfoil.steps.desk import Desk
from counterfoil.steps.give import FEED as POINTS
from counterfoil.steps.give import give
from pipelines.commands.common import (
    Format,
    FormatOption,
    HomeOption,
    emit_frame,
    emit_json,
    parse_day,
    require_known,
    stdout,
)
from pipelines.commands.decide import ReasonOption, tell
from pipelines.wiring import desk_at

CompanyOption = Annotated[str, typer.Option("--company", help="The company, in lower case.")]
OneCompanyOption = Annotated[str | None, typer.Option("--company", help="Only this company.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="Points from companies to their people.")
    for name, verb in (("send", send), ("template", template), ("waiting", waiting), ("cancel", cancel)):
        group.command(name)(verb)
    app.add_typer(group, name="points")


def send(
    company: CompanyOption,
    name: Annotated[str, typer.Option("--name", help="The recipient's name.")],
    email: Annotated[str, typer.Option("--email", help="The recipient's address.")],
    points: Annotated[int, typer.Option("--points", min=1, help="Whole points.")],
    citation: Annotated[str, typer.Option("--citation", help="Why; the recipient reads it.")] = "",
    country_code: Annotated[str, typer.Option("--country-code", help="Of the mobile number.")] = "",
    mobile: Annotated[str, typer.Option("--mobile", help="The mobile number without it.")] = "",
    send_date: Annotated[str | None, typer.Option("--send-date", help="The day to send; at once by default.")] = None,
    expiry_months: Annotated[int | None, typer.Option("--expiry-months", help="Months until they expire.")] = None,
    department: Annotated[str, typer.Option("--department", help="Whose budget pays.")] = "",
    reference: Annotated[str, typer.Option("--reference", help="Your own reference; it counts once.")] = "",
    campaign: Annotated[str, typer.Option("--campaign", help="Whose letter goes out.")] = "",
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Send points to one person, by the same file and rules as many. What was sent cannot be taken back."""
    row = {
        "company": company,
        "name": name,
        "email": email,
        "points": points,
        "citation": citation,
        "country_code": country_code,
        "mobile": mobile,
        "send_date": parse_day("--send-date", send_date) or "",
        "expiry_months": expiry_months or "",
        "department": department,
        "reference": reference,
        "campaign": campaign,
    }
    with desk_at(home) as desk:
        delivery, outcome = give(desk, row)
        n = outcome.n if outcome else None
        rows = _results(desk, n)
        waits = any(one.order == delivery.order for one in desk.index.held(POINTS))
    code = (outcome or delivery).code
    became = rows[0]["code"] if rows else "waits" if waits else "refused" if code else "unread"
    text = rows[0]["text"] if rows else (outcome or delivery).message
    if output is Format.JSON:
        emit_json({"file": delivery.name, "posting": n, "result": became, "code": code, "message": text})
    else:
        stdout.print(f"{delivery.name}: {became}, {text}", soft_wrap=True)
    if outcome is None or outcome.state is not OutcomeState.POSTED or any(row["refused"] for row in rows):
        raise typer.Exit(1)


def template(
    feed: Annotated[str, typer.Option("--feed", help="The feed of bulk uploads that the file is for.")] = "points",
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write it; .csv or .xlsx as the feed has it.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Write the file that a company fills: column names, an example and the rules."""
    with desk_at(home) as desk:
        uploads = {one.feed: one for one in desk.feeds([FeedKind.BULK_UPLOAD])}
        require_known("--feed", [feed], uploads)
        files = _templates(desk, uploads[feed], out)
    for path, data in files.items():
        try:
            write_once(path, data)
        except FileExistsError as error:
            raise UsageError(
                Code.FOLDER_TAKEN, str(path), found="a file", expected="a free name", remedy="Give another by --out"
            ) from error
        stdout.print(str(path), soft_wrap=True)


def waiting(company: OneCompanyOption = None, home: HomeOption = None, output: FormatOption = Format.TABLE) -> None:
    """Points that wait: for their day, or until their recipient has registered."""
    with desk_at(home) as desk, desk.book.reading() as book:
        frame = company_extracts.waiting(book, company)
    emit_frame(frame, output, title="Points that wait")


def cancel(
    references: Annotated[list[str], typer.Argument(help="References of scheduled points; see points waiting.")],
    company: CompanyOption,
    reason: ReasonOption,
    home: HomeOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Cancel scheduled points before their day: they go back to where they came from."""
    with desk_at(home) as desk:
        with desk.book.reading() as book:
            known = company_extracts.waiting(book, company)
        scheduled = dict(known.filter(pl.col("state") == "scheduled").select("ref", "points").iter_rows())
        _require_scheduled(references, scheduled)
        told = [
            {"action": "cancel", "subject": f"{company}:{reference}", "points": scheduled[reference]}
            for reference in references
        ]
        tell(decide_all(desk, told, reason=reason), sum(scheduled[one] for one in references), output)


def _require_scheduled(references: list[str], scheduled: Collection[str]) -> None:
    missing = sorted(set(references) - set(scheduled))
    if missing:
        raise UsageError(
            Code.NOTHING_FOUND,
            missing[0],
            found="no scheduled points of this company under the reference",
            expected="points whose day has not come",
            remedy="See counterfoil points waiting",
        )


def _results(desk: Desk, n: int | None) -> list[dict[str, object]]:
    if n is None:
        return []
    with desk.book.reading() as book:
        return distributions.results(book, n).to_dicts()


def _templates(desk: Desk, feed: Feed, out: Path | None) -> dict[Path, bytes]:
    """The files of a template; a CSV file has its example in a file of its own."""
    terms = desk.reader.terms(feed)
    if terms.sheet is not None:
        return {out or Path(f"{feed.feed}-template.xlsx"): upload_template.as_workbook(feed, terms)}
    path = out or Path(f"{feed.feed}-template.csv")
    rules = "".join(
        f"{title}: {upload_template.RULES[name]}\n" for name, title in upload_template.headings(feed, terms).items()
    )
    return {
        path: upload_template.as_csv(feed, terms, filled=False),
        path.with_stem(f"{path.stem}-example"): upload_template.as_csv(feed, terms, filled=True),
        path.with_stem(f"{path.stem}-rules").with_suffix(".txt"): (
            rules + "\n" + "\n".join(upload_template.general_rules(feed)) + "\n"
        ).encode(),
    }
