"""The place of this node in the cluster: membership, the partitions it owns, and its contact with the store's servers.

A node announces itself with heartbeats and computes the ring from the members that it sees. It leaves partitions to
other nodes if it does not reach their server, and keeps each partition's time steady if the store's clock steps.
"""
