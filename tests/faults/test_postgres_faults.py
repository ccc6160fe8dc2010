"""PostgreSQL in production: failover, poolers, read-only servers, encryption."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar
from urllib.parse import quote, urlsplit

import pytest

from testkit.servers import PostgresServer, ServerUnavailable
from testkit.servers.pgbouncer import PgBouncer, running_pgbouncer
from testkit.servers.postgres_standby import execute, promote, running_standby
from testkit.servers.privileges import give_away, temporary_root
from tests.faults.clients import ITEMS, Load, ask, at_once, create, draft, new_client, read_absent
from tests.faults.databases import NAME, Postgres
from tests.faults.deployment import Deployment
from tests.faults.plugin import Note
from tests.faults.test_database_faults import LONGEST_SECONDS, RECOVERY_SECONDS, must_be_unavailable
from tests.variants.environments import clean_environment

pytestmark = [pytest.mark.only(database={"postgres"}), pytest.mark.depends("deployment")]

T = TypeVar("T")
STEP_SECONDS = 180
# The time in which a starting service logs why it is not ready.
UNTOLD_SECONDS = 15
RELOAD = "SELECT pg_reload_conf()"
READ_ONLY = "ALTER SYSTEM SET default_transaction_read_only = on"
WRITABLE = "ALTER SYSTEM RESET default_transaction_read_only"
# Opens connections as the service and its migrations do, and prints the result of each.
CONNECT = """\
import asyncio, json, sys
from app.forge.database.postgres_url import parse_url
async def told(url):
    try:
        connection = await parse_url(url).connect(timeout_seconds=10, server_settings={})
        encrypted = await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        await connection.close()
        return encrypted
    except Exception as error:
        return f"{type(error).__name__}: {error}"
async def main():
    return [await told(url) for url in json.load(sys.stdin)]
print(json.dumps(asyncio.run(main())))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the servers' user may traverse."""
    with TemporaryDirectory(prefix="fastforge-faults-", dir=temporary_root()) as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
def server(deployment: Deployment) -> PostgresServer:
    """The variant's own server."""
    assert isinstance(deployment.database, Postgres)
    assert isinstance(deployment.database.server, PostgresServer)
    return deployment.database.server


def elsewhere(deployment: Deployment, url: str, **variables: str) -> Deployment:
    """Return the same service on another database; the usual one is stopped."""
    deployment.kill()
    return Deployment(
        deployment.run,
        deployment.database,
        deployment.redis,
        {**deployment.variables, "DATABASE_URL": url, **variables},
    )


@contextmanager
def to_be_had(server: AbstractContextManager[T], config: pytest.Config) -> Iterator[T]:
    """Yield the server; if it is not available, the test fails, or is skipped if that is configured."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(server)
        except ServerUnavailable as reason:
            if config.getoption("--skip-missing-servers"):
                pytest.skip(str(reason).splitlines()[0])
            pytest.fail(str(reason), pytrace=False)
        yield running


@pytest.fixture
def standby(server: PostgresServer, folder: Path, pytestconfig: pytest.Config) -> Iterator[PostgresServer]:
    """A standby of the variant's server, which no longer waits for one afterwards."""
    with to_be_had(running_standby(server, folder / "standby"), pytestconfig) as standby:
        yield standby
    server.resume()
    server.kill()
    server.start()
    execute(server.url, "ALTER SYSTEM RESET synchronous_standby_names", RELOAD)


@pytest.mark.parametrize("silently", [False, True], ids=["killed", "cut-off"])
def test_a_standby_that_takes_over_is_found_without_a_restart(
    deployment: Deployment, server: PostgresServer, standby: PostgresServer, silently: bool, note: Note
) -> None:
    hosts = [urlsplit(each.url).netloc.rpartition("@")[2] for each in (server, standby)]
    credentials = urlsplit(server.url).netloc.rpartition("@")[0]
    service = elsewhere(deployment, f"postgresql://{credentials}@{','.join(hosts)}/{NAME}")
    with ExitStack() as stack:
        stack.callback(service.kill)
        service.start()
        workers = service.workers()
        with Load(service.url) as load:
            time.sleep(0.5)
            (server.pause if silently else server.kill)()
            failed_at = time.monotonic()
            time.sleep(1.0)
            promote(standby)
            promoted_at = time.monotonic()
            first = load.wait_for(
                lambda answer: answer.status == 201 and answer.sent_at > promoted_at, RECOVERY_SECONDS
            )
            service.wait_until_ready()
            settled_at = time.monotonic()
            time.sleep(1.0)
        stored = service.stored_names()
        assert service.workers() == workers, "It recovers without a restart."

    counts = Counter(answer.status for answer in load.answers)
    assert set(counts) <= {201, 404, 503}, counts
    must_be_unavailable([answer for answer in load.answers if answer.status == 503], service)
    assert {answer.status for answer in load.during(settled_at + 0.5, time.monotonic())} <= {201, 404, 503}
    assert not load.acknowledged() - stored
    note(
        f"primary {'cut off' if silently else 'killed'}, standby promoted",
        first.ended_at - promoted_at,
        f"from the promotion to the next 201, {first.ended_at - failed_at:.2f} s from the fault; "
        f"{counts[201] + counts[404]} x 2xx and 404, {counts[503]} x 503, 0 others; "
        f"0 of {len(load.acknowledged())} acknowledged writes lost",
    )


