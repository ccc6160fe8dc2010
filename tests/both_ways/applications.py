"""Applications as data: routes, middleware and handlers as users write them; each keeps its observations."""

from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

from app.forge.errors import NotFound
from app.forge.http.compression import CompressedResponses
from app.forge.http.compression_negotiated import CompressionMiddleware
from app.forge.http.fast_path import FastPathMiddleware
from app.forge.http.middleware import RequestIdMiddleware
from app.forge.http.problems import add_error_handlers
from app.forge.service import Service
from dependencies import DependencySpec, EndpointSpec, Pool, Use
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount, Route

Trace = list[tuple[Any, ...]]
DEPENDING = "depending"


class Broken(Exception):
    """An error of the user's."""


class VeryBroken(Broken):
    """One of its subclasses."""


class Colour(Enum):
    """Values that are chosen by name."""

    RED = "red"
    BLUE = "blue"


class Thing(BaseModel):
    """A body."""

    name: str
    size: int = 1


ERRORS: dict[str, Callable[[], Exception]] = {
    "Broken": lambda: Broken("broken"),
    "VeryBroken": lambda: VeryBroken("very"),
    "ValueError": lambda: ValueError("value"),
    "HTTPException": lambda: HTTPException(418, "teapot", {"X-Tea": "green"}),
    "HTTPException 500": lambda: HTTPException(500, "down"),
    "NotFound": lambda: NotFound("Nothing here."),
}
HANDLED: dict[str, Any] = {
    "Exception": Exception,
    "500": 500,
    "418": 418,
    "404": 404,
    "HTTPException": HTTPException,
    "Broken": Broken,
    "VeryBroken": VeryBroken,
    "RuntimeError": RuntimeError,
    "RequestValidationError": RequestValidationError,
}


@dataclass(frozen=True)
class RouteSpec:
    """One route."""

    path: str
    method: str
    kind: str
    has_dependency: bool
    # For the kind "depending".
    endpoint: EndpointSpec


@dataclass(frozen=True)
class MiddlewareSpec:
    """A middleware, and how it is added."""

    kind: str
    how: str


@dataclass(frozen=True)
class ApplicationSpec:
    """A whole application, and the changes to it after its first responses."""

    routes: list[RouteSpec]
    prefix: str | None
    middleware: list[MiddlewareSpec]
    handlers: list[tuple[str, bool]]
    has_problems: bool
    mount: str | None
    mount_is_first: bool
    overrides: bool
    # A pool that routes, the router and the application use.
    dependencies: list[DependencySpec]
    of_router: list[Use]
    of_application: list[Use]
    later: str | None


class Plain(Service):
    """The service without the fast path."""

    def routing(self) -> list[Middleware]:
        return [each for each in super().routing() if each.cls is not FastPathMiddleware]


@dataclass
class Built:
    """An application and its observations."""

    app: FastAPI
    pool: Pool
    trace: Trace = field(default_factory=list)


def asks(scope: Any, what: str) -> bool:
    """Return whether the request's header asks for this."""
    return any(name == b"x-ask" and what.encode() in value for name, value in scope["headers"])


def build(spec: ApplicationSpec, kind: type[Service]) -> Built:
    """Return the application."""
    trace: Trace = []
    mounted = [] if spec.mount is None else [_mounted(spec.mount, trace)]
    constructed = [each for each in spec.middleware if each.how == "constructor"]
    pool = Pool(spec.dependencies, trace)
    app = kind(
        dependencies=list(map(pool.declared, spec.of_application)),
        outermost=[Middleware(RequestIdMiddleware)],
        innermost=[Middleware(CompressionMiddleware)],
        respond=CompressedResponses(CompressionMiddleware),
        middleware=[Middleware(ADDED[each.kind], trace) for each in constructed],
    )
    if spec.has_problems:
        add_error_handlers(app)
    app.router.routes += mounted if spec.mount_is_first else []
    router = APIRouter() if spec.prefix is not None else app.router
    for route in spec.routes:
        _add_route(router, route, pool, trace)
    if spec.prefix is not None:
        app.include_router(router, prefix=spec.prefix, dependencies=list(map(pool.declared, spec.of_router)))
    app.router.routes += [] if spec.mount_is_first else mounted
    _add_middleware(app, spec, trace)
    for key, is_async in spec.handlers:
        app.add_exception_handler(HANDLED[key], _handler(key, trace, is_async=is_async))
    built = Built(app, pool, trace)
    if spec.overrides:
        _override(built)
    return built


