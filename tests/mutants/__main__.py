"""`python -m tests.mutants [NAME ...]` breaks copies of the template on purpose, and shows the failed tests.

Each mutant is one edit of one file; `suite` and `tests` name the tests that must fail: `own`, the project's
tests; `machinery`, those of app/forge in a shop; `contract`, the acceptance suite against the service in
production; `resources`, its part for any resources against a shop in production; `faults`, the tests of
faults and effects. CI runs all five on the covering set. If no test fails, a test is missing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from testkit.servers import Servers, running_servers
from testkit.servers.variables import variables_for
from tests.repository import REPOSITORY, TEMPLATE, TEMPLATE_VARIABLE, VAR
from tests.variants.rendering import NOT_TEMPLATE, Renderer
from tests.variants.running import Run, StepFailed
from tests.variants.space import Variant, variants_named

FAILED = re.compile(r"^(?:FAILED|ERROR) \S+::(\w+)", re.MULTILINE)
FOLDER = VAR / "mutants"
LIST = Path(__file__).with_name("mutants.toml")
SURVIVED = "NO TEST"
KINDS = {"postgres", "mongodb", "redis", "nginx"}
STEPS = {
    "own": "test",
    "machinery": "machinery",
    "contract": "accept",
    "resources": "accept",
    "faults": "faults",
}
HEADINGS = ("mutant", "variant", "suite", "s", "seen by")


@dataclass(frozen=True)
class Mutant:
    """One breakage: in `file`, `old` becomes `new`."""

    name: str
    variant: str
    suite: str
    tests: list[str]
    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Fate:
    """The test that failed because of a mutant, and the time until then."""

    name: str
    variant: str
    suite: str
    seconds: float
    seen_by: str

    @property
    def row(self) -> tuple[str, ...]:
        """The line of the table."""
        return self.name, self.variant, self.suite, f"{self.seconds:.1f}", self.seen_by


class Stale(Exception):
    """The text that a mutant replaces does not occur exactly once."""


def main() -> int:
    """Print a table, write it as Markdown and JSON, and return 0 if tests failed for every mutant.

    Raises `SystemExit` with arguments that are not names of mutants.
    """
    began_at = time.monotonic()
    chosen = chosen_mutants(sys.argv[1:])
    kinds = {value for mutant in chosen for value in mutant.variant.split("-")} & KINDS
    fates: list[Fate] = []
    with running_servers(kinds) as servers, _renderer() as renderer:
        for name in dict.fromkeys(mutant.variant for mutant in chosen):
            (variant,) = variants_named(name)
            of_variant = [mutant for mutant in chosen if mutant.variant == name]
            fates += _fates(variant, of_variant, servers, renderer)
    survivors = [fate for fate in fates if fate.seen_by == SURVIVED]
    closing = (
        f"Mutants: {len(fates) - len(survivors)} of {len(fates)} seen, {len(survivors)} survived, "
        f"in {time.monotonic() - began_at:.0f} s"
    )
    _tell(fates, closing)
    return 1 if survivors else 0


def chosen_mutants(names: list[str]) -> list[Mutant]:
    """Return the mutants with these names; without names, all."""
    mutants = [Mutant(**entry) for entry in tomllib.loads(LIST.read_text(encoding="utf-8"))["mutant"]]
    if unknown := set(names) - {mutant.name for mutant in mutants}:
        raise SystemExit(
            f"No mutant is called {', '.join(sorted(unknown))}: see {LIST.relative_to(REPOSITORY)}."
        )
    return [mutant for mutant in mutants if not names or mutant.name in names]


def _tell(fates: list[Fate], closing: str) -> None:
    rows = [HEADINGS, *(fate.row for fate in fates)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(closing)
    FOLDER.mkdir(parents=True, exist_ok=True)
    table = [f"| {' | '.join(row)} |" for row in (HEADINGS, ("---",) * len(HEADINGS), *rows[1:])]
    (FOLDER / "mutants.md").write_text("\n".join([*table, "", closing, ""]), encoding="utf-8")
    told = json.dumps({"mutants": [asdict(fate) for fate in fates], "summary": closing}, indent=2)
    (FOLDER / "mutants.json").write_text(told + "\n", encoding="utf-8")


def _fates(variant: Variant, mutants: list[Mutant], servers: Servers, renderer: Renderer) -> Iterator[Fate]:
    """Yield the fate of each mutant of a variant, whose tests pass without mutants."""
    run = _prepared(variant, servers, renderer)
    shop = _prepared_shop(run, servers)
    for suite, *tests in dict.fromkeys((mutant.suite, *mutant.tests) for mutant in mutants):
        if failure := _failure(shop if suite == "resources" else run, suite, tests):
            raise SystemExit(f"{variant.name} fails its {suite} tests without any mutant:\n{failure}")
    for mutant in mutants:
        began_at = time.monotonic()
        mutated = shop if mutant.suite == "resources" else run
        with _mutated(_source(mutated, mutant.suite), mutant):
            seen_by = _seen_by(mutated, mutant)
        fate = Fate(mutant.name, variant.name, mutant.suite, time.monotonic() - began_at, seen_by)
        print(f"{fate.name}: {fate.seen_by} ({fate.seconds:.1f} s)", flush=True)
        yield fate


def _seen_by(run: Run, mutant: Mutant) -> str:
    if not _failure(run, mutant.suite, mutant.tests):
        return SURVIVED
    found = FAILED.search(run.log(STEPS[mutant.suite]).read_text(errors="replace"))
    # A failure that names no test, such as a project that cannot be imported, is not a valid mutant.
    return found[1] if found else SURVIVED


@contextmanager
def _mutated(source: Path, mutant: Mutant) -> Iterator[None]:
    path = source / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise Stale(f"{mutant.name}: {mutant.file} has {text.count(mutant.old)} times {mutant.old!r}")
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


def _failure(run: Run, suite: str, tests: list[str]) -> str:
    """Run the project's tests up to the first failure, and return their output, or nothing if all pass."""
    try:
        if suite in {"own", "machinery"}:
            pytest = [".venv/bin/pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
            run._step(STEPS[suite], pytest, cwd=_source(run, suite))
        elif suite in {"contract", "resources"}:
            with run.served() as service:
                run.accept(service, "-x", *tests)
        else:
            _fault_tests(run, tests)
    except StepFailed as failure:
        return str(failure)
    return ""


def _fault_tests(run: Run, tests: list[str]) -> None:
    # They render the project themselves, and have separate servers that they may kill.
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    with patch.dict(os.environ, {TEMPLATE_VARIABLE: str(_source(run, "faults"))}):
        run._step(STEPS["faults"], [*pytest, f"--variants={run.variant.name}"], cwd=REPOSITORY)


def _source(run: Run, suite: str) -> Path:
    """Return the folder in which a mutant of the suite is applied: a project, or a copy of the template."""
    return {"faults": run.folder / "template", "machinery": run.shop}.get(suite, run.project)


def _prepared(variant: Variant, servers: Servers, renderer: Renderer) -> Run:
    run = Run(variant, variables_for(dict(variant.answers), servers.of, "mutants"))
    run.folder = FOLDER / variant.name
    run.project, run.shop = run.folder / "project", run.folder / "shop"
    run.render(renderer)
    run.install()
    run.make_shop(renderer)
    run.migrate()
    shutil.copytree(TEMPLATE, run.folder / "template", ignore=NOT_TEMPLATE)
    return run


def _prepared_shop(run: Run, servers: Servers) -> Run:
    shop = run.of(run.shop, variables_for(dict(run.variant.answers), servers.of, "mutants-shop"))
    shop.migrate()
    return shop


@contextmanager
def _renderer() -> Iterator[Renderer]:
    with TemporaryDirectory() as folder:
        yield Renderer(Path(folder))


if __name__ == "__main__":
    sys.exit(main())
