"""What the service calls itself in its documentation."""

# The answers are kept as they were given, whichever quotes the formatter would prefer.
NAME = "Items API"  # fmt: skip
DESCRIPTION = "A FastAPI service that keeps items."  # fmt: skip
VERSION = "0.1.0"
