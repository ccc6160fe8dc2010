"""`python -m benchmarks` measures this service on this machine."""

from pathlib import Path

PROJECT = Path(__file__).parent.parent
