"""The calls of a router that take several steps: long lists, and changes of many jobs.

Each step is one bounded call of a shard. Not here: the routing of a call (router/shards/dispatch.py).
"""
