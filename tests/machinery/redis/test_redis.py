"""The cache in Redis is correct for all workers, and no request waits for it when it is down.

Each `RedisCache` stands for another worker. They reach Redis through a proxy that a test can cut off.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
import uvloop
from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.forge.cache.cached_store import HIT, CachedStore, Lease
from app.forge.cache.redis_cache import KEY_PREFIX, CacheSettings, RedisCache
from app.forge.cache.redis_cache import open_cache as open_redis_cache
from app.forge.cache.redis_connection import open_connection
from app.forge.database import outages
from app.forge.errors import Unavailable
from app.forge.store import Document, document_of

AXES: tuple[str, ...] = ("database", "serializer")

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ITEMS = "items"
OLD, NEW = document_of(b'{"is":"old"}'), document_of(b'{"is":"new\xe2\x80\xa8"}')
OpenCache = Callable[..., Awaitable[RedisCache]]


class Line:
    """A proxy port of Redis, which can be cut off or frozen."""

    def __init__(self, host: str, port: int) -> None:
        self._redis = host, port
        self._flows = asyncio.Event()
        self._flows.set()
        self._ends: list[asyncio.StreamWriter] = []
        self._port = 0
        self.delay_seconds = 0.0

    async def restore(self) -> int:
        """Let connections through and return the port, which stays the same."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self._port

    async def cut(self) -> None:
        """End every connection and refuse new ones."""
        self._flows.set()
        self._server.close()
        for end in self._ends:
            end.close()
        self._ends.clear()
        await self._server.wait_closed()

    def hold(self) -> None:
        """Hold data back, as a hanging Redis does."""
        self._flows.clear()

    def release(self) -> None:
        """Forward the data that was held back."""
        self._flows.set()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        redis_reader, redis_writer = await asyncio.open_connection(*self._redis)
        self._ends += [writer, redis_writer]
        await asyncio.gather(self._carry(reader, redis_writer), self._carry(redis_reader, writer))

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                await self._flows.wait()
                await asyncio.sleep(self.delay_seconds)
                target.write(data)
        target.close()


@pytest.fixture
async def line(redis_url: str) -> AsyncIterator[Line]:
    where = urlsplit(redis_url)
    line = Line(where.hostname or "127.0.0.1", where.port or 6379)
    await line.restore()
    yield line
    await line.cut()


@pytest.fixture
async def open_cache(line: Line, redis_url: str) -> AsyncIterator[OpenCache]:
    """Yield a function that opens one more worker's cache, over any proxy."""
    async with AsyncExitStack() as stack:

        async def open_one(over: Line = line, ttl_seconds: float = 60) -> RedisCache:
            where = urlsplit(redis_url)
            credentials, at, _ = where.netloc.rpartition("@")
            url = where._replace(netloc=f"{credentials}{at}127.0.0.1:{over._port}").geturl()
            settings = CacheSettings(_env_file=None, redis_url=url, cache_ttl_seconds=ttl_seconds)
            return await stack.enter_async_context(open_redis_cache(settings))

        yield open_one


@asynccontextmanager
async def another_line(redis_url: str) -> AsyncIterator[Line]:
    where = urlsplit(redis_url)
    line = Line(where.hostname or "127.0.0.1", where.port or 6379)
    await line.restore()
    try:
        yield line
    finally:
        await line.cut()


async def keep(cache: RedisCache, item_id: UUID, document: Document) -> None:
    await cache.of(ITEMS).put(item_id, await lease(cache, item_id), document)


async def lease(cache: RedisCache, item_id: UUID) -> Lease:
    found = await cache.of(ITEMS).get(item_id)
    assert not isinstance(found, Document)
    return found


async def read(cache: RedisCache, item_id: UUID) -> bytes | None:
    found = await cache.of(ITEMS).get(item_id)
    return found.body if isinstance(found, Document) else None


async def until_it_answers(cache: RedisCache) -> None:
    async with asyncio.timeout(5):
        while True:
            try:
                return await cache.ping()
            except Unavailable:
                await asyncio.sleep(0.05)


async def test_a_document_cached_by_one_worker_is_a_hit_for_another(open_cache: OpenCache) -> None:
    one, other, item_id = await open_cache(), await open_cache(), uuid4()
    await keep(one, item_id, NEW)
    assert await one.of(ITEMS).get(item_id) == await other.of(ITEMS).get(item_id) == NEW._replace(headers=HIT)


async def test_a_document_is_kept_only_for_its_ttl(open_cache: OpenCache) -> None:
    cache, item_id = await open_cache(ttl_seconds=0.5), uuid4()
    await keep(cache, item_id, OLD)
    assert await read(cache, item_id) == OLD.body
    await asyncio.sleep(0.6)
    assert await read(cache, item_id) is None


