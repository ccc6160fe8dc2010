"""No byte of the owners is lost, after any edit and any interruption of an update."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fastforge.git
import pytest
from fastforge.errors import Interrupted, UserError
from fastforge.git import GitFailed
from fastforge.project.locate import find_project
from fastforge.update import apply
from fastforge.update.apply import UpdateTransaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.updates.conftest import append, commit, commit_new, contents, state, update

pytestmark = pytest.mark.usefixtures("rendered_once")

# Files that the template changes, and files that it does not.
FILES = (
    "app/forge/http/middleware.py",
    "app/items/routes.py",
    "app/forge/http/health.py",
    "app/forge/observability/logs.py",
    ".dockerignore",
    "Makefile",
    "README.md",
    "app/tuning.py",
)
LINES = st.binary(min_size=1, max_size=12).map(lambda text: b"ours " + text.replace(b"\n", b" ") + b"\n")
EDITS = st.lists(
    st.tuples(
        st.sampled_from(FILES),
        st.sampled_from(["insert", "replace", "delete", "rename", "crlf", "executable"]),
        st.floats(0, 1),
        LINES,
    ),
    min_size=1,
    max_size=6,
)


def apply_edit(project: Path, name: str, kind: str, place: float, line: bytes) -> None:
    file = project / name
    old = file.read_bytes() if file.exists() else b""
    rows = old.splitlines(keepends=True)
    at = int(place * len(rows))
    new = {
        "insert": b"".join([*rows[:at], line, *rows[at:]]),
        "replace": b"".join([*rows[:at], line, *rows[at + 2 :]]),
        "crlf": old.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") + line,
    }.get(kind, old + line)
    file.write_bytes(new)
    if kind == "delete":
        file.unlink()
    elif kind == "rename":
        file.rename(file.with_name(f"our_{file.name}"))
    elif kind == "executable":
        file.chmod(0o755)


def lines_of(tree: dict[str, tuple[str, bytes]]) -> set[bytes]:
    return {line.strip(b"\r\n") for _, content in tree.values() for line in content.split(b"\n")}


@given(edits=EDITS)
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_line_of_an_owner_is_lost_silently(
    rendered: Callable[..., Path],
    newest: object,
    tmp_path_factory: pytest.TempPathFactory,
    edits: list[tuple[str, str, float, bytes]],
) -> None:
    fresh = contents(rendered("v1.0.0"))
    project = commit_new(shutil.copytree(rendered("v1.0.0"), tmp_path_factory.mktemp("p") / "orders"))
    for one in edits:
        apply_edit(project, *one)
    commit(project)
    before = contents(project)
    whole = state(project)

    done = update(project)

    after = contents(project)
    ours = lines_of(before) - lines_of(fresh)
    # If a binary file conflicts, git keeps ours in the tree; nothing may be missing.
    assert ours <= lines_of(after)
    untouched = before.keys() - fresh.keys() - set(done.conflicts)
    assert all(after.get(name) == before[name] for name in untouched if not name.startswith("app/our_"))
    apply.undo(find_project(str(project)))
    assert state(project) == whole
    shutil.rmtree(project)


VARIANTS = [
    {},
    {"database": "postgres", "cache": "redis", "deployment": "gunicorn", "compression": "gzip"},
    {"database": "mongodb", "mongodb_driver": "motor", "serializer": "pydantic", "cache": "none"},
    {"deployment": "nginx", "compression": "none", "project_name": "Żółw API"},
]


@pytest.mark.parametrize("answers", VARIANTS, ids=str)
def test_a_line_in_every_third_of_every_file_is_kept(
    rendered: Callable[..., Path],
    newest: Callable[[str], None],
    tmp_path: Path,
    answers: dict[str, str],
) -> None:
    newest("v1.2.0")
    project = commit_new(shutil.copytree(rendered("v1.0.0", **answers), tmp_path / "orders"))
    files = [name for name in contents(project) if name != ".copier-answers.yml"]
    ours = []
    for number, name in enumerate(files):
        rows = (project / name).read_bytes().splitlines(keepends=True)
        # Trailing blanks, and a byte that is not UTF-8, in each.
        line = f"ours {number} ".encode() + b"\xe9  \n"
        at = len(rows) * (number % 3) // 2
        (project / name).write_bytes(b"".join([*rows[:at], line, *rows[at:]]))
        ours.append((name, line.strip(b"\n")))
    commit(project)

    update(project)

    found = lines_of(contents(project))
    assert [name for name, line in ours if line not in found] == []


# --- Faults ---


class Countdown:
    """A wrapper that raises the fault at the given call of a function, and counts the calls."""

    def __init__(self, at: int, fault: BaseException) -> None:
        self.at = at
        self.fault = fault
        self.calls = 0

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with the fault in it."""

        def counted(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == self.at:
                raise self.fault
            return function(*arguments, **named)

        return counted


def faults_until_it_works(
    project: Path, patch: Callable[[pytest.MonkeyPatch, Countdown], None], fault: BaseException
) -> Iterator[int]:
    """Repeat the update, each time with the fault one call later, until it is past the last call."""
    for at in range(1, 2000):
        countdown = Countdown(at, fault)
        with pytest.MonkeyPatch.context() as monkeypatch:
            patch(monkeypatch, countdown)
            try:
                update(project)
            except (UserError, OSError, Interrupted):
                yield at
                continue
        if countdown.calls < at:
            return
        # A query to git whose failure is a valid result.
        apply.undo(find_project(str(project)))


def fail_in_git(monkeypatch: pytest.MonkeyPatch, countdown: Countdown) -> None:
    counted = countdown.wrap(fastforge.git.run_git_bytes)
    monkeypatch.setattr("fastforge.git.run_git_bytes", counted)
    for module in ("template.history", "update.merge", "update.apply"):
        monkeypatch.setattr(f"fastforge.{module}.run_git_bytes", counted)


def fail_in_file_operations(monkeypatch: pytest.MonkeyPatch, countdown: Countdown) -> None:
    steps = ("_copy_objects", "_write_new_files", "_keep_old_files", "_write_index")
    for owner, name in (
        *((UpdateTransaction, step) for step in steps),
        *((apply, step) for step in ("_link", "_bring", "_remove", "_write_journal", "_hash")),
        (Path, "rename"),
        (Path, "replace"),
        (os, "fsync"),
        (shutil, "copyfile"),
    ):
        monkeypatch.setattr(owner, name, countdown.wrap(getattr(owner, name)))


def test_a_failure_of_git_at_any_call_changes_nothing(project: Path) -> None:
    append(project / "app/forge/http/middleware.py", "\n\n# Ours.\n")
    commit(project)
    append(project / "README.md", "dirty")
    before = state(project)

    count = 0
    for _ in faults_until_it_works(project, fail_in_git, GitFailed("it was made to fail")):
        assert state(project) == before
        assert not (project / ".git/index.lock").exists()
        count += 1

    print(f"git failed at each of {count} calls")
    assert count > 20


FAULTS = [OSError(errno.ENOSPC, "No space left on device"), Interrupted(15)]


@pytest.mark.parametrize("fault", FAULTS, ids=["full disk", "signal"])
def test_a_fault_at_any_file_operation_changes_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    append(project / "app/forge/http/middleware.py", "\n\n# Ours.\n")
    commit(project)
    before = state(project)
    counts = []

    run = UpdateTransaction.run

    def with_every_fault(*arguments: Any) -> None:
        for at in range(1, 1000):
            countdown = Countdown(at, fault)
            with pytest.MonkeyPatch.context() as patch:
                fail_in_file_operations(patch, countdown)
                with suppress(OSError, Interrupted):
                    run(*arguments)
            if countdown.calls < at:
                counts.append(at - 1)
                return
            assert state(project) == before
            assert not (project / ".git/index.lock").exists()

    monkeypatch.setattr(UpdateTransaction, "run", with_every_fault)
    update(project)

    print(f"{type(fault).__name__} at each of {counts} file operations")
    assert counts[0] > 30


class Killed(BaseException):
    """A power cut: nothing runs after it."""


def test_after_a_power_cut_at_any_move_the_next_update_starts_from_the_old_state(project: Path) -> None:
    append(project / "app/forge/http/middleware.py", "\n\n# Ours.\n")
    commit(project)
    before = state(project)
    cut = 0
    for at in range(1, 200):
        countdown = Countdown(at, Killed())
        with pytest.MonkeyPatch.context() as monkeypatch:
            for name in ("_bring", "_remove", "_write_journal"):
                monkeypatch.setattr(apply, name, countdown.wrap(getattr(apply, name)))
            monkeypatch.setattr(apply, "_put_back", lambda *_, **__: None)
            monkeypatch.setattr(shutil, "rmtree", unless_cut(countdown))
            try:
                update(project)
            except Killed:
                cut += 1
            else:
                break
        apply.recover(find_project(str(project)))
        assert state(project) == before
    assert cut > 5


def unless_cut(countdown: Countdown) -> Callable[..., None]:
    """Return an `rmtree` that does nothing after the power cut."""
    remove = shutil.rmtree

    def guarded(folder: Path, *arguments: Any, **named: Any) -> None:
        if countdown.calls < countdown.at:
            remove(folder, *arguments, **named)

    return guarded
