"""The measuring kit: load, comparisons and profiles of a generated service, run by the project's Python.

It needs only the standard library and the project in the current directory, so nothing has to be installed to
measure one. `fastforge bench` and `fastforge profile` start it.
"""
