"""What clients make of the OpenAPI document: linters, generated clients, and the headers that really come."""
