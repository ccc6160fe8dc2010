"""A caller who may read and write, for tests that are not about who may do what. `X-Caller` names another."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
from starlette.types import Scope

from app.forge.auth.authenticator import Authenticator
from app.forge.auth.caller import Caller
from app.resources import RESOURCES

SCOPES = frozenset(f"{each.table.name}:{access}" for each in RESOURCES for access in ("read", "write"))


@pytest.fixture(scope="module", autouse=True)
def _identified() -> Iterator[None]:
    """Take the caller that a request names. A module with its own fixture of this name sends credentials."""

    async def find(_authenticator: Authenticator, scope: Scope) -> Caller:
        subject = dict(scope["headers"]).get(b"x-caller", b"tests")
        return Caller(subject.decode(), SCOPES, "tests")

    with patch.object(Authenticator, "find", find):
        yield
