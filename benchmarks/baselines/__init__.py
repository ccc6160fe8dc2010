"""Baselines for FastForge's services: each module has an ASGI application `app`."""
