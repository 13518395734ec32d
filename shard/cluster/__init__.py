"""This node among the others: membership, the partitions it owns, and its contact with the store's servers.

A node announces itself with heartbeats and computes the ring from the members that it sees. It leaves partitions to its
neighbours when it does not reach their server, and keeps each partition's time steady when the store's clock steps.
"""