def test_a_read_only_server_is_not_ready_until_it_accepts_writes_again(
    service: Deployment, server: PostgresServer, note: Note
) -> None:
    with ExitStack() as stack, Load(service.url) as load, new_client(service.url) as client:
        stack.callback(execute, server.url, WRITABLE, RELOAD)
        execute(server.url, READ_ONLY, RELOAD)
        read_only_at = time.monotonic()
        load.wait_for(lambda answer: answer.status == 503, LONGEST_SECONDS)
        settled_at = time.monotonic()
        readiness = ask(client, "GET", "/health/ready")
        reads = [read_absent(client) for _ in range(4)]
        time.sleep(0.5)
        ends_at = time.monotonic()
        execute(server.url, WRITABLE, RELOAD)
        writable_at = time.monotonic()
        first = load.wait_for(
            lambda answer: answer.status == 201 and answer.sent_at > writable_at, RECOVERY_SECONDS
        )
    writes = [answer for answer in load.during(settled_at, ends_at) if answer.method == "POST"]

    assert readiness.status == 503
    assert "database is down" in readiness.text
    must_be_unavailable(writes, service)
    assert writes
    assert {answer.status for answer in reads} == {404}
    counts = Counter(answer.status for answer in load.answers)
    assert set(counts) <= {201, 404, 503}, counts
    note(
        "read-only server",
        first.ended_at - writable_at,
        f"from its end to the next 201; {counts[503]} x 503 in {writable_at - read_only_at:.1f} s, 0 others",
    )


def test_a_mistake_in_sql_is_500_and_logged_with_its_stack_and_request(
    service: Deployment, note: Note
) -> None:
    url = service.variables["DATABASE_URL"]
    with ExitStack() as stack, new_client(service.url) as client:
        back = ("ALTER TABLE items DROP COLUMN tags", "ALTER TABLE items RENAME COLUMN labels TO tags")
        stack.callback(execute, url, *back)
        # A missing column could be one that a migration is about to add.
        execute(
            url, "ALTER TABLE items RENAME COLUMN tags TO labels", "ALTER TABLE items ADD COLUMN tags date"
        )
        failed = create(client)
        mistaken = json.loads(failed.text)
    with new_client(service.url) as client:
        assert ask(client, "GET", ITEMS).status == 200
    # Nginx writes its own lines there, which are not JSON.
    lines = [line for line in service.log.read_text().split("\n") if mistaken["request_id"] in line]
    logged = [json.loads(line) for line in lines]

    assert (failed.status, failed.headers["Content-Type"]) == (500, "application/problem+json")
    assert not service.leaks(failed.text)
    assert len(logged) == 1
    assert "DatatypeMismatchError" in json.dumps(logged)
    assert "Traceback" in json.dumps(logged)
    note("a column of another type", failed.seconds, "500, logged once with its stack and request id")


def test_a_database_without_tables_is_unavailable_until_it_is_migrated(
    service: Deployment, note: Note
) -> None:
    url = service.variables["DATABASE_URL"]
    tables = ("items", "alembic_version")
    with ExitStack() as stack, new_client(service.url) as client:
        stack.callback(
            execute, url, *(f"ALTER TABLE IF EXISTS moved_{table} RENAME TO {table}" for table in tables)
        )
        execute(url, *(f"ALTER TABLE {table} RENAME TO moved_{table}" for table in tables))
        answers = [ask(client, "GET", ITEMS), create(client)]
        readiness = ask(client, "GET", "/health/ready")
    with new_client(service.url) as client:
        recovered = create(client)

    must_be_unavailable(answers, service)
    assert {json.loads(answer.text)["detail"] for answer in answers} == {
        "The database has not been migrated yet."
    }
    assert readiness.status == 503
    assert recovered.status == 201
    note("a database that is not migrated", recovered.seconds, "to the next 201 after migration; 503 before")


