"""An outage is logged once with its cause, then counted, and its end is logged too."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.forge.database import Database, open_database, outages
from app.forge.errors import Unavailable
from app.forge.http import health
from app.forge.http.health import Dependency
from app.forge.http.middleware import RequestIdMiddleware
from app.forge.http.problems import add_error_handlers
from app.forge.table import Table
from app.settings import Settings

AXES: tuple[str, ...] = ("database", "cache")


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(outages, "monotonic", clock)
    return clock


@pytest.fixture(autouse=True)
def no_outage() -> Iterator[None]:
    outages._outages.clear()
    yield
    outages._outages.clear()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yield the lines about outages so far."""
    told: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    handler = Keep()
    monkeypatch.setattr(outages.logger, "level", logging.INFO)
    outages.logger.addHandler(handler)
    yield told
    outages.logger.removeHandler(handler)


def failure(cause: Exception | None = None) -> Unavailable:
    error = Unavailable("The database did not respond.")
    error.__cause__ = cause
    return error


async def ping_in_vain() -> None:
    raise failure(ConnectionRefusedError(111, "Connection refused"))


@pytest.mark.usefixtures("clock")
def test_a_failure_is_logged_at_once_with_its_cause(lines: list[str]) -> None:
    outages.report("database", failure(ConnectionRefusedError(111, "Connection refused")))
    cause = "The database did not respond. ConnectionRefusedError: [Errno 111] Connection refused"
    assert lines == [f"Outage of the database: {cause}"]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (failure(), "The database did not respond."),
        (failure(TimeoutError()), "The database did not respond. TimeoutError"),
        (OSError("two\nlines"), "OSError: two lines"),
    ],
)
def test_a_cause_is_one_line(error: Exception, cause: str) -> None:
    assert outages.cause_of(error) == cause


def test_during_an_outage_failures_are_counted_every_thirty_seconds(clock: Clock, lines: list[str]) -> None:
    for _ in range(95):
        outages.report("database", failure(TimeoutError()))
        clock.now += 1
    assert len(lines) == 4
    expected = (
        "Outage of the database continues (failures in the last 30 s: 30): The database did not respond."
    )
    assert lines[1:] == [f"{expected} TimeoutError"] * 3


def test_each_dependency_has_its_own_outage(clock: Clock, lines: list[str]) -> None:
    outages.report("database", failure())
    outages.report("cache", OSError("away"))
    clock.now += 10
    outages.recovered("cache")
    outages.report("database", failure())
    assert lines == [
        "Outage of the database: The database did not respond.",
        "Outage of the cache: OSError: away",
        "The cache is available again after 0.0 s (failures: 1).",
    ]


def test_the_end_is_logged_once_with_count_and_duration(clock: Clock, lines: list[str]) -> None:
    outages.recovered("database")
    for _ in range(3):
        outages.report("database", failure())
        clock.now += 2
    outages.recovered("database")
    clock.now += outages.QUIET_SECONDS
    outages.recovered("database")
    outages.recovered("database")
    assert lines[1:] == ["The database is available again after 4.0 s (failures: 3)."]


def test_a_successful_ping_does_not_end_an_outage_while_requests_still_fail(
    clock: Clock, lines: list[str]
) -> None:
    for _ in range(20):
        outages.report("database", failure())
        clock.now += 1
        outages.recovered("database")
    assert len(lines) == 1


async def test_the_end_is_noticed_without_requests(
    clock: Clock, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "PROBE_SECONDS", 0.001)
    answered, pings = asyncio.Event(), 0

    async def ping() -> None:
        nonlocal pings
        pings += 1
        clock.now += 2
        if pings <= 5:
            raise failure()
        # The first one after the quiet seconds ends the outage.
        if pings == 8:
            answered.set()

    async with outages.watched({"database": ping}):
        await asyncio.sleep(0.02)
        assert pings == 0, "Nothing is sent to a dependency that answers."
        outages.report("database", failure())
        async with asyncio.timeout(5):
            await answered.wait()
    assert lines[1] == "The database is available again after 10.0 s (failures: 1)."


def test_503_is_logged_once_with_its_cause(app: FastAPI, lines: list[str]) -> None:
    @app.get("/unavailable")
    async def read_unavailable() -> None:
        raise Unavailable("The printer is away.", "printer") from ConnectionError("no paper")

    with TestClient(app) as client:
        answers = [client.get("/unavailable").status_code for _ in range(10)]
    assert answers == [503] * 10
    assert lines == ["Outage of the printer: The printer is away. ConnectionError: no paper"]


def test_a_dependency_that_is_not_ready_is_logged_with_its_cause(lines: list[str]) -> None:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, list[Dependency]]]:
        yield {"dependencies": [Dependency("search", ping_in_vain, required=True)]}

    app = FastAPI(lifespan=lifespan)
    app.include_router(health.router)
    app.add_middleware(RequestIdMiddleware)
    add_error_handlers(app)
    with TestClient(app) as client:
        for _ in range(3):
            assert client.get("/health/ready").status_code == 503
    assert len(lines) == 1
    assert lines[0].startswith("Outage of the search: ")
    assert "Connection refused" in lines[0]


def test_a_service_starts_without_its_database_and_logs_the_cause(
    app: FastAPI, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def open_broken(settings: Settings, tables: Sequence[Table]) -> AsyncIterator[Database]:
        async with open_database(settings, tables) as database:
            monkeypatch.setattr(database, "ping", ping_in_vain)
            yield database

    monkeypatch.setattr("app.lifespan.open_database", open_broken)
    with TestClient(app) as client:
        assert client.get("/health/live").status_code == 200
    assert lines[0].startswith("Outage of the database: ")
    assert "Connection refused" in lines[0]
