"""The migrations, up and down."""

from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.migrate import migrate


def test_the_migrations_run_up_down_and_up_again(app: FastAPI, database_url: str) -> None:
    migrate(database_url, "base")
    migrate(database_url)
    with TestClient(app) as client:
        # The service is ready if every table exists.
        assert client.get("/health/ready").status_code == 200
