"""Tools for maintainers of FastForge; no generated project has them."""
