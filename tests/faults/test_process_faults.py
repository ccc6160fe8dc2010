"""The service's own processes are stopped and killed while requests are in progress."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from threading import Semaphore

import pytest

from tests.faults.clients import CLIENT_SECONDS, ITEMS, Load, draft, new_client
from tests.faults.deployment import GRACEFUL_SECONDS, POLL_SECONDS, WORKERS, Deployment
from tests.faults.plugin import Note
from tests.faults.processes import descendants, held_directories, is_alive, unread_bytes

pytestmark = pytest.mark.depends("database", "deployment", once=("mongodb_driver", "cache"))

REPLACED_SECONDS = 30.0
BETWEEN_ANSWERS_SECONDS = 5.0
# Until the workers are notified: Uvicorn's manager checks for signals twice a second.
STOPPING_SECONDS = 1.0


def test_a_stop_completes_every_accepted_request(service: Deployment, note: Note) -> None:
    """While the database is frozen, the requests are certainly in progress; then it resumes."""
    service.running(DATABASE_TIMEOUT_SECONDS=GRACEFUL_SECONDS)
    assert service.process is not None
    items, sent = [draft() for _ in range(20)], Semaphore(0)

    def note_sent(step: str, _: object) -> None:
        if step == "http11.send_request_body.complete":
            sent.release()

    def create_noting_when_sent(item: dict[str, object]) -> int:
        with new_client(service.url) as client:
            return client.post(ITEMS, json=item, extensions={"trace": note_sent}).status_code

    with ThreadPoolExecutor(len(items)) as threads:
        with service.database.frozen():
            answering = threads.map(create_noting_when_sent, items)
            assert all(sent.acquire(timeout=CLIENT_SECONDS) for _ in items)
            while unread_bytes(service.port):
                time.sleep(POLL_SECONDS)
            stopped_at = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            time.sleep(STOPPING_SECONDS)
        statuses = list(answering)
    code = service.process.wait(GRACEFUL_SECONDS + 10)
    seconds = time.monotonic() - stopped_at
    service.start()

    assert statuses == [201] * 20
    assert code == 0
    assert seconds < GRACEFUL_SECONDS
    assert {item["name"] for item in items} <= service.stored_names()
    note("SIGTERM, 20 requests in progress", seconds, "to exit code 0; 20 of 20 responses are 201")


def test_a_stop_under_load_ends_in_time_and_loses_nothing(service: Deployment, note: Note) -> None:
    with Load(service.url) as load:
        time.sleep(0.5)
        code, seconds = service.stop()
    service.start()

    assert code == 0
    assert seconds < GRACEFUL_SECONDS
    assert not load.acknowledged() - service.stored_names()
    assert {answer.status for answer in load.answers} <= {0, 201, 404}
    cut = [answer for answer in load.answers if "incomplete" in answer.text or "chunk" in answer.text]
    assert not cut, "A response that has begun is sent completely."
    note("SIGTERM under load", seconds, f"to exit code 0; {len(load.acknowledged())} acknowledged, none lost")


def test_a_killed_worker_is_replaced_while_its_siblings_serve(service: Deployment, note: Note) -> None:
    with Load(service.url) as load:
        time.sleep(0.5)
        victim = service.kill_worker()
        killed_at = time.monotonic()
        while victim in service.workers() or len(service.workers()) < WORKERS:
            assert time.monotonic() - killed_at < REPLACED_SECONDS, service.last_words()
            time.sleep(0.02)
        replaced = time.monotonic() - killed_at
        load.wait_for(lambda answer: answer.status == 201 and answer.sent_at > killed_at + replaced, 10)
    service.wait_until_ready()

    after = sorted(answer.ended_at for answer in load.answers if answer.status in {201, 404})
    gap = max(later - earlier for earlier, later in pairwise(after))
    failed = [answer for answer in load.answers if answer.status not in {201, 404}]
    assert gap < BETWEEN_ANSWERS_SECONDS, "The siblings serve."
    assert len(failed) <= len(load.threads), failed
    assert {answer.status for answer in failed} <= {0, 502}, failed
    assert not load.acknowledged() - service.stored_names()
    note(
        "worker killed under load",
        replaced,
        f"to its replacement; {len(failed)} of {len(load.answers)} requests failed, "
        f"longest time without a response {gap:.2f} s",
    )


def test_a_frozen_worker_does_not_hold_up_a_stop(service: Deployment, note: Note) -> None:
    os.kill(service.workers()[0], signal.SIGSTOP)
    code, seconds = service.stop()
    service.start()

    assert seconds > GRACEFUL_SECONDS, "It is given the time that a worker has for its requests."
    note("SIGTERM, one worker frozen", seconds, f"to exit code {code}")


@pytest.mark.parametrize("at_work", [False, True], ids=["idle", "at work"])
def test_workers_end_with_a_killed_manager(service: Deployment, note: Note, at_work: bool) -> None:
    """Otherwise they keep the port, and no process replaces or stops them."""
    assert service.process is not None
    below, held = descendants(service.pid), held_directories(service.pid)
    assert len(below) >= WORKERS
    assert held
    load = Load(service.url)
    if at_work:
        load.__enter__()
    killed_at = time.monotonic()
    service.process.kill()
    service.process.wait()
    while any(map(is_alive, below)):
        assert time.monotonic() - killed_at < GRACEFUL_SECONDS, [pid for pid in below if is_alive(pid)]
        time.sleep(POLL_SECONDS)
    seconds = time.monotonic() - killed_at
    if at_work:
        load.__exit__()
    service.start()

    assert not [path for path in held if path.exists()], "A later start removes directories without a holder."
    assert not load.acknowledged() - service.stored_names()
    note(
        f"manager killed, {'busy' if at_work else 'idle'}",
        seconds,
        f"to the end of {len(below)} processes",
    )


def test_the_directories_of_a_service_that_runs_are_left_alone(service: Deployment) -> None:
    held = held_directories(service.pid)
    twin = Deployment(service.run, service.database, service.redis, service.variables)
    try:
        twin.start()
        assert held
        assert all(path.exists() for path in held)
        assert not held & held_directories(twin.pid)
    finally:
        # `stop` would also end other processes in this folder.
        if twin.process is not None:
            twin.process.send_signal(signal.SIGTERM)
            twin.process.wait(2 * GRACEFUL_SECONDS)
    assert is_alive(service.pid)
    assert all(path.exists() for path in held)


# Until the manager knows that a worker serves: it asks twice a second, and reads the reply at its next turn.
KNOWN_SECONDS = 3.0
SLOW_START_SECONDS = 8
# Only in the workers: Uvicorn's are separate Pythons, and in the other servers they import the app.
SLOW_START = f"""
import sys, time

