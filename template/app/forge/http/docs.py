"""API documentation: Swagger UI and the OpenAPI document, served without a CDN.

Swagger UI comes from a package that requirements.txt pins by hash. The page's Content-Security-Policy keeps browsers
from loading anything from another host.
"""

from base64 import b64encode
from functools import lru_cache
from hashlib import sha384
from html import escape
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import HTTPException
from fastapi.responses import JSONResponse, Response

from app.forge.about import NAME
from app.forge.http.caching import entity_tag, is_known

# URLs are relative, so the page works behind a proxy that adds a path prefix.
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css" integrity="{style}">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js" integrity="{script}"></script>
<script src="docs/initializer.js" integrity="{initializer}"></script>
</body>
</html>
"""

# https://swagger.io/docs/open-source-tools/swagger-ui/usage/configuration/
INITIALIZER = b"""\
window.ui = SwaggerUIBundle({
  url: new URL("../openapi.json", document.currentScript.src).href,
  dom_id: "#swagger-ui",
  deepLinking: true,
  showExtensions: true,
  showCommonExtensions: true,
  // By default Swagger UI sends the URL of the document to a public validator.
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""

# Swagger UI keeps its images in its style sheet. To call an API on another host, add the host to connect-src.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FILES = {
    "favicon-32x32.png": "image/png",
    "initializer.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}

router = APIRouter(include_in_schema=False)


class Document(NamedTuple):
    """A response body that is built once, with its media type and entity tag."""

    body: bytes
    media_type: str
    etag: str


class OpenAPI(NamedTuple):
    """The serialized OpenAPI document, and the inputs it was built from."""

    source: dict[str, Any]
    root_path: str
    document: Document


@router.get("/openapi.json")
async def read_openapi(request: Request) -> Response:
    """Return the OpenAPI document, or 304."""
    app: FastAPI = request.app
    # FastAPI returns the same dictionary until a route is added or `app.openapi_schema` is reset.
    source = app.openapi()
    root_path = request.scope.get("root_path", "").rstrip("/")
    kept: OpenAPI | None = getattr(app.state, "openapi", None)
    if kept is None or kept.source is not source or kept.root_path != root_path:
        body = bytes(JSONResponse(_with_servers(app, source, root_path)).body)
        kept = app.state.openapi = OpenAPI(source, root_path, _document(body, "application/json"))
    return _unless_known(request, kept.document)


def _with_servers(app: FastAPI, source: dict[str, Any], root_path: str) -> dict[str, Any]:
    """Return the document with the server that FastAPI adds behind a proxy which strips a prefix."""
    if (
        not root_path
        or not app.root_path_in_servers
        or root_path in {server.get("url") for server in app.servers}
    ):
        return source
    return source | {"servers": [{"url": root_path}, *app.servers]}


@router.get("/docs")
async def read_docs(request: Request) -> Response:
    """Return the page, or 304."""
    response = _unless_known(request, _page())
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@router.get("/docs/{name}")
async def read_docs_file(name: str, request: Request) -> Response:
    """Return a file that the page loads, or 304."""
    if name not in FILES:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return _unless_known(request, _file(name))


def _unless_known(request: Request, document: Document) -> Response:
    headers = {"Cache-Control": "no-cache", "ETag": document.etag, "X-Content-Type-Options": "nosniff"}
    if is_known(request.scope, document.etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(document.body, headers=headers, media_type=document.media_type)


def _document(body: bytes, media_type: str) -> Document:
    return Document(body, media_type, entity_tag(body))


@lru_cache
def _page() -> Document:
    page = PAGE.format(
        title=escape(f"{NAME} - Swagger UI"),
        style=_integrity("swagger-ui.css"),
        script=_integrity("swagger-ui-bundle.js"),
        initializer=_integrity("initializer.js"),
    )
    return _document(page.encode(), "text/html")


def _integrity(name: str) -> str:
    return f"sha384-{b64encode(sha384(_file(name).body).digest()).decode()}"


@lru_cache
def _file(name: str) -> Document:
    body = INITIALIZER if name == "initializer.js" else (_swagger_ui() / name).read_bytes()
    return _document(body, FILES[name])


def _swagger_ui() -> Path:
    # Located without importing the package, because only its files are needed.
    package = find_spec("fastapi_swagger")
    assert package is not None
    assert package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0]) / "resources"
