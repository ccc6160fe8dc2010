"""Advice that is common and measurably wrong today, each with the row whose figure says so."""

from dataclasses import dataclass

from benchmarks.goals import CREATE_BY_TUTORIAL, LIST_BY_TUTORIAL, READ_BY_BLOG, READ_BY_TUTORIAL
from benchmarks.in_process import BLOG_MIDDLEWARE, GZIP_9


@dataclass(frozen=True)
class Advice:
    """What is advised, and the words around the figure of a row."""

    advice: str
    title: str
    words: str


LIMIT = "{} times the CPU of the limit"

ADVICE = (
    Advice("An ORM session as a dependency, three `@app.middleware`, gzip at level 9", READ_BY_BLOG, LIMIT),
    Advice("Plain FastAPI is as fast as it gets: `response_model` and a pool", READ_BY_TUTORIAL, LIMIT),
    Advice("Build a model per row of a list", LIST_BY_TUTORIAL, LIMIT),
    Advice("Write with the model's dump, answer with `response_model`", CREATE_BY_TUTORIAL, LIMIT),
    Advice(
        '`@app.middleware("http")` for what every request needs',
        BLOG_MIDDLEWARE,
        "{} times all middleware here",
    ),
    Advice("gzip at its highest level", GZIP_9, "{} times the CPU of zstd for 100 KB of JSON"),
)
