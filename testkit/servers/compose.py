"""Docker Compose, which reads and completes compose files without an engine.

It is the program that FASTFORGE_COMPOSE names, that of the installed Docker, or Debian's package, unpacked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from testkit.servers.debian import unpack
from testkit.servers.errors import NotUsable, ServerUnavailable
from testkit.servers.wheels import locked, server_home

VARIABLE = "FASTFORGE_COMPOSE"
SUITE = "trixie"
REMEDY = f"install Docker Compose 2, or set {VARIABLE}=/path/to/docker-compose"


def find_compose() -> list[str]:
    """Return the command of Docker Compose, or raise `ServerUnavailable`."""
    if named := os.environ.get(VARIABLE):
        return [named]
    candidates: list[list[str]] = [["docker", "compose"]] if shutil.which("docker") else []
    for command in candidates:
        if _runs(command):
            return command
    try:
        return [str(_debians())]
    except NotUsable as reason:
        raise ServerUnavailable("Docker Compose", [str(reason)], REMEDY) from reason


def _runs(command: list[str]) -> bool:
    return subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0


def _debians() -> Path:
    folder = server_home() / f"compose-{SUITE}"
    with locked(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            unpack(SUITE, ["docker-compose"], folder)
            (folder / "complete").touch()
    found = folder / "usr/libexec/docker/cli-plugins/docker-compose"
    if not found.exists() or not _runs([str(found)]):
        raise NotUsable("Debian's docker-compose does not run here")
    return found
