"""HTTP handlers, one module per endpoint family; each takes the service and the request and returns a response."""
