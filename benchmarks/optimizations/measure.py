"""The measurement of one optimization: a project that has it, and a copy without it, side by side.

Both serve as in production, but with one worker. Rounds are interleaved, and they take turns at going first.
"""

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from fastforge.template.questions import load_questions
from fastforge_kit.comparison import Comparison, compare
from fastforge_kit.errors import CannotMeasure
from fastforge_kit.measurement import Load
from fastforge_kit.optimizations import Optimization

from benchmarks.load.rendering import migrate, render
from testkit.servers import Servers
from testkit.servers.variables import variables_for

# A cache would hide the work of a database. The effect of a cache is measured in front of a database server.
OTHER_ANSWERS = {
    "sqlite": {"cache": "none"},
    "postgres": {"cache": "none"},
    "mongodb": {"cache": "none"},
    "ttl": {"database": "postgres"},
    "redis": {"database": "postgres"},
    "any_cache": {"database": "postgres"},
    "nginx_compression": {"deployment": "nginx"},
}
DEFAULTS = {"database": "sqlite", "cache": "ttl", "deployment": "uvicorn"}
PACKAGES = ["fastapi", "pydantic", "starlette", "uvicorn"]
OTHER_PACKAGES = {
    "postgres": ["asyncpg"],
    "mongodb": ["pymongo"],
    "redis": ["redis"],
    "orjson": ["orjson"],
    "negotiated": ["starlette-compress"],
    "gunicorn": ["gunicorn", "uvicorn-worker"],
}
# Routes of the sample have no dependencies.
INCLUDED = "app.include_router(resource.router)"
DEPENDENCIES = """

async def read_agent(user_agent: Annotated[str, Header()] = "none") -> str:
    return user_agent


async def read_caller(agent: Annotated[str, Depends(read_agent)], host: Annotated[str, Header()]) -> str:
    return f"{agent} {host}"
"""
NEEDS_DEPENDENCIES = {"dependency-plan"}
DATABASES = count()


def answers_of(optimization: Optimization) -> dict[str, str]:
    """Return the answers of the project in which an optimization is measured; the others are the defaults."""
    own = {
        question.name: optimization.applies_to
        for question in load_questions()
        if optimization.applies_to in question.choices
    }
    return own | OTHER_ANSWERS.get(optimization.applies_to, {})


def servers_for(optimizations: Sequence[Optimization]) -> set[str]:
    """Return the kinds of servers that the projects of these optimizations need."""
    answers = {value for each in optimizations for value in answers_of(each).values()}
    return answers & {"postgres", "mongodb", "redis", "nginx"}


def measure(optimization: Optimization, servers: Servers, folder: Path, load: Load) -> Comparison:
    """Return the comparison of all rounds. Raises `CannotMeasure` if it is not complete."""
    answers = answers_of(optimization)
    needs = optimization.id in NEEDS_DEPENDENCIES
    name = optimization.id if needs else "-".join(["project", *answers.values()])
    project = render(folder, name, answers)
    if needs:
        add_dependencies(project)
    environments = [_environment(answers, servers, folder) for _ in ("on", "off")]
    for environment in environments:
        migrate(project, environment)
    comparison = Comparison(optimization)
    for comparison in compare(optimization, project, environments, load):  # noqa: B007 (the last one has all rounds)
        pass
    if comparison.obstacle:
        raise CannotMeasure(comparison.obstacle, "")
    return comparison


def add_dependencies(project: Path) -> None:
    """Make every route of a resource depend on two functions that read headers."""
    main = project / "app/main.py"
    text = main.read_text()
    assert INCLUDED in text
    included = f"{INCLUDED[:-1]}, dependencies=[Depends(read_caller)])"
    imports = "from typing import Annotated\n\nfrom fastapi import Depends, Header\n"
    start = text.index("from collections.abc")
    main.write_text(text[:start] + imports + text[start:].replace(INCLUDED, included) + DEPENDENCIES)


def _environment(answers: Mapping[str, str], servers: Servers, folder: Path) -> dict[str, str]:
    number = next(DATABASES)
    variables = variables_for({**DEFAULTS, **answers}, servers.of, f"optimizations_{number}")
    if variables["DATABASE_URL"].startswith("sqlite:"):
        variables["DATABASE_URL"] = f"sqlite:///{folder}/{number}.db"
    # Cached rows live long, because some were cached before the round that reads them.
    return {**variables, "CACHE_TTL_SECONDS": "3600"}


def versions_of(optimization: Optimization) -> dict[str, str]:
    """Return the versions of the packages that its measurement depends on."""
    packages = [*PACKAGES, *OTHER_PACKAGES.get(optimization.applies_to, [])]
    return {name: version(name) for name in sorted(packages)}


def measurement_of(comparison: Comparison, versions: Mapping[str, str]) -> dict[str, Any]:
    """Return the members of the `[measurement]` table of an optimization."""
    low, high = comparison.interval or (min(comparison.ratios), max(comparison.ratios))
    return {
        "ratio": round(median(comparison.ratios), 3),
        "low": round(low, 3),
        "high": round(high, 3),
        "verdict": comparison.verdict,
        "cpu_us": round(median(each.on.cpu_us or 0.0 for each in comparison.rounds), 1),
        "cpu_us_without": round(median(each.off.cpu_us or 0.0 for each in comparison.rounds), 1),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.system()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
        "versions": dict(versions),
    }
