"""The calls of a router that take several steps: long lists, and changes of many jobs.

Each step is one bounded call of a shard.
"""
