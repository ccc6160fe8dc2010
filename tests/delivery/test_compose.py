"""The compose file of a project, as Docker Compose itself reads it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from testkit.servers.compose import find_compose
from testkit.servers.errors import ServerUnavailable
from tests.variants.environments import clean_environment
from tests.variants.rendering import Project, Renderer

ANSWERS = [
    {"database": database, "cache": cache, "deployment": deployment}
    for database in ("sqlite", "postgres", "mongodb")
    for cache, deployment in (("none", "uvicorn"), ("redis", "nginx"))
]
NAMES = ["-".join(answers.values()) for answers in ANSWERS]


@pytest.fixture
def project(renderer: Renderer, request: pytest.FixtureRequest) -> Project:
    """The project with the answers of the parameter."""
    return renderer.render({"project_name": "Shop", **request.param})


@pytest.fixture(scope="session")
def compose() -> list[str]:
    """The command of Docker Compose."""
    try:
        return find_compose()
    except ServerUnavailable as reason:
        pytest.skip(f"The compose file was not read by Docker Compose: {reason}")


def configured(project: Project, compose: list[str]) -> subprocess.CompletedProcess[str]:
    """Return the file as Compose completes it, with every profile."""
    command = [*compose, "--profile", "observability", "config", "--format", "json"]
    return subprocess.run(
        command, cwd=project.folder, env=clean_environment(), capture_output=True, text=True, check=False
    )


def services(project: Project, compose: list[str]) -> dict[str, Any]:
    """Return the services of a project with its passwords."""
    subprocess.run(["make", ".env"], cwd=project.folder, env=clean_environment(), check=True)
    done = configured(project, compose)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


@pytest.mark.parametrize("project", ANSWERS, ids=NAMES, indirect=True)
def test_every_service_is_limited_and_has_rotated_logs(project: Project, compose: list[str]) -> None:
    for name, service in services(project, compose).items():
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["deploy"]["resources"]["limits"]["pids"], name
        assert service["logging"] == {"driver": "local"}, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name


@pytest.mark.parametrize("project", ANSWERS, ids=NAMES, indirect=True)
def test_a_service_starts_after_what_it_needs_is_ready(project: Project, compose: list[str]) -> None:
    found = services(project, compose)
    for name, service in found.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                # The service's own check is in its image.
                assert other == "app" or "healthcheck" in found[other], (name, other)
            else:
                assert (other, how["condition"]) == ("migrate", "service_completed_successfully"), name
    needs = set(found["app"]["depends_on"]) | set(found.get("migrate", {}).get("depends_on", {}))
    assert {"database", "cache"} & set(found) <= needs


@pytest.mark.parametrize("project", ANSWERS, ids=NAMES, indirect=True)
def test_the_service_and_its_migrations_run_read_only_on_the_same_data(
    project: Project, compose: list[str]
) -> None:
    found = services(project, compose)
    ours = [found[name] for name in ("app", "migrate") if name in found]
    assert [service["read_only"] for service in ours] == [True] * len(ours)
    assert [service["cap_drop"] for service in ours] == [["ALL"]] * len(ours)
    assert len({service["environment"]["DATABASE_URL"] for service in ours}) == 1
    assert len({json.dumps(service.get("volumes")) for service in ours}) == 1
    for service in ours:
        assert not service["environment"].get("POSTGRES_PASSWORD")
        assert not service["environment"].get("MONGODB_PASSWORD")


@pytest.mark.parametrize("project", ANSWERS, ids=NAMES, indirect=True)
def test_a_missing_password_stops_it_by_name(project: Project, compose: list[str]) -> None:
    services(project, compose)
    text = project.read(".env")
    names = [line.partition("=")[0] for line in text.splitlines() if "_PASSWORD=" in line and line[0] != "#"]
    assert bool(names) == (project.answers["database"] != "sqlite" or project.answers["cache"] == "redis")
    for name in names:
        lines = [f"{name}=" if line.startswith(f"{name}=") else line for line in text.splitlines()]
        (project.folder / ".env").write_text("\n".join(lines))
        done = configured(project, compose)
        assert done.returncode != 0
        assert name in done.stderr
        assert "is not set" in done.stderr
