"""`python -m tests.updates.session` records docs/update-session.md: a shop up to FastForge's next release.

The commands run as they are shown, without a network. A test runs them as well, and looks at what is left.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from testkit.checkout import git
from testkit.servers.process import free_port, kill_processes_in
from tests.repository import REPOSITORY
from tests.variants.environments import clean_environment, environment_of

DOCUMENT = REPOSITORY / "docs/update-session.md"
VERSIONS = ("v1.0.0", "v1.1.0")
READY_SECONDS = 30
SHOP = """fastforge new shop \\
    --resource "item name:str:unique price_cents:int:min=0" \\
    --resource "customer email:str:unique" \\
    --resource "order number:str:max=40:unique item:ref=items customer:ref=customers quantity:int:min=1 \\
        status:enum=open,paid,shipped:default=open:filter note:str:optional\""""
MIGRATE = "make migrate > /dev/null 2>&1 && .venv/bin/python -m alembic current 2> /dev/null"
ITEM = """curl -s localhost:8000/api/v1/items --json '{"name": "Lamp", "price_cents": 4900}'"""
CUSTOMER = """curl -s localhost:8000/api/v1/customers --json '{"email": "ada@example.org"}'"""
ORDER = """curl -s localhost:8000/api/v1/orders --json '{
    "number": "A1", "item_id": "'$ITEM'", "customer_id": "'$CUSTOMER'", "quantity": 3, "note": "as a gift"
}'"""
# What the owner writes by hand: texts that replace others, by file.
RULE = [
    ("app/orders/rules.py", "from app.forge.resource import Collection\n", """\
from datetime import datetime
from http import HTTPStatus

from app.forge.database import Transaction
from app.forge.errors import ServiceError
from app.forge.resource import Collection
from app.forge.store import Row
"""),
    ("app/orders/rules.py", "\n\nclass Orders", """\
from .queries import OPEN_PIECES

MOST_PIECES = 100


class TooMany(ServiceError):
    \"\"\"The order is larger than what is delivered at once.\"\"\"

    status = HTTPStatus.CONFLICT


class Orders"""),
]  # fmt: skip
ADDED = {
    "app/orders/rules.py": '''
    def new_row(self, draft: OrderDraft, created_at: datetime) -> Row:
        """Return the draft as a new row, or raise `TooMany`."""
        if draft.quantity > MOST_PIECES:
            raise TooMany(f"At most {MOST_PIECES} pieces are delivered at once.")
        return super().new_row(draft, created_at)

    async def open_pieces(self) -> int:
        """Return how many pieces are not paid yet."""

        def work(transaction: Transaction) -> int:
            (pieces,) = transaction.execute(OPEN_PIECES).fetchone()
            return int(pieces)

        return await self.database.transact(work, read_only=True)
''',
    "app/orders/queries.py": '''
OPEN_PIECES = """SELECT coalesce(sum("quantity"), 0) FROM "orders" WHERE "status" = 'open'"""
''',
}
ROUTE = '''@router.get("/open-pieces")
async def count_open_pieces(request: Request) -> dict[str, int]:
    """Return how many pieces are not paid yet."""
    return {"pieces": await rules(request).open_pieces()}


'''
TEST = '''"""What our shop adds to orders."""

from collections.abc import Iterator

from fastapi.testclient import TestClient

from tests.test_orders import PATH, create_order, draft


def test_an_order_that_is_too_large_is_refused(client: TestClient, numbers: Iterator[int]) -> None:
    response = client.post(PATH, json=draft(client, numbers) | {"quantity": 101})
    assert (response.status_code, response.json()["title"]) == (409, "Conflict")
    assert response.json()["detail"] == "At most 100 pieces are delivered at once."


def test_pieces_of_open_orders_are_counted(client: TestClient, numbers: Iterator[int]) -> None:
    create_order(client, numbers, quantity=3)
    create_order(client, numbers, quantity=4, status="paid")
    assert client.get(f"{PATH}/open-pieces").json() == {"pieces": 3}
'''
HEADER = """\
# A recorded session

A shop with three resources is generated, edited by hand, extended by a resource and a field, migrated with
its rows, and updated to the next release of FastForge. Then a field is removed. No line that was written by
hand is lost.

Both releases of FastForge were installed from wheels, and the requirements of the shop with `make install`.
After that, every command ran without a network (`unshare --net`). The second release and its notes exist only
for this recording. `python -m tests.updates.session` records the session again, and a test runs its commands.

"""
FOOTER = """
[benchmarks/results/updates.md](../benchmarks/results/updates.md) compares the duration of an update with
`copier update`, and shows an update of 100 projects in one command.
"""


