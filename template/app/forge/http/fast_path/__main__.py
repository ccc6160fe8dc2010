"""Prints all routes as JSON, with the reason for each that FastAPI handles. Used by `fastforge explain --routes`."""

import json
import sys

from app.forge.http.fast_path.tree import declared_routes
from app.main import create_app

routes = [
    {"method": route.method, "path": route.path, "direct": route.direct is not None, "reason": route.reason}
    for route in declared_routes(create_app().router)
]
sys.stdout.write(f"{json.dumps(routes)}\n")
