"""Servers, interpreters and checkouts that tests and benchmarks share."""
