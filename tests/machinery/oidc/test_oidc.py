"""Access tokens of an issuer that runs beside the tests, with real keys: valid ones, and all kinds of attacks."""

import asyncio
import json
import logging
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from app.forge.auth.caller import Caller
from app.forge.auth.oidc import OidcAuthenticator, open_authenticator
from app.forge.errors import Unavailable
from app.main import create_app
from app.settings import Settings
from tests.machinery.issuer import AUDIENCE, Issuer, ec_key, ed_key, rsa_key

AXES: tuple[str, ...] = ("auth", "database")

ITEMS = "/api/v1/items"
READ = "items:read"

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", autouse=True)
def _identified() -> None:
    """Let requests send their credentials."""


@pytest.fixture(scope="module", autouse=True)
def _issuer() -> None:
    """Let services fetch the keys of their issuer."""


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer().serving() as issuer:
        yield issuer


def settings_for(settings: Settings, issuer: Issuer, **other: Any) -> Settings:
    return settings.model_copy(update={"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, **other})


@pytest.fixture
def guarded(settings: Settings, issuer: Issuer, _empty_database: None) -> Iterator[TestClient]:
    with TestClient(create_app(settings_for(settings, issuer)), raise_server_exceptions=False) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def status_of(client: TestClient, token: str) -> int:
    status: int = client.get(ITEMS, headers=bearer(token)).status_code
    return status


@asynccontextmanager
async def opened(settings: Settings, issuer: Issuer, **other: Any) -> AsyncIterator[OidcAuthenticator]:
    async with open_authenticator(settings_for(settings, issuer, **other)) as authenticator:
        yield authenticator


async def found(authenticator: OidcAuthenticator, token: str) -> Caller:
    return await authenticator.find({"headers": [(b"authorization", f"Bearer {token}".encode())]})


async def status(authenticator: OidcAuthenticator, token: str) -> int:
    try:
        await found(authenticator, token)
    except HTTPException as error:
        return error.status_code
    except Unavailable as error:
        return int(error.status)
    return 200


# --- Tokens ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [rsa_key, ec_key, ed_key])
def test_a_valid_token_opens_what_its_scopes_say(guarded: TestClient, issuer: Issuer, make: Any) -> None:
    issuer.keys = [make("new")]
    guarded.app_state["authenticator"]._keys._fetched_at = float("-inf")
    assert status_of(guarded, issuer.token(scope=READ)) == 200
    assert status_of(guarded, issuer.token(scope="items:write")) == 403
    assert status_of(guarded, issuer.token()) == 403


@pytest.mark.parametrize(
    ("claim", "scopes"),
    [
        ("a b  c", {"a", "b", "c"}),
        (["a", "b"], {"a", "b"}),
        (["a", 1, None, {}], {"a"}),
        (None, set()),
        (7, set()),
        ({"a": 1}, set()),
    ],
)
async def test_scopes_are_a_string_or_a_list(
    settings: Settings, issuer: Issuer, claim: Any, scopes: set[str]
) -> None:
    async with opened(settings, issuer) as authenticator:
        caller = await found(authenticator, issuer.token(scope=claim))
        assert caller == Caller("alice", frozenset(scopes), "oidc")


def hs256_with_the_public_key(issuer: Issuer) -> str:
    return issuer.token(issuer.keys[0].as_pem(private=False), {"alg": "HS256", "kid": "first"}, scope=READ)


def unsigned(issuer: Issuer) -> str:
    header = {"alg": "none", "typ": "at+jwt", "kid": "first"}
    parts = [json.dumps(part).encode() for part in (header, issuer.claims(scope=READ))]
    return ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


def deep(issuer: Issuer) -> str:
    return issuer.signed(b"[" * 5_000 + b"]" * 5_000)


def deep_header(_issuer: Issuer) -> str:
    nested = urlsafe_b64encode(b"[" * 3_000).decode().rstrip("=")
    return f"{nested}.{nested[:10]}.AAAA"


def embedded(issuer: Issuer) -> str:
    other = ec_key("first")
    return issuer.token(other, {"jwk": other.as_dict(private=False)}, scope=READ)


def pointing(name: str) -> Any:
    return lambda issuer: issuer.token(ec_key("first"), {name: f"{issuer.url}/evil"}, scope=READ)


def changed(issuer: Issuer) -> str:
    header, _, signature = issuer.token(scope="").split(".")
    payload = urlsafe_b64encode(json.dumps(issuer.claims(scope=READ)).encode()).decode().rstrip("=")
    return f"{header}.{payload}.{signature}"


ATTACKS: dict[str, Any] = {
    "alg none": unsigned,
    "HS256 with the public key": hs256_with_the_public_key,
    "HS256": lambda issuer: issuer.token(b"x" * 32, {"alg": "HS256", "kid": "first"}, scope=READ),
    "another key of the same kid": lambda issuer: issuer.token(ec_key("first"), scope=READ),
    "an RSA key of the same kid": lambda issuer: issuer.token(rsa_key("first"), scope=READ),
    "an unknown kid": lambda issuer: issuer.token(ec_key("other"), scope=READ),
    "a kid that is a number": lambda issuer: issuer.token(header={"kid": 1}, scope=READ),
    "a kid that is a path": lambda issuer: issuer.token(ec_key("../../dev/null"), scope=READ),
    "an embedded key": embedded,
    "jku": pointing("jku"),
    "x5u": pointing("x5u"),
    "changed claims": changed,
    "crit": lambda issuer: issuer.token(header={"crit": ["exp"], "exp": 1}, scope=READ),
    "wrong issuer": lambda issuer: issuer.token(iss="https://evil.example", scope=READ),
    "issuer with a slash": lambda issuer: issuer.token(iss=issuer.url + "/", scope=READ),
    "no issuer": lambda issuer: issuer.token(iss=None, scope=READ),
    "issuer in a list": lambda issuer: issuer.token(iss=[issuer.url], scope=READ),
    "wrong audience": lambda issuer: issuer.token(aud="https://other.example", scope=READ),
    "longer audience": lambda issuer: issuer.token(aud=AUDIENCE + ".evil.example", scope=READ),
    "no audience": lambda issuer: issuer.token(aud=None, scope=READ),
    "audience in an object": lambda issuer: issuer.token(aud={AUDIENCE: 1}, scope=READ),
    "an ID token": lambda issuer: issuer.token(header={"typ": "id+jwt"}, scope=READ),
    "no type": lambda issuer: issuer.token(header={"typ": None}, scope=READ),
    "a logout token": lambda issuer: issuer.token(header={"typ": "logout+jwt"}, scope=READ),
    "no subject": lambda issuer: issuer.token(sub=None, scope=READ),
    "HS256 signed, RS256 said": lambda issuer: issuer.token(b"x" * 32, {"alg": "RS256", "kid": "first"}),
    "an empty subject": lambda issuer: issuer.token(sub="", scope=READ),
    "a subject that is a number": lambda issuer: issuer.token(sub=1, scope=READ),
    "expired": lambda issuer: issuer.token(exp=int(time.time()) - 31, scope=READ),
    "no expiry": lambda issuer: issuer.token(exp=None, scope=READ),
    "expiry that is true": lambda issuer: issuer.token(exp=True, scope=READ),
    "expiry in a string": lambda issuer: issuer.token(exp="9999999999", scope=READ),
    "infinite expiry": lambda issuer: issuer.token(exp=float("inf"), scope=READ),
    "expiry that is not a number": lambda issuer: issuer.token(exp=float("nan"), scope=READ),
    "expiry beyond all numbers": lambda issuer: issuer.token(exp=10**400, scope=READ),
    "not valid yet": lambda issuer: issuer.token(nbf=int(time.time()) + 60, scope=READ),
    "issued in the future": lambda issuer: issuer.token(iat=int(time.time()) + 60, scope=READ),
    "claims that are a list": lambda issuer: issuer.signed(b"[]"),
    "claims that are not JSON": lambda issuer: issuer.signed(b"{"),
    "claims that are not UTF-8": lambda issuer: issuer.signed(b'{"iss": "\xff"}'),
    "deep claims": deep,
    "a deep header": deep_header,
    "1 MB": lambda issuer: issuer.token(scope=READ, padding="x" * 1_000_000),
    "no signature": lambda issuer: issuer.token(scope=READ).rpartition(".")[0] + ".",
    "a short signature": lambda issuer: issuer.token(scope=READ)[:-5],
    "two parts": lambda issuer: issuer.token(scope=READ).rpartition(".")[0],
    "four parts": lambda issuer: issuer.token(scope=READ) + ".AAAA",
    "five parts, as of JWE": lambda issuer: issuer.token(scope=READ) + ".AAAA.AAAA",
    "no JWT at all": lambda _: "x",
    "only dots": lambda _: "..",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused(guarded: TestClient, issuer: Issuer, name: str) -> None:
    assert status_of(guarded, issuer.token(scope=READ)) == 200
    response = guarded.get(ITEMS, headers=bearer(ATTACKS[name](issuer)))
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert 'error="' in response.headers["www-authenticate"]
    assert not [path for path in issuer.requests if path.startswith("/evil")]


@pytest.mark.parametrize(
    ("claims", "header"),
    [
        ({"exp": int(time.time()) - 5}, {}),
        ({"nbf": int(time.time()) + 5}, {}),
        ({"aud": ["https://other.example", AUDIENCE]}, {}),
        ({}, {"typ": "AT+JWT"}),
        ({}, {"typ": "application/at+jwt"}),
        ({}, {"typ": "JWT"}),
        ({}, {"kid": None}),
        ({}, {"jku": "https://evil.example"}),
    ],
)
async def test_what_standards_allow_is_accepted(
    settings: Settings, issuer: Issuer, claims: Any, header: Any
) -> None:
    # Leeway for times that were computed when the tests were collected.
    async with opened(settings, issuer, oidc_leeway_seconds=900.0) as authenticator:
        assert await status(authenticator, issuer.token(header=header, **claims)) == 200


async def test_an_algorithm_that_the_setting_leaves_out_is_refused(
    settings: Settings, issuer: Issuer
) -> None:
    issuer.keys = [ec_key("first"), rsa_key("second")]
    async with opened(settings, issuer, oidc_algorithms=("RS256",)) as authenticator:
        assert await status(authenticator, issuer.token(issuer.keys[1], scope=READ)) == 200
        assert await status(authenticator, issuer.token(issuer.keys[0], scope=READ)) == 401


async def test_clocks_may_differ_as_much_as_the_leeway(settings: Settings, issuer: Issuer) -> None:
    async with opened(settings, issuer, oidc_leeway_seconds=100.0) as authenticator:
        now = int(time.time())
        for offset, expected in ((-90, 200), (-110, 401)):
            assert await status(authenticator, issuer.token(exp=now + offset)) == expected
        for offset, expected in ((90, 200), (130, 401)):
            assert await status(authenticator, issuer.token(nbf=now + offset)) == expected


async def test_a_remembered_token_is_refused_once_it_expires(settings: Settings, issuer: Issuer) -> None:
    async with opened(settings, issuer, oidc_leeway_seconds=0.0) as authenticator:
        token = issuer.token(exp=time.time() + 1.0)
        assert await status(authenticator, token) == 200
        await asyncio.sleep(1.1)
        assert await status(authenticator, token) == 401


def test_no_token_reaches_the_log(
    guarded: TestClient, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for token in (issuer.token(scope=READ), *(attack(issuer) for attack in ATTACKS.values())):
        answer = guarded.get(ITEMS, headers=bearer(token))
        if len(token) > 10:
            assert token not in answer.text + str(answer.headers)
            assert token[:200] not in caplog.text


# --- Keys -----------------------------------------------------------------------------------------------------


async def test_a_new_key_is_fetched_when_a_token_names_it(settings: Settings, issuer: Issuer) -> None:
    async with opened(settings, issuer, oidc_cooldown_seconds=0.001) as authenticator:
        old = issuer.token(scope=READ)
        assert await status(authenticator, old) == 200
        issuer.keys.insert(0, rsa_key("second"))
        assert await status(authenticator, issuer.token(scope=READ)) == 200
        assert await status(authenticator, old) == 200


async def test_tokens_of_a_withdrawn_key_are_forgotten(settings: Settings, issuer: Issuer) -> None:
    async with opened(settings, issuer, oidc_cooldown_seconds=0.001) as authenticator:
        old = issuer.token(scope=READ)
        assert await status(authenticator, old) == 200
        issuer.keys = [ec_key("second")]
        assert await status(authenticator, issuer.token(scope=READ)) == 200
        assert await status(authenticator, old) == 401


async def test_a_key_that_is_replaced_under_the_same_kid_is_withdrawn(
    settings: Settings, issuer: Issuer
) -> None:
    async with opened(settings, issuer, oidc_keys_seconds=0.1) as authenticator:
        old = issuer.token(scope=READ)
        assert await status(authenticator, old) == 200
        issuer.keys = [ec_key("first")]
        for _ in range(500):
            if await status(authenticator, old) == 401:
                break
            await asyncio.sleep(0.02)
        assert await status(authenticator, old) == 401
        assert await status(authenticator, issuer.token(scope=READ)) == 200


async def test_unknown_keys_are_fetched_once_in_a_cooldown(settings: Settings, issuer: Issuer) -> None:
    async with opened(settings, issuer, oidc_cooldown_seconds=3_600.0) as authenticator:
        known, stranger = issuer.token(scope=READ), ec_key("stranger")
        assert await status(authenticator, known) == 200
        fetched = issuer.fetches
        header = issuer.token(stranger).split(".", 1)
        for number in range(10_000):
            named = {"alg": "ES256", "typ": "at+jwt", "kid": f"{number}-{uuid4()}"}
            unknown = urlsafe_b64encode(json.dumps(named).encode()).decode().rstrip("=")
            assert await status(authenticator, f"{unknown}.{header[1]}") == 401
            assert issuer.fetches == fetched
        assert await status(authenticator, known) == 200


async def test_many_requests_at_once_make_one_fetch(settings: Settings, issuer: Issuer) -> None:
    issuer.seconds = 0.2
    async with opened(settings, issuer) as authenticator:
        tokens = [issuer.token(scope=READ, jti=str(number)) for number in range(50)]
        assert set(await asyncio.gather(*(status(authenticator, each) for each in tokens))) == {200}
        assert issuer.fetches == 1


async def test_while_the_issuer_is_down_known_keys_go_on(settings: Settings, issuer: Issuer) -> None:
    async with opened(settings, issuer, oidc_keys_seconds=0.05, oidc_cooldown_seconds=0.05) as authenticator:
        assert await status(authenticator, issuer.token(scope=READ)) == 200
        issuer.respond = lambda _path: (500, {}, b"")
        asked = len(issuer.requests)
        # Many lives of the keys.
        while len(issuer.requests) < asked + 10:
            assert await status(authenticator, issuer.token(scope=READ, jti=str(uuid4()))) == 200
            await asyncio.sleep(0.01)
        with pytest.raises(Unavailable):
            await authenticator.ping()
        issuer.respond = None
        while True:
            try:
                await authenticator.ping()
                break
            except Unavailable:
                await asyncio.sleep(0.02)
        assert await status(authenticator, issuer.token(ec_key("unknown"))) == 401


def documents(issuer: Issuer, **keys: Any) -> Any:
    def respond(path: str) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = issuer.documents(path)
        return (
            (status, dict(headers), json.dumps(keys).encode())
            if path == "/keys"
            else (status, dict(headers), body)
        )

    return respond


def discovered(issuer: Issuer, /, **other: Any) -> Any:
    def respond(path: str) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = issuer.documents(path)
        if path != "/keys":
            body = json.dumps(json.loads(body) | other).encode()
        return status, dict(headers), body

    return respond


MISBEHAVIOUR: dict[str, Any] = {
    "an error": lambda _: lambda _path: (503, {}, b""),
    "garbage": lambda _: lambda _path: (200, {}, b"\x00garbage"),
    "deep JSON": lambda _: lambda _path: (200, {}, b"[" * 100_000),
    "a list": lambda _: lambda _path: (200, {}, b"[]"),
    "too much": lambda _: lambda _path: (200, {}, b" " * 2_000_000 + b"{}"),
    "a redirect": lambda issuer: lambda _path: (302, {"Location": f"{issuer.url}/evil"}, b""),
    "no end": lambda _: lambda _path: (200, {"Content-Length": "100"}, b"{}"),
    "another issuer": lambda issuer: discovered(issuer, issuer="https://evil.example"),
    "no jwks_uri": lambda issuer: discovered(issuer, jwks_uri=None),
    "a file as jwks_uri": lambda issuer: discovered(issuer, jwks_uri="file:///etc/passwd"),
    "no keys": lambda issuer: documents(issuer, keys=[]),
    "keys that are none": lambda issuer: documents(
        issuer, keys=[1, {}, {"kty": "RSA"}, {"kty": "EC", "crv": "x"}]
    ),
    "a secret as key": lambda issuer: documents(issuer, keys=[{"kty": "oct", "k": "AAAA", "kid": "first"}]),
    "a key for encryption": lambda issuer: documents(
        issuer, keys=[issuer.keys[0].as_dict(private=False) | {"use": "enc"}]
    ),
}


@pytest.mark.parametrize("name", MISBEHAVIOUR)
async def test_an_issuer_that_misbehaves_from_the_start_gives_503(
    settings: Settings, issuer: Issuer, name: str
) -> None:
    issuer.respond = MISBEHAVIOUR[name](issuer)
    async with opened(settings, issuer, oidc_timeout_seconds=0.5) as authenticator:
        assert await status(authenticator, issuer.token(scope=READ)) == 503
        assert "/evil" not in issuer.requests


@pytest.mark.parametrize("name", MISBEHAVIOUR)
async def test_an_issuer_that_begins_to_misbehave_takes_no_known_key_away(
    settings: Settings, issuer: Issuer, name: str
) -> None:
    async with opened(
        settings, issuer, oidc_cooldown_seconds=0.001, oidc_timeout_seconds=0.5
    ) as authenticator:
        assert await status(authenticator, issuer.token(scope=READ)) == 200
        issuer.respond = MISBEHAVIOUR[name](issuer)
        assert await status(authenticator, issuer.token(ec_key("unknown"), scope=READ)) == 401
        assert await status(authenticator, issuer.token(scope=READ, jti="new")) == 200


async def test_a_slow_issuer_holds_up_no_request_with_a_known_key(settings: Settings, issuer: Issuer) -> None:
    async with opened(
        settings, issuer, oidc_cooldown_seconds=0.001, oidc_timeout_seconds=0.3
    ) as authenticator:
        assert await status(authenticator, issuer.token(scope=READ)) == 200
        issuer.seconds = 5.0
        waiting = asyncio.create_task(status(authenticator, issuer.token(ec_key("unknown"))))
        await asyncio.sleep(0.05)
        assert await status(authenticator, issuer.token(scope=READ, jti="new")) == 200
        assert not waiting.done()
        # Not after the five seconds of the issuer.
        async with asyncio.timeout(3):
            assert await waiting == 401


@pytest.mark.usefixtures("_empty_database")
def test_a_service_starts_without_its_issuer_and_says_so(settings: Settings, issuer: Issuer) -> None:
    issuer.respond = lambda _path: (500, {}, b"")
    with TestClient(create_app(settings_for(settings, issuer, oidc_cooldown_seconds=0.01))) as client:
        answer = client.get(ITEMS, headers=bearer(issuer.token(scope=READ)))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        ready = client.get("/health/ready").json()
        assert (ready["status"], ready["dependencies"]["issuer"]["status"]) == ("degraded", "down")
        issuer.respond = None
        while client.get("/health/ready").json()["status"] != "ready":
            time.sleep(0.01)
        assert status_of(client, issuer.token(scope=READ)) == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("oidc_issuer", "http://issuer.example"),
        ("oidc_issuer", "ftp://issuer.example"),
        ("oidc_issuer", "https://user:password@issuer.example"),
        ("oidc_issuer", "https://issuer.example/?x=1"),
        ("oidc_issuer", "https://"),
        ("oidc_audience", ""),
        ("oidc_algorithms", ("HS256",)),
        ("oidc_algorithms", ("none",)),
        ("oidc_algorithms", ()),
        ("oidc_token_types", ()),
    ],
)
def test_an_unsafe_setting_is_refused(settings: Settings, name: str, value: Any) -> None:
    valid = {"oidc_issuer": "https://issuer.example", "oidc_audience": "shop"}
    with pytest.raises(ValidationError):
        Settings(_env_file=None, **settings.model_dump() | valid | {name: value})
