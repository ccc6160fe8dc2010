"""The resources of the service. FastForge writes this file; add your own routes in app/main.py."""

from app.forge.resource import Resource

RESOURCES: list[Resource] = []
