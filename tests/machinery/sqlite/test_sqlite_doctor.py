"""`python -m app.forge.doctor` on SQLite: each fault of the file is found."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.forge.database.sqlite_doctor import file_system
from app.forge.database.sqlite_url import database_path
from tests.machinery.doctor import Patient

AXES: tuple[str, ...] = ()

MOUNTS = """\
overlay / overlay rw 0 0
server:/exports /srv/app\\040data nfs4 rw 0 0
tmpfs /srv/app\\040data/local tmpfs rw 0 0
"""


@pytest.fixture
def file(patient: Patient, tmp_path: Path) -> Path:
    """Return the database of the patient alone, a copy of that of all tests."""
    copy = tmp_path / "copy.db"
    source = database_path(patient.variables["DATABASE_URL"])
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(copy)) as other:
        one.backup(other)
    patient.variables["DATABASE_URL"] = f"sqlite:///{copy}"
    return copy


def execute(file: Path, *statements: str) -> None:
    """Run the statements without checks of foreign keys."""
    with closing(sqlite3.connect(file)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_a_file_that_does_not_exist_needs_all_migrations_and_is_not_made(
    patient: Patient, file: Path
) -> None:
    file.unlink()
    problem = patient.examine().problem("migrations.pending")
    assert problem.startswith("The database lacks 1 of 1 migrations")
    assert not file.exists()


def test_a_directory_that_is_a_file_is_found(patient: Patient, file: Path) -> None:
    patient.variables["DATABASE_URL"] = f"sqlite:///{file}/app.db"
    assert "is a file, not a directory" in patient.examine().problem("database.unreachable")


def test_a_damaged_file_is_found(patient: Patient, file: Path) -> None:
    file.write_bytes(b"not a database" * 1_000)
    assert "file is not a database" in patient.examine().problem("database.corrupt")


def test_damage_inside_the_file_is_found(patient: Patient, file: Path) -> None:
    execute(file, "CREATE TABLE filler (text)", "INSERT INTO filler VALUES (zeroblob(100000))")
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(size // 2 // 4096 * 4096)
        opened.write(b"\xff" * (size // 4))
    assert patient.examine().names & {"database.corrupt", "database.schema", "database.unreachable"}


def test_a_migration_of_another_version_is_found(patient: Patient, file: Path) -> None:
    execute(file, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    assert "ffffffffffff" in patient.examine().problem("migrations.unknown")


def test_a_missing_column_is_found(patient: Patient, file: Path) -> None:
    execute(file, "ALTER TABLE items RENAME COLUMN description TO words")
    assert "description" in patient.examine().problem("database.schema")


def test_two_last_migrations_are_found(patient: Patient, file: Path) -> None:
    first = next((patient.project / "migrations/sqlite/versions").glob("0001*.py"))
    text = first.read_text().replace('revision = "0001"', 'revision = "0002"')
    (first.parent / "0002_other.py").write_text(text)
    found = patient.examine()
    assert "2 last migrations" in found.problem("migrations.branches")
    assert file.exists()


def test_a_reference_to_nothing_is_found(patient: Patient, file: Path) -> None:
    row = ("00000000-0000-7000-8000-000000000001",)
    with closing(sqlite3.connect(file)) as connection:
        columns = list(connection.execute("PRAGMA table_info(order_lines)"))
        named = {name: "" for _, name, _, needed, _, _ in columns if needed}
        values = dict.fromkeys(named, 1) | {name: row[0] for name in named if name.endswith("id")}
        marks = ", ".join("?" for _ in values)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(
            f"INSERT INTO order_lines ({', '.join(values)}) VALUES ({marks})", [*values.values()]
        )
        connection.commit()
    assert "order_lines" in patient.examine().problem("database.references")


def test_a_disk_with_less_space_than_the_file_takes_is_found(patient: Patient, file: Path) -> None:
    # A hole takes no space.
    with file.open("r+b") as opened:
        opened.truncate(shutil.disk_usage(file.parent).free + 2**30)
    assert "MiB are needed" in patient.examine().problem("disk.space")


@pytest.mark.parametrize(
    ("directory", "kind"),
    [("/srv", "overlay"), ("/srv/app data/1", "nfs4"), ("/srv/app data/local/1", "tmpfs")],
)
def test_the_file_system_of_a_directory_is_that_of_the_nearest_mount(directory: str, kind: str) -> None:
    assert file_system(Path(directory), MOUNTS) == kind
