"""The output of `make test`: a line for each phase while it runs, immediate failures, and a summary.

On a terminal the lines are updated in place; elsewhere each is written when its phase starts, ends, and every
minute.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.phases import PHASES, Phase, is_quick, phase_of
from tests.scope import rows_of

REDRAWN_SECONDS = 0.2
REPEATED_SECONDS = 60.0
SLOWEST = 10
# The weight of the expected time per test, as a share of its tests, relative to measured times.
PRIOR_SHARE = 0.05
COLUMNS = ("phase", "ran", "took", "not run", "how to run it")
OPTION = "--phases"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option by which `make test` turns this on."""
    parser.addoption(
        OPTION, action="store_true", help="show a line for each phase instead of a dot for each test"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and replace pytest's output for single tests."""
    config.addinivalue_line(
        "markers", "quick(name=value): in quick runs, if these are its answers or parameters"
    )
    config.addinivalue_line("markers", "thorough: in quick runs only for their variants")
    if config.getoption(OPTION) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(config))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect slow tests in a quick run."""
    if config.getoption("--variants") != "quick":
        return
    left_out = [item for item in items if not is_quick(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if is_quick(item)]
    counts = Counter(phase_of(item.nodeid).name for item in left_out)
    config.stash[LEFT_OUT] = counts
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = dict(counts)


LEFT_OUT = pytest.StashKey[Counter[str]]()


@dataclass
class Tally:
    """The state of one phase. Seconds are those of all processes together."""

    phase: Phase
    tests: int = 0
    done: int = 0
    failed: int = 0
    repeated: int = 0
    seconds: float = 0.0
    began_at: float = 0.0
    shown_at: float = 0.0

    @property
    def is_over(self) -> bool:
        """True once all its tests have run."""
        return self.done >= self.tests

    @property
    def seconds_left(self) -> float:
        """The time that its remaining tests will take, if they are like the earlier ones."""
        prior = 1 + PRIOR_SHARE * self.tests
        expected = prior * self.phase.expected_seconds + self.seconds
        return max(self.tests - self.done, 0) * expected / (prior + self.done)


class Progress:
    """A listener for the reports of all tests, from any process."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.tallies = {phase.name: Tally(phase) for phase in PHASES}
        self.durations: Counter[str] = Counter()
        self.began_at = time.monotonic()
        self.is_running = False
        self._redrawn_at = 0.0
        self._lines = 0

    @property
    def reporter(self) -> Any:
        """pytest's own writer to the terminal."""
        return self.config.pluginmanager.getplugin("terminalreporter")

    @property
    def in_place(self) -> bool:
        """True on a terminal, where lines can be overwritten."""
        return bool(self.reporter.isatty()) and os.environ.get("TERM", "dumb") != "dumb"

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Count the tests that the other processes have found; each has found the same."""
        self._count(ids)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Count the tests that the process has deselected."""
        self.config.stash[LEFT_OUT] = Counter(getattr(node, "workeroutput", {}).get("left_out", {}))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count the tests of a run in this one process."""
        if session.items:
            self._count(item.nodeid for item in session.items)

    def _count(self, ids: Iterable[str]) -> None:
        counts = Counter(phase_of(nodeid).name for nodeid in ids)
        for name, tally in self.tallies.items():
            tally.tests = counts[name]
        self.reporter.showfspath = False
        self.is_running = True

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self) -> Generator[None, tuple[str, str, Any], tuple[str, str, Any]]:
        """Count each test as pytest does, without its letter, until the summary."""
        category, letter, word = yield
        return (category, "", "") if self.is_running else (category, letter, word)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Record the start of a phase."""
        tally = self._tally(nodeid)
        if not tally.began_at:
            tally.began_at = tally.shown_at = time.monotonic()
            self._say(tally)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Show a failure at once, and the progress of its phase."""
        tally = self._tally(report.nodeid)
        tally.seconds += report.duration
        self.durations[report.nodeid] += report.duration  # type: ignore[assignment]
        if is_rerun(report):
            tally.repeated += 1
            self._show(report, "failed, and runs once more")
        elif report.failed:
            tally.failed += 1
            self._show(report, "failed" if report.when == "call" else f"failed in its {report.when}")
        if report.when == "teardown" and not is_rerun(report):
            tally.done += 1
            self._say(tally)
        self._redraw()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Show collection errors at once."""
        if report.failed:
            self._show(report, "cannot be collected")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Keep the lines. Failures were shown already, and are only listed at the end."""
        self._redraw(at_once=True)
        self._lines = 0
        self.is_running = False
        self.config.option.tbstyle = "no"

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Write the slowest tests and files, and a table of what ran, what did not, and how to run it."""
        files: Counter[str] = Counter()
        for nodeid, seconds in self.durations.items():
            files[nodeid.partition("::")[0]] += seconds
        for what, durations in (("tests", self.durations), ("files", files)):
            terminalreporter.section(f"slowest {what}")
            for name, seconds in durations.most_common(SLOWEST):
                terminalreporter.write_line(f"{seconds:7.1f} s  {name}")
        terminalreporter.section("what ran")
        left_out = self.config.stash.get(LEFT_OUT, Counter())
        tallies = sorted(self.tallies.values(), key=lambda tally: -tally.seconds)
        rows = [row for tally in tallies for row in rows_of(self.config, tally, left_out[tally.phase.name])]
        for line in aligned([COLUMNS, *rows]):
            terminalreporter.write_line(line)
        elapsed = time.monotonic() - self.began_at
        words = f"{spelled(elapsed)} in all; `took` is the time of all processes together, including waiting"
        terminalreporter.write_line(words)

    def _tally(self, nodeid: str) -> Tally:
        return self.tallies[phase_of(nodeid).name]

    def _show(self, report: Any, what: str) -> None:
        self._erase()
        name = getattr(report, "nodeid", "")
        self.reporter.write_sep("_", f"{name} {what}", red=True, bold=True)
        writer = self.config.get_terminal_writer()
        report.toterminal(writer)
        for title, text in getattr(report, "sections", ()):
            self.reporter.write_sep("-", title)
            self.reporter.write_line(text.rstrip("\n"))
        self._redraw(at_once=True)

    def _say(self, tally: Tally) -> None:
        """Write the line of the phase when it is due, unless lines can be overwritten."""
        now = time.monotonic()
        due = now - tally.shown_at > REPEATED_SECONDS or tally.done in {0, tally.tests}
        if not self.in_place and due:
            tally.shown_at = now
            self.reporter.write_line(f"[{clock(now - self.began_at)}] {self._line(tally)}")

    def _redraw(self, *, at_once: bool = False) -> None:
        if not self.in_place or (time.monotonic() - self._redrawn_at < REDRAWN_SECONDS and not at_once):
            return
        self._erase()
        lines = [self._line(tally) for tally in self.tallies.values() if tally.tests]
        left = self._left(sum(tally.seconds_left for tally in self.tallies.values()))
        lines.append(f"{clock(time.monotonic() - self.began_at)}{left}")
        for line in lines:
            self.reporter.write_line(line[: self.reporter._screen_width - 1])
        self._lines = len(lines)
        self._redrawn_at = time.monotonic()

    def _erase(self) -> None:
        if self._lines:
            self.reporter.write_raw(f"\x1b[{self._lines}F\x1b[J")
            self._lines = 0

    def _line(self, tally: Tally) -> str:
        width = max(len(phase.name) for phase in PHASES)
        facts = [f"{tally.done:5} of {tally.tests:5}"]
        facts += [f"{tally.failed} FAILED"] if tally.failed else []
        facts += [f"{tally.repeated} repeated"] if tally.repeated else []
        facts += ["done"] if tally.is_over else []
        left = "" if tally.is_over or not tally.began_at else self._left(tally.seconds_left)
        return f"{tally.phase.name.ljust(width)}  {', '.join(facts)}{left}"

    def _left(self, seconds: float) -> str:
        """Return the time left for this many seconds of work, at the current pace of all processes."""
        elapsed = time.monotonic() - self.began_at
        pace = max(sum(tally.seconds for tally in self.tallies.values()) / max(elapsed, 1), 1)
        return f", about {spelled(seconds / pace)} left"


def is_rerun(report: Any) -> bool:
    """Return whether the test has failed and will run once more: an outcome of pytest-rerunfailures."""
    return bool(report.outcome == "rerun")


def clock(seconds: float) -> str:
    """Return minutes and seconds: `2:05`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def spelled(seconds: float) -> str:
    """Return a time in words: `40 s`, `3 min`."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one line per row, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
