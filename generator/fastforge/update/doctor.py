"""Diagnose a project: its service, by its own doctor, and its template, answers, machinery and updates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fastforge.directories import temporary_directory
from fastforge.errors import UserError, WorkFailed
from fastforge.git import git_failures_reported
from fastforge.inspect.doctor import Diagnosis, Finding, NotChecked, diagnose_service
from fastforge.project.locate import ANSWERS_FILE, Project, find_directory, find_project, find_repository
from fastforge.template.history import open_history
from fastforge.template.questions import load_questions
from fastforge.template.render import render
from fastforge.template.request import RenderRequest
from fastforge.template.source import Source
from fastforge.update.apply import was_cut_off
from fastforge.update.check import check_project
from fastforge.update.plan import unpack_template
from fastforge.update.preconditions import refuse_unready

_MACHINERY = "app/forge"
_CONFLICT = re.compile(r"^<{7} .*?^>{7} ", re.MULTILINE | re.DOTALL)
_TEXT = {".py", ".toml", ".txt", ".yml", ".yaml", ".json", ".conf", ".ini", ".example"}
_LEFT_OUT = {"node_modules", "var"}
_SHOWN = 5

_Outcomes = Iterator[Finding | NotChecked]


def diagnose(path: str, arguments: Sequence[str]) -> Diagnosis:
    """Return the diagnosis of the project; the arguments are for its own doctor.

    Raises:
        UserError: It is not a project.
    """
    directory = find_directory(path)
    diagnosis = diagnose_service(directory, arguments)
    for check in (_check_conflicts, _check_repository, _check_template, _check_machinery):
        for outcome in _outcomes(check, directory):
            if isinstance(outcome, Finding):
                diagnosis.findings.append(outcome)
            else:
                diagnosis.not_checked.append(outcome)
    diagnosis.findings.sort(key=lambda each: each.level)
    return diagnosis


def _outcomes(check: Callable[[Path], _Outcomes], directory: Path) -> list[Finding | NotChecked]:
    try:
        with git_failures_reported():
            return list(check(directory))
    except UserError as error:
        return [NotChecked(check.__name__.removeprefix("_check_"), f"{error.message} {error.hint}")]


def _check_conflicts(directory: Path) -> _Outcomes:
    conflicts = [path for path in _texts(directory) if _has_conflict(path)]
    if conflicts:
        names = _listed(str(path.relative_to(directory)) for path in conflicts)
        yield Finding(
            "update.conflicts",
            "error",
            f"Conflicts of a merge are left in {names}.",
            "Resolve them, then git add and commit; or go back: fastforge update --abort",
        )


def _texts(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if path.is_dir():
            # Environments, caches and git's own directory have a dot.
            is_hidden = path.name.startswith(".") and path.name != ".github"
            if not (is_hidden or path.is_symlink() or path.name in _LEFT_OUT):
                yield from _texts(path)
        elif path.suffix in _TEXT and path.is_file():
            yield path


def _has_conflict(path: Path) -> bool:
    return _CONFLICT.search(path.read_text(encoding="utf-8", errors="replace")) is not None


def _check_repository(directory: Path) -> _Outcomes:
    project = find_repository(str(directory))
    if was_cut_off(project):
        yield Finding(
            "update.interrupted",
            "error",
            "An update was interrupted, or is running.",
            "Undo it: fastforge update --abort",
        )
    try:
        refuse_unready(project)
    except WorkFailed as error:
        yield Finding("update.blocked", "warning", f"Updates are not possible: {error.message}", error.hint)


def _check_template(directory: Path) -> _Outcomes:
    try:
        project = find_project(str(directory))
    except WorkFailed:
        return  # Not in a repository, which is reported once.
    except UserError as error:
        yield Finding("answers.unreadable", "error", error.message, error.hint)
        return
    if was_cut_off(project):
        return
    found = check_project(str(directory))
    if not found.is_current:
        yield Finding(
            "template.outdated",
            "warning",
            f"The project has {found.project.version} of the template, and {found.newest} is available.",
            "See the changes: fastforge check. Then: fastforge update",
        )


def _check_machinery(directory: Path) -> _Outcomes:
    try:
        project = find_project(str(directory))
    except UserError:
        return  # Reported before.
    with temporary_directory() as scratch, open_history() as history:
        commit = history.recorded_commit(project.version, project.url)
        template = unpack_template(history, commit, scratch / "template")
        for question in load_questions(template):
            if question.condition is None and question.name not in project.answers:
                yield Finding(
                    "answers.missing",
                    "error",
                    f"{ANSWERS_FILE} has no answer for {question.name}, which {project.version} asks.",
                    f"Restore it: git log -p {ANSWERS_FILE}",
                )
                return
        rendered = scratch / "rendered" / directory.name
        request = RenderRequest(
            project.answers, {}, source=Source(project.url, project.version), template=template
        )
        try:
            render(request, rendered)
        except UserError as error:
            yield Finding(
                "answers.invalid",
                "error",
                f"The answers in {ANSWERS_FILE} do not fit {project.version}: {error.message}",
                f"Restore the recorded answers: git log -p {ANSWERS_FILE}",
            )
            return
        yield from _compare(project, rendered)


def _compare(project: Project, rendered: Path) -> _Outcomes:
    expected, found = _files(rendered / _MACHINERY), _files(project.directory / _MACHINERY)
    missing = sorted(expected.keys() - found.keys())
    extra = sorted(name for name in found.keys() - expected.keys() if name.endswith(".py"))
    edited = sorted(name for name in expected.keys() & found.keys() if expected[name] != found[name])
    if missing and extra:
        yield Finding(
            "answers.mismatch",
            "error",
            f"{ANSWERS_FILE} does not fit the files: {_MACHINERY} lacks {_listed(missing)}, and also has "
            f"{_listed(extra)}.",
            f"Restore the recorded answers: git log -p {ANSWERS_FILE}. To change one: fastforge update --set",
        )
        return
    if missing:
        yield Finding(
            "machinery.missing",
            "error",
            f"{_MACHINERY} lacks {_listed(missing)}.",
            f"Restore them: git log --diff-filter=D -- {_MACHINERY}",
        )
    if extra:
        yield Finding(
            "machinery.additional",
            "warning",
            f"{_MACHINERY} also has {_listed(extra)}, which is not of the template.",
            "Move your own modules out of it: updates may bring a file of that name.",
        )
    if edited:
        yield Finding(
            "machinery.edited",
            "warning",
            f"{_MACHINERY} was edited: {_listed(edited)}. Updates may conflict with that.",
            "Move the change to your own modules, or keep it if it is worth the conflicts (git log -p).",
        )


def _files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes().replace(b"\r\n", b"\n")
        for path in sorted(directory.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def _listed(names: Iterator[str] | Sequence[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
