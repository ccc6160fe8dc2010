"""The template that FastForge carries: its versions, its questions, and how it is rendered."""
