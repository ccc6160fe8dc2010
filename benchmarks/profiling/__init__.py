"""CPU time by layer, and the cost of diagnostics."""
