"""`fastforge bench` on generated projects: figures, verdicts, the page, interrupts and bad input."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pexpect
import pytest

from testkit.servers.process import kill_processes_in, processes_in
from tests.conftest import Installation, Result, RunFastForge
from tests.repository import REPOSITORY
from tests.variants.environments import clean_environment, environment_of

# A name that is markup if it is not escaped.
NAME = "Orders <b> & Co"
BRIEFLY = ("--seconds", "0.1", "--rounds", "2", "--connections", "4", "--workers", "1")
ONE_OF_EACH = ("--endpoints", "read one,DELETE", "--optimizations", "fast-path")
FOREVER = ("--seconds", "3600", "--endpoints", "read one", "--optimizations", "none")
TARGETS = ["p50 ≤ 50 ms", "p99 ≤ 200 ms", "≥ 1,000/s", "errors ≤ 0.1%"]


def generate(installation: Installation, folder: Path, *answers: str) -> Path:
    command = [*installation.command, "new", str(folder), "--defaults", "--no-git", *answers]
    subprocess.run(command, env=installation.environment, check=True, capture_output=True)
    (folder / ".venv").symlink_to(environment_of(folder))
    return folder


@pytest.fixture(scope="module")
def project(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project on SQLite with the environment of `make install`."""
    return generate(installation, tmp_path_factory.mktemp("bench") / "orders", "--project-name", NAME)


@pytest.fixture(autouse=True)
def _no_pages_and_no_processes(project: Path) -> object:
    shutil.rmtree(project / "var/benchmarks", ignore_errors=True)
    yield
    left = processes_in(project)
    kill_processes_in(project)
    assert not left


def pages(project: Path) -> list[Path]:
    return sorted((project / "var/benchmarks").glob("*.html"))


def refused(result: Result, exit_code: int) -> str:
    """Return the one line of the error."""
    assert (result.exit_code, result.output) == (exit_code, "")
    assert result.errors.startswith("Error: ")
    assert result.errors.count("\n") == 1
    return result.errors


def test_json_is_one_document_with_every_figure_and_verdict(fastforge: RunFastForge, project: Path) -> None:
    result = fastforge("bench", str(project), "--json", *BRIEFLY, *ONE_OF_EACH)

    assert (result.exit_code, result.errors) == (0, "")
    document = result.document
    assert document["service"] == NAME
    assert document["partial"] is False
    assert [each["endpoint"] for each in document["endpoints"]] == [
        "GET /api/v1/items/{id}",
        "DELETE /api/v1/items/{id}",
    ]
    for each in document["endpoints"]:
        assert list(each["targets"]) == TARGETS
        assert each["targets"]["errors ≤ 0.1%"] == "met"
        assert 0 < each["p50_ms"] <= each["p99_ms"]
        assert each["cpu_us"] > 0
        assert len(each["rounds"]) == 2
    (optimization,) = document["optimizations"]
    assert optimization["id"] == "fast-path"
    assert optimization["verdict"] in {"met", "missed", "inconclusive"}
    assert (optimization["cpu_without_it"] is None) == (optimization["verdict"] == "inconclusive")
    assert len(optimization["rounds"]) == 6
    assert [str(page) for page in pages(project)] == [document["page"]]


ORDER_LINE = """order_line number:str:max=40:unique item:ref=items parent:ref=order_lines:optional
    status:enum=open,paid:default=open token:uuid:unique
    total:decimal:digits=9:places=2 note:str:max=9:optional"""
SHOP = ("item name:str:max=200:unique price_cents:int:min=0", ORDER_LINE, "code short:str:max=12:unique")


