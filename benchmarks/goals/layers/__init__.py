"""Scripts that measure layers of a generated service in process; they import the `app` of a rendered project."""
