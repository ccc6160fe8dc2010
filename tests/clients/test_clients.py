"""Clients that are generated from the OpenAPI document: they compile, and pass the contract's main paths."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.clients.conftest import Running, Services
from tests.clients.tools import Tools

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def shop(services: Services) -> Running:
    """Return the running service whose resources have every type."""
    return services.of("shop")


def test_a_typescript_client_compiles_and_keeps_the_contract(
    shop: Running, tools: Tools, tmp_path: Path
) -> None:
    for name in ("program.ts", "tsconfig.json"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    (tmp_path / "node_modules").symlink_to(tools.modules)
    document = shop.folder / "openapi.json"

    # Otherwise it requires fields that have a default.
    flags = ["--output", "schema.d.ts", "--default-non-nullable", "false"]
    tools.run_node("openapi-typescript/bin/cli.js", document, *flags, cwd=tmp_path)
    tools.run_node("typescript/bin/tsc", "--project", "tsconfig.json", cwd=tmp_path)
    told = tools.run_node(str(tmp_path / "program.js"), shop.url, cwd=tmp_path)

    assert int(told.split()[0]) > 25


def test_a_python_client_is_typed_and_keeps_the_contract(shop: Running, tools: Tools, tmp_path: Path) -> None:
    document, config = shop.folder / "openapi.json", HERE / "python_client.yaml"
    generate: list[str | Path] = [
        "generate",
        "--path",
        document,
        "--config",
        config,
        "--meta",
        "none",
        "--fail-on-warning",
    ]
    shutil.copy(HERE / "program.py", tmp_path)

    tools.run_script("openapi-python-client", *generate, cwd=tmp_path)
    tools.run_python("-m", "mypy", "--config-file", HERE / "mypy.ini", "program.py", cwd=tmp_path)
    tools.run_python("-W", "error", "program.py", shop.url, cwd=tmp_path)
