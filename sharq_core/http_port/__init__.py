"""A listening port that speaks HTTP within bounds: the router's API and the shard's port are built on it.

It accepts connections, counts and ends them, and notices clients that have gone.
The words of each answer are its owner's.
"""
