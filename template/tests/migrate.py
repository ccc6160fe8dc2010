"""The real migrations, run as `make migrate` runs them."""

from pathlib import Path

import pytest
from alembic.config import main

PROJECT = Path(__file__).parent.parent


def migrate(database_url: str, revision: str = "head") -> None:
    """Bring the database to the revision; raises what the migration raises."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", database_url)
        patch.chdir(PROJECT)
        main(["downgrade" if revision == "base" else "upgrade", revision])