async def test_a_document_dropped_by_one_worker_is_dropped_for_all(open_cache: OpenCache) -> None:
    one, other, item_id = await open_cache(), await open_cache(), uuid4()
    await keep(one, item_id, OLD)
    await other.of(ITEMS).forget(item_id)
    await keep(one, item_id, NEW)
    assert await read(other, item_id) == NEW.body


async def test_a_read_from_before_another_workers_change_is_not_cached(open_cache: OpenCache) -> None:
    one, other, item_id = await open_cache(), await open_cache(), uuid4()
    before = await lease(one, item_id)
    await other.of(ITEMS).forget(item_id)
    await one.of(ITEMS).put(item_id, before, OLD)
    assert await read(other, item_id) is None


async def test_a_read_from_before_a_change_does_not_replace_one_from_after_it(
    open_cache: OpenCache,
) -> None:
    one, other, item_id = await open_cache(), await open_cache(), uuid4()
    before = await lease(one, item_id)
    await other.of(ITEMS).forget(item_id)
    await keep(other, item_id, NEW)
    await one.of(ITEMS).put(item_id, before, OLD)
    assert await read(one, item_id) == NEW.body


async def test_a_lease_is_in_redis_before_anything_is_read_under_it(
    open_cache: OpenCache, redis_url: str
) -> None:
    # Otherwise a change could come first, and a read from before the change would be cached after it.
    async with another_line(redis_url) as slow_line:
        slow, quick, item_id = await open_cache(slow_line), await open_cache(), uuid4()
        slow_line.delay_seconds = 0.02
        assert await slow.of(ITEMS).get(item_id) == await quick.of(ITEMS).get(item_id)


async def test_a_failed_read_does_not_prevent_caching_the_next_one(open_cache: OpenCache) -> None:
    cache, item_id = await open_cache(), uuid4()
    await lease(cache, item_id)
    await keep(cache, item_id, NEW)
    assert await read(cache, item_id) == NEW.body


async def test_without_redis_reads_miss_at_once_and_nothing_is_raised(
    open_cache: OpenCache, line: Line
) -> None:
    await line.cut()
    cache, item_id = await open_cache(), uuid4()
    started_at = monotonic()
    for _ in range(100):
        await keep(cache, item_id, OLD)
        await cache.of(ITEMS).forget(item_id)
    assert monotonic() - started_at < 1
    with pytest.raises(Unavailable):
        await cache.ping()


async def test_a_hanging_redis_delays_all_requests_once_and_briefly(
    open_cache: OpenCache, line: Line
) -> None:
    cache = await open_cache()
    line.hold()
    started_at = monotonic()
    await asyncio.gather(*(lease(cache, uuid4()) for _ in range(100)))
    for _ in range(20):
        await lease(cache, uuid4())
    assert monotonic() - started_at < 2


@pytest.mark.parametrize("rounds", range(4))
def test_a_command_on_a_connection_that_has_just_closed_gets_no_response(redis_url: str, rounds: int) -> None:
    async def send_after_the_end() -> None:
        async with open_connection(redis_url) as connection:
            writer = connection._connection._writer
            assert writer is not None
            writer.transport.abort()
            # After the loop has closed it, and before the connection is notified.
            for _ in range(rounds):
                await asyncio.sleep(0)
            await connection.execute("GET", "a")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, pytest.raises(RedisError):
        runner.run(send_after_the_end())


async def test_a_redis_that_comes_back_is_used_again(open_cache: OpenCache, line: Line) -> None:
    cache, item_id = await open_cache(), uuid4()
    await line.cut()
    await line.restore()
    await until_it_answers(cache)
    await keep(cache, item_id, NEW)
    assert await read(cache, item_id) == NEW.body


async def test_failed_invalidations_are_repeated_before_redis_is_used_again(
    open_cache: OpenCache, line: Line, redis_url: str
) -> None:
    cache, item_id = await open_cache(), uuid4()
    await keep(cache, item_id, OLD)
    await line.cut()
    await cache.of(ITEMS).forget(item_id)
    await line.restore()
    await until_it_answers(cache)
    assert await read(cache, item_id) is None
    async with another_line(redis_url) as unbroken:
        assert await read(await open_cache(unbroken), item_id) is None


async def test_a_change_while_redis_hangs_is_invalidated_later(open_cache: OpenCache, line: Line) -> None:
    cache, item_id = await open_cache(), uuid4()
    await keep(cache, item_id, OLD)
    line.hold()
    await cache.of(ITEMS).forget(item_id)
    await line.cut()
    await line.restore()
    await until_it_answers(cache)
    assert await read(cache, item_id) is None


