"""What FastForge's services are compared with: each module has an ASGI application `app`."""
