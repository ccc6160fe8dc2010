"""Projects as Copier renders them from the working tree, including uncommitted changes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zlib import crc32

from jinja2 import Environment
from plumbum import local
from pytest_copie.plugin import Copie

from tests.repository import REPOSITORY, TEMPLATE
from tests.variants.space import Variant, varied_questions

PROJECT_NAME = "Items API"
NOT_TEMPLATE = shutil.ignore_patterns(".venv", "var", "__pycache__", ".*_cache", ".env", "*.egg-info")
COMPILED: dict[tuple[Any, ...], Any] = {}


@dataclass(frozen=True)
class Project:
    """A rendered project and its answers."""

    folder: Path
    answers: Mapping[str, Any]

    def read(self, name: str | Path) -> str:
        """Return the text of one of its files."""
        return (self.folder / name).read_text(encoding="utf-8")

    def files(self, pattern: str = "*") -> list[Path]:
        """Return its files, including hidden ones, but not files that checks and tests leave behind."""
        found = (path for path in self.folder.rglob(pattern) if path.is_file())
        left_behind = {".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", "var"}
        return sorted(path for path in found if not left_behind & set(path.relative_to(self.folder).parts))


class Renderer:
    """A renderer of projects with pytest-copie, which itself hides errors and ignores unknown answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        source = folder / "source"
        source.mkdir()
        shutil.copy(REPOSITORY / "copier.yml", source)
        shutil.copytree(REPOSITORY / "macros", source / "macros")
        shutil.copytree(TEMPLATE, source / "template", ignore=NOT_TEMPLATE)
        # Without git the source is rendered in place, not cloned.
        self.copie = Copie(source, folder, folder / "no-settings")

    def render(self, answers: Mapping[str, Any]) -> Project:
        """Return the project for these answers; the others are the defaults. Raises what Copier raises."""
        with compiled_once(), local.env(PATH=""), redirect_stderr(StringIO()), redirect_stdout(StringIO()):
            result = self.copie.copy(dict(answers))
        if result.exception is not None:
            raise result.exception
        assert result.project_dir is not None
        not_saved = {name: value for name, value in answers.items() if result.answers.get(name) != value}
        assert not not_saved, f"Copier understood these answers differently: {not_saved}"
        return Project(result.project_dir, result.answers)

    def render_variant(self, variant: Variant, resources: list[dict[str, Any]] | None = None) -> Project:
        """Return the project for this variant, with the sample unless others are given.

        The dates of its files depend on their content.
        """
        chosen = {} if resources is None else {"resources": resources}
        project = self.render({"project_name": PROJECT_NAME, **dict(variant.answers), **chosen})
        asked = {name: value for name, value in project.answers.items() if name in varied_questions()}
        assert asked == dict(variant.answers), (
            "The variant leaves a question out, or answers one that is not asked."
        )
        date_by_content(project)
        return project

    def remove(self, project: Project) -> None:
        """Remove a project that is no longer needed."""
        shutil.rmtree(project.folder, ignore_errors=True)


def date_by_content(project: Project) -> None:
    """Give equal files equal dates, and different files different ones: mypy's cache trusts dates."""
    for path in project.files("*.py"):
        date = 1_000_000_000 + crc32(path.read_bytes()) % 500_000_000
        os.utime(path, (date, date))


@contextmanager
def compiled_once() -> Iterator[None]:
    """Reuse Jinja templates that Copier would compile again for every project, most of the rendering time."""
    plain = Environment.compile

    def compile_once(environment: Environment, source: Any, *arguments: Any, **named: Any) -> Any:
        syntax = (environment.trim_blocks, environment.lstrip_blocks, environment.keep_trailing_newline)
        key = (source, arguments, tuple(named.items()), syntax, tuple(environment.extensions))
        if key not in COMPILED:
            COMPILED[key] = plain(environment, source, *arguments, **named)
        # Copier's `yield` starts again with each source that is read.
        environment.preprocess(str(source))
        return COMPILED[key]

    with patch.object(Environment, "compile", compile_once):
        yield
