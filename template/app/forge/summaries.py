"""Parts of the summary of a resource."""

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

# Marks schemas that are written inline in the OpenAPI document, because names of generic models are unreadable.
INLINE = "x-inline"

Value = TypeVar("Value")
Mean = TypeVar("Mean")


class Created(BaseModel):
    """The number of rows that a batch created."""

    created: int


class Figures(BaseModel, Generic[Value, Mean]):
    """The lowest, highest and mean value of a field; null if no row has one."""

    model_config = ConfigDict(json_schema_extra={INLINE: True})

    min: Value | None
    max: Value | None
    mean: Mean | None


class Count(BaseModel, Generic[Value]):
    """A value, and the number of rows that have it."""

    model_config = ConfigDict(json_schema_extra={INLINE: True})

    value: Value
    count: int
