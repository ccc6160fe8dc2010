"""The choice of variants, the fixtures that render them, and the summary of a run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.repository import REPOSITORY, TEMPLATE, VAR
from tests.shared import shared_folder
from tests.variants.batches import Batch, Batches
from tests.variants.environments import clean_environment, environment_of_all
from tests.variants.interpreters import (
    Interpreter,
    fetch_missing,
    found_interpreters,
    interpreters_named,
    run_name,
    this_interpreter,
)
from tests.variants.rendering import Project, Renderer
from tests.variants.shares import shares
from tests.variants.space import Variant, covering_variants, every_variant, variants_named
from tests.variants.table import (
    Outcome,
    closing_line,
    machinery_line,
    steps_line,
    table,
    write_results,
)

RESULTS = VAR / "results"
WORDS = "variants to install, test and boot: covering (default), quick, all, or names separated by commas"
PYTHONS = "versions such as 3.12,3.13; default: the current one, or shares of the covering set"
FETCH = "fetch missing supported Pythons, if the chosen variants run on them"
RESUME = "skip variants that passed before, if neither project nor tests have changed since"
ISOLATED = "install each variant with its own `make install`, instead of environments that equal ones share"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the choice of variants, which VARIANTS in the environment sets, too."""
    parser.addoption("--variants", default=os.environ.get("VARIANTS") or "covering", help=WORDS)
    parser.addoption("--interpreters", default=os.environ.get("INTERPRETERS", ""), help=PYTHONS)
    parser.addoption("--fetch-interpreters", action="store_true", help=FETCH)
    parser.addoption("--resume", action="store_true", default=bool(os.environ.get("RESUME")), help=RESUME)
    parser.addoption(
        "--isolated", action="store_true", default=bool(os.environ.get("ISOLATED")), help=ISOLATED
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse unknown variants and interpreters, and collect the reports of the others' tests."""
    not_fetched = _fetch(config)
    try:
        runs_named(config.getoption("--variants"), config.getoption("--interpreters"))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Summary(not_fetched))


def _fetch(config: pytest.Config) -> list[str]:
    """Fetch the Pythons that this run lacks; return a line for each that is not available."""
    on_others = config.getoption("--variants") in {"covering", "all"} or config.getoption("--interpreters")
    in_control = not hasattr(config, "workerinput")
    wanted = config.getoption("--fetch-interpreters") and on_others and in_control
    return fetch_missing() if wanted else []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests that use `any_variant` with every variant, and those of `variant` with the chosen ones."""
    wish = metafunc.config.getoption("--variants")
    if "variant" in metafunc.fixturenames:
        runs = runs_named(wish, metafunc.config.getoption("--interpreters"))
        metafunc.parametrize(("variant", "interpreter"), runs, ids=[run_name(*run) for run in runs])
    if "any_variant" in metafunc.fixturenames:
        chosen = checked_variants(wish)
        # The first test of a variant renders it for all of them.
        ids = [variant.name for variant in chosen]
        metafunc.parametrize("any_variant", chosen, ids=ids, scope="session")


def checked_variants(wish: str) -> tuple[Variant, ...]:
    """Return the variants to render and check: all of them, unless some are named."""
    return every_variant() if wish in {"quick", "covering"} else variants_named(wish)


def runs_named(variants: str, interpreters: str) -> list[tuple[Variant, Interpreter]]:
    """Return each chosen variant with the interpreters that it runs on.

    The Pythons share the covering set. Of all variants, each runs on the current Python, and the covering set
    on each of the others. Interpreters that are named run all chosen variants. Raises `ValueError`.
    """
    chosen = variants_named(variants)
    if interpreters:
        return [(variant, python) for python in interpreters_named(interpreters) for variant in chosen]
    if variants == "covering":
        pythons = found_interpreters()
        parts = zip(pythons, shares(chosen, len(pythons)), strict=True)
        return [(variant, python) for python, share in parts for variant in share]
    others = found_interpreters()[1:] if variants == "all" else ()
    here = [(variant, this_interpreter()) for variant in chosen]
    return here + [(variant, python) for python in others for variant in covering_variants()]


class Summary:
    """The results of variants in this run, from all processes."""

    def __init__(self, not_fetched: list[str]) -> None:
        self.not_fetched = not_fetched
        self.rendered: set[str] = set()
        self.drawn: Counter[str] = Counter()
        self._outcomes: dict[str, Outcome] = {}

    @property
    def outcomes(self) -> list[Outcome]:
        """The results of the runs; for a repeated one, those of the last try."""
        return list(self._outcomes.values())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the results of a test when it has ended."""
        if report.when != "teardown":
            return
        properties: list[tuple[str, Any]] = report.user_properties
        for name, value in properties:
            if name == "rendered":
                self.rendered.add(str(value))
            elif name == "drawn":
                self.drawn.update(value)
            elif name == "outcome":
                self.rendered.add(value["variant"])
                self._keep(Outcome(**value))

    def _keep(self, outcome: Outcome) -> None:
        earlier = self._outcomes.get(outcome.run)
        outcome.repeated_for = (earlier.failed or earlier.repeated_for) if earlier else ""
        self._outcomes[outcome.run] = outcome

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the table and the closing lines about variants and drawn resources."""
        if self.drawn:
            facts = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in self.drawn.items())
            terminalreporter.write_line(f"Random resources: {facts}")
        if not self.rendered and not self.outcomes:
            return
        terminalreporter.section("variants")
        totals = (steps_line(self.outcomes), machinery_line(self.outcomes))
        for line in [*table(self.outcomes), *totals] if self.outcomes else ():
            terminalreporter.write_line(line)
        skipped = len(terminalreporter.stats.get("skipped", ()))
        closing = closing_line(len(self.rendered), self.outcomes, skipped)
        write_results(RESULTS, self.outcomes, closing)
        for line in self.not_fetched:
            terminalreporter.write_line(line)
        terminalreporter.write_line(f"The same as Markdown and JSON: {RESULTS.relative_to(REPOSITORY)}")
        terminalreporter.write_line(closing)


@pytest.fixture(scope="session")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    """The renderer of projects from the working tree."""
    return Renderer(tmp_path_factory.mktemp("rendered"))


@pytest.fixture(scope="session")
def tools() -> Path:
    """The environment that any variant can use."""
    return environment_of_all()


@pytest.fixture(scope="session")
def _batches(renderer: Renderer, tools: Path, pytestconfig: pytest.Config) -> Iterator[Batches]:
    chosen = checked_variants(pytestconfig.getoption("--variants"))
    batches = Batches(renderer, chosen, tools)
    yield batches
    batches.close()


@pytest.fixture
def batch(_batches: Batches, any_variant: Variant) -> Batch:
    """The variants that are rendered and linted together with this one."""
    return _batches.of(any_variant)


@pytest.fixture
def project(batch: Batch, any_variant: Variant, record_property: Callable[[str, object], None]) -> Project:
    """The project of one of all variants, rendered once for all its tests."""
    record_property("rendered", any_variant.name)
    return batch.projects[any_variant]


@pytest.fixture(scope="session")
def types_cache(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of mypy for all variants of this process, in which their imports were analyzed before.

    Files that are equal in two variants are analyzed once.
    """

    def fill(folder: Path) -> None:
        command = [str(tools / "bin" / "mypy"), "--cache-dir", str(folder / "mypy")]
        subprocess.run(command, cwd=TEMPLATE, env=clean_environment(), capture_output=True, check=False)

    filled = shared_folder(tmp_path_factory, "types", fill)
    own = tmp_path_factory.mktemp("types") / "mypy"
    return Path(shutil.copytree(filled / "mypy", own))