class SlowImport:
    def find_spec(self, name, *_):
        if name == "app.main":
            sys.meta_path.remove(self)
            time.sleep({SLOW_START_SECONDS})

if "spawn_main" in " ".join(sys.orig_argv):
    time.sleep({SLOW_START_SECONDS})
sys.meta_path.insert(0, SlowImport())
"""


@pytest.fixture
def impatient(deployment: Deployment) -> Iterator[Deployment]:
    """A service whose manager waits for a serving worker for less time than a start takes."""
    settings = deployment.run.project / "deploy/gunicorn/gunicorn.conf.py"
    original = settings.read_text() if settings.exists() else ""
    if original:
        assert "\ntimeout = 30\n" in original
        settings.write_text(original.replace("\ntimeout = 30\n", f"\ntimeout = {SLOW_START_SECONDS // 2}\n"))
    yield deployment
    if original:
        settings.write_text(original)
    deployment.stop()


def test_a_worker_that_starts_slowly_is_not_killed(impatient: Deployment, tmp_path: Path, note: Note) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_START)
    impatient.kill()
    seconds = impatient.start(PYTHONPATH=tmp_path)

    assert seconds > SLOW_START_SECONDS
    assert impatient.started_workers() == WORKERS
    log = impatient.log.read_bytes()[impatient.log_begins_at :].decode()
    assert "died" not in log
    assert "WORKER TIMEOUT" not in log
    note("a slow start", seconds, f"of {WORKERS} workers, none of them killed")


@pytest.mark.only(deployment={"uvicorn", "gunicorn"})
def test_a_worker_that_hangs_is_replaced(impatient: Deployment, note: Note) -> None:
    impatient.running()
    time.sleep(KNOWN_SECONDS)
    victim = impatient.workers()[0]
    impatient.starts += 1
    stopped_at = time.monotonic()
    os.kill(victim, signal.SIGSTOP)
    while is_alive(victim):
        assert time.monotonic() - stopped_at < REPLACED_SECONDS, impatient.last_words()
        time.sleep(POLL_SECONDS)
    note("a worker that hangs", time.monotonic() - stopped_at, "until it was killed")
    impatient.wait_until_ready()
