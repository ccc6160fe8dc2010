"""`python -m tests.mutants [NAME ...]` breaks copies of the template on purpose, and says which tests saw it.

Each mutant is one edit of one file of a rendered project; `suite` says who must fail: `own`, the project's
tests, or `contract`, the acceptance suite against the service in production. A mutant that nobody sees is a
missing test.
"""

from __future__ import annotations

import re
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.repository import VAR
from tests.servers import Servers, running_servers
from tests.variants.rendering import Renderer
from tests.variants.running import Run, StepFailed
from tests.variants.space import Variant, variants_named

FAILED = re.compile(r"^(?:FAILED|ERROR) \S+::(\w+)", re.MULTILINE)
LIST = Path(__file__).with_name("mutants.toml")
SURVIVED = "NOBODY"
KINDS = {"postgres", "mongodb", "redis", "nginx"}


@dataclass(frozen=True)
class Mutant:
    """One breakage: in `file`, `old` becomes `new`."""

    name: str
    variant: str
    suite: str
    file: str
    old: str
    new: str


class Stale(Exception):
    """The text that a mutant changes is not there just once."""


def main() -> int:
    """Return 0 if every mutant was seen, and print a table."""
    wanted = sys.argv[1:]
    mutants = [Mutant(**entry) for entry in tomllib.loads(LIST.read_text(encoding="utf-8"))["mutant"]]
    chosen = [mutant for mutant in mutants if not wanted or mutant.name in wanted]
    kinds = {value for mutant in chosen for value in mutant.variant.split("-")} & KINDS
    rows = []
    with running_servers(kinds) as servers, _renderer() as renderer:
        for name in dict.fromkeys(mutant.variant for mutant in chosen):
            (variant,) = variants_named(name)
            rows += list(
                _fates(variant, [each for each in chosen if each.variant == name], servers, renderer)
            )
    survivors = [row for row in rows if row[2] == SURVIVED]
    width = max(len(row[0]) for row in rows)
    print(f"\n{'mutant':{width}}  suite     s      seen by")
    for name, suite, fate, seconds in rows:
        print(f"{name:{width}}  {suite:8}  {seconds:5.1f}  {fate}")
    print(f"Mutants: {len(rows) - len(survivors)} of {len(rows)} seen, {len(survivors)} survived")
    return 1 if survivors else 0


def _fates(
    variant: Variant, mutants: list[Mutant], servers: Servers, renderer: Renderer
) -> Iterator[tuple[str, str, str, float]]:
    """Yield name, suite, who saw it and seconds of each mutant of a variant, which without them is sound."""
    run = _prepared(variant, servers, renderer)
    sound = run.folder / "sound"
    shutil.copytree(run.project, sound, symlinks=True)
    for suite in dict.fromkeys(mutant.suite for mutant in mutants):
        if failure := _failure(run, suite):
            raise SystemExit(f"{variant.name} fails its {suite} tests without any mutant:\n{failure}")
    for mutant in mutants:
        shutil.rmtree(run.project)
        shutil.copytree(sound, run.project, symlinks=True)
        _mutate(run.project, mutant)
        began_at = time.monotonic()
        fate = _seen_by(run, mutant.suite)
        seconds = time.monotonic() - began_at
        print(f"{mutant.name}: {fate} ({seconds:.1f} s)", flush=True)
        yield mutant.name, mutant.suite, fate, seconds


def _seen_by(run: Run, suite: str) -> str:
    failure = _failure(run, suite)
    if not failure:
        return SURVIVED
    found = FAILED.search(run.log("test" if suite == "own" else "accept").read_text(errors="replace"))
    # What no test names, such as a project that cannot be imported, was no mutant.
    return found[1] if found else SURVIVED


def _mutate(project: Path, mutant: Mutant) -> None:
    path = project / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise Stale(f"{mutant.name}: {mutant.file} has {text.count(mutant.old)} times {mutant.old!r}")
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")


def _failure(run: Run, suite: str) -> str:
    """Return what the suite says about the project, nothing where it passes."""
    try:
        if suite == "own":
            _own_tests(run)
        else:
            with run.served() as service:
                run.accept(service)
    except StepFailed as failure:
        return str(failure)
    return ""


def _own_tests(run: Run) -> None:
    # Up to the first that fails, what boots servers last; benchmarks measure for long and judge little.
    tests = ["tests/test_service.py", "tests/database", "tests", "--ignore=tests/test_benchmarks.py"]
    run._step("test", [".venv/bin/pytest", "-x", "-q", "-p", "no:cacheprovider", *tests])


def _prepared(variant: Variant, servers: Servers, renderer: Renderer) -> Run:
    run = Run(variant, _variables(variant, servers))
    run.folder = VAR / "mutants" / variant.name
    run.project = run.folder / "project"
    run.render(renderer)
    run.install()
    run.migrate()
    return run


def _variables(variant: Variant, servers: Servers) -> dict[str, str]:
    variables = {"DATABASE_URL": "sqlite:///var/items.db"}
    if variant["database"] == "postgres":
        names = {"TEST_DATABASE_URL": "mutants_test", "DATABASE_URL": "mutants_contract_test"}
        variables = {variable: servers.postgres.database(name) for variable, name in names.items()}
    if variant["database"] == "mongodb":
        names = {"TEST_DATABASE_URL": "mutants_test", "DATABASE_URL": "mutants_contract_test"}
        variables = {variable: servers.mongodb.database(name) for variable, name in names.items()}
    if variant["cache"] == "redis":
        variables |= {"TEST_REDIS_URL": servers.redis.database(), "REDIS_URL": servers.redis.database()}
    if variant["deployment"] == "nginx":
        variables |= servers.nginx.environment
    return variables


@contextmanager
def _renderer() -> Iterator[Renderer]:
    with TemporaryDirectory() as folder:
        yield Renderer(Path(folder))


if __name__ == "__main__":
    sys.exit(main())
