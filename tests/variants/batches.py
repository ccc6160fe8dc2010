"""Variants that are rendered and linted together: ruff takes as long for one project as for thirty."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from tests.variants.environments import clean_environment
from tests.variants.rendering import Project, Renderer
from tests.variants.space import Variant

# Variants with equal answers to these are in one batch, and in one process of a parallel run.
TOGETHER = ("database", "cache")


def batch_name(variant: Variant) -> str:
    """Return the name of the batch that the variant belongs to."""
    return "-".join(str(variant[question]) for question in TOGETHER)


class Batch:
    """Some rendered variants, and ruff's findings in each."""

    def __init__(self, renderer: Renderer, variants: Iterable[Variant], tools: Path) -> None:
        self._renderer = renderer
        self._tools = tools
        self.projects = {variant: renderer.render_variant(variant) for variant in variants}

    @cached_property
    def unformatted(self) -> dict[Variant, list[str]]:
        """The lines that `ruff format --check` writes about each project."""
        return self._said_of_each("format", "--check")

    @cached_property
    def lint(self) -> dict[Variant, list[str]]:
        """The lines that `ruff check` writes about each project."""
        return self._said_of_each("check", "--output-format", "concise")

    def remove(self) -> None:
        """Remove the projects."""
        for project in self.projects.values():
            self._renderer.remove(project)

    def _said_of_each(self, *arguments: str) -> dict[Variant, list[str]]:
        """Run ruff, which reads the settings of each project there, and sort its lines by project."""
        folders = {variant: self._place(project) for variant, project in self.projects.items()}
        command = [str(self._tools / "bin" / "ruff"), *arguments, "--no-cache", *folders.values()]
        done = subprocess.run(
            command,
            cwd=self._renderer.folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        lines = [*done.stdout.splitlines(), *done.stderr.splitlines()] if done.returncode else []
        said = {
            variant: [line for line in lines if f"{folder}/" in line] for variant, folder in folders.items()
        }
        # Lines that name no project concern all of them.
        concerns_all = done.returncode != 0 and not any(said.values())
        return {variant: lines if concerns_all else said[variant] for variant in folders}

    def _place(self, project: Project) -> str:
        return str(project.folder.relative_to(self._renderer.folder))


class Batches:
    """The batches of a run, of which only one exists at a time."""

    def __init__(self, renderer: Renderer, variants: Iterable[Variant], tools: Path) -> None:
        self._renderer = renderer
        self._variants = tuple(variants)
        self._tools = tools
        self._name = ""
        self._batch: Batch | None = None

    def of(self, variant: Variant) -> Batch:
        """Return the batch of the variant, rendered when it is first needed."""
        name = batch_name(variant)
        if self._batch is None or name != self._name:
            self.close()
            members = [each for each in self._variants if batch_name(each) == name]
            self._batch, self._name = Batch(self._renderer, members, self._tools), name
        return self._batch

    def close(self) -> None:
        """Remove the renderings."""
        if self._batch is not None:
            self._batch.remove()
            self._batch = None
