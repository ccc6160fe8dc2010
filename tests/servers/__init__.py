"""Real servers for tests, each from the first source that has it.

The order is: a URL in the environment, an executable on this system, pinned wheels.

    with running_servers({"postgres", "redis"}) as servers:
        database_url = servers.postgres.database("orders_test")
        redis_url = servers.redis.database()
"""

from tests.servers.errors import NotUsable, ServerDied, ServerUnavailable
from tests.servers.mongodb import MongoServer
from tests.servers.nginx import Nginx
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.servers.running import KINDS, Servers, open_servers, running_servers

__all__ = [
    "KINDS",
    "MongoServer",
    "Nginx",
    "NotUsable",
    "PostgresServer",
    "RedisServer",
    "ServerDied",
    "ServerUnavailable",
    "Servers",
    "open_servers",
    "running_servers",
]
