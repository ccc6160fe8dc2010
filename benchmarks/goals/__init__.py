"""Goals of the services and the commands: what is measured, and against which limit."""
