"""Tests of the OpenAPI document: linters, generated clients, and the headers that are really sent."""
