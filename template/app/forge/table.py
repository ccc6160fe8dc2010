"""The table of a resource: columns, indexes and references, derived from its draft model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel

from app.forge.fields import Exact, Json

Kind = Literal["str", "int", "float", "decimal", "bool", "date", "datetime", "uuid", "json"]
OnDelete = Literal["restrict", "cascade", "null"]

KINDS: dict[object, Kind] = {
    str: "str",
    int: "int",
    float: "float",
    Decimal: "decimal",
    bool: "bool",
    date: "date",
    datetime: "datetime",
    UUID: "uuid",
}
NUMBERS = frozenset[Kind]({"int", "float", "decimal"})
# Of an owned table.
OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Reference:
    """The table that a column refers to, and the effect on the row when the referenced row is deleted."""

    to: str
    on_delete: OnDelete = "restrict"


@dataclass(frozen=True, slots=True)
class Column:
    """A field of the draft. The `kind` of a list is that of its elements; the `kind` of an enum is "str"."""

    name: str
    kind: Kind
    is_list: bool = False
    is_word: bool = False
    is_optional: bool = False
    is_unique: bool = False
    is_filter: bool = False
    # The number of decimal places; 0 except for decimals.
    places: int = 0
    reference: Reference | None = None
    # The value of rows that omit the field, including rows stored before a field was added without a migration.
    default: Any = field(default=None, compare=False)

    @property
    def relation(self) -> str:
        """The name of the reference in `?expand=` and in expanded rows: `item` for `item_id`."""
        return self.name.removesuffix("_id")

    @property
    def is_number(self) -> bool:
        """True if the summary shows its minimum, maximum and mean."""
        return self.kind in NUMBERS and not self.is_list

    @property
    def is_counted(self) -> bool:
        """True if the summary shows its most frequent values."""
        return self.is_list or self.is_word or self.kind == "bool"


@dataclass(frozen=True)
class Table:
    """The table of a resource. It has `id`, `created_at` and `updated_at` in addition to `columns`."""

    name: str
    # The singular name in messages: "order line".
    noun: str
    columns: tuple[Column, ...]
    # True if the first column is `owner`, so that a store can be limited to the rows of one owner.
    is_owned: bool = False

    def column(self, name: str) -> Column:
        """Return the column with this name, or raise `KeyError`."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def references(self) -> tuple[Column, ...]:
        """The columns that refer to other rows."""
        return tuple(column for column in self.columns if column.reference is not None)


class Referrer(NamedTuple):
    """A column of `table` that refers to rows of the table named `to`, which may be the same."""

    table: Table
    column: Column
    to: str
    on_delete: OnDelete


def referrers_in(tables: Iterable[Table]) -> list[Referrer]:
    """Return every reference in these tables."""
    return [
        Referrer(table, column, column.reference.to, column.reference.on_delete)
        for table in tables
        for column in table.columns
        if column.reference is not None
    ]


def table_of(
    name: str,
    noun: str,
    draft: type[BaseModel],
    *,
    unique: Sequence[str] = (),
    filters: Sequence[str] = (),
    references: Mapping[str, Reference] | None = None,
    owned: bool = False,
) -> Table:
    """Return the table for a draft model, with one column per field, and one for the owner if rows are owned.

    Raises `TypeError` if the type of a field is not supported, and `ValueError` if a name is not a field.
    """
    references = references or {}
    for given in (*unique, *filters, *references):
        if given not in draft.model_fields:
            raise ValueError(f"{draft.__name__} has no field {given!r}.")
    # Rows that were stored before their table was owned have no owner.
    columns = [Column(OWNER, "str", is_filter=True, default="")] if owned else []
    for column, info in draft.model_fields.items():
        kind = _kind(draft, column, info.annotation, info.metadata)
        columns.append(
            Column(
                name=column,
                **kind,
                is_unique=column in unique,
                is_filter=column in filters,
                reference=references.get(column),
                default=None if info.is_required() else info.get_default(call_default_factory=True),
            )
        )
    return Table(name, noun, tuple(columns), is_owned=owned)


def _kind(draft: type[BaseModel], field: str, annotation: Any, metadata: Sequence[Any]) -> dict[str, Any]:
    """Return the arguments of `Column` that follow from a field's annotation."""
    found: dict[str, Any] = {}
    metadata = list(metadata)
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            metadata += more
        elif get_origin(annotation) in (Union, UnionType) and type(None) in get_args(annotation):
            (annotation,) = (each for each in get_args(annotation) if each is not type(None))
            found["is_optional"] = True
        elif get_origin(annotation) is list and "is_list" not in found:
            (annotation,) = get_args(annotation)
            found["is_list"] = True
        else:
            break
    if any(isinstance(each, Json) for each in metadata):
        return {**found, "kind": "json"}
    if get_origin(annotation) is Literal and all(isinstance(word, str) for word in get_args(annotation)):
        return {**found, "kind": "str", "is_word": True}
    if annotation not in KINDS:
        raise TypeError(f"{draft.__name__}.{field} is {annotation}, which a table cannot store.")
    places = next((each.places for each in metadata if isinstance(each, Exact)), 0)
    return {**found, "kind": KINDS[annotation], "places": places}
