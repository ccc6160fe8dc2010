"""API keys at the command line: `python -m app.forge.auth create NAME --scope items:read`, `list`, `revoke ID`.

`create` writes the key to standard output, once: only its digest is stored.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from fastapi.routing import iter_route_contexts

from app.forge.auth.api_key_scopes import declared_scopes
from app.forge.auth.api_key_table import API_KEYS, ApiKeys
from app.forge.database import open_database
from app.forge.errors import ServiceError
from app.forge.resource import now
from app.main import create_app
from app.resources import RESOURCES
from app.settings import Settings, settings_of_environment

HIDDEN = {"digest"}


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m app.forge.auth", description="Manage API keys.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    create = commands.add_parser("create", help="create a key and write it to standard output, once")
    create.set_defaults(run=_create)
    create.add_argument("name", help="what the key is for, such as the name of a client")
    create.add_argument("--scope", action="append", default=[], dest="scopes", help="may be repeated")
    create.add_argument("--expires-days", type=float, metavar="DAYS", help="by default it never expires")
    commands.add_parser("list", help="write all keys as JSON, one per line").set_defaults(run=_list)
    revoke = commands.add_parser("revoke", help="revoke a key")
    revoke.set_defaults(run=_revoke)
    revoke.add_argument("id", type=UUID, help="as `list` shows it")
    return parser.parse_args()


async def _create(keys: ApiKeys, settings: Settings, given: argparse.Namespace) -> None:
    known = declared_scopes(iter_route_contexts(create_app(settings).routes))
    known |= {f"{resource.table.name}:all" for resource in RESOURCES if resource.table.is_owned}
    if unknown := sorted(set(given.scopes) - known):
        sys.exit(f"No route needs the scope {unknown[0]!r}. Choose from: {', '.join(sorted(known))}")
    if given.expires_days is not None and given.expires_days <= 0:
        sys.exit(f"--expires-days {given.expires_days:g} is in the past. Give a number above 0.")
    expires_at = None if given.expires_days is None else now() + timedelta(days=given.expires_days)
    key = await keys.create(settings.api_key_prefix, given.name, given.scopes, expires_at)
    sys.stdout.write(f"{key.text}\n")
    sys.stderr.write(f"Created {key.id}. The key is not stored: keep it now.\n")


async def _list(keys: ApiKeys, _settings: Settings, _given: argparse.Namespace) -> None:
    async for key in keys.all():
        sys.stdout.write(f"{json.dumps(key.model_dump(mode='json', exclude=HIDDEN))}\n")


async def _revoke(keys: ApiKeys, settings: Settings, given: argparse.Namespace) -> None:
    await keys.revoke(given.id)
    seconds = settings.api_key_remember_seconds
    sys.stderr.write(f"Revoked {given.id}. Workers that know the key accept it for up to {seconds:g} s.\n")


async def run(given: argparse.Namespace) -> None:
    """Run the command on the database of the service."""
    settings = settings_of_environment()
    command: Callable[[ApiKeys, Settings, argparse.Namespace], Awaitable[None]] = given.run
    async with open_database(settings, [API_KEYS]) as database:
        await command(ApiKeys(database), settings, given)


def main() -> None:
    """Run the command, or exit with the reason why it failed."""
    try:
        asyncio.run(run(arguments()))
    except ServiceError as error:
        sys.exit(error.detail)


if __name__ == "__main__":
    main()
