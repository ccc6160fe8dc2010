"""The selection of variants for fault tests, and the table of measured times.

The outcome of a fault depends on few answers. `depends` names the questions, for a file or a test: it runs
with every pair of answers to them, and with each answer to those in `once`, but not on all variants.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from unittest.mock import patch

import pytest

from testkit.servers import Servers, running_servers
from testkit.servers.postgres import TUNING
from tests.faults.databases import Database, Mongo, Postgres, Sqlite
from tests.faults.deployment import FOLDER, Deployment, FaultRun
from tests.schedule import group_of
from tests.variants.few import Facts, few, pairs, singles
from tests.variants.interpreters import (
    Interpreter,
    found_interpreters,
    interpreters_named,
    run_name,
    this_interpreter,
)
from tests.variants.rendering import Renderer
from tests.variants.space import Variant, covering_variants_unpaired, variants_named, varied_questions

SERVERS = {"postgres", "mongodb", "redis", "nginx"}
SOURCES = ("system", "wheels")
# The answers that most faults depend on.
MOST = ("database", "deployment")
HEADINGS = ("fault", "variant", "s", "measured")


@dataclass(frozen=True)
class Fault:
    """The effect of one fault on one variant."""

    fault: str
    variant: str
    measured: str
    seconds: float


def fault_variants(wish: str) -> tuple[Variant, ...]:
    """Return the variants to test with faults: a covering set, also for `all`, or those that are named.

    Their clients have no credentials: faults do not depend on the caller.
    """
    return covering_variants_unpaired() if wish in {"covering", "all"} else variants_named(wish)


def fault_interpreter(variant: Variant, wish: str, interpreters: str) -> Interpreter:
    """Return the Python of the variant: those of the covering set alternate between the Pythons.

    Others run on the current Python, or on the first of those that are named.
    """
    if interpreters:
        return interpreters_named(interpreters)[0]
    if wish not in {"covering", "all"}:
        return this_interpreter()
    pythons = found_interpreters()
    return pythons[covering_variants_unpaired().index(variant) % len(pythons)]


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and collect the measurements of the tests."""
    for words in (
        "only(question={answers}): run this fault only for variants with one of these answers",
        "depends(*questions, once=()): run it with each pair of answers, and each of those to `once`",
    ):
        config.addinivalue_line("markers", words)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Summary())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses `fault_variant` with few of the variants that its markers allow."""
    if "fault_variant" not in metafunc.fixturenames:
        return
    chosen = variants_of(metafunc.definition, metafunc.config.getoption("--variants"))
    metafunc.parametrize(
        "fault_variant", [pytest.param(variant, id=variant.name) for variant in chosen], scope="session"
    )


def variants_of(test: pytest.Item, wish: str) -> list[Variant]:
    """Return the variants that the test runs on: few of a covering set, but all of those that are named."""
    wanted: dict[str, set[str]] = {}
    for mark in test.iter_markers("only"):
        wanted |= mark.kwargs
    allowed = [
        variant
        for variant in fault_variants(wish)
        if all(variant[question] in answers for question, answers in wanted.items())
    ]
    depends = test.get_closest_marker("depends")
    if depends is None:
        raise ValueError(f"{test.nodeid}: pytest.mark.depends is missing, the questions that it depends on.")
    return _few_of(allowed, depends) if wish in {"covering", "all"} else allowed


def _few_of(allowed: Sequence[Variant], depends: pytest.Mark) -> list[Variant]:
    once = depends.kwargs.get("once", ())
    assert {*depends.args, *once} <= varied_questions()

    def facts(variant: Variant) -> Facts:
        answers = dict(variant.answers)
        return pairs(answers, depends.args) | singles(answers, once)

    # First those on which most faults run: fewer variants have to be installed and started.
    most = list(few(fault_variants("covering"), lambda variant: pairs(dict(variant.answers), MOST)))
    ordered = sorted(allowed, key=lambda variant: most.index(variant) if variant in most else len(most))
    chosen = set(few(ordered, facts))
    return [variant for variant in allowed if variant in chosen]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that apply to none of the chosen variants."""
    asking = [item for item in items if "fault_variant" in getattr(item, "fixturenames", ())]
    without = [item for item in asking if "NOTSET" in item.name]
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]


