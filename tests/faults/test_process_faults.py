"""The service's own processes are stopped and killed while requests are under way."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from tests.faults.clients import CLIENT_SECONDS, Answer, Load, create, new_client
from tests.faults.deployment import GRACEFUL_SECONDS, WORKERS, Deployment
from tests.faults.plugin import Note

REPLACED_SECONDS = 30.0
BETWEEN_ANSWERS_SECONDS = 5.0


def test_a_stop_answers_every_request_that_was_accepted(service: Deployment, note: Note) -> None:
    """While the database stands still the requests are under way for sure; then it goes on."""
    assert service.process is not None
    sent = threading.Barrier(21)

    def create_when_all_are_ready() -> Answer:
        with new_client(service.url) as client:
            client.get("/health/live")
            sent.wait(CLIENT_SECONDS)
            return create(client)

    with ThreadPoolExecutor(20) as threads:
        with service.database.frozen():
            waiting = [threads.submit(create_when_all_are_ready) for _ in range(20)]
            sent.wait(CLIENT_SECONDS)
            time.sleep(0.5)
            stopped_at = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        answers = [future.result() for future in waiting]
    code = service.process.wait(GRACEFUL_SECONDS + 10)
    seconds = time.monotonic() - stopped_at
    service.start()

    assert [answer.status for answer in answers] == [201] * 20, answers
    assert code == 0
    assert seconds < GRACEFUL_SECONDS
    assert {answer.name for answer in answers} <= service.stored_names()
    note("SIGTERM, 20 requests under way", seconds, "to exit code 0; 20 of 20 answered with 201")


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
    assert not cut, "An answer that has begun is sent whole."
    note("SIGTERM under load", seconds, f"to exit code 0; {len(load.acknowledged())} acknowledged, none lost")


def test_a_killed_worker_is_replaced_and_its_siblings_serve_meanwhile(
    service: Deployment, note: Note
) -> None:
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
        f"longest time without an answer {gap:.2f} s",
    )
