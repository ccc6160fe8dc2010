"""The fast path: endpoints called directly, without FastAPI's routing and dependency resolution.

For every request FastAPI searches all routes, included ones twice, and resolves the endpoint's parameters again.
`FastPathMiddleware` does both once. It leaves everything that it does not fully understand, such as an invalid request
or a dependency, to FastAPI, so routes behave exactly as in FastAPI. `python -m app.forge.http.fast_path` lists all
routes, with the reason for each that does not take the fast path.
"""

from app.forge.http.fast_path.middleware import FastPathMiddleware as FastPathMiddleware
