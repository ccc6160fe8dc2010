from app.forge.serializer.with_orjson import Serializer as Serializer
