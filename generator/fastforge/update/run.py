"""Update a project: plan the changes, apply them, and verify the result if that is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from fastforge import interrupts
from fastforge.directories import temporary_directory
from fastforge.git import git_failures_reported
from fastforge.inspect.verify import Verification, measure, run_tests
from fastforge.project.locate import Project, find_project, find_repository
from fastforge.template.history import open_history
from fastforge.update.apply import UpdateTransaction, recover, undo
from fastforge.update.merge import Merged, Scratch
from fastforge.update.plan import Plan, UpdateOptions, find_target, make_plan
from fastforge.update.preconditions import refuse_blocked, refuse_detached, refuse_unready

_UP_TO_DATE: dict[str, Any] = {"files": [], "conflicts": [], "kept_deleted": [], "answers": {}}


@dataclass(frozen=True)
class Update:
    """The outcome of an update. `plan` is None if the project was up to date."""

    options: UpdateOptions
    project: Project
    version: str
    plan: Plan | None
    diff: str = ""
    verification: Verification | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def conflicts(self) -> list[str]:
        """The files that need attention."""
        return self.plan.merged.conflicts if self.plan else []

    def document(self) -> dict[str, Any]:
        """Return the output of `--json`."""
        return {
            "path": str(self.project.directory),
            "from": self.project.version,
            "to": self.version,
            "dry_run": self.options.dry_run,
            "current": self.plan is None,
            **(self.plan.document() if self.plan else _UP_TO_DATE),
            "diff": self.diff if self.options.dry_run else None,
            "verification": self.verification.document() if self.verification else None,
            "notes": self.notes,
        }


def update_project(options: UpdateOptions) -> Update:
    """Change the project to the version and the answers, and leave the change staged in its repository.

    Raises:
        UserError: The version or an answer is unknown, or the version is older than the project's.
        WorkFailed: The state of the project's repository forbids it, or its tests fail with the update.
        Interrupted: Ctrl-C or SIGTERM; nothing was changed.
    """
    with git_failures_reported(), open_history() as history, temporary_directory() as directory:
        was_cut_off = recover(find_repository(options.path))
        notes = ["An interrupted update was undone first."] if was_cut_off else []
        project = find_project(options.path)
        refuse_unready(project)
        if options.on_a_branch:
            refuse_detached(project)
        scratch = Scratch(directory, project)
        target = find_target(options, project, history)
        plan = make_plan(options, project, history, target, scratch)
        update = Update(options, project, target.version, plan, notes=notes)
        if plan is None:
            return update
        if options.dry_run:
            refuse_blocked(project, plan.merged)
            return replace(update, diff=_diff(scratch, plan.merged))
        return _carry_out(update, plan, scratch)


def _carry_out(update: Update, plan: Plan, scratch: Scratch) -> Update:
    options, project, merged = update.options, update.project, plan.merged
    verifies = options.verify and not merged.conflicts
    bench_before = measure(project.directory) if verifies else None
    last_exit = interrupts.raise_pending if verifies else options.last_exit
    UpdateTransaction(project, merged).run(
        scratch, {"from": project.version, "to": update.version}, last_exit
    )
    if not options.verify:
        return update
    if merged.conflicts:
        update.notes.append("The tests were not run: resolve the conflicts first.")
        return update
    try:
        run_tests(project.directory)
        verification = Verification(bench_before, measure(project.directory))
        options.last_exit()
        return replace(update, verification=verification)
    except BaseException:
        undo(project)
        raise


def _diff(scratch: Scratch, merged: Merged) -> str:
    trees = [scratch.write_tree(tree) for tree in (merged.yours, merged.result)]
    return scratch.git("diff", "--no-color", "--no-ext-diff", *trees)
