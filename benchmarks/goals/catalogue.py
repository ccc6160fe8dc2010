"""The goals of FastForge's services, as ratios of server CPU per request measured in the same run."""

from dataclasses import dataclass

from fastforge_kit.verdicts import AtLeast, AtMost, Bound
from fastforge_kit.workloads import CREATE, LIST, READ, REVALIDATE

from benchmarks.load.resources import list_of
from benchmarks.load.servers import ROUTES_WITH_DEPENDENCIES, UNRELATED_ROUTES, Contender

POSTGRES = Contender(
    "postgres",
    "postgres",
    (("database", "postgres"), ("cache", "none")),
)
SQLITE = Contender("sqlite", "sqlite", (("cache", "none"),))
TTL = Contender("ttl", "sqlite", (("cache", "ttl"),))
CROWDED = Contender("ttl-200-routes", "sqlite", (("cache", "ttl"),), added_routes=UNRELATED_ROUTES)
DEPENDING = Contender(
    "ttl-dependencies", "sqlite", (("cache", "ttl"),), added_routes=ROUTES_WITH_DEPENDENCIES
)
MONGODB = Contender(
    "mongodb",
    "mongodb",
    (("database", "mongodb"), ("cache", "none")),
)
REDIS = Contender("redis", "sqlite", (("cache", "redis"),))
FEW, MANY = 5, 20
# By the number of resources. Each has a separate database, because it has other tables.
TTL_OF, SQLITE_OF = (
    {
        count: Contender(
            f"{name}-{count}-resources",
            f"sqlite-{count}",
            (*one.answers, ("resources", list_of(count))),
        )
        for count in (FEW, MANY)
    }
    for name, one in (("ttl", TTL), ("sqlite", SQLITE))
)

BARE_CONSTANT = Contender("bare-constant", "none", baseline="constant")
BARE_POSTGRES = Contender("bare-postgres", "postgres", baseline="postgres")
BARE_SQLITE = Contender("bare-sqlite", "sqlite", baseline="sqlite")
BARE_MONGODB = Contender("bare-mongodb", "mongodb", baseline="mongodb")
BARE_REDIS = Contender("bare-redis", "none", baseline="redis")
TUTORIAL = Contender("tutorial", "postgres", baseline="tutorial")
BLOG = Contender("blog", "postgres", baseline="blog")

# Rendered services come first: they create the tables that the others use.
CONTENDERS = (
    POSTGRES, SQLITE, TTL, CROWDED, DEPENDING, MONGODB, REDIS, *TTL_OF.values(), *SQLITE_OF.values(),
    BARE_CONSTANT, BARE_POSTGRES, BARE_SQLITE, BARE_MONGODB, BARE_REDIS, TUTORIAL, BLOG,
)  # fmt: skip


BATCH = "batch"
BATCH_ROWS = 1_000
# Reads behind the dependencies of benchmarks.baselines.dependencies, by the prefix of the path.
READS_BEHIND = {
    prefix: f"{READ} behind {prefix}" for prefix in ("/none", "/async", "/security", "/thread", "/yield")
}
LIST_BY_TYPED, LIST_BY_TEXT = "list by typed parameters", "list by text"


@dataclass(frozen=True)
class Probe:
    """A workload on a server; one request concerns this many rows."""

    contender: Contender
    workload: str
    rows: int = 1


@dataclass(frozen=True)
class Goal:
    """A bound on the CPU per row of a probe, relative to that of a baseline."""

    title: str
    compared_with: str
    # None if a ratio is there only for comparison.
    bound: Bound | None
    measured: Probe
    baseline: Probe


READ_LIMIT = Probe(BARE_POSTGRES, READ)
LIST_LIMIT = Probe(BARE_POSTGRES, LIST)
CREATE_LIMIT = Probe(BARE_POSTGRES, CREATE)
BARE_ASYNCPG = "minimal ASGI app with asyncpg"

READ_ONE = "Read one item from PostgreSQL, no cache"
READ_BY_TUTORIAL = "The same read as in FastAPI's tutorial"
READ_BY_BLOG = "The same read as blogs advise it"
LIST_BY_TUTORIAL = "The same page as in FastAPI's tutorial"
CREATE_BY_TUTORIAL = "The same write as in FastAPI's tutorial"
ONE_BY_ONE = "Create items one by one"

