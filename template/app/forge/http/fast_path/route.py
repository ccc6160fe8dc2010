"""A route on the fast path, with its parameters resolved in advance."""

import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from types import FunctionType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from fastapi import Request, Response, params, routing
from fastapi.encoders import jsonable_encoder
from fastapi.routing import APIRoute, RouteContext
from fastapi.utils import is_body_allowed_for_status_code
from starlette.routing import Route

# FastAPI may build parameters of other types from several values of a request.
SCALARS = frozenset({str, int, float, bool, UUID, date, datetime, type(None)})
JSON = b"application/json"
# Functions that instrumentation libraries replace to observe requests.
WATCHED: list[tuple[Any, str]] = [
    (routing, "get_request_handler"),
    (routing, "request_response"),
    (routing, "run_endpoint_function"),
    (APIRoute, "get_route_handler"),
    (APIRoute, "handle"),
    (APIRoute, "matches"),
    (Route, "handle"),
    (Route, "matches"),
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
    """A route on the fast path, and how to find the arguments of its endpoint in a request."""

    route: APIRoute
    path: str
    endpoint: Callable[..., Awaitable[Any]]
    # Serializes a return value that is not a response, despite the annotation.
    serialized: Callable[[Any], Response]
    path_fields: list[Any]
    query_fields: list[Any]
    body_field: Any | None
    request_name: str | None

    async def arguments(self, request: Request) -> dict[str, Any]:
        """Return the arguments of the endpoint, or raise `UseFastAPI`."""
        path_params = request.path_params
        arguments = {field.name: _validated(field, path_params[field.alias]) for field in self.path_fields}
        for field in self.query_fields:
            given = request.query_params.get(field.alias)
            if given is not None:
                arguments[field.name] = _validated(field, given)
            elif field.field_info.is_required():
                raise UseFastAPI
        if self.body_field is not None:
            arguments[self.body_field.name] = _validated(self.body_field, await _read_json(request))
        if self.request_name is not None:
            arguments[self.request_name] = request
        return arguments


def _validated(field: Any, given: object) -> Any:
    value, errors = field.validate(given)
    if errors:
        raise UseFastAPI
    return value


async def _read_json(request: Request) -> Any:
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
    endpoint = dependant.call
    _refuse_other_endpoints(endpoint)
    _refuse_more_than_values(dependant)
    for parameter in [*dependant.path_params, *dependant.query_params]:
        _refuse_no_scalar(parameter, endpoint)
    _refuse_other_bodies(dependant.body_params)
    if context.max_body_size is not None:
        raise UseFastAPI("It sets `max_body_size`.")
    return DirectRoute(
        route=route,
        path=str(context.path_format),
        endpoint=endpoint,
        serialized=_serializer(context),
        path_fields=dependant.path_params,
        query_fields=dependant.query_params,
        body_field=next(iter(dependant.body_params), None),
        request_name=dependant.request_param_name,
    )


def _serializer(context: RouteContext) -> Callable[[Any], Response]:
    response_class = getattr(context.response_class, "value", context.response_class)
    status = {"status_code": context.status_code} if context.status_code else {}

    def serialize(value: Any) -> Response:
        response: Response = response_class(jsonable_encoder(value), **status)
        if not is_body_allowed_for_status_code(response.status_code):
            response.body = b""
        return response

    return serialize


def _refuse_watched_routes(context: RouteContext) -> None:
    for owner, name in WATCHED:
        function = vars(owner)[name]
        home = owner.__name__ if owner is routing else owner.__module__
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


def _refuse_more_than_values(dependant: Any) -> None:
    if dependant.dependencies:
        names = [getattr(each.call, "__name__", type(each.call).__name__) for each in dependant.dependencies]
        raise UseFastAPI(f"It depends on {', '.join(names)}.")
    for kind, parameters in (("header", dependant.header_params), ("cookie", dependant.cookie_params)):
        if parameters:
            raise UseFastAPI(f"Its parameter `{parameters[0].name}` is a {kind}.")
    for type_, name in (
        ("HTTPConnection", dependant.http_connection_param_name),
        ("Response", dependant.response_param_name),
        ("BackgroundTasks", dependant.background_tasks_param_name),
        ("SecurityScopes", dependant.security_scopes_param_name),
    ):
        if name:
            raise UseFastAPI(f"Its parameter `{name}` is a {type_}.")


def _refuse_no_scalar(parameter: Any, endpoint: Callable[..., Any]) -> None:
    name, info = parameter.name, parameter.field_info
    annotation = info.annotation
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    for kind in kinds:
        plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
        if not _is_scalar(plain):
            raise UseFastAPI(f"Its parameter `{name}` is a {_named(plain)}, not a single plain value.")
    if info.validation_alias not in (None, parameter.alias):
        raise UseFastAPI(f"Its parameter `{name}` has a `validation_alias`.")
    default = inspect.signature(endpoint).parameters[name].default
    # The fast path relies on the default of the function.
    if isinstance(default, params.Param):
        raise UseFastAPI(
            f"The default of its parameter `{name}` is not a value; `Annotated` would make it one."
        )
    if default is inspect.Parameter.empty and not info.is_required():
        raise UseFastAPI(f"The default of its parameter `{name}` comes from a function.")


def _is_scalar(annotation: Any) -> bool:
    is_enum = isinstance(annotation, type) and issubclass(annotation, Enum)
    return is_enum or get_origin(annotation) is Literal or annotation in SCALARS


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
