"""`python -m tests.dev [question=answer ...]` renders a project to var/dev that is linked to the template.

`python -m tests.dev --test [argument ...]` runs tests of the machinery there, with their servers.

Files that Copier copies unchanged are links to the template, like the tests of the machinery. Files that
Copier renders, and new files, appear after the next `make dev`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from testkit.servers import running_servers
from testkit.servers.variables import variables_for
from tests.repository import REPOSITORY, TEMPLATE, VAR
from tests.variants.environments import clean_environment, environment_of
from tests.variants.machinery import shop, sources
from tests.variants.rendering import Renderer
from tests.variants.space import Variant, default_variant, every_variant

DEV = VAR / "dev"
KINDS = {"postgres", "mongodb", "redis", "nginx"}
NEXT = f"""\
{DEV.relative_to(REPOSITORY)} is a shop with items, customers and order lines, linked to template/.

  make -C var/dev dev                     serves it, with reload
  make -C var/dev test lint               its own tests; all checks
  make test-machinery ARGS="-k outage"    the tests of app/forge
"""


def main() -> int:
    """Render the project and print its commands, or run its tests and return their exit code."""
    if sys.argv[1:2] == ["--test"]:
        return test_machinery(sys.argv[2:])
    make_project(variant_with(sys.argv[1:]))
    print(NEXT)
    return 0


def test_machinery(arguments: list[str]) -> int:
    """Run pytest with these arguments, and return its exit code."""
    answers = yaml.safe_load((DEV / ".copier-answers.yml").read_text(encoding="utf-8"))
    with running_servers(KINDS & set(map(str, answers.values()))) as servers:
        variables = variables_for(answers, servers.of, "dev")
        pytest = [".venv/bin/python", "-m", "pytest", *(arguments or ["tests/machinery"])]
        return subprocess.run(pytest, cwd=DEV, env=clean_environment(**variables), check=False).returncode


def make_project(variant: Variant) -> None:
    """Render the shop of this variant, link it to the template, and give it an environment."""
    shutil.rmtree(DEV, ignore_errors=True)
    DEV.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shutil.move(Renderer(Path(folder)).render_variant(variant, shop(variant["auth"])).folder, DEV)
    link_template()
    for source, target in sources(variant):
        link(DEV / target, source)
    environment = environment_of(DEV)
    (DEV / ".venv").symlink_to(environment)
    # Newer than the requirements, so that make does not install.
    (environment / "installed").touch()


def variant_with(arguments: list[str]) -> Variant:
    """Return the variant that has these answers, and the default ones otherwise. Raises `SystemExit`."""
    asked = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    wanted = set((dict(default_variant().answers) | asked).items())
    # First those that have what was asked for: not every combination with a paired question is a variant.
    found = max(
        every_variant(),
        key=lambda variant: (set(asked.items()) <= set(variant.answers), len(wanted & set(variant.answers))),
    )
    if len(asked) < len(arguments) or not set(asked.items()) <= set(found.answers):
        raise SystemExit(f"No variant has {' '.join(arguments)}. Write it like ANSWERS='database=postgres'.")
    return found


def link_template() -> None:
    """Replace the files that Copier has copied unchanged by links."""
    for path in [path for path in DEV.rglob("*") if path.is_file()]:
        source = TEMPLATE / path.relative_to(DEV)
        if source.exists() and not source.with_name(f"{source.name}.jinja").exists():
            link(path, source)


def link(path: Path, target: Path) -> None:
    """Make the path a link."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


if __name__ == "__main__":
    sys.exit(main())
