"""A layout in its partner's terms."""

from parsers.layout import Layout
from parsers.registry import LayoutReader


def test_a_delimited_layout_speaks_by_its_headings(reader: LayoutReader, layouts: dict[str, Layout]) -> None:
    said = reader.terms(layouts["skybridge_handback"])
    assert {column: term.name for column, term in said.columns.items()} == {
        "ref": "Reference number",
        "points": "Amount",
        "outcome": "Outcome code",
        "reason": "Outcome code",
    }
    assert said.outcomes == {"accepted": "0000", "held": "0099"}, "five codes reject, so none stands for it"
    asked = reader.terms(layouts["skybridge_requests"]).columns
    assert (asked["member"].name, asked["value_date"].date_format) == ("Member ID", "%Y-%m-%d")


def test_a_fixed_width_layout_speaks_by_its_fields_and_fills_up_with_zeros(
    reader: LayoutReader, layouts: dict[str, Layout]
) -> None:
    said = reader.terms(layouts["northstar_handback"])
    assert (said.columns["ref"].name, said.columns["ref"].digits) == ("reference", 20)
    assert (said.columns["member"].name, said.columns["member"].digits) == ("account", 0)
    assert (said.columns["value_date"].name, said.columns["value_date"].date_format) == ("load_date", "%Y%m%d")
    assert said.outcomes == {"rejected": "E"}
