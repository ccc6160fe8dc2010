"""The dashboard and the alerts of a project, in a real Prometheus that scrapes its service."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from testkit.servers.prometheus import Programs, Prometheus, find_prometheus, running_prometheus
from tests.faults.clients import ITEMS, Load, new_client
from tests.faults.deployment import POLL_SECONDS, Deployment

# The panels and alerts of a project are those of its database and cache.
pytestmark = pytest.mark.depends("database", "cache")

RANGE = "10s"
SERIES_SECONDS = 60.0
ERRORS = "http_server_request_duration_seconds_count"
BUCKETS = "http_server_request_duration_seconds_bucket"
LAG = "event_loop_lag_seconds_bucket"
# For each alert: series of a minute apart that raise it, and after how long.
RAISED: dict[str, tuple[dict[str, str], str]] = {
    "ServiceDown": ({'up{job="app"}': "1 0x10"}, "5m"),
    "ServerErrors": (
        {
            f'{ERRORS}{{http_response_status_code="500"}}': "0+10x20",
            f'{ERRORS}{{http_response_status_code="200"}}': "0+90x20",
        },
        "15m",
    ),
    "SlowResponses": (
        {
            f'{BUCKETS}{{le="1"}}': "0+90x30",
            f'{BUCKETS}{{le="5"}}': "0+100x30",
            f'{BUCKETS}{{le="+Inf"}}': "0+100x30",
        },
        "25m",
    ),
    "DependencyDown": ({'dependency_up{dependency="database"}': "1 0x10"}, "5m"),
    "EventLoopBlocked": (
        {f'{LAG}{{le="0.25"}}': "0+90x20", f'{LAG}{{le="1"}}': "0+100x20", f'{LAG}{{le="+Inf"}}': "0+100x20"},
        "15m",
    ),
    "WritesPileUp": ({"sqlite_pending_writes": "101x20"}, "10m"),
    "PoolExhausted": ({"db_client_connection_pending_requests": "1x20"}, "10m"),
}
# The same, of a service that is well.
CALM = {
    'up{job="app"}': "1x30",
    f'{ERRORS}{{http_response_status_code="500"}}': "0+1x30",
    f'{ERRORS}{{http_response_status_code="200"}}': "0+99x30",
    f'{BUCKETS}{{le="1"}}': "0+100x30",
    f'{BUCKETS}{{le="+Inf"}}': "0+100x30",
    f'{LAG}{{le="0.25"}}': "0+100x30",
    f'{LAG}{{le="+Inf"}}': "0+100x30",
    'dependency_up{dependency="database"}': "1x30",
    "sqlite_pending_writes": "3x30",
    "db_client_connection_pending_requests": "0x30",
}


@pytest.fixture(scope="session")
def programs() -> Programs:
    """Prometheus and promtool."""
    return find_prometheus()


@pytest.fixture
def folder(deployment: Deployment) -> Path:
    """The directory of the project's files for Prometheus."""
    return deployment.run.project / "deploy" / "prometheus"


@pytest.fixture
def prometheus(service: Deployment, programs: Programs, folder: Path, tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus with the project's configuration, which scrapes the service each second."""
    service.running()
    text = (folder / "prometheus.yml").read_text()
    for old, new in (("127.0.0.1:8000", f"127.0.0.1:{service.port}"), (": 15s", ": 1s")):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "prometheus.yml").write_text(text)
    (tmp_path / "alerts.yml").write_text((folder / "alerts.yml").read_text())
    with running_prometheus(programs, tmp_path / "prometheus.yml", tmp_path) as running:
        yield running


def expressions(project: Path) -> list[tuple[str, str]]:
    """Return of each line on the dashboard the title of its panel and its expression."""
    panels = json.loads((project / "deploy/grafana/dashboard.json").read_text())["panels"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]


def test_every_expression_of_the_dashboard_has_series(service: Deployment, prometheus: Prometheus) -> None:
    missing = {expression for _, expression in expressions(service.run.project)}
    assert len(missing) >= 12
    deadline = time.monotonic() + SERIES_SECONDS
    with Load(service.url, clients=2), new_client(service.url) as client:
        path = f"{ITEMS}/{client.get(ITEMS).json()['items'][0]['id']}"
        while missing and time.monotonic() < deadline:
            client.get(path)
            time.sleep(POLL_SECONDS * 10)
            missing -= {each for each in missing if prometheus.query(each.replace("$__rate_interval", RANGE))}
    assert not missing


@pytest.mark.depends("database", once=("cache", "deployment"))
def test_no_alert_is_raised_by_a_service_that_is_well(service: Deployment, prometheus: Prometheus) -> None:
    deadline = time.monotonic() + SERIES_SECONDS
    with Load(service.url, clients=2):
        while not prometheus.query('up{job="app"} == 1'):
            assert time.monotonic() < deadline
            time.sleep(POLL_SECONDS * 10)
        time.sleep(3)
        assert prometheus.query('ALERTS{alertname!="PoolExhausted"}') == []


def test_the_dashboard_and_the_alerts_name_only_metrics_that_exist(service: Deployment, folder: Path) -> None:
    service.running()
    with new_client(service.url) as client:
        client.get(ITEMS)
        known = set(re.findall(r"^# TYPE (\w+) ", client.get("/metrics").text, re.MULTILINE))
    rules = yaml.safe_load((folder / "alerts.yml").read_text())["groups"][0]["rules"]
    texts = [expression for _, expression in expressions(service.run.project)] + [
        rule["expr"] for rule in rules
    ]
    named = {name for text in texts for name in re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b(?=[\[{)]|$| )", text)}
    functions = {"histogram_quantile", "clamp_min", "http_route", "http_response_status_code"}
    labels = {"db_client_connection_state"}
    stems = {
        re.sub(r"_(count|bucket)$", "", name) if "duration" in name or "lag" in name else name
        for name in named
    }
    assert stems - functions - labels - known == set()


def test_promtool_accepts_the_configuration(programs: Programs, folder: Path) -> None:
    programs.check("check", "config", str(folder / "prometheus.yml"))
    programs.check("check", "rules", str(folder / "alerts.yml"))


def test_each_alert_is_raised_by_its_cause_and_by_nothing_else(
    programs: Programs, folder: Path, tmp_path: Path
) -> None:
    rules = yaml.safe_load((folder / "alerts.yml").read_text())["groups"][0]["rules"]
    tests = [_calm([rule["alert"] for rule in rules]), *map(_raised, rules)]
    document = {"rule_files": [str(folder / "alerts.yml")], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(document))
    programs.check("test", "rules", str(tmp_path / "test.yml"))


def _calm(alerts: list[str]) -> dict[str, Any]:
    checks = [{"eval_time": "25m", "alertname": alert, "exp_alerts": []} for alert in alerts]
    return {"interval": "1m", "input_series": _series(CALM), "alert_rule_test": checks}


def _raised(rule: dict[str, Any]) -> dict[str, Any]:
    series, after = RAISED[rule["alert"]]
    labels = dict(rule["labels"])
    summary = rule["annotations"]["summary"]
    if rule["alert"] == "ServiceDown":
        labels["job"] = "app"
    if rule["alert"] == "DependencyDown":
        labels["dependency"] = "database"
    expected = {"exp_labels": labels, "exp_annotations": {"summary": summary}}
    early = {"eval_time": "0m", "alertname": rule["alert"], "exp_alerts": []}
    late = {"eval_time": after, "alertname": rule["alert"], "exp_alerts": [expected]}
    return {"interval": "1m", "input_series": _series(series), "alert_rule_test": [early, late]}


def _series(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"series": series, "values": each} for series, each in values.items()]
