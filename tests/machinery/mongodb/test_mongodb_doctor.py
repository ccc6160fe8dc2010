"""`python -m app.forge.doctor` on MongoDB: each fault of the server and of the database is found."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from tests.machinery.doctor import Patient

AXES: tuple[str, ...] = ("mongodb_driver",)


@pytest.fixture
def other(patient: Patient) -> Iterator[Database[dict[str, Any]]]:
    """Yield a new database, which the patient uses, and remove it at the end."""
    url = re.sub(r"(:\d+)/\w+", r"\1/of_the_doctor_test", patient.variables["DATABASE_URL"])
    patient.variables["DATABASE_URL"] = url
    with MongoClient[dict[str, Any]](url) as client:
        client.drop_database("of_the_doctor_test")
        yield client.get_default_database()
        client.drop_database("of_the_doctor_test")


def test_a_server_that_does_not_respond_is_found(patient: Patient) -> None:
    patient.variables |= {
        "DATABASE_URL": re.sub(r":\d+/", ":9/", patient.variables["DATABASE_URL"]),
        "DATABASE_TIMEOUT_SECONDS": "0.5",
    }
    assert "ServerSelectionTimeoutError" in patient.examine().problem("database.unreachable")


def test_documents_without_indexes_are_pending_migrations(
    patient: Patient, other: Database[dict[str, Any]]
) -> None:
    # The service makes them when it starts.
    assert "migrations.pending" not in patient.examine().names
    other["items"].insert_one({"name": "lamp"})
    problem = patient.examine().problem("migrations.pending")
    assert problem == "items has documents, and lacks the indexes of name, tags._id."


def test_more_workers_than_connections_are_a_contradiction(patient: Patient) -> None:
    patient.variables |= {"DATABASE_MAX_CONNECTIONS": "1", "WORKERS": "2"}
    assert "each worker needs a connection" in patient.examine().problem("settings.contradiction")


def test_a_server_without_transactions_is_found_in_production_only(
    patient: Patient, other: Database[dict[str, Any]]
) -> None:
    is_standalone = "setName" not in other.command("hello")
    assert ("database.standalone" in patient.examine("--production").names) == is_standalone
    assert "database.standalone" not in patient.examine().names
