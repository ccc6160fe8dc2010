"""The indexes of a table: they make values unique, and serve filters and references."""

from pymongo import ASCENDING, DESCENDING, IndexModel

from app.forge.table import Column, Kind, Table

# https://www.mongodb.com/docs/manual/reference/operator/query/type/
BSON_TYPES: dict[Kind, str] = {
    "str": "string",
    "int": "number",
    "float": "number",
    "decimal": "number",
    "bool": "bool",
    "date": "string",
    "datetime": "date",
    "uuid": "binData",
    "json": "string",
}


def indexes_of(table: Table) -> list[IndexModel]:
    """Return the indexes that make values unique, and those for filters and references."""
    unique = [_unique(column) for column in table.columns if column.is_unique]
    # UUIDv7 ids are in the order of creation, so pages need no further index, and filtered pages need these.
    filters = [
        IndexModel([(column.name, ASCENDING), ("_id", DESCENDING)])
        for column in table.columns
        if column.is_filter or column.reference is not None
    ]
    return unique + filters


def _unique(column: Column) -> IndexModel:
    key = [(column.name, ASCENDING)]
    if not column.is_optional:
        # Sparse, so that rows without the field do not conflict after it was removed from the resource.
        return IndexModel(key, unique=True, sparse=True)
    # Any number of rows may have no value, and a sparse index contains rows with null.
    has_value = {column.name: {"$type": BSON_TYPES[column.kind]}}
    return IndexModel(key, unique=True, partialFilterExpression=has_value)
