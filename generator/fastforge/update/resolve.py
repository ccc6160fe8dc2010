"""Resolve the conflicts of a git merge of two branches that each changed resources.

The answers of both branches are combined and rendered. The edits of each branch are merged into the new
rendering, one branch after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fastforge.directories import temporary_directory
from fastforge.errors import UserError, WorkFailed
from fastforge.git import GitFailed, git_failures_reported, run_git, run_git_bytes
from fastforge.project.locate import ANSWERS_FILE, Project, find_repository
from fastforge.template.grammar import grammar
from fastforge.template.history import History, open_history
from fastforge.template.render import render
from fastforge.template.request import RenderRequest
from fastforge.template.source import Source
from fastforge.update.plan import unpack_template

_STAGES = {"base": 1, "ours": 2, "theirs": 3}


@dataclass(frozen=True)
class Resolution:
    """The outcome: paths that are resolved and staged, and paths that still have conflicts."""

    directory: Path
    resolved: list[str]
    conflicts: list[str]
    heads: str

    def document(self) -> dict[str, Any]:
        """Return the output of `--json`."""
        paths = {"resolved": self.resolved, "conflicts": self.conflicts}
        return {"path": str(self.directory), **paths, "next": [self.heads] if self.heads else []}

    def lines(self) -> list[str]:
        """Return the output for people."""
        end = "Review the changes with git diff --staged, run make test, then commit."
        if self.conflicts:
            end = "Conflicts (!) are marked in the files. Resolve them, then git add and commit."
        return [
            f"Resolved {self.directory}.",
            *(f"  ~ {path}" for path in self.resolved),
            *(f"  ! {path}" for path in self.conflicts),
            "",
            *([self.heads] if self.heads else []),
            end,
        ]


def resolve_project(path: str) -> Resolution:
    """Resolve the conflicts in what FastForge renders, and stage what is resolved.

    Raises:
        UserError: The answers have no conflict, or one that only a person can decide.
        WorkFailed: The project is under no git repository, or git fails.
    """
    with git_failures_reported(), open_history() as history, temporary_directory() as directory:
        project = find_repository(path)
        unmerged = _unmerged(project)
        if ANSWERS_FILE not in unmerged:
            raise UserError(
                f"{ANSWERS_FILE} in {str(project.directory)!r} has no conflict.",
                "Use this during a git merge of two branches that each changed resources.",
            )
        answers = {side: _answers(project, stage) for side, stage in _STAGES.items()}
        answers["merged"] = _merge(answers["base"], answers["ours"], answers["theirs"])
        # Each side has its own version, because one of the branches may have been updated.
        sides = ("ours", "theirs", "merged")
        templates = {side: _template(answers[side], history, directory / side) for side in sides}
        _refuse_faults(answers["merged"], templates["merged"])
        name = project.directory.name
        rendered = {side: _render(answers[side], templates[side], name) for side in sides}
        scratch = directory / "files"
        scratch.mkdir()
        outcomes = {each: _resolve(project, each, rendered, scratch) for each in unmerged}
        resolved = [each for each, is_clean in outcomes.items() if is_clean]
        if resolved:
            run_git(project.directory, "add", "--", *resolved)
        conflicts = [each for each, is_clean in outcomes.items() if not is_clean]
        return Resolution(project.directory, resolved, conflicts, _two_heads(project, answers["merged"]))


def _unmerged(project: Project) -> list[str]:
    listed = run_git(project.directory, "diff", "--name-only", "--relative", "--diff-filter=U", "-z")
    return [each for each in listed.split("\0") if each]


def _answers(project: Project, stage: int) -> dict[str, Any]:
    recorded = yaml.safe_load(_stage(project, ANSWERS_FILE, stage) or b"")
    if not isinstance(recorded, dict):
        raise WorkFailed(
            f"{ANSWERS_FILE} on one of the branches is not a mapping of questions to answers.",
            "Go back with git merge --abort, and restore it there first.",
        )
    return recorded


def _stage(project: Project, path: str, stage: int) -> bytes | None:
    """Return the file on one side of the merge, or None if that side does not have it."""
    try:
        return run_git_bytes(project.directory, "cat-file", "blob", f":{stage}:./{path}")
    except GitFailed:
        return None


def _merge(base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the combined answers of both branches."""
    merged = dict(ours)
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        old, mine, other = (each.get(name) for each in (base, ours, theirs))
        if name == "resources":
            merged[name] = _merge_resources(old or [], mine or [], other or [])
        elif name == "revisions":
            known = {each["id"] for each in mine or []}
            merged[name] = [*(mine or []), *(each for each in other or [] if each["id"] not in known)]
        elif mine == old:
            merged[name] = other
        elif other not in (old, mine):
            raise UserError(
                f"Both branches changed {name}: one to {mine!r}, the other to {other!r}.",
                "Go back with git merge --abort, and make them equal on one branch first.",
            )
    return merged


