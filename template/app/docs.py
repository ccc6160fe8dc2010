"""The documentation for people: Swagger UI, which their browser loads from a CDN."""

from html import escape

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from app.about import NAME

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def read_docs(request: Request) -> HTMLResponse:
    """Return the page."""
    prefix = request.scope.get("root_path", "").rstrip("/")
    return get_swagger_ui_html(openapi_url=f"{prefix}/openapi.json", title=f"{escape(NAME)} - Swagger UI")
