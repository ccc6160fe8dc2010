"""Hooks for schemathesis: what no OpenAPI document can say, and references to rows that exist.

SCHEMATHESIS_HOOKS names this module; SERVICE_URL is where the service listens.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import httpx2
import schemathesis

Row = dict[str, Any]
Exemption = Callable[[Any, Any], bool]
# The references of the shop, and a row that each may refer to.
REFERENCES = {
    "item_id": "/api/v1/items",
    "buyer_id": "/api/v1/customers",
    "keeper_id": "/api/v1/customers",
    "parent_id": "/api/v1/order-lines",
}
# `batch` and the others could also be ids, which 422 refuses.
ALSO_IDS = ("/batch", "/export", "/summary")
CLIENT = httpx2.Client(base_url=os.environ.get("SERVICE_URL", ""), trust_env=False, verify=False)
# Faults of decimals, which are texts in JSON, of times that no year of UTC has, and of texts within any JSON.
MORE_EXACT = ("greater than or equal to 0.00", "out of range in UTC", "has a NUL character")
_known: dict[str, str] = {}


def _is_another_version(case: Any, response: Any) -> bool:
    status: int = response.status_code
    return status == HTTPStatus.PRECONDITION_FAILED


def _is_only_more_exact(case: Any, response: Any) -> bool:
    if response.status_code != HTTPStatus.UNPROCESSABLE_ENTITY:
        return False
    faults = [error["msg"] for error in json.loads(response.content).get("errors", [])]
    return bool(faults) and all(_is_more_exact(case, fault) for fault in faults)


def _is_more_exact(case: Any, fault: str) -> bool:
    is_whole_float = "a valid integer" in fault and ".0" in json.dumps(case.body)
    return is_whole_float or any(words in fault for words in MORE_EXACT)


def _is_also_an_id(case: Any, response: Any) -> bool:
    path: str = case.operation.path
    return path.endswith(ALSO_IDS)


def _is_trace_at_nginx(case: Any, response: Any) -> bool:
    method: str = response.request.method
    server: str = response.headers.get("server", [""])[0]
    return (method, server) == ("TRACE", "nginx")


# By the code of the failure, with the reason why it is none.
EXCEPTIONS: dict[str, dict[str, Exemption]] = {
    "ST202": {
        "If-Match may name another version, which only the service knows": _is_another_version,
        "JSON Schema takes 1.0 for an integer, and has no such bounds for texts": _is_only_more_exact,
    },
    "ST204": {"the path is that of an id too": _is_also_an_id},
    "ST205": {
        "the path is that of an id too": _is_also_an_id,
        "Nginx refuses TRACE for every path, and allows what some path has": _is_trace_at_nginx,
    },
}


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Return whether the failure is one."""
    return not any(applies(case, response) for applies in EXCEPTIONS.get(failure.code, {}).values())


@schemathesis.hook
def before_call(context: Any, case: Any, **_: Any) -> None:
    """Let well formed references be to rows that exist: without, hardly a row with any is ever stored."""
    for row in _rows(case.body):
        for name in REFERENCES.keys() & row.keys():
            if _is_uuid(row[name]):
                row[name] = _existing(REFERENCES[name])


def _rows(body: Any) -> Iterator[Row]:
    rows = body if isinstance(body, list) else [body]
    yield from (row for row in rows if isinstance(row, dict))


def _is_uuid(value: Any) -> bool:
    try:
        return str(uuid.UUID(value)) == str(value).lower()
    except (AttributeError, TypeError, ValueError):
        return False


def _existing(path: str) -> str:
    """Return the id of a row; another one if the last was deleted."""
    known = _known.get(path)
    if known is None or CLIENT.get(f"{path}/{known}").status_code != HTTPStatus.OK:
        answer = CLIENT.post(path, json=_draft(path))
        assert answer.status_code == HTTPStatus.CREATED, answer.text
        known = _known[path] = answer.json()["id"]
    return known


def _draft(path: str) -> Row:
    name = uuid.uuid4().hex
    if path == REFERENCES["item_id"]:
        return {"name": name, "price_cents": 1}
    if path == REFERENCES["buyer_id"]:
        return {"email": name}
    targets = {field: _existing(REFERENCES[field]) for field in ("item_id", "keeper_id")}
    return {"number": name, "quantity": 1, "price": "1.00", **targets}
