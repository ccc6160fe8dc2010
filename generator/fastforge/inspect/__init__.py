"""Looks into a project without changing it: optimizations, routes, measurements, tests."""
