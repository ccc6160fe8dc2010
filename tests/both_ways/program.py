"""Send requests to generated applications on both paths; `test_both_ways` runs it in a project."""

import asyncio
import json
import logging
import re
import sys
from typing import Any

from app.forge.http.fast_path.tree import RouteTree
from app.forge.service import Service
from applications import (
    ADDED,
    DEPENDING,
    ENDPOINTS,
    HANDLED,
    ApplicationSpec,
    Built,
    MiddlewareSpec,
    Plain,
    RouteSpec,
    build,
    change,
)
from dependencies import FAULT_NAMES, FAULTS, KINDS, PARAMETERS, SCHEMES, DependencySpec, EndpointSpec, Use
from fastapi.routing import _endpoint_context_cache
from hypothesis import HealthCheck, Phase, event, given, note, settings
from hypothesis import strategies as st

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
PATHS = ["/things", "/things/newest", "/things/{thing_id}", "/things/{thing_id}/parts", "/"]
PATHS += [*PATHS * 4, "/{a}/{b}", "/things/{n}x", "/files/{rest:path}"]
ASKED = [
    "/things",
    "/things/",
    "/things/newest",
    f"/things/{ID}",
    "/things/a%2Fx",
    "/files/a/b",
    "/",
    "/nowhere",
]
ASKED += ["/later", "/things/newest\n", "/things/é", "//things", "/things//newest"]
QUERIES = [
    b"",
    b"limit=3",
    b"limit=0",
    b"limit=x&colour=red",
    b"colour=green",
    b"order=down&order=up",
    b"bare=1",
    b"needed=1&size_needed=small",
    b"needed=&size_needed=tiny&size=2&day=2026-02-30&moment=2026-01-01",
    b"needed=a&needed=b&size_needed=small&size=large&numbers=1&numbers=2&numbers=x",
    b"needed=1&size_needed=small&numbers=3&several=small&several=small&n-1=7&n-2=x",
    b"needed=1&size_needed=small&uid=" + ID.encode() + b"&price=1.234&even=3&bounded=1&flag=yes",
    b"needed=1&size_needed=small&day=2026-01-31&ratio=nan&price=12.5&tags=a&tags=b&limit=7&text=%C3%A9",
    b"needed=1&size_needed=small&old=1&made=&checked=4&anything=1&ratio=&thing_id=x",
]
HEADERS = [
    (b"x-token", b"secret"),
    (b"x-token", b"other"),
    (b"x_token", b"underscored"),
    (b"x-token", b""),
    (b"x-token", b"\xff"),
    (b"x-count", b"1"),
    (b"x-count", b"-1"),
    (b"x_raw", b"raw"),
    (b"x-raw", b"not raw"),
    (b"x-other_name", b"named"),
    (b"x-many", b"1"),
    (b"x-many", b"2"),
    (b"x-since", b"2026-01-31T12:00:00Z"),
    (b"cookie", b"session=abc; visits=3"),
    (b"cookie", b"visits=12"),
    (b"cookie", b'session="quoted \\" value"; broken'),
    (b"authorization", b"Bearer token"),
    (b"authorization", b"Basic dXNlcjpwYXNz"),
    (b"authorization", b"Basic !"),
    (b"old-header", b"old"),
]
# What parameters need that have no default.
VALID = b"needed=1&size_needed=small&thing_id=" + ID.encode()
# What most dependencies need, so that most requests reach the endpoint.
USUAL = [(b"x-token", b"secret"), (b"cookie", b"session=abc; visits=3")]
BODIES = [b"", b'{"name": "a"}', b'{"name": 1}', b"null", b"{", b"[" * 3_000, b'{"name": "\xff"}']
TYPES = [b"application/json", b"application/problem+json", b"text/plain", None]
ASKS = [
    "refuse",
    "raise",
    "rewrite",
    "root",
    "body value",
    "body http",
    "send value",
    "send http",
    "handlers raise",
    "handlers read",
]

counted = {"applications": 0, "requests": 0, "direct": 0, "direct with dependencies": 0}

