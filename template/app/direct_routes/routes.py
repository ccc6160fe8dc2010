"""All routes in a tree of their paths' segments, so that finding one takes no longer where there are many."""

from dataclasses import dataclass, field

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.convertors import StringConvertor
from starlette.routing import BaseRoute, Match, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from app.direct_routes.route import DirectRoute, direct_route


@dataclass
class _Node:
    """Where paths that begin alike go on: with a literal segment, else with a parameter."""

    literals: dict[str, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    # By method; None where only FastAPI can answer.
    routes: dict[str, DirectRoute | None] = field(default_factory=dict)

    def at(self, segment: str) -> "_Node":
        """Return the node after this segment of a route's path, made where there is none."""
        if not _is_parameter(segment):
            return self.literals.setdefault(segment, _Node())
        self.parameter = self.parameter or _Node()
        return self.parameter


class DirectRoutes(BaseRoute):
    """The first of an application's routes, `app.router.routes.insert(0, DirectRoutes(app))`."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._root: _Node | None = None

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return the direct route that FastAPI would choose too, or no match where it has to choose."""
        # FastAPI's own way is the one that tells OpenTelemetry, and knows what is mounted where.
        if scope["type"] != "http" or "fastapi.telemetry" in scope or scope.get("root_path"):
            return Match.NONE, {}
        direct, values = self._find(scope["path"], scope["method"])
        if direct is None:
            return Match.NONE, {}
        path_params = dict(zip(direct.path_names, values, strict=True))
        return Match.FULL, {
            "route": direct.route,
            "endpoint": direct.endpoint,
            "path_params": path_params,
            "direct_route": direct,
        }

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        direct: DirectRoute = scope["direct_route"]
        await direct(scope, receive, send)

    def _find(self, path: str, method: str) -> tuple[DirectRoute | None, list[str]]:
        # Made for the first request, when all routes are declared. One that is declared later comes after them.
        node = self._root = self._root or _tree(self._app)
        values: list[str] = []
        for segment in path.split("/"):
            following = node.literals.get(segment)
            if following is None:
                if node.parameter is None or not segment:
                    return None, values
                following = node.parameter
                values.append(segment)
            node = following
        return node.routes.get(method), values


def _tree(app: FastAPI) -> _Node:
    root, earlier = _Node(), _Earlier()
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, DirectRoutes | WebSocketRoute):
            continue
        path = context.path_format or ""
        if not _is_plain(context):
            earlier.beginnings.append(_beginning(path))
            continue
        node = root
        for segment in path.split("/"):
            node = node.at(segment)
        direct = None if earlier.may_take(path) else direct_route(context)
        for method in context.methods or ():
            node.routes.setdefault(method, direct)
        earlier.paths.append(path)
    return root


@dataclass
class _Earlier:
    """Routes declared before another one. FastAPI takes the first that matches, which the tree cannot always tell."""

    paths: list[str] = field(default_factory=list)
    # Of paths that are more than literal segments and parameters.
    beginnings: list[str] = field(default_factory=list)

    def may_take(self, path: str) -> bool:
        """Return whether a request of this path may be for one of them where the tree would not say so."""
        start = _beginning(path)
        if any(start.startswith(other) or other.startswith(start) for other in self.beginnings):
            return True
        return any(_hides(other.split("/"), path.split("/")) for other in self.paths if "{" in other)


def _beginning(path: str) -> str:
    return path.partition("{")[0]


def _is_parameter(segment: str) -> bool:
    return segment.startswith("{")


def _is_plain(context: RouteContext) -> bool:
    """Return whether the path consists of literal segments and of parameters that are any segment."""
    if not isinstance(context.original_route, Route) or not context.methods:
        return False
    if not all(type(convertor) is StringConvertor for convertor in context.param_convertors.values()):
        return False
    segments = str(context.path_format).split("/")
    return all("{" not in segment or segment.strip("{}") == segment[1:-1] for segment in segments)


def _hides(earlier: list[str], later: list[str]) -> bool:
    """Return whether the earlier path has a parameter where the later one goes another, literal way."""
    if len(earlier) != len(later):
        return False
    for one, other in zip(earlier, later, strict=True):
        if one != other and not (_is_parameter(one) and _is_parameter(other)):
            return _is_parameter(one)
    return False
