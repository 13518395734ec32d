"""Acknowledgement by replicas: which servers may be promoted, and whether they all have confirmed a call.

`replicated` and `synced` are built on it. docs/decisions/replicated-failover.md has the argument.
"""
