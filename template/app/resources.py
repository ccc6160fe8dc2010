"""The resources of the service. FastForge writes this file; routes of your own go into app/main.py."""

from app.forge.resource import Resource

RESOURCES: list[Resource] = []
