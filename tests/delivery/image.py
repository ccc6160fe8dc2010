"""Build and run a project's Dockerfile without a container engine, in a scratch root.

The base image is replaced by this system, below an overlay that takes all writes: what a step installs,
removes or changes is gone afterwards. Everything else is the Dockerfile's own: each instruction, in
order, and the command as process 1 of a new namespace, as the image's user, on a root that is read-
only. It takes root and Linux.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

COPY = "cp -R --preserve=mode,timestamps,links"
# The Python that the image would have in /usr/local.
PYTHON = Path(sys.base_prefix, "bin/python")
PATH = f"{PYTHON.parent}:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
# How this machine reaches its package index.
PASSED_ON = re.compile(r"(PIP_|UV_|SSL_CERT|REQUESTS_CA|https?_proxy$|no_proxy$)", re.IGNORECASE)


@dataclass
class Stage:
    """A stage of the build: its root, and what later instructions depend on."""

    root: str
    workdir: str = "/"
    user: str = "0"
    variables: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    volumes: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    probe: list[str] = field(default_factory=list)


@dataclass
class Build:
    """The script that executes a Dockerfile, and its last stage."""

    script: list[str]
    stage: Stage


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile with their arguments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    parts = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(name, argument.strip()) for name, argument in parts]


def why_not() -> str | None:
    """Return why no scratch root can be made here; None if one can."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None:
        return "a scratch root needs Linux, root and unshare"
    attempt = [
        "set -eu",
        "mount -t tmpfs tmpfs /mnt",
        *_from(Stage("/mnt/attempt/root")),
        "unshare --pid --fork true",
    ]
    done = subprocess.run(in_namespace(attempt), capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"a scratch root fails: {done.stderr.strip()}"


def allowed(context: Path) -> list[str]:
    """Return what .dockerignore lets into an image: it excludes everything but the names after `!`."""
    lines = context.joinpath(".dockerignore").read_text().splitlines()
    return [line[1:] for line in lines if line.startswith("!")]


def build(project: Path) -> Build:
    """Return the script that builds the image of the project."""
    stages: dict[str, Stage] = {}
    script = ["set -eu", "mount -t tmpfs tmpfs /mnt"]
    stage = Stage("")
    for name, argument in instructions((project / "Dockerfile").read_text()):
        if name == "FROM":
            label = argument.split(" AS ")[-1] if " AS " in argument else str(len(stages))
            stage = stages[label] = Stage(f"/mnt/{label}/root")
            script += _from(stage)
        else:
            script += _step(name, argument, stage, stages, project)
    return Build(script, stage)


def _from(stage: Stage) -> list[str]:
    base = stage.root.removesuffix("/root")
    readable = [str(folder) for folder in reversed(PYTHON.parents) if folder != Path("/")]
    return [
        f"mkdir -p {base}/changes {base}/work {stage.root}",
        f"mount -t overlay overlay -o lowerdir=/,upperdir={base}/changes,workdir={base}/work {stage.root}",
        f"mount --rbind /dev {stage.root}/dev",
        f"mount -t proc proc {stage.root}/proc",
        # Every user of the image may run its Python.
        *(f"chmod a+rx {stage.root}{folder}" for folder in readable),
        f"ln -sf python{sys.version_info.major}.{sys.version_info.minor} {stage.root}{PYTHON}",
        f"rm -f {stage.root}{sys.base_prefix}/lib/python*/EXTERNALLY-MANAGED",
        f"rm -rf {stage.root}/srv {stage.root}/venv && mkdir {stage.root}/srv",
    ]


def _step(name: str, argument: str, stage: Stage, stages: dict[str, Stage], project: Path) -> list[str]:
    if name == "RUN":
        return [inside(stage, ["sh", "-c", argument])]
    if name == "COPY":
        return _copy(argument, stage, stages, project)
    if name == "WORKDIR":
        stage.workdir = argument
        return [f"mkdir -p {stage.root}{argument}"]
    _remember(name, argument, stage)
    return []


def _remember(name: str, argument: str, stage: Stage) -> None:
    if name == "ENV":
        pairs = dict(word.split("=", 1) for word in shlex.split(argument))
        stage.variables |= {key: value.replace("$PATH", PATH) for key, value in pairs.items()}
    elif name == "USER":
        stage.user = argument
    elif name == "VOLUME":
        stage.volumes.append(argument)
    elif name == "CMD":
        stage.command = json.loads(argument)
    elif name == "HEALTHCHECK":
        stage.probe = json.loads(argument.split(" CMD ", 1)[1])
    else:
        assert name in {"EXPOSE", "STOPSIGNAL"}, f"{name} is not known here."


def _copy(argument: str, stage: Stage, stages: dict[str, Stage], project: Path) -> list[str]:
    words = argument.split()
    origin = f"{project}/"
    if words[0].startswith("--from="):
        origin = stages[words.pop(0).removeprefix("--from=")].root
    else:
        outside = [word for word in words[:-1] if word.split("/")[0] not in allowed(project)]
        assert not outside, f".dockerignore keeps {outside} out of the image"
    target = os.path.normpath(
        f"{stage.root}/{'' if words[-1].startswith('/') else stage.workdir}/{words[-1]}"
    )
    script = []
    for word in words[:-1]:
        source = f"{origin}{word}"
        # A directory's content is copied, not the directory itself.
        script.append(
            f"if [ -d {source} ]; then mkdir -p {target} && {COPY} {source}/. {target}/; "
            f"else {COPY} {source} {target}; fi"
        )
    return script


def inside(stage: Stage, command: list[str], **more: str) -> str:
    """Return a line of shell that runs a command in the stage, as its user."""
    own = (
        {name: value for name, value in os.environ.items() if PASSED_ON.match(name)}
        if stage.user == "0"
        else {}
    )
    variables = [f"{name}={value}" for name, value in (own | stage.variables | more).items()]
    move = f'cd {shlex.quote(stage.workdir)} && exec "$@"'
    entered = ["chroot", f"--userspec={stage.user}:{stage.user}", stage.root, "env", "-i", *variables]
    return shlex.join([*entered, "sh", "-c", move, "sh", *command])


def as_container(build: Build) -> list[str]:
    """Return the lines that make the root as compose runs it: read-only, but for /tmp and the volumes."""
    root, user = build.stage.root, build.stage.user
    lines = [f"mount -t tmpfs -o mode=1777 tmpfs {root}/tmp"]
    lines += [
        f"mount -t tmpfs -o uid={user},mode=0755 tmpfs {root}{volume}" for volume in build.stage.volumes
    ]
    return [*lines, f"mount -o remount,ro {root}"]


def in_namespace(script: list[str]) -> list[str]:
    """Return a command that runs the script with its own mounts, which end with it."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(script)]
