"""Edits that owners make to their projects, as data for the tests of updates.

`EDITS` do not conflict with the template's own changes, and the project still works with them; `CLASHES` do.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Apply = Callable[[Path, str], None]
Only = Mapping[str, Collection[str]]


@dataclass(frozen=True)
class Edit:
    """One edit of one file, for the projects whose answers are among those in `only`."""

    what: str
    file: str
    apply: Apply
    only: Only = field(default_factory=dict)
    is_new: bool = False

    def concerns(self, answers: Mapping[str, str]) -> bool:
        """Return True if a project with these answers has the edited file."""
        return all(answers.get(question) in values for question, values in self.only.items())


def replaced(old: str, new: str) -> Apply:
    """Replace a text, which must occur."""

    def apply(project: Path, name: str) -> None:
        text = (project / name).read_bytes()
        assert old.encode() in text, f"{name} no longer has {old!r}; choose another place to edit."
        (project / name).write_bytes(text.replace(old.encode(), new.encode("latin-1"), 1))

    return apply


def put_before(place: str, new: str) -> Apply:
    """Write in front of a text, which must occur."""
    return replaced(place, new + place)


def begun_with(new: bytes) -> Apply:
    """Write at the file's beginning."""
    return lambda project, name: _write(project / name, new + _read(project / name))


def ended_with(new: bytes) -> Apply:
    """Write at the file's end."""
    return lambda project, name: _write(project / name, _read(project / name) + new)


def written(content: str) -> Apply:
    """Write a new file."""
    return lambda project, name: _write(project / name, content.encode())


def deleted(project: Path, name: str) -> None:
    """Delete the file."""
    (project / name).unlink()


def executable(project: Path, name: str) -> None:
    """Make the file executable."""
    (project / name).chmod(0o755)


def linked_to(target: str) -> Apply:
    """Replace the file by a symbolic link."""

    def apply(project: Path, name: str) -> None:
        (project / name).unlink(missing_ok=True)
        (project / name).symlink_to(target)

    return apply


def with_crlf(project: Path, name: str) -> None:
    """Give the file Windows line endings."""
    _write(project / name, (project / name).read_bytes().replace(b"\n", b"\r\n"))


def reformatted(project: Path, name: str) -> None:
    """Reformat the files with a shorter line length."""
    ruff = [sys.executable, "-m", "ruff", "format", "--quiet", "--isolated", "--line-length", "88"]
    subprocess.run([*ruff, name], cwd=project, check=True)


def renamed_module(new: str) -> Apply:
    """Rename a module, everywhere."""

    def apply(project: Path, name: str) -> None:
        (project / name).rename(project / new)
        old_module, new_module = (each.removesuffix(".py").replace("/", ".") for each in (name, new))
        for file in project.rglob("*.py"):
            content = file.read_bytes()
            _write(file, content.replace(f"{old_module} import".encode(), f"{new_module} import".encode()))

    return apply


