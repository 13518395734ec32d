"""Dequeues that wait: they are parked here until a shard reports that a job is due.

A dequeue asks the shard whose hint has been due longest. While it waits, it costs the store nothing. Leases that no
client receives are voided.
"""
