"""Goals of the services and the commands: the measurements, and their baselines."""
