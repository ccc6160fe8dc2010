"""The commands of a project that lives: update and check. Parse, call, print."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastforge import interrupts
from fastforge.errors import EXIT_ATTENTION, UserError, write_json
from fastforge.template.questions import Answers
from fastforge.template.resources import changes_in_words, revisions_in_words

if TYPE_CHECKING:
    from fastforge.update.run import Update

_Path = Annotated[str, typer.Argument(metavar="[PATH]", help="The project's folder.", show_default=False)]
_Json = Annotated[
    bool, typer.Option("--json", help="Answer with one JSON document on standard output, for programs.")
]


def update(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH]", help="The project's folder; with --all any number.", show_default=False
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION", help="Which version of the template. Default: that of this FastForge."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Change an answer, such as cache=redis; repeatable."
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Then run the project's tests, and its benchmark before and after; a failure undoes it.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the difference, and change nothing.")
    ] = False,
    abort: Annotated[
        bool, typer.Option("--abort", help="Take the last update back, as long as it is not committed.")
    ] = False,
    all_: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Update every PATH on a branch of its own, and run its tests. A PATH may be a folder "
            "of projects, or @FILE with one on each line. Safe to interrupt and to run again.",
        ),
    ] = False,
    json: _Json = False,
) -> int:
    """Bring a project to a newer template, without losing a line of it.

    The change is merged into the work tree and staged, for you to look at, test and commit. Exit code 3 says
    that there are conflicts, which are marked as git marks them. Whatever fails leaves the project as it was.
    """
    path, *more = paths or ["."]
    if all_:
        return _update_all([path, *more], to, _changes(set_ or []), json=json)
    if more:
        raise UserError(f"{more[0]!r} is one PATH too many.", "Add --all to update several.")
    if abort:
        return _abort(path, json=json)
    # After what needs no rendering: this imports Copier.
    from fastforge.update.run import Wanted, update_project

    last_exit = interrupts.pass_the_point_of_no_return
    done = update_project(Wanted(path, to, _changes(set_ or []), dry_run, verify, last_exit=last_exit))
    if json:
        write_json(done.document())
    elif dry_run and done.diff:
        print(done.diff)
    tell(*_lines(done))
    return EXIT_ATTENTION if done.conflicts else 0


def check(path: _Path = ".", json: _Json = False) -> int:
    """Tell whether a newer template is available, and what it would bring.

    Exit code 0 says that the project is up to date, 3 that an update waits.
    """
    from fastforge.update.check import check_project
    from fastforge.template.releases import release_lines

    found = check_project(path)
    if json:
        write_json(found.document())
    if found.is_current:
        tell(f"{found.project.folder} is up to date ({found.project.version}).")
        return 0
    tell(
        f"{found.project.folder} has {found.project.version}; {found.newest} is available.",
        *(f"  {each['version']} ({each['date']}): {each['summary']}" for each in found.brings["releases"]),
        *release_lines(found.brings),
        "",
        f"See the difference: {_command('--dry-run', path)}",
        f"Take it: {_command(path)}",
    )
    return EXIT_ATTENTION


def _command(*arguments: str) -> str:
    return shlex.join(["fastforge", "update", *(each for each in arguments if each != ".")])


def _update_all(places: list[str], to: str | None, changes: Answers, *, json: bool) -> int:
    from fastforge.update.batch import find_projects, update_all

    outcomes = []
    for outcome in update_all(find_projects(places), to, changes):
        outcomes.append(outcome)
        tell(f"{outcome.result:12}  {outcome.path}  {outcome.branch or ''}  {outcome.detail}".rstrip())
    counts = {each.result: 0 for each in outcomes}
    for each in outcomes:
        counts[each.result] += 1
    if json:
        write_json({"projects": [each.document() for each in outcomes], "counts": counts})
    tell("", ", ".join(f"{count} {result}" for result, count in counts.items()))
    return EXIT_ATTENTION if counts.keys() - {"updated", "current"} else 0


def _abort(path: str, *, json: bool) -> int:
    from fastforge.project.locate import find_folder_of_project
    from fastforge.update.apply import recover, undo

    project = find_folder_of_project(path)
    files, kept = ([], None) if recover(project) else undo(project)
    if json:
        write_json({"path": str(project.folder), "files": files, "kept": str(kept) if kept else None})
    tell(f"Took the update of {project.folder} back ({len(files)} files).")
    if kept:
        tell(f"What you had changed since then is in {kept}")
    return 0


def _changes(settings: list[str]) -> dict[str, Any]:
    for setting in settings:
        if "=" not in setting:
            raise UserError(f"--set: {setting!r} has no '='.", "Write it as NAME=VALUE, such as cache=redis.")
    return dict(setting.split("=", 1) for setting in settings)


def _lines(done: Update) -> list[str]:
    if done.merged is None:
        return [*done.notes, f"{done.project.folder} is up to date ({done.version})."]
    from fastforge.template.releases import release_lines

    would = "Would update" if done.dry_run else "Updated"
    return [
        *done.notes,
        f"{would} {done.project.folder} from {done.project.version} to {done.version}.",
        *_file_lines(done),
        *_answer_lines(done.changed_answers),
        *_move_lines(done.moves),
        *release_lines(done.brings),
        *_next_lines(done),
    ]


def change_lines(done: Update, migrations: list[str]) -> list[str]:
    """Return what a change of resources did, or would do, and what comes next."""
    would = "Would change" if done.dry_run else "Changed"
    migrate = [f"Read {', '.join(migrations)}, then run make migrate."] if migrations else []
    return [
        *done.notes,
        f"{would} {done.project.folder}.",
        *_file_lines(done),
        *_answer_lines(done.changed_answers),
        *(["", *migrate] if migrate and not done.dry_run else []),
        *_next_lines(done),
    ]


def _file_lines(done: Update) -> list[str]:
    merged = done.merged
    assert merged is not None
    signs = {"added": "+", "deleted": "-", "modified": "~", "conflict": "!"}
    return [
        *(f"  {signs[merged.kind(path)]} {path}" for path in merged.changed),
        *(f"  = {path} stays deleted; the template has a newer one" for path in merged.kept_deleted),
    ]


def _answer_lines(answers: Mapping[str, list[Any]]) -> list[str]:
    in_words = {"resources": changes_in_words, "revisions": revisions_in_words}
    rows = [
        f"  {name}: {line}"
        for name, (old, new) in answers.items()
        for line in (
            in_words[name](old, new)
            if name in in_words
            else [f"{old or 'not asked'} -> {new or 'not asked'}"]
        )
    ]
    return ["", "Answers:", *rows] if rows else []


def _move_lines(moves: Mapping[str, list[str]]) -> list[str]:
    titles = {
        "settings_added": "Settings that come (see .env.example):",
        "settings_removed": "Settings that go:",
        "dependencies_added": "Dependencies that come:",
        "dependencies_removed": "Dependencies that go:",
    }
    lists = [
        line for key, title in titles.items() if moves[key] for line in [title, f"  {', '.join(moves[key])}"]
    ]
    by_hand = [f"  {step}" for step in moves["by_hand"]]
    sections = [*lists, *(["With the new answers, by hand:", *by_hand] if by_hand else [])]
    return ["", *sections] if sections else []


def _next_lines(done: Update) -> list[str]:
    if done.dry_run:
        return []
    if done.conflicts:
        first = "Conflicts (!) are marked in the files. Resolve them, then git add and commit."
    elif done.verification:
        first = "The project's tests passed. Look at it with git diff --staged, then commit."
    else:
        first = "Look at it with git diff --staged, run make test, then commit."
    bench: list[Any] = []
    if done.verification and done.verification.bench_after:
        bench = ["", "Before:", done.verification.bench_before, "After:", done.verification.bench_after]
    return [*bench, "", first, f"To take it back: {_command('--abort', done.path)}"]


def tell(*lines: str) -> None:
    """Print for a person: on standard error, if there is one."""
    if sys.stderr:
        print("\n".join(lines), file=sys.stderr)
