"""What `fastforge update` does: from a project and a version to a changed work tree, or to none."""

from __future__ import annotations

import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fastforge import interrupts
from fastforge.errors import UserError, WorkFailed
from fastforge.git import GitFailed
from fastforge.template.history import History, open_history
from fastforge.update.merge import Merged, Scratch, Tree, merge
from fastforge.project.locate import (
    ANSWERS_FILE,
    Project,
    find_folder_of_project,
    find_project,
    refuse_detached,
    refuse_unready,
)
from fastforge.template.questions import Answers, check_answers, load_questions
from fastforge.template.releases import describe_releases, releases_between
from fastforge.template.render import Order, render
from fastforge.template.source import Source
from fastforge.update.apply import recover, refuse_blocked, transplant, undo
from fastforge.inspect.verify import Verification, measure, run_tests

# The first versions had no macros.
_TEMPLATE_PATHS = ("copier.yml", "template")
_MACROS = "macros"


@dataclass(frozen=True)
class Wanted:
    """What the command line asked for. `version` is None for the one that this FastForge was made from.

    `change` returns the answers that a project at its own version changes to; it gets the template too.
    `on_a_branch` is False where a detached HEAD is no mistake, because the caller makes the branch.
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
class Update:
    """What an update did, or would do. `merged` is None where there was nothing to do."""

    path: str
    project: Project
    version: str
    dry_run: bool
    merged: Merged | None = None
    answers: Answers = field(default_factory=dict)
    brings: Mapping[str, Any] = field(default_factory=dict)
    moves: Mapping[str, list[str]] = field(default_factory=dict)
    diff: str = ""
    verification: Verification | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def conflicts(self) -> list[str]:
        """The files that have to be looked at."""
        return self.merged.conflicts if self.merged else []

    @property
    def changed_answers(self) -> dict[str, list[Any]]:
        """Each answer that is another now: what it was, and what it is; None if it was or is not asked."""
        old = self.project.answers
        names = [*old, *(name for name in self.answers if name not in old)] if self.merged else []
        return {
            name: [old.get(name), self.answers.get(name)]
            for name in names
            if old.get(name) != self.answers.get(name)
        }

    def document(self) -> dict[str, Any]:
        """Return the answer of `--json`."""
        merged = self.merged
        return {
            "path": str(self.project.folder),
            "from": self.project.version,
            "to": self.version,
            "dry_run": self.dry_run,
            "current": merged is None,
            "files": [{"path": path, "change": merged.kind(path)} for path in merged.changed]
            if merged
            else [],
            "conflicts": self.conflicts,
            "kept_deleted": merged.kept_deleted if merged else [],
            "answers": self.changed_answers,
            **self.brings,
            **self.moves,
            "diff": self.diff if self.dry_run else None,
            "verification": self.verification.document() if self.verification else None,
            "notes": self.notes,
        }


@dataclass(frozen=True)
class _Rendering:
    """The template at one version with one set of answers."""

    tree: Tree
    answers: Answers


def update_project(wanted: Wanted) -> Update:
    """Take the project to the wanted version and answers, and leave the change staged in its repository.

    Raises:
        UserError: The version or an answer is not known, or the version is older than the project's.
        WorkFailed: The project's repository does not allow it, or its tests fail with the update.
        Interrupted: Ctrl-C or SIGTERM; nothing was changed.
    """
    with git_failures_in_words(), open_history() as history, temporary_folder() as folder:
        was_cut_off = recover(find_folder_of_project(wanted.path))
        notes = ["An update that was cut off has been undone first."] if was_cut_off else []
        project = find_project(wanted.path)
        refuse_unready(project)
        if wanted.on_a_branch:
            refuse_detached(project)
        scratch = Scratch(folder, project)
        update = _plan(wanted, project, history, scratch)
        update.notes.extend(notes)
        if update.merged is None:
            return update
        if wanted.dry_run:
            refuse_blocked(project, update.merged)
            return replace(update, diff=_diff(scratch, update.merged))
        return _carry_out(wanted, update, scratch)


def _plan(wanted: Wanted, project: Project, history: History, scratch: Scratch) -> Update:
    old = history.recorded_commit(project.version, project.url)
    new = old if wanted.change else history.commit(wanted.version or history.newest)
    is_newest = new == history.commit(history.newest)
    version = history.newest if is_newest else history.name(new)
    nothing = Update(wanted.path, project, version, wanted.dry_run)
    if old == new and not (wanted.changes or wanted.change):
        return nothing
    if old != new and history.is_ancestor(new, old):
        raise UserError(
            f"{version} is older than {project.version}, which the project has.",
            "Go back with git, or upgrade FastForge.",
        )
    templates = [
        unpack_template(history, commit, scratch.folder / name)
        for name, commit in (("old", old), ("new", new))
    ]
    before = _render_recorded(project, templates[0], scratch)
    changes = wanted.change(project, templates[1]) if wanted.change else wanted.changes
    after = _render_changed(project, templates[1], scratch, changes, version)
    if old == new and after.answers == before.answers:
        return nothing
    # What comes with an answer is no new name of what leaves with it.
    apart = after.tree.keys() - before.tree.keys() if changes else set()
    return replace(
        nothing,
        merged=merge(scratch, project, before.tree, after.tree, version, apart=apart),
        answers=after.answers,
        brings=describe_releases(releases_between(history, old, new), after.answers),
        moves=_moves(scratch, before, after) | {"by_hand": _by_hand(before.answers, after.answers)},
    )


def unpack_template(history: History, commit: str, folder: Path) -> Path:
    """Put the template, as it was at the commit, into the folder, and return it."""
    macros = [_MACROS] if history.has(commit, _MACROS) else []
    return history.unpack(commit, *_TEMPLATE_PATHS, *macros, into=folder)


def _render_recorded(project: Project, template: Path, scratch: Scratch) -> _Rendering:
    for question in load_questions(template):
        if question.condition is None and question.name not in project.answers:
            raise UserError(
                f"{ANSWERS_FILE} has no answer for {question.name}, which {project.version} asks.",
                f"Is {project.url!r} another template than FastForge's?",
            )
    try:
        return _render(project, template, scratch, project.version, project.answers)
    except UserError as error:
        raise type(error)(
            f"The answers in {ANSWERS_FILE} do not fit {project.version}: {error.message}",
            f"Put back what was recorded: git log -p {ANSWERS_FILE}",
        ) from error


def _render_changed(
    project: Project, template: Path, scratch: Scratch, changes: Answers, version: str
) -> _Rendering:
    checked = check_answers(load_questions(template), changes, "--set")
    try:
        return _render(project, template, scratch, version, {**project.answers, **checked}, checked)
    except UserError as error:
        raise type(error)(
            f"The answers do not fit {version}: {error.message}",
            "Give another answer: fastforge update --set NAME=VALUE",
        ) from error


def _render(
    project: Project,
    template: Path,
    scratch: Scratch,
    version: str,
    answers: Answers,
    given: Answers | None = None,
) -> _Rendering:
    folder = template / "rendered" / project.folder.name
    order = Order(given or {}, answers, ask=False, source=Source(project.url, version), template=template)
    found = render(order, folder, lambda _: None)
    return _Rendering(scratch.read_folder(folder), found)


def _carry_out(wanted: Wanted, update: Update, scratch: Scratch) -> Update:
    assert update.merged is not None
    project, merged = update.project, update.merged
    verifies = wanted.verify and not merged.conflicts
    bench_before = measure(project.folder) if verifies else None
    last_exit = interrupts.raise_pending if verifies else wanted.last_exit
    transplant(project, merged, scratch, {"from": project.version, "to": update.version}, last_exit)
    if not wanted.verify:
        return update
    if merged.conflicts:
        update.notes.append("The tests were not run: resolve the conflicts first.")
        return update
    try:
        run_tests(project.folder)
        verification = Verification(bench_before, measure(project.folder))
        wanted.last_exit()
        return replace(update, verification=verification)
    except BaseException:
        undo(project)
        raise


def _diff(scratch: Scratch, merged: Merged) -> str:
    trees = [scratch.write_tree(tree) for tree in (merged.yours, merged.result)]
    return scratch.git("diff", "--no-color", "--no-ext-diff", *trees)


def _moves(scratch: Scratch, before: _Rendering, after: _Rendering) -> dict[str, list[str]]:
    """Return which settings and dependencies come and go."""
    moves = {}
    for what, file, names in (
        ("settings", ".env.example", _settings),
        ("dependencies", "pyproject.toml", _dependencies),
    ):
        old, new = (
            names(scratch.git("cat-file", "blob", each.tree[file].blob)) if file in each.tree else set()
            for each in (before, after)
        )
        moves[f"{what}_added"] = sorted(new - old)
        moves[f"{what}_removed"] = sorted(old - new)
    return moves


def _by_hand(old: Answers, new: Answers) -> list[str]:
    steps = tomllib.loads((Path(__file__).parent / "manual_steps.toml").read_text(encoding="utf-8"))
    return [step for name, texts in steps.items() if old.get(name) != new.get(name) for step in texts]


def _settings(env_example: str) -> set[str]:
    return set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", env_example, re.MULTILINE))


def _dependencies(pyproject: str) -> set[str]:
    listed = tomllib.loads(pyproject).get("project", {}).get("dependencies", [])
    return {re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in listed}


@contextmanager
def git_failures_in_words() -> Iterator[None]:
    """Answer what git says in words."""
    try:
        yield
    except GitFailed as error:
        raise WorkFailed(
            f"git failed: {error}.", "Nothing was changed; repair that and try again."
        ) from error


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder that is removed in the end, also when a signal comes while it is."""
    folder = Path(tempfile.mkdtemp(prefix="fastforge-"))
    try:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
