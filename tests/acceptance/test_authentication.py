"""A service that needs credentials shows nothing to clients without them."""

from collections.abc import Callable

import httpx2
import pytest

from tests.acceptance.service import ITEMS, Item, Service, must, must_answer

ROUTES = [
    ("GET", ""),
    ("HEAD", ""),
    ("GET", "?limit=1&after=00000000-0000-7000-8000-000000000000"),
    ("GET", "/export"),
    ("GET", "/summary"),
    ("GET", "/00000000-0000-7000-8000-000000000000"),
    ("HEAD", "/00000000-0000-7000-8000-000000000000"),
    ("POST", ""),
    ("POST", "/batch"),
    ("PATCH", "/00000000-0000-7000-8000-000000000000"),
    ("DELETE", "/00000000-0000-7000-8000-000000000000"),
]
# The header, and whether it is one of the service's own with something changed.
WRONG: dict[str, Callable[[str], list[tuple[str, str]]]] = {
    "none": lambda _: [],
    "empty": lambda _: [("Authorization", "")],
    "another scheme": lambda token: [("Authorization", f"Basic {token}")],
    "no scheme": lambda token: [("Authorization", token)],
    "cut": lambda token: [("Authorization", f"Bearer {token[:-1]}")],
    "longer": lambda token: [("Authorization", f"Bearer {token}A")],
    "twice": lambda token: [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")],
    "first another": lambda token: [("Authorization", "Bearer x"), ("Authorization", f"Bearer {token}")],
    "in a list": lambda token: [("Authorization", f"Bearer {token}, Bearer {token}")],
    "with a tab": lambda token: [("Authorization", f"Bearer\t{token}")],
    "in a cookie": lambda token: [("Cookie", f"access_token={token}")],
    "in another header": lambda token: [("X-API-Key", token)],
    "too long": lambda token: [("Authorization", f"Bearer {token}{'A' * 20_000}")],
}


def anonymous(service: Service, method: str, path: str, headers: object = ()) -> httpx2.Response:
    """Return the answer to a request without the client's own credentials."""
    with httpx2.Client(base_url=service.base_url, trust_env=False, verify=False, timeout=20) as client:
        return client.request(method, path, headers=headers)  # type: ignore[arg-type]


def statuses(service: Service) -> set[int]:
    """Return the statuses that a request without credentials may get."""
    return {401} if service.token else {200, 204, 404, 422}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_only_callers_with_credentials_are_served(method: str, path: str, service: Service) -> None:
    answer = anonymous(service, method, ITEMS + path)
    must_answer(answer, statuses(service), "credentials are asked for, or not")
    if service.token:
        must("WWW-Authenticate" in answer.headers, "a refusal names the scheme", answer)
        must("ETag" not in answer.headers, "a refusal has no entity tag", answer)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_credentials_are_refused(name: str, service: Service, item: Item) -> None:
    path = f"{ITEMS}/{item['id']}"
    # In the cache by now, where there is one.
    tag = service.get(item["id"]).headers["ETag"]
    headers = WRONG[name](service.token or "token")
    for more in ([], [("If-None-Match", tag)], [("If-None-Match", "*")]):
        answer = anonymous(service, "GET", path, [*headers, *more])
        # A server may refuse long or repeated headers by itself.
        refused = {400, 401, 431} if service.token else {200, 304, 400, 431}
        must_answer(answer, refused, "credentials that are wrong are refused")
        if service.token:
            must(service.token not in answer.text, "a refusal does not repeat credentials", answer)


def test_a_token_in_the_url_is_not_read(service: Service) -> None:
    for name in ("access_token", "token", "key", "api_key"):
        answer = anonymous(service, "GET", f"{ITEMS}?{name}={service.token or 'token'}")
        must_answer(answer, statuses(service), "credentials in a URL are not read")


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json"])
def test_the_service_itself_is_open(path: str, service: Service) -> None:
    must_answer(anonymous(service, "GET", path), 200, "health, metrics and documentation are open")


def test_the_document_says_what_is_asked_for(service: Service) -> None:
    document = service.send("GET", "/openapi.json").json()
    needs = document["paths"][ITEMS]["get"].get("security", [])
    schemes = document["components"].get("securitySchemes", {})
    if not service.token:
        assert not needs
        assert not schemes
        return
    ((name, scopes),) = needs[0].items()
    assert scopes == ["items:read"]
    assert schemes[name]["scheme"] == "bearer"


def test_no_credentials_are_in_the_metrics(service: Service) -> None:
    service.page()
    answer = service.send("GET", "/metrics")
    assert not service.token or service.token not in answer.text
