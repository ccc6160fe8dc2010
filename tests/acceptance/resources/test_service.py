"""The service around its resources, whether there are any or not."""

import re
import uuid
from typing import Any

import pytest

from tests.acceptance.resources.cases import FieldCase
from tests.acceptance.resources.grammar import Field, Resource
from tests.acceptance.resources.shop import Shop
from tests.acceptance.service import PROBLEM, Service, body_of, must, must_answer

OPERATIONS = {
    "": {"get": {"200", "304", "422"}, "post": {"201", "422"}},
    "/{}": {
        "get": {"200", "304", "404", "422"},
        "patch": {"200", "404", "412", "422"},
        "delete": {"204", "404", "412", "422"},
    },
    "/batch": {"post": {"201", "422"}},
    "/export": {"get": {"200"}},
    "/summary": {"get": {"200"}},
}


@pytest.fixture(scope="module")
def openapi(service: Service) -> dict[str, Any]:
    """The description of the API, with the names of parameters left out of its paths."""
    document: dict[str, Any] = body_of(service.send("GET", "/openapi.json"), 200, "the API is described")
    document["paths"] = {re.sub(r"\{\w+\}", "{}", path): each for path, each in document["paths"].items()}
    return document


def test_the_service_is_alive_and_ready(service: Service) -> None:
    must_answer(service.send("GET", "/health/live"), 200, "the service is alive")
    must_answer(service.send("GET", "/health/ready"), 200, "the service is ready")


def test_the_documentation_is_a_page(service: Service) -> None:
    answer = must_answer(service.send("GET", "/docs"), 200, "there is documentation")
    must(answer.headers["Content-Type"].startswith("text/html"), "the documentation is a page", answer)


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/api/v1/strangers", "/api/v1/strangers/batch"])
def test_an_unknown_route_returns_404(path: str, service: Service) -> None:
    must_answer(service.send("GET", path), 404, f"{path} is not there")
    must_answer(service.send_json("POST", path, {}), 404, f"{path} is not there")


def test_the_service_serves_its_resources_and_no_others(shop: Shop, openapi: dict[str, Any]) -> None:
    served = {path.split("/")[3] for path in openapi["paths"] if path.startswith("/api/v1/")}
    assert served == {resource.path.split("/")[3] for resource in shop.resources.values()}
    items = shop.service.send("GET", "/api/v1/items")
    must_answer(items, 200 if "items" in shop.resources else 404, "the sample is there if it is asked for")


def test_metrics_count_requests(service: Service) -> None:
    stranger = uuid.uuid4().hex
    service.send("GET", f"/{stranger}")
    answer = must_answer(service.send("GET", "/metrics"), 200, "metrics are returned")
    counted = re.search(r"^http_server_request_duration_seconds_count\{.*\} [1-9]", answer.text, re.MULTILINE)
    must(counted is not None, "requests are counted", answer)
    must(stranger not in answer.text, "a stranger cannot make new series", answer)


def test_a_request_id_is_kept(service: Service) -> None:
    identity = uuid.uuid4().hex
    answer = service.send("GET", "/health/live", headers={"X-Request-ID": identity})
    must(answer.headers["X-Request-ID"] == identity, "the caller's request id is kept", answer)


# --- What is documented ---------------------------------------------------------------------------------


def test_every_response_of_the_contract_is_documented(resource: Resource, openapi: dict[str, Any]) -> None:
    for ending, methods in OPERATIONS.items():
        path = f"{resource.path}{ending}"
        if ending[1:] in resource.without:
            assert path not in openapi["paths"]
            continue
        assert openapi["paths"][path].keys() == methods.keys(), f"{path} has {list(methods)}"
        for method, statuses in methods.items():
            documented = openapi["paths"][path][method]["responses"]
            assert statuses <= documented.keys(), f"{method} {path} documents {sorted(statuses)}"


def test_documented_errors_are_problems(resource: Resource, openapi: dict[str, Any]) -> None:
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            refusals = [each for status, each in operation["responses"].items() if status >= "400"]
            assert all(list(each["content"]) == [PROBLEM] for each in refusals), f"{method} {path}"


def test_taken_values_are_documented(unique_field: FieldCase, openapi: dict[str, Any]) -> None:
    path = unique_field.resource.path
    assert "409" in openapi["paths"][path]["post"]["responses"]
    assert "409" in openapi["paths"][f"{path}/{{}}"]["patch"]["responses"]


def test_parameters_of_pages_are_documented(resource: Resource, openapi: dict[str, Any]) -> None:
    listed = openapi["paths"][resource.path]["get"]["parameters"]
    shared = openapi["components"]["parameters"]
    parameters = [shared[each["$ref"].rpartition("/")[2]] if "$ref" in each else each for each in listed]
    names = {each["name"] for each in parameters if each["in"] == "query"}
    expand = {"expand"} if resource.references else set()
    assert names == {"limit", "after", *expand, *(field.name for field in resource.filters)}


def _schema(openapi: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return what a schema refers to; of one that may be null, what it may be else."""
    if "$ref" in schema:
        return _schema(openapi, openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    choices = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return _schema(openapi, choices[0]) if len(choices) == 1 else schema


def _draft(openapi: dict[str, Any], resource: Resource) -> dict[str, Any]:
    body = openapi["paths"][resource.path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return _schema(openapi, body)


def test_the_fields_of_a_new_row_are_documented(resource: Resource, openapi: dict[str, Any]) -> None:
    schema = _draft(openapi, resource)
    assert schema["properties"].keys() == {field.name for field in resource.fields}
    required = {field.name for field in resource.fields if field.is_required}
    assert set(schema.get("required", ())) == required
    assert schema["additionalProperties"] is False


def test_the_limits_of_a_field_are_documented(any_field: FieldCase, openapi: dict[str, Any]) -> None:
    field = any_field.field
    documented = _schema(openapi, _draft(openapi, any_field.resource)["properties"][field.name])
    expected = _limits(field)
    found = {name: documented.get(name) for name in expected}
    assert found == expected, f"{any_field} is documented with {expected}"
    if field.is_list:
        element = _schema(openapi, documented["items"])
        found = {name: element.get(name) for name in _limits(field.element)}
        assert found == _limits(field.element), f"an element of {any_field}"


def _limits(field: Field) -> dict[str, Any]:
    """Return the JSON Schema of a field."""
    if field.is_list:
        return {"type": "array", "maxItems": field.length}
    match field.kind:
        case "str":
            least, most = field.lengths
            return {"type": "string", "minLength": least, "maxLength": most}
        case "int" | "float":
            bounds = zip(("minimum", "maximum"), field.bounds, strict=True)
            given = {name: float(bound) for name, bound in bounds if bound is not None}
            return {"type": "integer" if field.kind == "int" else "number", **given}
        case "enum":
            return {"type": "string", "enum": field.words}
        case "json":
            return {}
        case "bool":
            return {"type": "boolean"}
        case "decimal":
            return {"type": "string"}
    formats = {"date": "date", "datetime": "date-time", "uuid": "uuid", "ref": "uuid"}
    return {"type": "string", "format": formats[field.kind]}
