"""Field types that JSON lacks, such as UUIDs, dates and decimals. Each is read from exactly one text format.

A `Body` (app/forge/bodies.py) reads the plain types in the same way: `UUID` like `Reference`, `date` like `Day`.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from math import isfinite
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema, to_json

# Enough digits for every decimal that a table can hold.
EXACT = Context(prec=100)
# Of a decimal with more, Python may write 1E-7.
PLACES_WITHOUT_EXPONENT = 6
MAX_INTEGER = 2**63 - 1

DATE = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
OFFSET = "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"


@dataclass(frozen=True)
class Text:
    """The only text format accepted for a type, and its description in error messages."""

    type: type
    pattern: str
    description: str


UUID_TEXT = Text(UUID, "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", "a UUID in its 36 characters")
DATE_TEXT = Text(date, DATE, "a date such as 2026-11-27")
TIME_TEXT = Text(time, f"{TIME}{OFFSET}?", "a time such as 21:00:00")
AWARE_TEXT = Text(
    datetime, f"{DATE}[Tt]{TIME}{OFFSET}", "a date and time with an offset such as 2026-11-27T21:00:00Z"
)
NAIVE_TEXT = Text(
    datetime, f"{DATE}[Tt]{TIME}", "a date and time without an offset such as 2026-11-27T21:00:00"
)
DURATION_TEXT = Text(timedelta, "[+-]?P[0-9A-Z.]+", "an ISO 8601 duration such as PT90S")
DECIMAL_TEXT = Text(Decimal, r"-?[0-9]+(\.[0-9]+)?", 'a decimal number in quotes such as "19.99"')
BYTES_TEXT = Text(bytes, "(?s:.*)", "a string")

# Keyed by Pydantic's schema types. Patterns (https://docs.rs/regex) are checked before parsing: Pydantic's lax parsers
# accept numbers as times, dates as datetimes, and UUIDs in braces or with `urn:uuid:`.
TEXTS = {
    "uuid": UUID_TEXT,
    "date": DATE_TEXT,
    "time": TIME_TEXT,
    "timedelta": DURATION_TEXT,
    "decimal": DECIMAL_TEXT,
    "bytes": BYTES_TEXT,
}
# Marks the schemas that `read_from` returns.
IS_READ = "is_read"


def text_of(schema: CoreSchema) -> Text | None:
    """Return the text format of this schema's type, or None if JSON has the type itself."""
    if schema["type"] == "datetime":
        # OpenAPI's `date-time` is RFC 3339, where an offset is required.
        return NAIVE_TEXT if schema.get("tz_constraint") == "naive" else AWARE_TEXT
    return TEXTS.get(schema["type"])


def read_from_text(schema: CoreSchema, text: Text) -> CoreSchema:
    """Return the schema, preceded by a check of the text format."""
    is_text = core_schema.str_schema(strict=True, pattern=f"^(?:{text.pattern})$")
    return read_from([is_text], schema, text.type, text.description)


def read_from(inputs: list[CoreSchema], schema: CoreSchema, type_: type, description: str) -> CoreSchema:
    """Return the schema, preceded by a check that the input matches `inputs` or is an instance of the type."""
    accepted = core_schema.union_schema(
        [*inputs, core_schema.is_instance_schema(type_)],
        mode="left_to_right",
        custom_error_type="wrong_form",
        custom_error_message=f"Input should be {description}",
    )
    parsed: CoreSchema = {**schema, "strict": False}

    def json_schema(_: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = handler(parsed)
        # Pydantic itself also accepts numbers for decimals.
        texts = [each for each in described.get("anyOf", ()) if each.get("type") == "string"]
        return texts[0] if texts else described

    metadata = {IS_READ: True, "pydantic_js_functions": [json_schema]}
    return core_schema.chain_schema([accepted, parsed], metadata=metadata)


class FromText:
    """Annotation for a type that is read from its text format only."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the type's schema, preceded by the check of its text format."""
        schema = handler(source)
        text = text_of(schema)
        if text is None:
            raise TypeError(f"{source} has no text format in JSON.")
        return read_from_text(schema, text)


def in_utc(moment: datetime) -> datetime:
    """Return the moment in UTC, truncated to the milliseconds that every database keeps."""
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the year is out of range in UTC") from None
    return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)