async def test_after_too_many_missed_changes_the_cache_waits_until_everything_has_expired(
    open_cache: OpenCache, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.forge.cache.redis_cache.MAX_UNCONFIRMED", 10)
    cache, item_ids = await open_cache(ttl_seconds=2), [uuid4() for _ in range(25)]
    await keep(cache, item_ids[0], OLD)
    await line.cut()
    for item_id in item_ids:
        await cache.of(ITEMS).forget(item_id)
    missed_at = monotonic()
    await line.restore()
    await until_it_answers(cache)
    assert monotonic() - missed_at > 1.9
    assert await read(cache, item_ids[0]) is None


async def test_a_cancelled_request_does_not_mix_up_the_responses(open_cache: OpenCache) -> None:
    cache, kept, others = await open_cache(), uuid4(), [uuid4() for _ in range(50)]
    await keep(cache, kept, NEW)
    reads = [asyncio.create_task(cache.of(ITEMS).get(item_id)) for item_id in others]
    await asyncio.sleep(0)
    for task in reads[::2]:
        task.cancel()
    assert await read(cache, kept) == NEW.body
    outcomes = await asyncio.gather(*reads, return_exceptions=True)
    assert {type(outcome).__name__ for outcome in outcomes} == {"CancelledError", "bytes"}


class SharedStore:
    """The database of two workers. A read completes when a test allows it, with the state at its start."""

    def __init__(self) -> None:
        self.document = OLD
        self.reads = 0
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def get(self, _item_id: UUID) -> Document:
        self.reads += 1
        self.asked.set()
        document = self.document
        await self.answer.wait()
        # The minimum time of any query, in which other tasks run.
        await asyncio.sleep(0.01)
        return document

    async def update(
        self, _item_id: UUID, _changes: Any, _updated_at: datetime, _if_match: str | None
    ) -> Document:
        self.document = NEW
        return NEW


@pytest.mark.parametrize("redis_is_there", [True, False])
async def test_a_read_after_another_workers_change_does_not_return_the_old_state(
    open_cache: OpenCache, line: Line, redis_is_there: bool
) -> None:
    if not redis_is_there:
        await line.cut()
    store, item_id = SharedStore(), uuid4()
    one, other = [CachedStore(store, (await open_cache()).of(ITEMS)) for _ in range(2)]  # type: ignore[arg-type]
    before = asyncio.create_task(one.get(item_id))
    await store.asked.wait()
    await other.update(item_id, {"price_cents": 1}, NOW)
    after = asyncio.create_task(one.get(item_id))
    await asyncio.sleep(0.05)
    store.answer.set()
    assert ((await before).body, (await after).body) == (OLD.body, NEW.body)


@pytest.mark.parametrize("redis_is_there", [True, False])
async def test_successive_reads_share_the_query_in_progress(
    open_cache: OpenCache, line: Line, redis_is_there: bool
) -> None:
    """Without Redis they wait for it and share the one after it."""
    if not redis_is_there:
        await line.cut()
    store, item_id = SharedStore(), uuid4()
    cached = CachedStore(store, (await open_cache()).of(ITEMS))  # type: ignore[arg-type]
    reads = []
    for _ in range(20):
        reads.append(asyncio.create_task(cached.get(item_id)))
        await asyncio.sleep(0.005)
    store.answer.set()
    assert {document.body for document in await asyncio.gather(*reads)} == {OLD.body}
    assert store.reads == (1 if redis_is_there else 2)


async def test_a_read_whose_lookup_was_in_progress_when_the_query_ended_makes_none(
    open_cache: OpenCache, line: Line
) -> None:
    store, item_id = SharedStore(), uuid4()
    cached = CachedStore(store, (await open_cache()).of(ITEMS))  # type: ignore[arg-type]
    first = asyncio.create_task(cached.get(item_id))
    await store.asked.wait()
    await asyncio.sleep(0.05)
    line.hold()
    second = asyncio.create_task(cached.get(item_id))
    await asyncio.sleep(0.01)
    store.answer.set()
    await asyncio.sleep(0.01)
    line.release()
    assert [(await read).body for read in (first, second)] == [OLD.body, OLD.body]
    assert store.reads == 1


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379/3?client_name=items&socket_keepalive=false",
        "redis://user:p%40ss%2F%25@localhost/0",
        "redis://[::1]:6379?db=2",
        "rediss://:secret@localhost/1?ssl_cert_reqs=none&ssl_min_version=771",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_a_url_that_leads_to_redis_is_accepted(url: str) -> None:
    assert CacheSettings(_env_file=None, redis_url=url).redis_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "not the URL of a Redis server"),
        ("localhost:6379", "not the URL of a Redis server"),
        ("http://localhost:6379", "not the URL of a Redis server"),
        ("redis+sentinel://localhost", "not the URL of a Redis server"),
        ("valkey://localhost", "redis://"),
        ("redis://localhost:port", "its host, its port"),
        ("redis://localhost/zero", "must be a number"),
        ("redis://localhost/1/2", "must be a number"),
        ("redis://localhost/1?db=2", "twice"),
        ("redis://localhost?db=1&db=2", "'db' is given twice"),
        ("redis://localhost?decode_responses=true", "'decode_responses' is not supported"),
        ("redis://localhost?protocol=3", "'protocol' is not supported"),
        ("redis://localhost?socket_timeout=1", "'socket_timeout' is not supported"),
        ("redis://localhost?max_connections=5", "'max_connections' is not supported"),
        ("redis://localhost?conect_timeout=1", "'conect_timeout' is not supported"),
        ("redis://localhost?ssl_cert_reqs=none", "'ssl_cert_reqs' needs TLS"),
        ("rediss://localhost?ssl_cert_reqs=CERT_NONE", "'ssl_cert_reqs' is not valid"),
        ("unix://", "names no socket"),
        ("redis://me:secret/2@localhost", "percent-encoded"),
        ("redis://me:secret?2@localhost", "percent-encoded"),
    ],
)
def test_a_url_that_cannot_work_is_refused_by_name_without_being_repeated(url: str, reason: str) -> None:
    with pytest.raises(ValidationError, match="redis_url") as refusal:
        CacheSettings(_env_file=None, redis_url=url)
    assert reason in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.fixture
