"""The real migrations, run as `make migrate` runs them."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent


def migrate(database_url: str, revision: str = "head") -> None:
    """Bring the database to the revision; raises `CalledProcessError` where that fails."""
    direction = "downgrade" if revision == "base" else "upgrade"
    command = [sys.executable, "-m", "alembic", direction, revision]
    subprocess.run(command, cwd=PROJECT, env={**os.environ, "DATABASE_URL": database_url}, check=True)
