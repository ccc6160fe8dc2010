from app.forge.cache.cached_store import CachedStore as CachedStore
from app.forge.cache.ttl_cache import CacheSettings as CacheSettings
from app.forge.cache.ttl_cache import open_cache as open_cache