class Summary:
    """The table of faults; with pytest-xdist, one process collects and writes it."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.ran: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the measurements of a test when it has ended."""
        properties: list[tuple[str, Any]] = report.user_properties if report.when == "teardown" else []
        self.faults += [Fault(**value) for name, value in properties if name == "fault"]
        before, is_fault, variant = group_of(report.nodeid).partition("faults of ")
        if is_fault and not before and report.when == "teardown":
            self.ran[variant] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write one line per fault and variant."""
        if not self.ran:
            return
        terminalreporter.section("faults")
        faults = sorted(self.faults, key=lambda fault: (fault.fault, fault.variant))
        for line in table(faults):
            terminalreporter.write_line(line)
        terminalreporter.write_line(closing_line(faults))
        for variant, count in self.ran.most_common():
            terminalreporter.write_line(f"{count:5} tests on {variant}")
        leave(faults)


def table(faults: list[Fault]) -> list[str]:
    """Return one line per fault and variant, below a line of headings."""
    rows = [HEADINGS, *map(_row, faults)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def closing_line(faults: list[Fault]) -> str:
    """Return a line with the numbers of measured faults and variants."""
    kinds, variants = {fault.fault for fault in faults}, {fault.variant for fault in faults}
    return f"Faults: {len(faults)} measured, of {len(kinds)} kinds, on {len(variants)} variants"


def leave(faults: list[Fault]) -> None:
    """Write the table to `var/faults`, as Markdown and as JSON."""
    lines = [f"| {' | '.join(row)} |" for row in (HEADINGS, ("---",) * len(HEADINGS), *map(_row, faults))]
    told = [*lines, "", closing_line(faults), ""]
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "faults.md").write_text("\n".join(told), encoding="utf-8")
    data = json.dumps([asdict(fault) for fault in faults], indent=2)
    (FOLDER / "faults.json").write_text(data + "\n", encoding="utf-8")


def _row(fault: Fault) -> tuple[str, ...]:
    return fault.fault, fault.variant, f"{fault.seconds:.2f}", fault.measured


Note = Callable[[str, float, str], None]


@pytest.fixture(scope="session")
def interpreter_under_faults(fault_variant: Variant, pytestconfig: pytest.Config) -> Interpreter:
    """The Python on which the faults of the variant run."""
    chosen = pytestconfig.getoption("--variants"), pytestconfig.getoption("--interpreters")
    return fault_interpreter(fault_variant, *chosen)


@pytest.fixture
def note(
    fault_variant: Variant,
    interpreter_under_faults: Interpreter,
    record_property: Callable[[str, object], None],
) -> Note:
    """A function that adds a line to the table: the fault, the measured seconds, and their meaning."""

    def note(fault: str, seconds: float, measured: str) -> None:
        name = run_name(fault_variant, interpreter_under_faults)
        record_property("fault", asdict(Fault(fault, name, measured, seconds)))

    return note


@pytest.fixture(scope="session")
def fault_servers(fault_variant: Variant) -> Iterator[Servers]:
    """Servers that only this variant uses; PostgreSQL syncs every commit, as it does in production."""
    kinds = {value for _, value in fault_variant.answers} & SERVERS
    durable = {"fsync": "on", "full_page_writes": "on"}
    with patch.dict(TUNING, durable), running_servers(kinds, SOURCES) as servers:
        yield servers


def database_of(variant: Variant, servers: Servers, run: FaultRun) -> Database:
    """Return an empty database for the variant."""
    if variant["database"] == "postgres":
        return Postgres(servers.postgres)
    if variant["database"] == "mongodb":
        return Mongo(servers.mongodb)
    return Sqlite(run.folder)


@pytest.fixture(scope="session")
def deployment(
    fault_variant: Variant,
    interpreter_under_faults: Interpreter,
    fault_servers: Servers,
    renderer: Renderer,
) -> Iterator[Deployment]:
    """The variant: rendered, installed and migrated, but not started."""
    run = FaultRun(fault_variant, interpreter=interpreter_under_faults)
    run.render(renderer)
    run.add_routes_of_an_owner()
    run.install()
    database = database_of(fault_variant, fault_servers, run)
    redis = fault_servers.redis if fault_variant["cache"] == "redis" else None
    run.servers = dict(database.variables)
    if redis is not None:
        run.servers["REDIS_URL"] = redis.database()
    if fault_variant["deployment"] == "nginx":
        run.servers |= fault_servers.nginx.environment
    run.migrate()
    deployment = Deployment(run, database, redis, run.servers)
    yield deployment
    deployment.kill()


@pytest.fixture
def service(deployment: Deployment) -> Deployment:
    """The variant's service, running with the usual settings."""
    deployment.running()
    return deployment
