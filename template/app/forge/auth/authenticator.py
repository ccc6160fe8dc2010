"""Finds the caller of a request by its credentials, and remembers those that were verified.

The only place for credentials is one `Authorization: Bearer` header. In a URL, logs and proxies would keep them.
"""

import re
from hashlib import sha256
from time import monotonic
from typing import Protocol

from starlette.types import Scope

from app.forge.auth.caller import Caller
from app.forge.auth.refusals import unauthenticated
from app.forge.auth.settings import CredentialSettings

# https://www.rfc-editor.org/rfc/rfc6750#section-2.1; the name of a scheme may be in any case.
BEARER = re.compile(rb"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)

Digest = bytes


class Verifies(Protocol):
    """Verifies credentials."""

    async def verify(self, credentials: str) -> tuple[Caller, float]:
        """Return the caller, and until when that may be remembered, in seconds of `time.monotonic()`.

        Raises 401 if the credentials are not valid, and `Unavailable` if they cannot be checked now.
        """


class Authenticator:
    """Finds the caller of a request. Only digests of credentials are kept, never the credentials."""

    def __init__(self, verifier: Verifies, settings: CredentialSettings) -> None:
        self._verifier = verifier
        self._max_bytes = settings.auth_max_credential_bytes
        self._max_remembered = settings.auth_max_remembered
        self._remembered: dict[Digest, tuple[Caller, float]] = {}

    async def find(self, scope: Scope) -> Caller:
        """Return the caller, or raise 401 without valid credentials, 503 if they cannot be checked now."""
        authorization = self._authorization(scope)
        digest = sha256(authorization).digest()
        known = self._remembered.get(digest)
        if known is not None and monotonic() < known[1]:
            return known[0]
        bearer = BEARER.fullmatch(authorization)
        if bearer is None:
            raise unauthenticated("The header Authorization is not a bearer token.", "invalid_request")
        caller, until = await self._verifier.verify(bearer[1].decode("ascii"))
        self._remember(digest, caller, until)
        return caller

    def forget_all(self) -> None:
        """Verify all credentials again when they are next used."""
        self._remembered.clear()

    def _authorization(self, scope: Scope) -> bytes:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if not given:
            raise unauthenticated("The request has no credentials.", "")
        # Proxies and the service could each trust another of them.
        if len(given) > 1:
            raise unauthenticated("There are several Authorization headers.", "invalid_request")
        authorization: bytes = given[0]
        if len(authorization) > self._max_bytes:
            raise unauthenticated("The credentials are too long.", "invalid_request")
        return authorization

    def _remember(self, digest: Digest, caller: Caller, until: float) -> None:
        self._remembered.pop(digest, None)
        while len(self._remembered) >= self._max_remembered:
            # The one that was verified first.
            del self._remembered[next(iter(self._remembered))]
        self._remembered[digest] = caller, until
