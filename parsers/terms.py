"""How a partner's own files name and write what the core calls ref, member, points, outcome and value_date.

Here: the columns of a layout seen from the core. Not here: reading them (``values``), or what is told in these terms.
"""

from counterfoil.protocols import Term, Terms
from parsers.dates import DATE_FORMATS
from parsers.fields import CodeField, DateField, FieldSpec, TextField
from parsers.layout import Layout
from parsers.layout_shapes import Xlsx


def terms(layout: Layout) -> Terms:
    """The columns of a layout's records that come from its fields; a code stands for an outcome only if it alone
    does."""
    named = {
        column: (origin.field, layout.fields[origin.field])
        for column, origin in layout.record.items()
        if origin.field is not None
    }
    _, outcome = named.get("outcome", (None, None))
    codes = outcome.codes if isinstance(outcome, CodeField) else {}
    meant = list(codes.values())
    return Terms(
        columns={column: _term(field, spec) for column, (field, spec) in named.items()},
        outcomes={meaning: code for code, meaning in codes.items() if meant.count(meaning) == 1},
        sheet=layout.shape.sheet if isinstance(layout.shape, Xlsx) else None,
    )


def _term(field: str, spec: FieldSpec) -> Term:
    """A column by its heading, a value in JSON or XML by its path, a fixed-width one by the name of its field."""
    name = spec.column or spec.path or field
    if isinstance(spec, DateField):
        return Term(name, date_format=DATE_FORMATS[spec.format].of_day)
    if isinstance(spec, TextField) and spec.strip_zeros:
        return Term(name, digits=spec.length or 0)
    return Term(name)
