from app.cache.cached_store import CachedItemStore as CachedItemStore
from app.cache.ttl import CacheSettings as CacheSettings
from app.cache.ttl import open_item_cache as open_item_cache