def outage_lines(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """Yield a function that returns the log lines about outages so far."""
    caplog.set_level("INFO", "app.forge.database.outages")
    outages._outages.clear()
    yield lambda: [
        record.getMessage() for record in caplog.records if record.name == "app.forge.database.outages"
    ]
    outages._outages.clear()


async def test_a_redis_that_goes_away_is_logged_once_and_its_return_too(
    open_cache: OpenCache,
    line: Line,
    outage_lines: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.forge.cache.redis_cache.RECONNECT_SECONDS", 0.02)
    monkeypatch.setattr("app.forge.database.outages.PROBE_SECONDS", 0.02)
    monkeypatch.setattr("app.forge.database.outages.QUIET_SECONDS", 0.1)
    cache = await open_cache()
    # Until then the line may not have reached Redis.
    await cache.ping()
    async with outages.watched({"cache": cache.ping}):
        await line.cut()
        for _ in range(10):
            await keep(cache, uuid4(), OLD)
            await asyncio.sleep(0.02)
        await line.restore()
        await until_it_answers(cache)
        async with asyncio.timeout(5):
            while outages._outages:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    first, second = outage_lines()
    assert first.startswith("Outage of the cache: ")
    assert "Error" in first
    assert second.startswith("The cache is available again after ")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"netloc": "name.invalid:6379"}, "name.invalid"),
        ({"scheme": "rediss"}, "TLS|SSL"),
        ({"credentials": "user:wrong"}, "AuthenticationError|ResponseError"),
        ({"netloc": f"{'a' * 64}.invalid:6379"}, "Error"),
    ],
    ids=["no such host", "no TLS", "wrong password", "impossible host"],
)
async def test_a_redis_that_refuses_connections_is_down_and_the_log_has_the_cause(
    redis_url: str, outage_lines: Callable[[], list[str]], change: dict[str, str], cause: str
) -> None:
    where = urlsplit(redis_url)
    if "credentials" in change:
        change = {"netloc": f"{change['credentials']}@{where.hostname}:{where.port or 6379}"}
    settings = CacheSettings(_env_file=None, redis_url=where._replace(**change).geturl())
    item_id = uuid4()
    async with open_redis_cache(settings) as cache:
        await keep(cache, item_id, OLD)
        assert await read(cache, item_id) is None
        with pytest.raises(Unavailable) as down:
            await cache.ping()
    (told,) = outage_lines()
    assert re.search(cause, told)
    assert re.search(cause, outages.cause_of(down.value))
    assert "wrong" not in told.replace("WRONGPASS", "")


async def test_a_redis_that_refuses_commands_is_logged_and_reads_go_to_the_database(
    open_cache: OpenCache, redis_url: str, outage_lines: Callable[[], list[str]]
) -> None:
    cache, item_id = await open_cache(), uuid4()
    async with Redis.from_url(redis_url) as client:
        await client.lpush(f"{KEY_PREFIX}{ITEMS}:{item_id}", "a list, where a document is expected")
        for _ in range(3):
            assert await read(cache, item_id) is None
        await client.delete(f"{KEY_PREFIX}{ITEMS}:{item_id}")
    (told,) = outage_lines()
    assert "WRONGTYPE" in told
