"""Clients that know the secret get a request's profile instead of its response; others cannot tell that it exists."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr, ValidationError

from app.main import create_app
from app.settings import Settings

AXES: tuple[str, ...] = ("app_compression",)

ITEMS = "/api/v1/items"
SECRET = "a secret for tests only"
HEADER = {"X-Profile-Secret": SECRET}


@pytest.fixture(scope="module")
def profiling(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings.model_copy(update={"profile_secret": SecretStr(SECRET)}))) as client:
        yield client


@pytest.fixture
def profiling_client(profiling: TestClient, _empty_database: None) -> TestClient:
    return profiling


def test_the_profile_names_what_the_request_called(profiling_client: TestClient) -> None:
    profiling_client.get(ITEMS)
    answer = profiling_client.get(f"{ITEMS}?limit=1", headers=HEADER)
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text.startswith(f"GET {ITEMS}: 200 after ")
    assert "(list_items)" in answer.text
    assert answer.headers["x-request-id"]


def test_the_profiled_request_is_executed(profiling_client: TestClient) -> None:
    draft = {"name": "profiled", "price_cents": 1}
    assert profiling_client.post(ITEMS, json=draft, headers=HEADER).text.startswith(
        f"POST {ITEMS}: 201 after "
    )
    assert profiling_client.get(ITEMS).json()["items"][0]["name"] == "profiled"


@pytest.mark.parametrize("given", ["", "a secret for tests onl", SECRET + "!", "ä"])
def test_a_wrong_secret_changes_nothing(profiling_client: TestClient, given: str) -> None:
    answer = profiling_client.get(ITEMS, headers=[(b"x-profile-secret", given.encode())])
    assert answer.json() == {"items": [], "next": None}


def test_without_a_secret_nothing_is_installed(client: TestClient, settings: Settings) -> None:
    assert client.get(ITEMS, headers=HEADER).json() == {"items": [], "next": None}
    middleware = [each.cls.__name__ for each in create_app(settings).user_middleware]  # type: ignore[attr-defined]
    assert "RequestProfileMiddleware" not in middleware


def test_a_secret_that_can_be_guessed_is_refused_without_being_repeated(settings: Settings) -> None:
    with pytest.raises(ValidationError, match="profile_secret") as refusal:
        Settings(_env_file=None, **{**settings.model_dump(), "profile_secret": "hunter2"})
    assert "hunter2" not in str(refusal.value)
