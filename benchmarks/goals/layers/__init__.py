"""Scripts that measure layers in process; they import the `app` of a rendered project."""
