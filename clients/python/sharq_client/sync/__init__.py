"""The sync client, for programs without an event loop. Its modules are generated, except `connections.py`."""
