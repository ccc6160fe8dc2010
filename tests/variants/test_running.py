"""Every answer and every pair of answers, as its user runs it: on real servers, from its own requirements."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.servers import MongoServer, Nginx, PostgresServer, RedisServer
from tests.variants.rendering import Renderer
from tests.variants.running import Run, StepFailed
from tests.variants.space import Variant, default_variant
from tests.variants.table import Outcome

Variables = dict[str, str]


def database_names(variant: Variant) -> tuple[str, str]:
    """Return the names of this variant's database for its own tests and of the one that it serves from."""
    name = variant.name.replace("-", "_")
    return f"{name}_test", f"{name}_contract_test"


@pytest.fixture
def outcome(variant: Variant, record_property: Callable[[str, object], None]) -> Iterator[Outcome]:
    """What the run's table says about this variant."""
    outcome = Outcome(variant.name)
    started = time.monotonic()
    yield outcome
    outcome.seconds = time.monotonic() - started
    record_property("outcome", outcome.as_data())


def sqlite_variables(_request: pytest.FixtureRequest, _variant: Variant) -> Variables:
    return {"DATABASE_URL": "sqlite:///var/items.db"}


def postgres_variables(request: pytest.FixtureRequest, variant: Variant) -> Variables:
    server: PostgresServer = request.getfixturevalue("postgres_server")
    tests, contract = database_names(variant)
    return {"TEST_DATABASE_URL": server.database(tests), "DATABASE_URL": server.database(contract)}


def mongodb_variables(request: pytest.FixtureRequest, variant: Variant) -> Variables:
    server: MongoServer = request.getfixturevalue("mongodb_server")
    request.getfixturevalue("outcome").on_stand_in = server.is_stand_in
    tests, contract = database_names(variant)
    return {"TEST_DATABASE_URL": server.database(tests), "DATABASE_URL": server.database(contract)}


def redis_variables(request: pytest.FixtureRequest, _variant: Variant) -> Variables:
    server: RedisServer = request.getfixturevalue("redis_server")
    return {"TEST_REDIS_URL": server.database(), "REDIS_URL": server.database()}


def nginx_variables(request: pytest.FixtureRequest, _variant: Variant) -> Variables:
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
def server_variables(request: pytest.FixtureRequest, variant: Variant) -> Variables:
    """The variables that lead to this variant's servers."""
    needed = (VARIABLES_OF_ANSWERS[value] for _, value in variant.answers if value in VARIABLES_OF_ANSWERS)
    return {name: value for variables in needed for name, value in variables(request, variant).items()}


@pytest.fixture
def run(variant: Variant, server_variables: Variables, renderer: Renderer) -> Run:
    """This variant, rendered."""
    run = Run(variant, server_variables)
    run.render(renderer)
    return run


def test_a_variant_installs_passes_its_own_tests_and_keeps_the_contract(
    variant: Variant, run: Run, outcome: Outcome
) -> None:
    try:
        take_through(run, outcome)
    except StepFailed as failure:
        outcome.failed = failure.step
        pytest.fail(str(failure), pytrace=False)


def take_through(run: Run, outcome: Outcome) -> None:
    install = run.install_as_a_user_does if run.variant == default_variant() else run.install
    install()
    outcome.installed = True
    outcome.tests = run.test()
    run.migrate()
    with run.served() as service:
        outcome.boot_seconds = service.boot_seconds
        outcome.contract_tests, outcome.contract_skipped = run.accept(service)
        outcome.answers = service.answered()
