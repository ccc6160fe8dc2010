"""The caller of a request: who sends it, and what they may do. Routes declare what they need:

@router.post("/reports", dependencies=[Security(caller, scopes=["reports:write"])])
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from fastapi import Request, Security, params
from fastapi.openapi.models import HTTPBearer
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection
from starlette.types import Scope

from app.forge.auth.refusals import forbidden
from app.forge.resource import Collection

Rules = TypeVar("Rules", bound=Collection[Any, Any])


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, which scopes they have, and by what they were recognized."""

    subject: str
    scopes: frozenset[str]
    known_by: str


class FindsCallers(Protocol):
    """Finds out who sends a request."""

    async def find(self, scope: Scope) -> Caller:
        """Return the caller, or raise 401 without valid credentials, 503 if they cannot be checked now."""


class CallerDependency(SecurityBase):
    """The caller, as a dependency that is also a security scheme of the OpenAPI document.

    It raises 401 without valid credentials, and 403 without the scopes that the route declares.
    """

    def __init__(self, scheme_name: str, model: HTTPBearer) -> None:
        self.scheme_name = scheme_name
        self.model = model

    async def __call__(self, connection: HTTPConnection, needed: SecurityScopes) -> Caller:
        """Return the caller of this HTTP request or WebSocket. It is found once, and kept in `request.state.caller`."""
        state = connection.scope["state"]
        found: Caller | None = state.get("caller")
        if found is None:
            authenticator: FindsCallers = state["authenticator"]
            found = state["caller"] = await authenticator.find(connection.scope)
        if not found.scopes.issuperset(needed.scopes):
            raise forbidden(needed.scopes)
        return found

    def needed(self, scope: str | None) -> list[params.Depends]:
        """Return the dependencies of routes that need this scope; None needs no credentials at all."""
        return [] if scope is None else [Security(self, scopes=[scope])]


def readable(request: Request, relations: Sequence[str], scopes: Mapping[str, str]) -> Sequence[str]:
    """Return the relations to expand, or raise 403 if the caller may not read what one of them refers to."""
    caller: Caller = request.state.caller
    needed = [scopes[relation] for relation in relations]
    if not caller.scopes.issuperset(needed):
        raise forbidden(needed)
    return relations


def for_caller(rules: Rules, request: Request, owned: Sequence[str]) -> Rules:
    """Return the rules for the caller, who sees only their own rows in these tables without the scope `…:all`."""
    caller: Caller = request.state.caller
    return rules.of(caller.subject, frozenset([each for each in owned if f"{each}:all" not in caller.scopes]))
