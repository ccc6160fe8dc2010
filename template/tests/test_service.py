"""The service as a whole: start, health, documentation and errors."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient


def test_it_is_live_and_ready(client: TestClient) -> None:
    assert client.get("/health/live").json() == {"status": "alive"}
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert ready.json()["dependencies"]["database"]["status"] == "up"


def test_it_documents_itself(client: TestClient) -> None:
    assert client.get("/docs").status_code == 200
    document = client.get("/openapi.json").json()
    assert {"/health/live", "/health/ready"} <= set(document["paths"])


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/health/live", 405)]
)
def test_a_refused_request_gets_a_problem(client: TestClient, method: str, path: str, status: int) -> None:
    response = client.request(method, path)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    problem = response.json()
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["x-request-id"]


def test_an_error_becomes_a_problem_that_hides_its_cause(app: FastAPI) -> None:
    @app.get("/broken")
    async def read_broken() -> None:
        raise RuntimeError("a secret")

    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.get("/broken")
    assert (response.status_code, response.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in response.text


def test_it_counts_its_requests(client: TestClient) -> None:
    client.get("/health/live")
    labels = 'http_request_method="GET",http_response_status_code="200",http_route="/health/live"'
    counted = f"http_server_request_duration_seconds_count{{{labels}}}"
    assert counted in client.get("/metrics").text
