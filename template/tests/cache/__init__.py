from tests.cache.ttl import cache as cache
