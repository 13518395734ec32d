"""Waits for the acknowledgement of calls by replicas: it knows which servers may be promoted and if all have confirmed.

`replicated` and `synced` are built on it. docs/decisions/replicated-failover.md has the argument.
"""
