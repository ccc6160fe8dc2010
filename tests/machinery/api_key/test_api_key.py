"""API keys: at the command line, in requests, in the database, and when they are attacked."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient

from app.forge.auth.api_key import KEY, ApiKeyVerifier
from app.forge.auth.api_key_last_uses import LastUses
from app.forge.auth.api_key_table import API_KEYS, ApiKey, ApiKeys, NewKey
from app.forge.auth.authenticator import Authenticator
from app.forge.database import Database, open_database
from app.forge.errors import NotFound, Unavailable
from app.forge.resource import now
from app.main import create_app
from app.settings import Settings
from tests.callers import SCOPES

AXES: tuple[str, ...] = ("database", "mongodb_driver", "cache", "serializer")

ITEMS = "/api/v1/items"
Result = TypeVar("Result")
OnKeys = Callable[[Callable[[ApiKeys], Awaitable[Result]]], Result]


@pytest.fixture(scope="module", autouse=True)
def _identified() -> None:
    """Let requests send their credentials."""


@pytest.fixture
def on_keys(settings: Settings, _empty_database: None) -> OnKeys[Any]:
    """Return a function that does something with the keys, on separate connections."""

    async def run(work: Callable[[ApiKeys], Awaitable[Any]]) -> Any:
        async with open_database(settings, [API_KEYS]) as database:
            return await work(ApiKeys(database))

    return lambda work: asyncio.run(run(work))


def created(
    on_keys: OnKeys[Any], scopes: frozenset[str] = SCOPES, expires_at: datetime | None = None
) -> NewKey:
    key: NewKey = on_keys(lambda keys: keys.create("key", "a test", sorted(scopes), expires_at))
    return key


def bearer(key: NewKey | str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key if isinstance(key, str) else key.text}"}


@pytest.fixture
def guarded(settings: Settings) -> Iterator[TestClient]:
    """Yield a client of a service that remembers keys for a minute."""
    with TestClient(create_app(settings.model_copy(update={"api_key_remember_seconds": 60.0}))) as client:
        yield client


def test_a_key_opens_what_its_scopes_say(on_keys: OnKeys[Any], guarded: TestClient) -> None:
    reader = created(on_keys, frozenset({"items:read"}))
    assert guarded.get(ITEMS, headers=bearer(reader)).status_code == 200
    assert guarded.post(ITEMS, json={}, headers=bearer(reader)).status_code == 403
    assert guarded.get(ITEMS).status_code == 401


def test_a_key_has_256_random_bits_of_which_only_the_digest_is_stored(on_keys: OnKeys[Any]) -> None:
    first, second = created(on_keys), created(on_keys)
    assert KEY.fullmatch(first.text)
    assert len({first.text[-43:], second.text[-43:]}) == 2

    async def stored(keys: ApiKeys) -> str:
        return "".join([str(key) async for key in keys.all()])

    text = on_keys(stored)
    assert str(first.id) in text
    assert first.text not in text
    assert first.text[-43:] not in text


def test_what_is_no_key_is_refused_without_a_look_into_the_database(
    on_keys: OnKeys[Any], guarded: TestClient
) -> None:
    key = created(on_keys).text
    prefix, secret = key.split(".")
    for text in (
        key[:-1], key[1:].lstrip("key"), key + "A", f"{prefix}.", secret, f"{prefix}{secret}",
        f"{prefix}.{'A' * 42}", key.replace(".", ".."), f"{prefix}.{secret[:-1]}/", f"key_.{secret}",
        f"key_{uuid4()}.{secret}", f"{prefix.upper()}.{secret}",
    ):  # fmt: skip
        assert guarded.get(ITEMS, headers=bearer(text)).status_code == 401, text


def test_a_wrong_secret_an_unknown_id_and_another_services_key_are_refused_alike(
    on_keys: OnKeys[Any], guarded: TestClient
) -> None:
    first, second = created(on_keys), created(on_keys)
    crossed = first.text.split(".")[0] + "." + second.text.split(".")[1]
    changed = first.text[:-1] + ("A" if first.text[-1] != "A" else "B")
    foreign = f"other_{uuid4().hex}.{second.text.split('.')[1]}"
    answers = [guarded.get(ITEMS, headers=bearer(text)) for text in (crossed, changed, foreign)]
    assert {each.status_code for each in answers} == {401}
    assert len({each.json()["detail"] for each in answers}) == 1
    assert len({each.headers["www-authenticate"] for each in answers}) == 1


def test_an_expired_key_is_refused(on_keys: OnKeys[Any], guarded: TestClient) -> None:
    late = created(on_keys, expires_at=now() - timedelta(milliseconds=1))
    soon = created(on_keys, expires_at=now() + timedelta(days=1))
    assert guarded.get(ITEMS, headers=bearer(late)).status_code == 401
    assert guarded.get(ITEMS, headers=bearer(soon)).status_code == 200


def test_a_remembered_key_is_not_accepted_after_it_expires(on_keys: OnKeys[Any]) -> None:
    key = created(on_keys, expires_at=datetime.now(UTC) + timedelta(seconds=1))

    async def left(keys: ApiKeys) -> float:
        verifier = ApiKeyVerifier(keys, LastUses(keys, 60), 3_600)
        before = asyncio.get_running_loop().time()
        _, until = await verifier.verify(key.text)
        return until - before

    assert 0 < on_keys(left) <= 1.001


def test_a_revoked_key_is_refused_once_it_is_forgotten(on_keys: OnKeys[Any], settings: Settings) -> None:
    key = created(on_keys)
    at_once = settings.model_copy(update={"api_key_remember_seconds": 0.0})
    later = settings.model_copy(update={"api_key_remember_seconds": 60.0})
    with TestClient(create_app(at_once)) as strict, TestClient(create_app(later)) as lenient:
        for client in (strict, lenient):
            assert client.get(ITEMS, headers=bearer(key)).status_code == 200
        on_keys(lambda keys: keys.revoke(key.id))
        assert strict.get(ITEMS, headers=bearer(key)).status_code == 401
        # Within the bound that API_KEY_REMEMBER_SECONDS states.
        assert lenient.get(ITEMS, headers=bearer(key)).status_code == 200
        lenient.app_state["authenticator"].forget_all()
        assert lenient.get(ITEMS, headers=bearer(key)).status_code == 401


class Failing(ApiKeys):
    """The keys in a database that can be down."""

    is_down = False

    async def get(self, key_id: UUID) -> ApiKey:
        """Return the key, unless the database is down."""
        if self.is_down:
            raise Unavailable("The database is down.")
        return await super().get(key_id)

    async def note_use(self, key_id: UUID, time: datetime) -> None:
        """Store the time, unless the database is down."""
        if self.is_down:
            raise Unavailable("The database is down.")
        await super().note_use(key_id, time)


def scope_with(key: NewKey) -> dict[str, Any]:
    return {"headers": [(b"authorization", f"Bearer {key.text}".encode())]}


@pytest.mark.anyio
async def test_during_an_outage_a_known_key_is_accepted_and_an_unknown_one_gets_503(
    database: Database, settings: Settings
) -> None:
    keys = Failing(database)
    known, unknown = [await keys.create("key", "a test", [], None) for _ in range(2)]
    authenticator = Authenticator(ApiKeyVerifier(keys, LastUses(keys, 60), 60), settings)
    await authenticator.find(scope_with(known))
    keys.is_down = True
    await authenticator.find(scope_with(known))
    with pytest.raises(Unavailable):
        await authenticator.find(scope_with(unknown))
    keys.is_down = False
    await authenticator.find(scope_with(unknown))


@pytest.mark.anyio
async def test_a_last_use_that_the_database_does_not_take_is_written_later(database: Database) -> None:
    keys = Failing(database)
    uses = LastUses(keys, 60)
    key = await keys.create("key", "a test", [], None)
    for key_id in (key.id, uuid4()):
        uses.note(key_id, now())
    keys.is_down = True
    await uses.write()
    keys.is_down = False
    assert (await keys.get(key.id)).last_used_at is None
    await uses.write()
    assert (await keys.get(key.id)).last_used_at is not None


def test_the_last_use_is_written_in_batches_and_at_shutdown(on_keys: OnKeys[Any], settings: Settings) -> None:
    used, unused = created(on_keys), created(on_keys)
    with TestClient(create_app(settings)) as client:
        for _ in range(3):
            assert client.get(ITEMS, headers=bearer(used)).status_code == 200

    async def times(keys: ApiKeys) -> list[datetime | None]:
        return [(await keys.get(key.id)).last_used_at for key in (used, unused)]

    last, never = on_keys(times)
    assert abs((now() - last).total_seconds()) < 60
    assert never is None


def test_a_revocation_outlasts_the_note_of_a_use(on_keys: OnKeys[Any]) -> None:
    key = created(on_keys)

    async def revoked(keys: ApiKeys) -> ApiKey:
        await asyncio.gather(keys.revoke(key.id), *(keys.note_use(key.id, now()) for _ in range(10)))
        return await keys.get(key.id)

    assert on_keys(revoked).revoked_at is not None


def test_unknown_and_known_ids_take_the_same_time(on_keys: OnKeys[Any]) -> None:
    """Compare medians of interleaved look-ups: they may differ by half, where a slow hash would be a hundredfold."""
    key = created(on_keys)
    wrong = key.text[:-2] + "AA"
    unknown = f"key_{uuid4().hex}.{key.text.split('.')[1]}"

    async def timed(keys: ApiKeys) -> list[float]:
        verifier = ApiKeyVerifier(keys, LastUses(keys, 60), 60)
        took: dict[str, list[float]] = {wrong: [], unknown: []}
        for _ in range(300):
            for text, times in took.items():
                started = perf_counter()
                with pytest.raises(Exception, match="not valid"):
                    await verifier.verify(text)
                times.append(perf_counter() - started)
        return [median(times) for times in took.values()]

    slow, fast = sorted(on_keys(timed), reverse=True)
    assert slow < 1.5 * fast + 0.000_1


@pytest.fixture
def command(
    environment: dict[str, str], _empty_database: None
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs `python -m app.forge.auth`."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "app.forge.auth", *arguments],
            env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    return run


def test_the_command_line_creates_lists_and_revokes(
    command: Callable[..., subprocess.CompletedProcess[str]], on_keys: OnKeys[Any]
) -> None:
    made = command(
        "create", "reporting", "--scope", "items:read", "--scope=customers:read", "--expires-days=30"
    )
    assert made.returncode == 0, made.stderr
    text = made.stdout.strip()
    assert KEY.fullmatch(text)
    assert text not in made.stderr
    listed = command("list")
    # Keys of other tests may be there, too.
    key = next(key for key in map(json.loads, listed.stdout.splitlines()) if key["id"] in made.stderr)
    assert (key["name"], key["scopes"], key["revoked_at"]) == ("reporting", "customers:read items:read", None)
    assert text.split(".")[1] not in listed.stdout
    assert "digest" not in key
    revoked = command("revoke", key["id"])
    assert (revoked.returncode, revoked.stdout) == (0, "")
    assert on_keys(lambda keys: keys.get(UUID(key["id"]))).revoked_at is not None


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["create", "x", "--scope", "item:read"], "Choose from: "),
        (["create", "x", "--expires-days", "0"], "in the past"),
        (["revoke", str(uuid4())], "API key"),
        (["revoke", "x"], "invalid UUID"),
    ],
)
def test_the_command_line_names_what_is_wrong(
    command: Callable[..., subprocess.CompletedProcess[str]], arguments: list[str], hint: str
) -> None:
    failed = command(*arguments)
    assert failed.returncode != 0
    assert hint in failed.stderr
    assert "Traceback" not in failed.stderr


def test_no_secret_reaches_the_log(
    on_keys: OnKeys[Any], guarded: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = created(on_keys)
    secret = key.text.split(".")[1]
    for headers in (bearer(key), bearer(key.text + "x"), {"Authorization": f"Basic {key.text}"}):
        answer = guarded.get(ITEMS, headers=headers)
        assert secret not in answer.text + str(answer.headers)
    assert secret not in caplog.text


@pytest.mark.anyio
async def test_revoking_an_unknown_key_raises_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        await ApiKeys(database).revoke(uuid4())
