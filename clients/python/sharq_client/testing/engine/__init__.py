"""The rules of the server in plain Python, in memory: queues with rates, leases, retries, expiry and batches.

Times are integer microseconds by the fake's clock, as inside the server. Nothing here sleeps or reads a real clock.
"""
