"""One endpoint, with all that is known of its arguments before any request."""

import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from fastapi import Request, Response, params
from fastapi.routing import APIRoute, RouteContext
from starlette.requests import ClientDisconnect

# Parameters of other types may be made from several values of a request.
SCALARS = frozenset({str, int, float, bool, UUID, date, datetime, type(None)})
JSON = b"application/json"


class NotDirect(Exception):
    """The request has to go FastAPI's way: it is invalid, or says things in an unusual form."""


@dataclass(frozen=True)
class DirectRoute:
    """What is known of a route before any request: how to find the arguments of its endpoint."""

    route: APIRoute
    endpoint: Callable[..., Awaitable[Response]]
    path_fields: list[Any]
    query_fields: list[Any]
    body_field: Any | None
    request_name: str | None

    async def arguments(self, request: Request) -> dict[str, Any]:
        """Return what the endpoint takes, or raise `NotDirect`."""
        path_params = request.path_params
        arguments = {field.name: _validated(field, path_params[field.alias]) for field in self.path_fields}
        for field in self.query_fields:
            given = request.query_params.get(field.alias)
            if given is not None:
                arguments[field.name] = _validated(field, given)
            elif field.field_info.is_required():
                raise NotDirect
        if self.body_field is not None:
            arguments[self.body_field.name] = _validated(self.body_field, await _read_json(request))
        if self.request_name is not None:
            arguments[self.request_name] = request
        return arguments


def _validated(field: Any, given: object) -> Any:
    value, errors = field.validate(given)
    if errors:
        raise NotDirect
    return value


async def _read_json(request: Request) -> Any:
    # Told in another way, or not at all, FastAPI decides what it is.
    if (b"content-type", JSON) not in request.scope["headers"]:
        raise NotDirect
    try:
        value = json.loads(await request.body())
    except (ClientDisconnect, ValueError, RecursionError):
        raise NotDirect from None
    if value is None:
        raise NotDirect
    return value


def direct_route(context: RouteContext) -> DirectRoute | None:
    """Return the short way to this route, or None where there is more to it than arguments and a response."""
    route, endpoint = context.original_route, context.endpoint
    # A route class of one's own may do anything.
    if type(route) is not APIRoute or endpoint is None or not _returns_response(endpoint):
        return None
    dependant = context.dependant
    scalars = [*dependant.path_params, *dependant.query_params]
    if _takes_more(dependant) or not all(_is_scalar(parameter, endpoint) for parameter in scalars):
        return None
    if len(dependant.body_params) > 1 or not all(map(_is_json_body, dependant.body_params)):
        return None
    if context.max_body_size:
        return None
    return DirectRoute(
        route=route,
        endpoint=endpoint,
        path_fields=dependant.path_params,
        query_fields=dependant.query_params,
        body_field=next(iter(dependant.body_params), None),
        request_name=dependant.request_param_name,
    )


def _returns_response(endpoint: Callable[..., Any]) -> bool:
    if not inspect.iscoroutinefunction(endpoint):
        return False
    try:
        returned = get_type_hints(endpoint).get("return")
    except NameError:
        return False
    return isinstance(returned, type) and issubclass(returned, Response)


def _takes_more(dependant: Any) -> bool:
    return any(
        [
            dependant.dependencies,
            dependant.header_params,
            dependant.cookie_params,
            dependant.http_connection_param_name,
            dependant.response_param_name,
            dependant.background_tasks_param_name,
            dependant.security_scopes_param_name,
        ]
    )


def _is_scalar(parameter: Any, endpoint: Callable[..., Any]) -> bool:
    annotation = parameter.field_info.annotation
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    plain = {get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds}
    default = inspect.signature(endpoint).parameters[parameter.name].default
    # `= Query(20)`: the endpoint's own default is not what FastAPI passes.
    is_own_default = not isinstance(default, params.Param)
    return (
        plain <= SCALARS
        and is_own_default
        and parameter.field_info.validation_alias in (None, parameter.alias)
    )


def _is_json_body(parameter: Any) -> bool:
    info = parameter.field_info
    return isinstance(info, params.Body) and not isinstance(info, params.Form) and not info.embed
