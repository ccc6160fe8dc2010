"""The OpenAPI document of routes that an owner adds, and of the service itself."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import APIRouter, FastAPI, Header, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError

from app.forge.bodies import Count, Figures
from app.forge.http.fast_path.tree import declared_routes
from app.forge.http.problems import PRECONDITION_FAILED, UNAVAILABLE
from app.forge.http.responses import NOT_MODIFIED, READ
from app.main import create_app
from app.settings import Settings

AXES: tuple[str, ...] = ()

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def operation(app: FastAPI, path: str, method: str = "get") -> dict[str, Any]:
    document: dict[str, Any] = app.openapi()["paths"][path][method]
    return document


def names_of_headers(response: dict[str, Any]) -> set[str]:
    return set(response["headers"])


def parameters(stated: dict[str, Any]) -> list[str]:
    return [each.get("name") or each["$ref"].rpartition("/")[2] for each in stated.get("parameters", ())]


def test_an_operation_is_named_after_its_function(app: FastAPI) -> None:
    @app.get("/orders/{order_id}")
    async def read_order(order_id: int) -> None: ...

    assert operation(app, "/orders/{order_id}")["operationId"] == "read_order"


def test_functions_with_the_same_name_get_different_ids(app: FastAPI) -> None:
    for version in (1, 2):
        router = APIRouter(prefix=f"/v{version}")

        @router.get("/orders")
        async def list_orders() -> None: ...

        app.include_router(router)

    assert operation(app, "/v1/orders")["operationId"] == "list_orders"
    assert operation(app, "/v2/orders")["operationId"] == "list_orders_v2_orders_get"


def test_similar_paths_get_different_ids(app: FastAPI) -> None:
    for path in ("/a-b", "/a_b", "/a.b"):

        @app.get(path)
        async def read_it() -> None: ...

    found = [operation(app, path)["operationId"] for path in ("/a-b", "/a_b", "/a.b")]
    assert found == ["read_it", "read_it_a_b_get", "read_it_a_b_get_2"]


def test_an_explicit_operation_id_has_precedence(app: FastAPI) -> None:
    @app.get("/first")
    async def read_order() -> None: ...

    @app.get("/second", operation_id="read_order")
    async def another() -> None: ...

    assert operation(app, "/second")["operationId"] == "read_order"
    assert operation(app, "/first")["operationId"] == "read_order_first_get"


def test_an_operation_without_a_function_name_is_named_by_its_path(app: FastAPI) -> None:
    app.get("/orders", name="All orders!")(lambda: None)

    assert operation(app, "/orders")["operationId"] == "All_orders_orders_get"


def test_several_methods_of_one_function_get_different_ids(app: FastAPI) -> None:
    @app.api_route("/orders", methods=["GET", "PUT"])
    async def serve() -> None: ...

    named = [operation(app, "/orders", method)["operationId"] for method in ("get", "put")]
    assert named == ["serve", "serve_orders_put"]


def test_an_invalid_request_is_documented_as_the_problem_that_it_gets(app: FastAPI) -> None:
    @app.get("/orders/{order_id}")
    async def read_order(order_id: int) -> None: ...

    assert operation(app, "/orders/{order_id}")["responses"]["422"]["content"] == PROBLEM
    assert not {"HTTPValidationError", "ValidationError"} & app.openapi()["components"]["schemas"].keys()


def test_a_422_that_a_route_documents_is_kept(app: FastAPI) -> None:
    @app.get("/orders/{order_id}", responses={422: {"description": "No such number."}})
    async def read_order(order_id: int) -> None: ...

    assert operation(app, "/orders/{order_id}")["responses"]["422"]["description"] == "No such number."


def test_routes_of_an_owner_document_the_headers_of_every_response(app: FastAPI) -> None:
    @app.get("/orders", responses=UNAVAILABLE)
    async def list_orders() -> None: ...

    responses = operation(app, "/orders")["responses"]
    everywhere = {"X-Request-ID", "Server-Timing", "Cache-Control"}
    assert names_of_headers(responses["200"]) == everywhere
    assert names_of_headers(responses["503"]) == everywhere | {"Retry-After"}
    assert parameters(operation(app, "/orders")) == ["X-Request-ID"]


def test_a_route_that_returns_304_or_412_documents_its_request_headers(app: FastAPI) -> None:
    @app.get("/orders", responses=NOT_MODIFIED | PRECONDITION_FAILED)
    async def list_orders() -> None: ...

    assert parameters(operation(app, "/orders")) == ["If-None-Match", "If-Match", "X-Request-ID"]
    assert "ETag" in operation(app, "/orders")["responses"]["200"]["headers"]


def test_a_header_parameter_of_a_function_is_documented_once(app: FastAPI) -> None:
    @app.get("/orders", responses=NOT_MODIFIED)
    async def list_orders(if_none_match: Annotated[str | None, Header()] = None) -> None: ...

    assert parameters(operation(app, "/orders")) == ["if-none-match", "X-Request-ID"]


def test_a_parameter_is_left_out_and_never_null(app: FastAPI) -> None:
    @app.get("/orders")
    async def list_orders(after: UUID | None = None, limit: int | str | None = None) -> None: ...

    schemas = [each["schema"] for each in operation(app, "/orders")["parameters"] if "schema" in each]
    assert schemas[0] == {"type": "string", "format": "uuid", "title": "After"}
    assert schemas[1]["anyOf"] == [{"type": "integer"}, {"type": "string"}]


def test_parts_of_summaries_are_documented_if_they_are_used(app: FastAPI) -> None:
    @app.get("/figures", response_model=Figures[int, float])
    async def read_figures() -> None: ...

    @app.get("/counts", response_model=list[Count[UUID]])
    async def read_counts() -> None: ...

    schema = operation(app, "/figures")["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == {"min", "max", "mean"}
    counts = operation(app, "/counts")["responses"]["200"]["content"]["application/json"]["schema"]
    assert counts["items"]["properties"]["value"] == {"type": "string", "format": "uuid", "title": "Value"}
    assert all(name.isalnum() for name in app.openapi()["components"]["schemas"])


def test_every_tag_is_listed(app: FastAPI) -> None:
    @app.get("/orders", tags=["orders"])
    async def list_orders() -> None: ...

    tags = app.openapi()["tags"]
    assert {"name": "orders"} in tags
    assert all(tag["description"] for tag in tags if tag["name"] != "orders")


def test_a_document_has_no_headers_that_nothing_sends(app: FastAPI) -> None:
    app.router.routes[:] = [route for route in app.router.routes if not isinstance(route, APIRoute)]
    used = str(app.openapi()["paths"])

    assert all(f"/headers/{name}'" in used for name in app.openapi()["components"]["headers"])


def test_documented_headers_keep_a_route_on_the_fast_path(app: FastAPI) -> None:
    @app.get("/orders", responses=READ | PRECONDITION_FAILED | UNAVAILABLE)
    async def list_orders() -> Response:
        return Response(status_code=HTTPStatus.NO_CONTENT)

    ways = {route.path: route.reason for route in declared_routes(app.router) if route.direct is None}
    assert "/orders" not in ways


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "/"),
        ("https://api.example.com", "https://api.example.com"),
        ("http://127.0.0.1:8080/shop/", "http://127.0.0.1:8080/shop"),
    ],
)
def test_the_server_is_the_public_url(settings: Settings, given: str | None, expected: str) -> None:
    app = create_app(settings.model_copy(update={"public_url": given}))

    assert app.openapi()["servers"] == [{"url": expected}]


@pytest.mark.parametrize(
    "given", ["api.example.com", "ftp://example.com", "https://", "https://a/?b", "https://a b"]
)
def test_an_invalid_public_url_is_refused(given: str) -> None:
    with pytest.raises(ValidationError, match="public_url"):
        Settings(_env_file=None, public_url=given)
