"""Tables, plots and documents of the results."""