@pytest.fixture(scope="module")
def shop(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with three resources."""
    flags = [word for resource in SHOP for word in ("--resource", resource)]
    return generate(installation, tmp_path_factory.mktemp("bench-shop") / "shop", *flags)


def measured_paths(document: dict[str, Any]) -> set[str]:
    """Return the paths of the resources that were measured without an error."""
    assert [each["name"] for each in document["endpoints"] if each["error_percent"]] == []
    paths = {each["endpoint"].split()[1] for each in document["endpoints"]}
    return {path for path in paths if path.startswith("/api/v1/") and path.count("/") == 3}


@pytest.mark.parametrize(
    ("flags", "path"),
    [
        ([], "/api/v1/items"),
        (["--resource", "order-lines"], "/api/v1/order-lines"),
        (["--resource", "order_line"], "/api/v1/order-lines"),
    ],
)
def test_any_resource_is_measured_and_by_default_the_first_answer(
    fastforge: RunFastForge, shop: Path, flags: list[str], path: str
) -> None:
    document = fastforge("bench", str(shop), "--json", *BRIEFLY, "--optimizations=none", *flags).document

    assert measured_paths(document) == {path}
    assert len(document["endpoints"]) == 13
    assert document["obstacles"] == []


def test_an_optimization_is_measured_with_any_resource(fastforge: RunFastForge, shop: Path) -> None:
    flags = ("--resource=order_line", "--endpoints=none", "--optimizations=fast-path", "--json")

    (optimization,) = fastforge("bench", str(shop), *BRIEFLY, *flags).document["optimizations"]

    assert (optimization["obstacle"], len(optimization["rounds"])) == (None, 6)


def test_an_endpoint_whose_unique_text_cannot_vary_is_left_out_with_the_reason(
    fastforge: RunFastForge, shop: Path
) -> None:
    flags = ("--resource=code", "--optimizations=none", "--json")

    document = fastforge("bench", str(shop), *BRIEFLY, *flags).document

    assert measured_paths(document) == {"/api/v1/codes"}
    assert len(document["endpoints"]) == 11
    assert [each.partition(":")[0] for each in document["obstacles"]] == [
        "create one",
        "create 20 in a batch",
    ]


def test_an_unknown_resource_is_named_with_the_known_ones(fastforge: RunFastForge, shop: Path) -> None:
    errors = refused(fastforge("bench", str(shop), "--resource", "orders", "--optimizations=none"), 2)

    assert "'orders'" in errors
    assert "codes, items, order-lines" in errors


def test_a_service_without_resources_is_measured(installation: Installation, tmp_path: Path) -> None:
    project = generate(installation, tmp_path / "gateway", "--no-resources")
    command = [
        *installation.command,
        "bench",
        str(project),
        "--json",
        *BRIEFLY,
        "--optimizations=fast-path",
    ]

    done = subprocess.run(command, env=installation.environment, check=True, capture_output=True, text=True)

    document = Result(done.returncode, done.stdout, done.stderr).document
    assert measured_paths(document) == set()
    assert "GET /health/live" in {each["endpoint"] for each in document["endpoints"]}
    assert [each["verdict"] for each in document["optimizations"]] == ["not measured"]


def test_a_pipe_gets_tables_and_no_progress(fastforge: RunFastForge, project: Path) -> None:
    result = fastforge("bench", *BRIEFLY, "--endpoints", "liveness", "--optimizations=none", cwd=project)

    assert (result.exit_code, result.errors) == (0, "")
    assert "\x1b" not in result.output
    assert "\r" not in result.output
    assert re.search(r"^liveness +[\d,]+ +\d", result.output, re.MULTILINE)
    assert result.output.endswith(f"With plots: {pages(project)[0]}\n")


def test_the_page_is_self_contained_and_escaped(fastforge: RunFastForge, project: Path) -> None:
    assert fastforge("bench", str(project), *BRIEFLY, *ONE_OF_EACH).exit_code == 0
    (page,) = pages(project)
    text = page.read_text(encoding="utf-8")

    root = ElementTree.fromstring(text)
    names = {element.tag for element in root.iter()}
    linked = {
        name for element in root.iter() for name in element.attrib if name in {"src", "href", "xlink:href"}
    }

    assert root.findtext("body/h1") == f"{NAME}: measurements"
    assert len(list(root.iter("svg"))) == 4
    assert len(list(root.iter("table"))) == 3
    assert not names & {"script", "link", "img", "iframe", "b "}
    assert not linked
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text


def test_a_terminal_shows_progress(
    installation: Installation, environment: dict[str, str], project: Path
) -> None:
    command, *first = installation.command
    arguments = [*first, "bench", *BRIEFLY, "--endpoints", "liveness", "--optimizations", "none"]
    child = pexpect.spawn(command, arguments, cwd=str(project), env=environment, encoding="utf-8", timeout=60)

    child.expect("Starting the service")
    child.expect("1 of 2: liveness")
    child.expect("2 of 2: liveness")
    child.expect("With plots: ")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_an_optimization_that_the_project_has_changed_is_named_and_left_out(
    fastforge: RunFastForge, project: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(project, tmp_path / "changed", symlinks=True))
    service = copy / "app/forge/service.py"
    code = service.read_text()
    service.write_text(code.replace("Middleware(FastPathMiddleware", "Middleware(Other"))

    document = fastforge(
        "bench", str(copy), "--json", *BRIEFLY, "--endpoints=none", "--optimizations=fast-path"
    ).document

    (optimization,) = document["optimizations"]
    assert (optimization["verdict"], optimization["rounds"]) == ("not measured", [])
    assert "app/forge/service.py has been changed here" in optimization["obstacle"]


def interrupted(
    installation: Installation,
    environment: dict[str, str],
    project: Path,
    number: signal.Signals,
    *flags: str,
) -> subprocess.CompletedProcess[str]:
    """Start a measurement, send it the signal in the second round, and return the outcome."""
    arguments = ("--rounds", "1000", "--seconds", "0.1", "--endpoints", "read one", "--optimizations", "none")
    command = [*installation.command, "bench", *arguments, "--connections", "4", "--workers", "1", *flags]
    process = subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not any(b"fastforge_kit.generator" in command_of(pid) for pid in processes_in(project)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_ctrl_c_keeps_what_was_measured_and_leaves_nothing(
    installation: Installation, environment: dict[str, str], project: Path
) -> None:
    done = interrupted(installation, environment, project, signal.SIGINT)

    assert done.returncode == 130
    assert done.stderr.startswith("Error: Interrupted. ")
    assert done.stderr.endswith("The results above are partial.\n")
    assert done.stderr.count("\n") == 1
    assert "read one" in done.stdout
    assert "Partial results: Interrupted." in pages(project)[0].read_text()


def test_sigterm_with_json_is_one_document_marked_as_partial(
    installation: Installation, environment: dict[str, str], project: Path
) -> None:
    done = interrupted(installation, environment, project, signal.SIGTERM, "--json")
    document = Result(done.returncode, done.stdout, done.stderr).document

    assert (done.returncode, done.stderr) == (143, "")
    assert document["partial"] is True
    assert document["error"] == "Interrupted."
    assert 0 < len(document["endpoints"][0]["rounds"]) < 1000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay", [0.1, 0.3, 0.5, 1.0])
def test_a_signal_at_the_start_leaves_nothing(
    installation: Installation,
    environment: dict[str, str],
    project: Path,
    number: signal.Signals,
    delay: float,
) -> None:
    process = subprocess.Popen(
        [*installation.command, "bench", *FOREVER],
        cwd=project,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(delay)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)

    # A traceback or none at all: Python itself was still starting.
    assert process.returncode in {-number, 130, 128 + number}
    assert process.returncode < 0 or "Traceback" in errors or errors.startswith("Error: Interrupted. ")


def test_a_folder_that_is_not_a_project_is_refused(fastforge: RunFastForge, work: Path) -> None:
    assert str(work) in refused(fastforge("bench", str(work)), 2)
    assert "'" + str(work / "missing") + "' is not a directory." in refused(
        fastforge("bench", str(work / "missing")), 2
    )


def test_a_project_that_is_not_installed_is_refused_with_the_next_step(
    fastforge: RunFastForge, work: Path
) -> None:
    fastforge("new", "plain", "--defaults", "--no-git")

    document = fastforge("bench", "plain", "--json").document

    assert document["error"] == f"{str(work / 'plain')!r} has no .venv."
    assert "make install" in document["hint"]


def test_a_project_without_its_test_helpers_is_refused_with_the_next_step(
    fastforge: RunFastForge, project: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(project, tmp_path / "stripped", symlinks=True))
    shutil.rmtree(copy / "tests")

    assert "git restore tests" in refused(fastforge("bench", str(copy)), 1)


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ("p50_ms = ", "benchmarks/targets.toml cannot be read"),
        ("p42_ms = 1", "'p42_ms' is not measured"),
        ("p50_ms = true", "p50_ms is True"),
        ("p50_ms = -1", "p50_ms is -1"),
        ("[[request]]\nname = 'x'", "request 1 makes no sense"),
        ("[[request]]\nname = 'x'\npath = 'no slash'", "'no slash' is not a request"),
        ("[[request]]\nname = 'x'\npath = '/'\nstatus = 42", "request 1 makes no sense"),
    ],
)
def test_invalid_targets_are_named(
    fastforge: RunFastForge, project: Path, tmp_path: Path, targets: str, words: str
) -> None:
    copy = Path(shutil.copytree(project, tmp_path / "aimless", symlinks=True))
    (copy / "benchmarks/targets.toml").write_text(targets)

    document = fastforge(
        "bench", str(copy), *BRIEFLY, "--endpoints=liveness", "--optimizations=none", "--json"
    ).document

    assert words in document["error"]
    assert document["hint"]


def test_a_request_of_the_project_is_measured_too(
    fastforge: RunFastForge, project: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(project, tmp_path / "own", symlinks=True))
    targets = copy / "benchmarks/targets.toml"
    own = '[[request]]\nname = "ask for too many"\npath = "/api/v1/items?limit=1000"\nstatus = 422\n'
    targets.write_text(targets.read_text() + own)

    flags = (*BRIEFLY, "--endpoints=too many", "--optimizations=none", "--json")
    document = fastforge("bench", str(copy), *flags).document

    (measured,) = document["endpoints"]
    assert measured["endpoint"] == "GET /api/v1/items?limit=1000"
    assert measured["error_percent"] == 0


def test_the_project_s_targets_decide(fastforge: RunFastForge, project: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(project, tmp_path / "strict", symlinks=True))
    (copy / "benchmarks/targets.toml").write_text("p99_ms = 0\nrows_per_second = 0\n")

    document = fastforge(
        "bench", str(copy), *BRIEFLY, "--endpoints=liveness", "--optimizations=none", "--json"
    ).document

    (measured,) = document["endpoints"]
    # The load of other programs makes no target missed.
    is_excused = measured["disturbed"] or measured["limited_by_generator"]
    assert measured["targets"]["p99 ≤ 0 ms"] == ("inconclusive" if is_excused else "missed")
    assert measured["targets"]["≥ 0/s"] == "met"


def test_a_port_in_use_is_named(fastforge: RunFastForge, project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = fastforge("bench", str(project), "--port", str(port))

    assert f"Port {port} cannot be used: Address already in use." in refused(result, 1)


def test_a_service_that_does_not_start_is_quoted(fastforge: RunFastForge, project: Path) -> None:
    result = fastforge("bench", str(project), variables={"LOG_LEVEL": "LOUD"})

    assert "The service does not start: LOG_LEVEL: must be" in refused(result, 1)


def test_a_database_that_does_not_respond_is_named(
    installation: Installation, fastforge: RunFastForge, tmp_path: Path
) -> None:
    project = generate(installation, tmp_path / "stored", "--database", "postgres")
    nowhere = {"TEST_DATABASE_URL": "postgresql://127.0.0.1:9/nobody_test"}

    result = fastforge("bench", str(project), "--json", variables=nowhere)

    assert result.exit_code == 1
    assert result.document["error"].startswith("The database at TEST_DATABASE_URL does not respond: ")
    assert result.document["hint"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--endpoints", "zzz"], "'zzz'"),
        (["--optimizations", "fast-path,zzz"], "'zzz'"),
        (["--seconds", "nan"], "'nan'"),
        (["--rounds", "0"], "'0'"),
        (["--port", "65536"], "'65536'"),
        (["--endpoints", "none", "--optimizations", "none"], "nothing to measure"),
        (["--sconds", "1"], "Did you mean --seconds?"),
    ],
)
def test_a_wrong_command_line_is_refused(
    fastforge: RunFastForge, project: Path, arguments: list[str], named: str
) -> None:
    assert named in refused(fastforge("bench", str(project), *arguments), 2)


@pytest.mark.parametrize(
    ("command", "module"), [("bench", "fastforge_kit"), ("profile", "fastforge_kit.profile")]
)
def test_the_command_and_the_kit_have_the_same_options(
    fastforge: RunFastForge, project: Path, command: str, module: str
) -> None:
    ours = fastforge(command, "--help", variables={"COLUMNS": "200"}).output
    python = [str(project / ".venv/bin/python"), "-m", module, "--help"]
    environment = clean_environment(PYTHONPATH=str(REPOSITORY / "kit"))
    theirs = subprocess.run(python, cwd=project, env=environment, check=True, capture_output=True, text=True)

    assert options(ours) == options(theirs.stdout) - {"--py-spy", "--default-resource"}


def options(text: str) -> set[str]:
    return set(re.findall(r"--[a-z-]+", text))
