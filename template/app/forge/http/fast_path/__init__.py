"""The short way to an endpoint, in front of FastAPI's own.

FastAPI looks through all routes for every request, included ones twice, and works out again what each endpoint
takes. `FastPathMiddleware` does both once. It says only yes: what it does not understand completely, an invalid request
as much as a dependency, goes FastAPI's way, so routes are declared, checked, documented and answered as in FastAPI.
`python -m app.forge.http.fast_path` lists the routes, and why some do not go this way.
"""

from app.forge.http.fast_path.middleware import FastPathMiddleware as FastPathMiddleware
