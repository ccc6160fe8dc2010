"""Dependencies as data: a pool of them, each of which may use the ones before it; each notes what it saw."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import (
    BackgroundTasks,
    Cookie,
    Depends,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
    Security,
)
from fastapi.requests import HTTPConnection
from fastapi.security import (
    APIKeyCookie,
    APIKeyHeader,
    APIKeyQuery,
    HTTPBasic,
    HTTPBearer,
    OAuth2PasswordBearer,
    SecurityScopes,
)
from pydantic import AfterValidator, AliasChoices, BaseModel, Field

Trace = list[tuple[Any, ...]]
REQUIRED = inspect.Parameter.empty


class Size(Enum):
    """Values that are chosen by name."""

    SMALL = "small"
    LARGE = 2


class Filter(BaseModel):
    """Several query parameters."""

    limit: int = 3
    tags: list[str] = []


class Client(BaseModel):
    """Several headers."""

    host: str
    x_token: str = "none"
    x_many: list[str] = []


class Visit(BaseModel):
    """Several cookies."""

    model_config = {"extra": "forbid"}

    session: str
    visits: int = 0


class Failed(Exception):
    """An error of a dependency."""


@dataclass(frozen=True)
class Use:
    """A use of a dependency, by its number in the pool."""

    number: int
    use_cache: bool
    # None for `Depends`, which has no scopes.
    scopes: tuple[str, ...] | None
    scope: Literal["function", "request"] | None


@dataclass(frozen=True)
class DependencySpec:
    """One dependency of the pool."""

    kind: str
    parameters: tuple[str, ...]
    uses: tuple[Use, ...]
    fault: str | None


@dataclass(frozen=True)
class EndpointSpec:
    """An endpoint: its dependencies and parameters, those declared without a parameter, and its action."""

    parameters: tuple[str, ...]
    uses: tuple[Use, ...]
    unnamed: tuple[Use, ...]
    returns: str


def _is_even(value: int) -> int:
    if value % 2:
        raise ValueError("odd")
    return value


# Names of parameters with annotations and defaults.
PARAMETERS: dict[str, tuple[Any, Any]] = {
    "x_token": (Annotated[str, Header()], REQUIRED),
    "x_count": (Annotated[int | None, Header(ge=1)], None),
    "x_raw": (Annotated[str | None, Header(convert_underscores=False)], None),
    "x_named": (Annotated[str, Header(alias="X-Other_Name")], "unnamed"),
    "x_many": (Annotated[list[str], Header()], []),
    "x_since": (Annotated[datetime | None, Header()], None),
    "session": (Annotated[str | None, Cookie()], None),
    "visits": (Annotated[int, Cookie(lt=10)], REQUIRED),
    "text": (str, "default"),
    "needed": (str, REQUIRED),
    "limit": (Annotated[int, Query(ge=1, le=100)], 20),
    "ratio": (float | None, None),
    "flag": (bool, False),
    "size": (Size, Size.SMALL),
    "size_needed": (Annotated[Size, Query()], REQUIRED),
    "order": (Literal["up", "down"], "up"),
    "day": (date | None, None),
    "moment": (datetime | date | None, None),
    "uid": (UUID | None, None),
    "price": (Annotated[Decimal, Query(max_digits=4, decimal_places=2)], Decimal("1.00")),
    "even": (Annotated[int, AfterValidator(_is_even)], 2),
    "bounded": (Annotated[int, Field(ge=2)], 2),
    "aliased": (Annotated[int, Query(alias="n-1")], 1),
    "other": (Annotated[int, Query(validation_alias="n-1")], 1),
    "choice": (Annotated[int | None, Query(validation_alias=AliasChoices("n-2", "n-1"))], None),
    "numbers": (Annotated[list[int], Query()], []),
    "several": (Annotated[set[Size] | None, Query(max_length=2)], None),
    "made": (Annotated[str, Query(default_factory=lambda: "made")], REQUIRED),
    "checked": (Annotated[int, Query(validate_default=True)], "no number"),
    "old": (int, Query(3, ge=2)),
    "old_header": (str, Header("none")),
    "filter_": (Annotated[Filter, Query()], REQUIRED),
    "client": (Annotated[Client, Header()], REQUIRED),
    "visit": (Annotated[Visit | None, Cookie()], None),
    "thing_id": (str, REQUIRED),
    "anything": (Any, None),
    "request": (Request, REQUIRED),
    "connection": (HTTPConnection, REQUIRED),
    "response": (Response, REQUIRED),
    "tasks": (BackgroundTasks, REQUIRED),
    "scopes": (SecurityScopes, REQUIRED),
    "body": (Filter, REQUIRED),
}
SCHEMES: dict[str, Callable[[], Any]] = {
    "bearer": HTTPBearer,
    "optional bearer": lambda: HTTPBearer(auto_error=False),
    "basic": HTTPBasic,
    "key header": lambda: APIKeyHeader(name="X-Token"),
    "key cookie": lambda: APIKeyCookie(name="session", auto_error=False),
    "key query": lambda: APIKeyQuery(name="text"),
    "password": lambda: OAuth2PasswordBearer("/token", scopes={"read": "Read"}),
}
FAULTS: dict[str, Callable[[], Exception]] = {
    "http": lambda: HTTPException(401, "no caller", {"WWW-Authenticate": "Bearer"}),
    "failed": lambda: Failed("before"),
}


def _shown(value: Any) -> Any:
    """Return what is alike on both ways of an argument."""
    if isinstance(value, HTTPConnection):
        return type(value).__name__
    if isinstance(value, Response):
        return ("Response", value.status_code, sorted(value.headers.items()))
    if isinstance(value, SecurityScopes):
        return ("SecurityScopes", tuple(value.scopes), value.scope_str)
    if isinstance(value, BackgroundTasks):
        return ("BackgroundTasks", len(value.tasks))
    return repr(value)


class Pool:
    """The dependencies of an application."""

    def __init__(self, specs: Sequence[DependencySpec], trace: Trace) -> None:
        self._trace = trace
        self.calls: list[Any] = []
        for number, spec in enumerate(specs):
            self.calls.append(self._call(number, spec))

    def declared(self, use: Use) -> Any:
        """Return `Depends` or `Security` of a use."""
        call = self.calls[use.number % len(self.calls)]
        if use.scopes is None:
            return Depends(call, use_cache=use.use_cache, scope=use.scope)
        return Security(call, use_cache=use.use_cache, scopes=use.scopes)

    def endpoint(self, spec: EndpointSpec) -> Any:
        """Return an endpoint."""

        async def endpoint(**values: Any) -> Response:
            self._note("endpoint", values)
            return self._returned(spec.returns, values)

        endpoint.__signature__ = self._signature(  # type: ignore[attr-defined]
            spec.parameters, spec.uses, Response
        )
        endpoint.__annotations__ = {"return": Response}
        return endpoint

    def _returned(self, returns: str, values: dict[str, Any]) -> Any:
        if returns in FAULTS:
            raise FAULTS[returns]()
        if returns == "value":
            return {"values": sorted(values)}
        response = Response(str(sorted((name, str(_shown(value))) for name, value in values.items())))
        if returns == "background":
            response.background = BackgroundTasks()
            response.background.add_task(self._trace.append, ("own task",))
        return response

    def _signature(
        self, parameters: Sequence[str], uses: Sequence[Use], returned: Any = None
    ) -> inspect.Signature:
        declared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
            for name, (annotation, default) in PARAMETERS.items()
            if name in parameters
        ]
        used = [
            inspect.Parameter(
                f"use_{position}",
                inspect.Parameter.KEYWORD_ONLY,
                annotation=Annotated[Any, self.declared(use)],
            )
            for position, use in enumerate(uses)
            if self.calls
        ]
        # What is declared first is solved first only among dependencies.
        return inspect.Signature([*declared[:1], *used, *declared[1:]], return_annotation=returned)

    def _note(self, what: Any, values: dict[str, Any]) -> None:
        self._trace.append((what, sorted((name, _shown(value)) for name, value in values.items())))

    def _call(self, number: int, spec: DependencySpec) -> Any:
        if spec.kind in SCHEMES:
            return SCHEMES[spec.kind]()
        call = KINDS[spec.kind](_Behaviour(self._trace, self._note, number, spec.fault))
        call.__signature__ = self._signature(spec.parameters, spec.uses)
        return call


class _Behaviour:
    """The actions of a dependency when it is called and when it ends."""

    def __init__(self, trace: Trace, note: Callable[..., None], number: int, fault: str | None) -> None:
        self._trace = trace
        self._note = note
        self._number = number
        self._fault = fault
        self._count = 0

    def begin(self, values: dict[str, Any]) -> Any:
        """Return its value."""
        self._count += 1
        self._note(self._number, values)
        if self._fault in FAULTS:
            raise FAULTS[self._fault]()
        if "response" in values:
            values["response"].headers.append("X-Dependency", str(self._number))
            values["response"].status_code = 202
        if "tasks" in values:
            values["tasks"].add_task(self._trace.append, ("task", self._number))
        return (self._number, self._count)

    def fail(self, error: Exception) -> None:
        """Do what it does with an error of what comes after."""
        self._trace.append(("caught", self._number, repr(error)))
        if self._fault == "swallow":
            return
        if self._fault == "replace":
            raise HTTPException(409, "replaced") from error
        raise error

    def end(self) -> None:
        """Do what it does in the end."""
        self._trace.append(("end", self._number))
        if self._fault == "after":
            raise Failed("after")
        if self._fault == "after http":
            raise HTTPException(418, "after")


def _async(behaviour: _Behaviour) -> Any:
    async def dependency(**values: Any) -> Any:
        return behaviour.begin(values)

    return dependency


def _sync(behaviour: _Behaviour) -> Any:
    def dependency(**values: Any) -> Any:
        return behaviour.begin(values)

    return dependency


def _async_yield(behaviour: _Behaviour) -> Any:
    async def dependency(**values: Any) -> AsyncIterator[Any]:
        value = behaviour.begin(values)
        try:
            yield value
        except Exception as error:  # noqa: BLE001 (it notes all of them)
            behaviour.fail(error)
        finally:
            behaviour.end()

    return dependency


def _yield(behaviour: _Behaviour) -> Any:
    def dependency(**values: Any) -> Iterator[Any]:
        value = behaviour.begin(values)
        try:
            yield value
        except Exception as error:  # noqa: BLE001 (it notes all of them)
            behaviour.fail(error)
        finally:
            behaviour.end()

    return dependency


def _class(behaviour: _Behaviour) -> Any:
    class Dependency:
        def __init__(self, **values: Any) -> None:
            self.value = behaviour.begin(values)

        def __repr__(self) -> str:
            return f"Dependency({self.value})"

    return Dependency


def _callable(behaviour: _Behaviour) -> Any:
    class Caller:
        def __call__(self, **values: Any) -> Any:
            return behaviour.begin(values)

    return Caller()


def _async_callable(behaviour: _Behaviour) -> Any:
    class Caller:
        async def __call__(self, **values: Any) -> Any:
            return behaviour.begin(values)

    return Caller()


def _unhashable(behaviour: _Behaviour) -> Any:
    class Caller:
        __hash__ = None  # type: ignore[assignment]

        async def __call__(self, **values: Any) -> Any:
            return behaviour.begin(values)

    return Caller()


def _partial(behaviour: _Behaviour) -> Any:
    async def dependency(_first: int, **values: Any) -> Any:
        return behaviour.begin(values)

    return functools.partial(dependency, 1)


def _wrapped(behaviour: _Behaviour) -> Any:
    inner = _async(behaviour)

    @functools.wraps(inner)
    def dependency(**values: Any) -> Any:
        return inner(**values)

    return dependency


KINDS: dict[str, Callable[[_Behaviour], Any]] = {
    "async": _async,
    "sync": _sync,
    "async yield": _async_yield,
    "yield": _yield,
    "class": _class,
    "callable": _callable,
    "async callable": _async_callable,
    "unhashable": _unhashable,
    "partial": _partial,
    "wrapped": _wrapped,
}
FAULT_NAMES = [*FAULTS, "swallow", "replace", "after", "after http"]
