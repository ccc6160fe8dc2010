"""The scopes that the routes of a service declare."""

from collections.abc import Iterable, Iterator

from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext


def declared_scopes(routes: Iterable[RouteContext]) -> set[str]:
    """Return all scopes in `Security(caller, scopes=…)` of these routes."""
    return {scope for route in routes for scope in _scopes(getattr(route, "dependant", None))}


def _scopes(dependant: Dependant | None) -> Iterator[str]:
    if dependant is None:
        return
    yield from dependant.own_oauth_scopes or ()
    for each in dependant.dependencies:
        yield from _scopes(each)
