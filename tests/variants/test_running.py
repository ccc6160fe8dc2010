"""Every answer and every pair of answers, as its user runs it: on real servers, from its own requirements."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from zlib import crc32

import pytest

from tests.servers import MongoServer, Nginx, PostgresServer, RedisServer
from tests.variants.interpreters import Interpreter
from tests.variants.passed import fingerprint, outcome_before, remember
from tests.variants.rendering import Renderer
from tests.variants.running import Run, StepFailed, run_name
from tests.variants.space import Variant, default_variant
from tests.variants.table import Outcome

Variables = dict[str, str]


def database_names(run: str) -> tuple[str, str]:
    """Return the names of this run's database for the project's tests and of the one that it serves from."""
    # MongoDB and PostgreSQL take 63 characters.
    name = f"variant_{crc32(run.encode()):08x}"
    return f"{name}_test", f"{name}_contract_test"


@pytest.fixture
def outcome(
    variant: Variant, interpreter: Interpreter, record_property: Callable[[str, object], None]
) -> Iterator[Outcome]:
    """What the table says about this variant."""
    outcome = Outcome(run_name(variant, interpreter), variant.name, interpreter.version)
    started = time.monotonic()
    yield outcome
    outcome.seconds = time.monotonic() - started
    record_property("outcome", outcome.as_data())


def sqlite_variables(_request: pytest.FixtureRequest, _run: str) -> Variables:
    return {"DATABASE_URL": "sqlite:///var/items.db"}


def postgres_variables(request: pytest.FixtureRequest, run: str) -> Variables:
    server: PostgresServer = request.getfixturevalue("postgres_server")
    tests, contract = database_names(run)
    return {"TEST_DATABASE_URL": server.database(tests), "DATABASE_URL": server.database(contract)}


def mongodb_variables(request: pytest.FixtureRequest, run: str) -> Variables:
    server: MongoServer = request.getfixturevalue("mongodb_server")
    request.getfixturevalue("outcome").on_stand_in = server.is_stand_in
    tests, contract = database_names(run)
    return {"TEST_DATABASE_URL": server.database(tests), "DATABASE_URL": server.database(contract)}


def redis_variables(request: pytest.FixtureRequest, _run: str) -> Variables:
    server: RedisServer = request.getfixturevalue("redis_server")
    return {"TEST_REDIS_URL": server.database(), "REDIS_URL": server.database()}


def nginx_variables(request: pytest.FixtureRequest, _run: str) -> Variables:
    server: Nginx = request.getfixturevalue("nginx")
    return server.environment


# What an answer needs outside the project; the servers start when the first variant needs them.
VARIABLES_OF_ANSWERS = {
    "sqlite": sqlite_variables,
    "postgres": postgres_variables,
    "mongodb": mongodb_variables,
    "redis": redis_variables,
    "nginx": nginx_variables,
}


@pytest.fixture
def server_variables(request: pytest.FixtureRequest, variant: Variant, interpreter: Interpreter) -> Variables:
    """The variables that lead to this variant's servers."""
    needed = (VARIABLES_OF_ANSWERS[value] for _, value in variant.answers if value in VARIABLES_OF_ANSWERS)
    name = run_name(variant, interpreter)
    return {key: value for variables in needed for key, value in variables(request, name).items()}


@pytest.fixture
def run(variant: Variant, interpreter: Interpreter, server_variables: Variables, renderer: Renderer) -> Run:
    """This variant, rendered."""
    run = Run(variant, server_variables, interpreter)
    run.render(renderer)
    return run


def test_a_variant_installs_passes_its_own_tests_and_keeps_the_contract(
    pytestconfig: pytest.Config, run: Run, outcome: Outcome
) -> None:
    earlier = outcome_before(run) if pytestconfig.getoption("--resume") else None
    if earlier:
        vars(outcome).update(vars(earlier) | {"resumed": True})
        return
    before = fingerprint(run)
    try:
        take_through(run, outcome, isolated=pytestconfig.getoption("--isolated"))
    except StepFailed as failure:
        outcome.failed = failure.step
        run.keep_logs()
        pytest.fail(str(failure), pytrace=False)
    finally:
        outcome.step_seconds = run.step_seconds
    remember(run, outcome, before)


def take_through(run: Run, outcome: Outcome, *, isolated: bool) -> None:
    as_a_user = isolated or (run.variant == default_variant() and run.interpreter.is_this)
    install = run.install_as_a_user_does if as_a_user else run.install
    install()
    outcome.installed = True
    outcome.modules, outcome.import_seconds = run.import_service()
    outcome.tests = run.test()
    run.migrate()
    with run.served() as service:
        outcome.boot_seconds = service.boot_seconds
        outcome.contract_tests, outcome.contract_skipped = run.accept(service)
        outcome.answers = service.answered()
