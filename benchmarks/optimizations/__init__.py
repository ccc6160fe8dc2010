"""Measurements of each optimization of the template, on and off."""
