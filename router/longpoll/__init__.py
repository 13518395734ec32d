"""Dequeues that wait: they are parked here until a shard says that a job is due.

A dequeue asks the shard whose hint is due longest; while it waits it costs the store nothing. Leases that nobody is
left to receive are given back.
"""
