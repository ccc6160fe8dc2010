"""The fast path: endpoints called directly, without FastAPI's routing and dependency resolution.

For every request FastAPI searches all routes, included ones twice, and works out the endpoint's parameters and
dependencies again. `FastPathMiddleware` does both once. It leaves everything that it does not fully understand to
FastAPI, so routes behave exactly as in FastAPI. `python -m app.forge.http.fast_path` lists all routes, with the reason
for each that does not take the fast path.

A request passes `middleware`, `tree` (which finds its `route`) and `call`, which follows the `plan` of the route and
reads its `parameters`.
"""

from app.forge.http.fast_path.middleware import FastPathMiddleware as FastPathMiddleware
