"""FastForge: generates FastAPI services that are fast from the first commit."""
