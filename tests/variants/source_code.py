"""The imports in the Python files of a project."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

OWN = {"app", "tests", "migrations", "benchmarks"}


def imported(files: Iterable[Path]) -> set[str]:
    """Return the third-party top-level modules that the files import, also inside functions."""
    names = {name for path in files for name in _imported(path.read_text(encoding="utf-8"))}
    return names - OWN - sys.stdlib_module_names


@lru_cache(maxsize=512)
def _imported(source: str) -> frozenset[str]:
    return frozenset(name.partition(".")[0] for name in _imports(ast.parse(source)))


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
