"""`python -m app.forge.database.mongodb_indexes app.resources`: update the database after a change of the resources.

It creates the indexes, as the service does when it starts, and adds defaults of new fields to older documents.
"""

import asyncio
import sys
from importlib import import_module

from pymongo.errors import PyMongoError

from app.forge.database.mongodb import DatabaseSettings, open_database
from app.forge.database.outages import cause_of
from app.forge.environment import InvalidSettings, read_settings
from app.forge.errors import Unavailable
from app.forge.resource import Resource


async def migrate(resources: list[Resource]) -> None:
    """Return when the database matches these resources. Raises `Unavailable`, `PyMongoError` or `InvalidSettings`."""
    tables = [resource.table for resource in resources]
    async with open_database(read_settings(DatabaseSettings), tables) as database:
        await database.migrate()


def main() -> None:
    """Migrate to the RESOURCES of the named module. Raises `SystemExit` with the reason for a failure."""
    if len(sys.argv) != 2:
        sys.exit(
            "Name the module that has RESOURCES, as in: python -m app.forge.database.mongodb_indexes app.resources"
        )
    try:
        asyncio.run(migrate(import_module(sys.argv[1]).RESOURCES))
    except (PyMongoError, Unavailable) as error:
        sys.exit(f"The migration was not completed. {cause_of(error)}")
    except InvalidSettings as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
