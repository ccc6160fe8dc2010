"""The contract of any list of resources, made from the answer `resources` and not from the service's code."""
