"""Verifies access tokens: signature, issuer, audience, type and times."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from time import monotonic, time
from typing import Any, NoReturn

from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from app.forge.auth.caller import Caller
from app.forge.auth.oidc_keys import IssuerKeys, PublicKey
from app.forge.auth.refusals import unauthenticated

MAX_SUBJECT = 255
BASE64 = re.compile(r"[A-Za-z0-9_-]*")


@dataclass(frozen=True)
class TokenRules:
    """Rules for the tokens that are accepted."""

    issuer: str
    audience: str
    algorithms: frozenset[str]
    # In lower case.
    types: frozenset[str]
    scope_claim: str
    leeway_seconds: float


class TokenVerifier:
    """Verifies the tokens of one issuer."""

    def __init__(self, keys: IssuerKeys, rules: TokenRules) -> None:
        self._keys = keys
        self._rules = rules

    async def verify(self, credentials: str) -> tuple[Caller, float]:
        """Return the caller with this token. Raises 401, or `Unavailable` if there are no keys yet."""
        header = _header(credentials)
        algorithm = self._algorithm(header)
        kid = header.get("kid")
        if kid is not None and not isinstance(kid, str):
            _refuse("The token has no valid key id.")
        # Only keys that the issuer publishes: `jwk`, `jku`, `x5c` and `x5u` in the token are not read.
        key = await self._keys.find(kid)
        if key is None:
            _refuse("The token is signed by an unknown key.")
        if not _is_signed(credentials, key, algorithm):
            _refuse("The token's signature is not valid.")
        claims = _json(credentials.split(".")[1])
        if not isinstance(claims, dict):
            _refuse("The token has no claims.")
        return self._caller(claims)

    def _algorithm(self, header: Mapping[str, Any]) -> str:
        algorithm, kind = header.get("alg"), header.get("typ")
        if not isinstance(algorithm, str) or algorithm not in self._rules.algorithms:
            _refuse("The token's algorithm is not accepted.")
        if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in self._rules.types:
            _refuse("The token's type is not accepted.")
        if "crit" in header:
            _refuse("The token has an extension that is not understood.")
        return algorithm

    def _caller(self, claims: Mapping[str, Any]) -> tuple[Caller, float]:
        rules, now = self._rules, time()
        audience, subject = claims.get("aud"), claims.get("sub")
        if claims.get("iss") != rules.issuer:
            _refuse("The token is of another issuer.")
        if rules.audience != audience and not (isinstance(audience, list) and rules.audience in audience):
            _refuse("The token is for another audience.")
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
            _refuse("The token has no valid subject.")
        expires_at = _seconds(claims, "exp")
        if expires_at is None or expires_at + rules.leeway_seconds <= now:
            _refuse("The token is expired.")
        for name in ("nbf", "iat"):
            begins_at = _seconds(claims, name)
            if begins_at is not None and begins_at - rules.leeway_seconds > now:
                _refuse("The token is not valid yet.")
        caller = Caller(subject, _scopes(claims.get(rules.scope_claim)), "oidc")
        return caller, monotonic() + expires_at + rules.leeway_seconds - now


def _header(token: str) -> dict[str, Any]:
    header = _json(token.partition(".")[0])
    if token.count(".") != 2 or not isinstance(header, dict):
        _refuse("The token is not a JWT.")
    return header


def _is_signed(token: str, key: PublicKey, name: str) -> bool:
    # Not `jws.deserialize_compact`, which reads the header again, and refuses headers with more than 512 bytes.
    algorithm = JWSRegistry.algorithms[name]
    signed, _, signature = token.rpartition(".")
    try:
        key.check_alg(name)
        algorithm.check_key(key)
        return algorithm.verify(signed.encode("ascii"), _decoded(signature), key)
    # A key of another type, or a signature of another length.
    except (JoseError, ValueError):
        return False


def _json(segment: str) -> Any:
    try:
        return json.loads(_decoded(segment))
    except (ValueError, RecursionError):
        _refuse("The token is not a JWT.")


def _decoded(segment: str) -> bytes:
    # Python's function skips what is not Base64.
    if BASE64.fullmatch(segment) is None:
        raise ValueError("This is not Base64.")
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    # `true` is a number in Python, and JSON as Python reads it has infinity.
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_time(value):
        _refuse(f"The token's {name} is not a time.")
    return float(value)


def _is_time(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:
        return False


def _scopes(claim: object) -> frozenset[str]:
    if isinstance(claim, str):
        return frozenset(claim.split())
    if isinstance(claim, list):
        return frozenset(each for each in claim if isinstance(each, str))
    return frozenset()


def _refuse(detail: str) -> NoReturn:
    raise unauthenticated(detail) from None
