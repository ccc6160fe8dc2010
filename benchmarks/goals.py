"""What FastForge's services promise, as ratios of server CPU per request measured in the same run."""

from dataclasses import dataclass

from benchmarks.contenders import UNRELATED_ROUTES, Contender
from benchmarks.verdicts import Bound

POSTGRES = Contender(
    "postgres",
    "postgres",
    (
        ("database", "postgres"),
        ("cache", "none"),
    ),
)
SQLITE = Contender("sqlite", "sqlite", (("cache", "none"),))
TTL = Contender("ttl", "sqlite", (("cache", "ttl"),))
CROWDED = Contender("ttl-200-routes", "sqlite", (("cache", "ttl"),), unrelated_routes=UNRELATED_ROUTES)
MONGODB = Contender(
    "mongodb",
    "mongodb",
    (
        ("database", "mongodb"),
        ("cache", "none"),
    ),
)
REDIS = Contender("redis", "sqlite", (("cache", "redis"),))

BARE_CONSTANT = Contender("bare-constant", "none", baseline="constant")
BARE_POSTGRES = Contender("bare-postgres", "postgres", baseline="postgres")
BARE_SQLITE = Contender("bare-sqlite", "sqlite", baseline="sqlite")
BARE_MONGODB = Contender("bare-mongodb", "mongodb", baseline="mongodb")
BARE_REDIS = Contender("bare-redis", "none", baseline="redis")
TUTORIAL = Contender("tutorial", "postgres", baseline="tutorial")
BLOG = Contender("blog", "postgres", baseline="blog")

# Rendered services first: they make the tables that the others use.
CONTENDERS = (
    POSTGRES, SQLITE, TTL, CROWDED, MONGODB, REDIS,
    BARE_CONSTANT, BARE_POSTGRES, BARE_SQLITE, BARE_MONGODB, BARE_REDIS, TUTORIAL, BLOG,
)  # fmt: skip


@dataclass(frozen=True)
class Probe:
    """One workload on one server; `rows` is how many one request writes."""

    contender: Contender
    workload: str
    rows: int = 1


@dataclass(frozen=True)
class Goal:
    """The CPU per row of one probe is at most (or else at least) so many times that of another."""

    title: str
    # None where a ratio is only there to compare with.
    bound: Bound | None
    measured: Probe
    limit: Probe


READ_LIMIT = Probe(BARE_POSTGRES, "read")
LIST_LIMIT = Probe(BARE_POSTGRES, "list")
CREATE_LIMIT = Probe(BARE_POSTGRES, "create")
BATCH_ROWS = 1_000

READ = "`GET /items/{id}`, no cache, of bare ASGI + asyncpg"
READ_BY_TUTORIAL = "the same read by FastAPI's tutorial"
READ_BY_BLOG = "the same read by the usual blog"
CREATE_OF_BATCH = "`POST /items`, of the rows of a batch of 1,000"
LIST_BY_TUTORIAL = "the same list by FastAPI's tutorial"
CREATE_BY_TUTORIAL = "the same `POST` by FastAPI's tutorial"

GOALS = (
    Goal(READ, Bound(1.5), Probe(POSTGRES, "read"), READ_LIMIT),
    Goal(READ_BY_TUTORIAL, None, Probe(TUTORIAL, "read"), READ_LIMIT),
    Goal(READ_BY_BLOG, None, Probe(BLOG, "read"), READ_LIMIT),
    Goal(
        "`GET /items/{id}`, TTL hit, of constant bytes",
        Bound(2.0),
        Probe(TTL, "read"),
        Probe(BARE_CONSTANT, "read"),
    ),
    Goal(
        "304 for a matching `If-None-Match`, of the TTL hit",
        Bound(1.0),
        Probe(TTL, "not modified"),
        Probe(TTL, "read"),
    ),
    Goal("`GET /items?limit=100`, of bare ASGI + orjson", Bound(0.35), Probe(POSTGRES, "list"), LIST_LIMIT),
    Goal(LIST_BY_TUTORIAL, None, Probe(TUTORIAL, "list"), LIST_LIMIT),
    Goal("`POST /items`, of bare ASGI + asyncpg", Bound(1.6), Probe(POSTGRES, "create"), CREATE_LIMIT),
    Goal(CREATE_BY_TUTORIAL, None, Probe(TUTORIAL, "create"), CREATE_LIMIT),
    Goal(
        CREATE_OF_BATCH,
        Bound(20.0, is_upper=False),
        Probe(POSTGRES, "create"),
        Probe(POSTGRES, "batch", BATCH_ROWS),
    ),
    Goal(
        "200 unrelated routes before the items, of none",
        Bound(1.1),
        Probe(CROWDED, "read"),
        Probe(TTL, "read"),
    ),
    Goal(
        "SQLite point read, of bare ASGI + sqlite3",
        Bound(1.7),
        Probe(SQLITE, "read"),
        Probe(BARE_SQLITE, "read"),
    ),
    Goal(
        "SQLite durable write, of bare ASGI + sqlite3",
        Bound(1.5),
        Probe(SQLITE, "create"),
        Probe(BARE_SQLITE, "create"),
    ),
    Goal(
        "MongoDB point read, of bare ASGI + PyMongo",
        Bound(1.3),
        Probe(MONGODB, "read"),
        Probe(BARE_MONGODB, "read"),
    ),
    Goal(
        "Redis hit, of bare ASGI + redis.asyncio", Bound(1.5), Probe(REDIS, "read"), Probe(BARE_REDIS, "read")
    ),
)