def _add_middleware(app: FastAPI, spec: ApplicationSpec, trace: Trace) -> None:
    for each in spec.middleware:
        if each.how == "added":
            app.add_middleware(ADDED[each.kind], trace)
        elif each.how == "decorated":
            app.middleware("http")(_decorated(trace))


def change(built: Built, later: str | None) -> None:
    """Change the application while it runs."""
    routes = built.app.router.routes
    if later == "insert":
        routes.insert(0, Route("/things/{anything}", lambda _request: PlainTextResponse("inserted")))
    elif later == "remove" and routes:
        del routes[-1]
    elif later == "remove first" and len(routes) > 1:
        del routes[1]
    elif later == "reassign":
        built.app.router.routes = [route for route in routes if not isinstance(route, Mount)][::-1]
    elif later == "add":
        built.app.add_api_route("/later", _plain_endpoint(built.trace), methods=["GET"])
    elif later == "router":
        built.app.router = APIRouter()
    built.app.dependency_overrides.clear()
    if later == "overrides":
        _override(built)


def _override(built: Built) -> None:
    async def override(limit: Annotated[int, Query(ge=1)] = 1) -> Any:
        built.trace.append(("override", limit))
        return "overridden"

    hashable = [each for each in built.pool.calls if isinstance(each, Hashable)]
    for each in [depended, *hashable[:1]]:
        built.app.dependency_overrides[each] = override


def depended() -> str:
    """Return the dependencies of endpoints."""
    return "depended"


def _add_route(router: APIRouter, spec: RouteSpec, pool: Pool, trace: Trace) -> None:
    dependencies: list[Any] = [Depends(depended)] if spec.has_dependency else []
    if spec.kind == DEPENDING:
        dependencies += map(pool.declared, spec.endpoint.unnamed)
        endpoint = pool.endpoint(spec.endpoint)
    else:
        endpoint = ENDPOINTS[spec.kind](trace)
    router.add_api_route(
        spec.path,
        endpoint,
        methods=[spec.method],
        dependencies=dependencies,
        name=spec.kind,
    )


def _plain_endpoint(trace: Trace) -> Any:
    async def plain(request: Request) -> Response:
        trace.append(("endpoint", request.method, str(request.url), sorted(request.path_params.items())))
        return PlainTextResponse(f"{request.scope['route'].path} {request.headers.get('x-added')}")

    return plain


def _values(trace: Trace) -> Any:
    async def values(
        thing_id: UUID,
        limit: Annotated[int, Query(ge=1)] = 20,
        colour: Colour | None = None,
        order: Literal["up", "down"] = "up",
        made: Annotated[str, Query(default_factory=lambda: "made")] = "own",
    ) -> Response:
        trace.append(("values", thing_id, limit, colour, order, made))
        return Response(f"{thing_id} {limit} {colour} {order}", headers={"ETag": '"1"'})

    return values


def _factory(trace: Trace) -> Any:
    async def factory(made: Annotated[str, Query(default_factory=lambda: "made")]) -> Response:
        trace.append(("factory", made))
        return Response(made)

    return factory


def _body(trace: Trace) -> Any:
    async def body(thing: Thing, request: Request, limit: int = 3) -> Response:
        trace.append(("body", thing, limit, await request.body()))
        return Response(thing.model_dump_json(), 201, media_type="application/json")

    return body


def _raising(name: str) -> Callable[[Trace], Any]:
    def of(trace: Trace) -> Any:
        async def raising() -> Response:
            trace.append(("raising", name))
            raise ERRORS[name]()

        return raising

    return of


def _large(trace: Trace) -> Any:
    async def large(request: Request) -> Response:
        trace.append(("large", request.state.request_id))
        return Response(b"large " * 500, media_type="text/plain", headers={"ETag": '"large"'})

    return large


