"""The pipeline of a project: valid, pinned, with few permissions, and made of make targets that exist."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.variants.rendering import Project, Renderer
from tests.variants.schemas import schema_errors

FILES = {"github": ".github/workflows/ci.yml", "gitlab": ".gitlab-ci.yml"}
PINNED_ACTION = re.compile(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
SERVERS = {
    "sqlite": set(),
    "postgres": {"database"},
    "mongodb": {"database"},
}
ANSWERS = [
    {"ci": ci, "database": database, "cache": cache, "deployment": deployment}
    for ci in FILES
    for database in SERVERS
    for cache, deployment in (("none", "nginx"), ("redis", "uvicorn"))
]


@pytest.fixture
def project(renderer: Renderer, request: pytest.FixtureRequest) -> Project:
    """The project with the answers of the parameter."""
    return renderer.render({"project_name": "Shop", **request.param})


def loaded(text: str) -> Any:
    """Return the document; in YAML 1.2, `on` is not a boolean."""
    return YAML(typ="safe").load(text)


@pytest.mark.parametrize(
    "project", [{"ci": ci} for ci in (*FILES, "none")], ids=(*FILES, "none"), indirect=True
)
def test_the_answer_adds_its_file_and_no_other(project: Project) -> None:
    present = {ci: (project.folder / name).exists() for ci, name in FILES.items()}
    assert present == {ci: ci == project.answers["ci"] for ci in FILES}
    assert (project.folder / ".github").exists() == (project.answers["ci"] == "github")


@pytest.mark.parametrize("project", ANSWERS, ids=lambda answers: "-".join(answers.values()), indirect=True)
def test_the_pipeline_is_valid_and_runs_targets_that_exist(project: Project) -> None:
    name = FILES[project.answers["ci"]]
    text = project.read(name)
    known = set(re.findall(r"^([a-z]+):", project.read("Makefile"), re.MULTILINE))

    assert schema_errors(name, text) == []
    targets = set(re.findall(r"^ +- (?:run: )?make ([a-z]+)", text, re.MULTILINE))
    assert targets == {"lint", "coverage", "audit", "image"}
    assert targets <= known


@pytest.mark.parametrize("project", ANSWERS, ids=lambda answers: "-".join(answers.values()), indirect=True)
def test_the_tests_run_on_each_python_with_the_servers_of_the_project(project: Project) -> None:
    document = loaded(project.read(FILES[project.answers["ci"]]))
    job = document["jobs"]["test"] if "jobs" in document else document["test"]
    matrix = (
        job["strategy"]["matrix"]["python"] if "jobs" in document else job["parallel"]["matrix"][0]["PYTHON"]
    )
    services = job.get("services", {})
    named = set(services) if isinstance(services, dict) else {service["alias"] for service in services}
    variables = job.get("env") or job.get("variables") or {}

    oldest = tomllib.loads(project.read("pyproject.toml"))["project"]["requires-python"].removeprefix(">=")
    assert matrix[0] == oldest
    assert matrix == [f"3.{minor}" for minor in range(11, 11 + len(matrix))]
    wanted = SERVERS[project.answers["database"]] | (
        {"cache"} if project.answers["cache"] == "redis" else set()
    )
    assert named == wanted
    urls = {name for name in variables if name.endswith("_URL")}
    assert len(urls) == len(wanted)


@pytest.mark.parametrize(
    "project", [{"ci": "github", "updates": updates} for updates in ("none", "github-actions")],
    ids=["ci", "ci and updates"], indirect=True,
)  # fmt: skip
def test_actions_are_pinned_and_jobs_may_do_little(project: Project) -> None:
    for path in sorted((project.folder / ".github/workflows").iterdir()):
        text = path.read_text()
        actions = re.findall(r"uses: ([^.\n].*)", text)
        assert actions
        assert [action for action in actions if not PINNED_ACTION.fullmatch(action)] == []
        document = loaded(text)
        assert document["permissions"] in ({"contents": "read"}, {})
        for name, job in document["jobs"].items():
            may_write = {what for what, how in job.get("permissions", {}).items() if how == "write"}
            assert may_write == {"update": {"contents"}, "propose": {"pull-requests"}}.get(name, set())
    ci = project.read(FILES["github"])
    assert ci.count("persist-credentials: false") == ci.count("actions/checkout@")


def test_updates_by_github_actions_need_its_tests(renderer: Renderer) -> None:
    with pytest.raises(ValueError, match="needs ci=github"):
        renderer.render({"project_name": "Shop", "ci": "gitlab", "updates": "github-actions"})
