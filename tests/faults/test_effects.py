"""Visible effects of each answer for clients and operators; queries are counted at the server."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import redis

from tests.faults.clients import ITEMS, Answer, ask, at_once, draft, new_client
from tests.faults.deployment import WORKERS, Deployment, FaultRun
from tests.faults.plugin import Note
from tests.faults.processes import command, descendants
from tests.variants.rendering import Renderer
from tests.variants.space import Variant, every_variant

pytestmark = pytest.mark.depends("database", "cache", once=("mongodb_driver",))

LONG_SECONDS = 60
ASKED: dict[str, dict[str, str | None]] = {
    "negotiated": {
        "zstd": "zstd",
        "br": "br",
        "gzip": "gzip",
        "br;q=0.5, gzip;q=1": "gzip",
        "gzip;q=0": None,
    },
    "gzip": {"zstd": None, "br": None, "gzip": "gzip", "br;q=1, gzip;q=0.5": "gzip", "gzip;q=0": None},
    "none": {"zstd": None, "br": None, "gzip": None},
}
SERIALIZERS = {"orjson": "pydantic", "pydantic": "orjson"}
cached = pytest.mark.only(cache={"ttl", "redis"})


@pytest.fixture
def counted(deployment: Deployment) -> Deployment:
    """The service with a cache that keeps items for a long time, and a database that counts its queries."""
    deployment.running(CACHE_TTL_SECONDS=LONG_SECONDS, **deployment.database.tracing)
    return deployment


@pytest.fixture
def create_item(counted: Deployment) -> Callable[..., str]:
    """A function that creates an item and returns its path."""

    def create_item(**fields: object) -> str:
        with new_client(counted.url) as client:
            return ask(client, "POST", ITEMS, draft(**fields)).headers["Location"]

    return create_item


def read_often(service: Deployment, path: str) -> list[Answer]:
    """Return the results of reads on new connections, enough to reach every worker."""
    answers = []
    for _ in range(10 * WORKERS):
        with new_client(service.url) as client:
            answers.append(ask(client, "GET", path, Connection="close"))
    return answers


def warm(service: Deployment, path: str) -> None:
    """Return when every worker responds from its cache."""
    for _ in range(10):
        if {answer.headers["X-Cache"] for answer in read_often(service, path)} == {"hit"}:
            return
    raise AssertionError(f"{path} does not stay in the cache.")


@cached
def test_a_hit_sends_no_query(counted: Deployment, create_item: Callable[..., str], note: Note) -> None:
    path = create_item()
    warm(counted, path)
    before = counted.database.queries()
    answers = read_often(counted, path)
    asked = counted.database.queries() - before

    misses = sum(answer.headers["X-Cache"] == "miss" for answer in answers)
    # On an idle machine one worker may get every connection so far; each other one has yet to miss once.
    assert misses < WORKERS
    assert asked == misses
    note("queries on cache hits", 0, f"{asked - misses} for {len(answers) - misses} hits")


@pytest.mark.only(cache={"none"})
def test_without_a_cache_every_read_queries_the_database(
    counted: Deployment, create_item: Callable[..., str], note: Note
) -> None:
    path = create_item()
    before = counted.database.queries()
    answers = read_often(counted, path)
    asked = counted.database.queries() - before

    assert all("X-Cache" not in answer.headers for answer in answers)
    assert asked == len(answers)
    note("queries without a cache", 0, f"{asked} for {len(answers)} reads")


@cached
def test_a_hundred_concurrent_misses_make_one_query_in_each_worker(
    counted: Deployment, create_item: Callable[..., str], note: Note
) -> None:
    path = create_item()
    before = counted.database.queries()
    answers = at_once(counted.url, 100, lambda client, _: ask(client, "GET", path))
    asked = counted.database.queries() - before

    assert {answer.status for answer in answers} == {200}
    # If two workers miss in Redis at the same time, one of them discards the result of its query.
    assert 1 <= asked <= {"ttl": 1, "redis": 2}[str(counted.variant["cache"])] * WORKERS
    note(
        "100 misses of one item at once",
        max(answer.seconds for answer in answers),
        f"slowest; {asked} queries",
    )


@pytest.mark.only(cache={"redis"})
def test_a_hit_comes_from_redis(counted: Deployment, create_item: Callable[..., str]) -> None:
    assert counted.redis is not None
    path = create_item()
    read_often(counted, path)
    with redis.Redis.from_url(counted.redis.url) as client:
        client.config_resetstat()
        answers = read_often(counted, path)
        stats = client.info("commandstats")

    assert stats["cmdstat_get"]["calls"] == len(answers)


@pytest.mark.only(cache={"redis"})
def test_a_change_is_seen_by_all_workers_at_once(
    counted: Deployment, create_item: Callable[..., str]
) -> None:
    path = create_item(price_cents=1)
    read_often(counted, path)
    with new_client(counted.url) as client:
        ask(client, "PATCH", path, {"price_cents": 2})

    assert {json.loads(answer.text)["price_cents"] for answer in read_often(counted, path)} == {2}


@pytest.mark.depends("database", "serializer", once=("mongodb_driver",))
def test_a_list_is_one_query(counted: Deployment, create_item: Callable[..., str]) -> None:
    create_item()
    before = counted.database.queries()
    with new_client(counted.url) as client:
        ask(client, "GET", ITEMS)

    assert counted.database.queries() - before == 1


@pytest.mark.depends("database", "serializer", once=("mongodb_driver",))
def test_a_batch_is_not_stored_item_by_item(counted: Deployment, note: Note) -> None:
    """SQLite has no round trips; its measure is the single transaction."""
    before = counted.database.queries()
    with new_client(counted.url) as client:
        created = ask(client, "POST", f"{ITEMS}/batch", [draft() for _ in range(200)])
    asked = counted.database.queries() - before

    assert created.status == 201
    wanted = {"postgres": 1, "mongodb": 200, "sqlite": 2_000}[str(counted.variant["database"])]
    assert asked <= wanted
    note("statements for a batch of 200", created.seconds, f"{asked}, as counted by the server")


@pytest.mark.depends("compression", "deployment")
def test_large_responses_are_compressed_as_chosen(counted: Deployment) -> None:
    wanted = ASKED[str(counted.variant["compression"])]
    with new_client(counted.url) as client:
        ask(client, "POST", f"{ITEMS}/batch", [draft(description="x" * 500) for _ in range(50)])
        got = {
            accepted: ask(client, "GET", f"{ITEMS}?limit=100", **{"Accept-Encoding": accepted})
            for accepted in wanted
        }
    encodings = {accepted: answer.headers.get("Content-Encoding") for accepted, answer in got.items()}

    # An Nginx compresses with its modules, which may be only gzip.
    only_gzip = {accepted: encoding if encoding == "gzip" else None for accepted, encoding in wanted.items()}
    assert encodings in ([wanted, only_gzip] if counted.variant["deployment"] == "nginx" else [wanted])


@pytest.mark.depends("deployment")
def test_the_processes_are_those_of_the_deployment(counted: Deployment, note: Note) -> None:
    commands = [command(pid) for pid in (counted.pid, *descendants(counted.pid))]
    with new_client(counted.url) as client:
        server = client.get("/health/live").headers["Server"]
    seen = {
        "uvicorn": sum("multiprocessing.spawn" in line and "spawn_main" in line for line in commands),
        "gunicorn": sum("-m app" in line for line in commands) - 1,
        "nginx": sum(line.startswith("nginx: worker process") for line in commands),
    }
    chosen = str(counted.variant["deployment"])

    assert {name: count for name, count in seen.items() if count} == {chosen: WORKERS}, commands
    assert server == ("nginx" if chosen == "nginx" else "uvicorn")
    assert ("Starting gunicorn" in counted.log.read_text()) == (chosen == "gunicorn")
    note(
        "processes",
        0,
        f"{len(commands)}: " + ", ".join(sorted({line.split()[0].rpartition("/")[2] for line in commands})),
    )


@pytest.fixture
def sibling(counted: Deployment, fault_variant: Variant, renderer: Renderer) -> Deployment:
    """The same service with the other serializer, on the same database."""
    answers = dict(fault_variant.answers) | {"serializer": SERIALIZERS[str(fault_variant["serializer"])]}
    variant = next(variant for variant in every_variant() if dict(variant.answers) == answers)
    run = FaultRun(variant, interpreter=counted.run.interpreter)
    run.folder = counted.run.folder / "sibling"
    run.project = run.folder / "project"
    run.render(renderer)
    run.install()
    # One must not return what the other has cached.
    cache = {} if counted.redis is None else {"REDIS_URL": counted.redis.database()}
    return Deployment(run, counted.database, counted.redis, {**counted.variables, **cache})


@pytest.mark.depends("database", once=("mongodb_driver", "serializer"))
def test_both_serializers_return_the_same_bytes_and_only_pydantic_refuses_a_bad_row(
    counted: Deployment, sibling: Deployment, create_item: Callable[..., str], note: Note
) -> None:
    texts = ["plain", '\u00e9\u4e2d\U0001f600 \u2028 \\ " \u0001 \x7f </script>', "\n\t"]
    paths = [create_item(description=text, tags=[text[:50], "b"], price_cents=2**53 - 1) for text in texts]
    paths += [create_item(), f"{ITEMS}?limit=3"]
    sibling.start(WORKERS=1)
    try:
        with new_client(counted.url) as one, new_client(sibling.url) as other:
            differing = [path for path in paths if one.get(path).content != other.get(path).content]
            bad = f"{ITEMS}/{counted.database.put_bad_item()}"
            statuses = {
                str(service.variant["serializer"]): ask(client, "GET", bad)
                for service, client in ((counted, one), (sibling, other))
            }
            ask(one, "DELETE", bad)
    finally:
        sibling.kill()

    assert not differing
    assert {name: answer.status for name, answer in statuses.items()} == {"orjson": 200, "pydantic": 500}
    refusal = statuses["pydantic"]
    assert refusal.headers["Content-Type"] == "application/problem+json"
    assert not counted.leaks(refusal.text)
    note("both serializers", 0, f"{len(paths)} responses byte-identical; a bad row: orjson 200, pydantic 500")
