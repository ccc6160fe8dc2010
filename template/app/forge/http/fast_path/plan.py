"""The dependencies of a route, worked out once from FastAPI's own description of them."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import (
    Dependant,
    _get_cache_key,
    _get_oauth_scopes,
    _is_async_gen_callable,
    _is_coroutine_callable,
    _is_gen_callable,
)
from fastapi.dependencies.utils import _solve_generator
from starlette.concurrency import run_in_threadpool

from app.forge.http.fast_path.parameters import Read, readers_of

Arguments = dict[str, Any]
# Calls a dependency with its arguments. FastAPI's classification decides how.
Run = Callable[[Request, Arguments], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of a request that become the arguments of a function."""

    dependencies: tuple["Dependency", ...]
    parameters: tuple[tuple[str, Read], ...]
    body_field: Any | None
    request_names: tuple[str, ...]
    response_name: str | None
    background_tasks_name: str | None
    security_scopes_name: str | None
    security_scopes: tuple[str, ...]
    # True if any of the names above is set.
    has_objects: bool
    # True if functions below this one are called once per request, however often this one is used.
    is_repeatable: bool


@dataclass(frozen=True, slots=True)
class Dependency:
    """A dependency, and the parameter that receives its value. `name` is None if the value is not used."""

    name: str | None
    plan: Plan
    run: Run
    uses_cache: bool
    # Uses with the same key share one value in each request.
    key: Any


def plan_of(dependant: Dependant) -> Plan:
    """Return the plan of a function and of everything that it depends on."""
    dependencies = tuple(map(_dependency, dependant.dependencies))
    request_names = (dependant.http_connection_param_name, dependant.request_param_name)
    other_names = (
        dependant.response_param_name,
        dependant.background_tasks_param_name,
        dependant.security_scopes_param_name,
    )
    return Plan(
        dependencies=dependencies,
        parameters=tuple(readers_of(dependant)),
        body_field=next(iter(dependant.body_params), None),
        request_names=tuple(filter(None, request_names)),
        response_name=dependant.response_param_name,
        background_tasks_name=dependant.background_tasks_param_name,
        security_scopes_name=dependant.security_scopes_param_name,
        security_scopes=tuple(_get_oauth_scopes(dependant=dependant)),
        has_objects=any(request_names + other_names),
        is_repeatable=all(each.uses_cache and each.plan.is_repeatable for each in dependencies),
    )


def _dependency(dependant: Dependant) -> Dependency:
    return Dependency(
        name=dependant.name,
        plan=plan_of(dependant),
        run=_runner(dependant),
        uses_cache=dependant.use_cache,
        key=_get_cache_key(dependant=dependant),
    )


def _runner(dependant: Dependant) -> Run:
    call: Callable[..., Any] = dependant.call  # type: ignore[assignment]
    if yields(dependant):
        return partial(_run_until_yield, dependant)
    if _is_coroutine_callable(call):
        return lambda _request, arguments: call(**arguments)
    return lambda _request, arguments: run_in_threadpool(call, **arguments)


async def _run_until_yield(dependant: Dependant, request: Request, arguments: Arguments) -> Any:
    # Both are in the scope, as in FastAPI, and closed by the middleware.
    stack = "fastapi_function_astack" if dependant.scope == "function" else "fastapi_inner_astack"
    return await _solve_generator(
        dependant=dependant, stack=request.scope[stack], sub_values=arguments, request=request
    )


def yields(dependant: Dependant) -> bool:
    """Return True if the function is a generator, whose code after `yield` runs at the end of the request."""
    return _is_gen_callable(dependant.call) or _is_async_gen_callable(dependant.call)


def below(dependant: Dependant) -> Iterator[Dependant]:
    """Yield all dependencies of a function, direct and indirect."""
    for each in dependant.dependencies:
        yield each
        yield from below(each)
