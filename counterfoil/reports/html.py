"""The report as one HTML page that needs nothing else: no script, no request, its own typeface.

Here: what the template is given. Not here: the judgement (``verdict``), the tables (``sections``) or the charts.
"""

from typing import Final

from counterfoil.reports.charts import breaks_by_age, outcome_by_partner, points_flow
from counterfoil.reports.facts import KNOWN_AT, ReportFacts
from counterfoil.reports.pages import css_text, environment, font
from counterfoil.reports.sections import outcome_table, sections, tie_tables
from counterfoil.reports.tables import amount, grouped, instant, percent
from counterfoil.reports.ties import self_check
from counterfoil.reports.trends import partner_trends
from counterfoil.reports.verdict import Headline, headline, judge

WORDS: Final = {"pass": "Pass", "remarks": "Pass with remarks", "fail": "Fail"}
SENTENCES: Final = {
    "pass": "everything is accounted for and every sum ties.",
    "remarks": "everything is accounted for and every sum ties; this is left to do.",
    "fail": "do not close on these figures.",
}

COVER_LABELS: Final = (
    ("Unit", "unit", ""),
    ("Currency", "currency", ""),
    ("Time zone of the day", "zone", ""),
    ("Cut-off", "cut_off", ""),
    ("Known at", KNOWN_AT, ""),
    ("Data as of", "data_as_of", ""),
    ("Posting", "posting", ""),
    ("Ages counted in", "clock", ""),
    ("Restated", "restated", ""),
    ("Software", "software", ""),
    ("Run", "run_id", "mono"),
    ("Content head of the book", "content_head", "long"),
    ("Chain head of the book", "chain_head", "long"),
)

UNTIED_SHOWN_MAX: Final = 50


def render(facts: ReportFacts) -> str:
    """The page. The same facts give the same text on every machine."""
    verdict = judge(facts)
    return environment().get_template("report.html").render(
        cover=facts.cover,
        cover_facts=[
            (label, instant(facts.cover[key]), css) for label, key, css in COVER_LABELS if key in facts.cover
        ],
        verdict=verdict,
        verdict_words=WORDS[verdict.state],
        verdict_sentence=SENTENCES[verdict.state],
        figures=_figures(facts),
        outcomes=outcome_table(facts),
        ties=tie_tables(facts),
        untied=self_check(facts)[:UNTIED_SHOWN_MAX],
        sections=sections(facts),
        charts={
            "flow": points_flow(facts),
            "partners": outcome_by_partner(facts),
            "breaks": breaks_by_age(facts),
            "trends": partner_trends(facts),
        },
        font=font(),
        running=css_text(f"Reconciliation {facts.cover['business_date']} - version {facts.cover['version']}"),
    )  # fmt: skip


def _figures(facts: ReportFacts) -> list[tuple[str, str, str]]:
    """The first page's single figures: label, figure, what stands beside it."""
    found = headline(facts)
    return [
        ("Unexplained rows", grouped(found.unexplained_rows), "mass balance, section 2.4"),
        ("Unexplained points", grouped(found.unexplained_points), "mass balance, section 2.5"),
        (
            "Accounts that tie to the GL",
            grouped(found.accounts_tied),
            f"{grouped(found.accounts_apart)} do not, section 3.1",
        ),
        ("Matched, by count", percent(found.match_rate_count), "answers that found their request, section 5.2"),
        ("Matched, by points", percent(found.match_rate_points), "the same by value, section 5.2"),
        ("Open breaks", grouped(found.breaks), f"{_at_stake(found)} at stake, sections 6 and 7"),
        ("In transit", grouped(found.in_transit), f"{grouped(found.in_transit_points)} points, answer not due"),
        ("Quarantined rows", grouped(found.quarantined), "in files of the book, section 2.7"),
        ("Files", grouped(found.files), f"{grouped(found.files_outside)} of them not in the book, section 2.1"),
    ]


def _at_stake(found: Headline) -> str:
    """``1,236 points and 12.50 EUR``."""
    money = (f"{amount(minor, currency)} {currency}" for currency, minor in found.breaks_money)
    return " and ".join((f"{grouped(found.breaks_points)} points", *money))
