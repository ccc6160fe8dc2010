from app.forge.serializer.with_orjson import item_json as item_json
from app.forge.serializer.with_orjson import items_json as items_json
