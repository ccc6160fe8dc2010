"""The service's own processes are stopped and killed while requests are under way."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Semaphore

from tests.faults.clients import CLIENT_SECONDS, ITEMS, Load, draft, new_client
from tests.faults.deployment import GRACEFUL_SECONDS, POLL_SECONDS, WORKERS, Deployment
from tests.faults.plugin import Note
from tests.faults.processes import unread_bytes

REPLACED_SECONDS = 30.0
BETWEEN_ANSWERS_SECONDS = 5.0
# Until the workers know: Uvicorn's manager looks for signals twice a second.
STOPPING_SECONDS = 1.0


def test_a_stop_answers_every_request_that_was_accepted(service: Deployment, note: Note) -> None:
    """While the database stands still the requests are under way for sure; then it goes on."""
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
