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
    directory = find_directory(path)
    return run_kit(directory, "fastforge_kit", [*_default_resource(directory), *arguments])


def profile_project(path: str, arguments: Sequence[str]) -> int:
    """Draw a flame graph of the project under load, and return the exit code. The kit prints the results.

    Raises:
        UserError: It is not a project.
        WorkFailed: py-spy is missing, the project has no environment, or its version no kit.
        Interrupted: A signal came before the kit could handle it.
    """
    directory = find_directory(path)
    sampler = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if sampler is None:
        raise WorkFailed(
            "py-spy is not installed.", "Install FastForge again: py-spy is one of its dependencies."
        )
    return run_kit(
        directory, "fastforge_kit.profile", ["--py-spy", sampler, *_default_resource(directory), *arguments]
    )


def _default_resource(directory: Path) -> list[str]:
    name = first_resource(directory)
    return [f"--default-resource={name}"] if name else []
