"""Every answer and every pair of answers end to end: on real servers, from their own requirements."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
import yaml

from testkit.servers import MongoServer, running_servers
from testkit.servers.variables import ServerOf, variables_for
from tests.repository import REPOSITORY
from tests.variants.interpreters import Interpreter, run_name
from tests.variants.machinery import TestFile, shares_of_tests
from tests.variants.passed import fingerprint, outcome_before, remember
from tests.variants.plugin import runs_named
from tests.variants.rendering import Renderer
from tests.variants.running import ACCEPTANCE, ANY_RESOURCES, Run, StepFailed
from tests.variants.space import Variant, default_variant
from tests.variants.table import Outcome

VariablesOf = Callable[[str], dict[str, str]]
Resources = list[dict[str, Any]]

WAREHOUSE = REPOSITORY / ANY_RESOURCES / "warehouse.yml"
# Their own tests run too.
OTHER_LISTS: Mapping[str, Resources] = {
    "empty": [],
    "warehouse": yaml.safe_load(WAREHOUSE.read_text(encoding="utf-8"))["resources"],
}


@pytest.fixture
def outcome(
    variant: Variant, interpreter: Interpreter, record_property: Callable[[str, object], None]
) -> Iterator[Outcome]:
    """The results of this variant for the table."""
    outcome = Outcome(run_name(variant, interpreter), variant.name, interpreter.version)
    started = time.monotonic()
    yield outcome
    outcome.seconds = time.monotonic() - started
    record_property("outcome", outcome.as_data())


@pytest.fixture
def mongodb(variant: Variant, server_of: ServerOf, outcome: Outcome) -> Iterator[MongoServer | None]:
    """The shared MongoDB, or a separate stand-in for this variant; None if it needs neither."""
    if variant["database"] != "mongodb":
        yield None
        return
    shared = server_of("mongodb")
    outcome.on_stand_in = shared.is_stand_in
    if not shared.is_stand_in:
        yield shared
        return
    # At each write it searches all writes of the last half hour, at most ten thousand: after
    # a hundred runs it took three times as much CPU for each. A new one takes a second.
    with running_servers({"mongodb"}) as servers:
        yield servers.mongodb


@pytest.fixture
def variables_of(
    variant: Variant, interpreter: Interpreter, server_of: ServerOf, mongodb: MongoServer | None
) -> VariablesOf:
    """Return a function that creates databases for a project, and returns their environment variables."""

    def own_server_of(kind: str) -> Any:
        return mongodb if kind == "mongodb" else server_of(kind)

    def variables_of(project: str) -> dict[str, str]:
        name = f"{run_name(variant, interpreter)}-{project}"
        return variables_for(dict(variant.answers), own_server_of, name)

    return variables_of


@pytest.fixture
def run(variant: Variant, interpreter: Interpreter, variables_of: VariablesOf, renderer: Renderer) -> Run:
    """This variant, rendered."""
    run = Run(variant, variables_of("project"), interpreter)
    run.render(renderer)
    return run


@pytest.fixture
def all_runs(pytestconfig: pytest.Config) -> list[tuple[Variant, Interpreter]]:
    """All selected runs."""
    return runs_named(pytestconfig.getoption("--variants"), pytestconfig.getoption("--interpreters"))


@pytest.fixture
def machinery(all_runs: list[tuple[Variant, Interpreter]], run: Run) -> list[TestFile]:
    """The tests of the machinery in this run."""
    return shares_of_tests(all_runs)[run.name]


@pytest.fixture
def other_lists(all_runs: list[tuple[Variant, Interpreter]], run: Run) -> Mapping[str, Resources]:
    """The lists of resources of this run besides the shop: all, if it is the first of its database."""
    firsts: dict[tuple[str | None, ...], str] = {}
    for variant, interpreter in all_runs:
        firsts.setdefault((variant["database"], variant["mongodb_driver"]), run_name(variant, interpreter))
    return OTHER_LISTS if run.name in firsts.values() else {}


def test_a_variant_installs_passes_its_own_tests_and_keeps_the_contract(
    pytestconfig: pytest.Config,
    run: Run,
    outcome: Outcome,
    renderer: Renderer,
    machinery: list[TestFile],
    variables_of: VariablesOf,
    other_lists: Mapping[str, Resources],
) -> None:
    earlier = outcome_before(run) if pytestconfig.getoption("--resume") else None
    if earlier:
        vars(outcome).update(vars(earlier) | {"resumed": True})
        return
    before = fingerprint(run)
    try:
        # The shop is taken through the part for any resources in each run.
        contract = [ACCEPTANCE] if other_lists else [ACCEPTANCE, "--ignore", ANY_RESOURCES]
        take_through(run, outcome, contract, isolated=pytestconfig.getoption("--isolated"))
        run.make_shop(renderer)
        outcome.machinery_files = [file.path for file in machinery]
        outcome.machinery_tests = run.test_machinery(outcome.machinery_files) if machinery else 0
        accept_resources(run.of(run.shop, variables_of("shop")), outcome)
        for name, resources in other_lists.items():
            run.make_other(renderer, run.folder / name, resources)
            other = run.of(run.folder / name, variables_of(name))
            outcome.tests += other.test()
            accept_resources(other, outcome)
    except StepFailed as failure:
        outcome.failed = failure.step
        run.keep_logs()
        pytest.fail(str(failure), pytrace=False)
    finally:
        outcome.step_seconds = run.step_seconds
    remember(run, outcome, before)


def take_through(run: Run, outcome: Outcome, contract: Sequence[str], *, isolated: bool) -> None:
    as_a_user = isolated or (run.variant == default_variant() and run.interpreter.is_this)
    install = run.install_as_a_user_does if as_a_user else run.install
    install()
    outcome.installed = True
    outcome.modules, outcome.import_seconds = run.import_service()
    outcome.tests = run.test()
    run.measure()
    run.migrate()
    run.follow_example()
    with run.served() as service:
        outcome.boot_seconds = service.boot_seconds
        outcome.contract_tests, outcome.contract_skipped = run.accept(service, *contract)
        outcome.answers = service.answered()


def accept_resources(run: Run, outcome: Outcome) -> None:
    """Take a project with other resources than the sample through the contract that fits any."""
    run.migrate()
    with run.served() as service:
        passed, skipped = run.accept(service, ANY_RESOURCES)
        outcome.resource_tests += passed
        outcome.contract_skipped += skipped
        outcome.answers += service.answered()
