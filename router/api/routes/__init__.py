"""The table of the operations of the HTTP API, in one module for each resource."""
