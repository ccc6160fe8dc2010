"""What layers of a generated service cost in process: scripts that import the `app` of a rendered project."""
