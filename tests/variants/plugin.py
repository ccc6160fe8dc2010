"""The choice of variants, the fixtures that render them, and what a run says about them at its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.variants.rendering import Project, Renderer
from tests.variants.space import Variant, every_variant, variants_named
from tests.variants.table import Outcome, closing_line, table

WORDS = "variants to install, test and boot: covering (default), all, or names separated by commas"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the choice of variants, which VARIANTS in the environment makes too."""
    parser.addoption("--variants", default=os.environ.get("VARIANTS") or "covering", help=WORDS)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse names of no variant, and listen to what the tests of the others say."""
    try:
        variants_named(config.getoption("--variants"))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Summary())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `any_variant` with every variant, one that asks for `variant` with the chosen."""
    wish = metafunc.config.getoption("--variants")
    chosen = variants_named(wish)
    if "variant" in metafunc.fixturenames:
        _parametrize(metafunc, "variant", chosen)
    if "any_variant" in metafunc.fixturenames:
        _parametrize(metafunc, "any_variant", every_variant() if wish == "covering" else chosen)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no processor is idle at the end."""
    items.sort(key=lambda item: "variant" not in getattr(item, "fixturenames", ()))


class Summary:
    """What the tests of this run said about variants; with pytest-xdist, all of it reaches the one process that writes."""

    def __init__(self) -> None:
        self.rendered: set[str] = set()
        self.outcomes: list[Outcome] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a test recorded, once it is over."""
        if report.when != "teardown":
            return
        for name, value in report.user_properties:
            if name == "rendered":
                self.rendered.add(str(value))
            elif name == "outcome":
                self.outcomes.append(Outcome(**value))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the table and the closing line about variants."""
        if not self.rendered and not self.outcomes:
            return
        terminalreporter.section("variants")
        for line in table(self.outcomes) if self.outcomes else ():
            terminalreporter.write_line(line)
        skipped = len(terminalreporter.stats.get("skipped", ()))
        terminalreporter.write_line(closing_line(len(self.rendered), self.outcomes, skipped))


def _parametrize(metafunc: pytest.Metafunc, name: str, variants: tuple[Variant, ...]) -> None:
    # All tests of one variant go to one process, which renders it once.
    every = [
        pytest.param(variant, id=variant.name, marks=pytest.mark.xdist_group(variant.name))
        for variant in variants
    ]
    metafunc.parametrize(name, every, scope="module")


@pytest.fixture(scope="session")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    """What renders projects from the working tree."""
    return Renderer(tmp_path_factory.mktemp("rendered"))


@pytest.fixture(scope="module")
def _rendered(renderer: Renderer, any_variant: Variant) -> Iterator[Project]:
    rendered = renderer.render_variant(any_variant)
    yield rendered
    renderer.remove(rendered)


@pytest.fixture
def project(
    _rendered: Project, any_variant: Variant, record_property: Callable[[str, object], None]
) -> Project:
    """The project of one of all variants, rendered once for all its tests."""
    record_property("rendered", any_variant.name)
    return _rendered
