"""`python -m app.forge.doctor` on MongoDB: each fault of the server and of the database is found."""

import re

from tests.machinery.doctor import Patient

AXES: tuple[str, ...] = ("mongodb_driver",)


def test_a_server_that_does_not_respond_is_found(patient: Patient) -> None:
    patient.variables |= {
        "DATABASE_URL": re.sub(r":\d+/", ":9/", patient.variables["DATABASE_URL"]),
        "DATABASE_TIMEOUT_SECONDS": "0.5",
    }
    assert "refused" in patient.examine().problem("database.unreachable")


def test_missing_indexes_are_pending_migrations(patient: Patient) -> None:
    patient.variables["DATABASE_URL"] = re.sub(
        r"(:\d+)/\w+", r"\1/none_such_test", patient.variables["DATABASE_URL"]
    )
    found = [
        each["problem"]
        for each in patient.examine().document["findings"]
        if each["check"] == "migrations.pending"
    ]
    assert "items lacks the indexes of name, tags._id." in found


def test_more_workers_than_connections_are_a_contradiction(patient: Patient) -> None:
    patient.variables |= {"DATABASE_MAX_CONNECTIONS": "1", "WORKERS": "2"}
    assert "each worker needs a connection" in patient.examine().problem("settings.contradiction")


def test_a_server_without_transactions_is_found_in_production(patient: Patient) -> None:
    patient.variables["DATABASE_URL"] = re.sub(r"\?.*", "", patient.variables["DATABASE_URL"])
    names = patient.examine().names
    assert "database.standalone" not in names