@pytest.fixture(params=["transaction", "prepared"])
def pooler(request: pytest.FixtureRequest) -> str:
    """The service's DATABASE_POOLER."""
    return str(request.param)


@pytest.fixture
def pgbouncer(
    server: PostgresServer, pooler: str, folder: Path, pytestconfig: pytest.Config
) -> Iterator[PgBouncer]:
    """A PgBouncer in transaction mode, of the release that the service is configured for."""
    wanted = running_pgbouncer(server, pooler, folder / "pgbouncer")
    with to_be_had(wanted, pytestconfig) as pgbouncer:
        yield pgbouncer


@pytest.fixture
def pooled(
    deployment: Deployment, server: PostgresServer, pgbouncer: PgBouncer, pooler: str
) -> Iterator[Deployment]:
    """The service, running behind PgBouncer on a database that was migrated through PgBouncer."""
    url = pgbouncer.through(server.database(f"{NAME}_pooled"))
    upgrades = [upgrade(deployment, url) for _ in range(2)]
    told = [process.communicate(timeout=STEP_SECONDS)[0] for process in upgrades]
    assert [process.returncode for process in upgrades] == [0, 0], told
    service = elsewhere(deployment, url, DATABASE_POOLER=pooler)
    service.start()
    yield service
    service.kill()


