"""One module a use case; each reads top to bottom like the dataflow."""
