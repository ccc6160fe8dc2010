"""Real servers for tests, each from the first source that has it.

The order is: a URL in the environment, an executable on this system, pinned wheels.

    with running_servers({"postgres", "redis"}) as servers:
        database_url = servers.postgres.database("orders_test")
        redis_url = servers.redis.database()
"""

from testkit.servers.errors import NotUsable, ServerDied, ServerUnavailable
from testkit.servers.mongodb import MongoServer
from testkit.servers.nginx import Nginx
from testkit.servers.postgres import PostgresServer
from testkit.servers.redis import RedisServer
from testkit.servers.running import KINDS, Servers, open_servers, running_servers

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
