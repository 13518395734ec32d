"""Runs the embedded store: a Valkey server that `sharq-server` starts, owns and stops.

Its data directory is locked, its memory and its disk are monitored, and its last log lines are repeated in our log if
it does not start. A deployment with several nodes uses a store of its own instead.
"""
