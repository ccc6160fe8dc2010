"""Common advice that measurements contradict, each with the row or the optimization that shows it."""

from dataclasses import dataclass

from benchmarks.goals.catalogue import (
    CREATE_BY_TUTORIAL,
    LIST_BY_TUTORIAL,
    ONE_BY_ONE,
    READ_BY_BLOG,
    READ_BY_TUTORIAL,
)
from benchmarks.goals.in_process import BLOG_MIDDLEWARE, GZIP_9


@dataclass(frozen=True)
class Advice:
    """A piece of advice, the title of a row or the name of an optimization, and a text with the figure."""

    advice: str
    proof: str
    words: str


BASELINE = "{} times the CPU of the baseline"

READ = "{} times the CPU of a read"

ADVICE = (
    Advice(
        "An ORM session as a dependency, three `@app.middleware`, gzip at level 9", READ_BY_BLOG, BASELINE
    ),
    Advice("Plain FastAPI is as fast as it gets: `response_model` and a pool", READ_BY_TUTORIAL, BASELINE),
    Advice("A model per row of a list", LIST_BY_TUTORIAL, BASELINE),
    Advice("Write the model's dump, respond through `response_model`", CREATE_BY_TUTORIAL, BASELINE),
    Advice("Insert items one by one", ONE_BY_ONE, "{} times the CPU of a batch, per row"),
    Advice(
        '`@app.middleware("http")` for what every request needs',
        BLOG_MIDDLEWARE,
        "{} times the CPU of all middleware here",
    ),
    Advice("gzip at its highest level", GZIP_9, "{} times the CPU of zstd for 100 KB of JSON"),
    Advice("The driver's own pool for every statement", "postgres-pool", READ),
    Advice("Every call of SQLite in a thread", "sqlite-reads-on-the-loop", READ),
    Advice("An access log in the application server", "uvicorn-no-access-log", READ),
    Advice("Nginx in front, with a new connection for each request", "nginx-keep-alive", READ),
)