def upgrade(deployment: Deployment, url: str) -> subprocess.Popen[bytes]:
    """Start the migrations of a database."""
    return subprocess.Popen(
        [".venv/bin/python", "-m", "alembic", "upgrade", "head"],
        cwd=deployment.run.project,
        env=clean_environment(**{**deployment.variables, "DATABASE_URL": url}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_a_pooler_in_transaction_mode_changes_no_response(
    pooled: Deployment, pgbouncer: PgBouncer, note: Note
) -> None:
    with Load(pooled.url) as load:
        load.wait_for_many(100, lambda answer: answer.status == 201, RECOVERY_SECONDS)
    with new_client(pooled.url) as client:
        batch = ask(client, "POST", f"{ITEMS}/batch", [draft() for _ in range(50)])
        taken = draft()
        statuses = [ask(client, "POST", ITEMS, taken).status for _ in range(2)]
        page, summary = ask(client, "GET", f"{ITEMS}?limit=100"), ask(client, "GET", f"{ITEMS}/summary")

    counts = Counter(answer.status for answer in load.answers)
    assert set(counts) == {201, 404}, counts
    assert (batch.status, statuses, page.status, summary.status) == (201, [201, 409], 200, 200)
    assert not load.acknowledged() - pooled.stored_names()
    note(
        f"{pgbouncer.version} in transaction mode",
        max(answer.seconds for answer in load.answers),
        f"slowest of {counts.total()} responses under load, none of them an error",
    )


def test_a_statement_behind_a_pooler_is_bounded_and_cancelled(
    pooled: Deployment, server: PostgresServer, pgbouncer: PgBouncer, note: Note
) -> None:
    url = urlsplit(server.url)._replace(path=f"/{NAME}_pooled").geturl()
    lock = subprocess.Popen([sys.executable, "-c", LOCK, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert lock.stdout is not None
    lock.stdout.readline()
    answers = at_once(pooled.url, 4, lambda client, _: create(client))
    time.sleep(0.5)
    left, _ = lock.communicate(b"\n")

    must_be_unavailable(answers, pooled)
    assert left.strip() == b"0", "No abandoned statement is left in the server."
    with new_client(pooled.url) as client:
        assert create(client).status == 201
    note(
        f"{pgbouncer.version}, statements that wait for a lock",
        max(answer.seconds for answer in answers),
        "slowest of 4 x 503; none is left in the server",
    )


LOCK = """\
import asyncio, asyncpg, sys
LEFT = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ '^INSERT INTO .items'"
async def main():
    connection = await asyncpg.connect(sys.argv[1])
    async with connection.transaction():
        await connection.execute("LOCK items")
        print("locked", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        print(await connection.fetchval(LEFT), flush=True)
asyncio.run(main())
"""


def test_a_pooler_that_is_killed_is_an_outage_like_any_other(
    pooled: Deployment, pgbouncer: PgBouncer, note: Note
) -> None:
    with Load(pooled.url) as load:
        time.sleep(0.3)
        pgbouncer.process.kill()
        load.wait_for(lambda answer: answer.status == 503, LONGEST_SECONDS)
        pgbouncer.process.start()
        back_at = time.monotonic()
        first = load.wait_for(
            lambda answer: answer.status == 201 and answer.sent_at > back_at, RECOVERY_SECONDS
        )
    counts = Counter(answer.status for answer in load.answers)

    assert set(counts) <= {201, 404, 503}, counts
    assert not load.acknowledged() - pooled.stored_names()
    note(
        f"{pgbouncer.version} killed",
        first.ended_at - back_at,
        f"from its return to the next 201; {counts[503]} x 503",
    )


@pytest.mark.only(cache={"none"})
@pytest.mark.parametrize("pooler", ["transaction"], indirect=True)
def test_a_pooler_that_is_not_configured_is_named(
    deployment: Deployment, pgbouncer: PgBouncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = elsewhere(deployment, pgbouncer.through(deployment.variables["DATABASE_URL"]))
    monkeypatch.setattr("tests.faults.deployment.BOOT_SECONDS", UNTOLD_SECONDS)
    with ExitStack() as stack:
        stack.callback(service.kill)
        with pytest.raises(AssertionError, match="It is not ready") as failure:
            service.start()
    assert "set DATABASE_POOLER" in str(failure.value)


@pytest.fixture
def certificates(server: PostgresServer, folder: Path) -> Iterator[Path]:
    """A folder with the CA of the server's certificate, which is for localhost, and with another CA."""
    data = server.own_process.folder / "data"
    for name in ("ca", "other"):
        openssl(
            "req",
            "-x509",
            "-subj",
            f"/CN={name}",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.pem",
            folder=folder,
        )
    openssl("req", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr", folder=folder)
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    signed = [
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-extfile",
        "names",
    ]
    run_openssl("x509", "-req", *signed, "-days", "2", "-out", "server.crt", folder=folder)
    for name in ("server.key", "server.crt"):
        (data / name).write_bytes((folder / name).read_bytes())
        (data / name).chmod(0o600)
        give_away(data / name)
    execute(server.url, "ALTER SYSTEM SET ssl = on", RELOAD)
    yield folder
    execute(server.url, "ALTER SYSTEM RESET ssl", RELOAD)


def openssl(command: str, *words: str, folder: Path) -> None:
    """Create a key and a signed certificate or request."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    run_openssl(command, *(key if command == "req" else []), *words, folder=folder)


def run_openssl(*words: str, folder: Path) -> None:
    """Run OpenSSL in the folder."""
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.mark.only(cache={"none"})
def test_encryption_is_as_the_url_asks_for_the_service_and_its_migrations(
    deployment: Deployment, server: PostgresServer, certificates: Path, note: Note
) -> None:
    parts = urlsplit(deployment.variables["DATABASE_URL"])

    def url(host: str, options: str) -> str:
        netloc = f"{parts.username}:{parts.password}@{host}:{parts.port}"
        return parts._replace(netloc=netloc, query=options).geturl()

    ca, other = (f"sslrootcert={quote(str(certificates / name))}" for name in ("ca.pem", "other.pem"))
    wanted = {
        url("localhost", "sslmode=disable"): False,
        url("localhost", "sslmode=require"): True,
        url("127.0.0.1", f"sslmode=verify-ca&{ca}"): True,
        url("localhost", f"sslmode=verify-full&{ca}"): True,
        url("127.0.0.1", f"sslmode=verify-full&{ca}"): "SSLCertVerificationError",
        url("localhost", f"sslmode=verify-full&{other}"): "SSLCertVerificationError",
        url("localhost", f"sslmode=require&{other}"): "SSLCertVerificationError",
    }
    done = subprocess.run(
        [".venv/bin/python", "-c", CONNECT],
        cwd=deployment.run.project,
        env=clean_environment(**deployment.variables),
        input=json.dumps(list(wanted)),
        check=True,
        capture_output=True,
        text=True,
        timeout=STEP_SECONDS,
    )
    told = [str(each).partition(":")[0] for each in json.loads(done.stdout)]
    migrated = upgrade(deployment, url("localhost", f"sslmode=verify-full&{ca}"))
    migrated.communicate(timeout=STEP_SECONDS)
    refused = upgrade(deployment, url("127.0.0.1", f"sslmode=verify-full&{ca}"))
    words = refused.communicate(timeout=STEP_SECONDS)[0].decode()

    assert told == [str(each) for each in wanted.values()]
    assert migrated.returncode == 0
    assert refused.returncode != 0
    assert "CERTIFICATE_VERIFY_FAILED" in words
    assert str(parts.password) not in words
    note("encryption as the URL requires", 0, f"{len(wanted)} URLs, 3 of them refused")
