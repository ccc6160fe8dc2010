"""Two branches that each changed resources, merged by git with conflicts in what FastForge renders.

The entries of both branches are taken, and what they render to replaces the conflicts. The edits of each
branch are kept: they are merged with the new rendering one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fastforge.errors import UserError, WorkFailed
from fastforge.git import GitFailed, run_git, run_git_bytes
from fastforge.template.grammar import grammar
from fastforge.template.history import History, open_history
from fastforge.project.locate import ANSWERS_FILE, Project, find_folder_of_project
from fastforge.template.render import Order, render
from fastforge.template.source import Source
from fastforge.update.run import git_failures_in_words, temporary_folder, unpack_template

_STAGES = {"base": 1, "ours": 2, "theirs": 3}


@dataclass(frozen=True)
class Resolution:
    """What became of the conflicts: paths that are resolved and staged, and paths that still have markers."""

    folder: Path
    resolved: list[str]
    conflicts: list[str]
    heads: str

    def document(self) -> dict[str, Any]:
        """Return the output of `--json`."""
        hints = [self.heads] if self.heads else []
        return {
            "path": str(self.folder),
            "resolved": self.resolved,
            "conflicts": self.conflicts,
            "next": hints,
        }

    def lines(self) -> list[str]:
        """Return the same for people."""
        end = "Look at it with git diff --staged, run make test, then commit."
        if self.conflicts:
            end = "Conflicts (!) are marked in the files. Resolve them, then git add and commit."
        return [
            f"Resolved {self.folder}.",
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
    with git_failures_in_words(), open_history() as history, temporary_folder() as folder:
        project = find_folder_of_project(path)
        unmerged = _unmerged(project)
        if ANSWERS_FILE not in unmerged:
            raise UserError(
                f"{ANSWERS_FILE} in {str(project.folder)!r} has no conflict.",
                "Use this in the middle of a git merge of two branches that each changed resources.",
            )
        answers = {side: _answers(project, stage) for side, stage in _STAGES.items()}
        answers["merged"] = _merge(answers["base"], answers["ours"], answers["theirs"])
        # Each at its own version: one of the branches may have been updated.
        sides = ("ours", "theirs", "merged")
        templates = {side: _template(answers[side], history, folder / side) for side in sides}
        _refuse_faults(answers["merged"], templates["merged"])
        rendered = {
            side: _render(answers[side], templates[side], folder / side / "rendered" / project.folder.name)
            for side in sides
        }
        scratch = folder / "files"
        scratch.mkdir()
        outcomes = {each: _resolve(project, each, rendered, scratch) for each in unmerged}
        resolved = [each for each, is_clean in outcomes.items() if is_clean]
        if resolved:
            run_git(project.folder, "add", "--", *resolved)
        conflicts = [each for each, is_clean in outcomes.items() if not is_clean]
        return Resolution(project.folder, resolved, conflicts, _two_heads(project, answers["merged"]))


def _unmerged(project: Project) -> list[str]:
    listed = run_git(project.folder, "diff", "--name-only", "--relative", "--diff-filter=U", "-z")
    return [each for each in listed.split("\0") if each]


def _answers(project: Project, stage: int) -> dict[str, Any]:
    recorded = yaml.safe_load(_stage(project, ANSWERS_FILE, stage) or b"")
    if not isinstance(recorded, dict):
        raise WorkFailed(
            f"{ANSWERS_FILE} on one of the branches holds no mapping of questions to answers.",
            "Go back with git merge --abort, and restore it there first.",
        )
    return recorded


def _stage(project: Project, path: str, stage: int) -> bytes | None:
    """Return the file as one side of the merge has it, or None if it does not have it."""
    listed = run_git(project.folder, "ls-files", "--stage", "-z", "--", path)
    for row in listed.split("\0"):
        facts, _, _name = row.partition("\t")
        if facts and facts.split()[2] == str(stage):
            return run_git_bytes(project.folder, "cat-file", "blob", facts.split()[1])
    return None


def _merge(base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers of both branches."""
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
                "Go back with git merge --abort, and decide for one of both on one branch first.",
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
    for option in ("plural", "without"):
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
    if fault := rules.fault_of(resources) or rules.replay_fault(resources, revisions):
        raise UserError(
            f"The resources of both branches do not fit together: {fault}",
            "Go back with git merge --abort, and change one of the branches first.",
        )


def _template(answers: Mapping[str, Any], history: History, folder: Path) -> Path:
    commit = history.recorded_commit(str(answers.get("_commit", "")), answers.get("_src_path", ""))
    return unpack_template(history, commit, folder)


def _render(answers: Mapping[str, Any], template: Path, folder: Path) -> Path:
    source = Source(answers.get("_src_path", ""), str(answers["_commit"]))
    asked = {name: value for name, value in answers.items() if not name.startswith("_")}
    render(Order({}, asked, ask=False, source=source, template=template), folder, lambda _count: None)
    return folder


def _resolve(project: Project, path: str, rendered: Mapping[str, Path], scratch: Path) -> bool:
    """Write the file with what both branches have of it; return whether no conflict is left."""
    new = rendered["merged"] / path
    target = project.folder / path
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
        head_of_project(project.folder, answers)
    except UserError as error:
        return f"{error.message} {error.hint}"
    return ""
