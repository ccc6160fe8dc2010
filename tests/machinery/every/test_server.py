"""The service as in production: `python -m app` as a separate process, including signals."""

import gc
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from app.__main__ import main
from app.forge.server.metrics_directory import metrics_directory
from app.forge.server.runtime_directory import hold, runtime_directory
from app.forge.server.settings import ServerSettings, TooManyWorkers, cgroup_cpu_limit, share, usable_cpus
from app.forge.server.worker import create_app

AXES: tuple[str, ...] = ("deployment",)

START_SECONDS = 30
WORKERS = 2
OWN_ROUTE = str(Path(__file__).parent / "own_route")
GRACEFUL_SECONDS = 10
BODY = b'{"name": 1}'

needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes through /proc")


class Service(NamedTuple):
    """A running service and its address."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[HTTPResponse, bytes]:
        """Return the response and its body, over a separate connection."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=GRACEFUL_SECONDS)) as connection:
            connection.request("GET", path, headers=headers or {})
            response = connection.getresponse()
            return response, response.read()

    def is_alive(self) -> bool:
        """Return whether it responds."""
        try:
            return self.get("/health/live")[0].status == 200
        except OSError:
            return False

    def starts(self) -> int:
        """Return how often one of its workers has become ready."""
        return self.log.read_text().count("Application startup complete.")

    def is_ready(self) -> bool:
        """Return whether all of its workers are ready."""
        return self.starts() == WORKERS and self.is_alive()

    def children(self) -> set[int]:
        """Return its worker processes."""
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        commands = {int(pid): command_of(pid) for pid in pids}
        return {pid for pid, command in commands.items() if command and b"resource_tracker" not in command}


def command_of(pid: str) -> bytes:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def eventually(is_so: Callable[[], bool], seconds: float = START_SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.05)
    return is_so()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def started(environment: dict[str, str], folder: Path, **variables: str) -> Iterator[Service]:
    port, log = free_port(), folder / "log"
    own = {"WORKERS": str(WORKERS), "GRACEFUL_TIMEOUT_SECONDS": str(GRACEFUL_SECONDS), "PORT": str(port)}
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app"], env=environment | own | variables, stderr=output, text=True
        )
    try:
        yield Service(process, port, log)
    finally:
        process.terminate()
        process.wait(GRACEFUL_SECONDS * 3)


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Service]]:
    with ExitStack() as stack:
        yield lambda **variables: stack.enter_context(started(environment, tmp_path, **variables))


