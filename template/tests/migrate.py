"""The real migrations, as with `make migrate`."""

import os
from contextlib import chdir
from pathlib import Path
from unittest.mock import patch

from alembic.config import main

from tests import NoDatabase

PROJECT = Path(__file__).parent.parent


def migrate(database_url: str, revision: str = "head") -> None:
    """Migrate the database to the revision. Raises `NoDatabase` from the error of the migration."""
    with patch.dict(os.environ, DATABASE_URL=database_url), chdir(PROJECT):
        try:
            main(["downgrade" if revision == "base" else "upgrade", revision])
        except Exception as error:
            reason = " ".join(str(error).split())
            raise NoDatabase(f"The database cannot be migrated: {reason}", "Run: make migrate") from error
