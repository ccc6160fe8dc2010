"""`make .env`, `make pin` and `make audit` of a project."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.test_ci import FILES
from tests.variants.environments import EVERY_FILE, clean_environment, environment_of
from tests.variants.rendering import Project, Renderer

SERVERS = {"database": "postgres", "cache": "redis"}
PASSWORDS = {"POSTGRES_PASSWORD", "DATABASE_PASSWORD", "REDIS_PASSWORD"}
DIGEST = "sha256:" + "0123456789abcdef" * 4
# Answers as the registry does, and refuses images named in FAIL.
DOCKER = f"""#!/bin/sh
[ "$4" != "$FAIL" ] || {{ echo "no such image" >&2; exit 1; }}
[ "$1 $2 $3 $5" = "buildx imagetools inspect --format" ] && echo '{{"digest": "{DIGEST}"}}'
"""
FOUND = "GHSA-aaaa-bbbb-cccc"


@pytest.fixture
def project(renderer: Renderer, request: pytest.FixtureRequest) -> Project:
    """The project with the answers of the parameter."""
    return renderer.render({"project_name": "Shop", **request.param})


def run(project: Project, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the project."""
    return subprocess.run(
        command,
        cwd=project.folder,
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("project", [SERVERS], ids=["servers"], indirect=True)
def test_each_password_is_random_and_only_its_owner_can_read_them(project: Project) -> None:
    texts = []
    for _ in range(2):
        done = run(project, "make", ".env")
        assert done.returncode == 0, done.stderr
        texts.append(project.read(".env"))
        assert stat.S_IMODE((project.folder / ".env").stat().st_mode) == 0o600
        (project.folder / ".env").unlink()
    values = [dict(re.findall(r"^(\w+_PASSWORD)=([0-9a-f]{32})$", text, re.MULTILINE)) for text in texts]
    assert [set(each) for each in values] == [PASSWORDS, PASSWORDS]
    assert len({value for each in values for value in each.values()}) == 2 * len(PASSWORDS)
    example = project.read(".env.example")
    assert re.sub(r"(_PASSWORD=)[0-9a-f]+", r"\1", texts[0]) == example


@pytest.mark.parametrize("project", [SERVERS], ids=["servers"], indirect=True)
def test_compose_has_no_default_password_and_names_a_missing_one(project: Project) -> None:
    compose = project.read("compose.yaml")
    used = re.findall(r"\$\{(\w+_PASSWORD)([^}]*)\}", compose)
    assert {name for name, _ in used} == PASSWORDS
    assert {rest.startswith(":?") for _, rest in used} == {True}
    assert ":postgres@" not in compose + project.read(".env.example")


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    """A directory with a `docker` that knows every digest: tests reach no registry."""
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text(DOCKER)
    program.chmod(0o755)
    return program.parent


def pin(project: Project, docker: Path, fail: str = "") -> subprocess.CompletedProcess[str]:
    """Run what `make pin` runs."""
    python = str(environment_of(project.folder) / "bin/python")
    return run(project, python, "-m", "tests.pin", PATH=f"{docker}:/usr/bin:/bin", FAIL=fail)


@pytest.mark.parametrize("project", [{**SERVERS, "ci": ci} for ci in FILES], ids=FILES, indirect=True)
def test_every_image_is_pinned_once(project: Project, docker: Path) -> None:
    names = ["Dockerfile", "compose.yaml", FILES[project.answers["ci"]]]
    before = {name: project.read(name) for name in names}
    for _ in range(2):
        done = pin(project, docker)
        assert done.returncode == 0, done.stderr
    after = {name: project.read(name) for name in names}
    assert {name: text.replace(f"@{DIGEST}", "") for name, text in after.items()} == before
    images = {
        "python:3.13-slim",
        "postgres:18",
        "redis:8",
        "prom/prometheus:v3.7.3",
        "grafana/grafana:12.3.0",
    }
    together = "".join(after.values())
    assert {image for image in images if f"{image}@{DIGEST}" not in together} == set()
    assert not re.findall(r"^FROM \S+$(?<!@" + DIGEST + ")", together, re.MULTILINE)
    assert '\nname: "shop"\n' in after["compose.yaml"]


@pytest.mark.parametrize("project", [SERVERS], ids=["servers"], indirect=True)
def test_no_file_changes_if_one_digest_is_missing(project: Project, docker: Path) -> None:
    before = [project.read(name) for name in ("Dockerfile", "compose.yaml")]
    done = pin(project, docker, fail="grafana/grafana:12.3.0")
    assert done.returncode == 1
    assert "grafana/grafana:12.3.0 is not available, so no file was changed: no such image" in done.stderr
    assert [project.read(name) for name in ("Dockerfile", "compose.yaml")] == before


@contextmanager
def osv(vulnerable: set[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the URL of a service like osv.dev, and the packages that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            names = [query["package"]["name"] for query in queries]
            asked.extend(f"{query['package']['name']}=={query['version']}" for query in queries)
            self.answer(
                {"results": [{"vulns": [{"id": FOUND}]} if name in vulnerable else {} for name in names]}
            )

        def do_GET(self) -> None:
            self.answer({"id": FOUND, "modified": "2026-01-01T00:00:00Z", "summary": "It is broken."})

        def answer(self, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        server.server_close()


def audit(project: Project, url: str) -> subprocess.CompletedProcess[str]:
    """Run what `make audit` runs, asking this service."""
    python = str(environment_of(project.folder) / "bin/python")
    return run(project, python, "-m", "tests.audit", "--service-url", url)


def commit(project: Project) -> None:
    """Make the project a repository with all of its files."""
    for arguments in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *arguments], cwd=project.folder, check=True)


@pytest.mark.parametrize("project", [SERVERS], ids=["servers"], indirect=True)
def test_an_audit_of_a_new_project_finds_nothing(project: Project) -> None:
    commit(project)
    with osv(set()) as (url, asked):
        done = audit(project, url)
    assert done.returncode == 0, done.stdout + done.stderr
    texts = [project.read(name) for name in EVERY_FILE]
    wanted = r"^(starlette|uvicorn|asyncpg|pytest|locust)==([^ ;]+)"
    pinned = re.findall(wanted, "".join(texts), re.MULTILINE)
    assert len(pinned) == 5
    assert {"==".join(pin) for pin in pinned} <= set(asked)


@pytest.mark.parametrize("project", [SERVERS], ids=["servers"], indirect=True)
def test_an_audit_names_the_vulnerable_package_and_the_file_with_a_secret(project: Project) -> None:
    commit(project)
    key = "AKIA" + "IOSFODNN7EXAMPLF"
    (project.folder / "app/own.py").write_text(f'KEY = "{key}"\n')
    subprocess.run(["git", "add", "--all"], cwd=project.folder, check=True)
    with osv({"starlette"}) as (url, _):
        done = audit(project, url)
    told = done.stdout + done.stderr
    assert done.returncode == 1
    assert "starlette" in told
    assert FOUND in told
    assert "app/own.py" in told
    assert key not in told
