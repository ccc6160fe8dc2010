"""Plan an update: render the template as it was and as it will be, and merge the owner's edits.

The project and its repository are only read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastforge import interrupts
from fastforge.errors import UserError
from fastforge.project.locate import ANSWERS_FILE, Project
from fastforge.template.history import History
from fastforge.template.questions import Answers, check_answers, load_questions
from fastforge.template.releases import describe_releases, releases_between
from fastforge.template.render import render
from fastforge.template.request import RenderRequest
from fastforge.template.source import Source
from fastforge.update.follow_up import manual_steps, settings_and_dependencies
from fastforge.update.merge import Merged, Scratch, Tree, merge


@dataclass(frozen=True)
class UpdateOptions:
    """The options of an update. `version` is None for the version that this FastForge was built from.

    `change` returns other answers at the project's version, from the project and the template's directory.
    `on_a_branch` is False if a detached HEAD is not a mistake, because the caller creates the branch.
    `last_exit` is called before what cannot be interrupted: the first change, or the end of a verification.
    """

    path: str
    version: str | None = None
    changes: Answers = field(default_factory=dict)
    dry_run: bool = False
    verify: bool = False
    on_a_branch: bool = True
    last_exit: Callable[[], None] = interrupts.raise_pending
    change: Callable[[Project, Path], Answers] | None = None


@dataclass(frozen=True)
class Target:
    """The commits of the template before and after the update, and the name of the latter."""

    old: str
    new: str
    version: str


@dataclass(frozen=True)
class Plan:
    """The changes of an update: to files, to answers, and what follows from them."""

    project: Project
    merged: Merged
    answers: Answers
    brings: Mapping[str, Any]
    follow_up: Mapping[str, list[str]]

    @property
    def changed_answers(self) -> dict[str, list[Any]]:
        """Each answer that changes, with its old and its new value; None if the question is not asked."""
        old, new = self.project.answers, self.answers
        return {
            name: [old.get(name), new.get(name)]
            for name in dict.fromkeys([*old, *new])
            if old.get(name) != new.get(name)
        }

    def document(self) -> dict[str, Any]:
        """Return the part of `--json` that describes the changes."""
        merged = self.merged
        return {
            "files": [{"path": path, "change": merged.kind(path)} for path in merged.changed],
            "conflicts": merged.conflicts,
            "kept_deleted": merged.kept_deleted,
            "answers": self.changed_answers,
            **self.brings,
            **self.follow_up,
        }


@dataclass(frozen=True)
class _Rendering:
    """The template at one version, rendered with one set of answers."""

    tree: Tree
    answers: Answers


def find_target(options: UpdateOptions, project: Project, history: History) -> Target:
    """Return where the update leads.

    Raises:
        UserError: The version is unknown, or older than the project's.
    """
    old = history.recorded_commit(project.version, project.url)
    new = old if options.change else history.commit(options.version or history.newest)
    version = history.newest if new == history.commit(history.newest) else history.name(new)
    if old != new and history.is_ancestor(new, old):
        raise UserError(
            f"{version} is older than {project.version}, which the project has.",
            "Go back with git, or upgrade FastForge.",
        )
    return Target(old, new, version)


def make_plan(
    options: UpdateOptions, project: Project, history: History, target: Target, scratch: Scratch
) -> Plan | None:
    """Return the changes, or None if the project is up to date.

    Raises:
        UserError: An answer is unknown or invalid.
        WorkFailed: Git or the template fails.
    """
    is_same_version = target.old == target.new
    if is_same_version and not (options.changes or options.change):
        return None
    old_template = unpack_template(history, target.old, scratch.directory / "old")
    new_template = unpack_template(history, target.new, scratch.directory / "new")
    before = _render_recorded(project, old_template, scratch)
    changes = options.change(project, new_template) if options.change else options.changes
    after = _render_changed(project, new_template, scratch, changes, target.version)
    if is_same_version and after.answers == before.answers:
        return None
    # A file that comes with an answer is never a new name of a file that goes with one.
    apart = after.tree.keys() - before.tree.keys() if changes else set()
    return Plan(
        project,
        merge(scratch, project, before.tree, after.tree, target.version, apart=apart),
        after.answers,
        describe_releases(releases_between(history, target.old, target.new), after.answers),
        settings_and_dependencies(scratch, before.tree, after.tree)
        | {"by_hand": manual_steps(before.answers, after.answers)},
    )


def unpack_template(history: History, commit: str, directory: Path) -> Path:
    """Write the template, as it was at the commit, into the directory, and return the directory."""
    # The first versions had no macros.
    macros = ["macros"] if history.has(commit, "macros") else []
    return history.unpack(commit, "copier.yml", "template", *macros, into=directory)


def _render_recorded(project: Project, template: Path, scratch: Scratch) -> _Rendering:
    for question in load_questions(template):
        if question.condition is None and question.name not in project.answers:
            raise UserError(
                f"{ANSWERS_FILE} has no answer for {question.name}, which {project.version} asks.",
                f"Is {project.url!r} another template than FastForge's?",
            )
    try:
        return _render(project, template, scratch, project.version, project.answers, {})
    except UserError as error:
        raise type(error)(
            f"The answers in {ANSWERS_FILE} do not fit {project.version}: {error.message}",
            f"Restore the recorded answers: git log -p {ANSWERS_FILE}",
        ) from error


def _render_changed(
    project: Project, template: Path, scratch: Scratch, changes: Answers, version: str
) -> _Rendering:
    given = check_answers(load_questions(template), changes, "--set")
    try:
        return _render(project, template, scratch, version, {**project.answers, **given}, given)
    except UserError as error:
        raise type(error)(
            f"The answers do not fit {version}: {error.message}",
            "Give another answer: fastforge update --set NAME=VALUE",
        ) from error


def _render(
    project: Project, template: Path, scratch: Scratch, version: str, answers: Answers, given: Answers
) -> _Rendering:
    directory = template / "rendered" / project.directory.name
    request = RenderRequest(answers, given, source=Source(project.url, version), template=template)
    found = render(request, directory)
    return _Rendering(scratch.read_directory(directory), found)
