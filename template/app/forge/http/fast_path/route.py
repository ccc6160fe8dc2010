"""A route on the fast path, with its parameters and dependencies resolved in advance."""

import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, get_type_hints

from fastapi import Request, Response, params, routing
from fastapi.dependencies import utils as dependencies
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, RouteContext, _extract_endpoint_context
from fastapi.utils import is_body_allowed_for_status_code
from starlette.routing import Route

from app.forge.http.fast_path.call import Call
from app.forge.http.fast_path.plan import Plan, below, plan_of, yields

JSON = b"application/json"
# Functions that instrumentation libraries replace to observe requests, and the modules that define them.
WATCHED: list[tuple[Any, str, str]] = [
    (routing, "get_request_handler", routing.__name__),
    (routing, "request_response", routing.__name__),
    (routing, "run_endpoint_function", routing.__name__),
    (routing, "solve_dependencies", dependencies.__name__),
    (APIRoute, "get_route_handler", routing.__name__),
    (APIRoute, "handle", routing.__name__),
    (APIRoute, "matches", routing.__name__),
    (Route, "handle", Route.__module__),
    (Route, "matches", Route.__module__),
]


class UseFastAPI(Exception):
    """FastAPI has to handle this request or route; the message is a sentence with the reason.

    `body_error` is the exception that reading the body raised, if any.
    """

    def __init__(self, why: str = "", body_error: Exception | None = None) -> None:
        super().__init__(why)
        self.body_error = body_error


@dataclass(frozen=True)
class DirectRoute:
    """A route on the fast path, and how to call its endpoint."""

    route: APIRoute
    path: str
    endpoint: Callable[..., Awaitable[Any]]
    plan: Plan
    # The app whose `dependency_overrides` apply to the dependencies, if there are any.
    overrides_provider: Any | None
    # True if a dependency has code after `yield`, which runs when the response has been sent.
    yields: bool
    # Makes a response from a value that the endpoint returned despite its annotation.
    serialized: Callable[[Any, Call], Response]

    def is_overridden(self) -> bool:
        """Return True if a dependency may have been replaced, as tests do."""
        return self.overrides_provider is not None and bool(self.overrides_provider.dependency_overrides)

    async def respond(self, request: Request, body: Any) -> Response:
        """Call the dependencies and the endpoint, and return its response."""
        call, plan = Call(request, body), self.plan
        arguments = await call.arguments(plan) if plan.dependencies else call.read(plan, {})
        if call.errors:
            raise self._invalid(request, call)
        response = await self.endpoint(**arguments)
        if not isinstance(response, Response):
            return self.serialized(response, call)
        if response.background is None:
            response.background = call.background_tasks
        return response

    def _invalid(self, request: Request, call: Call) -> RequestValidationError:
        context = _extract_endpoint_context(self.endpoint)
        context["path"] = f"{request.method} {self.path}"
        return RequestValidationError(call.errors, body=call.body, endpoint_ctx=context)


async def read_json(request: Request) -> Any:
    """Return the body of the request, or raise `UseFastAPI`."""
    content_type = next((value for name, value in request.scope["headers"] if name == b"content-type"), None)
    # With another content type, or none, FastAPI decides how to read the body.
    if content_type != JSON:
        raise UseFastAPI
    try:
        body = await request.body()
    except Exception as error:
        raise UseFastAPI(body_error=error) from error
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise UseFastAPI from None
    if value is None:
        raise UseFastAPI
    return value


def direct_route(context: RouteContext) -> DirectRoute:
    """Return the route for the fast path, or raise `UseFastAPI` with the reason against it."""
    route = context.original_route
    # A custom route class may do anything.
    if type(route) is not APIRoute:
        raise UseFastAPI(f"It is declared with the class {type(route).__name__}, not with FastAPI's own.")
    _refuse_watched_routes(context)
    dependant = context.dependant
    _refuse_other_endpoints(dependant.call)
    _refuse_other_bodies(dependant.body_params)
    for each in below(dependant):
        _refuse_other_dependencies(each)
    if context.max_body_size is not None:
        raise UseFastAPI("It sets `max_body_size`.")
    return DirectRoute(
        route=route,
        path=str(context.path_format),
        endpoint=dependant.call,
        plan=plan_of(dependant),
        overrides_provider=context.dependency_overrides_provider if dependant.dependencies else None,
        yields=any(map(yields, below(dependant))),
        serialized=_serializer(context),
    )


def _serializer(context: RouteContext) -> Callable[[Any, Call], Response]:
    response_class = getattr(context.response_class, "value", context.response_class)

    def serialize(value: Any, call: Call) -> Response:
        status = call.response.status_code or context.status_code
        options = {"status_code": status} if status else {}
        response: Response = response_class(
            jsonable_encoder(value), background=call.background_tasks, **options
        )
        if not is_body_allowed_for_status_code(response.status_code):
            response.body = b""
        response.headers.raw.extend(call.response.headers.raw)
        return response

    return serialize


def _refuse_watched_routes(context: RouteContext) -> None:
    for owner, name, home in WATCHED:
        function = vars(owner)[name]
        if type(function) is not FunctionType or function.__module__ != home:
            by = getattr(function, "__module__", "another library")
            raise UseFastAPI(f"{by} watches FastAPI's routes: it replaced `{name}`.")
    if getattr(context.app, "__module__", None) != routing.__name__:
        raise UseFastAPI("Its `app` has been replaced or wrapped.")


def _refuse_other_endpoints(endpoint: Callable[..., Any]) -> None:
    if not inspect.iscoroutinefunction(endpoint):
        raise UseFastAPI("Its function is not `async def`, so FastAPI runs it in a thread or streams it.")
    try:
        returned = get_type_hints(endpoint).get("return")
    except NameError as error:
        raise UseFastAPI(f"An annotation of its function cannot be resolved: {error}.") from None
    if not isinstance(returned, type) or not issubclass(returned, Response):
        raise UseFastAPI(
            f"Its function returns {_named(returned)}, not a Response, so FastAPI serializes it."
        )


def _named(annotation: object) -> str:
    if annotation is None:
        return "nothing"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _refuse_other_dependencies(dependant: Any) -> None:
    name = getattr(dependant.call, "__name__", type(dependant.call).__name__)
    if dependant.body_params:
        raise UseFastAPI(f"Its dependency {name} reads the body.")
    if dependant.concurrency is not None:
        raise UseFastAPI(f"Its dependency {name} has a `max_concurrency`.")
    try:
        hash(dependant.call)
    except TypeError:
        raise UseFastAPI(f"Its dependency {name} cannot be cached, because it has no hash.") from None


def _refuse_other_bodies(parameters: list[Any]) -> None:
    if len(parameters) > 1:
        names = ", ".join(f"`{parameter.name}`" for parameter in parameters)
        raise UseFastAPI(f"Its body has several parameters: {names}.")
    for parameter in parameters:
        info = parameter.field_info
        if not isinstance(info, params.Body) or isinstance(info, params.Form):
            raise UseFastAPI(f"Its parameter `{parameter.name}` is a form or a file.")
        if info.embed:
            raise UseFastAPI(f"Its parameter `{parameter.name}` is embedded in the body.")