uses = st.builds(
    Use,
    number=st.integers(0, 4),
    use_cache=st.sampled_from([True] * 4 + [False]),
    scopes=st.sampled_from([None, None, None, (), ("read",), ("write", "read"), ("admin",)]),
    scope=st.sampled_from([None] * 5 + ["function", "request"]),
)
few_uses = st.lists(uses, max_size=2).map(tuple)
OBJECTS = ["response", "tasks", "scopes", "request"]
parameters = st.lists(st.sampled_from(sorted(PARAMETERS) + OBJECTS * 4), max_size=3).map(tuple)
pools = st.lists(
    st.builds(
        DependencySpec,
        kind=st.sampled_from(sorted(KINDS) + ["async", "async yield", "yield"] * 2 + sorted(SCHEMES)[:4]),
        parameters=parameters,
        uses=few_uses,
        fault=st.sampled_from([None] * 12 + FAULT_NAMES),
    ),
    min_size=1,
    max_size=5,
)
endpoints = st.builds(
    EndpointSpec,
    parameters=parameters,
    uses=st.lists(uses, max_size=3).map(tuple),
    unnamed=st.one_of(st.just(()), few_uses),
    returns=st.sampled_from(["response"] * 3 + ["value"] * 2 + ["background", *FAULTS]),
)
routes = st.builds(
    RouteSpec,
    path=st.sampled_from(PATHS),
    method=st.sampled_from(["GET", "GET", "POST", "HEAD", "DELETE"]),
    kind=st.one_of(st.sampled_from(sorted(ENDPOINTS)), st.just(DEPENDING)),
    has_dependency=st.sampled_from([False] * 7 + [True]),
    endpoint=endpoints,
)
middleware = st.builds(
    MiddlewareSpec,
    kind=st.sampled_from(sorted(ADDED)),
    how=st.sampled_from(["constructor", "added", "decorated"]),
)
applications = st.builds(
    ApplicationSpec,
    routes=st.lists(routes, min_size=1, max_size=6),
    prefix=st.sampled_from([None, None, "/v2"]),
    middleware=st.lists(middleware, max_size=4),
    handlers=st.lists(st.tuples(st.sampled_from(sorted(HANDLED)), st.booleans()), max_size=4),
    has_problems=st.booleans(),
    mount=st.sampled_from([None, None, None, None, "/things", "/mounted", ""]),
    mount_is_first=st.booleans(),
    overrides=st.sampled_from([False, False, False, True]),
    dependencies=pools,
    of_router=st.one_of(st.just([]), st.lists(uses, max_size=1)),
    of_application=st.one_of(st.just([]), st.just([]), st.lists(uses, max_size=1)),
    later=st.sampled_from(
        [None, "insert", "remove", "remove first", "reassign", "add", "router", "overrides"]
    ),
)
# Routes with dependencies and little else.
depending_applications = st.builds(
    ApplicationSpec,
    routes=st.lists(
        st.builds(
            RouteSpec,
            path=st.sampled_from(["/things/{thing_id}", "/things"]),
            method=st.sampled_from(["GET", "POST"]),
            kind=st.just(DEPENDING),
            has_dependency=st.just(False),
            endpoint=endpoints,
        ),
        min_size=1,
        max_size=3,
    ),
    prefix=st.sampled_from([None, "/v2"]),
    middleware=st.just([]),
    handlers=st.lists(st.tuples(st.sampled_from(sorted(HANDLED)), st.booleans()), max_size=2),
    has_problems=st.booleans(),
    mount=st.none(),
    mount_is_first=st.just(False),
    overrides=st.sampled_from([False, False, False, True]),
    dependencies=pools,
    of_router=st.lists(uses, max_size=1),
    of_application=st.lists(uses, max_size=1),
    later=st.sampled_from([None, "overrides"]),
)
requests = st.fixed_dictionaries(
    {
        # Usually one for a route, by its number.
        "route": st.integers(0, 5),
        "method": st.sampled_from([None, None, None, "GET", "POST", "HEAD", "DELETE", "OPTIONS"]),
        "path": st.sampled_from([None] * len(ASKED) * 2 + ASKED),
        "segment": st.sampled_from([ID, ID, "newest", "a b"]),
        "is_prefixed": st.sampled_from([True, True, True, False]),
        "query": st.sampled_from(QUERIES),
        "body": st.sampled_from(BODIES),
        "types": st.lists(st.sampled_from([TYPES[0], *TYPES]), min_size=1, max_size=2),
        "ask": st.sampled_from([None, None, None, *ASKS]),
        "accept_encoding": st.sampled_from([None, b"gzip", b"zstd, gzip;q=0.1", b"identity"]),
        "origin": st.booleans(),
        "headers": st.lists(st.sampled_from(HEADERS), max_size=4),
        "is_usual": st.sampled_from([True, True, False]),
        "root_path": st.sampled_from(["", "", "", "/root"]),
    }
)


def scope_of(request: dict[str, Any], spec: ApplicationSpec) -> dict[str, Any]:
    """Return the request as a server passes it."""
    route = spec.routes[request["route"] % len(spec.routes)]
    path = request["path"] or re.sub("{[^}]+}", request["segment"], route.path)
    path = (spec.prefix or "" if request["is_prefixed"] else "") + path
    optional = {
        b"x-ask": (request["ask"] or "").encode() or None,
        b"accept-encoding": request["accept_encoding"],
        b"origin": b"https://elsewhere.example" if request["origin"] else None,
    }
    headers = [(b"host", b"localhost"), (b"x-request-id", b"an-id")]
    headers += [(b"content-type", each) for each in request["types"] if each]
    headers += [(name, value) for name, value in optional.items() if value]
    headers += request["headers"] + (USUAL if request["is_usual"] else [])
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request["method"] or route.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": request["query"],
        "root_path": request["root_path"],
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }


