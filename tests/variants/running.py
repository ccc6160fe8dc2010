"""One variant as users run it: rendered, installed, tested, migrated, served; each step writes a log."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any, Self

import httpx2
from fastforge.inspect.kit import kit_of

from testkit.servers.process import free_port, kill_processes_in, processes_in
from tests.repository import REPOSITORY, VAR
from tests.variants import machinery
from tests.variants.budgets import budget_of
from tests.variants.credentials import issuer_for, owned_in, scopes_of, token_for
from tests.variants.environments import NotInstalled, clean_environment, environment_of
from tests.variants.interpreters import Interpreter, run_name, this_interpreter
from tests.variants.rendering import Renderer
from tests.variants.space import Variant

WORKERS = 2
CACHE_TTL_SECONDS = 1
STEP_SECONDS = 300
# A single variant runs all tests of the machinery that apply to it.
MACHINERY_SECONDS = 900
BOOT_SECONDS = 30
STOP_SECONDS = 20
LEFT_BEHIND_SECONDS = 5
POLL_SECONDS = 0.02
TRANSACTION_EXAMPLE = Path(__file__).with_name("transaction_example.py")
ACCEPTANCE = "tests/acceptance"
# The part of it that fits any list of resources.
ANY_RESOURCES = "tests/acceptance/resources"
NO_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
COUNTS = re.compile(r"\b\d+ (?:passed|skipped)\b")
# First the imports of the process that starts and supervises the workers, then those of a worker.
# Python's own modules are left out, because they differ by version.
IMPORT_THE_SERVICE = """\
import json, sys, time
from app import settings
from app.forge import server
watching = "fastapi" in sys.modules
from app import main
modules = [name for name in sys.modules if name.partition(".")[0] not in sys.stdlib_module_names]
print(json.dumps([watching, modules, time.process_time()]))
"""
TOOLS = {"alembic", "pytest", "sqlalchemy"}
REQUESTS = re.compile(r"^http_server_request_duration_seconds_count\{.*\} (\d+(?:\.\d+)?)$", re.MULTILINE)


class StepFailed(Exception):
    """A step failed; the message names variant, step and log, and the command that repeats it."""

    def __init__(self, run: Run, step: str, what: str) -> None:
        log = run.log(step)
        last_words = log.read_text(errors="replace").splitlines()[-30:] if log.exists() else []
        lines = [
            f"{run.name}: {run.prefix}{step}: {what}",
            f"  log: {log.relative_to(REPOSITORY)}",
            f"  again: {run.again}",
            *(f"  | {line}" for line in last_words),
        ]
        super().__init__("\n".join(lines))
        self.step = f"{run.prefix}{step}"


class Run:
    """One variant, from its answers to its last request; `VAR/variants/<name>` keeps its files."""

    def __init__(
        self, variant: Variant, servers: Mapping[str, str], interpreter: Interpreter | None = None
    ) -> None:
        """`servers` has the variables of the variant's servers, such as PATH and DATABASE_URL."""
        self.variant = variant
        self.interpreter = interpreter or this_interpreter()
        self.servers = dict(servers)
        self.folder = VAR / "variants" / self.name
        self.project = self.folder / "project"
        self.shop = self.folder / "shop"
        self.workers = WORKERS
        # None for the sample.
        self.resources: list[dict[str, Any]] | None = None
        # What the names of steps and logs begin with, for a project besides the first.
        self.prefix = ""
        self.step_seconds: dict[str, float] = {}

    @property
    def name(self) -> str:
        """The variant's name, and the interpreter's version if it is not the one that runs the tests."""
        return run_name(self.variant, self.interpreter)

    @property
    def again(self) -> str:
        """The command that repeats this run alone."""
        version = "" if self.interpreter.is_this else f" INTERPRETERS={self.interpreter.version}"
        return f"make test VARIANTS={self.variant.name}{version}"

    def log(self, step: str) -> Path:
        """Return the file with the output of this step."""
        return self.folder / f"{self.prefix}{step}.log"

    def of(self, project: Path, servers: Mapping[str, str]) -> Self:
        """Return the run of another project of this variant, with other databases."""
        other = copy(self)
        other.project, other.prefix = project, f"{project.name}-"
        other.servers = {**self.servers, **servers}
        return other

    def render(self, renderer: Renderer) -> None:
        """Render the project, in a folder without processes and files of an interrupted run."""
        kill_processes_in(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        shutil.move(renderer.render_variant(self.variant, self.resources).folder, self.project)

    def install(self) -> None:
        """Give the project a `.venv` with its own requirements, as `make install` would."""
        try:
            with self._timed("install"):
                environment = environment_of(self.project, self.interpreter.path)
        except NotInstalled as failure:
            self.log("install").write_text(str(failure))
            raise self._failed("install", "its requirements cannot be installed") from failure
        (self.project / ".venv").symlink_to(environment)
        # Newer than the requirements, so that make does not install again.
        (environment / "installed").touch()

    def install_as_a_user_does(self) -> None:
        """Install with the project's own `make install`, into a separate environment."""
        self._step("install", ["make", "install", f"PYTHON={self.interpreter.path}"])

    def import_service(self) -> tuple[int, float]:
        """Return the number of modules that the service imports, and their processor time in seconds."""
        self._step("import", [".venv/bin/python", "-c", IMPORT_THE_SERVICE])
        watching, modules, seconds = json.loads(self.log("import").read_text())
        may_have = budget_of(self.variant)["modules"]
        if TOOLS & set(modules):
            raise self._failed("import", f"the service imports {TOOLS & set(modules)}, which only tools need")
        # Gunicorn's workers are forked and share its modules; others would import them a second time.
        if watching and self.variant["deployment"] != "gunicorn":
            raise self._failed("import", "the process that supervises the workers imports FastAPI")
        if len(modules) > may_have:
            raise self._failed(
                "import", f"the service imports {len(modules)} modules; its budget is {may_have}"
            )
        return len(modules), seconds

    def test(self) -> int:
        """Run the project's own tests, and return the number that passed; none may be skipped."""
        self._step("test", ["make", "test"])
        passed, skipped = self._counted("test")
        if skipped:
            raise self._failed("test", f"it skipped {skipped} of its tests")
        return passed

    def make_shop(self, renderer: Renderer) -> None:
        """Render this variant with the resources of a shop, and add the tests of the machinery."""
        self.make_other(renderer, self.shop, machinery.shop(self.variant["auth"]))
        machinery.add_tests(self.shop, self.variant)

    def make_other(self, renderer: Renderer, folder: Path, resources: list[dict[str, Any]]) -> None:
        """Render this variant with these resources into the folder; it has the environment of the first."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.move(renderer.render_variant(self.variant, resources).folder, folder)
        environment = (self.project / ".venv").resolve()
        (folder / ".venv").symlink_to(environment)
        # Newer than the requirements: make need not install again.
        (environment / "installed").touch()

    def test_machinery(self, files: Sequence[str]) -> int:
        """Run these tests of the machinery in the shop, and return how many passed; none may be skipped."""
        found = [path for file in files for path in sorted(self.shop.glob(file))]
        named = [str(path.relative_to(self.shop)) for path in found]
        pytest = [".venv/bin/python", "-m", "pytest", "-q", *named]
        self._step("machinery", pytest, cwd=self.shop, seconds=MACHINERY_SECONDS)
        passed, skipped = self._counted("machinery")
        if skipped:
            raise self._failed("machinery", f"it skipped {skipped} tests")
        return passed

    def measure(self) -> None:
        """Send each request of the measuring kit; none may cause an error."""
        briefly = [
            "--rounds=1",
            "--seconds=0.02",
            "--connections=2",
            "--workers=1",
            "--optimizations=none",
            "--json",
        ]
        auth = self.variant["auth"]
        with kit_of(self.project) as kit, issuer_for(auth, self.project) as issuer:
            # The kit makes API keys by itself.
            token = {"FASTFORGE_TOKEN": token_for(auth, self.project, issuer)} if issuer else {}
            variables = {"PYTHONPATH": str(kit), **issuer, **token}
            command = [".venv/bin/python", "-m", "fastforge_kit", *briefly]
            self._step("measure", command, None, None, **variables)
        document = json.loads(self.log("measure").read_text())
        failed = [each["name"] for each in document["endpoints"] if each["error_percent"]]
        if failed := [*failed, *document["obstacles"]]:
            raise self._failed("measure", f"the service responds with errors to {', '.join(failed)}")

    def migrate(self) -> None:
        """Run `make migrate`."""
        self._step("migrate", ["make", "migrate"])

    def tool(self, name: str, *arguments: str) -> None:
        """Run a tool of the project's environment, such as alembic."""
        self._step(name, [".venv/bin/python", "-m", name, *arguments])

    def follow_example(self) -> None:
        """Run the transaction of docs/changing.md on the migrated database."""
        self._step("example", [".venv/bin/python", str(TRANSACTION_EXAMPLE)], PYTHONPATH=str(self.project))

    @contextmanager
    def served(self) -> Iterator[Service]:
        """Yield the service as in production; then it must shut down cleanly and leave nothing behind."""
        auth = self.variant["auth"]
        with issuer_for(auth, self.project) as issuer, self.log("serve").open("wb") as log:
            started, port = time.monotonic(), free_port()
            variables = {
                **issuer,
                "HOST": "127.0.0.1",
                "PORT": str(port),
                "WORKERS": str(self.workers),
                "LOG_LEVEL": "INFO",
            }
            process = subprocess.Popen(
                [".venv/bin/python", "-m", "app"],
                cwd=self.project,
                env=self._environment(CACHE_TTL_SECONDS=str(CACHE_TTL_SECONDS), **variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                service = Service(f"http://127.0.0.1:{port}")
                self._wait_until_ready(process, service)
                service.boot_seconds = self.step_seconds[f"{self.prefix}boot"] = time.monotonic() - started
                if issuer or auth == "api_key":
                    environment = self._environment(**issuer)
                    scopes = scopes_of(service.url)
                    plurals = {scope.partition(":")[0] for scope in scopes}
                    everything = [*scopes, *(f"{plural}:all" for plural in owned_in(self.project) & plurals)]
                    service.token = token_for(auth, self.project, environment, scopes)
                    service.other_token = token_for(auth, self.project, environment, scopes, "bob")
                    service.overseer_token = token_for(auth, self.project, environment, everything, "carol")
                yield service
                with self._timed("stop"):
                    self._stop(process)
            finally:
                kill_processes_in(self.folder)
                process.wait()

    def accept(self, service: Service, *tests: str) -> tuple[int, int]:
        """Run the acceptance suite, or these of its tests, against the service; return how many passed and
        were skipped.
        """
        pytest = [sys.executable, "-m", "pytest", *(tests or [ACCEPTANCE]), "-p", "no:cacheprovider"]
        answers = self.project / ".copier-answers.yml"
        where = ["--base-url", service.url, "--answers", str(answers), "--workers", str(self.workers)]
        suite = [*pytest, *where, "--cache-ttl-seconds", str(CACHE_TTL_SECONDS)]
        # Without FastForge's own plugins, which take longer to import than the suite to run.
        self._step(
            "accept",
            [*suite, "--confcutdir", ACCEPTANCE],
            cwd=REPOSITORY,
            seconds=None,
            # Not an argument, which a failure would show.
            ACCEPTANCE_TOKEN=service.token,
            ACCEPTANCE_OTHER_TOKEN=service.other_token,
            ACCEPTANCE_OVERSEER_TOKEN=service.overseer_token,
            **NO_PLUGINS,
        )
        return self._counted("accept")

    def keep_logs(self) -> None:
        """Copy the logs of a run that failed to `VAR/failed/<name>`: a repeated run writes its own."""
        kept = VAR / "failed" / self.name
        shutil.rmtree(kept, ignore_errors=True)
        # The logs alone: each folder beside them is a project.
        kept.mkdir(parents=True)
        for log in self.folder.glob("*.log"):
            shutil.copy2(log, kept)

    def _environment(self, **more: str) -> dict[str, str]:
        return clean_environment(**self.servers, **more)

    def _step(
        self,
        step: str,
        command: list[str],
        cwd: Path | None = None,
        seconds: float | None = None,
        **variables: str,
    ) -> None:
        """Run a command to its end, and raise `StepFailed` if its exit code is not 0."""
        limit = seconds or STEP_SECONDS
        with self._timed(step), self.log(step).open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=cwd or self.project,
                env=self._environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                code = process.wait(limit)
            except BaseException as end:
                # Servers that it has started may have separate sessions.
                kill_processes_in(self.folder)
                if isinstance(end, subprocess.TimeoutExpired):
                    raise self._failed(step, f"it did not end within {limit} s") from end
                raise
            finally:
                _kill_group(process)
        if code != 0:
            raise self._failed(step, f"`{' '.join(command)}` ended with {code}")

    def _counted(self, step: str) -> tuple[int, int]:
        """Return how many tests passed and how many were skipped, by pytest's closing line."""
        told = dict(
            reversed(count.split()) for count in COUNTS.findall(self.log(step).read_text(errors="replace"))
        )
        if not int(told.get("passed", 0)):
            raise self._failed(step, "no test passed")
        return int(told["passed"]), int(told.get("skipped", 0))

    def _wait_until_ready(self, process: subprocess.Popen[bytes], service: Service) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while not service.is_ready():
            if process.poll() is not None:
                raise self._failed("serve", f"it ended with {process.returncode} before it was ready")
            if time.monotonic() > deadline:
                raise self._failed("serve", f"it was not ready within {BOOT_SECONDS} s")
            time.sleep(POLL_SECONDS)

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as late:
            raise self._failed("serve", f"it did not end within {STOP_SECONDS} s of SIGTERM") from late
        if code != 0:
            raise self._failed("serve", f"it ended with {code} on SIGTERM")
        if "Traceback" in self.log("serve").read_text(errors="replace"):
            raise self._failed("serve", "its log shows a traceback")
        # Python's own resource tracker ends when it notices that its parent has ended.
        deadline = time.monotonic() + LEFT_BEHIND_SECONDS
        while (left := processes_in(self.folder)) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        if left:
            raise self._failed("serve", f"it left processes behind: {left}")

    def _failed(self, step: str, what: str) -> StepFailed:
        return StepFailed(self, step, what)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.step_seconds[f"{self.prefix}{step}"] = time.monotonic() - started


class Service:
    """A booted service, and its boot time."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.boot_seconds = 0.0
        # What clients send, if they have to identify themselves.
        self.token = ""
        # Another caller with the same scopes, and one who sees the rows of all.
        self.other_token = ""
        self.overseer_token = ""

    def is_ready(self) -> bool:
        """Return whether the service and its dependencies are ready."""
        try:
            return self._get("/health/ready").status_code == 200
        except httpx2.TransportError:
            return False

    def answered(self) -> int:
        """Return the number of requests in the service's metrics."""
        return int(sum(float(count) for count in REQUESTS.findall(self._get("/metrics").text)))

    def _get(self, path: str) -> httpx2.Response:
        # Reading the certificates, which nothing here needs, takes 30 ms of CPU each time: most of a
        # processor while a service boots and is polled.
        return httpx2.get(self.url + path, timeout=5, trust_env=False, verify=False)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()
