"""`fastforge explain --routes`: the routes on the fast path, and the reasons why others are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunFastForge
from tests.variants.environments import environment_of

ADDED = """
import enum
from typing import Annotated, Literal

from fastapi import APIRouter, BackgroundTasks, Cookie, Depends, FastAPI, Header, Query, Response
from fastapi.routing import APIRoute


class Special(APIRoute):
    pass


class Colour(enum.Enum):
    RED = "red"


class Unhashable:
    __hash__ = None

    async def __call__(self) -> None: ...


def user() -> str:
    return "user"


async def body(names: list[str]) -> None: ...


router = APIRouter()


def declare(path, **options):
    return router.get(path, **options)


@declare("/direct")
async def direct(colour: Colour = Colour.RED, order: Literal["up", "down"] = "up") -> Response: ...
@declare("/direct")
async def again() -> Response: ...
@declare("/dependencies", dependencies=[Depends(user)])
async def dependencies(
    who: Annotated[str, Depends(user)],
    agent: Annotated[str, Header()],
    session: Annotated[str, Cookie()],
    tags: Annotated[list[str], Query()],
    later: BackgroundTasks,
    limit: int = Query(3),
) -> Response: ...
@declare("/limited", dependencies=[Depends(user, max_concurrency=2)])
async def limited() -> Response: ...
@declare("/body", dependencies=[Depends(body)])
async def of_body() -> Response: ...
@declare("/unhashable", dependencies=[Depends(Unhashable())])
async def unhashable() -> Response: ...
@declare("/value")
async def value() -> dict[str, str]: ...
@declare("/thread")
def thread() -> Response: ...
@declare("/files/{rest:path}")
async def files(rest: str) -> Response: ...
@declare("/files/newest")
async def newest() -> Response: ...


special = APIRouter(route_class=Special)


@special.get("/special")
async def of_a_class() -> Response: ...


def add(app: FastAPI) -> None:
    app.include_router(router, prefix="/v2")
    app.include_router(special)
    app.mount("/mounted", FastAPI())
"""
REASONS = {
    "/v2/dependencies": None,
    "/v2/limited": "Its dependency user has a `max_concurrency`.",
    "/v2/body": "Its dependency body reads the body.",
    "/v2/unhashable": "Its dependency Unhashable cannot be cached, because it has no hash.",
    "/v2/value": "Its function returns dict[str, str], not a Response, so FastAPI serializes it.",
    "/v2/thread": "Its function is not `async def`, so FastAPI runs it in a thread or streams it.",
    "/v2/files/{rest}": "Its path has a converter, or a segment that is only partly a parameter.",
    "/v2/files/newest": "The earlier route /v2/files/{rest} may handle the same paths.",
    "/special": "It is declared with the class Special, not with FastAPI's own.",
    "/mounted/{path}": "Another application is mounted there.",
}


@pytest.fixture(scope="module")
def python_environment(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a function that gives a project its environment."""

    def give(project: Path) -> None:
        (project / ".venv").symlink_to(environment_of(project))

    return give


@pytest.fixture
def project(fastforge: RunFastForge, work: Path, python_environment: Any) -> Path:
    """Return a project with the default answers and its environment."""
    assert fastforge("new", "orders", "--defaults", "--no-git").exit_code == 0
    python_environment(work / "orders")
    return work / "orders"


def add_routes(project: Path, text: str = ADDED) -> None:
    (project / "app/added.py").write_text(text)
    main = project / "app/main.py"
    code = main.read_text().replace("    return app\n", "    added.add(app)\n    return app\n")
    main.write_text(code.replace("from app.forge.about", "from app import added\nfrom app.forge.about", 1))


def test_every_route_is_listed_with_its_path(fastforge: RunFastForge, project: Path) -> None:
    shown = fastforge("explain", "--routes", "orders")
    routes = fastforge("explain", "--routes", "--json", cwd=project).document["routes"]

    assert shown.exit_code == 0
    assert {route["path"] for route in routes if route["direct"]} >= {"/api/v1/items", "/health/ready"}
    assert all(route["direct"] == (route["reason"] is None) for route in routes)
    assert (
        f"{sum(route['direct'] for route in routes)} of {len(routes)} routes are on the fast path."
        in shown.output
    )
    assert "GET     /api/v1/items" in shown.output


def test_every_reason_against_the_fast_path_is_named(fastforge: RunFastForge, project: Path) -> None:
    add_routes(project)

    routes = fastforge("explain", "--routes", "orders", "--json").document["routes"]

    found = {route["path"]: route["reason"] for route in routes if route["path"] in REASONS}
    assert found == REASONS
    twice = [route["reason"] for route in routes if route["path"] == "/v2/direct"]
    assert twice == [None, "An earlier route handles this method and path."]


def test_output_of_the_project_itself_does_not_interfere(fastforge: RunFastForge, project: Path) -> None:
    add_routes(project, 'print("hello")\n\n\ndef add(_app): ...\n')

    assert fastforge("explain", "--routes", "orders", "--json").document["routes"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def add(_app):", "cannot start: IndentationError"),
        ("import nothing_such", "cannot start: ModuleNotFoundError: No module named 'nothing_such'"),
        (
            "def add(_app):\n    raise LookupError('nothing such')",
            "cannot start: LookupError: nothing such",
        ),
        ("def add(_app):\n    raise SystemExit(3)", "cannot start: no reason given"),
    ],
)
def test_a_project_that_cannot_be_imported_is_reported_with_the_reason(
    fastforge: RunFastForge, project: Path, code: str, words: str
) -> None:
    add_routes(project, code)

    result = fastforge("explain", "--routes", "orders")
    document = fastforge("explain", "--routes", "orders", "--json").document

    assert result.exit_code == 1
    assert words in result.errors
    assert words in document["error"]
    assert ".venv/bin/python -m app.forge.http.fast_path" in document["hint"]


def test_a_project_without_an_environment_is_refused_with_the_next_step(
    fastforge: RunFastForge, project: Path
) -> None:
    (project / ".venv").unlink()

    result = fastforge("explain", "--routes", "orders")

    assert result.exit_code == 1
    assert "make install" in result.errors


def test_a_project_of_a_template_without_routes_needs_an_update(
    fastforge: RunFastForge, project: Path
) -> None:
    (project / "app/forge/http/fast_path/__main__.py").unlink()

    result = fastforge("explain", "--routes", "orders")

    assert result.exit_code == 1
    assert "fastforge update" in result.errors


def test_a_folder_that_is_not_a_project_is_refused(fastforge: RunFastForge, project: Path) -> None:
    assert fastforge("explain", "--routes", ".").exit_code == 2
    assert project.exists()
