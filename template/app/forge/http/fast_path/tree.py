"""A tree of all routes by path segment, so that the time to find one does not depend on their number."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from fastapi import APIRouter
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.convertors import StringConvertor
from starlette.routing import BaseRoute, Route, WebSocketRoute

from app.forge.http.fast_path.route import DirectRoute, UseFastAPI, direct_route


@dataclass
class Node:
    """A node of the tree: the segments that may follow, and the routes that end here."""

    literals: dict[str, "Node"] = field(default_factory=dict)
    parameter: "Node | None" = None
    # By method, with the names of the path parameters. None means that FastAPI handles the route.
    routes: dict[str, tuple[DirectRoute, list[str]] | None] = field(default_factory=dict)

    def at(self, segment: str) -> "Node":
        """Return the child node for a segment of a route's path. Add it if it does not exist."""
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


class RouteTree:
    """The fast-path routes of a router. It notices when routes are added, removed or replaced."""

    def __init__(self, router: APIRouter) -> None:
        self._router = router
        self._root = Node()
        # The route lists of all routers, and copies from when the tree was built.
        self._routes: list[list[BaseRoute]] = [router.routes]
        self._known: list[list[BaseRoute]] = []

    def find(self, method: str, path: str) -> tuple[DirectRoute, dict[str, str]] | None:
        """Return the direct route that FastAPI would choose too and its parameters, or None."""
        # FastAPI compiles a path to a regular expression, whose `$` also matches before a final line break.
        if path.endswith("\n"):
            return None
        if self._routes != self._known or self._router.routes is not self._routes[0]:
            self._grow()
        return self._root.find(method, path)

    def _grow(self) -> None:
        self._routes = list(_route_lists(self._router))
        self._known = [list(routes) for routes in self._routes]
        self._root = Node()
        for route in declared_routes(self._router):
            if route.segments is None:
                continue
            node = self._root
            for segment in route.segments:
                node = node.at(segment)
            names = [segment[1:-1] for segment in route.segments if _is_parameter(segment)]
            node.routes.setdefault(route.method, None if route.direct is None else (route.direct, names))


def _route_lists(router: APIRouter) -> Iterator[list[BaseRoute]]:
    yield router.routes
    for route in router.routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from _route_lists(included)


@dataclass(frozen=True)
class DeclaredRoute:
    """One method of a route, with its `DirectRoute` or the reason why it has none.

    `segments` is None unless every segment of the path is a literal or a parameter that matches any segment.
    """

    method: str
    path: str
    segments: list[str] | None
    direct: DirectRoute | None
    reason: str | None


def declared_routes(router: APIRouter) -> Iterator[DeclaredRoute]:
    """Yield all routes in the order in which FastAPI tries them."""
    earlier = _Earlier()
    for context in iter_route_contexts(router.routes):
        if isinstance(context.original_route, WebSocketRoute):
            continue
        path = context.path_format or ""
        segments = path.split("/") if _is_plain(context) else None
        try:
            direct, reason = _direct(context, segments, earlier), None
        except UseFastAPI as why:
            direct, reason = None, str(why)
        for method in sorted(context.methods or {"*"}):
            hidden = earlier.methods.get((method, path))
            reason_of_method = reason if hidden is None else "An earlier route handles this method and path."
            yield DeclaredRoute(
                method, path, segments, None if reason_of_method else direct, reason_of_method
            )
            earlier.methods.setdefault((method, path), path)
        earlier.add(path, is_plain=segments is not None)


def _direct(context: RouteContext, segments: list[str] | None, earlier: "_Earlier") -> DirectRoute:
    if not isinstance(context.original_route, Route):
        raise UseFastAPI("Another application is mounted there.")
    if segments is None:
        raise UseFastAPI("Its path has a converter, or a segment that is only partly a parameter.")
    direct = direct_route(context)
    shadow = earlier.shadow(str(context.path_format))
    if shadow is not None:
        raise UseFastAPI(f"The earlier route {shadow or '/'} may handle the same paths.")
    return direct


@dataclass
class _Earlier:
    """The routes declared before another one. FastAPI uses the first match, which the tree alone may not find."""

    paths: list[str] = field(default_factory=list)
    methods: dict[tuple[str, str], str] = field(default_factory=dict)
    # Paths that are not made of literal segments and plain parameters only.
    complex_paths: list[str] = field(default_factory=list)

    def add(self, path: str, *, is_plain: bool) -> None:
        """Remember a route."""
        (self.paths if is_plain else self.complex_paths).append(path)

    def shadow(self, path: str) -> str | None:
        """Return an earlier path that FastAPI may match before this one, unlike the tree; or None."""
        start = _beginning(path)
        for other in self.complex_paths:
            if start.startswith(_beginning(other)) or _beginning(other).startswith(start):
                return other
        return next((other for other in self.paths if "{" in other and _shadows(other, path)), None)


def _beginning(path: str) -> str:
    return path.partition("{")[0]


def _is_parameter(segment: str) -> bool:
    return segment.startswith("{")


def _is_plain(context: RouteContext) -> bool:
    """Return True if every segment of the path is a literal or a parameter that matches any segment."""
    if not isinstance(context.original_route, Route) or not context.methods:
        return False
    if not all(type(convertor) is StringConvertor for convertor in context.param_convertors.values()):
        return False
    segments = str(context.path_format).split("/")
    return all("{" not in segment or segment.strip("{}") == segment[1:-1] for segment in segments)


def _shadows(earlier: str, later: str) -> bool:
    """Return True if, at the first segment that differs, the earlier path has a parameter and the later a literal."""
    pairs = list(zip(earlier.split("/"), later.split("/"), strict=False))
    if earlier.count("/") != later.count("/"):
        return False
    for one, other in pairs:
        if one != other and not (_is_parameter(one) and _is_parameter(other)):
            return _is_parameter(one)
    return False
