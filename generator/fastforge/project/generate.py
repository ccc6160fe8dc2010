"""What `fastforge new` does, from answers to a project on disk."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from fastforge.project.destination import Destination, dry_staging, place, staging
from fastforge.template.questions import Answers
from fastforge.template.render import Order, render
from fastforge.project.git_init import NoRepository, commit_project, workflow_notes
from fastforge.template.resources import line_of
from fastforge.template.source import Source, SourceUnknown, find_source


@dataclass(frozen=True)
class NewProject:
    """What was generated. `commit` is None without a repository, `source` without a way to update."""

    path: str
    folder: Path
    dry_run: bool
    answers: Answers
    files: Sequence[str]
    source: Source | None
    commit: str | None
    notes: Sequence[str]
    flags: Sequence[str]

    @property
    def command(self) -> str:
        """The one-line command that gives the same answers without asking."""
        answers = [word for name, value in self.answers.items() for word in _words(name, value)]
        path = ["--", self.path] if self.path.startswith("-") else [self.path]
        return shlex.join(["fastforge", "new", "--defaults", *self.flags, *answers, *path])

    @property
    def next_commands(self) -> list[str]:
        """What to type next in a shell."""
        enter = [] if self.folder == Path.cwd() else [shlex.join(["cd", *self._safe_path])]
        return [*enter, "make test", "make dev"]

    @property
    def _safe_path(self) -> list[str]:
        return ["--", self.path] if self.path.startswith("-") else [self.path]

    def document(self) -> dict[str, Any]:
        """Return the answer of `--json`."""
        return {
            "path": str(self.folder),
            "dry_run": self.dry_run,
            "answers": dict(self.answers),
            "files": list(self.files),
            "source": {"url": self.source.url, "commit": self.source.commit} if self.source else None,
            "commit": self.commit,
            "notes": list(self.notes),
            "next": self.next_commands,
            "command": self.command,
        }


@dataclass(frozen=True)
class Wanted:
    """What the command line asked for."""

    path: str
    destination: Destination
    given: Answers
    preset: Answers
    ask: bool
    dry_run: bool
    git: bool
    flags: Sequence[str]


def make_project(wanted: Wanted) -> NewProject:
    """Generate the project, and put it in its place unless it is a dry run.

    Raises:
        UserError: See `render`.
        WorkFailed: See `render` and `place`.
        Interrupted: Ctrl-C or SIGTERM; nothing was changed.
    """
    source, notes = _source_to_record(dry_run=wanted.dry_run)
    stage = dry_staging if wanted.dry_run else staging
    order = Order(wanted.given, {**wanted.preset, **wanted.given}, wanted.ask, source)
    with stage(wanted.destination) as project:
        with _progress() as on_file:
            answers = render(order, project, on_file)
        files = sorted(
            path.relative_to(project).as_posix() for path in project.rglob("*") if not path.is_dir()
        )
        commit = None
        if not wanted.dry_run:
            if wanted.git:
                commit, git_notes = _first_commit(project, wanted.destination, files)
                notes += git_notes
            place(project, wanted.destination)
            destination = wanted.destination
            notes += workflow_notes(destination.folder, files, destination.existing_folder)
    return NewProject(
        wanted.path,
        wanted.destination.folder,
        wanted.dry_run,
        answers,
        files,
        source,
        commit,
        notes,
        wanted.flags,
    )


def _source_to_record(*, dry_run: bool) -> tuple[Source | None, list[str]]:
    try:
        source = find_source()
        if source.is_kept and not dry_run:
            from fastforge.template.history import keep_repository

            keep_repository(source.commit)
    except SourceUnknown as why:
        lost = "The project records no template source, so it cannot be updated later"
        remedy = "Install it from a clone, or with pip install git+URL, to change that."
        return None, [f"{lost}: FastForge does not know its own, because {why}. {remedy}"]
    return source, []


def _first_commit(
    project: Path, destination: Destination, files: Sequence[str]
) -> tuple[str | None, list[str]]:
    try:
        return commit_project(project, destination.existing_folder, files), []
    except NoRepository as why:
        return None, [str(why)]


@contextmanager
def _progress() -> Iterator[Any]:
    """Yield what to call per file: it moves a bar on a terminal, and does nothing elsewhere."""
    if not (sys.stderr and sys.stderr.isatty()):
        yield lambda _: None
        return
    bars: list[Any] = []
    with ExitStack() as shown:

        def on_file(total: int) -> None:
            # Not before the first file: the questions come first, on the same terminal.
            if not bars:
                bars.append(
                    shown.enter_context(typer.progressbar(length=total, label="Rendering", file=sys.stderr))
                )
            bars[0].update(1)

        yield on_file
        for bar in bars:
            bar.update(bar.length)


def _words(name: str, value: Any) -> list[str]:  # noqa: ANN401 (text or a list)
    if name == "resources":
        lines = [word for resource in value for word in ("--resource", line_of(resource))]
        return lines or ["--no-resources"]
    # They follow from the resources of a new project.
    return [] if name == "revisions" else [f"--{name.replace('_', '-')}", value]