@dataclass(frozen=True)
class Step:
    """A command, what it printed, and its exit code; a note has no command."""

    command: str
    output: str = ""
    exit_code: int = 0
    note: str = ""

    def lines(self) -> list[str]:
        """Return the step as it is shown."""
        if self.note:
            return [f"# {self.note}"]
        code = [f"exit code {self.exit_code}"] if self.exit_code else []
        return [f"$ {self.command}", *self.output.splitlines(), *code]


class Session:
    """Commands of one person in one shell, and what they printed."""

    def __init__(self, home: Path, sites: dict[str, Path], environment: Path) -> None:
        self.home = home
        self.folder = home
        self.sites = sites
        self.environment = environment
        self.port = free_port()
        self.steps: list[Step] = []
        self.variables = {"HOME": str(home), "PORT": str(self.port), "WORKERS": "1", "LOG_LEVEL": "WARNING"}
        self.variables |= {"GIT_CONFIG_NOSYSTEM": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        for who in ("AUTHOR", "COMMITTER"):
            self.variables |= {f"GIT_{who}_NAME": "Ada", f"GIT_{who}_EMAIL": "ada@example.org"}
            self.variables |= {f"GIT_{who}_DATE": "2026-12-01T09:00:00Z"}
        self.install(VERSIONS[0])

    def install(self, version: str) -> None:
        """Let `fastforge` be the one of this release."""
        programs = self.home / ".local/bin"
        programs.mkdir(parents=True, exist_ok=True)
        command = f'PYTHONPATH="{self.sites[version]}" exec "{sys.executable}" -m fastforge "$@"'
        (programs / "fastforge").write_text(f"#!/bin/sh\n{command}\n")
        (programs / "fastforge").chmod(0o755)
        self.variables["PATH"] = f"{programs}:{os.environ['PATH']}"

    def note(self, text: str) -> None:
        """Write a comment."""
        self.steps.append(Step("", note=text))

    def run(self, command: str, expected: int = 0) -> str:
        """Return what a command printed; raise `AssertionError` if it does not end as expected."""
        real = command.replace("localhost:8000", f"127.0.0.1:{self.port}")
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {real}"],
            cwd=self.folder,
            env=clean_environment(**self.variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        output = self.shown(done.stdout)
        self.steps.append(Step(command, output, done.returncode))
        assert done.returncode == expected, f"{command}: {done.returncode}\n{done.stdout}"
        return done.stdout.strip()

    def shown(self, output: str) -> str:
        """Return the output without what is different each time."""
        output = output.replace(str(self.home), "/home/ada").replace(f":{self.port}", ":8000")
        output = re.sub(r" in \d+\.\d+s(?: \(\d+:\d+:\d+\))?", "", output)
        return re.sub(r"(\d{4}-\d\d-\d\dT)[0-9:.]+Z", r"\g<1>09:00:00Z", output).rstrip()

    def enter(self, folder: str) -> None:
        """Change the directory, and install there without saying so."""
        self.folder = self.home / folder
        (self.environment / "installed").touch()
        (self.folder / ".venv").mkdir()
        for path in self.environment.iterdir():
            (self.folder / ".venv" / path.name).symlink_to(path)

    def edit(self) -> None:
        """Write what the owner writes, in a rule, a query and a route, and a test of each."""
        for name, old, new in [*RULE, ("app/orders/routes.py", '@router.get("/summary"', ROUTE)]:
            file = self.folder / name
            text = file.read_text()
            assert text.count(old) == 1, f"{name} has {text.count(old)} times {old!r}."
            file.write_text(text.replace(old, new if name != "app/orders/routes.py" else new + old))
        for name, text in ADDED.items():
            (self.folder / name).write_text((self.folder / name).read_text() + text)
        (self.folder / "tests/test_our_orders.py").write_text(TEST)

    @contextmanager
    def served(self) -> Iterator[None]:
        """Serve the shop in the background, as in another terminal."""
        with (self.home / "service.log").open("ab") as log:
            process = subprocess.Popen(
                ["make", "run"],
                cwd=self.folder,
                env=clean_environment(**self.variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                self._wait(process)
                yield
            finally:
                kill_processes_in(self.folder)
                process.wait()

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError((self.home / "service.log").read_text())


def play(session: Session) -> None:
    """Take the shop from its first command to the next release."""
    test = "make test 2>&1 | tail -1"
    session.run("fastforge --version")
    session.run(SHOP)
    session.enter("shop")
    session.run(test)

    session.note("By hand: large orders are refused, and a query counts the pieces of open orders.")
    session.edit()
    session.run("git add --all && git diff --staged --stat")
    session.run(f"make lint 2>&1 | tail -1 && {test}")
    session.run("git commit --quiet --message 'Large orders, open pieces'")

    session.note("Rows, while `make run` serves the shop in another terminal.")
    with session.served():
        session.variables["ITEM"] = json.loads(session.run(ITEM))["id"]
        session.variables["CUSTOMER"] = json.loads(session.run(CUSTOMER))["id"]
        session.run(ORDER)

    session.run("fastforge add resource payment order:ref=orders amount:decimal:min=0")
    session.run("git commit --quiet --message 'Payments'")
    session.run("fastforge add field order paid_at:datetime:optional:filter")
    session.run("git commit --quiet --message 'When orders are paid'")
    session.run(MIGRATE)
    with session.served():
        session.run("curl -s localhost:8000/api/v1/orders")
        session.run("curl -s localhost:8000/api/v1/orders/open-pieces")
    session.run(test)

    session.note("A newer wheel of FastForge is installed.")
    session.install(VERSIONS[1])
    session.run("fastforge check", expected=3)
    session.run("fastforge update")
    session.run(test)
    session.run("git commit --quiet --message 'Update the template'")

    session.run("fastforge remove field order note")
    session.run(MIGRATE)
    with session.served():
        session.run("curl -s localhost:8000/api/v1/orders")
    session.run(test)
    session.run("git commit --quiet --message 'Orders without notes'")

    session.note("All that was written by hand is there, and nothing is left over.")
    session.run("git grep -c -e MOST_PIECES -e OPEN_PIECES -e open_pieces -- app/orders")
    session.run("git status --short && fastforge check")


def document_of(steps: list[Step]) -> str:
    """Return the session as Markdown, with the same ids each time."""
    revisions: dict[str, str] = {}
    rows: dict[str, str] = {}

    def revision(found: re.Match[str]) -> str:
        return revisions.setdefault(found[0], f"{len(revisions) + 0xA1B2C3D4E5F6:012x}")

    def row(found: re.Match[str]) -> str:
        return rows.setdefault(found[0], f"019b76da-a800-7000-8000-{len(rows) + 1:012}")

    blocks = "\n\n".join("\n".join(step.lines()) for step in steps)
    blocks = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", row, blocks)
    blocks = re.sub(r"(?<![-\w])[a-f][0-9a-f]{11}(?![0-9a-f])", revision, blocks)
    return f"{HEADER}```text\n{blocks}\n```\n{FOOTER}"


def commands_in(document: str) -> list[str]:
    """Return the first line of each command in a recorded session."""
    return re.findall(r"^\$ (.*)$", document, re.MULTILINE)


def record(folder: Path, sites: dict[str, Path], template: Path) -> list[Step]:
    """Return the steps of a session in this empty folder, run without a network if the system allows it."""
    environment = environment_of(template)
    told = {"sites": {version: str(site) for version, site in sites.items()}, "environment": str(environment)}
    (folder / "told.json").write_text(json.dumps(told))
    command = [*offline(), sys.executable, "-m", "tests.updates.session", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    return [Step(**step) for step in json.loads((folder / "steps.json").read_text())]


def offline() -> list[str]:
    """Return the command that runs another one without a network; empty if this machine has none."""
    for command in (["unshare", "--net"], ["unshare", "--user", "--map-root-user", "--net"]):
        if (
            shutil.which(command[0])
            and subprocess.run([*command, "true"], capture_output=True).returncode == 0
        ):
            return command
    return []


def enable_loopback() -> None:
    """Let a process without a network talk to itself."""
    set_flags, is_up = 0x8914, 0x1
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sH14x", b"lo", is_up))


def main() -> int:
    """Play the session in the given folder, or record it for the documentation."""
    if sys.argv[1:]:
        folder = Path(sys.argv[1])
        if offline():
            enable_loopback()
        told = json.loads((folder / "told.json").read_text())
        sites = {version: Path(site) for version, site in told["sites"].items()}
        home = folder / "home"
        home.mkdir()
        session = Session(home, sites, Path(told["environment"]))
        try:
            play(session)
        finally:
            (folder / "steps.json").write_text(json.dumps([asdict(step) for step in session.steps]))
        return 0
    from tests.updates.conftest import make_releases, make_wheels

    with tempfile.TemporaryDirectory() as temporary:
        clone = make_releases(Path(temporary))
        sites = make_wheels(clone, Path(temporary))
        (Path(temporary) / "session").mkdir()
        steps = record(Path(temporary) / "session", sites, clone / "template")
    DOCUMENT.write_text(document_of(steps))
    git(REPOSITORY, "diff", "--stat", "--", str(DOCUMENT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