# A UUID of any version (RFC 9562, section 4).
Reference = Annotated[UUID, FromText()]
# An RFC 3339 full-date.
Day = Annotated[date, FromText()]
# An RFC 3339 date-time, converted to UTC. Leap seconds are rejected because Python has none.
Moment = Annotated[datetime, FromText(), AfterValidator(in_utc)]
# A number that JSON can express: not NaN or Infinity.
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]


@dataclass(frozen=True)
class Exact:
    """Annotation for an exact decimal, a string in JSON: `Annotated[Decimal, Exact(digits=12, places=2)]`."""

    digits: int
    places: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of a decimal with its other bounds, read from a string."""
        limited: Any = {**handler(source), "max_digits": self.digits, "decimal_places": self.places}
        # Python itself writes small numbers with an exponent, which is not read.
        written = core_schema.plain_serializer_function_ser_schema(
            "{:f}".format, return_schema=core_schema.str_schema(), when_used="json-unless-none"
        )
        return core_schema.no_info_after_validator_function(
            self.with_all_places,
            read_from_text(limited, DECIMAL_TEXT),
            serialization=written if self.places > PLACES_WITHOUT_EXPONENT else None,
        )

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the JSON schema of the string."""
        whole = f"-?[0-9]{{1,{max(self.digits - self.places, 1)}}}"
        fraction = rf"(\.[0-9]{{1,{self.places}}})?" if self.places else ""
        return {"type": "string", "pattern": f"^{whole}{fraction}$"}

    def with_all_places(self, number: Decimal) -> Decimal:
        """Return the number as databases have it: 19.9 with all its places as 19.90, and zero without a sign."""
        exact = number.quantize(Decimal(1).scaleb(-self.places), context=EXACT)
        return exact or exact.copy_abs()


@dataclass(frozen=True)
class Json:
    """Annotation for any JSON value, with a limit on its stored size: `Annotated[Any, Json(max_bytes=10_000)]`."""

    max_bytes: int

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of any JSON value."""
        return core_schema.no_info_after_validator_function(self.checked, core_schema.any_schema())

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return a JSON schema that allows any value and describes the size limit."""
        return {"description": f"Any JSON value of at most {self.max_bytes:,} bytes."}

    def checked(self, value: Any) -> Any:
        """Return the value, or raise `ValueError` if it is too large or cannot be stored."""
        _refuse_what_is_not_kept(value)
        if len(json_text(value).encode()) > self.max_bytes:
            raise ValueError(f"the value has more than {self.max_bytes} bytes as JSON")
        return value


def json_text(value: Any) -> str:
    """Return the value as JSON text, as both serializers write it."""
    return to_json(value).decode()


def _refuse_what_is_not_kept(value: Any) -> None:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as members:
                waiting += [*members, *members.values()]
            case list() as elements:
                waiting += elements
            case float() as number if not isfinite(number):
                raise ValueError("JSON has no NaN and no Infinity")
            case int() as number if not -MAX_INTEGER - 1 <= number <= MAX_INTEGER:
                raise ValueError("an integer has more than 64 bits")
            case str() as text if not _is_kept(text):
                raise ValueError("a text has a NUL character or half of a surrogate pair")
            case _:
                pass


def _is_kept(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


# The largest integer that every JSON reader keeps exact (RFC 8259, section 6).
MAX_EXACT = 2**53 - 1


def text(*, min: int = 0, max: int) -> StringConstraints:  # noqa: A002
    """Return the constraints of a string: a length in characters, and no NUL."""
    # PostgreSQL cannot store NUL.
    return StringConstraints(min_length=min, max_length=max, pattern=r"^[^\x00]*$")
