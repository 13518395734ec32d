"""The embedded store: a Valkey server that `sharq-server` starts, owns and stops.

Its data directory is locked, its memory and its disk are watched, and what it says before it ends is repeated in the
log. A deployment with several nodes uses a store of its own instead.
"""