def _not_modified(_trace: Trace) -> Any:
    async def not_modified(request: Request) -> Response:
        headers = {} if "bare" in request.query_params else {"ETag": '"1"', "Vary": "Cookie"}
        return Response(status_code=304, headers=headers)

    return not_modified


def _background(error: str | None) -> Callable[[Trace], Any]:
    def of(trace: Trace) -> Any:
        def later() -> None:
            trace.append(("background", error))
            if error:
                raise ERRORS[error]()

        async def background() -> Response:
            return Response("early", background=BackgroundTask(later))

        return background

    return of


def _background_tasks(trace: Trace) -> Any:
    async def background_tasks(tasks: BackgroundTasks) -> Response:
        tasks.add_task(trace.append, ("task",))
        return Response("early")

    return background_tasks


def _stream(error: str | None) -> Callable[[Trace], Any]:
    def of(trace: Trace) -> Any:
        async def lines() -> AsyncIterator[bytes]:
            yield b"one\n"
            trace.append(("streamed", error))
            if error:
                raise ERRORS[error]()
            yield b"two\n"

        async def stream() -> StreamingResponse:
            return StreamingResponse(lines(), media_type="text/plain")

        return stream

    return of


def _missing_file(_trace: Trace) -> Any:
    async def missing_file() -> FileResponse:
        return FileResponse("/nowhere/at-all")

    return missing_file


def _linking(trace: Trace) -> Any:
    async def linking(request: Request) -> Response:
        trace.append(("linking", request.scope["router"] is request.app.router))
        return Response(str(request.app.url_path_for("linking", **request.path_params)))

    return linking


def _serialized(trace: Trace) -> Any:
    async def serialized(thing_id: str = "x") -> dict[str, str]:
        trace.append(("serialized", thing_id))
        return {"id": thing_id}

    return serialized


def _lying(_trace: Trace) -> Any:
    async def lying() -> Response:
        returned: Any = {"not": "a response"}
        return returned

    return lying


def _dependent(trace: Trace) -> Any:
    async def dependent(value: Annotated[str, Depends(depended)]) -> Response:
        trace.append(("dependent", value))
        return Response(value)

    return dependent


def _synchronous(trace: Trace) -> Any:
    def synchronous() -> Response:
        trace.append(("synchronous",))
        return Response("synchronous")

    return synchronous


ENDPOINTS: dict[str, Callable[[Trace], Any]] = {
    "plain": _plain_endpoint,
    "values": _values,
    "factory": _factory,
    "body": _body,
    "large": _large,
    "not modified": _not_modified,
    "background": _background(None),
    "background tasks": _background_tasks,
    "stream": _stream(None),
    "missing file": _missing_file,
    "linking": _linking,
    "serialized": _serialized,
    "lying": _lying,
    "dependent": _dependent,
    "synchronous": _synchronous,
    **{f"raises {name}": _raising(name) for name in ERRORS},
    **{f"background raises {name}": _background(name) for name in ERRORS},
    **{f"stream raises {name}": _stream(name) for name in ERRORS},
}


def _handler(key: str, trace: Trace, *, is_async: bool) -> Any:
    def handle(request: Request, error: Exception) -> Response:
        route = getattr(request.scope.get("route"), "path", None)
        trace.append(("handler", key, repr(error), str(error), request.scope["path"], route))
        if asks(request.scope, "handlers raise"):
            raise HTTPException(404, "raised by a handler")
        return JSONResponse(
            {"handled": key, "error": repr(error)}, 500 if key in ("500", "Exception") else 400
        )

    async def handle_asynchronously(request: Request, error: Exception) -> Response:
        if asks(request.scope, "handlers read"):
            trace.append(("handler read", await request.body()))
        return handle(request, error)

    return handle_asynchronously if is_async else handle


def _decorated(trace: Trace) -> Any:
    async def decorated(request: Request, call_next: Any) -> Response:
        trace.append(("decorated", request.method, request.url.path))
        response: Response = await call_next(request)
        trace.append(("decorated after", response.status_code, sorted(request.path_params.items())))
        response.headers["X-Decorated"] = "yes"
        return response

    return decorated


