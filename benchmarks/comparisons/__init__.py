"""Comparisons with published generators, and with `copier update`."""
