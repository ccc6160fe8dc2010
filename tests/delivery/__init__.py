"""Images, units and pipelines of generated projects: each step is run as far as this machine can."""