GOALS = (
    Goal(READ_ONE, BARE_ASYNCPG, AtMost(1.5), Probe(POSTGRES, READ), READ_LIMIT),
    Goal(READ_BY_TUTORIAL, BARE_ASYNCPG, None, Probe(TUTORIAL, READ), READ_LIMIT),
    Goal(READ_BY_BLOG, BARE_ASYNCPG, None, Probe(BLOG, READ), READ_LIMIT),
    Goal(
        "Read one item, in-memory cache hit",
        "minimal ASGI app returning fixed bytes",
        AtMost(2.0),
        Probe(TTL, READ),
        Probe(BARE_CONSTANT, READ),
    ),
    Goal(
        "Revalidate one item (304), in-memory cache hit",
        "the same hit with its body (200)",
        AtMost(1.0),
        Probe(TTL, REVALIDATE),
        Probe(TTL, READ),
    ),
    Goal(
        "List 100 items from PostgreSQL",
        "minimal ASGI app with asyncpg and orjson",
        AtMost(0.35),
        Probe(POSTGRES, LIST),
        LIST_LIMIT,
    ),
    Goal(
        LIST_BY_TUTORIAL,
        "minimal ASGI app with asyncpg and orjson",
        None,
        Probe(TUTORIAL, LIST),
        LIST_LIMIT,
    ),
    Goal("Create one item in PostgreSQL", BARE_ASYNCPG, AtMost(1.6), Probe(POSTGRES, CREATE), CREATE_LIMIT),
    Goal(CREATE_BY_TUTORIAL, BARE_ASYNCPG, None, Probe(TUTORIAL, CREATE), CREATE_LIMIT),
    Goal(
        ONE_BY_ONE,
        f"a row of a batch of {BATCH_ROWS:,}",
        AtLeast(20.0),
        Probe(POSTGRES, CREATE),
        Probe(POSTGRES, BATCH, BATCH_ROWS),
    ),
    Goal(
        "Read one item with 200 unrelated routes before it",
        "the same service without these routes",
        AtMost(1.1),
        Probe(CROWDED, READ),
        Probe(TTL, READ),
    ),
    *(
        Goal(
            f"{read} with {count} resources",
            "the same service with one resource",
            AtMost(1.03) if count == MANY else None,
            Probe(services[count], READ),
            Probe(one, READ),
        )
        for read, one, services in (
            ("Read one item, in-memory cache hit,", TTL, TTL_OF),
            ("Read one item from SQLite", SQLITE, SQLITE_OF),
        )
        for count in (FEW, MANY)
    ),
    *(
        Goal(
            f"Read one item behind {dependency}",
            "the same request without it",
            bound,
            Probe(DEPENDING, READS_BEHIND[prefix]),
            Probe(DEPENDING, READS_BEHIND["/none"]),
        )
        for prefix, dependency, bound in (
            ("/async", "two `async` dependencies that read headers", AtMost(1.25)),
            ("/security", "`HTTPBearer` with scopes", AtMost(1.25)),
            ("/yield", "an `async` dependency with `yield`", AtMost(2.0)),
            ("/thread", "a `def` dependency, which runs in a thread", AtMost(2.0)),
        )
    ),
    Goal(
        "List 20 items with `Enum`, `Literal`, `date`, header and cookie parameters",
        "the same list with `str` parameters",
        AtMost(1.1),
        Probe(DEPENDING, LIST_BY_TYPED),
        Probe(DEPENDING, LIST_BY_TEXT),
    ),
    Goal(
        "Read one item from SQLite",
        "minimal ASGI app with sqlite3",
        AtMost(1.7),
        Probe(SQLITE, READ),
        Probe(BARE_SQLITE, READ),
    ),
    Goal(
        "Create one item in SQLite, durably",
        "minimal ASGI app with sqlite3",
        AtMost(1.5),
        Probe(SQLITE, CREATE),
        Probe(BARE_SQLITE, CREATE),
    ),
    Goal(
        "Read one item from MongoDB",
        "minimal ASGI app with PyMongo",
        AtMost(1.3),
        Probe(MONGODB, READ),
        Probe(BARE_MONGODB, READ),
    ),
    Goal(
        "Read one item, Redis cache hit",
        "minimal ASGI app with redis.asyncio",
        AtMost(1.5),
        Probe(REDIS, READ),
        Probe(BARE_REDIS, READ),
    ),
)
