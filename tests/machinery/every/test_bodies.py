"""Bodies read every annotation from JSON, in one form, whichever path their route takes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from fastapi import Response
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from pydantic import Field, HttpUrl, NaiveDatetime, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from app.forge.bodies import Body, ResponseModel, body
from app.forge.fields import Day, Exact, Finite, FromText, Moment, Reference
from app.forge.http.fast_path.tree import RouteTree
from app.main import create_app
from app.settings import Settings

AXES: tuple[str, ...] = ()

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
NOON = "2026-11-27T12:00:00Z"


class Status(StrEnum):
    """An enum of strings."""

    OPEN = "open"
    PAID = "paid"


class Level(IntEnum):
    """An enum of integers."""

    LOW = 1
    HIGH = 2


class Mixed(Enum):
    """An enum of both."""

    ONE = 1
    WORD = "word"


class Pair(TypedDict):
    """A dictionary inside a body, which shares its rules."""

    size: int
    day: date


@dataclass
class Box:
    """A dataclass inside a body, which shares its rules."""

    size: int
    day: date


class Line(Body):
    """A body inside a body. Its fields are named like parts of schemas."""

    default: UUID
    metadata: date | None = None
    type: Status = Status.OPEN


class Returned(ResponseModel):
    """A response, which only documents what a route returns."""

    size: int


class Order(Body):
    """A field of every kind."""

    uuid: UUID | None = None
    day: date | None = None
    late_day: Annotated[date, Field(ge=date(2020, 1, 1))] | None = None
    at: datetime | None = None
    local: NaiveDatetime | None = None
    time_: time | None = None
    duration: timedelta | None = None
    price: Annotated[Decimal, Field(max_digits=5, decimal_places=2)] | None = None
    raw: bytes | None = None
    status: Status | None = None
    level: Level | None = None
    mixed: Mixed | None = None
    word: Literal["a", "b"] | None = None
    days: set[date] | None = None
    place: tuple[int, UUID] | None = None
    address: IPv4Address | None = None
    path: Path | None = None
    url: HttpUrl | None = None
    pair: Pair | None = None
    box: Box | None = None
    line: Line | None = None
    lines: list[Line] | None = None
    parent: "Order | None" = None
    by_id: dict[UUID, int] | None = None
    by_number: dict[int, date] | None = None
    count: int | None = None
    yes: bool | None = None
    text: str | None = None
    ratio: float | None = None
    reference: Reference | None = None
    other_day: Day | None = None
    moment: Moment | None = None
    finite: Finite | None = None
    amount: Annotated[Decimal, Exact(digits=5, places=2)] | None = None


@body
class OrderChanges(TypedDict, total=False):
    """A change of an order."""

    uuid: UUID
    day: date | None
    status: Status
    count: int
    lines: list[Line]


READ = [
    ("uuid", ID, UUID(ID)),
    ("uuid", ID.upper(), UUID(ID)),
    ("day", "2026-11-27", date(2026, 11, 27)),
    ("late_day", "2026-11-27", date(2026, 11, 27)),
    ("at", NOON, datetime(2026, 11, 27, 12, tzinfo=UTC)),
    ("at", "2026-11-27t13:00:00.5+01:00", datetime(2026, 11, 27, 12, 0, 0, 500_000, tzinfo=UTC)),
    ("local", "2026-11-27T12:00:00", datetime(2026, 11, 27, 12)),  # noqa: DTZ001
    ("time_", "12:00:00", time(12)),
    ("duration", "PT90S", timedelta(seconds=90)),
    ("price", "19.99", Decimal("19.99")),
    ("raw", "é", "é".encode()),
    ("status", "paid", Status.PAID),
    ("level", 2, Level.HIGH),
    ("mixed", 1, Mixed.ONE),
    ("mixed", "word", Mixed.WORD),
    ("word", "b", "b"),
    ("days", ["2026-11-27"], {date(2026, 11, 27)}),
    ("place", [1, ID], (1, UUID(ID))),
    ("address", "192.0.2.1", IPv4Address("192.0.2.1")),
    ("path", "/a", Path("/a")),
    ("url", "https://example.org/", HttpUrl("https://example.org/")),
    ("pair", {"size": 1, "day": "2026-11-27"}, Pair(size=1, day=date(2026, 11, 27))),
    ("box", {"size": 1, "day": "2026-11-27"}, Box(1, date(2026, 11, 27))),
    ("line", {"default": ID, "type": "paid"}, Line(default=UUID(ID), type=Status.PAID)),
    ("lines", [{"default": ID}], [Line(default=UUID(ID))]),
    ("parent", {"uuid": ID}, Order(uuid=UUID(ID))),
    ("by_id", {ID: 1}, {UUID(ID): 1}),
    ("by_number", {"1": "2026-11-27"}, {1: date(2026, 11, 27)}),
    ("ratio", 1, 1.0),
    ("reference", ID, UUID(ID)),
    ("other_day", "2026-11-27", date(2026, 11, 27)),
    ("moment", "2026-11-27T13:00:00.1239+01:00", datetime(2026, 11, 27, 12, 0, 0, 123_000, tzinfo=UTC)),
    ("finite", 0.5, 0.5),
    ("amount", "19.99", Decimal("19.99")),
]
REFUSED = [
    ("uuid", 1),
    ("uuid", ID.replace("-", "")),
    ("uuid", f"urn:uuid:{ID}"),
    ("uuid", f"{{{ID}}}"),
    ("uuid", f"{ID}\n"),
    ("day", 1_700_000_000),
    ("day", "1700000000"),
    ("day", "2026-02-30"),
    ("day", "2026-W48-5"),
    ("day", NOON),
    ("late_day", "2019-12-31"),
    ("at", 1_700_000_000),
    ("at", 1.5),
    ("at", "1700000000"),
    ("at", "2026-11-27"),
    ("at", "2026-11-27T12:00:00"),
    ("at", "2026-11-27 12:00:00Z"),
    ("at", "2026-11-27T23:59:60Z"),
    ("at", "2026-11-27T12:00Z"),
    ("local", NOON),
    ("time_", 43_200),
    ("time_", "12"),
    ("duration", 90),
    ("duration", "1:30"),
    ("price", 19.99),
    ("price", "1e3"),
    ("price", "1_0"),
    ("price", "NaN"),
    ("price", "1234.56"),
    ("raw", 1),
    ("status", "lost"),
    ("status", 1),
    ("level", "2"),
    ("level", 1.0),
    ("level", True),
    ("mixed", "1"),
    ("mixed", True),
    ("word", "c"),
    ("days", ["1700000000"]),
    ("days", "2026-11-27"),
    ("place", ["1", ID]),
    ("address", 3_221_225_985),
    ("path", 1),
    ("pair", {"size": "1", "day": "2026-11-27"}),
    ("pair", {"size": 1, "day": "2026-11-27", "more": 1}),
    ("box", {"size": 1, "day": 1}),
    ("line", {"default": 1}),
    ("lines", [{"default": ID, "type": 1}]),
    ("parent", {"uuid": 1}),
    ("by_id", {f"urn:uuid:{ID}": 1}),
    ("by_number", {"x": "2026-11-27"}),
    ("count", "1"),
    ("count", True),
    ("count", 1.0),
    ("yes", 1),
    ("yes", "true"),
    ("text", 1),
    ("ratio", "1"),
    ("ratio", float("nan")),
    ("finite", float("inf")),
    ("moment", "0001-01-01T00:00:00+01:00"),
    ("amount", "1.999"),
    ("unknown", 1),
]


@pytest.mark.parametrize(("field", "given", "meant"), READ)
def test_a_plain_annotation_is_read_from_its_json(field: str, given: Any, meant: Any) -> None:
    read = getattr(Order.model_validate({field: given}), field)
    assert (type(read), read) == (type(meant), meant)


@pytest.mark.parametrize(("field", "given"), REFUSED)
def test_other_forms_are_refused_at_their_field(field: str, given: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        Order.model_validate({field: given})
    assert {error["loc"][0] for error in refused.value.errors()} == {field}
    assert len(refused.value.errors()) == 1


def test_code_may_pass_values_instead_of_text() -> None:
    order = Order(uuid=UUID(ID), day=date(2026, 11, 27), status=Status.PAID, days={date(2026, 11, 27)})
    assert order == Order.model_validate(order.model_dump(mode="json"))


def test_a_body_reads_its_own_dump() -> None:
    order = Order.model_validate({field: given for field, given, _ in READ})
    assert Order.model_validate_json(order.model_dump_json()) == order


def test_changes_keep_only_the_fields_that_were_sent() -> None:
    changes = TypeAdapter(OrderChanges)
    assert changes.validate_python({"day": None, "uuid": ID}) == {"day": None, "uuid": UUID(ID)}
    assert changes.validate_python({"lines": [{"default": ID}]}) == {"lines": [Line(default=UUID(ID))]}


@pytest.mark.parametrize("given", [{"uuid": 1}, {"day": 1}, {"count": "1"}, {"status": 1}, {"more": 1}])
def test_changes_are_as_strict_as_models(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(OrderChanges).validate_python(given)


def test_the_json_schema_has_one_form_for_each_type() -> None:
    schema = Order.model_json_schema()
    properties = schema["$defs"]["Order"]["properties"]
    forms = {name: each["anyOf"][0] for name, each in properties.items()}
    assert forms["uuid"] == forms["reference"] == {"type": "string", "format": "uuid"}
    assert forms["at"] == forms["moment"] == {"type": "string", "format": "date-time"}
    assert forms["price"]["type"] == forms["amount"]["type"] == "string"
    assert schema["$defs"]["Status"]["enum"] == ["open", "paid"]


def test_a_type_that_json_has_is_not_read_from_text() -> None:
    with pytest.raises(TypeError, match="no text format in JSON"):
        TypeAdapter(Annotated[int, FromText()])


class OfFastAPI(APIRoute):
    """A route that FastAPI handles, because of its class."""


async def keep_order(order: Order) -> Response:
    """Return the parsed body."""
    return Response(repr(order))


async def change_order(changes: OrderChanges) -> Response:
    """Return the parsed body."""
    return Response(repr(changes))


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[TestClient]:
    """Yield a client of a service in which both endpoints can be reached on both paths."""
    app = create_app(settings)
    for path, endpoint in (("/orders", keep_order), ("/changes", change_order)):
        app.post(path)(endpoint)
        app.router.add_api_route(
            f"/fastapi{path}", endpoint, methods=["POST"], route_class_override=OfFastAPI
        )
        assert RouteTree(app.router).find("POST", path)
        assert not RouteTree(app.router).find("POST", f"/fastapi{path}")
    with TestClient(app) as client:
        yield client


BODIES = [
    json.dumps({field: given}) for field, given in [*((name, text) for name, text, _ in READ), *REFUSED]
]


@pytest.mark.parametrize("sent", BODIES)
@pytest.mark.parametrize("path", ["/orders", "/changes"])
def test_both_paths_read_the_same(client: TestClient, path: str, sent: str) -> None:
    headers = {"Content-Type": "application/json", "X-Request-ID": "same"}
    direct = client.post(path, content=sent, headers=headers)
    whole = client.post(f"/fastapi{path}", content=sent, headers=headers)
    assert (direct.status_code, direct.text) == (whole.status_code, whole.text)


@pytest.mark.parametrize(
    ("exact", "pattern"),
    [
        (Exact(digits=12, places=2), r"^-?[0-9]{1,10}(\.[0-9]{1,2})?$"),
        (Exact(digits=5, places=0), "^-?[0-9]{1,5}$"),
        (Exact(digits=3, places=3), r"^-?[0-9]{1,1}(\.[0-9]{1,3})?$"),
    ],
)
def test_the_json_schema_of_an_exact_decimal_is_its_text(exact: Exact, pattern: str) -> None:
    bounded = TypeAdapter(Annotated[Decimal, Field(ge=Decimal(1)), exact]).json_schema()

    assert bounded == {"type": "string", "pattern": pattern}


def test_a_bound_of_an_exact_decimal_holds() -> None:
    prices = TypeAdapter(Annotated[Decimal, Field(ge=Decimal("0.50")), Exact(digits=5, places=2)])

    assert prices.validate_python("0.5") == Decimal("0.50")
    for given in ("0.49", "-1", "1000.00", "0.501"):
        with pytest.raises(ValidationError):
            prices.validate_python(given)


def test_a_response_model_is_built_when_it_is_first_needed(settings: Settings) -> None:
    async def read_bytes() -> Response:
        return Response('{"size":1}', media_type="application/json")

    async def read_model() -> Returned:
        return Returned(size=2)

    app = create_app(settings)
    app.add_api_route("/bytes", read_bytes, response_model=Returned)
    app.add_api_route("/model", read_model)
    with TestClient(app) as client:
        assert client.get("/bytes").json() == {"size": 1}
        assert not Returned.__pydantic_complete__
        assert client.get("/model").json() == {"size": 2}
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["Returned"]["properties"]["size"]["type"] == "integer"