async def answer(built: Built, request: dict[str, Any], scope: dict[str, Any]) -> dict[str, Any]:
    """Return all that client, server and application observe of one request."""
    sent: list[dict[str, Any]] = []
    given = [{"type": "http.request", "body": request["body"], "more_body": False}]
    disconnected = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if given:
            return given.pop()
        await disconnected.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        built.trace.append(("sent", message["type"]))
        sent.append(message)

    built.trace.clear()
    raised = None
    try:
        await asyncio.wait_for(built.app(scope, receive, send), 60)
    except Exception as error:  # noqa: BLE001 (the other path must raise the same)
        raised = (repr(error), repr(error.__cause__))
    starts = [message for message in sent if message["type"] == "http.response.start"]
    return {
        "status": [message["status"] for message in starts],
        "headers": [sorted(_lasting(message["headers"])) for message in starts],
        "body": b"".join(message.get("body", b"") for message in sent),
        "messages": [message["type"] for message in sent],
        "raised": raised,
        "trace": list(built.trace),
    }


def _lasting(headers: Any) -> list[tuple[bytes, bytes]]:
    return [header for header in headers if header[0] != b"server-timing"]


# Mostly valid, so most endpoints are called.
valid_requests = st.fixed_dictionaries(
    {
        "route": st.integers(0, 2),
        "method": st.none(),
        "path": st.none(),
        "segment": st.just(ID),
        "is_prefixed": st.just(True),
        "query": st.lists(st.sampled_from(QUERIES[7:]), max_size=1).map(lambda few: b"&".join([VALID, *few])),
        "body": st.just(b""),
        "types": st.just([None]),
        "ask": st.sampled_from([None, None, None, "handlers raise"]),
        "accept_encoding": st.none(),
        "origin": st.just(False),
        "headers": st.lists(st.sampled_from(HEADERS), max_size=2),
        "is_usual": st.just(True),
        "root_path": st.just(""),
    }
)


def compare_both_ways(
    spec: ApplicationSpec, before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    """Send the same requests to both, before and after a change; nothing differs."""
    # FastAPI caches the source of endpoints by `id`, which an endpoint of another application may have had.
    _endpoint_context_cache.clear()
    try:
        own = build(spec, Plain)
    except Exception as refused:  # noqa: BLE001 (FastAPI refuses some combinations)
        event(f"refused: {type(refused).__name__}")
        return
    direct = build(spec, Service)
    counted["applications"] += 1
    runner.run(_compare(spec, own, direct, before))
    change(own, spec.later)
    change(direct, spec.later)
    runner.run(_compare(spec, own, direct, after))


def count(built: Built, scope: dict[str, Any]) -> None:
    """Count the request, and whether it takes the fast path."""
    counted["requests"] += 1
    found = RouteTree(built.app.router).find(scope["method"], scope["path"])
    if found is None or scope["root_path"]:
        return
    counted["direct"] += 1
    has_dependencies = found[0].plan.dependencies and not built.app.dependency_overrides
    counted["direct with dependencies"] += bool(has_dependencies)


async def _compare(spec: ApplicationSpec, own: Built, direct: Built, asked: list[dict[str, Any]]) -> None:
    for request in asked:
        scope = scope_of(request, spec)
        count(direct, scope)
        expected, found = (
            await answer(own, request, scope),
            await answer(direct, request, scope_of(request, spec)),
        )
        for name, value in expected.items():
            note(f"{name}: {value!r}\n   and: {found[name]!r}")
        differing = [name for name, value in expected.items() if found[name] != value]
        assert not differing, f"{differing} differ for {request}"


def examples(share: int) -> Any:
    """Return the settings of a test that gets one in so many of the applications."""
    return settings(
        max_examples=(int(sys.argv[1]) if len(sys.argv) > 1 else 500) // share,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


few, some = st.lists(requests, max_size=4), st.lists(requests, min_size=1, max_size=6)
few_valid, some_valid = (
    st.lists(valid_requests, max_size=2),
    st.lists(valid_requests, min_size=1, max_size=3),
)
test_applications = examples(2)(given(spec=applications, before=some, after=few)(compare_both_ways))
test_dependencies = examples(2)(
    given(spec=depending_applications, before=some_valid, after=few_valid)(compare_both_ways)
)
logging.disable()
with asyncio.Runner() as runner:
    test_dependencies()
    test_applications()
json.dump(counted, sys.stdout)
