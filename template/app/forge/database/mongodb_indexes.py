"""`python -m app.forge.database.mongodb_indexes app.resources`: makes the indexes, as the service does when it starts."""

import asyncio
import sys
from importlib import import_module

from app.forge.database.mongodb import DatabaseSettings, open_database
from app.forge.database.outages import cause_of
from app.forge.errors import Unavailable
from app.forge.resource import Resource


async def make_indexes(resources: list[Resource]) -> None:
    """Return when the database has the indexes of these resources, or raise `Unavailable`."""
    tables = [resource.table for resource in resources]
    async with open_database(DatabaseSettings(), tables) as database:
        await database.ping()


def main() -> None:
    """Make the indexes of the module's RESOURCES. Raises `SystemExit` that says why they were not made."""
    if len(sys.argv) != 2:
        sys.exit(
            "Name the module that has RESOURCES, as in: python -m app.forge.database.mongodb_indexes app.resources"
        )
    try:
        asyncio.run(make_indexes(import_module(sys.argv[1]).RESOURCES))
    except Unavailable as error:
        sys.exit(f"The indexes were not made. {cause_of(error)}")


if __name__ == "__main__":
    main()
