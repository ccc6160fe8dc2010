"""The database dies, freezes, or has no connection left: 503 in time, nothing lost, no restart."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from tests.faults.clients import GRACE_SECONDS, Answer, Load, at_once, create, new_client, read_absent
from tests.faults.deployment import DATABASE_TIMEOUT_SECONDS, MAX_WAITING, POOL_SIZE, WORKERS, Deployment
from tests.faults.plugin import Note

pytestmark = pytest.mark.depends("database", "deployment", once=("mongodb_driver", "cache"))

LONGEST_SECONDS = DATABASE_TIMEOUT_SECONDS + GRACE_SECONDS
RECOVERY_SECONDS = 15.0
AT_ONCE = 4 * MAX_WAITING
LEAST_REFUSED = {
    "postgres": AT_ONCE - WORKERS * (MAX_WAITING + POOL_SIZE),
    "mongodb": AT_ONCE - WORKERS * (MAX_WAITING + POOL_SIZE),
    # Its one writer accepts some together, before it finds that the database is frozen.
    "sqlite": 1,
}
with_server = pytest.mark.only(database={"postgres", "mongodb"})


def must_be_unavailable(answers: Iterable[Answer], service: Deployment) -> None:
    """Fail unless each is a 503 in time, with Retry-After and without secrets."""
    for answer in answers:
        assert answer.status == 503, answer
        assert int(answer.headers["Retry-After"]) >= 1, answer
        assert answer.headers["Content-Type"] == "application/problem+json", answer
        assert answer.seconds < LONGEST_SECONDS, answer
        assert not service.leaks(answer.text), answer


@pytest.mark.quick(database="postgres")
@with_server
def test_a_killed_database_means_503_until_its_return_and_no_lost_writes(
    service: Deployment, note: Note
) -> None:
    assert service.database.server is not None
    workers = service.workers()
    with Load(service.url) as load:
        time.sleep(0.5)
        service.database.server.kill()
        killed_at = time.monotonic()
        # As many as there are clients, so that no request from before its death is still waiting.
        load.wait_for_many(len(load.threads), lambda answer: answer.sent_at > killed_at, 2 * LONGEST_SECONDS)
        restarted_at = time.monotonic()
        service.database.server.start()
        back_at = time.monotonic()
        first = load.wait_for(
            lambda answer: answer.status == 201 and answer.ended_at > back_at, RECOVERY_SECONDS
        )
        time.sleep(0.2)
    outage = load.during(killed_at, restarted_at)

    must_be_unavailable(outage, service)
    assert len(outage) >= len(load.threads)
    assert {answer.status for answer in load.answers} <= {201, 404, 503}
    assert max(answer.seconds for answer in load.answers) < LONGEST_SECONDS
    lost = load.acknowledged() - service.stored_names()
    assert not lost
    assert service.workers() == workers, "It recovers without a restart."
    slowest = max(answer.seconds for answer in outage)
    note(
        "database killed under load",
        first.ended_at - back_at,
        f"from its return to the next 201; {len(outage)} x 503, slowest after {slowest:.2f} s; "
        f"0 of {len(load.acknowledged())} acknowledged writes lost",
    )


@pytest.mark.quick(database="sqlite")
@pytest.mark.only(database={"sqlite"})
def test_a_service_killed_while_it_writes_has_lost_no_acknowledged_write(
    service: Deployment, note: Note
) -> None:
    with Load(service.url) as load:
        time.sleep(0.5)
        service.kill()
    seconds = service.start()

    lost = load.acknowledged() - service.stored_names()

    assert not lost
    note(
        "service with SQLite killed under load",
        seconds,
        f"from its start to ready; 0 of {len(load.acknowledged())} acknowledged writes lost",
    )


def test_a_frozen_database_is_waited_for_no_longer_than_the_timeout(service: Deployment, note: Note) -> None:
    with service.database.frozen():
        answers = at_once(service.url, 12, lambda client, _: create(client))
    resumed_at = time.monotonic()
    with new_client(service.url) as client:
        while (answer := create(client)).status != 201:
            must_be_unavailable([answer], service)
            assert time.monotonic() - resumed_at < RECOVERY_SECONDS
    recovered = time.monotonic() - resumed_at

    must_be_unavailable(answers, service)
    slowest = max(answer.seconds for answer in answers)
    note(
        "database frozen",
        recovered,
        f"from its resumption to the next 201; 12 x 503, slowest after {slowest:.2f} s "
        f"(stated: {DATABASE_TIMEOUT_SECONDS} s)",
    )


@with_server
def test_reads_of_a_frozen_database_time_out_too(service: Deployment, note: Note) -> None:
    with service.database.frozen():
        answers = at_once(service.url, 12, lambda client, _: read_absent(client))

    must_be_unavailable(answers, service)
    note("database frozen, reads", max(answer.seconds for answer in answers), "slowest of 12 x 503")


def test_more_requests_than_connections_wait_in_a_bounded_queue(service: Deployment, note: Note) -> None:
    with service.database.frozen():
        answers = at_once(service.url, AT_ONCE, lambda client, _: create(client))
    recovered = at_once(service.url, 12, lambda client, _: read_absent(client))

    refused = [answer for answer in answers if "Too many" in answer.text]
    must_be_unavailable(answers, service)
    assert {answer.status for answer in recovered} == {404}
    assert len(refused) >= LEAST_REFUSED[str(service.variant["database"])]
    note(
        "connections exhausted",
        max(answer.seconds for answer in answers),
        f"slowest of {len(answers)} x 503; {len(refused)} of them refused because the queue was full",
    )
