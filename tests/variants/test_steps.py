"""Steps that do not finish."""

from __future__ import annotations

import os
import shutil
import threading
import time
from _thread import interrupt_main
from collections.abc import Iterator

import pytest

from testkit.servers.process import processes_in
from tests.repository import VAR
from tests.variants.running import Run, StepFailed
from tests.variants.space import default_variant

# A server in a separate session, like Nginx under the service.
WITH_A_SERVER = ["sh", "-c", "setsid sleep 60 & wait"]


@pytest.fixture
def run() -> Iterator[Run]:
    run = Run(default_variant(), {})
    run.folder = VAR / f"given-up-{os.getpid()}"
    run.project = run.folder / "project"
    run.project.mkdir(parents=True)
    yield run
    shutil.rmtree(run.folder)


def test_a_step_that_takes_too_long_leaves_no_process_behind(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.variants.running.STEP_SECONDS", 0.5)
    with pytest.raises(StepFailed, match="did not end"):
        run._step("test", WITH_A_SERVER)
    assert processes_in(run.folder) == []


def test_a_step_that_is_interrupted_leaves_no_process_behind(run: Run) -> None:
    threading.Thread(target=_interrupt_when_it_serves, args=(run,)).start()
    with pytest.raises(KeyboardInterrupt):
        run._step("test", WITH_A_SERVER)
    assert processes_in(run.folder) == []


def _interrupt_when_it_serves(run: Run) -> None:
    while len(processes_in(run.folder)) < 2:
        time.sleep(0.02)
    interrupt_main()
