"""The keys of the issuer: fetched in the background, and again when a token names an unknown one.

Requests with a known key never wait for the issuer, and go on while it is down.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from app.forge.auth.oidc_fetch import FetchFailed, fetch_json
from app.forge.database import outages
from app.forge.errors import Unavailable

DISCOVERY = "/.well-known/openid-configuration"
PublicKey = RSAKey | ECKey | OKPKey
# An issuer has a handful. More would only make each token without `kid` cost more.
MAX_KEYS = 100
MIN_RSA_BITS = 2_048
# Only public keys: a secret that an issuer publishes is none.
KINDS: dict[str, type[PublicKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}


class IssuerKeys:
    """The keys that the issuer publishes, by their `kid`."""

    def __init__(
        self,
        issuer: str,
        tls: ssl.SSLContext,
        *,
        life_seconds: float,
        cooldown_seconds: float,
        timeout_seconds: float,
    ) -> None:
        self._issuer = issuer
        self._tls = tls
        self._life_seconds = life_seconds
        self._cooldown_seconds = cooldown_seconds
        self._timeout_seconds = timeout_seconds
        self._keys: dict[str, PublicKey] = {}
        self._published: dict[str, Mapping[str, Any]] = {}
        self._fetching: asyncio.Task[None] | None = None
        self._fetched_at = float("-inf")
        self._failure: Exception | None = None
        self._withdrawn: Callable[[], None] | None = None

    def on_withdrawal(self, withdrawn: Callable[[], None]) -> None:
        """Call this when the issuer no longer publishes a key."""
        self._withdrawn = withdrawn

    def check(self) -> None:
        """Raise `Unavailable` if the last attempt to fetch the keys failed."""
        if self._failure is not None:
            raise Unavailable("The issuer's keys could not be fetched.", "issuer") from self._failure

    async def find(self, kid: str | None) -> PublicKey | None:
        """Return the key, or None if the issuer has no such key; without `kid`, its only key.

        Raises `Unavailable` if its keys have never been fetched.
        """
        key = self._known(kid)
        if key is None and (self._is_fetching() or self._has_cooled_down()):
            await self._fetch_once()
            key = self._known(kid)
        if not self._keys:
            raise Unavailable("The issuer's keys could not be fetched.", "issuer") from self._failure
        return key

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Fetch the keys now and in half of their life, or again soon if that fails."""
        keeping = asyncio.create_task(self._keep_fresh())
        try:
            yield
        finally:
            keeping.cancel()
            if self._fetching is not None:
                self._fetching.cancel()
            await asyncio.gather(keeping, *filter(None, [self._fetching]), return_exceptions=True)

    async def read(self) -> dict[str, Mapping[str, Any]]:
        """Return what the issuer publishes now, by `kid`, or raise `FetchFailed`."""
        found = await fetch_json(self._issuer.rstrip("/") + DISCOVERY, self._tls, self._timeout_seconds)
        if found.get("issuer") != self._issuer:
            raise FetchFailed("The discovery document is that of another issuer.")
        url = found.get("jwks_uri")
        # As secure as the issuer itself.
        scheme = self._issuer.partition(":")[0]
        if not isinstance(url, str) or not url.startswith(("https://", f"{scheme}://")):
            raise FetchFailed("The discovery document has no secure jwks_uri.")
        listed = (await fetch_json(url, self._tls, self._timeout_seconds)).get("keys")
        keys = [key for key in listed if _is_usable(key)] if isinstance(listed, list) else []
        if not keys:
            raise FetchFailed("The issuer publishes no key that can be used.")
        # A key without `kid` is found by tokens without one.
        return {str(key.get("kid", "")): key for key in keys[:MAX_KEYS]}

    def _known(self, kid: str | None) -> PublicKey | None:
        if kid is not None:
            return self._keys.get(kid)
        return next(iter(self._keys.values())) if len(self._keys) == 1 else None

    def _is_fetching(self) -> bool:
        return self._fetching is not None and not self._fetching.done()

    def _has_cooled_down(self) -> bool:
        return monotonic() - self._fetched_at >= self._cooldown_seconds

    async def _keep_fresh(self) -> None:
        while True:
            await self._fetch_once()
            failed = self._failure is not None
            await asyncio.sleep(self._cooldown_seconds if failed else self._life_seconds / 2)

    async def _fetch_once(self) -> None:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch())
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        self._fetched_at = monotonic()
        try:
            published = await self.read()
        except FetchFailed as failure:
            self._failure = failure
            outages.report("issuer", failure)
            return
        self._failure = None
        is_withdrawn = any(published.get(kid) != key for kid, key in self._published.items())
        self._published = published
        self._keys = {kid: _imported(key) for kid, key in published.items()}
        if is_withdrawn and self._withdrawn is not None:
            self._withdrawn()


def _is_usable(key: Any) -> bool:
    if not isinstance(key, dict) or key.get("use", "sig") != "sig" or key.get("kty") not in KINDS:
        return False
    try:
        imported = _imported(key)
        is_large = not isinstance(imported, RSAKey) or imported.public_key.key_size >= MIN_RSA_BITS
    except (JoseError, ValueError, TypeError, KeyError):
        return False
    return is_large


def _imported(key: Mapping[str, Any]) -> PublicKey:
    return KINDS[key["kty"]].import_key(dict(key))
