"""Parts of the summary of a resource."""

from typing import Generic, TypeVar

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

Value = TypeVar("Value")
Mean = TypeVar("Mean")


class Inline(BaseModel):
    """A model that stands in OpenAPI where it is used: the names of its variants would be no names for clients."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema itself in place of a reference to it."""
        inline = dict(handler.resolve_ref_schema(handler(schema)))
        inline.pop("title", None)
        return inline


class Created(BaseModel):
    """How many rows a batch created."""

    created: int


class Figures(Inline, Generic[Value, Mean]):
    """The lowest, highest and mean value of a field; null if no row has one."""

    min: Value | None
    max: Value | None
    mean: Mean | None


class Count(Inline, Generic[Value]):
    """A value, and how many rows have it."""

    value: Value
    count: int
