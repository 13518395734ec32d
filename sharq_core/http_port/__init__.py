"""Serves HTTP within bounds on a listening port: the router's API and the shard's port are built on it.

It accepts connections, counts them, ends them and notices clients that have gone. The owner of the port words the
answers.
"""
