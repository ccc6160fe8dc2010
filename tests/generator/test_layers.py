"""The packages of the generator: each has one sentence, and data flows one way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repository import REPOSITORY

ROOT = REPOSITORY / "generator/fastforge"
# Each may import those to its right, and the modules beside the packages.
LAYERS = ("cli", "update", "inspect", "project", "template")
MODULES = sorted(ROOT.rglob("*.py"))


def name_of(file: Path) -> str:
    """Return the module's name, without `fastforge.`."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(file: Path) -> Iterator[str]:
    """Yield the modules of FastForge that a module imports, also later or for types, without `fastforge.`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            imported = [
                f"{node.module}.{each.name}" if node.module == "fastforge" else node.module
                for each in node.names
            ]
        elif isinstance(node, ast.Import):
            imported = [each.name for each in node.names]
        else:
            continue
        yield from (each.removeprefix("fastforge.") for each in imported if each.startswith("fastforge."))


def package_of(module: str) -> str:
    return module.split(".")[0] if "." in module else ""


def test_every_package_is_a_layer_with_one_sentence() -> None:
    packages = {
        file.parent.name: ast.get_docstring(ast.parse(file.read_text()))
        for file in ROOT.glob("*/__init__.py")
    }

    assert packages.keys() == set(LAYERS)
    assert all(text and text.endswith(".") and "\n" not in text for text in packages.values())


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_a_module_imports_only_lower_layers(file: Path) -> None:
    package = package_of(name_of(file))
    # The modules beside the packages serve all of them; only the command itself starts the top one.
    lower = LAYERS[LAYERS.index(package) :] if package else LAYERS[:1] if file.name == "__main__.py" else ()

    assert {package_of(module) for module in imports_of(file)} <= {"", *lower}


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = {name_of(file): set(imports_of(file)) for file in MODULES}
    while free := {name for name, imported in left.items() if not imported & left.keys()}:
        left = {name: imported for name, imported in left.items() if name not in free}

    assert left == {}