def _merge_resources(
    base: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    old, mine, other = ({each["name"]: each for each in side} for side in (base, ours, theirs))
    names = [*mine, *(name for name in other if name not in mine)]
    merged = []
    for name in names:
        if name in mine and name in other:
            merged.append(_merge_resource(old.get(name, {}), mine[name], other[name]))
        elif name not in old:
            merged.append(dict(mine.get(name) or other[name]))
        elif old[name] != (mine.get(name) or other[name]):
            raise UserError(
                f"One branch removed {name}, the other changed it.",
                "Go back with git merge --abort, and choose one of them on one branch first.",
            )
    return merged


def _merge_resource(
    old: Mapping[str, Any], mine: Mapping[str, Any], other: Mapping[str, Any]
) -> dict[str, Any]:
    before, others = (_by_name(each) for each in (old, other))
    fields = []
    for name, text in _by_name(mine).items():
        theirs = others.pop(name, None)
        if theirs is None and name in before and text == before[name]:
            continue
        fields.append(_one_of(f"{mine['name']}.{name}", before.get(name), text, theirs))
    fields += [text for name, text in others.items() if before.get(name) != text]
    merged = {**mine, "fields": fields}
    for option in ("plural", "without", "owned"):
        chosen = _one_of(option, *(each.get(option) for each in (old, mine, other)))
        merged = {**merged, option: chosen} if chosen is not None else merged
    return merged


def _one_of(what: str, old: Any, mine: Any, other: Any) -> Any:  # noqa: ANN401 (text or a list)
    if other in (None, old, mine):
        return mine
    if mine == old:
        return other
    raise UserError(
        f"Both branches changed {what}: one to {mine!r}, the other to {other!r}.",
        "Go back with git merge --abort, and make them equal on one branch first.",
    )


def _by_name(resource: Mapping[str, Any]) -> dict[str, str]:
    return {text.partition(":")[0]: text for text in resource.get("fields", [])}


def _refuse_faults(answers: Mapping[str, Any], template: Path) -> None:
    resources, revisions = (answers.get(name, []) for name in ("resources", "revisions"))
    rules = grammar(template)
    if fault := rules.fault_of(resources, answers.get("auth", "")) or rules.replay_fault(
        resources, revisions
    ):
        raise UserError(
            f"The resources of both branches do not fit together: {fault}",
            "Go back with git merge --abort, and change one of the branches first.",
        )


def _template(answers: Mapping[str, Any], history: History, directory: Path) -> Path:
    commit = history.recorded_commit(str(answers.get("_commit", "")), answers.get("_src_path", ""))
    return unpack_template(history, commit, directory)


def _render(answers: Mapping[str, Any], template: Path, name: str) -> Path:
    source = Source(answers.get("_src_path", ""), str(answers["_commit"]))
    asked = {name: value for name, value in answers.items() if not name.startswith("_")}
    directory = template / "rendered" / name
    render(RenderRequest(asked, source=source, template=template), directory)
    return directory


def _resolve(project: Project, path: str, rendered: Mapping[str, Path], scratch: Path) -> bool:
    """Write the file with the edits of both branches. Return False if a conflict is left."""
    new = rendered["merged"] / path
    target = project.directory / path
    if not new.is_file():
        return False
    if path == ANSWERS_FILE:
        target.write_bytes(new.read_bytes())
        return True
    sides = []
    for side in ("ours", "theirs"):
        own, was = _stage(project, path, _STAGES[side]), rendered[side] / path
        if own is None or not was.is_file():
            return False
        merged = _merge_file(scratch, own, was.read_bytes(), new.read_bytes())
        if merged is None:
            return False
        sides.append(merged)
    ours, theirs = sides
    both = _merge_file(scratch, ours, new.read_bytes(), theirs)
    if both is not None:
        target.write_bytes(both)
    return both is not None


def _merge_file(scratch: Path, ours: bytes, base: bytes, theirs: bytes) -> bytes | None:
    """Return git's three-way merge of a file, or None if it has a conflict."""
    for name, content in (("ours", ours), ("base", base), ("theirs", theirs)):
        (scratch / name).write_bytes(content)
    try:
        return run_git_bytes(scratch, "merge-file", "-p", "--quiet", "ours", "base", "theirs")
    except GitFailed:
        return None


def _two_heads(project: Project, answers: Mapping[str, Any]) -> str:
    from fastforge.project.migrations import head_of_project

    try:
        head_of_project(project.directory, answers)
    except UserError as error:
        return f"{error.message} {error.hint}"
    return ""
