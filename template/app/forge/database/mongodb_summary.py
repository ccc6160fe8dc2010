"""Statistics of a table, by one aggregation that reads each document once."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from app.forge.database.mongodb_documents import Documents
from app.forge.database.mongodb_driver import Document
from app.forge.fields import EXACT
from app.forge.table import Column, Table

# The names of columns begin with a letter.
FIGURES = "_figures"
TOP = 10


def summary_pipeline(table: Table) -> list[Document]:
    """Return the stages that result in the document for `summary_of`."""
    figures: Document = {"_id": None, "count": {"$sum": 1}}
    parts: Document = {FIGURES: [{"$group": figures}]}
    for column in table.columns:
        if column.is_number:
            figures |= _figures(column)
        if column.is_counted:
            parts[column.name] = _most_used(column)
    read = [column.name for column in table.columns if column.is_number or column.is_counted]
    # Without it, the stage keeps whole documents.
    return [{"$project": dict.fromkeys(read or ["_id"], 1)}, {"$facet": parts}]


def _figures(column: Column) -> Document:
    value = f"${column.name}"
    return {
        f"{column.name}_min": {"$min": value},
        f"{column.name}_max": {"$max": value},
        f"{column.name}_mean": {"$avg": value},
    }


def _most_used(column: Column) -> list[Document]:
    value = f"${column.name}"
    # A set, because a row with a value twice in its list counts once.
    elements = [{"$project": {column.name: {"$setUnion": [value, []]}}}, {"$unwind": value}]
    return [
        *(elements if column.is_list else [{"$match": {column.name: {"$ne": None}}}]),
        {"$group": {"_id": value, "count": {"$sum": 1}}},
        {"$sort": {"count": -1, "_id": 1}},
        {"$limit": TOP},
    ]


def summary_of(table: Table, documents: Documents, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the summary, see `Store.summary`."""
    figures = next(iter(found[FIGURES]), {"count": 0})
    summary: dict[str, Any] = {"count": figures["count"]}
    for column in table.columns:
        if column.is_number:
            summary[column.name] = _figures_of(column, documents, figures)
        if column.is_counted:
            summary[column.name] = [
                {"value": documents.read(column.name, each["_id"]), "count": each["count"]}
                for each in found[column.name]
            ]
    return summary


def _figures_of(column: Column, documents: Documents, figures: Mapping[str, Any]) -> dict[str, Any]:
    found = {each: figures.get(f"{column.name}_{each}") for each in ("min", "max", "mean")}
    if column.kind != "decimal" or found["mean"] is None:
        return found
    lowest, highest = (str(documents.read(column.name, found[each])) for each in ("min", "max"))
    mean = found["mean"].to_decimal().quantize(Decimal(1).scaleb(-column.places), ROUND_HALF_UP, EXACT)
    return {"min": lowest, "max": highest, "mean": str(mean)}
