"""An update applies the template's changes, and keeps edits of owners."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from fastforge.errors import UserError, WorkFailed
from fastforge.project.locate import find_project
from fastforge.update.apply import _keep_permissions, undo
from fastforge.update.check import check_project

from tests.conftest import git
from tests.updates.conftest import append, commit, commit_new, contents, edit, prepend, release, state, update

MARK = "# Tuned in 1.1."
Rendered = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("rendered_once")


def test_a_file_with_crlf_keeps_it_and_is_merged(project: Path) -> None:
    file = project / "app/forge/http/middleware.py"
    file.write_bytes(b"# Ours.\n" + file.read_bytes())
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    commit(project)

    assert update(project).conflicts == []

    content = file.read_bytes()
    assert content.startswith(b"# Ours.\r\n")
    assert b"# Tuned in 1.1.\r\n" in content
    assert content.count(b"\n") == content.count(b"\r\n")


def test_a_checkout_with_autocrlf_gets_crlf(project: Path) -> None:
    git(project, "config", "core.autocrlf", "true")

    update(project)

    assert b"# Tuned in 1.1.\r\n" in (project / "app/forge/http/middleware.py").read_bytes()
    assert git(project, "diff", "--name-only") == ""


def test_a_conflict_leaves_markers_and_an_unmerged_index(project: Path) -> None:
    append(project / "app/forge/http/middleware.py", "\n\n# Ours.\n")
    commit(project)

    done = update(project)

    text = (project / "app/forge/http/middleware.py").read_text()
    assert done.conflicts == ["app/forge/http/middleware.py"]
    assert "<<<<<<< yours\n# Ours." in text
    assert "# Tuned in 1.1.\n>>>>>>> template-v1.1.0" in text
    assert git(project, "diff", "--name-only", "--diff-filter=U") == "app/forge/http/middleware.py"
    assert (project / "app/tuning.py").is_file()


def test_an_edited_file_that_the_template_drops_is_kept(project: Path) -> None:
    append(project / ".dockerignore", "ours\n")
    commit(project)

    assert update(project).conflicts == [".dockerignore"]
    assert "ours\n" in (project / ".dockerignore").read_text()


def test_edits_follow_a_file_that_the_template_renames(project: Path) -> None:
    prepend(project / "app/forge/observability/logs.py", "# Ours.\n")
    commit(project)

    assert update(project).conflicts == []
    assert "# Ours.\n" in (project / "app/structured_logs.py").read_text()
    assert not (project / "app/forge/observability/logs.py").exists()


def test_a_deleted_file_that_the_template_changes_stays_deleted(project: Path) -> None:
    (project / "app/forge/http/middleware.py").unlink()
    commit(project)

    done = update(project)

    assert done.conflicts == []
    assert done.plan is not None
    assert done.plan.merged.kept_deleted == ["app/forge/http/middleware.py"]
    assert not (project / "app/forge/http/middleware.py").exists()


def test_whitespace_settings_lose_nothing(project: Path) -> None:
    (Path.home() / ".gitconfig").write_text("[apply]\n\twhitespace = error\n[merge]\n\tff = only\n")
    prepend(project / "app/forge/http/middleware.py", "# Ours.   \n")
    commit(project)

    assert update(project).conflicts == []
    assert "# Ours.   \n" in (project / "app/forge/http/middleware.py").read_text()


def test_other_changes_and_ignored_files_are_not_touched(project: Path) -> None:
    append(project / "README.md", "dirty\n")
    append(project / "app/forge/http/problems.py", "staged = 1\n")
    git(project, "add", "app/forge/http/problems.py")
    (project / "untracked.txt").write_text("mine")
    (project / ".env").write_text("SECRET=1\n")

    update(project)

    assert (project / "README.md").read_text().endswith("dirty\n")
    assert (project / "untracked.txt").read_text() == "mine"
    assert (project / ".env").read_text() == "SECRET=1\n"
    assert "app/forge/http/problems.py" in git(project, "diff", "--cached", "--name-only")
    assert git(project, "diff", "--name-only") == "README.md"


@pytest.mark.parametrize(
    "command", ["status", "add", "update-index --assume-unchanged", "update-index --skip-worktree"]
)
def test_an_uncommitted_change_that_the_update_needs_is_refused(project: Path, command: str) -> None:
    append(project / "app/forge/http/middleware.py", "# Mine.\n")
    git(project, *command.split(), "app/forge/http/middleware.py")
    before = state(project)

    with pytest.raises(WorkFailed, match=r"not committed: 'app/forge/http/middleware\.py'"):
        update(project)

    assert state(project) == before


@pytest.mark.parametrize("permissions", [0o600, 0o640, 0o644, 0o664, 0o666])
def test_a_file_keeps_its_permissions(project: Path, permissions: int) -> None:
    file = project / "app/settings.py"
    file.chmod(permissions)
    before = state(project)

    update(project)
    assert "app/settings.py" in git(project, "diff", "--cached", "--name-only")
    assert stat.S_IMODE(file.stat().st_mode) == permissions

    undo(find_project(str(project)))
    assert stat.S_IMODE(file.stat().st_mode) == permissions
    assert state(project) == before


def test_a_file_becomes_executable_for_users_who_may_read_it(project: Path) -> None:
    old, new = project / "private", project / "executable"
    old.write_text("old")
    new.write_text("new")
    for given, laid_out, expected in ((0o600, 0o755, 0o700), (0o640, 0o755, 0o750), (0o755, 0o644, 0o644)):
        old.chmod(given)
        new.chmod(laid_out)
        _keep_permissions(old, new)
        assert stat.S_IMODE(new.stat().st_mode) == expected


def test_a_sparse_checkout_is_named_as_the_reason(project: Path) -> None:
    git(project, "sparse-checkout", "set", "--no-cone", "/*", "!/app/settings.py")
    before = state(project)

    with pytest.raises(WorkFailed, match=r"sparse.*'app/settings\.py'") as refused:
        update(project)

    assert "git sparse-checkout disable" in refused.value.hint
    assert state(project) == before
    git(project, "sparse-checkout", "disable")
    update(project)


@pytest.mark.parametrize("ignored", ["", "tuning.py"])
def test_a_file_in_the_way_is_refused(project: Path, ignored: str) -> None:
    (project / "app/tuning.py").write_text("mine")
    (project / ".git/info/exclude").write_text(f"{ignored}\n")
    before = state(project)

    with pytest.raises(WorkFailed, match=r"app/tuning\.py"):
        update(project)

    assert state(project) == before


def test_a_link_in_the_way_is_refused(project: Path) -> None:
    (project / "app/tuning.py").symlink_to("nowhere")
    before = state(project)

    with pytest.raises(WorkFailed, match=r"app/tuning\.py"):
        update(project)

    assert state(project) == before


def test_a_dry_run_shows_the_difference_and_changes_nothing(project: Path) -> None:
    before = state(project)

    done = update(project, dry_run=True)

    assert f"+{MARK}" in done.diff
    assert state(project) == before
    assert not (project / ".git/fastforge").exists()


def test_an_update_can_be_undone(project: Path) -> None:
    append(project / "README.md", "dirty\n")
    before = state(project)
    update(project)
    append(project / "app/forge/http/middleware.py", "# Since then.\n")

    _, kept = undo(find_project(str(project)))

    assert state(project) == before
    assert kept is not None
    assert "# Since then.\n" in (kept / "app/forge/http/middleware.py").read_text()


def test_a_conflict_can_be_undone(project: Path) -> None:
    append(project / "app/forge/http/middleware.py", "\n\n# Ours.\n")
    commit(project)
    before = state(project)
    update(project)

    undo(find_project(str(project)))

    assert state(project) == before


def test_a_committed_update_is_left_to_git(project: Path) -> None:
    update(project)
    commit(project)

    with pytest.raises(WorkFailed, match="was committed"):
        undo(find_project(str(project)))


def test_it_lists_the_release_notes_for_these_answers(project: Path) -> None:
    document = update(project, dry_run=True).document()

    assert [each["title"] for each in document["optimizations"]] == ["Cached reads"]
    assert document["breaking"] == ["Logs are structured."]
    assert document["manual_steps"] == ["Tell your log collector."]
    assert document["renamed_settings"] == {"LOGS": "LOG_LEVEL"}


# --- Places ---


def test_a_project_in_a_monorepo(rendered: Rendered, newest: object, tmp_path: Path) -> None:
    project = shutil.copytree(rendered("v1.0.0"), tmp_path / "mono/services/my api/orders")
    (tmp_path / "mono/other.txt").write_text("other")
    commit_new(tmp_path / "mono")
    append(tmp_path / "mono/other.txt", "dirty")
    before = state(tmp_path / "mono")

    update(project)

    assert contents(project) == contents(rendered("v1.1.0"))
    assert git(tmp_path / "mono", "diff", "--name-only") == "other.txt"
    undo(find_project(str(project)))
    assert state(tmp_path / "mono") == before


def test_a_project_in_a_worktree(project: Path, rendered: Rendered, tmp_path: Path) -> None:
    git(project, "worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))

    update(tmp_path / "side")

    assert contents(tmp_path / "side") == contents(rendered("v1.1.0"))
    assert git(project, "status", "--porcelain") == ""


def test_a_project_in_a_submodule(project: Path, rendered: Rendered, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "--quiet")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(project), "orders")
    git(outer / "orders", "checkout", "--quiet", "--detach")

    update(outer / "orders")

    assert contents(outer / "orders") == contents(rendered("v1.1.0"))


# --- Refusals ---


def no_answers_file(project: Path) -> None:
    (project / ".copier-answers.yml").unlink()


def broken_answers_file(project: Path) -> None:
    (project / ".copier-answers.yml").write_text("{")


def unknown_version(project: Path) -> None:
    edit(project / ".copier-answers.yml", "v1.0.0", "v9.0.0")


def unknown_source(project: Path) -> None:
    edit(project / ".copier-answers.yml", "https://example.org/fastforge", "https://example.org/ours")
    edit(project / ".copier-answers.yml", "v1.0.0", "v1.0.0-3-g0123abc")


def version_that_is_an_option(project: Path) -> None:
    edit(project / ".copier-answers.yml", "v1.0.0", "--help")


def another_template(project: Path) -> None:
    edit(project / ".copier-answers.yml", "database: sqlite\n", "")


def invalid_answer(project: Path) -> None:
    edit(project / ".copier-answers.yml", "database: sqlite", "database: oracle")


def unfinished_merge(project: Path) -> None:
    (project / ".git/MERGE_HEAD").write_text(git(project, "rev-parse", "HEAD") + "\n")


def detached(project: Path) -> None:
    git(project, "checkout", "--quiet", "--detach")


def empty_repository(project: Path) -> None:
    shutil.rmtree(project / ".git")
    git(project, "init", "--quiet")


def no_repository(project: Path) -> None:
    shutil.rmtree(project / ".git")


def uncommitted_project(project: Path) -> None:
    git(project, "rm", "--quiet", "-r", "--cached", ".")
    git(project, "commit", "--quiet", "--allow-empty", "-m", "Gone")


def index_in_use(project: Path) -> None:
    (project / ".git/index.lock").write_text("")


REFUSALS = {
    no_answers_file: "no .copier-answers.yml",
    broken_answers_file: "cannot be read",
    unknown_version: "does not know the template's version 'v9.0.0'",
    unknown_source: "does not know the template's version 'v1.0.0-3-g0123abc'",
    version_that_is_an_option: "does not know the template's version '--help'",
    another_template: "no answer for database",
    invalid_answer: "do not fit v1.0.0",
    unfinished_merge: "A merge is in progress",
    detached: "No branch is checked out",
    empty_repository: "has no commit",
    no_repository: "not in a git repository",
    uncommitted_project: "is not committed",
    index_in_use: "Another git command",
}


@pytest.mark.parametrize(("spoil", "words"), REFUSALS.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_an_impossible_update_is_refused_with_a_message(
    project: Path, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(project)
    before = contents(project)

    with pytest.raises(UserError) as refusal:
        update(project)

    assert words in refusal.value.message
    assert refusal.value.exit_code in (1, 2)
    assert len(f"{refusal.value.message} {refusal.value.hint}".splitlines()) == 1
    assert contents(project) == before


def test_an_unknown_source_is_named(project: Path) -> None:
    unknown_source(project)

    for refused in (lambda: update(project), lambda: check_project(str(project))):
        with pytest.raises(UserError) as refusal:
            refused()
        assert "example.org/ours" in refusal.value.hint


def test_a_downgrade_is_refused(project: Path) -> None:
    update(project)
    commit(project)

    with pytest.raises(UserError, match=r"v1\.0\.0 is older than v1\.1\.0"):
        update(project, version="1.0.0")


def test_an_answer_that_the_template_no_longer_has_is_refused_not_reset(
    project: Path, releases: Path, newest: Callable[..., None], tmp_path: Path
) -> None:
    git(tmp_path, "clone", "--quiet", str(releases), "renamed")
    edit(tmp_path / "renamed/copier.yml", '": sqlite\n', '": lite\n')
    edit(tmp_path / "renamed/copier.yml", "default: sqlite", "default: lite")
    release(tmp_path / "renamed", "v2.0.0")
    newest("v2.0.0", tmp_path / "renamed")
    before = state(project)

    with pytest.raises(UserError, match=r"do not fit v2\.0\.0"):
        update(project)

    assert state(project) == before
