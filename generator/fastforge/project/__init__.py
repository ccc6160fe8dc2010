"""A project on disk: how it gets there, and how it is found again."""
