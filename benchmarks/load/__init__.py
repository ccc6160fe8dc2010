"""Servers under measurement, and the load on them."""
