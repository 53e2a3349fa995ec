"""A layout: the typed model of ``layout.yaml``, which a partner manager can read and sign.

Here: the whole. Not here: the keys of fields (``fields``), shapes (``layout_shapes``) and other parts
(``layout_parts``), the checks across them (``layout_checks``), reading YAML (``layout_file``) or partners' files
(``reader``).
"""

from functools import cached_property

from pydantic import Field, model_validator

from counterfoil.feed import Feed
from parsers import layout_checks
from parsers.fields import FieldSpec, IntegerField
from parsers.layout_parts import MarksSpec, Origin, Proof, Recognise
from parsers.layout_shapes import Encoding, LineEnd, Lines, Shape


class Layout(Feed):
    """Everything about one version of one feed's files.

    Positions count bytes from 1. Values are read without their surrounding blanks, but for fixed width numbers.
    """

    recognise: Recognise
    encoding: Encoding = "utf-8"
    line_ends: tuple[LineEnd, ...] = Field(default=("lf", "crlf"), min_length=1)
    shape: Shape
    envelope: dict[str, FieldSpec] = Field(default_factory=dict)
    """What the file says once. In lines: ``line`` is the beginning of the header or trailer; ``column`` of a delimited
    one is a number, and its beginning is column 1. In JSON lines ``line`` is a value of the discriminator. In a sheet
    there is a ``cell`` above the column names, or a ``line`` among its trailers and the name of a ``column``."""
    marks: MarksSpec = MarksSpec()
    identities: dict[str, str] = Field(default_factory=dict)
    """What is proved, by names that begin with ``records_`` or, of points, ``points_``: an envelope field
    ``= count of`` or ``= sum of`` ``details``, of ``credits`` or ``debits`` (points above or below 0, stated without
    their sign), or of the answers of one outcome; ``= count of lines`` or ``groups``;
    or ``= field + field``."""
    fields: dict[str, FieldSpec]
    record: dict[str, Origin]
    """Our columns: ``ref``, ``member``, ``points``, ``value_date``, ``record_type``; of a hand-back also ``outcome``
    (accepted, rejected, held, reversed), ``reason``, ``to_account``, ``money``; of activity ``activity`` (accrual,
    redemption) and no ``record_type``."""

    @cached_property
    def proofs(self) -> tuple[Proof, ...]:
        """The identities to prove, parsed."""
        return tuple(layout_checks.proof(self, name, text) for name, text in self.identities.items())

    def places(self, column: str) -> int | None:
        """The scale of the column's field."""
        origin = self.record.get(column)
        spec = self.fields.get(origin.field) if origin and origin.field else None
        return (spec.scale or None) if isinstance(spec, IntegerField) else None

    @property
    def lines(self) -> Lines | None:
        """The shape, where its files are made of lines of several kinds."""
        return self.shape if isinstance(self.shape, Lines) else None

    def of_groups(self, spec: FieldSpec) -> bool:
        """True when an envelope field is said by each group and not by the file."""
        group = self.lines.group if self.lines else None
        return group is not None and spec.line in (group.header, group.trailer)

    @model_validator(mode="after")
    def _is_whole(self) -> "Layout":
        layout_checks.check(self)
        return self
