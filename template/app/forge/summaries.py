"""Parts of the summary of a resource."""

from decimal import Decimal
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer

# Marks schemas that are written inline in the OpenAPI document, because names of generic models are unreadable.
INLINE = "x-inline"

Value = TypeVar("Value")
Mean = TypeVar("Mean")
# Python itself writes small decimals with an exponent, which is not read.
WRITTEN = PlainSerializer(
    lambda value: f"{value:f}" if isinstance(value, Decimal) else value, when_used="json-unless-none"
)


class Created(BaseModel):
    """The number of rows that a batch created."""

    created: int


class Figures(BaseModel, Generic[Value, Mean]):
    """The lowest, highest and mean value of a field; null if no row has one."""

    model_config = ConfigDict(json_schema_extra={INLINE: True})

    min: Annotated[Value | None, WRITTEN]
    max: Annotated[Value | None, WRITTEN]
    mean: Annotated[Mean | None, WRITTEN]


class Count(BaseModel, Generic[Value]):
    """A value, and the number of rows that have it."""

    model_config = ConfigDict(json_schema_extra={INLINE: True})

    value: Value
    count: int
