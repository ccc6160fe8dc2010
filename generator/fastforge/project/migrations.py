"""Find the head of a project's migrations by reading them. No code of the project runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastforge.errors import UserError

_NAMES = ("revision", "down_revision")
_DATABASES_WITH_FILES = ("sqlite", "postgres")


@dataclass(frozen=True)
class _Revision:
    id: str
    downs: frozenset[str]
    file: Path


def head_of_project(directory: Path, answers: Mapping[str, Any]) -> str:
    """Return the newest revision: that of the files, or of the answers if the database has no files.

    Raises:
        UserError: See `head_of`.
    """
    database = answers.get("database")
    if database in _DATABASES_WITH_FILES:
        return head_of(directory / "migrations" / database / "versions")
    recorded = answers.get("revisions") or []
    return str(recorded[-1]["id"]) if recorded else ""


def head_of(directory: Path) -> str:
    """Return the id of the newest revision; empty if the directory has none.

    Raises:
        UserError: There are several heads or none, or a file cannot be read or names a missing revision.
    """
    revisions = _revisions(directory)
    downs = {down for revision in revisions.values() for down in revision.downs}
    if missing := sorted(downs - revisions.keys()):
        file = next(each.file for each in revisions.values() if missing[0] in each.downs)
        raise UserError(
            f"{str(file)!r} comes after the revision {missing[0]!r}, but no file has that revision.",
            "Restore that file: git log --diff-filter=D --name-only -- " + str(directory),
        )
    heads = sorted(revisions.keys() - downs)
    if len(heads) > 1:
        raise UserError(
            f"The migrations in {str(directory)!r} have {len(heads)} heads: {', '.join(heads)}.",
            'Join them first: .venv/bin/python -m alembic merge heads -m "Join the migrations"',
        )
    if revisions and not heads:
        raise UserError(
            f"The migrations in {str(directory)!r} come after each other in a circle.",
            "Look at down_revision in the newest: git log -p -- " + str(directory),
        )
    return heads[0] if heads else ""


def _revisions(directory: Path) -> dict[str, _Revision]:
    found: dict[str, _Revision] = {}
    for file in sorted(directory.glob("*.py")):
        # Alembic ignores these, too.
        if file.name.startswith((".", "__init__.")):
            continue
        revision = _read(file)
        if revision.id in found:
            raise UserError(
                f"{str(file)!r} and {str(found[revision.id].file)!r} are both the revision {revision.id!r}.",
                f"Give one of them another id, as revision and in its name: git log -- {file}",
            )
        found[revision.id] = revision
    return found


def _read(file: Path) -> _Revision:
    try:
        values = dict(_values(ast.parse(file.read_bytes())))
        return _revision(values, file)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise UserError(
            f"{str(file)!r} cannot be read as a migration: {' '.join(str(error).split())[:150]}.",
            f"Restore it (git restore {file}), or write revision and down_revision in it as plain strings.",
        ) from error


def _values(module: ast.Module) -> Iterator[tuple[str, object]]:
    """Yield the names that Alembic reads with the values that the module assigns to them."""
    for statement in module.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in _NAMES:
                yield name, ast.literal_eval(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if name in _NAMES:
                yield name, ast.literal_eval(value)


def _revision(values: Mapping[str, object], file: Path) -> _Revision:
    for name in _NAMES:
        if name not in values:
            raise ValueError(f"it does not assign {name}")
    own, down = values["revision"], values["down_revision"]
    downs = down if isinstance(down, tuple | list) else [] if down is None else [down]
    if not isinstance(own, str) or not all(isinstance(each, str) for each in downs):
        raise ValueError("its revision or down_revision is not a string")
    return _Revision(own, frozenset(map(str, downs)), file)
