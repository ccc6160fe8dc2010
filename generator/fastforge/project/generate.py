"""Generate a project: render it, commit it, and move it to its destination."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from fastforge.project.destination import Destination, place, staging
from fastforge.project.git_init import NoRepository, commit_project, workflow_notes
from fastforge.template.questions import Answers
from fastforge.template.render import render
from fastforge.template.request import RenderRequest
from fastforge.template.resources import line_of
from fastforge.template.source import Source, SourceUnknown, find_source


@dataclass(frozen=True)
class NewOptions:
    """The options of a new project."""

    path: str
    destination: Destination
    given: Answers
    preset: Answers
    ask: bool
    dry_run: bool
    git: bool
    overwrite: bool


@dataclass(frozen=True)
class NewProject:
    """A generated project. `commit` is None without a repository, `source` if it cannot be updated."""

    options: NewOptions
    answers: Answers
    files: Sequence[str]
    source: Source | None
    commit: str | None
    notes: Sequence[str]

    @property
    def directory(self) -> Path:
        """The project's directory."""
        return self.options.destination.directory

    @property
    def command(self) -> str:
        """The command that gives the same answers without asking."""
        switches = {"--no-git": not self.options.git, "--overwrite": self.options.overwrite}
        flags = [flag for flag, is_on in switches.items() if is_on]
        answers = [word for name, value in self.answers.items() for word in _words(name, value)]
        return shlex.join(["fastforge", "new", "--defaults", *flags, *answers, *self._safe_path])

    @property
    def next_commands(self) -> list[str]:
        """The next commands to type in a shell."""
        enter = [] if self.directory == Path.cwd() else [shlex.join(["cd", *self._safe_path])]
        return [*enter, "make test", "make dev"]

    @property
    def _safe_path(self) -> list[str]:
        path = self.options.path
        return ["--", path] if path.startswith("-") else [path]

    def document(self) -> dict[str, Any]:
        """Return the output of `--json`."""
        return {
            "path": str(self.directory),
            "dry_run": self.options.dry_run,
            "answers": dict(self.answers),
            "files": list(self.files),
            "source": {"url": self.source.url, "commit": self.source.commit} if self.source else None,
            "commit": self.commit,
            "notes": list(self.notes),
            "next": self.next_commands,
            "command": self.command,
        }


def make_project(options: NewOptions) -> NewProject:
    """Generate the project, and move it to its destination unless it is a dry run.

    Raises:
        UserError: See `render`.
        WorkFailed: See `render` and `place`.
        Interrupted: Ctrl-C or SIGTERM; nothing was changed.
    """
    destination, dry_run = options.destination, options.dry_run
    source, notes = _source_to_record(dry_run=dry_run)
    commit = None
    answers = {**options.preset, **options.given}
    request = RenderRequest(answers, options.given, source=source, ask=options.ask)
    with staging(destination, dry_run=dry_run) as project:
        with _progress() as on_file:
            answers = render(request, project, on_file)
        files = sorted(
            path.relative_to(project).as_posix() for path in project.rglob("*") if not path.is_dir()
        )
        if not dry_run:
            if options.git:
                try:
                    commit = commit_project(project, destination.existing_directory, files)
                except NoRepository as why:
                    notes.append(str(why))
            place(project, destination)
            notes += workflow_notes(destination.directory, files, destination.existing_directory)
    return NewProject(options, answers, files, source, commit, notes)


def _source_to_record(*, dry_run: bool) -> tuple[Source | None, list[str]]:
    try:
        source = find_source()
        if source.is_kept and not dry_run:
            from fastforge.template.history import keep_repository

            keep_repository(source.commit)
    except SourceUnknown as why:
        lost = f"The project cannot be updated later: FastForge does not know its own source, because {why}."
        return None, [f"{lost} Install FastForge from a clone, or with pip install git+URL, to change that."]
    return source, []


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Yield a function to call for each file. On a terminal, it moves a bar."""
    if not (sys.stderr and sys.stderr.isatty()):
        yield lambda _total: None
        return
    bars: list[Any] = []
    with ExitStack() as shown:

        def on_file(total: int) -> None:
            # Not before the first file, because the questions use the same terminal.
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
    # The revisions follow from the resources of a new project.
    return [] if name == "revisions" else [f"--{name.replace('_', '-')}", value]