class Tracing:
    """A middleware that records the messages, before and after."""

    def __init__(self, app: Any, trace: Trace) -> None:
        self.app = app
        self.trace = trace

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        name = type(self).__name__

        async def send_noted(message: Any) -> None:
            self.trace.append((name, message["type"], message.get("status"), message.get("more_body")))
            await self.pass_on(scope, message, send)

        self.trace.append(
            (name, scope["method"], scope["path"], scope.get("root_path"), len(scope["headers"]))
        )
        inner = self.changed(scope)
        try:
            if inner is not None:
                await self.app(inner, self.receiving(scope, receive), send_noted)
            else:
                await PlainTextResponse("refused", 401)(scope, receive, send_noted)
        except Exception as error:
            self.trace.append((name, "raised", repr(error), repr(error.__cause__)))
            raise
        finally:
            route, endpoint = scope.get("route"), scope.get("endpoint")
            self.trace.append(
                (
                    name,
                    getattr(route, "path", None),
                    getattr(endpoint, "__name__", type(endpoint).__name__),
                    sorted(scope.get("path_params", {}).items()),
                    scope.get("root_path"),
                    "router" in scope,
                    scope["state"].get("route_template"),
                )
            )

    def changed(self, scope: Any) -> Any:
        return scope

    def receiving(self, _scope: Any, receive: Any) -> Any:
        return receive

    async def pass_on(self, _scope: Any, message: Any, send: Any) -> None:
        await send(message)


class Auth(Tracing):
    """A middleware that refuses."""

    def changed(self, scope: Any) -> Any:
        return None if asks(scope, "refuse") else scope


class Raising(Tracing):
    """A middleware that raises instead of calling the inner application."""

    def changed(self, scope: Any) -> Any:
        if asks(scope, "raise"):
            raise Broken("in middleware")
        return scope


class Rewriting(Tracing):
    """A middleware that changes path, method and headers in the scope."""

    def changed(self, scope: Any) -> Any:
        if asks(scope, "rewrite"):
            scope["path"] = "/things/" + scope["path"].rpartition("/")[2]
            scope["method"] = "GET"
            scope["headers"] = [*scope["headers"], (b"x-added", b"yes")]
        return scope


class Copying(Tracing):
    """A middleware that passes a copy of the scope on."""

    def changed(self, scope: Any) -> Any:
        return dict(scope)


class Prefixed(Tracing):
    """A middleware that sets a root path, like a proxy's prefix."""

    def changed(self, scope: Any) -> Any:
        if asks(scope, "root"):
            scope["root_path"] = "/root"
        return scope


class RaisingReceive(Tracing):
    """A middleware that refuses a body while it is read."""

    def receiving(self, scope: Any, receive: Any) -> Any:
        async def fail() -> Any:
            if asks(scope, "body value"):
                raise ValueError("no good body")
            if asks(scope, "body http"):
                raise HTTPException(413, "too large")
            return await receive()

        return fail


class RaisingSend(Tracing):
    """A middleware that refuses a response while it is sent."""

    async def pass_on(self, scope: Any, message: Any, send: Any) -> None:
        if asks(scope, "send value"):
            raise ValueError("no good response")
        if asks(scope, "send http"):
            raise HTTPException(418, "no good response")
        await send(message)


def cors(app: Any, _trace: Trace) -> Any:
    """Return Starlette's own CORS middleware."""
    return CORSMiddleware(app, allow_origins=["*"])


def gzip(app: Any, _trace: Trace) -> Any:
    """Return Starlette's own compression middleware."""
    return GZipMiddleware(app, minimum_size=10)


ADDED: dict[str, Any] = {
    "tracing": Tracing,
    "auth": Auth,
    "raising": Raising,
    "rewriting": Rewriting,
    "copying": Copying,
    "prefixed": Prefixed,
    "raising receive": RaisingReceive,
    "raising send": RaisingSend,
    "cors": cors,
    "gzip": gzip,
}


def _mounted(path: str, trace: Trace) -> Mount:
    inner = FastAPI()
    inner.add_api_route("/newest", _plain_endpoint(trace), methods=["GET"])
    inner.add_api_route("/{thing_id}", _plain_endpoint(trace), methods=["GET"])
    return Mount(path, inner)