def _read(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists() or file.read_bytes() != content:
        file.write_bytes(content)


COUNT_ROUTE = '''@router.get("/count")
async def count_items(request: Request) -> dict[str, int]:
    """Return how many items there are."""
    return {"count": (await rules(request).summary())["count"]}


'''
FREE_ITEMS = b'''
    async def summary(self) -> dict[str, Any]:
        """Return all items in figures, with ours."""
        return {**await super().summary(), "count": (await super().summary())["count"]}
'''
ORDERS = '''"""Our own resource."""

from fastapi import APIRouter, Request

router = APIRouter(prefix="/api/v1/orders", tags=["orders"])


@router.get("")
async def list_orders(request: Request) -> dict[str, str]:
    """Return our page."""
    return {"title": request.app.state.settings.page_title}
'''
ORDERS_IMPORT = "from app.orders import routes as orders\n"
ORDERS_ROUTER = "    app.include_router(orders.router)\n"
OUR_TESTS = '''"""Our own tests."""

from fastapi.testclient import TestClient


def test_items_are_counted(client: TestClient) -> None:
    assert client.post("/api/v1/items", json={"name": "Lamp", "price_cents": 1}).status_code == 201
    assert client.get("/api/v1/items/count").json() == {"count": 1}


def test_a_free_item_has_no_price_to_count(client: TestClient) -> None:
    for name, price in (("Lamp", 5), ("Sample", 0)):
        client.post("/api/v1/items", json={"name": name, "price_cents": price})
    assert client.get("/api/v1/items/summary").json()["price_cents"]["max"] == 5


def test_our_page_has_its_title(client: TestClient) -> None:
    assert client.get("/api/v1/orders").json() == {"title": "Orders"}
'''
IN_PROCESS = ("uvicorn", "gunicorn")

EDITS = (
    Edit("a new route", "app/items/routes.py", put_before('@router.get(\n    "/{row_id}"', COUNT_ROUTE)),
    Edit("a new module", "app/orders/routes.py", written(ORDERS)),
    Edit("a new module", "app/orders/__init__.py", written("")),
    Edit("a new module", "app/main.py", put_before("from app.settings", ORDERS_IMPORT)),
    Edit("a new module", "app/main.py", put_before("    app.include_router(health", ORDERS_ROUTER)),
    Edit("new tests", "tests/test_orders.py", written(OUR_TESTS)),
    Edit("a new setting", "app/settings.py", put_before("    max_body_", '    page_title: str = "Orders"\n')),
    Edit("a new setting", ".env.example", ended_with(b"\n# What our page is called.\nPAGE_TITLE=Orders\n")),
    Edit("a changed rule", "app/items/rules.py", put_before("from app.forge", "from typing import Any\n\n")),
    Edit("a changed rule", "app/items/rules.py", ended_with(FREE_ITEMS)),
    Edit("a changed query", "app/items/queries.py", put_before("TABLE = ", "# Ours are few.\n")),
    Edit(
        "an edited migration", "migrations/sqlite/versions/0001_create_items.py",
        begun_with(b"# Reviewed by us.\n"), {"database": ["sqlite"]},
    ),
    Edit(
        "an edited migration", "migrations/postgres/versions/0001_create_items.py",
        begun_with(b"# Reviewed by us.\n"), {"database": ["postgres"]},
    ),
    Edit(
        "an edited adapter", "app/forge/database/mongodb_summary.py",
        put_before("def summary_pipeline", "# Ours are few.\n"), {"database": ["mongodb"]},
    ),
    Edit(
        "an edited driver", "app/forge/database/mongodb_driver/pymongo.py",
        replaced("_running: set[", "# Few, as a rule.\n_running: set["), {"mongodb_driver": ["pymongo"]},
    ),
    Edit(
        "an edited driver", "app/forge/database/mongodb_driver/motor.py",
        put_before("Document = dict", "# Ours are small.\n"), {"mongodb_driver": ["motor"]},
    ),
    Edit(
        "a changed cache", "app/forge/cache/ttl_cache.py",
        replaced("cache_max_items: PositiveInt = 10_000", "cache_max_items: PositiveInt = 20_000"),
        {"cache": ["ttl"]},
    ),
    Edit(
        "a changed cache", ".env.example", replaced("CACHE_MAX_ITEMS=10000", "CACHE_MAX_ITEMS=20000"),
        {"cache": ["ttl"]},
    ),
    Edit(
        "a changed cache", "app/forge/cache/redis_cache.py",
        replaced("cache_ttl_seconds: PositiveFloat = 30.0", "cache_ttl_seconds: PositiveFloat = 20.0"),
        {"cache": ["redis"]},
    ),
    Edit(
        "a changed cache", ".env.example", replaced("CACHE_TTL_SECONDS=30.0", "CACHE_TTL_SECONDS=20.0"),
        {"cache": ["redis"]},
    ),
    Edit(
        "a changed serializer", "app/forge/serializer/with_orjson.py",
        put_before("def _dumped", "# Our rows are small.\n"), {"serializer": ["orjson"]},
    ),
    Edit(
        "a changed serializer", "app/forge/serializer/with_pydantic.py",
        put_before("def _checked", "# Ours are checked twice.\n"), {"serializer": ["pydantic"]},
    ),
    Edit(
        "a changed compression", "app/forge/http/compression_gzip.py",
        replaced("compresslevel=4", "compresslevel=5"),
        {"compression": ["gzip"], "deployment": IN_PROCESS},
    ),
    Edit(
        "a changed compression", "app/forge/http/compression_negotiated.py",
        replaced("zstd_level=3", "zstd_level=4"),
        {"compression": ["negotiated"], "deployment": IN_PROCESS},
    ),
    Edit(
        "a changed compression", "deploy/nginx/compression/gzip.conf", begun_with(b"# As we like it.\n"),
        {"compression": ["gzip"], "deployment": ["nginx"]},
    ),
    Edit(
        "a changed server", "app/forge/server/uvicorn.py",
        put_before("logger = logging", "# For our logs.\n"),
        {"deployment": ["uvicorn"]},
    ),
    Edit(
        "a changed server", "deploy/gunicorn/gunicorn.conf.py",
        replaced("max_requests = 100_000", "max_requests = 50_000"), {"deployment": ["gunicorn"]},
    ),
    Edit(
        "a changed server", "deploy/nginx/nginx.conf",
        replaced("keepalive_requests 10000;", "keepalive_requests 5000;"), {"deployment": ["nginx"]},
    ),
    Edit(
        "edited authentication", "app/forge/auth/api_key.py",
        put_before("KEY = re.compile(", "# Ours are short.\n"), {"auth": ["api_key"]},
    ),
    Edit(
        "edited authentication", "app/forge/auth/oidc.py",
        put_before("class OidcAuthenticator", "# Ours is near.\n"),
        {"auth": ["oidc"]},
    ),
    Edit(
        "an edited pipeline", ".github/workflows/ci.yml", begun_with(b"# Ours runs on each push.\n"),
        {"ci": ["github"]},
    ),
    Edit(
        "an edited pipeline", ".gitlab-ci.yml", begun_with(b"# Ours runs on each push.\n"), {"ci": ["gitlab"]}
    ),
    Edit("an edited Dockerfile", "Dockerfile", put_before("WORKDIR /srv\n", 'LABEL team="orders"\n')),
    Edit("a changed dependency", "pyproject.toml", replaced('"uuid-utils>=1.2,<2"', '"uuid-utils>=1.2,<3"')),
    Edit("a new dependency", "pyproject.toml", put_before("]\n\n# https", '    "tenacity>=9",\n')),
    Edit("a deleted file", "benchmarks/targets.toml", deleted),
    Edit("a deleted file", ".pre-commit-config.yaml", deleted),
    Edit("a renamed module", "app/forge/observability/event_loop_monitor.py",
        renamed_module("app/our_event_loop_monitor.py")),
    Edit("reformatted code", "app/forge/http/problems.py", reformatted),
    Edit("trailing blanks", "app/items/models.py", begun_with(b"# Our models.   \t \n")),
    Edit("bytes that are not UTF-8", "README.md", put_before("It was generated by", "Caf\xe9 \xff.\n")),
    Edit("CRLF", "compose.yaml", begun_with(b"# Our services.\n")),
    Edit("CRLF", "compose.yaml", with_crlf),
    Edit("CRLF", "app/forge/http/docs.py", put_before("from html import", "# Ours is behind a login.\n")),
    Edit("CRLF", "app/forge/http/docs.py", with_crlf),
    Edit("an executable bit", "app/__main__.py", executable),
    Edit("an executable bit", "run", written("#!/bin/sh\nexec make run\n")),
    Edit("an executable bit", "run", executable),
    Edit("a symbolic link", "GUIDE.md", linked_to("README.md")),
)  # fmt: skip

# Applied if the file exists: releases drop and rename some of these.
CLASHES = (
    Edit("both wrote at the end", "app/forge/http/middleware.py", ended_with(b"\n\n# Ours at the end.\n")),
    Edit("both wrote at the end, with CRLF", "app/forge/http/health.py",
        ended_with(b"\n\n# Ours at the end.\n")),
    Edit("both wrote at the end, with CRLF", "app/forge/http/health.py", with_crlf),
    Edit("edited, and dropped by the template", ".dockerignore", ended_with(b"ours/\n")),
    Edit("edited, and renamed by the template", "app/forge/observability/logs.py",
        begun_with(b"# Our logs.  \n")),
    Edit("edited after the template renamed it", "app/structured_logs.py", begun_with(b"# Our logs.  \n")),
    Edit("one name for two new files", "app/tuning.py", begun_with(b"# Our tuning.\n"), is_new=True),
    Edit("deleted, and changed by the template", "app/forge/about.py", deleted),
    Edit("a link for a file that the template changes", "app/forge/observability/metrics.py",
        linked_to("our_metrics.py")),
    Edit("the target of the link", "app/our_metrics.py", written("# Ours.\n"), is_new=True),
)  # fmt: skip


def edit_peacefully(project: Path, answers: Mapping[str, str]) -> int:
    """Apply every edit for these answers, and return their number."""
    return len(_applied(project, [each for each in EDITS if each.concerns(answers)]))


def edit_against_the_template(project: Path) -> list[str]:
    """Apply every clash that this release has a file for, and return the files."""
    return _applied(project, [each for each in CLASHES if each.is_new or (project / each.file).exists()])


def _applied(project: Path, edits: list[Edit]) -> list[str]:
    for each in edits:
        each.apply(project, each.file)
    return [each.file for each in edits]
