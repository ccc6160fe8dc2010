"""The OpenAPI documents of generated services: linted, and consistent."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.clients.conftest import RESOURCES, Document, Services
from tests.clients.tools import Tools

EXCEPTIONS = tomllib.loads((Path(__file__).parent / "exceptions.toml").read_text(encoding="utf-8"))[
    "exception"
]
SPECTRAL = "@stoplight/spectral-cli/dist/index.js"
REDOCLY = "@redocly/cli/bin/cli.js"
# A finding: the rule and its location.
Finding = tuple[str, str]


@pytest.fixture(params=RESOURCES)
def resources(request: pytest.FixtureRequest) -> str:
    """Return the name of each list of resources."""
    return str(request.param)


@pytest.fixture
def document(resources: str, services: Services) -> Document:
    """Return the document of the service."""
    return services.of(resources).document


@pytest.fixture
def folder(document: Document, tmp_path: Path) -> Path:
    """Return a folder with the document and the rules of both linters."""
    (tmp_path / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
    (tmp_path / ".spectral.yaml").write_text('extends: ["spectral:oas"]\n', encoding="utf-8")
    (tmp_path / "redocly.yaml").write_text("extends: [recommended]\n", encoding="utf-8")
    return tmp_path


def excepted(*rules: str) -> set[Finding]:
    """Return the findings of these rules that remain."""
    return {(each["rule"], place) for each in EXCEPTIONS if each["rule"] in rules for place in each["places"]}


def in_this_document(document: Document, findings: set[Finding]) -> set[Finding]:
    """Return the findings whose locations are in the document."""
    paths = {path.replace("/", "~1") for path in document["paths"]}
    return {(rule, place) for rule, place in findings if place == "info" or place.split("/")[1] in paths}


def test_spectral_finds_nothing(folder: Path, document: Document, tools: Tools) -> None:
    told = tools.run_node(
        SPECTRAL, "lint", "openapi.json", "--format", "json", "--quiet", cwd=folder, accepted=(0, 1)
    )
    found = {(each["code"], "/".join(map(str, each["path"]))) for each in json.loads(told)}

    assert found == in_this_document(document, excepted("info-contact"))


def test_redocly_finds_nothing(folder: Path, document: Document, tools: Tools) -> None:
    told = tools.run_node(
        REDOCLY,
        "lint",
        "openapi.json",
        "--config",
        "redocly.yaml",
        "--format",
        "json",
        cwd=folder,
        accepted=(0, 1),
    )
    problems = json.loads(told)["problems"]
    found = {(each["ruleId"], each["location"][0]["pointer"].removeprefix("#/")) for each in problems}

    assert found == in_this_document(document, excepted("info-license", "operation-4xx-response"))


def test_linters_find_errors(folder: Path, document: Document, tools: Tools) -> None:
    path = next(iter(document["paths"]))
    broken = json.loads(json.dumps(document))
    broken["paths"][path]["get" if "get" in broken["paths"][path] else "post"].pop("operationId")
    (folder / "openapi.json").write_text(json.dumps(broken), encoding="utf-8")

    for program in (SPECTRAL, REDOCLY):
        told = tools.run_node(
            program, "lint", "openapi.json", "--format", "json", cwd=folder, accepted=(0, 1)
        )
        assert "operationId" in told or "operation-operationId" in told


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object inside a JSON value, and the value itself."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(inner)


def test_every_example_is_valid(document: Document) -> None:
    schemas = {"components": document["components"]}
    examples = 0
    for schema in parts(document["components"]["schemas"]):
        for example in schema.get("examples", ()) if isinstance(schema.get("examples"), list) else ():
            examples += 1
            jsonschema.validate(
                example,
                schemas | schema,
                jsonschema.Draft202012Validator,
                format_checker=jsonschema.FormatChecker(),
            )
    resources = sum(name.endswith("Draft") for name in document["components"]["schemas"])

    # A draft, its changes and the response of each resource, and a problem.
    assert examples >= 3 * resources + 1


def test_every_reference_has_a_target(document: Document) -> None:
    for part in parts(document):
        if "$ref" in part:
            place: Any = document
            for step in part["$ref"].removeprefix("#/").split("/"):
                place = place[step]


def test_operations_are_named_after_functions_and_tags_are_described(document: Document) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]

    assert len(names) == len(set(names))
    assert all(name.isidentifier() and "api_v1" not in name for name in names)
    described = {tag["name"] for tag in document["tags"] if tag.get("description")}
    assert {tag for operation in operations for tag in operation["tags"]} == described


def test_schemas_have_names_that_clients_can_use(document: Document) -> None:
    assert all(name.isalnum() for name in document["components"]["schemas"])


def test_every_problem_is_documented_as_such(document: Document) -> None:
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert set(response["content"]) == {"application/problem+json"}
