"""The image of a project, built and run in a scratch root: every step, then the service as process 1."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from testkit.servers.process import free_port
from tests.delivery.image import (
    PYTHON,
    Build,
    as_container,
    build,
    in_namespace,
    inside,
    instructions,
    why_not,
)
from tests.variants.rendering import Project, Renderer

DEPLOYMENTS = ("uvicorn", "gunicorn", "nginx")
DATABASES = ("sqlite", "postgres", "mongodb")
BUILD_SECONDS = 600
HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.fixture
def project(renderer: Renderer, request: pytest.FixtureRequest) -> Project:
    """The project with the answers of the parameter."""
    return renderer.render({"project_name": "Shop", **request.param})


EVERY = [
    {"database": database, "deployment": deployment} for database in DATABASES for deployment in DEPLOYMENTS
]


@pytest.mark.parametrize("project", EVERY, ids=lambda answers: "-".join(answers.values()), indirect=True)
def test_hadolint_finds_nothing(project: Project) -> None:
    done = subprocess.run(
        [HADOLINT, "--no-color", "--failure-threshold", "style", "Dockerfile"],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("project", EVERY, ids=lambda answers: "-".join(answers.values()), indirect=True)
def test_the_image_has_one_health_check_a_user_and_a_command_that_gets_signals(project: Project) -> None:
    found = instructions(project.read("Dockerfile"))
    names = [name for name, _ in found]
    last = dict(found[len(names) - names[::-1].index("FROM") :])

    assert names.count("FROM") == 2
    assert names.count("HEALTHCHECK") == 1
    assert last["USER"].isdigit()
    assert int(last["USER"]) >= 10_000
    # A list: a shell would be process 1, and would not pass signals on.
    assert last["CMD"].startswith("[")
    assert last["STOPSIGNAL"] == "SIGTERM"


RUN = """
{namespace} &
service=$!
# The kernel ends everything in its namespace.
trap 'kill -KILL $service 2>/dev/null || true' EXIT
tries=0
until {probe}; do
    tries=$((tries + 1)); [ $tries -lt 120 ] && kill -0 $service || {{ echo "never ready"; exit 1; }}
    sleep 0.5
done
echo "ready"
{may_write} && {{ echo "the root is not read-only"; exit 1; }}
{has_pip} && {{ echo "pip is in the image"; exit 1; }}
{environment_has_pip} && {{ echo "the environment has pip"; exit 1; }}
first=$(cat /proc/$service/task/$service/children | cut -d' ' -f1)
echo "as $(stat -c %u /proc/$first), process $(awk '/^NSpid/ {{print $NF}}' /proc/$first/status)"
kill -TERM $first
wait $service && echo "stopped with 0"
"""


def run_lines(build: Build, port: int) -> list[str]:
    """Return the lines that run the image as a container, check it from outside and stop it."""
    stage = build.stage
    variables = {"PORT": str(port), "HOST": "127.0.0.1", "WORKERS": "2"}
    serve = f"mount -t proc proc {stage.root}/proc && exec {inside(stage, stage.command, **variables)}"
    return [
        *as_container(build),
        inside(stage, ["python", "-m", "alembic", "upgrade", "head"]),
        RUN.format(
            namespace=f"unshare --pid --fork --kill-child --mount sh -c {shlex.quote(serve)}",
            probe=f"{inside(stage, stage.probe, **variables)} 2>/dev/null",
            may_write=f"{inside(stage, ['touch', '/var/tmp/x'])} 2>/dev/null",
            has_pip=f"{inside(stage, [str(PYTHON), '-m', 'pip', '--version'])} 2>/dev/null",
            environment_has_pip=f"{inside(stage, ['python', '-m', 'pip', '--version'])} 2>/dev/null",
        ),
    ]


@pytest.mark.thorough
@pytest.mark.parametrize(
    "project",
    [{"deployment": deployment} for deployment in DEPLOYMENTS],
    ids=DEPLOYMENTS,
    indirect=True,
)
def test_every_step_builds_and_the_service_runs_read_only_as_process_1(project: Project) -> None:
    if reason := why_not():
        pytest.skip(f"The image was not built: {reason}.")
    built = build(project.folder)
    done = subprocess.run(
        in_namespace([*built.script, *run_lines(built, free_port())]),
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
    )
    told = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    assert told[-3:] == ["ready", "as 10001, process 1", "stopped with 0"], done.stdout + done.stderr
