from app.forge.cache.cached_store import CachedItemStore as CachedItemStore
from app.forge.cache.ttl_cache import CacheSettings as CacheSettings
from app.forge.cache.ttl_cache import open_item_cache as open_item_cache
