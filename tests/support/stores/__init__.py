"""Runs real stores for tests: one server, Sentinel groups and Redis Clusters, and a clock that a test sets."""
