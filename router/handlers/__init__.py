"""The handlers of the API, one module for each resource.

A handler parses its request with `router/api`, calls the dispatch or the long polls once, and answers. It
knows no shard and no partition.
"""
