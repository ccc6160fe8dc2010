"""Refusals: 401 and 403 with the challenge of RFC 6750. They never repeat what the client sent."""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.exceptions import HTTPException

from app.forge.http.problems import Responses, problems

CHALLENGE = 'Bearer realm="api"'


def unauthenticated(detail: str, error: str = "invalid_token") -> HTTPException:
    """Return the error for a request whose sender is unknown; without any credentials, `error` is empty."""
    challenge = f'{CHALLENGE}, error="{error}", error_description="{detail}"' if error else CHALLENGE
    return HTTPException(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": challenge})


def forbidden(scopes: Sequence[str]) -> HTTPException:
    """Return the error for a caller who lacks one of these scopes."""
    needed = " ".join(scopes)
    challenge = f'{CHALLENGE}, error="insufficient_scope", scope="{needed}"'
    detail = f"This needs the scope {needed}."
    return HTTPException(HTTPStatus.FORBIDDEN, detail, {"WWW-Authenticate": challenge})


def _with_challenge(responses: Responses) -> Responses:
    header = {
        "description": "How to authenticate (RFC 6750), and the reason for the refusal.",
        "schema": {"type": "string"},
    }
    return {
        status: {**response, "headers": {**response["headers"], "WWW-Authenticate": header}}
        for status, response in responses.items()
    }


# The `responses` of routes that need a caller.
REFUSED = _with_challenge(problems(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN))
