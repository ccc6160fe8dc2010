"""All routes in a tree of their paths' segments, so that finding one takes no longer where there are many."""

from dataclasses import dataclass, field

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.convertors import StringConvertor
from starlette.routing import Route, WebSocketRoute

from app.direct_routes.route import DirectRoute, direct_route


@dataclass
class Node:
    """Where paths that begin alike go on: with a literal segment, else with a parameter."""

    literals: dict[str, "Node"] = field(default_factory=dict)
    parameter: "Node | None" = None
    # By method, with the names of the parameters on the way; None where only FastAPI can answer.
    routes: dict[str, tuple[DirectRoute, list[str]] | None] = field(default_factory=dict)

    def at(self, segment: str) -> "Node":
        """Return the node after this segment of a route's path, made where there is none."""
        if not _is_parameter(segment):
            return self.literals.setdefault(segment, Node())
        self.parameter = self.parameter or Node()
        return self.parameter

    def find(self, method: str, path: str) -> tuple[DirectRoute, dict[str, str]] | None:
        """Return the direct route that FastAPI would choose too and its parameters, or None."""
        node = self
        values: list[str] = []
        for segment in path.split("/"):
            following = node.literals.get(segment)
            if following is None:
                if node.parameter is None or not segment:
                    return None
                following = node.parameter
                values.append(segment)
            node = following
        found = node.routes.get(method)
        return None if found is None else (found[0], dict(zip(found[1], values, strict=True)))


def tree_of(app: FastAPI) -> Node:
    """Return the root of all routes of the application."""
    root, earlier = Node(), _Earlier()
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, WebSocketRoute):
            continue
        path = context.path_format or ""
        if not _is_plain(context):
            earlier.beginnings.append(_beginning(path))
            continue
        node = root
        for segment in path.split("/"):
            node = node.at(segment)
        direct = None if earlier.may_take(path) else direct_route(context)
        names = [segment[1:-1] for segment in path.split("/") if _is_parameter(segment)]
        for method in context.methods or ():
            node.routes.setdefault(method, None if direct is None else (direct, names))
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
