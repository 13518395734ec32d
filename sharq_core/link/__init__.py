"""Defines the link between a router and a shard: its messages, its frames and its socket.

Both ends import this package, so that the wire is defined once. docs/link.md describes the protocol.
"""
