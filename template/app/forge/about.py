"""The service's name, description and version, as its documentation shows them."""

# Kept exactly as answered; the formatter might prefer other quotes.
NAME = "Items API"  # fmt: skip
DESCRIPTION = "A FastAPI service that keeps items."  # fmt: skip
VERSION = "0.1.0"
