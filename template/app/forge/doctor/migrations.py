"""Check of the migrations: those of the project compared with those that the database has had."""

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from app.forge.doctor.findings import Finding, Outcomes

MIGRATE = "Run make migrate."


def check_migrations(applied: set[str]) -> Outcomes:
    """Yield the findings about migrations, from the revisions in the database's table alembic_version."""
    try:
        scripts = ScriptDirectory.from_config(Config("alembic.ini"))
        heads = set(scripts.get_heads())
        known = {script.revision for script in scripts.walk_revisions()}
    except (CommandError, OSError, SyntaxError, ImportError) as error:
        yield Finding(
            "migrations.unreadable",
            "error",
            f"The migrations cannot be read: {type(error).__name__}: {error}",
            "See the whole error: python -m alembic heads",
        )
        return
    if len(heads) > 1:
        yield Finding(
            "migrations.branches",
            "error",
            f"There are {len(heads)} last migrations: {', '.join(sorted(heads))}.",
            "Join them: python -m alembic merge heads",
        )
    if unknown := applied - known:
        yield Finding(
            "migrations.unknown",
            "error",
            f"The database has had a migration that this project does not have: {', '.join(sorted(unknown))}.",
            "Deploy the version of the project that has it, or correct DATABASE_URL.",
        )
        return
    done = {script.revision for head in applied for script in scripts.iterate_revisions(head, "base")}
    if pending := known - done:
        yield Finding(
            "migrations.pending",
            "error",
            f"The database lacks {len(pending)} of {len(known)} migrations: {', '.join(sorted(pending))}.",
            MIGRATE,
        )
