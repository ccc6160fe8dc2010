"""Routes added to a rendered service: items behind dependencies, and lists with parameters of many types."""

# Reading the parameters is what is measured.
# ruff: noqa: ARG001, S107

from collections.abc import AsyncIterator
from datetime import date
from enum import Enum
from typing import Annotated, Literal

from app.items.routes import list_items
from app.resources import RESOURCES
from fastapi import Cookie, Depends, FastAPI, Header, Request, Response, Security
from fastapi.security import HTTPBearer, SecurityScopes


class Colour(Enum):
    """The values of a parameter."""

    RED = "red"
    BLUE = "blue"


async def agent(user_agent: Annotated[str, Header()] = "none") -> str:
    """Return a header."""
    return user_agent


async def caller(agent: Annotated[str, Depends(agent)], x_token: Annotated[str, Header()]) -> str:
    """Return a header and what another dependency returned."""
    return f"{agent} {x_token}"


async def scoped_caller(
    scopes: SecurityScopes, credentials: Annotated[object, Depends(HTTPBearer())]
) -> tuple[list[str], object]:
    """Return the scopes of the route and the token."""
    return scopes.scopes, credentials


def caller_in_thread(x_token: Annotated[str, Header()]) -> str:
    """Return a header."""
    return x_token


async def resource() -> AsyncIterator[str]:
    """Open and close something."""
    yield "opened"


DEPENDENCIES = {
    "/none": None,
    "/async": Depends(caller),
    "/security": Security(scoped_caller, scopes=["items:read"]),
    "/thread": Depends(caller_in_thread),
    "/yield": Depends(resource),
}


def add_routes(app: FastAPI) -> None:
    """Add the routes to the service."""
    for prefix, dependency in DEPENDENCIES.items():
        for each in RESOURCES:
            app.include_router(
                each.router, prefix=prefix, dependencies=[] if dependency is None else [dependency]
            )
    app.add_api_route("/typed", list_by_typed)
    app.add_api_route("/untyped", list_by_text)


async def list_by_typed(
    request: Request,
    colour: Colour = Colour.RED,
    order: Literal["up", "down"] = "up",
    day: date | None = None,
    x_token: Annotated[str, Header()] = "none",
    session: Annotated[str, Cookie()] = "none",
) -> Response:
    """Return a page of items."""
    return await list_items(request, limit=20)


async def list_by_text(
    request: Request,
    colour: str = "red",
    order: str = "up",
    day: str | None = None,
    x_token: str = "none",
    session: str = "none",
) -> Response:
    """Return a page of items."""
    return await list_items(request, limit=20)
