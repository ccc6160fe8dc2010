"""`python -m tests.dev [question=answer ...]` renders a project to var/dev in which the template is edited.

What is copied from the template as it is, is a link to it there, and so are the tests of the machinery: an edit is
seen at once. What Copier renders, and files that are new, are there after the next `make dev`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from tests.repository import TEMPLATE, VAR
from tests.variants.environments import environment_of
from tests.variants.machinery import shop, sources
from tests.variants.rendering import Renderer
from tests.variants.space import Variant, default_variant, every_variant

DEV = VAR / "dev"
NEXT = f"""\
{DEV}: a shop with items, customers and order lines, linked to template/

  make -C var/dev dev                     serves it, with reload
  make -C var/dev test lint               its own tests; all checks
  make test-machinery ARGS="-k outage"    the tests of app/forge
"""
SERVERS = """\

Its servers: python -m tests.servers starts them, and prints the lines for {env}."""


def main() -> None:
    """Render the project, and print what can be done with it. Raises `SystemExit` for answers of no variant."""
    variant = variant_with(sys.argv[1:])
    shutil.rmtree(DEV, ignore_errors=True)
    DEV.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shutil.move(Renderer(Path(folder)).render_variant(variant, shop()).folder, DEV)
    link_template()
    for source, target in sources(variant):
        link(DEV / target, source)
    environment = environment_of(DEV)
    (DEV / ".venv").symlink_to(environment)
    # Newer than the requirements: make need not install.
    (environment / "installed").touch()
    has_servers = variant["database"] != "sqlite" or variant["cache"] == "redis"
    print(NEXT + (SERVERS.format(env=DEV / ".env") if has_servers else ""))


def variant_with(arguments: list[str]) -> Variant:
    """Return the variant that has these answers, and the default ones otherwise. Raises `SystemExit`."""
    asked = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    wanted = set((dict(default_variant().answers) | asked).items())
    found = max(every_variant(), key=lambda variant: len(wanted & set(variant.answers)))
    if len(asked) < len(arguments) or not set(asked.items()) <= set(found.answers):
        raise SystemExit(f"No variant has {' '.join(arguments)}. Write ANSWERS='database=postgres cache=redis'.")
    return found


def link_template() -> None:
    """Put links in place of the files that Copier has copied as they are."""
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
    main()
