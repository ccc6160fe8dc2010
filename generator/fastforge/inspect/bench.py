"""Measure a project with the kit of its version and the project's own Python."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from fastforge.errors import WorkFailed
from fastforge.inspect.kit import first_resource, run_kit
from fastforge.project.locate import find_directory


def bench_project(path: str, arguments: Sequence[str]) -> int:
    """Measure the project, and return the exit code. The kit prints the results.

    Raises:
        UserError: It is not a project.
        WorkFailed: The project has no environment, or its version no kit.
        Interrupted: A signal came before the kit could handle it.
    """
    return _run_kit(path, "fastforge_kit", arguments)


def profile_project(path: str, arguments: Sequence[str]) -> int:
    """Draw a flame graph of the project under load; see `bench_project`.

    Raises:
        WorkFailed: Also if py-spy is missing.
    """
    sampler = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if sampler is None:
        raise WorkFailed("py-spy is not installed.", "Reinstall FastForge, which depends on it.")
    return _run_kit(path, "fastforge_kit.profile", ["--py-spy", sampler, *arguments])


def _run_kit(path: str, module: str, arguments: Sequence[str]) -> int:
    directory = find_directory(path)
    name = first_resource(directory)
    default = [f"--default-resource={name}"] if name else []
    return run_kit(directory, module, [*default, *arguments])
