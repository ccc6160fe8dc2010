from app.serializer.orjson import item_json as item_json
from app.serializer.orjson import items_json as items_json
