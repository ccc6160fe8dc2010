"""`python -m app.forge.doctor`: each fault that was planted is found by its name, and nothing in a healthy project."""

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from app.forge.doctor.service import SHARED_BYTES_PER_WORKER
from app.forge.server.metrics_directory import SHARED_MEMORY
from app.settings import Settings
from tests.machinery.doctor import ALWAYS, EXIT_FINDINGS, Patient

AXES: tuple[str, ...] = ("database", "cache", "deployment", "auth")

DAY_SECONDS = 24 * 60 * 60
SECRET = "a-secret-of-the-example"
# The servers of tests may have neither roles nor replicas.
OF_TEST_SERVERS = {"database.superuser", "database.standalone"}


class Advisories(BaseHTTPRequestHandler):
    """A server with the API of osv.dev, which knows one vulnerability of Starlette."""

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        queries = json.loads(self.rfile.read(length))["queries"]
        names = [query["package"]["name"] for query in queries]
        results = [{"vulns": [{"id": "GHSA-test"}]} if name == "starlette" else {} for name in names]
        body = json.dumps({"results": results}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def advisories() -> Iterator[str]:
    """Yield the URL of a server that knows one vulnerability."""
    with HTTPServer(("127.0.0.1", 0), Advisories) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Yield a port on which another program listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        yield other.getsockname()[1]


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def without_server(url: str) -> str:
    """Return the URL of the same database at an address where nothing listens; for a file, one that does not exist."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        return f"{url}.missing"
    return f"{scheme}://127.0.0.1:{free_port()}/{rest.rpartition('/')[2]}"


def test_nothing_is_found_in_a_healthy_project(patient: Patient) -> None:
    patient.variables["PORT"] = str(free_port())
    examined = patient.examine()
    assert examined.names == set(), examined.text
    assert examined.exit_code == (EXIT_FINDINGS if ALWAYS else 0)
    missed = {each["check"] for each in examined.document["not_checked"]}
    assert missed <= {"packages.vulnerable", "database.connections"}


def test_nothing_is_found_in_a_healthy_production(patient: Patient) -> None:
    patient.variables |= {"HOST": "0.0.0.0", "PORT": str(free_port())}
    patient.variables |= {"DOCS_ENABLED": "false", "METRICS_ENABLED": "false"}
    examined = patient.examine("--production")
    assert examined.names <= OF_TEST_SERVERS, examined.text


def test_a_broken_project_shows_each_of_its_faults_by_name(
    patient: Patient, advisories: str, taken_port: int, tmp_path: Path
) -> None:
    patient.edit("pyproject.toml", 'requires-python = ">=3.11"', 'requires-python = ">=3.99"')
    patient.edit("pyproject.toml", "dependencies = [", 'dependencies = [\n    "python-jose>=3",')
    patient.edit("requirements.txt", "pydantic==", "pydantic==1.")
    patient.edit("app/main.py", "    return app\n", "    raise LookupError('a secret')\n")
    tomorrow = time.time() + 30 * DAY_SECONDS
    os.utime(patient.project / "app/main.py", (tomorrow, tomorrow))
    with (patient.project / ".env.example").open("a") as example:
        example.write(f"PROFILE_SECRET={SECRET}\n")
    patient.write_env("LOG_LEVEL=INFO\nLOG_LEVEL=DEBUG\nDATABSE_TIMEOUT_SECONDS=5\nMAX_BODY_BYTES=many\n")
    (patient.project / ".env").chmod(0o644)
    (tmp_path / "tools").mkdir()
    nginx = shutil.which("nginx", path=f"{patient.variables['PATH']}:/usr/sbin")
    if nginx:
        (tmp_path / "tools/nginx").symlink_to(nginx)
    workers = shutil.disk_usage(SHARED_MEMORY).free // SHARED_BYTES_PER_WORKER + 100
    patient.variables |= {
        "PATH": str(tmp_path / "tools"),
        "TMPDIR": "/nonexistent",
        "HOST": "127.0.0.1",
        "PORT": str(taken_port),
        "WORKERS": str(workers),
        "PROFILE_SECRET": SECRET,
        "FORWARDED_ALLOW_IPS": "*",
        "INTERNAL_NETWORKS": "*",
        "PYTHONASYNCIODEBUG": "1",
        "DATABASE_URL": without_server(patient.variables["DATABASE_URL"]),
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
    }
    examined = patient.run("--json", "--production", f"--advisories={advisories}", open_files=200)
    expected = {
        "interpreter.version",
        "tools.missing",
        "files.limit",
        "clock.behind",
        "disk.temporary_directory",
        "memory.shared",
        "packages.version",
        "packages.vulnerable",
        "settings.invalid",
        "settings.unknown",
        "settings.repeated",
        "settings.permissions",
        "production.log_level",
        "production.profile_secret",
        "production.default_secret",
        "production.python_debug",
        "production.docs_open",
        "production.metrics_open",
        "proxies.everyone",
        "server.port",
        "server.workers",
        "service.app",
    }
    is_file = patient.variables["DATABASE_URL"].startswith("sqlite")
    expected |= {"migrations.pending" if is_file else "database.unreachable"}
    expected |= {"cache.unreachable"} if "redis_url" in Settings.model_fields else set()
    assert len(expected) >= 20
    assert expected <= examined.names, sorted(expected - examined.names)
    abandoned = [each for each in examined.document["findings"] if "python-jose" in each["problem"]]
    assert [each["check"] for each in abandoned] == ["packages.abandoned"]
    assert examined.exit_code == EXIT_FINDINGS
    assert all(each["fix"] for each in examined.document["findings"])
    assert SECRET not in examined.text
    assert "a secret" not in examined.text


def test_an_unknown_setting_is_found_with_the_nearest_known_one(patient: Patient) -> None:
    patient.variables["LOGLEVEL"] = "INFO"
    assert patient.examine().problem("settings.unknown").endswith("Did you mean LOG_LEVEL?")


def test_every_required_setting_is_found_if_it_is_missing(patient: Patient) -> None:
    required = [name.upper() for name, field in Settings.model_fields.items() if field.is_required()]
    for name in required:
        del patient.variables[name]
    found = [each for each in patient.examine().document["findings"] if each["check"] == "settings.missing"]
    assert [each["problem"].partition(":")[0] for each in found] == required


def test_all_wrong_settings_are_found_at_once_without_their_values(patient: Patient) -> None:
    patient.variables |= {"PORT": "a-secret", "LOG_LEVEL": "a-secret", "PUBLIC_URL": "a-secret"}
    examined = patient.examine()
    found = [each["problem"] for each in examined.document["findings"] if each["check"] == "settings.invalid"]
    assert [problem.partition(":")[0] for problem in sorted(found)] == ["LOG_LEVEL", "PORT", "PUBLIC_URL"]
    assert any("https://api.example.com" in problem for problem in found)
    assert "a-secret" not in examined.text


def test_a_file_of_settings_that_does_not_exist_is_found(patient: Patient) -> None:
    patient.variables["ENV_FILE"] = "none.env"
    assert "none.env does not exist" in patient.examine().problem("settings.file")


def test_a_file_of_settings_that_is_not_utf_8_is_found(patient: Patient) -> None:
    patient.write_env("")
    (patient.project / ".env").write_bytes(b"LOG_LEVEL=\xff\n")
    assert "must be UTF-8" in patient.examine().problem("settings.invalid")


def test_a_missing_package_is_found_without_any_other(patient: Patient) -> None:
    patient.edit("requirements.txt", "pydantic==", "not-installed==1.0\npydantic==")
    examined = patient.examine()
    assert "not-installed" in examined.problem("packages.missing")
    assert {"settings", "services"} <= {each["check"] for each in examined.document["not_checked"]}


def test_a_python_without_any_package_gets_findings_and_no_traceback(patient: Patient) -> None:
    # Without site-packages, as the Python of the system.
    patient.variables["PYTHONPATH"] = ""
    (patient.project / "sitecustomize.py").write_text(
        "import sys\nsys.path = [entry for entry in sys.path if 'site-packages' not in entry]\n"
    )
    patient.variables["PYTHONPATH"] = str(patient.project)
    examined = patient.examine()
    assert examined.names == {"packages.missing"}
    assert "pydantic" in examined.problem("packages.missing")
    assert "Traceback" not in examined.errors


def test_a_condition_of_a_package_that_does_not_hold_is_not_a_fault(patient: Patient) -> None:
    patient.edit("requirements.txt", "pydantic==", "of-windows==1.0 ; sys_platform == 'win32'\npydantic==")
    assert patient.examine().names <= {"server.port"}


def test_advisories_that_cannot_be_reached_are_not_a_fault(patient: Patient) -> None:
    examined = patient.run("--json", f"--advisories=http://127.0.0.1:{free_port()}/")
    (missed,) = [each for each in examined.document["not_checked"] if each["check"] == "packages.vulnerable"]
    assert "cannot be reached" in missed["reason"]
    assert "packages.vulnerable" not in examined.names


def test_a_module_of_the_owner_with_a_syntax_error_is_found(patient: Patient) -> None:
    (patient.project / "app/resources.py").write_text("def broken(:\n")
    assert "SyntaxError" in patient.examine().problem("service.import")


def test_a_host_that_is_not_of_this_machine_is_found(patient: Patient) -> None:
    patient.variables["HOST"] = "x86_64-conda-linux-gnu"
    assert "HOST=x86_64-conda-linux-gnu" in patient.examine().problem("server.host")


def test_rules_of_production_apply_to_a_host_that_others_reach(patient: Patient) -> None:
    patient.variables |= {"LOG_LEVEL": "DEBUG", "PORT": str(free_port())}
    assert patient.examine().names == set()
    patient.variables["HOST"] = "0.0.0.0"
    assert "production.log_level" in patient.examine().names


def test_the_text_has_the_problem_and_the_fix(patient: Patient) -> None:
    patient.variables |= {"LOG_LEVEL": "loud", "PORT": str(free_port())}
    examined = patient.run("--offline")
    assert "error    settings.invalid\n    LOG_LEVEL: must be 'DEBUG', 'INFO'" in examined.text
    assert "    Fix: Correct it in" in examined.text
    assert "not checked: packages.vulnerable: --offline was given" in examined.text


def test_the_document_has_the_same_members_whatever_was_found(patient: Patient) -> None:
    document: dict[str, Any] = patient.examine("--production").document
    assert document.keys() == {"healthy", "findings", "not_checked"}
    assert document["healthy"] == (not document["findings"])
    assert all(each.keys() == {"check", "level", "problem", "fix"} for each in document["findings"])
    assert {each["level"] for each in document["findings"]} <= {"error", "warning"}
    assert all(each.keys() == {"check", "reason"} for each in document["not_checked"])