@pytest.fixture(scope="module")
def service(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with started(environment, tmp_path_factory.mktemp("service"), PYTHONPATH=OWN_ROUTE) as service:
        assert eventually(service.is_ready), service.log.read_text()
        yield service


@pytest.fixture(scope="module")
def strict(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service that trusts no proxy here, logs requests, and waits a second for them when stopped."""
    own = {
        "ACCESS_LOG": "true",
        "FORWARDED_ALLOW_IPS": "192.0.2.0/24",
        "GRACEFUL_TIMEOUT_SECONDS": "1",
        "LOG_LEVEL": "ERROR",
        "WORKERS": "1",
        "PYTHONPATH": OWN_ROUTE,
    }
    with started(environment, tmp_path_factory.mktemp("strict"), **own) as service:
        assert eventually(service.is_alive), service.log.read_text()
        yield service


def request_without_its_end(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=GRACEFUL_SECONDS)
    head = f"POST /api/v1/items HTTP/1.1\r\nHost: test\r\nContent-Length: {len(BODY)}\r\n"
    connection.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + BODY[:-1])
    return connection


def answer(connection: socket.socket) -> bytes:
    connection.sendall(BODY[-1:])
    received = b""
    with connection:
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def test_metrics_add_up_over_the_workers(service: Service) -> None:
    for _ in range(40):
        service.get("/health/ready")
    # A request is counted after its response, which may be a moment later.
    assert eventually(lambda: answers(service.get("/metrics")[1], "/health/ready") == 40)
    for _ in range(5):
        assert answers(service.get("/metrics")[1], "/health/ready") == 40


def answers(metrics: bytes, route: str) -> float:
    labels = f'http_request_method="GET",http_response_status_code="200",http_route="{route}"'
    wanted = f"http_server_request_duration_seconds_count{{{labels}}} "
    return sum(
        float(line[len(wanted) :]) for line in metrics.decode().splitlines() if line.startswith(wanted)
    )


def test_a_forwarded_scheme_from_a_trusted_proxy_is_used(service: Service) -> None:
    assert service.get("/own/scheme", {"X-Forwarded-Proto": "https"})[1] == b'"https"'


def test_every_line_of_the_log_is_json(service: Service) -> None:
    assert [json.loads(line)["level"] for line in service.log.read_text().splitlines()]


@needs_proc
def test_every_killed_process_is_replaced(service: Service) -> None:
    before, starts = service.children(), service.starts()
    assert len(before) >= 2
    os.kill(min(before), signal.SIGKILL)
    assert eventually(service.is_alive, seconds=1), "The other workers keep responding."
    for pid in service.children() & before:
        # It may have ended already.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: len(service.children() - before) == len(before))
    assert eventually(lambda: service.starts() == starts + WORKERS)
    assert eventually(service.is_alive)


@needs_proc
def test_sigterm_completes_accepted_requests_and_leaves_nothing_behind(service: Service) -> None:
    # The last test with this service, because it ends it.
    children = service.children()
    connections = [request_without_its_end(service.port) for _ in range(20)]
    time.sleep(0.3)
    service.process.send_signal(signal.SIGTERM)
    time.sleep(1)
    with ThreadPoolExecutor(len(connections)) as pool:
        answers = list(pool.map(answer, connections))
    # They have no credentials either.
    refused = b"422" if find_spec("app.forge.auth") is None else b"401"
    assert [answered.split()[1] for answered in answers] == [refused] * 20
    assert service.process.wait(GRACEFUL_SECONDS) == 0
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


@needs_proc
def test_workers_end_with_a_manager_that_was_killed(start: Callable[..., Service]) -> None:
    service = start()
    assert eventually(service.is_ready), service.log.read_text()
    children = service.children()
    service.process.kill()
    service.process.wait()
    assert eventually(lambda: not any(command_of(str(pid)) for pid in children), GRACEFUL_SECONDS)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", service.port))


def test_a_forwarded_scheme_from_any_other_client_is_ignored(strict: Service) -> None:
    assert strict.get("/own/scheme", {"X-Forwarded-Proto": "https"})[1] == b'"http"'


def test_the_access_log_has_a_line_for_each_request(strict: Service) -> None:
    strict.get("/nowhere?token=secret", {"X-Request-ID": "mine"})
    assert eventually(lambda: "/nowhere" in strict.log.read_text())
    lines = [json.loads(line) for line in strict.log.read_text().splitlines()]
    (line,) = [line for line in lines if line.get("path") == "/nowhere"]
    assert (line["status"], line["request_id"], line["client"]) == (404, "mine", "127.0.0.1")
    assert "secret" not in str(lines)
    assert {line["level"] for line in lines if "path" not in line} <= {"ERROR"}


def test_sigterm_waits_no_longer_than_the_timeout(strict: Service) -> None:
    # The last test with this service, because it ends it.
    with request_without_its_end(strict.port):
        time.sleep(0.3)
        strict.process.send_signal(signal.SIGTERM)
        assert strict.process.wait(1 + GRACEFUL_SECONDS / 2) == 0


def test_a_port_in_use_ends_the_service(start: Callable[..., Service]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert start(PORT=str(other.getsockname()[1])).process.wait(START_SECONDS) != 0


def test_an_app_that_cannot_start_ends_the_service_with_its_reason_as_json(
    start: Callable[..., Service], tmp_path: Path
) -> None:
    # Only the workers import app.main.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['app.main'] = None\n")
    service = start(PYTHONPATH=str(tmp_path), WORKERS="1")
    assert service.process.wait(START_SECONDS) != 0
    *lines, last = service.log.read_text().splitlines()
    assert any("app.main" in json.loads(line).get("exception", "") for line in lines)
    # The last one may be written for a person at the terminal.
    assert last


def test_a_wrong_setting_is_named_without_its_value(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**environment, "WORKERS": "none"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=r"\AWORKERS: must be a valid integer[^\n]+\Z"):
        main()


def test_an_invalid_host_is_named_with_its_likely_source(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**environment, "HOST": "x86_64-conda-linux-gnu"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=r"\AHOST=x86_64-conda-linux-gnu is not an address.*conda.*HOST=127"):
        main()


def test_a_worker_collects_garbage_but_not_among_startup_objects(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    try:
        app = create_app()
        assert gc.isenabled()
        # They list the objects that later collections search.
        assert not any(known is app for known in gc.get_objects())
    finally:
        gc.unfreeze()


def test_the_metrics_directory_is_fresh_and_gone_afterwards() -> None:
    with metrics_directory() as first:
        assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(first)
        (first / "counter_1.db").touch()
    with metrics_directory() as second:
        assert list(second.iterdir()) == []
    assert not first.exists()


def test_only_directories_without_a_holder_are_removed(tmp_path: Path) -> None:
    prefix = f"metrics-{os.geteuid()}-"
    abandoned, held, strangers = (tmp_path / name for name in (f"{prefix}a", f"{prefix}b", "metrics-other-c"))
    outside, link = tmp_path / "outside", tmp_path / f"{prefix}d"
    for directory in (abandoned, held, strangers, outside):
        directory.mkdir()
        (directory / "figures").touch()
    link.symlink_to(outside)
    lock = hold(held)
    assert lock is not None
    with runtime_directory("metrics", tmp_path) as first, runtime_directory("metrics", tmp_path) as second:
        found = set(tmp_path.iterdir())
    os.close(lock)
    assert found == {first, second, held, strangers, outside, link}
    assert (outside / "figures").exists()
    assert not first.exists()
    with runtime_directory("metrics", tmp_path):
        assert not held.exists()


def test_a_directory_that_is_being_removed_is_not_used(tmp_path: Path) -> None:
    with runtime_directory("metrics", tmp_path) as directory:
        pass
    with pytest.raises(FileNotFoundError):
        hold(directory)
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ


@pytest.mark.parametrize("proxies", ["", "*", "127.0.0.1,::1", "10.0.0.0/8, 192.168.0.0/16"])
def test_proxies_are_addresses_networks_or_everyone(proxies: str) -> None:
    assert ServerSettings(forwarded_allow_ips=proxies).forwarded_allow_ips == proxies.replace(" ", "")


@pytest.mark.parametrize("proxies", ["10.0.0.1/8", "proxy", "*,10.0.0.0/8", "1.2.3.4;"])
def test_an_invalid_proxy_is_refused(proxies: str) -> None:
    with pytest.raises(ValueError, match="forwarded_allow_ips"):
        ServerSettings(forwarded_allow_ips=proxies)


def test_there_is_a_worker_for_each_usable_cpu() -> None:
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    return tmp_path / "mount"


@pytest.fixture
def membership(tmp_path: Path) -> Path:
    return tmp_path / "cgroup"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_cgroup_v2_limit_is_applied(membership: Path, mount: Path) -> None:
    membership.write_text("0::/\n")
    write(mount / "cpu.max", "150000 100000\n")
    assert cgroup_cpu_limit(membership, mount) == 1.5


def test_the_tightest_limit_of_all_parent_groups_is_applied(membership: Path, mount: Path) -> None:
    membership.write_text("0::/pod/container\n")
    write(mount / "pod/cpu.max", "200000 100000\n")
    write(mount / "pod/container/cpu.max", "max 100000\n")
    assert cgroup_cpu_limit(membership, mount) == 2


def test_the_mount_of_the_container_is_used_if_the_path_is_of_the_host(membership: Path, mount: Path) -> None:
    membership.write_text("0::/docker/0123\n")
    write(mount / "cpu.max", "50000 100000\n")
    assert cgroup_cpu_limit(membership, mount) == 0.5


def test_a_cgroup_v1_limit_is_applied(membership: Path, mount: Path) -> None:
    membership.write_text("5:memory:/x\n4:cpu,cpuacct:/docker/0123\n")
    write(mount / "cpu/docker/0123/cpu.cfs_quota_us", "300000\n")
    write(mount / "cpu/docker/0123/cpu.cfs_period_us", "100000\n")
    assert cgroup_cpu_limit(membership, mount) == 3


def test_no_limit_is_infinite(membership: Path, mount: Path) -> None:
    assert cgroup_cpu_limit(membership, mount) == math.inf
    membership.write_text("4:cpu,cpuacct:/\n0::/\n")
    write(mount / "cpu.max", "max 100000\n")
    write(mount / "cpu/cpu.cfs_quota_us", "-1\n")
    write(mount / "cpu/cpu.cfs_period_us", "100000\n")
    assert cgroup_cpu_limit(membership, mount) == math.inf


def test_connections_are_shared_by_the_workers() -> None:
    assert share(100, workers=8, at_most=20) == 12
    assert share(100, workers=2, at_most=20) == 20


def test_more_workers_than_connections_are_refused() -> None:
    with pytest.raises(TooManyWorkers, match="16 workers cannot share 10 connections"):
        share(10, workers=16, at_most=20)
